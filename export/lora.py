"""Styles: adapters (LoRA and its relatives), merged into the weights of a checkpoint as they are
read.

An adapter is a .safetensors file as the official code writes it, or a folder of PEFT. The formulas
are those of stable-audio-3, `stable_audio_3/models/lora/model.py`. Nothing is ever unpickled.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_audio.bundle.rules import LONGEST_NAME
from edge_audio.bundle.store import file_sha256
from edge_audio.errors import EdgeAudioError, UsageError

from .checkpoint import Checkpoint, read_safetensors

Reader = Callable[[], np.ndarray]

#: axis of a weight [out, in] along which norms are taken: one for every row, or every column
_ROWS, _COLUMNS = 1, 0
#: kind -> its magnitudes and what each is of, in the order in which they act
_MAGNITUDES: Mapping[str, Mapping[str, int]] = {
    "lora": {},
    "dora-rows": {"magnitude": _ROWS},
    "dora-cols": {"magnitude": _COLUMNS},
    "bora": {"magnitude_r": _ROWS, "magnitude_c": _COLUMNS},
}
_XS = "-xs"
KINDS = tuple(f"{kind}{more}" for more in ("", _XS) for kind in _MAGNITUDES)
#: of older files; the shape of their magnitudes tells whether of rows or of columns
_OLD = "dora"

_PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
_PEFT_CONFIG, _PEFT_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_OFFICIAL_KEY = re.compile(r"(?P<layer>.+)\.parametrizations\.weight\.0\.(?P<part>\w+)")
_PEFT_KEY = re.compile(
    r"base_model\.model\.(?P<layer>.+?)\.(?P<part>lora_A|lora_B|lora_magnitude_vector)"
    r"(\.default)?(\.weight)?"
)
#: What a layer's name in an adapter lacks of its name in a checkpoint. The official code names
#: layers from `model` and from `conditioner` on, PEFT from whatever module it was given.
_ROOTS = ("model.", "conditioner.", "", "model.model.")
#: ways to begin the low-rank matrices that leave the weights as they were
_PEFT_BEGINNINGS = (None, True, False, "gaussian", "eva", "orthogonal")
#: more names than any model has layers
_MOST_NAMES = 10_000
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
    def name(self) -> str:
        """Of its file or folder."""
        return os.path.basename(os.path.abspath(self.path))

    def fitted(self, checkpoint: Checkpoint, starts: Collection[str]) -> Adapter:
        """The same, its layers under the names of the checkpoint's tensors. `starts` of names tell
        which tensors adapters may change.

        EdgeAudioError names the first layer that the checkpoint does not have, that no adapter may
        change, or that should be here and is not.
        """
        layers: dict[str, Layer] = {}
        for found, layer in self.layers.items():
            candidates = (f"{root}{found}.weight" for root in _ROOTS)
            name = next((name for name in candidates if name in checkpoint.tensors), None)
            if name is None:
                raise EdgeAudioError(
                    f"{self.path} is for another model: it changes {_shown(found)}, which this"
                    f" checkpoint does not have; {_OTHER}"
                )
            if not name.startswith(tuple(starts)):
                raise EdgeAudioError(
                    f"{self.path} changes {name}; adapters may change only"
                    f" {' and '.join(f'{start}*' for start in starts)}"
                )
            if name in layers:
                raise EdgeAudioError(f"{self.path} changes {name} twice; {_OTHER}")
            layers[name] = layer
        for name in checkpoint.tensors if self.filter else ():
            own = name.partition(".")[2].removesuffix(".weight")
            if _adaptable(name, starts) and name not in layers and own in (self.filter or ()):
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
        magnitudes = _MAGNITUDES[self.kind.removesuffix(_XS)]
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
        if not self.kind.endswith(_XS):
            up = self._read(name, "lora_B", (rows, layer.rank))
            return up @ self._read(name, "lora_A", (layer.rank, columns))
        if layer.rank > min(rows, columns):
            raise EdgeAudioError(
                f"{self.path} has rank {layer.rank}, tensor {name} of shape {list(first.shape)} has"
                f" not as many bases; {_OTHER}"
            )
        core = self._read(name, "M_xs", (layer.rank, layer.rank))
        u, v = bases(first, layer.rank)
        return u @ core @ v.T

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


class _Merged(Mapping[str, np.ndarray]):
    """Tensors into which adapters are merged, one after the other, when they are asked for."""

    def __init__(self, tensors: Mapping[str, np.ndarray], adapters: Iterable[Adapter]):
        self._tensors, self._adapters = tensors, tuple(adapters)

    def __getitem__(self, name: str) -> np.ndarray:
        original = weight = self._tensors[name]
        for adapter in self._adapters:
            weight = adapter.merged(name, weight, original)
        return weight

    def __contains__(self, name: object) -> bool:
        return name in self._tensors  # without making it

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def merge(checkpoint: Checkpoint, adapters: Iterable[Adapter]) -> Checkpoint:
    """The checkpoint with fitted adapters in its weights: the second gets what the first made, and
    so on. Nothing is read before it is asked for; it keeps the checkpoint's own sha256.
    """
    return dataclasses.replace(
        checkpoint, tensors=_Merged(checkpoint.tensors, adapters), used=set()
    )


def identity(adapters: Iterable[Adapter], start: str) -> str:
    """What fitted adapters make of the tensors whose names have that `start`, as text that is the
    same only for the same; empty where they leave them as they are.
    """
    return " ".join(
        f"{adapter.sha256} {adapter.strength!r}"
        for adapter in adapters
        if adapter.strength and any(name.startswith(start) for name in adapter.layers)
    )


def _adaptable(name: str, starts: Collection[str]) -> bool:
    """Whether a tensor is of a layer that the official code adapts: linear, or a convolution."""
    return name.startswith(tuple(starts)) and name.endswith(".weight")


# --- files ---


def read_adapter(path: Path, strength: float = 1.0) -> Adapter:
    """An adapter's names and configuration; its tensors are read when they are merged.

    path: a .safetensors file of the official code, or a folder of PEFT. EdgeAudioError says what of
    it is missing, damaged or not known here.
    """
    path, strength = Path(path), float(strength)
    if not math.isfinite(strength):
        raise UsageError(
            f"strength {strength} of {path} is not a finite number; 1 is what it was trained at"
        )
    if path.name == _PEFT_WEIGHTS:
        path = path.parent
    if path.is_dir():
        adapter = _read_peft(path, strength)
    elif path.suffix.lower() in _PICKLES:
        raise _pickled(path)
    elif not path.is_file():
        raise EdgeAudioError(
            f"{path} is missing; give the .safetensors file of an adapter, or the folder of one of"
            " PEFT"
        )
    else:
        adapter = _read_official(path, strength)
    if len(adapter.name) > LONGEST_NAME or not adapter.name.isprintable():
        raise EdgeAudioError(
            f"the name of adapter {_shown(adapter.name)} cannot stand in a manifest; rename it"
        )
    return adapter


def _read_official(path: Path, strength: float) -> Adapter:
    """A file as `save_lora_safetensors` of stable-audio-3 writes it: its metadata may have a
    `lora_config`.
    """
    tensors = _by_layer(path, read_safetensors(path), _OFFICIAL_KEY)
    config = _lora_config(path)
    kind = config.get("adapter_type", "lora")
    if kind == _OLD:
        kind = _old_kind(tensors.values())
    if kind not in KINDS:
        raise EdgeAudioError(
            f"{path} has adapter_type {_shown(kind)}; known are {', '.join(KINDS)} and {_OLD}"
        )
    _refuse_parts(path, kind, tensors)
    rank = config.get("rank")
    if rank is None:
        read = next(iter(tensors.values()))["M_xs" if kind.endswith(_XS) else "lora_A"]
        rank = len(np.atleast_1d(read()))
    rank = _rank(path, rank)
    alpha = _alpha(path, config.get("alpha", rank))
    filters = {key: _names(path, key, config.get(key)) for key in ("include", "exclude")}
    return Adapter(
        path,
        file_sha256(path),
        kind,
        strength,
        {layer: Layer(rank, alpha / rank, parts) for layer, parts in tensors.items()},
        # a file without them may come from anywhere, and hold only some layers
        Filter(filters["include"], filters["exclude"] or ()) if filters.keys() & config else None,
    )


def _read_peft(folder: Path, strength: float) -> Adapter:
    """A folder as PEFT's `save_pretrained` writes it (LoraConfig, `get_pattern_key`)."""
    weights, described = folder / _PEFT_WEIGHTS, folder / _PEFT_CONFIG
    pickled = weights.with_suffix(".bin")
    if not weights.is_file() and pickled.is_file():
        raise _pickled(pickled)
    for file in (described, weights):
        if not file.is_file():
            raise EdgeAudioError(
                f"{file} is missing; give a .safetensors file, or a folder with {_PEFT_CONFIG} and"
                f" {_PEFT_WEIGHTS}"
            )
    config = _json(described, described.read_bytes(), described.name)
    for key, known in (
        ("peft_type", ("LORA",)),
        ("fan_in_fan_out", (None, False)),
        ("use_dora", (None, False, True)),
        ("use_rslora", (None, False, True)),
        ("alora_invocation_tokens", (None,)),
        ("init_lora_weights", _PEFT_BEGINNINGS),
    ):
        if config.get(key) not in known:
            raise EdgeAudioError(
                f"{described} has {key} {_shown(config.get(key))}; only adapters with"
                f" {' or '.join(map(repr, known))} can be merged"
            )
    tensors = _by_layer(weights, read_safetensors(weights), _PEFT_KEY)
    for parts in tensors.values():
        if "lora_magnitude_vector" in parts:
            parts["magnitude"] = parts.pop("lora_magnitude_vector")
    kind = "dora-rows" if config.get("use_dora") else "lora"
    _refuse_parts(weights, kind, tensors)
    layers = {}
    for layer, parts in tensors.items():
        rank = _rank(described, _by_name(described, config, "rank_pattern", layer, "r"))
        alpha = _alpha(described, _by_name(described, config, "alpha_pattern", layer, "lora_alpha"))
        # rank-stabilised LoRA (Kalajdzievski 2023) divides by the root
        divisor = math.sqrt(rank) if config.get("use_rslora") else rank
        layers[layer] = Layer(rank, alpha / divisor, parts)
    sha256 = hashlib.sha256((file_sha256(weights) + file_sha256(described)).encode()).hexdigest()
    return Adapter(folder, sha256, kind, strength, layers)


def _by_layer(
    path: Path, tensors: Mapping[str, Reader], pattern: re.Pattern[str]
) -> dict[str, dict[str, Reader]]:
    """Layer -> its tensors by name; EdgeAudioError for a name that is no adapter's."""
    layers: dict[str, dict[str, Reader]] = {}
    for key, read in tensors.items():
        match = pattern.fullmatch(key)
        if not match:
            raise EdgeAudioError(
                f"{path} holds tensor {_shown(key)}, which no adapter of Stable Audio 3 has; give"
                " an adapter as the official code or PEFT writes it"
            )
        layers.setdefault(match["layer"], {})[match["part"]] = read
    if not layers:
        raise EdgeAudioError(f"{path} holds no tensors; download it again")
    return layers


def _refuse_parts(path: Path, kind: str, layers: Mapping[str, Mapping[str, Reader]]) -> None:
    """EdgeAudioError for the first layer that lacks a tensor of its kind or has one of another.
    Magnitudes may be left out, of all layers.
    """
    needed = {"M_xs"} if kind.endswith(_XS) else {"lora_A", "lora_B"}
    magnitudes = set(_MAGNITUDES[kind.removesuffix(_XS)])
    if any(magnitudes & parts.keys() for parts in layers.values()):
        needed |= magnitudes
    for layer, parts in layers.items():
        if missing := sorted(needed - parts.keys()):
            raise EdgeAudioError(
                f"{path} has no {missing[0]} of {_shown(layer)}, which kind {kind} needs; download"
                " it again"
            )
        if foreign := sorted(parts.keys() - needed):
            raise EdgeAudioError(
                f"{path} has {_shown(foreign[0])} of {_shown(layer)}, which kind {kind} has not;"
                " its adapter_type must say what it is"
            )


def _old_kind(layers: Iterable[Mapping[str, Reader]]) -> str:
    """Of columns where magnitudes are [1, in], otherwise of rows (`resolve_adapter_type`)."""
    first = next((parts["magnitude"] for parts in layers if "magnitude" in parts), None)
    shape = first().shape if first else ()
    return "dora-cols" if len(shape) == 2 and shape[0] == 1 else "dora-rows"


def _lora_config(path: Path) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        text = (file.metadata() or {}).get("lora_config", "{}")
    return _json(path, text, "lora_config")


def _json(path: Path, text: str | bytes, what: str) -> dict[str, Any]:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, dict):
        raise EdgeAudioError(f"{path}: {what} is no JSON object; download it again")
    return entries


def _by_name(path: Path, config: Mapping[str, Any], entry: str, layer: str, default: str) -> Any:
    """The value of the first name in an entry that the layer's name is or ends with, or the
    default's. PEFT takes these names for regular expressions; a stranger's could run forever.
    """
    given = config.get(entry) or {}
    for pattern, value in given.items() if isinstance(given, dict) else ():
        name = pattern.removeprefix("^").replace("\\.", ".")
        if not re.fullmatch(r"[\w.]+", name):
            raise EdgeAudioError(
                f"{path} has {entry} {_shown(pattern)}, which is no name of layers; only names can"
                " be read"
            )
        if layer == name or (layer.endswith(f".{name}") and not pattern.startswith("^")):
            return value
    return config.get(default)


def _rank(path: Path, rank: Any) -> int:
    if type(rank) is not int or rank < 1:
        raise EdgeAudioError(f"{path} has rank {_shown(rank)}; an adapter has 1 or more")
    return rank


def _alpha(path: Path, alpha: Any) -> float:
    number = isinstance(alpha, (int, float)) and not isinstance(alpha, bool)
    if not number or not abs(alpha) < 1e6:
        raise EdgeAudioError(f"{path} has alpha {_shown(alpha)}; an adapter has a finite number")
    return float(alpha)


def _names(path: Path, key: str, given: Any) -> tuple[str, ...] | None:
    """Parts of names, brackets written out: "layers.[0-2]." is three of them."""
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise EdgeAudioError(f"{path}: {key} of lora_config is no list of names; download it again")
    names = tuple(
        itertools.islice(
            (name for one in given for name in _written_out(one.strip())), _MOST_NAMES + 1
        )
    )
    if len(names) > _MOST_NAMES:
        raise EdgeAudioError(
            f"{path}: {key} of lora_config stands for too many names; a model has fewer layers"
        )
    return names


def _written_out(pattern: str) -> Iterator[str]:
    match = re.search(r"\[(\d{1,9})-(\d{1,9})\]", pattern)
    if not match:
        yield pattern
        return
    low, high = sorted((int(match[1]), int(match[2])))
    for number in range(low, high + 1):
        yield from _written_out(f"{pattern[: match.start()]}{number}{pattern[match.end() :]}")


def _pickled(path: Path) -> EdgeAudioError:
    return EdgeAudioError(
        f"{path} is a pickle, which may run code when it is read, and is not read; ask for the"
        " adapter as .safetensors"
    )


def _shown(value: object) -> str:
    """Of a stranger's file, for a message: on one line, without control characters, not long."""
    return repr(value)[:100]
