"""Which stages a bundle has, what follows from what they read, and the values that they exchange.

Nothing here knows a family of models. A runtime makes a few values itself
(`bundle.manifest.HOST_VALUES`) and asks for others by name; the stage that gives one is run when
it is asked for, and again only after something that it reads has changed. So what depends on the
prompt alone is computed once a prompt, and nobody wrote that down.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from edge_audio.bundle.manifest import (
    AUDIO,
    HOST,
    HOST_VALUES,
    LATENTS,
    Manifest,
    Stage,
    V,
    order,
)
from edge_audio.errors import EdgeAudioError
from edge_audio.system.graph import Graph

CONDITION, SAMPLE, DECODE = "condition", "sample", "decode"
_MEND = "copy the bundle again or export the model again"
_stamps = itertools.count()


@dataclass(frozen=True)
class Fitting:
    """A call of a stage: the signature for its inputs, and, where that is resized, the shapes of
    what it will give.
    """

    signature: str
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, tuple[int, ...]] | None = None

    def run(self, graph: Graph) -> dict[str, np.ndarray]:
        """What a graph of the stage's component gives."""
        if self.outputs is None:
            return graph(self.signature, **self.inputs)
        return graph.resized(self.signature, self.inputs, self.outputs)


class Contract:
    """The stages of a bundle in the order in which they can run."""

    def __init__(self, manifest: Manifest):
        self.manifest = manifest
        self.stages: dict[str, Stage] = {
            name: manifest.stages[name] for name in order(manifest.stages)
        }
        #: output -> the stage that gives it
        self.gives = {
            output: name for name, stage in self.stages.items() for output in stage.outputs
        }
        #: stage -> names of all that it reads, also by way of other stages
        self.reads: dict[str, frozenset[str]] = {}
        for name, stage in self.stages.items():
            # the audio that an encoder reads is the runtime's, whoever else gives some
            earlier = [port for port in stage.inputs if port in self.gives and port not in HOST]
            read = (self.reads[self.gives[port]] for port in earlier)
            self.reads[name] = frozenset(stage.inputs).union(*read)

    def lasts(self, stage: str) -> bool:
        """Whether what a stage gives is the same on every step of a clip."""
        return self.reads[stage].isdisjoint((*HOST_VALUES["step"], *HOST_VALUES["decode"]))

    def phase(self, component: str) -> str:
        """When a component's graph is needed: CONDITION, SAMPLE or DECODE."""
        read = frozenset().union(*(self.reads[name] for name in self.of(component)))
        if read.intersection(HOST_VALUES["decode"]):
            return DECODE
        return SAMPLE if read.intersection(HOST_VALUES["step"]) else CONDITION

    def of(self, component: str) -> list[str]:
        """The stages of a component."""
        return [name for name, stage in self.stages.items() if stage.component == component]

    def conditioning(self) -> list[str]:
        """Names of the values that the sampling needs and that components of its own give before
        it.
        """
        needed = self.reads[self.gives[V]]
        return [
            output
            for stage in self.stages.values()
            if self.phase(stage.component) == CONDITION
            for output in stage.outputs
            if output in needed
        ]

    def signatures(self, stage: str) -> dict[str, int]:
        """Signature of a stage -> the length of latents that it is for; one for all where it
        follows none, or any.
        """
        latent, described = self.manifest.latent, self.stages[stage]
        if described.resizes or LATENTS not in described.follows:
            return {stage: latent.length}
        return {latent.signature(stage, length): length for length in latent.lengths}

    def fitting(self, stage: str, inputs: Mapping[str, np.ndarray]) -> Fitting:
        """How a stage is called with these inputs; EdgeAudioError for more of a length than the
        bundle has.
        """
        described = self.stages[stage]
        if not described.follows:
            return Fitting(stage, inputs)
        lengths = described.lengths_of({name: value.shape for name, value in inputs.items()})
        for kind, length in lengths.items():
            if length > (most := self.manifest.longest[kind]):
                raise EdgeAudioError(f"{length} {kind} are more than the {most} of {stage}")
        if described.resizes:
            for name, port in described.inputs.items():
                if inputs[name].shape != (shape := port.shape_at(lengths)):
                    raise EdgeAudioError(
                        f"stage {stage} takes {name} {list(shape)}, not"
                        f" {list(inputs[name].shape)}; {_MEND}"
                    )
            ports = described.outputs.items()
            return Fitting(stage, inputs, {name: port.shape_at(lengths) for name, port in ports})
        return Fitting(self.manifest.latent.signature(stage, lengths[LATENTS]), inputs)

    def check(self, component: str, graph: Graph) -> None:
        """EdgeAudioError unless a graph has the signatures and ports of its component's stages."""
        needed = {
            signature: (self.stages[stage], {**self.manifest.longest, LATENTS: length})
            for stage in self.of(component)
            for signature, length in self.signatures(stage).items()
        }
        for signature, (stage, lengths) in needed.items():
            if signature not in graph.signatures:
                raise EdgeAudioError(
                    f"{graph.path} has signatures {_listed(graph.signatures)}, a {component} graph"
                    f" needs {_listed(needed)}; {_MEND}"
                )
            if stage.resizes and set(stage.inputs) <= set(graph.inputs(signature)):
                shapes = {name: graph.shape(signature, name) for name in stage.inputs}
                lengths = {**lengths, **stage.lengths_of(shapes)}  # those that it was written with
            self._check_signature(graph, signature, stage, lengths)

    def _check_signature(
        self, graph: Graph, signature: str, stage: Stage, lengths: Mapping[str, int]
    ) -> None:
        latent = self.manifest.latent
        fixed = dict.fromkeys(("x", "v"), (1, lengths[LATENTS], latent.channels))
        for kind, ports, found in (
            ("inputs", stage.inputs, graph.inputs(signature)),
            ("outputs", stage.outputs, graph.outputs(signature)),
        ):
            missing, unknown = set(ports) - set(found), set(found) - set(ports)
            if missing or (unknown and not stage.more):
                raise EdgeAudioError(
                    f"{graph.path} has {kind} {_listed(found)} in signature {signature}, a"
                    f" {stage.component} graph needs {_listed(ports)}; {_MEND}"
                )
            for name, port in ports.items():
                if name == LATENTS and port.follows:
                    fixed[name] = fixed["x"]
                shape = fixed.get(name) or (None if stage.more else port.shape_at(lengths))
                if shape is not None and graph.shape(signature, name) != shape:
                    raise EdgeAudioError(
                        f"{graph.path} has {name} {list(graph.shape(signature, name))} in signature"
                        f" {signature}, the manifest says {list(shape)}; {_MEND}"
                    )
                channels = graph.shape(signature, name)[-1:]
                if (name, kind) == (AUDIO, "outputs") and channels != (self.manifest.channels,):
                    raise EdgeAudioError(
                        f"{graph.path} gives audio of {channels[0]} channels, the manifest says"
                        f" {self.manifest.channels}; {_MEND}"
                    )
                if graph.dtype(signature, name) != np.dtype(port.type):
                    raise EdgeAudioError(
                        f"{graph.path} has {name} as {graph.dtype(signature, name)} in signature"
                        f" {signature}, the manifest says {port.type}; {_MEND}"
                    )


#: (stage, its inputs, branch) -> its outputs
Call = Callable[[str, Mapping[str, np.ndarray], str], dict[str, np.ndarray]]
#: stage -> the names that it reads
Ports = Callable[[str], Iterable[str]]


class Values:
    """What is known while a clip is made: values that the runtime set, and what stages gave.

    >>> values.set(x=x, t=t)
    >>> v = values["v"]  # runs what has to run for it
    """

    def __init__(
        self,
        contract: Contract,
        call: Call,
        ports: Ports,
        branch: str = "prompt",
        parent: Values | None = None,
    ):
        self._contract = contract
        self.branch = branch
        self._parent = parent
        self._call, self._ports = call, ports
        self._set: dict[str, tuple[np.ndarray, int]] = {}
        #: stage -> stamps of what it read, what it gave, its own stamp
        self._given: dict[str, tuple[tuple[int, ...], dict[str, np.ndarray], int]] = {}
        #: what was found since a value of this or of another branch was last set
        self._found: dict[tuple[int, str], tuple[np.ndarray, int]] = parent._found if parent else {}
        self._number = next(_stamps)  # among the branches, which may have one name

    def work(self, call: Call, ports: Ports) -> None:
        """Have stages called like that from now on: graphs are leased phase by phase."""
        self._call, self._ports = call, ports
        if self._parent:
            self._parent.work(call, ports)

    def set(self, **values: np.ndarray) -> None:
        """Set values by name; one that is what it was does not make anything run again."""
        for name, value in values.items():
            if name not in self._set or not np.array_equal(self._set[name][0], value):
                self._set[name] = value, next(_stamps)
                self._found.clear()

    def share(self, **values: np.ndarray) -> None:
        """Set values for all branches of a fork."""
        root = self
        while root._parent is not None:
            root = root._parent
        root.set(**values)

    def fork(self, branch: str, **values: np.ndarray) -> Values:
        """The same values but for some: what does not depend on those is shared."""
        other = Values(self._contract, self._call, self._ports, branch, self)
        other.set(**values)
        return other

    def __getitem__(self, name: str) -> np.ndarray:
        return self._find(name)[0]

    def _find(self, name: str) -> tuple[np.ndarray, int]:
        """A value and its stamp, which changes whenever the value does."""
        key = self._number, name
        if key not in self._found:
            self._found[key] = self._sought(name)
        return self._found[key]

    def _sought(self, name: str) -> tuple[np.ndarray, int]:
        if name in self._set:
            return self._set[name]
        stage = self._contract.gives.get(name) or self._unlisted(name)
        if stage is None or (self._parent and not self._contract.reads[stage] & self._set.keys()):
            if self._parent is None:
                raise EdgeAudioError(f"no stage gives {name} and nothing made it; {_MEND}")
            return self._parent._find(name)
        outputs, stamp = self._run(stage)
        return outputs[name], stamp

    def _unlisted(self, name: str) -> str | None:
        """The stage that gave a value which its bundle did not list (`Stage.more`)."""
        return next((stage for stage, (_, given, _) in self._given.items() if name in given), None)

    def _run(self, stage: str) -> tuple[dict[str, np.ndarray], int]:
        listed = self._contract.stages[stage].inputs
        read = {name: self._find(name) for name in listed}  # runs those that give unlisted ones
        read |= {name: self._find(name) for name in self._ports(stage) if name not in read}
        stamps = tuple(stamp for _, stamp in read.values())
        if stage not in self._given or self._given[stage][0] != stamps:
            inputs = {name: value for name, (value, _) in read.items()}
            self._given[stage] = stamps, self._call(stage, inputs, self.branch), next(_stamps)
        _, outputs, stamp = self._given[stage]
        return outputs, stamp


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
