"""What is measured: what the stages of a few clips were given in float32, and what a graph on trial
makes of it.

Which stages there are, and what they read and give, the bundle's contract says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_audio.bundle.manifest import AUDIO, V
from edge_audio.bundle.store import Bundle
from edge_audio.model.contract import DECODE, Contract
from edge_audio.model.model import ALL, Model
from edge_audio.session import PROMPT, Called, Progress, Session
from edge_audio.settings import Settings
from edge_audio.system.graph import Graph

THREADS = 2
#: recorded calls a clip, of a stage that runs at every step
STEPS = 5


@dataclass(frozen=True)
class Clip:
    """What the stages were given for one prompt."""

    settings: Settings
    #: with the prompt (not what guidance makes without it), up to the decoding
    calls: list[Called]
    latents: np.ndarray


@dataclass(frozen=True)
class Recording:
    """Clips of a bundle's float32 graphs."""

    bundle: Bundle
    contract: Contract
    components: list[str]
    clips: list[Clip]

    def decodes(self, component: str) -> bool:
        """Whether it makes audio of latents; such a component is measured by the audio."""
        return self.contract.phase(component) == DECODE

    def output(self, component: str) -> str:
        """The value that a component is judged by: the largest of those that leave it."""
        if self.decodes(component):
            return AUDIO
        read = {V}.union(
            *(s.inputs for s in self.contract.stages.values() if s.component != component)
        )
        sizes = {
            name: value.size
            for call in self.clips[0].calls
            if self.contract.stages[call.stage].component == component
            for name, value in call.outputs.items()
            if name in read
        }
        return max(sizes, key=lambda name: sizes[name])

    def replay(self, component: str, graph: Graph) -> Iterator[list[np.ndarray]]:
        """What a graph on trial makes of every recorded clip: `output` of every recorded call, or
        the whole audio. What its own stages give each other is its own.
        """
        output = self.output(component)
        for clip in self.clips:
            if self.decodes(component):
                trial = _Trial(self.bundle, graph)
                blocks = Session(trial, clip.settings).decode(clip.latents)
                yield [np.concatenate(list(blocks))]
            else:
                yield list(self._outputs(clip, component, graph, output))

    def _outputs(
        self, clip: Clip, component: str, graph: Graph, output: str
    ) -> Iterator[np.ndarray]:
        own: dict[str, np.ndarray] = {}
        for call in needed(self._calls(clip, component), self.contract.gives[output]):
            inputs = {name: own.get(name, value) for name, value in call.inputs.items()}
            own |= self.contract.fitting(call.stage, inputs).run(graph)
            if output in call.outputs:
                yield own[output]

    def _calls(self, clip: Clip, component: str) -> list[Called]:
        return [
            call for call in clip.calls if self.contract.stages[call.stage].component == component
        ]


def record(bundle: Bundle, settings: Iterable[Settings]) -> Recording:
    """Make clips with the float32 graphs, but for their audio; keep what the stages were given."""
    model = Model(bundle, bundle.choose("f32"), THREADS, memory=ALL)
    recording = Recording(bundle, model.contract, list(model.precision), [])
    for one in settings:
        calls: list[Called] = []
        session = Session(model, one, watch=calls.append)
        for event in session:
            if isinstance(event, Progress) and event.stage == DECODE:
                break
        assert session.latents is not None  # the sampling is over
        told = [call for call in calls if call.branch == PROMPT]
        recording.clips.append(Clip(one, told, session.latents))
    model.close()
    return recording


def needed(calls: Iterable[Called], stage: str) -> list[Called]:
    """STEPS of the calls of a stage, evenly taken, each with those of other stages that came since
    the one before it: the latest of each.
    """
    calls = list(calls)
    some = set(evenly(sum(call.stage == stage for call in calls), STEPS))
    kept: list[Called] = []
    before: dict[str, Called] = {}
    number = 0
    for call in calls:
        if call.stage != stage:
            before[call.stage] = call
            continue
        if number in some:
            kept += [*before.values(), call]
            before.clear()
        number += 1
    return kept


def evenly(count: int, wanted: int) -> list[int]:
    """Indices of `wanted` of `count` things, the first and the last among them; all if there are
    fewer.
    """
    return sorted({round(index) for index in np.linspace(0, count - 1, wanted)})


class NotingGraph(Graph):
    """A graph that keeps what it is given: signature -> inputs of every call."""

    def __init__(self, path: Path):
        super().__init__(path, THREADS)
        self.calls: dict[str, list[dict[str, np.ndarray]]] = {}

    def _run(
        self,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, tuple[int, ...]] | None = None,
    ) -> dict[str, np.ndarray]:
        self.calls.setdefault(signature, []).append(dict(inputs))
        return super()._run(signature, inputs, outputs)


class _Trial(Model):
    """A model of which one component alone is asked for: the graph on trial."""

    def __init__(self, bundle: Bundle, graph: Graph):
        super().__init__(bundle, bundle.choose("f32"), THREADS)
        self._graph = graph

    def acquire(self, component: str) -> Graph:
        return self._graph

    def release(self, component: str) -> None:
        """It stays with whoever opened it."""
