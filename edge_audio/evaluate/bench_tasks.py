"""What `bench` runs in processes of their own, and how one of them is watched."""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_audio.errors import EdgeAudioError, EdgeAudioWarning
from edge_audio.pipeline import Pipeline, Progress
from edge_audio.request import Request

#: exit code of a process whose last line says what to do
EXPLAINED = 3
#: m, k, n of the float32 matrix product that stands for the computer's peak
GEMM = (1024, 2048, 2048)


def clips(job: dict[str, Any]) -> dict[str, Any]:
    """Make 1 + `repeats` clips and tell what each took, and the process's peak memory."""
    warnings.simplefilter("ignore", EdgeAudioWarning)
    request = Request(
        **{**job["request"], "ids": job["request"]["ids"] and tuple(job["request"]["ids"])}
    )
    pipeline = Pipeline.load(job["model"], job["precision"], job["threads"])
    made: list[dict[str, Any]] = []
    for _ in range(1 + job["repeats"]):
        pipeline.model.forget()  # every clip pays for its own conditioning
        watch = Watch()
        clip = pipeline.generate(request, progress=watch.progress, on_block=watch.block)
        made.append(
            {
                "timings": clip.timings,
                "total": time.perf_counter() - watch.start,
                "first_block": watch.first_block,
                # the first step's time includes loading and `project`
                "steps": watch.steps[1:] or watch.steps,
            }
        )
    return {"clips": made, "peak": peak_memory()}


class Watch:
    """Times one generation from outside, by what it reports."""

    def __init__(self) -> None:
        self.start = self._last = time.perf_counter()
        self.steps: list[float] = []
        self.first_block: float | None = None

    def progress(self, now: Progress) -> None:
        at = time.perf_counter()
        if now.stage == "sample" and now.step:
            self.steps.append(at - self._last)
        if now.stage == "sample":
            self._last = at

    def block(self, block: object, left: int) -> None:
        if self.first_block is None:
            self.first_block = time.perf_counter() - self._last


def gemm(job: dict[str, Any] | None = None) -> dict[str, Any]:
    """Floating-point operations a second of numpy's float32 product: the best of several, since a
    peak is asked for.
    """
    import numpy as np

    m, k, n = GEMM
    left, right = (
        np.random.default_rng(0).standard_normal(shape, np.float32) for shape in ((m, k), (k, n))
    )
    best = float("inf")
    for _ in range(8):
        start = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - start)
    return {"flops": 2 * m * k * n / best}


def peak_memory() -> int:
    """Most bytes that this process has had in memory, mapped files included; 0 where the system
    does not say.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        try:
            import resource
        except ImportError:  # Windows
            return 0
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


TASKS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"clips": clips, "gemm": gemm}


def run_task(name: str) -> None:
    """What the child process does: a job as JSON on stdin, its result on stdout.

    An EdgeAudioError is its last line on stderr, with exit code EXPLAINED.
    """
    try:
        print(json.dumps(TASKS[name](json.load(sys.stdin))))
    except EdgeAudioError as error:
        print(error, file=sys.stderr)
        sys.exit(EXPLAINED)
