"""`edge-audio compare`: what a smaller precision costs in fidelity, and what it saves, measured on
the same noise.

The first precision is the reference. For every prompt and seed it makes a clip, and what went
through its graphs is kept. Every other precision, the candidate, is then asked the same questions:
the same prompt to its conditioners, the same x and t to its transformer, the same latents to its
decoder. After that it makes the clip by itself, from the same noise. Nothing is random, so the same
command gives the same numbers, but for those of time and memory, which stand apart under
`measured`.
"""

from __future__ import annotations

import dataclasses
import statistics
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_audio import __version__
from edge_audio.bundle.places import resolve
from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError, EdgeAudioWarning, UsageError
from edge_audio.evaluate import bench, metrics
from edge_audio.evaluate.comparison import Candidate, Comparison
from edge_audio.evaluate.precision_run import PrecisionRun, Say
from edge_audio.evaluate.prompts import Prompt, of_bundle
from edge_audio.evaluate.verdict import judge
from edge_audio.pipeline import Pipeline, default_model
from edge_audio.settings import Settings
from edge_audio.system import device


def compare(
    models: Sequence[str | Path] = (),
    precisions: Sequence[str] | None = None,
    prompts: Sequence[Prompt] | None = None,
    seeds: int = 1,
    threads: int | None = None,
    repeats: int = 2,
    say: Say = lambda line: None,
    **settings: Any,
) -> Comparison:
    """Measure `precisions` (default: all that every component has) against the first of them.

    models: folders of bundles of the same checkpoint (default: the pocket model); a precision is
    taken from the first that has it. prompts: default, those that the bundle brings. settings: of
    Request, for all clips. repeats: clips that the cost is measured with, 0 for none.
    EdgeAudioError for different models or a precision that none has.
    """
    folders = [resolve(model) for model in models] or [default_model()]
    bundles = [Bundle.open(folder) for folder in folders]
    _same_model(bundles)
    precisions = _different(precisions or bench.common_precisions(bundles[0]))
    threads = None if threads is None else device.usable_threads(threads)
    if seeds < 1:
        raise UsageError(f"seeds {seeds} make no clip; use 1 or more")
    places = {precision: _place(folders, precision, threads) for precision in precisions}
    first = Bundle.open(places[precisions[0]])
    prompts = list(prompts or of_bundle(first))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdgeAudioWarning)
        given = {name: value for name, value in settings.items() if value is not None}
        settings = {"limiter": False, **given}  # what is compared is the model's, peaks and all
        jobs = [
            (prompt, prompt.request(first, seed, **settings))
            for prompt in prompts
            for seed in range(1, seeds + 1)
        ]
        runs: dict[str, PrecisionRun] = {}
        for precision in precisions:
            pipeline = Pipeline.load(places[precision], precision, threads, memory="all")
            runs[precision] = PrecisionRun(precision, pipeline, jobs, runs.get(precisions[0]), say)
            runs[precision].make()
        reference = runs[precisions[0]]
        spread = _spread_of_seeds(reference, jobs)
        measured = _cost(places, precisions, threads, jobs[0][1], repeats, say) if repeats else {}
    return Comparison(
        edge_audio=__version__,
        model=first.manifest.name,
        bundle_sha256=sorted({bundle.sha256 for bundle in bundles}),
        reference=precisions[0],
        request=_shared_settings(jobs[0][1]),
        prompts=[prompt.text for prompt in prompts],
        seeds=list(range(1, seeds + 1)),
        times=reference.traces[0].times,
        seeds_differ=spread,
        candidates=_judged(runs, spread),
        measured=measured,
        clips={name: [trace.clip for trace in run.traces] for name, run in runs.items()},
    )


def _shared_settings(settings: Settings) -> dict[str, Any]:
    """What all clips were made with."""
    return {
        name: value
        for name, value in settings.entries.items()
        if name not in ("prompt", "seed", "ids")
    }


def _judged(runs: dict[str, PrecisionRun], spread: dict[str, float]) -> dict[str, Candidate]:
    """The numbers of every run, and a verdict on all but the first, the reference."""
    candidates = {name: run.candidate(spread) for name, run in runs.items()}
    reference, *others = candidates
    for name in others:
        findings, word = judge(candidates[name], candidates[reference], spread)
        candidates[name] = dataclasses.replace(candidates[name], findings=findings, verdict=word)
    return candidates


def _different(precisions: Sequence[str]) -> list[str]:
    """UsageError unless there are two or more, and none twice."""
    if len(set(precisions)) < len(precisions) or len(precisions) < 2:
        raise UsageError(
            f"precisions {', '.join(precisions) or 'none'}: name two or more different ones to"
            " compare, such as f32,int8"
        )
    return list(precisions)


def _same_model(bundles: list[Bundle]) -> None:
    def model(bundle: Bundle) -> tuple[object, ...]:
        manifest = bundle.manifest
        return manifest.source_sha256, manifest.adapters, manifest.latent

    first = bundles[0]
    for other in bundles[1:]:
        if model(other) != model(first):
            raise EdgeAudioError(
                f"{first.folder} ({first.manifest.name}) and {other.folder} ({other.manifest.name})"
                " are different models; compare precisions of one checkpoint with the same adapters"
            )


def _place(folders: list[Path], precision: str, threads: int | None) -> Path:
    """The first folder that has a precision; the error of the first one if none has it."""
    errors = []
    for folder in folders:
        try:
            Pipeline.load(folder, precision, threads)
            return folder
        except UsageError:
            raise
        except EdgeAudioError as error:
            errors.append(error)
    raise errors[0]


def _spread_of_seeds(
    reference: PrecisionRun, jobs: list[tuple[Prompt, Settings]]
) -> dict[str, float]:
    """How far two clips of one prompt are from each other: the next seed against each of the first
    few clips.
    """
    pairs: list[tuple[np.ndarray, np.ndarray, int]] = []
    seen: set[str] = set()
    for trace, (prompt, request) in zip(reference.traces, jobs):
        if prompt.text in seen or len(seen) == 8:
            continue
        seen.add(prompt.text)
        other = reference.pipeline.generate(
            dataclasses.replace(request, seed=request.seed + len(jobs) + 1)
        )
        pairs.append((other.samples, trace.clip.samples, trace.clip.sample_rate))
    reference.pipeline.close()
    others = [metrics.log_mel(other, rate) for other, _, rate in pairs]
    own = [metrics.log_mel(samples, rate) for _, samples, rate in pairs]
    return {
        "log_mel_distance": statistics.fmean(metrics.log_mel_distance(*pair) for pair in pairs),
        "spectral_distance": statistics.fmean(
            metrics.spectral_distance(*pair[:2]) for pair in pairs
        ),
        "frechet": metrics.frechet_distance(others, own),
    }


def _cost(
    places: dict[str, Path],
    precisions: Iterable[str],
    threads: int | None,
    request: Settings,
    repeats: int,
    say: Say,
) -> dict[str, Any]:
    """Time and memory of each precision, each in fresh processes (`evaluate.bench`)."""
    found: dict[str, Any] = {"precisions": {}}
    for precision in precisions:
        say(f"{precision}: time and memory")
        benchmark = bench.bench(
            places[precision],
            [precision],
            None if threads is None else [threads],
            request,
            repeats,
        )
        cost = benchmark.rows[0]
        found["precisions"][precision] = {
            "load_cold": cost.load_cold,
            "load_warm": cost.load_warm.mean,
            "condition": cost.condition.mean,
            "step": cost.step.mean,
            "sample": cost.sample.mean,
            "decode": cost.decode.mean,
            "total": cost.total.mean,
            "peak_memory": cost.peak,
        }
        found |= {"threads": cost.threads, "repeats": repeats, "machine": benchmark.machine}
    return found
