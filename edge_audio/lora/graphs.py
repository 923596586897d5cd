"""Where the weights of layers lie in a .tflite file: operations bear the official names of their
layers, so that each is found by name, and its numbers can be overwritten in place.

Field numbers are those of LiteRT's schema.fbs (version 3).
"""

from __future__ import annotations

import dataclasses
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_audio.errors import EdgeAudioError
from edge_audio.system.tables import File, Table

#: a dotted name before a slash, as the exporter gives it
_SCOPE = re.compile(r"(?:^|;)([^;/]+(?:\.[^;/]+)+)/")
_FULLY_CONNECTED, _DEQUANTIZE, _RESHAPE = 9, 6, 22
_TYPES = {0: "FLOAT32", 1: "FLOAT16", 9: "INT8", 17: "INT4"}
_BITS = {"FLOAT32": 32, "FLOAT16": 16, "INT8": 8, "INT4": 4}
_BLOCKWISE = 2
#: numbers to read of a file's tables; the full-size transformer has about 200 000
_MOST_NUMBERS = 1 << 23

_CODES, _SUBGRAPHS, _BUFFERS = 1, 2, 4  # of the model
_OLD_CODE, _CODE = 0, 3  # of an operator code
_TENSORS, _OPERATORS = 0, 3  # of a subgraph
_WHICH, _INPUTS, _OUTPUTS = 0, 1, 2  # of an operator
_SHAPE, _TYPE, _BUFFER, _NAME, _QUANTIZATION = 0, 1, 2, 3, 4  # of a tensor
_DATA, _OFFSET, _SIZE = 0, 1, 2  # of a buffer
_SCALE, _DETAILS_TYPE, _DETAILS = 2, 4, 5  # of a quantization
_SCALES, _BLOCK = 0, 2  # of its details


@dataclass(frozen=True)
class Span:
    """Bytes of a file."""

    begin: int
    size: int

    def of(self, data: np.ndarray, type: str) -> np.ndarray:
        """Them as numbers of a type of NumPy's, which are the file's own."""
        return data[self.begin : self.begin + self.size].view(type)


@dataclass(frozen=True)
class Weights:
    """Where the weights [outputs, inputs] of a layer lie, and how they are stored.

    Signatures share values, and each may have the rest of its own. scales: of integers, float32,
    one for every output; where inputs share one by `block`, float16, [outputs, inputs / block].
    biases: float32 [outputs]. rotation: the matrix float32 [n, n] by which every n inputs are
    multiplied before the layer, and the weights were when they were stored. fused: whether the
    converter multiplied something into them that stood before the layer.
    """

    shape: tuple[int, int]
    type: str
    values: Span
    scales: tuple[Span, ...] = ()
    block: int = 0
    rotation: Span | None = None
    biases: tuple[Span, ...] = ()
    fused: bool = False

    def joined(self, other: Weights) -> Weights:
        """The same values in another signature."""
        own, others = (
            dataclasses.replace(one, scales=(), biases=(), rotation=None) for one in (self, other)
        )
        if own != others or (self.rotation is None) != (other.rotation is None):
            raise ValueError("signatures disagree on the weights that they share")
        return dataclasses.replace(
            self,
            scales=tuple(dict.fromkeys((*self.scales, *other.scales))),
            biases=tuple(dict.fromkeys((*self.biases, *other.biases))),
        )


def scope(names: Iterable[str]) -> str | None:
    """The official name of the layer to which an operation belongs whose tensors have these
    names.
    """
    for name in names:
        if found := _SCOPE.findall(name):
            return str(found[-1])
    return None


def layers(path: Path) -> dict[str, tuple[Weights, ...]]:
    """Official name -> weights of every linear layer of a graph that has one. Signatures share
    them: there are several only where a file holds them more than once.

    EdgeAudioError for a file whose tables do not hold together.
    """
    data = np.memmap(path, np.uint8, "r")
    try:
        model = File(data.data, _MOST_NUMBERS).root()
        codes = [
            max(code.number(_OLD_CODE, "b"), code.number(_CODE)) for code in model.tables(_CODES)
        ]
        found: dict[str, dict[int, Weights]] = {}
        for subgraph in model.tables(_SUBGRAPHS):
            for name, weights in _Subgraph(model, subgraph, codes, len(data)).layers():
                places = found.setdefault(name, {})
                before = places.get(weights.values.begin)
                places[weights.values.begin] = before.joined(weights) if before else weights
    except (struct.error, ValueError, IndexError) as error:
        raise EdgeAudioError(
            f"{path} is not a graph whose layers can be read ({error}); copy the bundle again or"
            " export the model again"
        ) from None
    return {name: tuple(parts.values()) for name, parts in found.items()}


class _Subgraph:
    """The operations of a subgraph; ValueError for what cannot be."""

    def __init__(self, model: Table, subgraph: Table, codes: list[int], size: int):
        self._model, self._subgraph, self._size = model, subgraph, size
        self._count = subgraph.count(_TENSORS)
        self._operators = [
            (codes[operator.number(_WHICH)], operator.numbers(_INPUTS), operator.numbers(_OUTPUTS))
            for operator in subgraph.tables(_OPERATORS)
        ]
        self._made_by = {
            output: (code, inputs)
            for code, inputs, outputs in self._operators
            for output in outputs
        }

    def layers(self) -> Iterable[tuple[str, Weights]]:
        """Name and weights of every linear layer, once for every operation."""
        for code, inputs, outputs in self._operators:
            if code != _FULLY_CONNECTED or len(inputs) < 2 or not outputs:
                continue
            stored = self._stored(inputs[1])
            names = [self._name(number) for number in (inputs[1], outputs[0], stored)]
            layer = scope(names)
            if layer is None or any(map(_is_rotation, names)) or self._span(stored) is None:
                continue
            yield (
                layer,
                dataclasses.replace(
                    self._weights(stored),
                    rotation=self._rotation(inputs[0]),
                    biases=self._biases(inputs, self._tensor(stored).numbers(_SHAPE)[0]),
                    fused=not all(part.startswith(layer) for part in names[2].split(";")),
                ),
            )

    def _stored(self, number: int) -> int:
        """The constant behind a tensor that is widened when the graph is loaded."""
        code, inputs = self._made_by.get(number, (None, ()))
        return inputs[0] if code == _DEQUANTIZE and inputs else number

    def _rotation(self, number: int) -> Span | None:
        """The matrix by which a layer's input was turned, if it was."""
        for _ in range(4):
            code, inputs = self._made_by.get(number, (None, ()))
            if code == _FULLY_CONNECTED and _is_rotation(self._name(inputs[1])):
                return self._span(inputs[1])
            if code != _RESHAPE or not inputs:
                break
            number = inputs[0]
        return None

    def _biases(self, inputs: tuple[int, ...], outputs: int) -> tuple[Span, ...]:
        """Of one operation: one, or none."""
        span = self._span(inputs[2]) if len(inputs) > 2 and inputs[2] >= 0 else None
        if span and (span.size != 4 * outputs or self._tensor(inputs[2]).number(_TYPE, "b")):
            raise ValueError(f"{span.size} bytes of biases of {outputs} outputs")
        return (span,) if span else ()

    def _weights(self, number: int) -> Weights:
        tensor = self._tensor(number)
        shape, values = tensor.numbers(_SHAPE), self._span(number)
        type = _TYPES.get(tensor.number(_TYPE, "b"))
        if type is None or values is None or len(shape) != 2 or min(shape) < 1:
            raise ValueError(f"weights of shape {list(shape[:4])} and a type that no export has")
        count = shape[0] * shape[1]
        if values.size != (count * _BITS[type] + 7) // 8:
            raise ValueError(f"{values.size} bytes of weights of shape {list(shape)}")
        if not type.startswith("INT"):
            return Weights(shape, type, values)
        scales, block = self._scales(tensor, shape)
        return Weights(shape, type, values, (scales,), block)

    def _scales(self, tensor: Table, shape: tuple[int, ...]) -> tuple[Span, int]:
        """Of integers, and how many inputs share one; 0: all."""
        quantization = tensor.part(_QUANTIZATION)
        if quantization is None:
            raise ValueError("integers without scales")
        details = quantization.part(_DETAILS)
        if quantization.number(_DETAILS_TYPE, "B") == _BLOCKWISE and details is not None:
            scales, block = self._span(details.number(_SCALES)), details.number(_BLOCK)
            if not scales or block < 1 or scales.size * block != 2 * shape[0] * shape[1]:
                raise ValueError("scales of blocks that do not fit their weights")
            return scales, block
        begin, count = quantization.vector(_SCALE)
        if count != shape[0] or begin + 4 * count > self._size:
            raise ValueError(f"{count} scales of {shape[0]} outputs")
        return Span(begin, 4 * count), 0

    def _span(self, number: int) -> Span | None:
        """Where a constant lies; None for what is none."""
        index = self._tensor(number).number(_BUFFER, "I")
        if not 0 <= index < self._model.count(_BUFFERS):
            raise ValueError(f"a tensor is buffer {index}, which is not there")
        buffer = self._model.table(_BUFFERS, index)
        begin, size = buffer.number(_OFFSET, "Q"), buffer.number(_SIZE, "Q")
        if begin <= 1:  # else it lies behind the tables
            begin, size = buffer.vector(_DATA)
        if begin + size > self._size:
            raise ValueError("a constant lies outside of it")
        return Span(begin, size) if size else None

    def _name(self, number: int) -> str:
        return self._tensor(number).text(_NAME).decode(errors="replace")

    def _tensor(self, number: int) -> Table:
        if not 0 <= number < self._count:
            raise ValueError(f"an operation names tensor {number} of {self._count}")
        return self._subgraph.table(_TENSORS, number)


def _is_rotation(name: str) -> bool:
    """Whether the quantizer gave a tensor this name when it turned a layer's input."""
    return "hadamard" in name or name.endswith("_rotated")
