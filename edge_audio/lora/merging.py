"""Styles for a bundle, when it is opened: copies of its graphs with adapters in their weights.

Every layer is merged in float32, from the most exact graph of its component that the bundle has,
and stored as the copied graph stores it. Copies are kept between runs (`cache.copy`), by a hash of
the graphs and adapters that they are made of.
"""

from __future__ import annotations

import functools
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge_audio.bundle.manifest import AdapterEntry
from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError, first_line
from edge_audio.lora.adapter import ADAPTED, Adapter, identity
from edge_audio.lora.folded import FACTORS, folded, gain, offset
from edge_audio.lora.graphs import layers
from edge_audio.lora.reading import read_adapters
from edge_audio.lora.stored import load, store
from edge_audio.system import cache, safetensors

#: of what this module makes of the same files; another one, and copies are made anew
_VERSION = 1
_WEIGHT = ".weight"
#: weights of two precisions of a layer differ by less than this share, whatever they lost
_NEAR = 0.5
_AGAIN = "export the model again, or export it with --lora"

#: layers done, and of how many
OnMerged = Callable[[int, int], None]


@dataclass(frozen=True)
class MergedGraph:
    """A copy of a graph, and what it was made of, as a hash."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class Styles:
    """What a model was opened with: adapters, in the order in which they act, and component ->
    graph in place of the bundle's.
    """

    adapters: tuple[AdapterEntry, ...] = ()
    graphs: Mapping[str, MergedGraph] = field(default_factory=dict)
    #: of copies that nothing keeps: it is deleted with this
    _folder: tempfile.TemporaryDirectory[str] | None = None


def styles(
    bundle: Bundle,
    precision: Mapping[str, str],
    given: Iterable[tuple[str | Path, float]],
    merged: OnMerged = lambda done, layers: None,
) -> Styles:
    """Adapters merged into the graphs that they change.

    Args:
        precision: component -> precision, for every component that will run.
        given: files or folders with their strengths, in the order in which they act.
        merged: called after every layer that is merged now.

    Raises:
        UsageError: a strength that is no finite number, or a file given twice.
        EdgeAudioError: an adapter that is damaged or for another model, a bundle into which nothing
            can be merged, or no room for the copies.
    """
    adapters = read_adapters(given)
    if not adapters:
        return Styles()
    parts = {name: _Component(bundle, name, precision[name]) for name in ADAPTED}
    names = {tensor for part in parts.values() for tensor in part.tensors}
    adapters = tuple(adapter.fitted(names) for adapter in adapters)
    changed = {name: part for name, part in parts.items() if identity(adapters, name)}
    for part in changed.values():
        part.refuse(adapters)
    total = sum(len(part.changed(adapters)) for part in changed.values())
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        merged(done, total)

    graphs: dict[str, MergedGraph] = {}
    folder = None
    for name, part in changed.items():
        key = part.key(adapters)
        merge = functools.partial(part.merge, adapters=adapters, advance=advance)
        try:
            path = cache.copy(key, part.path, merge)
            if path is None:
                # Windows deletes no file that LiteRT has mapped
                folder = folder or tempfile.TemporaryDirectory(
                    prefix="edge-audio-", ignore_cleanup_errors=True
                )
                path = Path(folder.name) / part.path.name
                _copy(part.path, path)
                merge(path)
        except OSError as error:
            raise EdgeAudioError(
                f"no copy of {part.path.name} with styles can be written ({first_line(error)});"
                " free some space"
            ) from None
        graphs[name] = MergedGraph(path, key)
    return Styles(tuple(adapter.entry for adapter in adapters), graphs, folder)


def check_fits(bundle: Bundle, adapter: Adapter) -> None:
    """EdgeAudioError for an adapter that is for another model, or a bundle into which it cannot be
    merged.
    """
    parts = [_Component(bundle, name, bundle.precisions(name)[0]) for name in ADAPTED]
    fitted = adapter.fitted({tensor for part in parts for tensor in part.tensors})
    for part in parts:
        part.refuse((fitted,))


class _Component:
    """A component's graph in the precision that runs and in the most exact one, and their layers
    that adapters may change.
    """

    def __init__(self, bundle: Bundle, name: str, precision: str):
        self.bundle, self.name = bundle, name
        exact = bundle.precisions(name)[0]
        entries = bundle.manifest.graphs[name]
        self._hashes = (entries[precision].sha256, entries[exact].sha256)
        self.path, self._exact_path = (bundle.graph_path(name, p) for p in (precision, exact))
        self._stored, self._exact = (
            {layer: found for layer, found in layers(path).items() if self._is_adapted(layer)}
            for path in (self.path, self._exact_path)
        )
        file = bundle.folded_path()
        self._factors = safetensors.read(file)[0] if file else {}
        if not self._stored or self._stored.keys() != self._exact.keys():
            raise EdgeAudioError(f"{self.path} does not show its layers; {_AGAIN}")

    def _is_adapted(self, layer: str) -> bool:
        return f"{layer}{_WEIGHT}".startswith(ADAPTED[self.name])

    @property
    def tensors(self) -> set[str]:
        """Names of the checkpoint's tensors that it holds."""
        found = {f"{layer}{_WEIGHT}" for layer in self._stored}
        return found | {name for layer in FACTORS.keys() & self._stored for name in FACTORS[layer]}

    def changed(self, adapters: Iterable[Adapter]) -> list[str]:
        """The layers that adapters change."""
        names = {name for adapter in adapters if adapter.strength for name in adapter.layers}
        return [
            layer
            for layer in self._stored
            if names.intersection(FACTORS.get(layer, (f"{layer}{_WEIGHT}",)))
        ]

    def refuse(self, adapters: Iterable[Adapter]) -> None:
        """EdgeAudioError for layers that adapters change and the bundle holds only as products."""
        for layer in self.changed(adapters):
            fused = any(weights.fused for weights in (*self._stored[layer], *self._exact[layer]))
            needed = FACTORS.get(layer, (gain(layer),) if fused else ())
            if any(name not in self._factors for name in needed):
                raise EdgeAudioError(
                    f"{self.bundle.folder} was exported without what merging into {layer} needs;"
                    f" {_AGAIN}"
                )

    def key(self, adapters: Iterable[Adapter]) -> str:
        """Hash of all that a copy is made of."""
        factors = self.bundle.manifest.folded
        made_of = (
            str(_VERSION),
            *self._hashes,
            factors.sha256 if factors else "",
            identity(adapters, self.name),
        )
        return hashlib.sha256("\n".join(made_of).encode()).hexdigest()

    def merge(self, copy: Path, adapters: Iterable[Adapter], advance: Callable[[], None]) -> None:
        """Overwrite the layers that adapters change in a copy of the graph."""
        data, exact = np.memmap(copy, np.uint8, "r+"), np.memmap(self._exact_path, np.uint8, "r")

        def styled(name: str, original: np.ndarray) -> np.ndarray:
            weight = original
            for adapter in adapters:
                weight = adapter.merged(name, weight, original)
            return weight

        for layer in self.changed(adapters):
            original = load(exact, self._exact[layer][0])
            self._refuse_factors(layer, original)
            merged, biases = self._merged(layer, original, styled)
            for weights in self._stored[layer]:
                self._refuse_foreign(layer, load(data, weights), original)
                store(data, weights, merged, original)
                for span in weights.biases:
                    span.of(data, "<f4")[:] += biases
            advance()
        data.flush()

    def _merged(
        self, layer: str, original: np.ndarray, styled: Callable[[str, np.ndarray], np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray | float]:
        """A layer of the graph with adapters, float32, and what they add to its bias.

        styled: tensor of the checkpoint -> the same with adapters.
        """
        if layer in FACTORS:
            product = folded(layer, lambda name: styled(name, self._factor(name)))
            return product.astype(np.float32), 0.0
        if not self._exact[layer][0].fused:
            return styled(f"{layer}{_WEIGHT}", original), 0.0
        gains = self._factor(gain(layer))
        # a column that the gain silences is not known, and stays silent
        before = np.divide(original, gains, out=np.zeros_like(original), where=gains != 0)
        merged = styled(f"{layer}{_WEIGHT}", before)
        biases: np.ndarray | float = 0.0
        if offset(layer) in self._factors:
            change = merged.astype(np.float64) - before
            biases = (change @ self._factor(offset(layer))).astype(np.float32)
        return merged * gains, biases

    def _factor(self, name: str) -> np.ndarray:
        return self._factors[name]().astype(np.float32)

    def _refuse_factors(self, layer: str, original: np.ndarray) -> None:
        """Before the factors of a product are believed: they make what the graph has."""
        try:
            if layer in FACTORS:
                product = folded(layer, self._factor)
                fits = np.linalg.norm(product - original) <= _NEAR * np.linalg.norm(original)
            else:
                names = {gain(layer), offset(layer)} & self._factors.keys()
                fits = all(self._factors[name].shape == original.shape[1:] for name in names)
        except (ValueError, IndexError):  # of other shapes
            fits = False
        if not fits:
            raise EdgeAudioError(
                f"{self.bundle.folder} holds other factors than {layer} has; {_AGAIN}"
            )

    def _refuse_foreign(self, layer: str, stored: np.ndarray, original: np.ndarray) -> None:
        """Before weights are overwritten: they are the layer's, as far as their precision goes."""
        if stored.shape != original.shape or not (
            np.linalg.norm(stored - original) <= _NEAR * np.linalg.norm(original)
        ):
            raise EdgeAudioError(
                f"{self.path} and {self._exact_path.name} hold other weights of {layer}; {_AGAIN}"
            )


def _copy(graph: Path, path: Path) -> None:
    """EdgeAudioError where there is no room for it."""
    needed = graph.stat().st_size
    if shutil.disk_usage(path.parent).free < needed:
        raise EdgeAudioError(
            f"{path.parent} has no room for a copy of {graph.name} with styles, which needs"
            f" {needed / 1e6:.0f} MB; free some space"
        )
    shutil.copyfile(graph, path)
