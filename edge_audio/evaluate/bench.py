"""`edge-audio bench`: what one clip costs on this computer, by precision and number of threads.

Every row is measured in processes of its own: one that starts with an empty cache (cold), one that
finds it filled (warm). The second makes a clip to warm up and then `repeats` clips; its peak memory
is the row's. Loading counts what happens between asking for a graph and having it ready; the
process's start and imports are not in any figure.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import edge_audio
from edge_audio.bundle.manifest import V
from edge_audio.bundle.places import resolve
from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError, EdgeAudioWarning
from edge_audio.evaluate.bench_tasks import EXPLAINED
from edge_audio.evaluate.benchmark import PACKAGES, Benchmark, Cost, Spread
from edge_audio.model.contract import Contract
from edge_audio.pipeline import Pipeline, default_model
from edge_audio.request import Request
from edge_audio.sampling.samplers import SAMPLERS
from edge_audio.settings import Settings
from edge_audio.system import cache, device

#: for bundles without a tokenizer: any ids cost the same, and every vocabulary has these
IDS = (3, 4, 5, 1)
#: runs a task of `bench_tasks` with the parent's package, whatever lies in the working directory,
#: which `python -m` would import a module like statistics from (`python -P` is of Python 3.11)
CHILD = """
import sys
sys.path[:] = filter(None, sys.path)
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("edge_audio", sys.argv[1])
sys.modules["edge_audio"] = module_from_spec(spec)
spec.loader.exec_module(sys.modules["edge_audio"])
from edge_audio.evaluate.bench_tasks import run_task
run_task(sys.argv[2])
"""


def bench(
    model: str | Path | None = None,
    precisions: Iterable[str] | None = None,
    threads: Iterable[int] | None = None,
    request: Request | Settings | None = None,
    repeats: int = 5,
    say: Callable[[str], None] = lambda line: None,
) -> Benchmark:
    """Measure every precision (default: each that all components have) with every number of threads
    (default: what suits).

    request: what to make; the prompt, seed and what else it leaves open are filled in.
    EdgeAudioError if a row cannot run.
    """
    folder = default_model() if model is None else resolve(model)
    bundle, here = Bundle.open(folder), device.describe()
    asked = Request.of(request) if isinstance(request, Settings) else request
    asked, precisions = asked or Request(), list(precisions or common_precisions(bundle))
    threads = threads or [device.recommended_threads(here)]
    threads = list(dict.fromkeys(map(device.usable_threads, threads)))
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
        peak = run_child("gemm", {}, count)
        for precision in precisions:
            say(f"{precision}, {count} threads")
            rows.append(_cost(folder, precision, count, settings, repeats, peak["flops"], bundle))
    return Benchmark(
        model=bundle.manifest.name,
        bundle_sha256=bundle.sha256,
        request=settings.entries,
        repeats=repeats,
        machine=_machine(here),
        rows=rows,
    )


def _machine(here: device.Device) -> dict[str, Any]:
    """What a table must say of where it was measured."""
    return {
        "cpu": here.model or here.architecture,
        "cores": here.cores,
        "features": list(here.features),
        "memory": here.memory,
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        "date": time.strftime("%Y-%m-%d"),
    }


def common_precisions(bundle: Bundle) -> list[str]:
    of_each = [bundle.precisions(component) for component in ("conditioners", "dit", "decoder")]
    return [precision for precision in of_each[0] if all(precision in here for here in of_each)]


def _cost(
    folder: Path,
    precision: str,
    threads: int,
    settings: Settings,
    repeats: int,
    peak: float,
    bundle: Bundle,
) -> Cost:
    with tempfile.TemporaryDirectory() as own:
        off = cache.folder() is None
        job = {
            "model": str(folder),
            "precision": precision,
            "threads": threads,
            "request": settings.entries,
        }
        environment = {cache.VARIABLE: "off" if off else own}
        cold = run_child("clips", job | {"repeats": 0}, threads, environment)
        warm = run_child("clips", job | {"repeats": repeats}, threads, environment)
    timed = warm["clips"][1:]  # the first was the warm-up

    def spread(function: Callable[[dict[str, Any]], float]) -> Spread:
        return Spread.of(map(function, timed))

    def loading(clip: dict[str, Any]) -> float:
        timings: dict[str, float] = clip["timings"]
        return sum(value for name, value in timings.items() if name.endswith("_load"))

    step = Spread.of(value for clip in timed for value in clip["steps"])
    work = _operations_per_step(bundle, precision, settings)
    return Cost(
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


def _operations_per_step(bundle: Bundle, precision: str, settings: Settings) -> float:
    """Floating-point operations of the transformer in a step, guidance included; 0 where the bundle
    does not tell them, as of graphs that are resized: theirs are of one length.
    """
    manifest = bundle.manifest
    stage = Contract(manifest).gives[V]
    if manifest.stages[stage].resizes:
        return 0.0
    signature = manifest.latent.signature(stage, settings.latents(manifest))
    once = manifest.graphs["dit"][bundle.choose(precision)["dit"]].flops.get(signature, 0)
    return once * SAMPLERS[settings.sampler].evaluations * (2 if settings.is_guided else 1)


def run_child(
    task: str,
    job: dict[str, Any],
    threads: int,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Run a task of `bench_tasks` in a fresh process; numpy's products use as many threads as the
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
