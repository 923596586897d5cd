"""The checkpoint as a model that the runtime's sessions can drive: the same stages, in floats."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from edge_audio.bundle.manifest import Manifest
from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError
from edge_audio.evaluate.diagnose import Say
from edge_audio.model.contract import Contract
from edge_audio.model.model import ALL, Model
from edge_audio.model.tokens import Tokenizer
from edge_audio.system.graph import Graph

from .. import layers
from ..layers import Signatures
from .family import Family


class FloatGraph(Graph):
    """A component's float functions, called as its graph is."""

    def __init__(self, component: str, module: tf.Module):
        """Opens no file: what a Graph does, it does by itself."""
        self.component, self.module = component, module
        self._functions: Signatures = module.signatures()

    def close(self) -> None:
        """A float graph stays as long as somebody holds it."""

    @property
    def signatures(self) -> list[str]:
        return list(self._functions)

    def inputs(self, signature: str) -> list[str]:
        return list(self._functions[signature][1])

    def __call__(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """EdgeAudioError for a signature or an input that the checkpoint's component has not."""
        if signature not in self._functions:
            raise EdgeAudioError(
                f"the checkpoint's {self.component} has no stage {signature}, it has"
                f" {', '.join(self._functions)}; give the checkpoint that the bundle was exported"
                " from"
            )
        function, specs = self._functions[signature]
        if inputs.keys() != specs.keys():
            raise EdgeAudioError(
                f"stage {signature} of the bundle reads {', '.join(sorted(inputs))}, the"
                f" checkpoint's reads {', '.join(sorted(specs))}; give the checkpoint that the"
                " bundle was exported from"
            )
        outputs = function(**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items()}

    def observed(
        self, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """What a signature gives, and what every layer inside gives on the way, by official
        name.
        """
        inside: dict[str, np.ndarray] = {}
        with layers.observed(lambda name, value: operator.setitem(inside, name, value.numpy())):
            return self(signature, **inputs), inside


class FloatModel(Model):
    """The checkpoint's components in the places of a bundle's graphs.

    Prompts are read as the checkpoint says, whatever the bundle says of them.
    """

    def __init__(self, bundle: Bundle, family: Family, precision: Mapping[str, str], say: Say):
        """precision: of the bundle's graphs, whose components these are. say: called with a line
        when a component is built.
        """
        self.family, self._say = family, say
        self._manifest = family.manifest(bundle)
        super().__init__(bundle, precision, threads=1, memory=ALL)
        self.contract = Contract(self._manifest)
        self._built: dict[str, FloatGraph] = {}

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        path = self.family.tokenizer(self.bundle)
        assert path is not None, "without one, `Request.resolved` lets no text through"
        return Tokenizer(path, self._manifest.prompt.lengths, self._manifest.prompt.ends)

    def acquire(self, component: str) -> FloatGraph:
        """The component, built when it is first asked for; it stays."""
        if component not in self._built:
            self._say(f"reference: {component}")
            module = self.family.build(component, self._manifest)
            self._built[component] = FloatGraph(component, module)
        return self._built[component]

    def release(self, component: str) -> None:
        """Nothing is given back: the weights are looked at in the end."""
