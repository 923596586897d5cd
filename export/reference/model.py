"""The checkpoint as a model that the runtime's sessions can drive: the same stages, in floats."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping

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
from .source import Source

#: the function behind a signature, and the names of what it reads
Function = tuple[Callable[..., dict[str, tf.Tensor]], frozenset[str]]


class FloatGraph(Graph):
    """A component's float functions, called as its graph is."""

    def __init__(self, component: str, module: tf.Module, functions: Mapping[str, Function]):
        """Opens no file: what a Graph does, it does by itself."""
        self.component, self.module, self._functions = component, module, functions

    def close(self) -> None:
        """A float graph stays as long as somebody holds it."""

    @property
    def signatures(self) -> list[str]:
        return list(self._functions)

    def inputs(self, signature: str) -> list[str]:
        return list(self._functions[signature][1])

    def _run(
        self,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, tuple[int, ...]] | None = None,
    ) -> dict[str, np.ndarray]:
        """The functions take any length. EdgeAudioError for a signature or an input that the
        checkpoint's component has not.
        """
        mend = "give the checkpoint that the bundle was exported from"
        if signature not in self._functions:
            raise EdgeAudioError(
                f"the checkpoint's {self.component} has no stage {signature}, it has"
                f" {', '.join(self._functions)}; {mend}"
            )
        function, reads = self._functions[signature]
        if inputs.keys() != reads:
            raise EdgeAudioError(
                f"stage {signature} of the bundle reads {', '.join(sorted(inputs))}, the"
                f" checkpoint's reads {', '.join(sorted(reads))}; {mend}"
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

    def __init__(self, bundle: Bundle, source: Source, precision: Mapping[str, str], say: Say):
        """precision: of the bundle's graphs, whose components these are. say: called with a line
        when a component is built.
        """
        self.source, self._say = source, say
        self._manifest = source.manifest(bundle)
        super().__init__(bundle, precision, threads=1, memory=ALL)
        self.contract = Contract(self._manifest)
        self._built: dict[str, FloatGraph] = {}

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        path = self.source.tokenizer(self.bundle)
        assert path is not None, "without one, `Request.resolved` lets no text through"
        prompt = self._manifest.prompt
        return Tokenizer(path, prompt.max_length, prompt.ends, prompt.padded)

    def acquire(self, component: str) -> FloatGraph:
        """The component, built when it is first asked for; it stays."""
        if component not in self._built:
            self._say(f"reference: {component}")
            module = self.source.build(component, self._manifest)
            functions = self._functions(component, module)
            self._built[component] = FloatGraph(component, module, functions)
        return self._built[component]

    def release(self, component: str) -> None:
        """Nothing is given back: the weights are looked at in the end."""

    def _functions(self, component: str, module: tf.Module) -> dict[str, Function]:
        """Those of the component's stages."""
        converted: Signatures = module.signatures()
        return {name: (function, frozenset(specs)) for name, (function, specs) in converted.items()}
