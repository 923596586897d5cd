"""A clip of the reference, and beside everything that it was made of what the bundle's graphs make
of the same inputs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from edge_audio.errors import EdgeAudioError
from edge_audio.evaluate import metrics
from edge_audio.evaluate.diagnose import Say
from edge_audio.evaluate.layers import exposed, operations
from edge_audio.evaluate.probe import Probe
from edge_audio.model.contract import Fitting
from edge_audio.session import PROMPT, Block, Called, Progress, Session
from edge_audio.system.graph import Graph

from .model import FloatModel

#: dB of a layer's output on the same input of its graph, below which it departs; other precisions
#: have NOISY
FOLLOWS = {"f32": 60.0, "f16": 40.0, "int4": 4.0}
NOISY = 10.0
GAIN_OFF = 0.25
#: dB below which a clip of float32 graphs is another one than the reference's
SAME_LATENTS, SAME_AUDIO = 20.0, 15.0
ANYTHING = -math.inf


@dataclass(frozen=True)
class Value:
    """One value on the way, in the bundle and in the reference."""

    name: str
    actual: np.ndarray
    expected: np.ndarray
    #: dB below which it departs
    limit: float

    @property
    def fits(self) -> bool:
        """Whether the two can be compared at all."""
        return self.actual.size == self.expected.size

    @property
    def snr(self) -> float:
        return metrics.snr(self.actual, self.expected) if self.fits else -math.inf

    @property
    def difference(self) -> str:
        """For people."""
        if not self.fits:
            return f"{list(self.actual.shape)} in place of {list(self.expected.shape)}"
        return (
            f"{self.snr:.0f} dB, {metrics.gain(self.actual, self.expected):.2f} times the reference"
        )

    @property
    def departs(self) -> bool:
        if not self.fits or not np.isfinite(self.actual).all():
            return True
        if self.limit == ANYTHING:
            return False
        off = abs(metrics.gain(self.actual, self.expected) - 1) > GAIN_OFF
        return self.snr < self.limit or bool(off and self.expected.any())


@dataclass(frozen=True)
class Group:
    """Values that lie together on the way."""

    title: str
    values: list[Value]


@dataclass(frozen=True)
class Visit:
    """A call of a stage that is looked at."""

    call: Called
    #: such as "transformer at t 0.50"
    title: str


def walk(probe: Probe, model: FloatModel, say: Say) -> Iterator[Group]:
    """Groups in the order in which the runtime comes by; they end where what follows cannot be fed
    with the same values.
    """
    for group in _groups(probe, model, say):
        yield group
        if not all(value.fits for value in group.values):
            return


def _groups(probe: Probe, model: FloatModel, say: Say) -> Iterator[Group]:
    settings, calls = probe.request(), list[Called]()
    session = Session(model, settings, watch=calls.append)
    found, right = probe.tokens(), session.tokens()
    tokens = [
        Value("input_ids", found.ids, right.ids, metrics.MAX_SNR - 1),
        Value("attention_mask", found.mask, right.mask, metrics.MAX_SNR - 1),
    ]
    yield Group("tokens", tokens)
    blocks = []
    for event in session:
        if isinstance(event, Progress):
            say(f"reference: {event.stage} {event.step} of {event.steps}")
        elif isinstance(event, Block):
            blocks.append(event.samples)
    visits = visited(calls, model)
    for component, some in itertools.groupby(visits, lambda visit: _component(visit, model)):
        yield from _beside(component, list(some), model, probe)
    free = probe.trace(settings)
    assert session.latents is not None  # the session has ended
    # free runs of small precisions end elsewhere: another clip, and no fault
    exact = all(precision == "f32" for precision in model.precision.values())
    ends = [
        Value("latents", free.latents, session.latents, SAME_LATENTS if exact else ANYTHING),
        Value(
            "audio", free.clip.samples, np.concatenate(blocks), SAME_AUDIO if exact else ANYTHING
        ),
    ]
    yield Group("free run", ends)


def visited(calls: Iterable[Called], model: FloatModel) -> list[Visit]:
    """Of the calls of every stage with the prompt, the first and the one in the middle, in the
    order in which they were made.
    """
    by_stage: dict[str, list[int]] = {}
    made = [call for call in calls if call.branch == PROMPT]
    for index, call in enumerate(made):
        by_stage.setdefault(call.stage, []).append(index)
    some = {index for found in by_stage.values() for index in (found[0], found[len(found) // 2])}

    def title(index: int) -> str:
        call = made[index]
        name, every = model.source.family.titles.get(call.stage, call.stage), by_stage[call.stage]
        if "t" in call.inputs:
            return f"{name} at t {call.inputs['t'].item():.2f}"
        return f"{name}, call {every.index(index) + 1} of {len(every)}" if len(every) > 1 else name

    return [Visit(made[index], title(index)) for index in sorted(some)]


def _component(visit: Visit, model: FloatModel) -> str:
    return model.contract.stages[visit.call.stage].component


def _beside(
    component: str, visits: list[Visit], model: FloatModel, probe: Probe
) -> Iterator[Group]:
    """A component's calls in both: what every layer gives, and every port."""
    contract, family, precision = model.contract, model.source.family, model.precision[component]
    path = model.bundle.graph_path(component, precision)
    rectified = {operation.layer for operation in operations(path) if operation.rectified}
    runs = [contract.fitting(visit.call.stage, visit.call.inputs) for visit in visits]
    limit = FOLLOWS.get(precision, NOISY)
    signatures = tuple(run.signature for run in runs)
    with exposed(path, signatures, probe.pipeline.threads) as (graph, names):
        for visit, run in zip(visits, runs):
            signature = run.signature
            ports, observed = model.acquire(component).observed(signature, run.inputs)
            inside = {
                name: np.maximum(value, 0) if name in rectified else value
                for long, value in observed.items()
                if (name := family.short(long)) in names.get(signature, ())
            }
            values = _both(graph, run, inside, ports, limit)
            for part, found in itertools.groupby(values, lambda value: family.part(value.name)):
                yield Group(f"{visit.title}, {part}" if part else visit.title, list(found))


def _both(
    graph: Graph,
    run: Fitting,
    inside: Mapping[str, np.ndarray],
    ports: Mapping[str, np.ndarray],
    limit: float,
) -> list[Value]:
    """Layers as rows of channels, as which graphs compute them; ports as they are."""
    nothing = np.zeros(0, np.float32)
    try:
        actual = run.run(graph)
    except EdgeAudioError as error:
        return [Value(f"{run.signature} ({error})", nothing, np.zeros(1), limit)]
    layers = [
        Value(name, _channels_last(actual[name]), _channels_last(value), limit)
        for name, value in inside.items()
    ]
    return layers + [
        Value(name, actual.get(name, nothing), value, limit) for name, value in ports.items()
    ]


def _channels_last(value: np.ndarray) -> np.ndarray:
    return value.reshape(-1, value.shape[-1])
