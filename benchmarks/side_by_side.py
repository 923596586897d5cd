"""What the benchmarks of full-size models share: contenders in processes of their own, in turn; a
clip with its parts timed; tables in markdown.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_audio import Pipeline, Request
from edge_audio.evaluate.bench_tasks import Watch, gemm, peak_memory
from edge_audio.sampling.noise import NoiseStream
from edge_audio.sampling.samplers import SAMPLERS, Sigmas
from edge_audio.system import cache, device

THREADS = 2
Result = dict[str, Any]
Job = dict[str, Any]
#: a contender's results, one a round
Runs = Sequence[Result]
PACKAGES = ("ai-edge-litert", "litert-torch", "torch", "numpy")


# --- processes ---


def child(script: str, job: Job, folder: str) -> Result:
    """Run a job in a process of its own, which keeps what it caches in `folder`."""
    counts = dict.fromkeys(
        ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(THREADS)
    )
    done = subprocess.run(
        [sys.executable, script, json.dumps(job)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, **counts, cache.VARIABLE: folder, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    return json.loads(done.stdout.splitlines()[-1])


def serve(tasks: Mapping[str, Callable[[Job], Result]], text: str) -> None:
    """What such a process does: the task that the job names; its result on stdout."""
    job = json.loads(text)
    found = {"gemm": gemm, **tasks}[job["task"]](job)
    print(json.dumps({**found, "peak": peak_memory()}))


# --- clips ---


def ours(bundle: Path, precision: str, request: Request, cold: bool = False) -> Result:
    """One warm-up clip and one that counts, through the library as users call it; cold: only the
    first.
    """
    pipeline = Pipeline.load(bundle, precision, THREADS)
    for _ in range(1 if cold else 2):
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


def peer(
    condition: Callable[[], Any],
    v: Callable[[np.ndarray, float, Any], np.ndarray],
    decode: Callable[[np.ndarray], Iterable[np.ndarray]],
    shape: tuple[int, ...],
    sigmas: Sigmas,
    seed: int,
) -> Result:
    """The same of a peer that has everything loaded: the library's own sampler and noise between
    its conditioning, which tells v something, and its decoder, which gives blocks.
    """
    for _ in range(2):
        start = time.perf_counter()
        told = condition()
        conditioned, noise = time.perf_counter(), NoiseStream(seed)
        steps: list[float] = []

        def timed(x: np.ndarray, t: float) -> np.ndarray:
            begin = time.perf_counter()
            y = v(x, t, told)
            steps.append(time.perf_counter() - begin)
            return y

        x = noise.normal(shape)
        for step in SAMPLERS["pingpong"].sample(timed, x, sigmas, noise.normal):
            x = step.x
        sampled = time.perf_counter()
        blocks = [time.perf_counter() for _ in decode(x)]
    return {
        "condition": conditioned - start,
        "step": statistics.median(steps),
        "decode": blocks[-1] - sampled,
        "first block": blocks[0] - sampled,
        "clip": blocks[-1] - start,
    }


# --- tables ---


def middle(runs: Runs, key: str) -> float:
    """The median of the rounds."""
    return statistics.median(run[key] for run in runs)


def cell(runs: Runs, key: str, scale: float = 1.0, unit: str = "s", digits: int = 2) -> str:
    """Median and range of the rounds."""
    values = [run[key] * scale for run in runs]
    text = f"{statistics.median(values):.{digits}f} {unit}"
    if len(values) == 1:
        return text
    return f"{text} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def ratio(others: Runs, runs: Runs, key: str) -> str:
    """How many times as long the others take, in the same round."""
    return f"{statistics.median(a[key] / b[key] for a, b in zip(others, runs)):.2f}×"


def loading(runs: Runs, cold: Result | None) -> str:
    """Median of the rounds, and what it took with nothing cached."""
    first = f" ({cold['load']:.2f} s the first time)" if cold else ""
    return f"{middle(runs, 'load'):.2f} s{first}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)


def parity_table(found: Mapping[str, Mapping[str, float]]) -> str:
    """A row for each precision: signal to noise in dB, or a difference where the name says so."""
    names = list(next(iter(found.values())))

    def cells(values: Mapping[str, float]) -> Iterator[str]:
        for name in names:
            yield f"{values[name]:.1e}" if "difference" in name else f"{values[name]:.1f} dB"

    rows = ((precision, *cells(values)) for precision, values in found.items())
    return table(("against PyTorch", *names), rows)


def goals_table(goals: Iterable[tuple[str, str, str]]) -> str:
    """What was measured beside what was wanted."""
    return table(("", "measured", "goal"), goals)


def made_on(script: str, rounds: int) -> str:
    """The line under the tables: computer, versions, how often."""
    here = device.describe()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return (
        f"{here.model}, {here.cores} cores ({' '.join(here.features)}); Python"
        f" {platform.python_version()}, {versions}; {THREADS} threads; median (range) of {rounds}"
        f" rounds; {time.strftime('%Y-%m-%d')}; made by `benchmarks/{Path(script).name}`"
    )
