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

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from edge_audio import Pipeline, Request
from edge_audio.bundle.store import Bundle
from edge_audio.evaluate.bench_tasks import Watch, gemm, peak_memory
from edge_audio.model.codec import decode
from edge_audio.model.contract import Contract
from edge_audio.sampling.noise import NoiseStream
from edge_audio.sampling.samplers import SAMPLERS
from edge_audio.system import cache, device
from edge_audio.system.graph import Graph

ROUNDS, THREADS, STEPS, SEED, SHORT_SECONDS = 3, 2, 8, 1, 3.0
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
    pipeline = Pipeline.load(FOLDER / "bundle", job["precision"], THREADS)
    for _ in range(1 if job.get("cold") else 2):
        watch = Watch()
        pipeline.model.forget()  # every clip pays for its own conditioning
        clip = pipeline.generate(request, progress=watch.progress, on_block=watch.block)
        total = time.perf_counter() - watch.start
    timings = clip.timings
    return {
        "condition": timings["condition_run"],
        "step": statistics.median(watch.steps[1:]),
        "decode": timings["decode_run"],
        "load": sum(value for name, value in timings.items() if name.endswith("_load")),
        "first block": watch.first_block,
        "first step": timings["condition_load"] + timings["condition_run"] + timings["sample_load"],
        "clip": total,
    }


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
    """A clip of the full length: conditioning, the library's own sampler and noise, the decoder.
    Official layout [1, C, T].
    """
    manifest = Bundle.open(FOLDER / "bundle").manifest
    sampler, latent = SAMPLERS["pingpong"], manifest.latent
    ids = np.zeros((1, manifest.prompt.max_length), np.int32)
    ids[0, : len(IDS)] = IDS
    mask = (np.arange(ids.shape[1]) < len(IDS)).astype(np.int32)[None]
    for _ in range(2):
        start = time.perf_counter()
        found = call("conditioners", ids, mask, np.array([manifest.max_seconds], np.float32))
        cross, pooled = sorted(found, key=lambda value: -value.ndim)
        conditioned, noise, steps = time.perf_counter(), NoiseStream(SEED), []

        def v(x: np.ndarray, t: float) -> np.ndarray:
            begin = time.perf_counter()
            (y,) = call(
                "dit",
                np.ascontiguousarray(x.transpose(0, 2, 1)),
                np.array([t], np.float32),
                cross,
                pooled,
            )
            steps.append(time.perf_counter() - begin)
            return y.transpose(0, 2, 1)

        x = noise.normal((1, latent.length, latent.channels))
        for step in sampler.sample(v, x, sampler.schedule(STEPS), noise.normal):
            x = step.x
        sampled = time.perf_counter()
        call("decoder", np.ascontiguousarray(x.transpose(0, 2, 1)))
        end = time.perf_counter()
    return {
        "condition": conditioned - start,
        "step": statistics.median(steps),
        "decode": end - sampled,
        "first block": end - sampled,
        "clip": end - start,
    }


def parity(job: dict) -> dict:
    """SNR in dB of each stage against PyTorch in float32, on the same inputs; and tiled against
    whole decode, largest difference.
    """
    import peers
    import torch as pytorch

    from edge_audio.exporter.convert import snr

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
        with graph("decoder", precision) as run:
            contract = Contract(bundle.manifest)

            def call(
                stage: str, given: dict[str, np.ndarray], run: Graph = run
            ) -> dict[str, np.ndarray]:
                signature, given = contract.fitting(stage, given)
                return run(signature, **given)

            ours_audio = np.concatenate(
                list(decode(call, contract, channels_last["decoder"], len(audio)))
            )
        found[precision] = {
            "cross_attn_cond": snr(conditioned["cross_attn_cond"], cross),
            "global_cond": snr(conditioned["global_cond"], pooled),
            "v": snr(ours_v, v),
            "audio": snr(ours_audio, audio),
        }
        found[precision]["largest audio difference"] = float(np.abs(ours_audio - audio).max())
    return found


TASKS = {"ours": ours, "straight": straight, "torch": torch, "parity": parity, "gemm": gemm}


def child(job: dict, folder: str) -> dict:
    counts = dict.fromkeys(
        ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(THREADS)
    )
    done = subprocess.run(
        [sys.executable, __file__, json.dumps(job)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, **counts, cache.VARIABLE: folder, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    here = device.describe()
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("ai-edge-litert", "litert-torch", "torch", "numpy")
    )
    results: dict[str, list[dict]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        print(_parity_table(child({"task": "parity"}, folder)), flush=True)
        peaks: list[float] = []
        cold = {
            name: child({**job, "cold": True}, folder)
            for name, job in CONTENDERS.items()
            if job["task"] == "ours"
        }
        for _ in range(ROUNDS):
            peaks.append(child({"task": "gemm"}, folder)["flops"])
            for name, job in CONTENDERS.items():
                results[name].append(child(job, folder))
                print(name, results[name][-1], file=sys.stderr, flush=True)
    print(_table(results, cold, peaks))
    print(
        f"\n{here.model}, {here.cores} cores ({' '.join(here.features)}); Python"
        f" {platform.python_version()}, {versions}; {THREADS} threads; median (range) of {ROUNDS}"
        f" rounds; {time.strftime('%Y-%m-%d')}; made by `benchmarks/full_size.py`"
    )


def _parity_table(found: dict) -> str:
    found = {key: value for key, value in found.items() if key in ("f32", "int8")}
    names = list(found["f32"])
    lines = [f"| against PyTorch | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
    for precision, values in found.items():
        cells = (
            f"{values[name]:.1e}" if "difference" in name else f"{values[name]:.1f} dB"
            for name in names
        )
        lines.append(f"| {precision} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _table(results: dict[str, list[dict]], cold: dict[str, dict], peaks: list[float]) -> str:
    def middle(name: str, key: str) -> float:
        return statistics.median(run[key] for run in results[name])

    def cell(name: str, key: str, scale: float = 1.0, unit: str = "s", digits: int = 2) -> str:
        values = [run[key] * scale for run in results[name]]
        return (
            f"{statistics.median(values):.{digits}f} {unit}"
            f" ({min(values):.{digits}f}–{max(values):.{digits}f})"
        )

    def ratio(other: str, name: str, key: str) -> str:
        pairs = [a[key] / b[key] for a, b in zip(results[other], results[name])]
        return f"{statistics.median(pairs):.2f}×"

    names = list(CONTENDERS)
    lines = [f"| | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
    lines += [
        f"| {key} | {' | '.join(cell(name, key) for name in names)} |"
        for key in ("condition", "step", "decode", "first block", "clip")
    ]
    lines.append(
        "| loading | "
        + " | ".join(
            f"{middle(name, 'load'):.2f} s"
            + (f" ({cold[name]['load']:.2f} s the first time)" if name in cold else "")
            for name in names
        )
        + " |"
    )
    lines.append(
        f"| peak memory | {' | '.join(cell(name, 'peak', 1e-6, 'MB', 0) for name in names)} |"
    )
    flops = Bundle.open(FOLDER / "bundle").manifest.graphs["dit"]["f32"].flops["denoise"]
    shares = [flops / run["step"] / peak for run, peak in zip(results["ours, f32"], peaks)]
    int8, short = "ours, int8", "ours, int8, 3 s, fit-length"
    goals = (
        (
            "decode 256 latents, f32, against straight",
            ratio("straight conversion", "ours, f32", "decode"),
            "≥ 1.4×",
        ),
        (
            "decode 256 latents, f32, against PyTorch",
            ratio("PyTorch eager", "ours, f32", "decode"),
            "≥ 2.3×",
        ),
        (
            "decode 256 latents, int8, against straight",
            ratio("straight conversion", int8, "decode"),
            "≥ 1.4×",
        ),
        ("step, f32, against PyTorch", ratio("PyTorch eager", "ours, f32", "step"), "≥ 1.35×"),
        (
            "step, f32, share of numpy's GEMM in the same round",
            f"{100 * statistics.median(shares):.0f} %",
            "≥ 90 %",
        ),
        ("step, int8, against ours in f32", ratio("ours, f32", int8, "step"), "≥ 1.1×"),
        ("whole clip, int8, against PyTorch", ratio("PyTorch eager", int8, "clip"), "≥ 2×"),
        (
            "whole clip, int8, against straight",
            ratio("straight conversion", int8, "clip"),
            "≥ 1.3×",
        ),
        (
            "3 seconds, fit-length, against straight",
            ratio("straight conversion", short, "clip"),
            "≥ 4×",
        ),
        (
            "peak memory, int8 / f32",
            f"{middle(int8, 'peak') / 1e6:.0f} / {middle('ours, f32', 'peak') / 1e6:.0f} MB",
            "≤ 700 / 2 000 MB",
        ),
        (
            "warm start to first step, int8 / f32",
            f"{middle(int8, 'first step'):.2f} / {middle('ours, f32', 'first step'):.2f} s",
            "≤ 1.5 s",
        ),
        (
            "first block, share of the whole decode, int8 / f32",
            " / ".join(
                f"{100 * middle(name, 'first block') / middle(name, 'decode'):.0f} %"
                for name in (int8, "ours, f32")
            ),
            "≤ 35 %",
        ),
    )
    lines += [
        "",
        "| | measured | goal |",
        "| --- | --- | --- |",
        *(f"| {' | '.join(goal)} |" for goal in goals),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        task = json.loads(sys.argv[1])
        print(json.dumps({**TASKS[task["task"]](task), "peak": peak_memory()}))
    else:
        main()
