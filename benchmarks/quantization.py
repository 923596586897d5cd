"""What each way of storing weights costs and keeps: `python benchmarks/quantization.py BUNDLE --out
FILE.json`, of a bundle in float32.

Whole graphs first, every method of `export.quantize.METHODS`; then one kind of layer at a time. All
is judged by what the float32 graphs gave on a recording of real prompts: the worst and the mean SNR
of v, of cross_attn_cond, of audio. Several results make the plot and the table: `python
benchmarks/quantization.py --plot docs/images/quantization.png A.json B.json`, `--table A.json
B.json`. `--compared docs/pocket-compare.json` prints the table of what `edge-audio compare` found.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from edge_audio.bundle.manifest import GENERATING
from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError
from edge_audio.evaluate.layers import operations
from edge_audio.evaluate.prompts import ANY, ANY_IDS
from edge_audio.exporter import mixed
from edge_audio.exporter.quantize import METHODS, methods_for

#: methods that a reader may not know by their names
MEANS = {
    "f16": "stored small, computed in float32",
    "int8": "min-max, activations at run time",
    "int8-weights": "8-bit weights, float32 arithmetic",
    "int8-octav": "OCTAV scales",
    "int8-mse": "MSE scales",
    "int8-gptq": "GPTQ",
    "int8-hadamard": "rotated",
    "int4": "blocks of 32",
    "int4-octav": "blocks of 32, OCTAV",
    "int4-gptq": "blocks of 32, GPTQ",
    "int4-channel": "a scale a row",
    "int4-hadamard": "rotated, a scale a row",
}
SAMPLERS = {"dpmpp": "DPM-Solver++"}


def study(folder: Path, clips: int, steps: int, without: tuple[str, ...], kinds: bool) -> dict:
    """Measure a float32 bundle; methods in `without` are left out (GPTQ takes hours on a full-size
    model).
    """
    bundle = Bundle.open(folder)
    mixed.recording.STEPS = steps
    prompts = (ANY if bundle.manifest.prompt.tokenizer else ANY_IDS)[:clips]
    print(f"recording {clips} clips", flush=True)
    settings = [prompt.request(bundle, mixed.SEED + n) for n, prompt in enumerate(prompts)]
    recording = mixed.record(bundle, settings)
    report = {"model": bundle.manifest.name, "clips": clips, "steps": steps, "components": {}}
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        for component in GENERATING:
            base = Path(scratch) / f"{component}.f32.tflite"
            shutil.copyfile(bundle.graph_path(component, "f32"), base)
            search = mixed.Search(component, base, recording, mixed.TARGET, print)
            found = operations(base)
            layers = list(dict.fromkeys(operation.layer for operation in found))
            rows = [
                row(search, base, method, dict.fromkeys(layers, method))
                for method in METHODS
                if method not in without
            ]
            if component != "decoder":
                rows.append(
                    row(
                        search,
                        base,
                        "int8, and int4 in feed-forward and text",
                        methods_for("int4", layers),
                    )
                )
            report["components"][component] = {
                "bytes_f32": base.stat().st_size,
                "methods": [r for r in rows if r],
            }
            if kinds:
                report["components"][component]["kinds"] = [
                    {
                        "kind": kind,
                        "layers": len(members),
                        **{
                            method: row(
                                search, base, f"{kind} {method}", dict.fromkeys(members, method)
                            )
                            for method in ("int8", "int8-hadamard", "int4")
                        },
                    }
                    for kind, members in by_kind(layers).items()
                ]
            base.unlink()
    return report


def by_kind(layers: list[str]) -> dict[str, list[str]]:
    """`layers.3.ff.ff.2` and its likes in all blocks -> one kind."""
    kinds: dict[str, list[str]] = {}
    for layer in layers:
        kinds.setdefault(re.sub(r"\.\d+\.", ".N.", layer, count=1), []).append(layer)
    return kinds


def row(search: mixed.Search, base: Path, name: str, methods: dict[str, str]) -> dict | None:
    """SNR of every recorded output with the layers stored so, the bytes, and the time of one
    transformer step.
    """
    start = time.perf_counter()
    try:
        errors = search.errors(methods)
    except EdgeAudioError as error:
        print(f"{name}: {error}", flush=True)
        return None
    size = len(search.quantized(methods))
    decibels = -10 * np.log10(np.maximum(errors, 1e-20))
    found = {
        "method": name,
        "bytes": size,
        "worst": round(float(decibels.min()), 1),
        "mean": round(float(decibels.mean()), 1),
    }
    print(
        f"{search.component} {name}: {size / 1e6:.1f} MB, {found['worst']} dB worst,"
        f" {found['mean']} mean ({time.perf_counter() - start:.0f} s)",
        flush=True,
    )
    return found


def plot(results: list[Path], out: Path) -> None:
    """Bytes against SNR of the transformer, a panel a model; a mixed graph's recipe beside the
    bundle is drawn too.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(
        1, len(results), figsize=(6 * len(results), 4.2), squeeze=False
    )
    for panel, path in zip(panels[0], results):
        report = json.loads(path.read_text())
        part = report["components"]["dit"]
        points = [
            (r["method"], 100 * r["bytes"] / part["bytes_f32"], r["worst"]) for r in part["methods"]
        ]
        if "mixed" in report:
            points.append(
                (
                    "mixed",
                    100 * report["mixed"]["bytes"] / report["mixed"]["bytes_f32"],
                    report["mixed"]["measured_snr"],
                )
            )
        gap = 0.04 * (max(worst for *_, worst in points) - min(worst for *_, worst in points))
        lowest = -np.inf  # that a label may lie, so that none covers the one below it
        for name, share, worst in sorted(points, key=lambda point: point[2]):
            colour = "#d1495b" if name == "mixed" else "#30638e"
            panel.plot(share, worst, "D" if name == "mixed" else "o", color=colour)
            lowest = max(worst, lowest + gap)
            panel.annotate(
                name,
                (share, worst),
                (share + 1.2, lowest),
                fontsize=8,
                va="center",
                arrowprops={"arrowstyle": "-", "lw": 0.4, "color": "#888888"},
            )
        panel.set(
            title=f"{report['model']}, transformer",
            xlabel="bytes, % of float32",
            ylabel="SNR of v, worst recorded step (dB)",
        )
        panel.set_xlim(10, 60)
        panel.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(out, dpi=110)


def table(results: list[Path]) -> str:
    """SNR of v on the worst recorded step and the share of the bytes, all layers alike."""
    reports = [json.loads(path.read_text()) for path in results]
    lines = [
        f"| method | what it is | {' | '.join(report['model'] for report in reports)} |",
        "| --- | --- |" + " --- |" * len(reports),
    ]
    for method in METHODS:
        cells = []
        for report in reports:
            part = report["components"]["dit"]
            found = [row for row in part["methods"] if row["method"] == method]
            size = [f"{100 * row['bytes'] / part['bytes_f32']:.0f} %" for row in found]
            cells.append(f"{found[0]['worst']:.1f} dB, {size[0]}" if found else "–")
        lines.append(f"| `{method}` | {MEANS.get(method, '')} | {' | '.join(cells)} |")
    return "\n".join(lines)


def compared(path: Path) -> str:
    """What `edge-audio compare` found of each precision."""
    report = json.loads(path.read_text(encoding="utf-8"))
    names, found = list(report["candidates"]), report["candidates"].values()
    largest = max(candidate["bytes"] for candidate in found)
    of = report["request"]
    sampler = SAMPLERS.get(of["sampler"], of["sampler"])

    def size(candidate: dict) -> str:
        share = f", {100 * candidate['bytes'] / largest:.0f} %"
        return f"{candidate['bytes'] / 1e6:.2f} MB{share * (candidate['bytes'] < largest)}"

    def decibels(values: list) -> str:
        every = np.ravel(values)
        return f"{every.min():.1f} / {every.mean():.1f} dB" if every.size else ""

    calls = max(np.size(candidate["v_snr"]) for candidate in found)
    rows = [
        ("graphs", *map(size, found)),
        (
            f"v on the {report['reference']} trajectory, worst of {calls} steps / mean",
            *(decibels(candidate["v_snr"]) for candidate in found),
        ),
        (
            "decoder, same latents, worst / mean",
            *(decibels(candidate["decoder_snr"]) for candidate in found),
        ),
        (
            "Fréchet distance of log-mel",
            *("" if c["frechet"] is None else f"{c['frechet']:.0f}" for c in found),
        ),
        ("sounds as asked", *(f"{100 * candidate['adherence']:.1f} %" for candidate in found)),
    ]
    head = f"{len(report['prompts'])} prompts, {of['steps']} {sampler} steps, cfg"
    lines = [(f"{head} {of['cfg_scale']:g}", *names), ("---",) * (1 + len(names)), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="BUNDLE|FILE.json")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--compared", action="store_true")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument(
        "--steps", type=int, default=6, help="recorded calls of the transformer a clip"
    )
    parser.add_argument("--without", default="", help="methods to leave out")
    parser.add_argument("--kinds", action="store_true", help="one kind of layer at a time, too")
    parser.add_argument("--recipe", type=Path, help="bundle whose mixed transformer is drawn, too")
    options = parser.parse_args()
    if options.plot or options.table or options.compared:
        if options.plot:
            plot(options.folders, options.plot)
        if options.table:
            print(table(options.folders))
        if options.compared:
            print(compared(options.folders[0]))
        return 0
    folder = options.folders[0]
    without = tuple(options.without.split(","))
    report = study(folder, options.clips, options.steps, without, options.kinds)
    if options.recipe:
        recipe = json.loads((options.recipe / mixed.file_name("dit")).read_text())
        report["mixed"] = {key: recipe[key] for key in recipe if key not in ("table", "layers")}
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
