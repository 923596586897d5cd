"""An adapter and what it makes of a checkpoint's weights.

The formulas are those of stable-audio-3, `stable_audio_3/models/lora/model.py`.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_audio.bundle.manifest import AdapterEntry
from edge_audio.errors import EdgeAudioError

Reader = Callable[[], np.ndarray]

#: axis of a weight [out, in] along which norms are taken: one for every row, or every column
_ROWS, _COLUMNS = 1, 0
#: kind -> its magnitudes and what each is of, in the order in which they act
MAGNITUDES: Mapping[str, Mapping[str, int]] = {
    "lora": {},
    "dora-rows": {"magnitude": _ROWS},
    "dora-cols": {"magnitude": _COLUMNS},
    "bora": {"magnitude_r": _ROWS, "magnitude_c": _COLUMNS},
}
XS = "-xs"
KINDS = tuple(f"{kind}{more}" for more in ("", XS) for kind in MAGNITUDES)
#: component -> how the names of its tensors begin of which adapters may change the weights
ADAPTED: Mapping[str, str] = {
    "conditioners": "conditioner.conditioners.seconds_total.",
    "dit": "model.model.",
}
#: tensors that are called weights and belong to no layer that the official code adapts
_NO_LAYER = re.compile(r"(_norm|timestep_features)\.weight$")
#: What a layer's name in an adapter lacks of its name in a checkpoint. The official code names
#: layers from `model` and from `conditioner` on, PEFT from whatever module it was given.
_ROOTS = ("model.", "conditioner.", "", "model.model.")
_OTHER = "give an adapter that was trained on this model"


@dataclass(frozen=True)
class Layer:
    """What an adapter holds for one weight [out, in]; a convolution's further axes count as `in`.

    scale: alpha / rank. tensors: name -> function that reads it, of `lora_A` [rank, in] and
    `lora_B` [out, rank], or `M_xs` [rank, rank], and of magnitudes [out] or [in].
    """

    rank: int
    scale: float
    tensors: Mapping[str, Reader]


@dataclass(frozen=True)
class Filter:
    """Which layers an official adapter was trained on: those whose names have a part that
    `include` names (None: all) and none that `exclude` does. "[0-3]" stands for four numbers.
    """

    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()

    def __contains__(self, layer: str) -> bool:
        included = self.include is None or any(part in layer for part in self.include)
        return included and not any(part in layer for part in self.exclude)


@dataclass(frozen=True)
class Adapter:
    """An adapter and how strongly it is to act.

    layers: by what its file calls them; once it is `fitted`, by the names of a checkpoint's
    tensors. filter: the layers that it must have; None where its file does not say.
    """

    path: Path
    sha256: str
    kind: str
    strength: float
    layers: Mapping[str, Layer]
    filter: Filter | None = None

    @property
    def entry(self) -> AdapterEntry:
        """What manifests and recipes say of it."""
        return AdapterEntry(self.name, self.sha256, self.strength)

    @property
    def name(self) -> str:
        """Of its file or folder."""
        return os.path.basename(os.path.abspath(self.path))

    def fitted(self, tensors: Iterable[str]) -> Adapter:
        """The same, its layers under the names of a model's tensors.

        EdgeAudioError names the first layer that the model does not have, that no adapter may
        change, or that should be here and is not.
        """
        names = {name for name in tensors if not _NO_LAYER.search(name)}
        starts = tuple(ADAPTED.values())
        layers: dict[str, Layer] = {}
        for found, layer in self.layers.items():
            candidates = (f"{root}{found}.weight" for root in _ROOTS)
            name = next((name for name in candidates if name in names), None)
            if name is None:
                raise EdgeAudioError(
                    f"{self.path} is for another model: it changes {quoted(found)}, which this one"
                    f" does not have; {_OTHER}"
                )
            if not name.startswith(starts):
                raise EdgeAudioError(
                    f"{self.path} changes {name}; adapters may change only"
                    f" {' and '.join(f'{start}*' for start in starts)}"
                )
            if name in layers:
                raise EdgeAudioError(f"{self.path} changes {name} twice; {_OTHER}")
            layers[name] = layer
        for name in sorted(names) if self.filter else ():
            own = name.partition(".")[2].removesuffix(".weight")
            if _adaptable(name) and name not in layers and own in (self.filter or ()):
                raise EdgeAudioError(
                    f"{self.path} lacks {own}, which its lora_config does not leave out; {_OTHER}"
                )
        return dataclasses.replace(self, layers=layers)

    @np.errstate(over="ignore", invalid="ignore")
    def merged(self, name: str, weight: np.ndarray, original: np.ndarray) -> np.ndarray:
        """The tensor `name` with this adapter: float32, of the same shape.

        weight: what the adapters before it made of it; original: the checkpoint's. Of the latter
        are the bases of -xs kinds, and magnitudes that the file does not bring.
        """
        layer = self.layers.get(name)
        if layer is None or self.strength == 0:
            return weight
        if original.ndim < 2 or not np.isfinite(original).all():
            return weight  # `Checkpoint.take` says what is wrong with it
        flat = (len(weight), math.prod(weight.shape[1:]))
        first = original.reshape(flat).astype(np.float64)
        magnitudes = MAGNITUDES[self.kind.removesuffix(XS)]
        merged = weight.reshape(flat).astype(np.float64)
        merged += layer.scale * self.strength * self._change(name, layer, first)
        self._refuse_infinite(name, merged)
        for part, axis in magnitudes.items():
            norms = np.linalg.norm(merged, axis=axis, keepdims=True)
            if part in layer.tensors:
                magnitude = self._read(name, part, (flat[1 - axis],))
            else:
                magnitude = np.linalg.norm(first, axis=axis)
            merged = merged / (norms + 1e-12) * np.expand_dims(magnitude, axis)
        self._refuse_infinite(name, merged)
        return merged.reshape(weight.shape).astype(np.float32)

    def _refuse_infinite(self, name: str, weight: np.ndarray) -> None:
        if not np.abs(weight).max(initial=0) <= np.finfo(np.float32).max:
            raise EdgeAudioError(
                f"{self.path} at strength {self.strength:g} makes tensor {name} infinite; give a"
                " smaller strength"
            )

    def _change(self, name: str, layer: Layer, first: np.ndarray) -> np.ndarray:
        """B·A or U·M·Vᵀ, [out, in]."""
        rows, columns = first.shape
        if not self.kind.endswith(XS):
            up = self._read(name, "lora_B", (rows, layer.rank))
            return np.asarray(up @ self._read(name, "lora_A", (layer.rank, columns)))
        if layer.rank > min(rows, columns):
            raise EdgeAudioError(
                f"{self.path} has rank {layer.rank}, tensor {name} of shape {list(first.shape)} has"
                f" not as many bases; {_OTHER}"
            )
        core = self._read(name, "M_xs", (layer.rank, layer.rank))
        u, v = bases(first, layer.rank)
        return np.asarray(u @ core @ v.T)

    def _read(self, name: str, part: str, shape: tuple[int, ...]) -> np.ndarray:
        """A tensor of the layer `name` as float64 of that shape. Magnitudes may lie along any axis,
        and matrices of convolutions have more of them.
        """
        tensor = self.layers[name].tensors[part]().astype(np.float64)
        if len(shape) == 1:
            fits = tensor.shape and tensor.size == max(tensor.shape) == shape[0]
        else:
            fits = tensor.ndim >= 2 and (len(tensor), math.prod(tensor.shape[1:])) == shape
        if not fits:
            raise EdgeAudioError(
                f"{self.path} is for another model: {part} of {name} has shape"
                f" {list(tensor.shape)}, needed is {list(shape)}; {_OTHER}"
            )
        if not np.isfinite(tensor).all():
            raise EdgeAudioError(
                f"{self.path} holds NaN or infinity in {part} of {name}; the file is damaged,"
                " download it again"
            )
        return tensor.reshape(shape)


def bases(weight: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """U [out, rank] and V [in, rank] of a weight [out, in]: its first singular vectors, of which
    the largest entry of each in U is positive (`_canonicalize_svd_signs` of stable-audio-3).
    """
    rows, columns = weight.shape
    tall = weight if rows >= columns else weight.T
    # eigenvectors of the smaller Gram matrix: a fifth of the time of a whole decomposition
    _, vectors = np.linalg.eigh(tall.T @ tall)
    right = vectors[:, ::-1][:, :rank]
    left = tall @ right
    left /= np.maximum(np.linalg.norm(left, axis=0), 1e-300)
    u, v = (left, right) if rows >= columns else (right, left)
    largest = u[np.abs(u).argmax(axis=0), np.arange(rank)]
    signs = np.where(largest < 0, -1.0, 1.0)
    return u * signs, v * signs


def identity(adapters: Iterable[Adapter], component: str) -> str:
    """What fitted adapters make of a component's weights, as text that is the same only for the
    same; empty where they leave them as they are.
    """
    return " ".join(
        f"{adapter.sha256} {adapter.strength!r}"
        for adapter in adapters
        if adapter.strength
        and any(name.startswith(ADAPTED.get(component, "?")) for name in adapter.layers)
    )


def _adaptable(name: str) -> bool:
    """Whether a tensor is of a layer that the official code adapts: linear, or a convolution."""
    return name.startswith(tuple(ADAPTED.values())) and name.endswith(".weight")


def quoted(value: object) -> str:
    """A name in a stranger's file, for a message: on one line, without control characters, and
    whole where `values.shown` would cut the name of a tensor.
    """
    return repr(value)[:100]
