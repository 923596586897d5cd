"""An opened bundle at work: it leases graphs to sessions, and decides what stays in memory."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from edge_audio.bundle import places
from edge_audio.bundle.manifest import Manifest
from edge_audio.bundle.precision import FLOATING
from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError, EdgeAudioWarning, UsageError
from edge_audio.lora.merging import Styles
from edge_audio.model.contract import DECODE, Contract
from edge_audio.model.tokens import Tokenizer
from edge_audio.system import cache, device
from edge_audio.system.graph import Graph

MODEL_VARIABLE = "EDGE_AUDIO_MODEL"
#: bytes that a graph needs beside its weights, at most (full size, head of the decoder)
ACTIVATIONS = 200_000_000
#: bytes of what stages gave that are kept for the next clip of the same prompt
REMEMBERED = 32 << 20

#: What stays in memory when a stage is over: nothing, what fits beside the rest of the system, all.
FREE, FIT, ALL = "free", "fit", "all"
#: of the available memory, what FIT may take
SHARE = 0.5
#: (signature, digest of its inputs) -> its outputs
Remembered = OrderedDict[tuple[str, str], dict[str, np.ndarray]]


class Model:
    """A bundle, the precisions and the threads that it runs with. Safe for several threads: they
    share graphs, and take turns at each.
    """

    def __init__(
        self,
        bundle: Bundle,
        precision: Mapping[str, str],
        threads: int,
        half: bool = False,
        memory: str | int = FREE,
        styles: Styles | None = None,
    ):
        """precision: component -> precision, for every generating component (`Bundle.choose`).

        half: whether a decoder in floating point computes in float16. memory: FREE, FIT, ALL, or
        the bytes of weights that may stay loaded between stages and clips. styles: adapters that
        are merged into its weights (`lora.merging`).
        """
        if memory not in (FREE, FIT, ALL) and (isinstance(memory, (str, bool)) or memory < 0):
            raise UsageError(f"memory {memory!r} is no budget; use free, fit, all, or bytes")
        self.bundle, self.precision, self.threads = bundle, dict(precision), threads
        self.contract = Contract(bundle.manifest)
        self.half = half and self.precision["decoder"] in FLOATING
        self.memory = memory
        self.styles = styles or Styles()
        self._lock = threading.RLock()
        self._graphs: OrderedDict[str, _Loaded] = OrderedDict()
        self._paths: dict[str, Path] = {}
        self._opening: dict[str, threading.Lock] = {}
        self._remembered: Remembered = OrderedDict()
        self._tokenizer: Tokenizer | None = None

    @property
    def manifest(self) -> Manifest:
        """Of the bundle."""
        return self.bundle.manifest

    @property
    def tokenizer(self) -> Tokenizer:
        """The bundle's, opened once."""
        with self._lock:
            if self._tokenizer is None:
                path, prompt = self.bundle.tokenizer_path(), self.manifest.prompt
                assert path is not None, "without one, `Request.resolved` lets no text through"
                self._tokenizer = Tokenizer(path, prompt.max_length, prompt.ends, prompt.padded)
            return self._tokenizer

    @contextlib.contextmanager
    def lease(self, timings: dict[str, float] | None = None, stage: str = "") -> Iterator[Lease]:
        """Graphs for one stage of a session: opened when first called, given back at the end.

        timings: gets the seconds that loading and running took, as STAGE_load and STAGE_run.
        """
        start, lease = time.perf_counter(), Lease(self)
        try:
            yield lease
        finally:
            lease.close()
            if timings is not None:
                timings[f"{stage}_load"] = lease.loading
                timings[f"{stage}_run"] = time.perf_counter() - start - lease.loading

    def close(self) -> None:
        """Free the graphs that nobody uses."""
        with self._lock:
            self._evict(0)

    def forget(self) -> None:
        """Drop what stages gave for earlier clips: for those who measure what it costs."""
        with self._lock:
            self._remembered.clear()

    def remembered(self, stage: str, inputs: Mapping[str, np.ndarray]) -> _Memory:
        """Where the outputs of a stage for these inputs are, or will be kept."""
        digest = hashlib.sha1(usedforsecurity=False)
        for name in sorted(inputs):
            digest.update(name.encode() + str(inputs[name].shape).encode())
            digest.update(np.ascontiguousarray(inputs[name]).tobytes())
        return _Memory(self._remembered, self._lock, (stage, digest.hexdigest()))

    def precision_of(self, component: str) -> str:
        """That a component runs in: of the encoder, which runs once a clip, the most exact."""
        return self.precision.get(component) or self.bundle.precisions(component)[0]

    def acquire(self, component: str) -> Graph:
        """A component's graph, which stays open until it is released as often."""
        with self._lock:
            opening = self._opening.setdefault(component, threading.Lock())
        with opening:  # one thread opens a graph, the others wait for it
            with self._lock:
                if component in self._graphs:
                    self._graphs[component].users += 1
                    return self._graphs[component].graph
            graph = self._open(component)
            with self._lock:
                size = self.manifest.graphs[component][self.precision_of(component)].bytes
                self._graphs[component] = _Loaded(graph, size)
            return graph

    def release(self, component: str) -> None:
        """Give a graph back; what the budget does not keep is freed when nobody uses it."""
        with self._lock:
            self._graphs[component].users -= 1
            self._graphs.move_to_end(component)
            self._evict(self._budget())

    def _budget(self) -> float:
        if self.memory == FREE:
            return 0
        if self.memory == ALL:
            return float("inf")
        if self.memory == FIT:
            here = sum(loaded.bytes for loaded in self._graphs.values())
            return SHARE * (device.memory().available + here)
        return int(self.memory)

    def _evict(self, budget: float) -> None:
        """Free unused graphs, those first that were used longest ago, until the rest fits."""
        for component in list(self._graphs):
            if sum(loaded.bytes for loaded in self._graphs.values()) <= budget:
                return
            if self._graphs[component].users == 0:
                self._graphs.pop(component).graph.close()

    def _open(self, component: str) -> Graph:
        precision = self.precision_of(component)
        entry, merged = self.manifest.graphs[component][precision], self.styles.graphs
        sha256 = merged[component].sha256 if component in merged else entry.sha256
        if component not in self._paths:  # checked once, then trusted
            self._paths[component] = (
                merged[component].path
                if component in merged
                else self.bundle.graph_path(component, precision)
            )
        path = self._paths[component]
        if component in merged and not path.is_file():
            raise EdgeAudioError(
                f"{path}, the {component} graph with styles, was deleted from the cache; open the"
                " model again"
            )
        half = self.half and self.contract.phase(component) == DECODE
        with cache.packed_weights(path, f"{sha256} half" if half else sha256) as packed:
            if packed is None:  # the graph packs a copy of its own
                _check_memory(path, entry.bytes)
            graph = Graph(path, self.threads, packed, half)
        try:
            self.contract.check(component, graph)
        except EdgeAudioError:
            graph.close()
            raise
        return graph


class Lease:
    """Graphs in the hands of one session; `loading` is the seconds that opening them took."""

    def __init__(self, model: Model):
        self._model, self._held = model, dict[str, Graph]()
        self.loading = 0.0

    def graph(self, component: str) -> Graph:
        """The component's graph."""
        if component not in self._held:
            start = time.perf_counter()
            self._held[component] = self._model.acquire(component)
            self.loading += time.perf_counter() - start
        return self._held[component]

    def call(self, stage: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What a stage gives for these inputs.

        What is the same on every step is taken from an earlier clip where that read the same.
        """
        contract = self._model.contract
        fitting, component = contract.fitting(stage, inputs), contract.stages[stage].component
        if not contract.lasts(stage):
            return fitting.run(self.graph(component))
        memory = self._model.remembered(fitting.signature, inputs)
        outputs = memory.get()
        if outputs is None:
            outputs = fitting.run(self.graph(component))
            memory.keep(outputs)
        return outputs

    def ports(self, stage: str) -> list[str]:
        """Names of what a stage reads."""
        described = self._model.contract.stages[stage]
        if not described.more:
            return list(described.inputs)
        signature = next(iter(self._model.contract.signatures(stage)))
        return self.graph(described.component).inputs(signature)

    def close(self) -> None:
        """Give all graphs back."""
        while self._held:
            self._model.release(self._held.popitem()[0])


class _Loaded:
    """A graph in memory, and how many leases hold it."""

    def __init__(self, graph: Graph, size: int):
        self.graph, self.bytes, self.users = graph, size, 1


class _Memory:
    """A place among the outputs that a model remembers."""

    def __init__(self, table: Remembered, lock: threading.RLock, key: tuple[str, str]):
        self._table, self._lock, self._key = table, lock, key

    def get(self) -> dict[str, np.ndarray] | None:
        with self._lock:
            if self._key in self._table:
                self._table.move_to_end(self._key)
            return self._table.get(self._key)

    def keep(self, outputs: dict[str, np.ndarray]) -> None:
        for value in outputs.values():
            value.flags.writeable = False  # several clips read it
        with self._lock:
            self._table[self._key] = outputs
            while len(self._table) > 1 and _bytes(self._table) > REMEMBERED:
                self._table.popitem(last=False)


def _bytes(table: Remembered) -> int:
    return sum(value.nbytes for outputs in table.values() for value in outputs.values())


def default_model() -> Path:
    """The model that $EDGE_AUDIO_MODEL names, a folder or a name, or else the pocket model."""
    named = os.environ.get(MODEL_VARIABLE)
    return places.resolve(named) if named else places.pocket_model()


def _check_memory(path: Path, weights: int) -> None:
    """Before a graph is loaded: EdgeAudioError if it cannot fit, a warning if it will make the
    system swap.
    """
    needed, memory = weights + min(weights, ACTIVATIONS), device.memory()
    most = memory.available + memory.swap
    if memory.available and needed > most:
        swap = f", {memory.swap / 1e9:.2f} GB of swap included" if memory.swap else ""
        raise EdgeAudioError(
            f"{path.name} needs {needed / 1e9:.2f} GB of memory and {most / 1e9:.2f} GB are"
            f" free{swap}; close other programs, add swap, or use --precision int8"
        )
    if memory.available and needed > memory.available:
        warnings.warn(
            f"{path.name} needs {needed / 1e9:.2f} GB of memory and"
            f" {memory.available / 1e9:.2f} GB are free, so it will swap; close other programs or"
            " use --precision int8",
            EdgeAudioWarning,
            stacklevel=2,
        )
