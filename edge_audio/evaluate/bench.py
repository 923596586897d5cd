"""`edge-audio bench`: what one clip costs on this computer, by precision and number of threads.

Every row is measured in processes of its own: one that starts with an empty cache (cold), one that
finds it filled (warm). The second makes a clip to warm up and then `repeats` clips; its peak memory
is the row's. Loading counts what happens between asking for a graph and having it ready; the
process's start and imports are not in any figure.
"""

from __future__ import annotations

import csv
import dataclasses
import importlib.metadata
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import edge_audio
from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError, EdgeAudioWarning
from edge_audio.pipeline import Pipeline, Progress, default_model
from edge_audio.request import Request, Settings
from edge_audio.sampling.samplers import SAMPLERS
from edge_audio.system import cache, device

PACKAGES = ("edge-audio", "ai-edge-litert", "numpy")
#: exit code of a child whose last line says what to do
EXPLAINED = 3
FORMATS = ("markdown", "csv", "json")
#: for bundles without a tokenizer: any ids cost the same, and every vocabulary has these
IDS = (3, 4, 5, 1)
#: runs a task of this module with the parent's package, whatever lies in the working directory,
#: which `python -m` would import a module like statistics from (`python -P` is of Python 3.11)
CHILD = """
import sys
sys.path[:] = filter(None, sys.path)
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("edge_audio", sys.argv[1])
sys.modules["edge_audio"] = module_from_spec(spec)
spec.loader.exec_module(sys.modules["edge_audio"])
from edge_audio.evaluate.bench import run_task
run_task(sys.argv[2])
"""
#: m, k, n of the float32 matrix product that stands for the computer's peak
GEMM = (1024, 2048, 2048)


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of some seconds."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        values = list(values)
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0)

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.deviation:.3f}"


@dataclass(frozen=True)
class Row:
    """One precision with one number of threads. Times in seconds, memory in bytes."""

    precision: str
    threads: int
    #: of audio
    seconds: float
    condition: Spread
    #: one evaluation of the transformer, guidance included
    step: Spread
    sample: Spread
    decode: Spread
    #: from the end of sampling to the first block of audio, loading the decoder included
    first_block: Spread
    #: a whole clip, loading included
    total: Spread
    load_cold: float
    load_warm: Spread
    peak_cold: int
    peak: int
    #: matrix operations of a step a second, over those of numpy's own product; None where the
    #: bundle does not tell them
    gemm_share: float | None

    @property
    def times_real_time(self) -> float:
        return self.seconds / self.total.mean


@dataclass(frozen=True)
class Report:
    """All rows, and where they were measured."""

    model: str
    bundle_sha256: str
    request: dict[str, Any]
    repeats: int
    machine: dict[str, Any]
    rows: list[Row] = field(default_factory=list)


def bench(
    model: str | Path | None = None,
    precisions: Iterable[str] | None = None,
    threads: Iterable[int] | None = None,
    request: Request | Settings | None = None,
    repeats: int = 5,
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Measure every precision (default: each that all components have) with every number of threads
    (default: what suits).

    request: what to make; the prompt, seed and what else it leaves open are filled in.
    EdgeAudioError if a row cannot run.
    """
    folder = default_model() if model is None else Path(model)
    bundle, here = Bundle.open(folder), device.describe()
    asked = Request(**dataclasses.asdict(request)) if isinstance(request, Settings) else request
    asked, precisions = asked or Request(), list(precisions or common_precisions(bundle))
    threads = list(threads or [device.recommended_threads(here)])
    if asked.prompt is None and asked.ids is None:
        text = bundle.manifest.prompt.tokenizer is not None
        asked = dataclasses.replace(
            asked, prompt="steady rain" if text else None, ids=None if text else IDS
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdgeAudioWarning)
        settings = dataclasses.replace(asked, seed=asked.seed or 1).resolved(bundle.manifest)
        for precision in precisions:
            Pipeline.load(folder, precision, 1)  # a wrong one is said before anything is measured
    rows = []
    for count in threads:
        peak = _child("gemm", {}, count)
        for precision in precisions:
            say(f"{precision}, {count} threads")
            rows.append(_row(folder, precision, count, settings, repeats, peak["flops"], bundle))
    machine = {
        "cpu": here.model or here.architecture,
        "cores": here.cores,
        "features": list(here.features),
        "memory": here.memory,
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        "date": time.strftime("%Y-%m-%d"),
    }
    return Report(
        bundle.manifest.name, bundle.sha256, dataclasses.asdict(settings), repeats, machine, rows
    )


def common_precisions(bundle: Bundle) -> list[str]:
    of_each = [bundle.precisions(component) for component in ("conditioners", "dit", "decoder")]
    return [precision for precision in of_each[0] if all(precision in here for here in of_each)]


def _row(
    folder: Path,
    precision: str,
    threads: int,
    settings: Settings,
    repeats: int,
    peak: float,
    bundle: Bundle,
) -> Row:
    with tempfile.TemporaryDirectory() as own:
        off = cache.folder() is None
        job = {
            "model": str(folder),
            "precision": precision,
            "threads": threads,
            "request": dataclasses.asdict(settings),
        }
        environment = {cache.VARIABLE: "off" if off else own}
        cold = _child("clips", job | {"repeats": 0}, threads, environment)
        warm = _child("clips", job | {"repeats": repeats}, threads, environment)
    timed = warm["clips"][1:]  # the first was the warm-up

    def spread(function: Callable[[dict[str, Any]], float]) -> Spread:
        return Spread.of(map(function, timed))

    def loading(clip: dict[str, Any]) -> float:
        timings: dict[str, float] = clip["timings"]
        return sum(value for name, value in timings.items() if name.endswith("_load"))

    step = Spread.of(value for clip in timed for value in clip["steps"])
    chosen = bundle.choose(precision)["dit"]
    length = settings.latents(bundle.manifest)
    work = bundle.manifest.graphs["dit"][chosen].flops.get(
        bundle.manifest.latent.signature("denoise", length), 0
    )
    work *= SAMPLERS[settings.sampler].evaluations * (2 if settings.is_guided else 1)
    return Row(
        precision=precision,
        threads=threads,
        seconds=settings.seconds,
        condition=spread(lambda clip: clip["timings"]["condition_run"]),
        step=step,
        sample=spread(lambda clip: clip["timings"]["sample_run"]),
        decode=spread(lambda clip: clip["timings"]["decode_run"]),
        first_block=spread(lambda clip: clip["first_block"]),
        total=spread(lambda clip: clip["total"]),
        load_cold=loading(cold["clips"][0]),
        load_warm=spread(loading),
        peak_cold=cold["peak"],
        peak=warm["peak"],
        gemm_share=work / step.mean / peak if work else None,
    )


def _child(
    task: str,
    job: dict[str, Any],
    threads: int,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Run a task of this module in a fresh process; numpy's products use as many threads as the
    row.
    """
    counts = {
        name: str(threads)
        for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    }
    done = subprocess.run(
        [sys.executable, "-c", CHILD, edge_audio.__file__, task],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        env={**os.environ, **counts, **environment},
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        where = (
            f"{job['precision']} with {threads} threads"
            if "precision" in job
            else "the matrix product"
        )
        mend = "; see whether `edge-audio generate` works, or free some memory"
        raise EdgeAudioError(
            f"measuring {where} failed: {last}{'' if done.returncode == EXPLAINED else mend}"
        )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _clips(job: dict[str, Any]) -> dict[str, Any]:
    """Make 1 + `repeats` clips and tell what each took, and the process's peak memory."""
    warnings.simplefilter("ignore", EdgeAudioWarning)
    request = Request(
        **{**job["request"], "ids": job["request"]["ids"] and tuple(job["request"]["ids"])}
    )
    pipeline, clips = Pipeline.load(job["model"], job["precision"], job["threads"]), []
    for _ in range(1 + job["repeats"]):
        pipeline.model.forget()  # every clip pays for its own conditioning
        watch = Watch()
        clip = pipeline.generate(request, progress=watch.progress, on_block=watch.block)
        clips.append(
            {
                "timings": clip.timings,
                "total": time.perf_counter() - watch.start,
                "first_block": watch.first_block,
                "steps": watch.steps[1:] or watch.steps,
            }
        )  # the first step's time includes loading and `project`
    return {"clips": clips, "peak": peak_memory()}


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
    """Most bytes that this process has had in memory, mapped files included."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def formatted(report: Report, style: str) -> str:
    """The report as text in one of FORMATS."""
    return {"markdown": _markdown, "csv": _csv, "json": _json}[style](report)


def _json(report: Report) -> str:
    return json.dumps(dataclasses.asdict(report), indent=2) + "\n"


def _csv(report: Report) -> str:
    """A line a row; the machine, the model and the settings are repeated in each, so that files can
    be joined.
    """
    out = io.StringIO()
    shared = {
        "model": report.model,
        "repeats": report.repeats,
        **report.machine,
        **{name: report.request[name] for name in ("sampler", "steps", "cfg_scale", "fit_length")},
    }
    shared["features"] = " ".join(shared["features"])
    lines = []
    for row in report.rows:
        line = {"times_real_time": row.times_real_time}
        for name, value in dataclasses.asdict(row).items():
            line |= (
                {f"{name}_{part}": number for part, number in value.items()}
                if isinstance(value, dict)
                else {name: value}
            )
        lines.append(line | shared)
    writer = csv.DictWriter(out, list(lines[0]))
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _markdown(report: Report) -> str:
    machine, request = report.machine, report.request
    head = (
        "precision",
        "threads",
        "condition",
        "step",
        "sample",
        "decode",
        "first block",
        "whole clip",
        "× real time",
        "load cold",
        "load warm",
        "peak memory",
        "of GEMM peak",
    )
    lines = [
        (
            f"{report.model}, {request['seconds']:g} s of audio, {request['sampler']},"
            f" {request['steps']} steps, cfg"
            f" {request['cfg_scale']:g}{', fitted length' if request['fit_length'] else ''};"
            f" seconds, mean ± deviation of {report.repeats} clips after one to warm up"
        ),
        "",
        f"| {' | '.join(head)} |",
        f"|{' --- |' * len(head)}",
    ]
    for row in report.rows:
        share = "–" if row.gemm_share is None else f"{100 * row.gemm_share:.0f} %"
        cells = (
            row.precision,
            row.threads,
            row.condition,
            row.step,
            row.sample,
            row.decode,
            row.first_block,
            row.total,
            f"{row.times_real_time:.1f}",
            f"{row.load_cold:.3f}",
            row.load_warm,
            f"{row.peak / 1e6:.0f} MB ({row.peak_cold / 1e6:.0f} cold)",
            share,
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    memory = f", {machine['memory'] / 2**30:.0f} GiB" if machine["memory"] else ""
    versions = ", ".join(f"{name} {machine[name]}" for name in PACKAGES)
    lines += [
        "",
        (
            f"{machine['cpu']}, {machine['cores']} cores"
            f" ({' '.join(machine['features']) or 'no known features'}){memory};"
            f" {machine['system']}; Python {machine['python']}, {versions}; {machine['date']}"
        ),
    ]
    return "\n".join(lines) + "\n"


TASKS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"clips": _clips, "gemm": gemm}


def run_task(name: str) -> None:
    """What the child process does: a job as JSON on stdin, its result on stdout.

    An EdgeAudioError is its last line on stderr, with exit code EXPLAINED.
    """
    try:
        print(json.dumps(TASKS[name](json.load(sys.stdin))))
    except EdgeAudioError as error:
        print(error, file=sys.stderr)
        sys.exit(EXPLAINED)
