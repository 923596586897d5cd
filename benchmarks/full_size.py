"""The full-size model side by side in one run: ours, PyTorch eager, and the straight litert-torch
conversion.

    make bench-full            # prepares everything under build/full, then runs this

The peers are what `peers.py` makes. All run the same prompt ids, noise, sampler and steps with two
threads; every contender has processes of its own, in turn, ROUNDS times, each with one clip to warm
up and one that counts. Ours opens and frees its graphs within the clip, and that time counts; the
peers keep everything loaded, and their loading does not count. Before that, parity: every stage of
ours against PyTorch on the same inputs. Prints markdown.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import side_by_side
from side_by_side import THREADS, cell, middle, ratio

from edge_audio import Pipeline, Request
from edge_audio.bundle.store import Bundle
from edge_audio.evaluate.metrics import snr
from edge_audio.sampling.samplers import SAMPLERS
from edge_audio.system.graph import Graph

ROUNDS, STEPS, SEED, SHORT_SECONDS = 3, 8, 1, 3.0
IDS = (3, 1712, 13, 8, 4325, 9, 77, 1)
FOLDER = Path("build/full")
CONTENDERS = {
    "ours, f32": {"task": "ours", "precision": "f32"},
    "ours, int8": {"task": "ours", "precision": "int8"},
    "ours, int8, 3 s, fit-length": {
        "task": "ours",
        "precision": "int8",
        "seconds": SHORT_SECONDS,
        "fit_length": True,
    },
    "straight conversion": {"task": "straight"},
    "PyTorch eager": {"task": "torch"},
}


def ours(job: dict) -> dict:
    """One warm-up clip and one that counts, through the library as users call it."""
    request = Request(
        ids=IDS,
        seed=SEED,
        steps=STEPS,
        seconds=job.get("seconds"),
        fit_length=job.get("fit_length", False),
    )
    return side_by_side.ours(FOLDER / "bundle", job["precision"], request, "cold" in job)


def straight(job: dict) -> dict:
    """The public example's way: three interpreters, all resident, the whole length always."""
    from ai_edge_litert.interpreter import Interpreter

    start, runners = time.perf_counter(), {}
    for name in ("conditioners", "dit", "decoder"):
        interpreter = Interpreter(str(FOLDER / "straight" / f"{name}.tflite"), num_threads=THREADS)
        interpreter.allocate_tensors()
        runners[name] = (interpreter, interpreter.get_signature_runner())
    loaded = time.perf_counter() - start

    def call(name: str, *values: np.ndarray) -> list[np.ndarray]:
        found = runners[name][1](**{f"args_{index}": value for index, value in enumerate(values)})
        return [found[key] for key in sorted(found)]

    return {"load": loaded, **_peer(call)}


def torch(job: dict) -> dict:
    """The reference modules in PyTorch eager, float32."""
    import peers
    import torch as pytorch

    pytorch.set_num_threads(THREADS)
    start = time.perf_counter()
    parts = peers.parts(peers.load(FOLDER / "checkpoint"))
    loaded = time.perf_counter() - start

    def call(name: str, *values: np.ndarray) -> list[np.ndarray]:
        with pytorch.inference_mode():
            found = parts[name](*map(pytorch.from_numpy, values))
        return [value.numpy() for value in (found if isinstance(found, tuple) else (found,))]

    return {"load": loaded, **_peer(call)}


def _peer(call) -> dict:
    """A clip of the full length. Official layout [1, C, T]."""
    manifest = Bundle.open(FOLDER / "bundle").manifest
    latent = manifest.latent
    ids = np.zeros((1, manifest.prompt.max_length), np.int32)
    ids[0, : len(IDS)] = IDS
    mask = (np.arange(ids.shape[1]) < len(IDS)).astype(np.int32)[None]

    def condition() -> list[np.ndarray]:
        found = call("conditioners", ids, mask, np.array([manifest.max_seconds], np.float32))
        return sorted(found, key=lambda value: -value.ndim)

    def v(x: np.ndarray, t: float, told: list[np.ndarray]) -> np.ndarray:
        x = np.ascontiguousarray(x.transpose(0, 2, 1))
        (y,) = call("dit", x, np.array([t], np.float32), *told)
        return y.transpose(0, 2, 1)

    return side_by_side.peer(
        condition,
        v,
        lambda x: call("decoder", np.ascontiguousarray(x.transpose(0, 2, 1))),
        (1, latent.length, latent.channels),
        SAMPLERS["pingpong"].schedule(STEPS),
        SEED,
    )


def parity(job: dict) -> dict:
    """SNR in dB of each stage against PyTorch in float32, on the same inputs; and tiled against
    whole decode, largest difference.
    """
    import peers
    import torch as pytorch

    model = peers.load(FOLDER / "checkpoint")
    parts, inputs = peers.parts(model), peers.example(model)
    bundle, found = Bundle.open(FOLDER / "bundle"), {}

    def graph(component: str, precision: str) -> Graph:
        return Graph(bundle.graph_path(component, precision), THREADS)

    with pytorch.inference_mode():
        cross, pooled = (value.numpy() for value in parts["conditioners"](*inputs["conditioners"]))
        x, t = inputs["dit"][:2]
        v = (
            parts["dit"](x, t, pytorch.from_numpy(cross), pytorch.from_numpy(pooled))
            .numpy()
            .transpose(0, 2, 1)
        )
        audio = parts["decoder"](*inputs["decoder"]).numpy()[0].T
    ids, mask, seconds = (value.numpy() for value in inputs["conditioners"])
    channels_last = {
        name: inputs[name][0].numpy().transpose(0, 2, 1).copy() for name in ("dit", "decoder")
    }
    for precision in ("f32", "int8"):
        with graph("conditioners", precision) as run:
            conditioned = run(
                "condition", input_ids=ids, attention_mask=mask, seconds_total=seconds
            )
        with graph("dit", precision) as run:
            projected = run("project", cross_attn_cond=cross, global_cond=pooled)
            ours_v = run("denoise", x=channels_last["dit"], t=t.numpy(), **projected)["v"]
        pipeline = Pipeline.load(FOLDER / "bundle", precision, THREADS)
        settings = Request(ids=IDS, seed=SEED).resolved(bundle.manifest)
        ours_audio = np.concatenate(list(pipeline.decode(settings, channels_last["decoder"])))
        found[precision] = {
            "cross_attn_cond": snr(conditioned["cross_attn_cond"], cross),
            "global_cond": snr(conditioned["global_cond"], pooled),
            "v": snr(ours_v, v),
            "audio": snr(ours_audio, audio),
        }
        found[precision]["largest audio difference"] = float(np.abs(ours_audio - audio).max())
    return found


TASKS = {"ours": ours, "straight": straight, "torch": torch, "parity": parity}


def main() -> None:
    results: dict[str, list[dict]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:

        def child(job: dict) -> dict:
            return side_by_side.child(__file__, job, folder)

        found = child({"task": "parity"})
        parities = {precision: found[precision] for precision in ("f32", "int8")}
        print(side_by_side.parity_table(parities), end="\n\n", flush=True)
        peaks: list[float] = []
        cold = {
            name: child({**job, "cold": True})
            for name, job in CONTENDERS.items()
            if job["task"] == "ours"
        }
        for _ in range(ROUNDS):
            peaks.append(child({"task": "gemm"})["flops"])
            for name, job in CONTENDERS.items():
                results[name].append(child(job))
                print(name, results[name][-1], file=sys.stderr, flush=True)
    print(_times(results, cold), end="\n\n")
    print(side_by_side.goals_table(_goals(results, peaks)))
    print(f"\n{side_by_side.made_on(__file__, ROUNDS)}")


def _times(results: dict[str, list[dict]], cold: dict[str, dict]) -> str:
    rows = [
        (key, *(cell(runs, key) for runs in results.values()))
        for key in ("condition", "step", "decode", "first block", "clip")
    ]
    loading = (side_by_side.loading(runs, cold.get(name)) for name, runs in results.items())
    rows.append(("loading", *loading))
    memory = (cell(runs, "peak", 1e-6, "MB", 0) for runs in results.values())
    rows.append(("peak memory", *memory))
    return side_by_side.table(("", *results), rows)


def _goals(results: dict[str, list[dict]], peaks: list[float]) -> list[tuple[str, str, str]]:
    f32, int8 = results["ours, f32"], results["ours, int8"]
    short = results["ours, int8, 3 s, fit-length"]
    pytorch, conversion = results["PyTorch eager"], results["straight conversion"]
    flops = Bundle.open(FOLDER / "bundle").manifest.graphs["dit"]["f32"].flops["denoise"]
    shares = [flops / run["step"] / peak for run, peak in zip(f32, peaks)]
    blocks = [100 * middle(runs, "first block") / middle(runs, "decode") for runs in (int8, f32)]
    return [
        (
            "decode 256 latents, f32, against straight",
            ratio(conversion, f32, "decode"),
            "≥ 1.4×",
        ),
        ("decode 256 latents, f32, against PyTorch", ratio(pytorch, f32, "decode"), "≥ 2.3×"),
        (
            "decode 256 latents, int8, against straight",
            ratio(conversion, int8, "decode"),
            "≥ 1.4×",
        ),
        ("step, f32, against PyTorch", ratio(pytorch, f32, "step"), "≥ 1.35×"),
        (
            "step, f32, share of numpy's GEMM in the same round",
            f"{100 * statistics.median(shares):.0f} %",
            "≥ 90 %",
        ),
        ("step, int8, against ours in f32", ratio(f32, int8, "step"), "≥ 1.1×"),
        ("whole clip, int8, against PyTorch", ratio(pytorch, int8, "clip"), "≥ 2×"),
        ("whole clip, int8, against straight", ratio(conversion, int8, "clip"), "≥ 1.3×"),
        ("3 seconds, fit-length, against straight", ratio(conversion, short, "clip"), "≥ 4×"),
        (
            "peak memory, int8 / f32",
            f"{middle(int8, 'peak') / 1e6:.0f} / {middle(f32, 'peak') / 1e6:.0f} MB",
            "≤ 700 / 2 000 MB",
        ),
        (
            "warm start to first step, int8 / f32",
            f"{middle(int8, 'first step'):.2f} / {middle(f32, 'first step'):.2f} s",
            "≤ 1.5 s",
        ),
        (
            "first block, share of the whole decode, int8 / f32",
            f"{blocks[0]:.0f} % / {blocks[1]:.0f} %",
            "≤ 35 %",
        ),
    ]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        side_by_side.serve(TASKS, sys.argv[1])
    else:
        main()
