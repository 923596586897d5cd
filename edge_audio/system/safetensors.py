"""Files of safetensors: a length, a header in JSON, and raw numbers behind it. Nothing in them can
run, and what the header says is bounded by the file before it is believed.

https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_audio.errors import EdgeAudioError, first_line

#: type -> how its numbers lie in the file. NumPy has no BF16: those are the upper halves of F32.
_TYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
}
#: names the parts of weights that are no single file
INDEX = "model.safetensors.index.json"
#: bytes of a header; the largest checkpoints have less than one MB
LONGEST_HEADER = 16 << 20
MOST_DIMENSIONS = 8


@dataclass(frozen=True)
class Tensor:
    """Where a tensor lies in a mapped file; called, it is read."""

    type: str
    shape: tuple[int, ...]
    _stored: np.ndarray

    def __call__(self) -> np.ndarray:
        """float32 or float16, of the tensor's shape."""
        values: np.ndarray = self._stored.view(_TYPES[self.type])
        if self.type == "BF16":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        return np.asarray(values.reshape(self.shape).copy())


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Name -> tensor, and the metadata; the file stays mapped as long as a tensor of it is held.

    EdgeAudioError for a file that is damaged, of another kind, or of tensors in another type.
    """
    try:
        data = np.memmap(path, np.uint8, "r")
        entries, begin = _header(data)
        metadata = entries.pop("__metadata__", {})
        if not isinstance(metadata, dict):
            raise ValueError("its metadata is no JSON object")
        tensors = {name: _tensor(name, entry, data[begin:]) for name, entry in entries.items()}
        if sum(tensor._stored.nbytes for tensor in tensors.values()) != len(data) - begin:
            raise ValueError("its tensors are not all of the file")
    except (OSError, ValueError, RecursionError) as error:
        raise EdgeAudioError(
            f"{path} cannot be read as safetensors ({first_line(error)}); download it again"
        ) from None
    for name, tensor in tensors.items():
        if tensor.type not in _TYPES:
            raise EdgeAudioError(
                f"tensor {ascii(name)[1:-1][:99]} of {path} is {tensor.type}; convert it to F32,"
                " F16 or BF16"
            )
    return tensors, {str(key): str(value) for key, value in metadata.items()}


def weights(folder: Path) -> list[Path]:
    """The files of a checkpoint's weights: `model.safetensors`, or the parts that an index names,
    or none if it has neither.

    EdgeAudioError for a damaged index, or a part that is missing.
    """
    whole, index = folder / "model.safetensors", folder / INDEX
    if whole.is_file():
        return [whole]
    if not index.is_file():
        return []
    paths = [folder / name for name in parts(index.read_bytes(), index)]
    for path in paths:
        if not path.is_file():
            raise EdgeAudioError(f"{folder} lacks {path.name}, which {INDEX} names")
    return paths


def parts(index: bytes, path: Path | str) -> list[str]:
    """The files that an index of weights, read from `path`, names, sorted; all lie beside it.

    EdgeAudioError for what is no such index.
    https://huggingface.co/docs/transformers/big_models
    """
    try:
        names = sorted({str(name) for name in json.loads(index)["weight_map"].values()})
        if not names:
            raise ValueError("it names no file")
        for name in names:
            if not re.fullmatch(r"[\w-][\w.-]*\.safetensors", name, re.ASCII):
                raise ValueError(f"{ascii(name)[:99]} is no file beside it")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise EdgeAudioError(
            f"{path} is no index of weights ({first_line(error)}); download it again"
        ) from None
    return names


def _header(data: np.ndarray) -> tuple[dict[str, Any], int]:
    """The header's entries, and where the numbers begin."""
    length = int.from_bytes(data[:8].tobytes(), "little")
    if not 2 <= length <= min(LONGEST_HEADER, len(data) - 8):
        raise ValueError("its header is not as long as it says")
    entries = json.loads(data[8 : 8 + length].tobytes(), object_pairs_hook=_once)
    if not isinstance(entries, dict):
        raise ValueError("its header is no JSON object")
    return entries, 8 + length


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("its header has a name twice")
    return found


def _tensor(name: str, entry: Any, data: np.ndarray) -> Tensor:
    """ValueError for an entry that no file of this format has."""
    shown = repr(name)[:100]
    if not isinstance(entry, Mapping):
        raise ValueError(f"the entry of tensor {shown} is no JSON object")
    kind: Any
    shape: Any
    offsets: Any
    kind, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not (isinstance(kind, str) and kind.isalnum() and len(kind) < 16):
        raise ValueError(f"the type of tensor {shown} is none")
    if not (_are_sizes(shape) and _are_sizes(offsets)) or len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"the shape or the place of tensor {shown} is none")
    if len(offsets) != 2 or not offsets[0] <= offsets[1] <= len(data):
        raise ValueError(f"tensor {shown} lies outside of it")
    stored = data[offsets[0] : offsets[1]]
    if kind in _TYPES and stored.nbytes != math.prod(shape) * _TYPES[kind].itemsize:
        raise ValueError(f"tensor {shown} has not as many numbers as its shape")
    return Tensor(kind, tuple(shape), stored)


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(one) is int and one >= 0 for one in value)
