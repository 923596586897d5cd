"""What one clip was made of: the trace that every examiner looks at."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from edge_audio.audio.clip import Clip
from edge_audio.pipeline import Conditioning, Pipeline
from edge_audio.sampling.samplers import Denoise
from edge_audio.session import PROMPT, Called, Session
from edge_audio.settings import Settings


@dataclass
class Trace:
    """A clip, and what went through its model on the way."""

    settings: Settings
    conditioning: Conditioning
    #: x [1, T, C], t and v of every call of the transformer, guidance included
    calls: list[tuple[np.ndarray, float, np.ndarray]] = field(default_factory=list)
    #: [1, T, C], there once it was sampled
    latents: np.ndarray = field(init=False, repr=False, compare=False)
    #: as a user gets it, its ends faded; there once it was decoded
    clip: Clip = field(init=False, repr=False, compare=False)

    @property
    def times(self) -> list[float]:
        """t of every call of the transformer."""
        return [t for _, t, _ in self.calls]


def ignore_call(number: int) -> None:
    """For those who do not wait for the calls of the transformer."""


def sampled(
    pipeline: Pipeline, settings: Settings, on_call: Callable[[int], None] = ignore_call
) -> Trace:
    """Condition and sample, and keep what the transformer was given. on_call: called with the
    number of each of its calls.
    """
    trace = Trace(settings, pipeline.condition(settings))
    with pipeline.velocity(settings, trace.conditioning) as v:
        walk(trace, v, pipeline, on_call)
    return trace


def walk(
    trace: Trace, v: Denoise, pipeline: Pipeline, on_call: Callable[[int], None] = ignore_call
) -> None:
    """Go the sampler's way with any v, such as a reference's; calls and latents go to the trace."""

    def kept(x: np.ndarray, t: float) -> np.ndarray:
        trace.calls.append((x, t, v(x, t)))
        on_call(len(trace.calls))
        return trace.calls[-1][2]

    for step in pipeline.trajectory(trace.settings, kept):
        trace.latents = step.x


def recorded(
    pipeline: Pipeline, settings: Settings, on_call: Callable[[int], None] = ignore_call
) -> Trace:
    """The whole way: condition, sample, decode."""
    trace = sampled(pipeline, settings, on_call)
    trace.clip = decoded(pipeline, settings, trace.latents)
    return trace


def decoded(pipeline: Pipeline, settings: Settings, latents: np.ndarray) -> Clip:
    """The clip of some latents, as a user would get it: with its fades."""
    manifest = pipeline.bundle.manifest
    session = Session(pipeline.model, settings)
    blocks = list(session.finished(pipeline.decode(settings, latents)))
    return Clip(np.concatenate(blocks), manifest.sample_rate, session.recipe())


def answers(
    pipeline: Pipeline,
    trace: Trace,
    conditioning: Conditioning | None = None,
    guided: bool = False,
) -> list[np.ndarray]:
    """What a transformer says to every x and t of a trace, told the trace's conditioning or
    another one. guided: with the trace's guidance, else for the prompt alone.
    """
    settings = trace.settings if guided else dataclasses.replace(trace.settings, cfg_scale=1.0)
    told = trace.conditioning if conditioning is None else conditioning
    with pipeline.velocity(settings, told) as v:
        return [v(x, t) for x, t, _ in trace.calls]


def stages(pipeline: Pipeline, settings: Settings) -> dict[str, list[Called]]:
    """Every call of every stage with the prompt while a clip is made, in the order of the stages:
    examiners put them to graphs again, and need not know what a family calls its stages.
    """
    calls: dict[str, list[Called]] = {}

    def note(call: Called) -> None:
        if call.branch == PROMPT:
            calls.setdefault(call.stage, []).append(call)

    for _ in Session(pipeline.model, settings, watch=note):
        pass
    return {stage: calls[stage] for stage in pipeline.model.contract.stages if stage in calls}
