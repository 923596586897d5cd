"""`edge-audio diagnose`: which stage of a model is wrong, from a pair of prompts and a few seeds.

A probe makes the clips once and keeps what went through the graphs; the checks (`symptoms`) look at
it, each at one thing. With a checkpoint at hand, `export.reference` adds rows that compare every
stage with the float reference.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_audio import __version__
from edge_audio.audio.clip import Clip
from edge_audio.bundle.manifest import GENERATING
from edge_audio.errors import EdgeAudioError, EdgeAudioWarning, UsageError
from edge_audio.evaluate import metrics, trace
from edge_audio.evaluate.prompts import ANY, ANY_IDS, Prompt
from edge_audio.evaluate.trace import Trace
from edge_audio.evaluate.verdict import FAIL, OK, WARN
from edge_audio.model.tokens import Tokens
from edge_audio.pipeline import Conditioning, Pipeline
from edge_audio.request import Settings

Say = Callable[[str], None]
#: width of that column on a terminal
MEASURED = 46


@dataclass(frozen=True)
class Result:
    """One row: what was measured, what it should be, and, unless that is so, what it means and what
    to try.
    """

    check: str
    level: str
    measured: str
    expected: str
    meaning: str = ""
    value: float | None = None

    @property
    def shown(self) -> str:
        """The level as the table has it: a FAIL must not be overlooked."""
        return self.level.upper() if self.level == FAIL else self.level


Check = Callable[["Probe"], Iterator[Result]]


class Probe:
    """A model under examination: everything is computed when a check first asks for it, and kept
    for the next.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        prompts: Sequence[Prompt],
        seeds: Sequence[int],
        settings: dict[str, Any],
    ):
        self.pipeline, self.bundle, self.manifest = (
            pipeline,
            pipeline.bundle,
            pipeline.bundle.manifest,
        )
        self.prompts, self.seeds, self.settings = prompts, seeds, settings
        self._traces: dict[Settings, Trace] = {}

    def request(self, prompt: int = 0, seed: int = 0, **settings: Any) -> Settings:
        """Of one of the prompts and one of the seeds."""
        return self.prompts[prompt].request(
            self.bundle, self.seeds[seed], **(self.settings | settings)
        )

    def tokens(self, prompt: int = 0) -> Tokens:
        return self.pipeline.tokens(self.request(prompt))

    @functools.cached_property
    def traces(self) -> list[Trace]:
        """A clip of every prompt and seed, prompt after prompt."""
        return [
            self.trace(self.request(prompt, seed))
            for prompt in range(len(self.prompts))
            for seed in range(len(self.seeds))
        ]

    def trace(self, settings: Settings) -> Trace:
        """The clip of these settings and what it was made of."""
        if settings not in self._traces:
            self._traces[settings] = trace.recorded(self.pipeline, settings)
        return self._traces[settings]

    def decoded(self, settings: Settings, latents: np.ndarray) -> Clip:
        """The clip of some latents, its ends faded as a user gets it."""
        return trace.decoded(self.pipeline, settings, latents)

    def plain(self, recorded: Trace, conditioning: Conditioning) -> list[np.ndarray]:
        """v for other conditioning, without guidance, on every x and t of a trace."""
        return trace.answers(self.pipeline, recorded, conditioning)

    @functools.cached_property
    def mels(self) -> list[np.ndarray]:
        """Log-mel spectrogram of every trace's clip."""
        return [metrics.log_mel(one.clip.samples, one.clip.sample_rate) for one in self.traces]


@dataclass(frozen=True)
class Report:
    """All rows, in the order of the stages."""

    edge_audio: str
    model: str
    bundle_sha256: str
    precision: dict[str, str]
    prompts: list[str]
    seeds: list[int]
    results: list[Result] = field(default_factory=list)
    #: with a checkpoint: the first stage that is not the reference's, None if all are
    departs: str | None = None

    @property
    def failed(self) -> bool:
        return any(result.level == FAIL for result in self.results)

    def as_json(self) -> dict[str, Any]:
        """Ready for json.dumps: numbers that are none become null."""
        found = dataclasses.asdict(self)
        for result in found["results"]:
            if result["value"] is not None:
                result["value"] = (
                    float(f"{result['value']:.5g}") if math.isfinite(result["value"]) else None
                )
        return {**found, "failed": self.failed}


def diagnose(
    pipeline: Pipeline,
    prompts: Sequence[Prompt] = (),
    seeds: int = 2,
    checks: Sequence[Check] | None = None,
    say: Say = lambda line: None,
    first_seed: int = 1,
    checkpoint: Path | None = None,
    **settings: Any,
) -> Report:
    """Run all checks. settings: of Request, for all clips; default, the model's own.

    prompts: two or more that should sound different; default, some that any model understands.
    checkpoint: folder of the official checkpoint that the bundle should be equal to. Whatever a
    check stumbles over becomes its FAIL.
    """
    from edge_audio.evaluate.symptoms import CHECKS

    manifest = pipeline.bundle.manifest
    prompts = list(prompts or (ANY if manifest.prompt.tokenizer else ANY_IDS)[:2])
    if len(prompts) < 2 or len({prompt.text for prompt in prompts}) < len(prompts):
        raise UsageError(
            "one prompt tells nothing about what prompts change; give two different ones, or none"
        )
    if seeds < 2:
        raise UsageError(f"seeds {seeds} cannot be compared; use 2 or more")
    probe = Probe(
        pipeline,
        prompts,
        range(first_seed, first_seed + seeds),
        {k: v for k, v in settings.items() if v is not None},
    )
    probe.request()  # settings that no model could have are the caller's error, no finding
    against = _reference(checkpoint) if checkpoint is not None else None
    results: list[Result] = []
    departs = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdgeAudioWarning)
        for check in CHECKS if checks is None else checks:
            name = check.__name__.replace("_", " ")
            say(name)
            try:
                results += check(probe)
            except EdgeAudioError as error:
                results.append(Result(name, FAIL, "could not be measured", "", f"{error}"))
        if against is not None:
            stages, departs = against(probe, say)
            results += stages
    return Report(
        __version__,
        manifest.name,
        pipeline.bundle.sha256,
        dict(pipeline.precision),
        [prompt.text for prompt in prompts],
        list(probe.seeds),
        results,
        departs,
    )


def _reference(folder: Path) -> Callable[[Probe, Say], tuple[list[Result], str | None]]:
    """The exporter's side of it, for this checkpoint; it needs the extra `export`."""
    try:
        from edge_audio.exporter import reference
    except ImportError as error:
        raise EdgeAudioError(
            f"--checkpoint needs the exporter ({error}); run pip install 'edge-audio[export,eval]'"
        ) from None
    return reference.open(folder)


def load(model: str | Path | None, precision: str | None, threads: int | None) -> Pipeline:
    """A pipeline whose graphs stay open, as examinations want it; files that are damaged are found
    here.
    """
    pipeline = Pipeline.load(model, precision, threads, memory="all")
    for component in GENERATING:
        pipeline.bundle.graph_path(component, pipeline.precision[component])
    return pipeline


def table(report: Report, width: int = 100) -> str:
    """For a terminal: a line a row, and below it, where something is wrong, what it means."""
    names = max(len(result.check) for result in report.results)
    lines = [
        (
            f"{report.model},"
            f" {', '.join(f'{name}={precision}' for name, precision in report.precision.items())}"
        ),
        f"      {'check':{names}}  {'measured':{MEASURED}}  expected",
    ]
    for result in report.results:
        lines.append(
            f"{result.shown:4}  {result.check:{names}}  {result.measured:{MEASURED}} "
            f" {result.expected}".rstrip()
        )
        if result.meaning:
            lines += _wrapped(result.meaning, width, " " * 6)
    counts = {
        level: sum(result.level == level for result in report.results) for level in (OK, WARN, FAIL)
    }
    lines.append(", ".join(f"{count} {level}" for level, count in counts.items()))
    if report.departs:
        lines.append(f"first stage that is not the checkpoint's: {report.departs}")
    return "\n".join(lines)


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent)
