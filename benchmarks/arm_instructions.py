"""What a second of audio costs on ARM, in instructions: full size, by stage and precision, without
a board.

    PYTHONPATH=. python benchmarks/arm_instructions.py build/arm64-cost [sao-small | sa3-small]

needs qemu-user and gcc, and twenty minutes a family. One block of the transformer, one block of the
text encoder, and the decoder with all its channels (of Stable Audio 3 with two of its six blocks)
are exported from a synthetic checkpoint and run on emulated CPUs (`tests/arm64/sysroot.py`), one
thread, and every executed instruction is counted. What repeats is counted once and multiplied.
Results go to results.json in the folder, so that an interrupted run goes on; then the table is
printed.

Instructions are no seconds: they know nothing of caches, memory bandwidth and heat. The projected
times assume what ASSUMED says.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "arm64"))
import sysroot

from edge_audio.bundle.manifest import Manifest
from edge_audio.bundle.store import Bundle
from edge_audio.evaluate.metrics import snr
from edge_audio.model.codec import tiles_for
from edge_audio.model.contract import Contract
from edge_audio.system.graph import Graph

MARK = 0x45410000
LATENTS = 256
#: latents that the head of stable-audio-open-small is measured on
SHORT = 4
#: latents of a tile in the bundle that ships, which decides how many frames the tail computes twice
TILE = 8


@dataclass(frozen=True)
class Family:
    """What is measured of a family of models, and how often it runs for a clip."""

    preset: str
    #: of the clip
    seconds: float
    #: part -> its component, its stage, and the lengths that it is measured at
    parts: dict[str, tuple[str, str, dict[str, int]]]
    #: part -> how often it runs for a clip
    repeats: Callable[[Bundle], dict[str, float]]
    #: changes a preset's configurations, so that one block of everything is left
    shrink: Callable[[dict, dict], None]
    options: dict


def _shrink_sao(config: dict, text: dict) -> None:
    config["model"]["diffusion"]["config"]["depth"] = 1
    text |= {"num_layers": 1, "vocab_size": 512}


def _shrink_sa3(config: dict, text: dict) -> None:
    config["model"]["diffusion"]["config"]["depth"] = 1
    for side in ("encoder", "decoder"):
        autoencoder = config["model"]["pretransform"]["config"]
        autoencoder[side]["config"]["transformer_depths"] = [2]
    text["encoder"] |= {"num_hidden_layers": 1, "vocab_size": 512}


def _repeats_sao(bundle: Bundle) -> dict[str, float]:
    frames = tail_frames(with_tiles(bundle.manifest, TILE))
    return {
        "text block": 12,
        "transformer block": 16 * 8,
        "decoder head": LATENTS / SHORT,
        "decoder tail": frames / bundle.manifest.tiling.tile,
    }


def _repeats_sa3(bundle: Bundle) -> dict[str, float]:
    frames = round(10 * bundle.manifest.sample_rate)
    tiles = len(tiles_for(bundle.manifest, SA3_LENGTHS["latents"], frames))
    return {"text block": 12, "transformer block": 20 * 8, "two decoder blocks": 3 * tiles}


#: of a clip of 10 seconds and the 6 more that the official code makes, and of a usual prompt
SA3_LENGTHS = {"latents": 174, "tokens": 12, "kept": 1}
_FULL = {"latents": LATENTS, "tokens": 64}
FAMILIES = {
    "sao-small": Family(
        "sao-small",
        LATENTS * 2048 / 44100,
        {
            "text block": ("conditioners", "condition", _FULL),
            "transformer block": ("dit", "denoise", _FULL),
            "decoder head": ("decoder", "head", {**_FULL, "latents": SHORT}),
            "decoder tail": ("decoder", "tail", _FULL),
        },
        _repeats_sao,
        _shrink_sao,
        {"tile": 1, "latent_lengths": (SHORT,)},
    ),
    "sa3-small": Family(
        "sa3-small",
        10.0,
        {
            "text block": ("conditioners", "condition", SA3_LENGTHS),
            "transformer block": ("dit", "denoise", SA3_LENGTHS),
            "two decoder blocks": ("decoder", "decode", SA3_LENGTHS),
        },
        _repeats_sa3,
        _shrink_sa3,
        {},
    ),
}


@dataclass(frozen=True)
class Board:
    """Assumptions of a projection: clock in GHz, instructions a cycle that such code sustains, and
    what four threads gain.
    """

    cpu: str
    name: str
    clock: float
    per_cycle: float
    threads: float


ASSUMED = (
    Board("cortex-a72", "Raspberry Pi 4", 1.8, 1.3, 3.0),
    Board("cortex-a76", "Raspberry Pi 5", 2.4, 2.0, 3.2),
    Board("i8mm", "2024 phone, its big cores", 2.8, 2.5, 3.2),
)
#: form -> (precision of the graph, whether it computes in float16)
FORMS = {"f32": ("f32", False), "fp16": ("f32", True), "int8": ("int8", False)}
RUN = """
import json, os, sys
import numpy as np
from edge_audio.system.graph import Graph
path, signature, half, given, out, shapes = sys.argv[1:]
graph, inputs, shapes = Graph(path, 1, half=half == "1"), dict(np.load(given)), json.loads(shapes)
shapes = shapes and {name: tuple(shape) for name, shape in shapes.items()}
run = lambda: graph.resized(signature, inputs, shapes) if shapes else graph(signature, **inputs)
outputs = run()
def mark(k):
    try:
        os.getpgid({mark} + k)
    except ProcessLookupError:
        pass
mark(0)
run()
mark(1)
np.savez(out, **outputs)
""".replace("{mark}", str(MARK))


def one_block(folder: Path, family: Family, name: str = "bundle", **changes) -> Bundle:
    """A bundle of full width with one block of everything that has several.

    changes: other values for attributes of the exporter's convolution, to try another form of the
    graphs.
    """
    from unittest import mock

    from edge_audio.exporter import synth
    from edge_audio.exporter.autoencoder import Conv
    from edge_audio.exporter.bundle import Options, export

    if not (folder / name / "manifest.json").exists():
        preset = copy.deepcopy(synth.PRESETS[family.preset])
        family.shrink(preset.config, preset.text_config)
        synth.PRESETS["one-block"] = preset
        shutil.rmtree(folder / "checkpoint", ignore_errors=True)
        synth.write("one-block", folder / "checkpoint", "f16", say=lambda line: None)
        with mock.patch.multiple(Conv, **changes) if changes else contextlib.nullcontext():
            export(
                folder / "checkpoint",
                folder / name,
                Options(("f32", "int8"), ("conditioners", "dit", "decoder"), **family.options),
                say=lambda line: None,
            )
        shutil.rmtree(folder / "checkpoint")
    return Bundle.open(folder / name)


def inputs_of(bundle: Bundle, stage: str, lengths: dict[str, int]) -> dict[str, np.ndarray]:
    """Inputs of the right shapes and plausible size."""
    rng = np.random.default_rng(0)

    def made(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name == "input_ids":
            return rng.integers(2, 400, shape)
        if name == "positions":
            return np.arange(shape[1])[None]
        if name.endswith("_mask") or name == "learned_padding":
            return np.ones(shape)
        if name in ("t", "seconds_total"):
            return rng.uniform(0.1, 0.9, shape)
        return rng.standard_normal(shape)

    ports = bundle.manifest.stages[stage].inputs
    return {
        name: made(name, port.shape_at(lengths)).astype(port.type) for name, port in ports.items()
    }


def measure(
    folder: Path,
    arm: Path,
    bundle: Bundle,
    family: Family,
    kept: str,
    parts: Sequence[str] = (),
    cpus: Sequence[str] = tuple(sysroot.CPUS),
    forms: Sequence[str] = tuple(FORMS),
) -> dict:
    """CPU -> form -> part -> {"instructions", "snr" against float32 here}; kept in the file `kept`
    as it grows.
    """
    path = folder / kept
    results = json.loads(path.read_text()) if path.exists() else {}
    (folder / "run.py").write_text(RUN)
    contract = Contract(bundle.manifest)
    for part in parts or family.parts:
        component, stage, lengths = family.parts[part]
        fitting = contract.fitting(stage, inputs_of(bundle, stage, lengths))
        np.savez(folder / "given.npz", **fitting.inputs)
        with Graph(bundle.graph_path(component, "f32"), 2) as graph:
            expected = fitting.run(graph)
        for cpu in cpus:
            for form in forms:
                precision, half = FORMS[form]
                found = results.setdefault(cpu, {}).setdefault(form, {})
                if part in found or (half and (component != "decoder" or cpu == "cortex-a72")):
                    continue
                print(f"{cpu}, {form}, {part}", file=sys.stderr, flush=True)
                done = sysroot.run(
                    arm,
                    cpu,
                    folder / "run.py",
                    bundle.graph_path(component, precision),
                    fitting.signature,
                    int(half),
                    folder / "given.npz",
                    folder / "out.npz",
                    json.dumps(fitting.outputs),
                    count=folder / "count.txt",
                    timeout=3600,
                )
                if done.returncode:
                    raise SystemExit(
                        f"error: {cpu}, {form}, {part}: {done.stderr.strip().splitlines()[-1]}"
                    )
                counts = dict(
                    line.split() for line in (folder / "count.txt").read_text().splitlines()
                )
                outputs = np.load(folder / "out.npz")
                found[part] = {
                    "instructions": int(counts["1"]),
                    "snr": round(
                        min(snr(outputs[key], value) for key, value in expected.items()), 1
                    ),
                }
                path.write_text(json.dumps(results, indent=1) + "\n")
    return results


def with_tiles(manifest: Manifest, latents: int) -> Manifest:
    """The manifest of a decoder with tiles of so many latents."""
    frames = latents * manifest.tiling.per_latent + 2 * manifest.tiling.overlap
    return dataclasses.replace(manifest, tiling=dataclasses.replace(manifest.tiling, tile=frames))


def tail_frames(manifest: Manifest) -> int:
    """Frames that the tail computes for a full clip, those at the edges of tiles twice."""
    return (
        len(tiles_for(manifest, LATENTS, LATENTS * manifest.latent.downsampling))
        * manifest.tiling.tile
    )


def tried(results: dict, others: dict, bundle: Bundle) -> str:
    """Other forms of the graphs: wide convolutions in one piece, and other tiles."""
    lines = ["| other forms, Cortex-A76 | against ours |", "| --- | --- |"]
    for form, found in others["cortex-a76"].items():
        ratio = (
            found["decoder head"]["instructions"]
            / results["cortex-a76"][form]["decoder head"]["instructions"]
        )
        lines.append(
            f"| decoder head in {form}, wide convolutions not split | {ratio:.3f}× instructions |"
        )
    ours = tail_frames(with_tiles(bundle.manifest, TILE))
    for latents in (2, 4, 16, 32):
        share = tail_frames(with_tiles(bundle.manifest, latents)) / ours
        lines.append(
            f"| decoder tail in tiles of {latents} latents, not {TILE} | {share:.2f}× instructions,"
            f" {latents / TILE:g}× memory |"
        )
    return "\n".join(lines)


def table(results: dict, bundle: Bundle, family: Family) -> str:
    """Markdown."""
    times, seconds = family.repeats(bundle), family.seconds
    lines = [
        "| stage, 10⁹ instructions a second of audio | "
        + " | ".join(f"{cpu} {form}" for cpu in results for form in FORMS if results[cpu].get(form))
        + " |"
    ]
    columns = [(cpu, form) for cpu in results for form in FORMS if results[cpu].get(form)]
    lines.append("| --- |" + " --- |" * len(columns))
    for part in family.parts:
        cells = []
        for cpu, form in columns:
            found, base = results[cpu][form].get(part), results[cpu]["f32"][part]["instructions"]
            cells.append(
                "–"
                if found is None
                else f"{found['instructions'] * times[part] / seconds / 1e9:.2f}"
                + (
                    ""
                    if form == "f32"
                    else f" ({found['instructions'] / base:.2f}×, {found['snr']:.0f} dB)"
                )
            )
        lines.append(f"| {part}, {times[part]:.0f} times | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"| projected for a clip of {seconds:.1f} s | float | int8, decoder in float | int8 |",
        "| --- | --- | --- | --- |",
    ]
    for board in ASSUMED:
        found = results[board.cpu]
        decoder = "fp16" if found.get("fp16") else "f32"

        def clip(early: str, late: str) -> str:
            total = sum(
                found[late if component == "decoder" else early][part]["instructions"] * times[part]
                for part, (component, *_) in family.parts.items()
            )
            return f"{total / (board.clock * 1e9 * board.per_cycle * board.threads):.0f} s"

        lines.append(
            f"| {board.name}: {board.clock} GHz, {board.per_cycle} instructions a cycle, four"
            f" threads {board.threads}× |"
            f" {clip('f32', decoder)}{' (decoder fp16)' if decoder == 'fp16' else ''} |"
            f" {clip('int8', decoder)} | {clip('int8', 'int8')} |"
        )
    return "\n".join(lines)


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    arm = sysroot.make(folder / "arm64", sysroot.build_wheel(folder / "wheel"))
    subprocess.run(
        [
            "gcc",
            "-O2",
            "-shared",
            "-fPIC",
            "-o",
            arm / "libcount.so",
            Path(__file__).with_name("count.c"),
        ],
        check=True,
    )
    family = FAMILIES[sys.argv[2] if len(sys.argv) > 2 else "sao-small"]
    here = folder if family.preset == "sao-small" else folder / family.preset
    here.mkdir(exist_ok=True)
    bundle = one_block(here, family)
    results = measure(here, arm, bundle, family, "results.json")
    print(table(results, bundle, family))
    if family.preset == "sao-small":
        whole = measure(
            here,
            arm,
            one_block(here, family, "bundle-whole", MAX_DEPTH=1 << 30),
            family,
            "whole.json",
            ["decoder head"],
            ["cortex-a76"],
            ["f32", "int8"],
        )
        print(f"\n{tried(results, whole, bundle)}")


if __name__ == "__main__":
    main()
