"""Signatures for many lengths, made of the converted ones for a few.

Tracing and converting a transformer for every length would take hours. But two conversions of the
same function at two lengths are the same graph but for some dimensions, which follow the length in
a straight line: so any length between is a copy of one with these dimensions computed. Weights are
shared; what else a graph of another length has anew are the constants that hold shapes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_audio.errors import EdgeAudioError

Lengths = Mapping[str, int]
#: of constants in a file, in bytes
ALIGNMENT = 64


@dataclass(frozen=True)
class Ladder:
    """A stage's signatures: those that were converted, and those that are wanted.

    The first template is the base; each of the others differs from it in one length.
    """

    templates: dict[str, Lengths]
    wanted: dict[str, Lengths]


def expand(model: bytes, ladders: Iterable[Ladder]) -> bytes:
    """A .tflite with the wanted signatures in place of their templates.

    EdgeAudioError if the templates are not the same graph at other lengths.
    """
    flat = _read(model)
    constants: dict[tuple[int, bytes], int] = {}
    subgraphs, signatures = [], []
    templates = {name for ladder in ladders for name in ladder.templates}
    found = {_text(signature.signatureKey): signature for signature in flat.signatureDefs}
    for name, signature in found.items():
        if name not in templates:
            subgraphs.append(flat.subgraphs[signature.subgraphIndex])
            signature.subgraphIndex = len(subgraphs) - 1
            signatures.append(signature)
    for ladder in ladders:
        shape = _Template(flat, found, ladder, constants)
        for name, lengths in ladder.wanted.items():
            subgraph, signature = shape.at(name, lengths)
            subgraphs.append(subgraph)
            signature.subgraphIndex = len(subgraphs) - 1
            signatures.append(signature)
    flat.subgraphs, flat.signatureDefs = subgraphs, signatures
    return _written(flat)


def _read(model: bytes) -> Any:
    """The tables of a .tflite; its large constants are views of it, wherever they lie."""
    from ai_edge_litert import schema_py_generated as schema

    flat = schema.ModelT.InitFromPackedBuf(model, 0)
    for buffer in flat.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(model, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return flat


def _written(flat: Any) -> bytes:
    """A .tflite whose large constants lie behind its tables, aligned, where they can be mapped."""
    import flatbuffers

    large = [buffer for buffer in flat.buffers if buffer.data is not None and len(buffer.data) > 64]
    contents = [buffer.data for buffer in large]
    for buffer, data in zip(large, contents):
        buffer.data, buffer.offset, buffer.size = None, 2, len(data)

    def tables() -> bytes:
        builder = flatbuffers.Builder(1 << 24)
        builder.Finish(flat.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    # an offset takes the same room whatever it is, so the tables' size is known before it
    parts = [b""]
    place = len(tables())
    for buffer, data in zip(large, contents):
        gap = -place % ALIGNMENT
        parts += [bytes(gap), data]
        buffer.offset = place + gap
        place += gap + len(data)
    parts[0] = tables()
    return b"".join(parts)


class _Template:
    """A subgraph whose dimensions are known for every length."""

    def __init__(self, flat: Any, signatures: dict[str, Any], ladder: Ladder, constants: Any):
        missing = set(ladder.templates) - set(signatures)
        if missing:
            raise EdgeAudioError(f"no signature {', '.join(sorted(missing))} was converted")
        (base, self.lengths), *others = ladder.templates.items()
        self._flat, self._constants = flat, constants
        self._signature = signatures[base]
        self._base = flat.subgraphs[self._signature.subgraphIndex]
        self._others = []
        for name, lengths in others:
            (kind,) = (kind for kind in lengths if lengths[kind] != self.lengths[kind])
            subgraph = flat.subgraphs[signatures[name].subgraphIndex]
            _same_graph(self._base, subgraph, name)
            self._others.append((kind, lengths[kind], subgraph))

    def at(self, name: str, lengths: Lengths) -> tuple[Any, Any]:
        """The subgraph and the signature for these lengths."""
        subgraph, signature = copy.copy(self._base), copy.deepcopy(self._signature)
        subgraph.name = signature.signatureKey = name.encode()
        subgraph.tensors = [
            self._tensor(index, tensor, lengths) for index, tensor in enumerate(self._base.tensors)
        ]
        subgraph.operators = [
            self._operator(index, operator, lengths)
            for index, operator in enumerate(self._base.operators)
        ]
        return subgraph, signature

    def _tensor(self, index: int, tensor: Any, lengths: Lengths) -> Any:
        made = copy.copy(tensor)
        others = [
            (kind, length, subgraph.tensors[index]) for kind, length, subgraph in self._others
        ]
        for field in ("shape", "shapeSignature"):
            values = getattr(tensor, field)
            if values is not None and len(values):
                rows = [(kind, at, getattr(other, field)) for kind, at, other in others]
                setattr(made, field, self._values(values, rows, lengths))
        made.buffer = self._buffer(tensor, made, others, lengths)
        return made

    def _values(self, base: Any, others: list[tuple[str, int, Any]], lengths: Lengths) -> Any:
        """Whole numbers that follow the lengths in straight lines."""
        base = np.asarray(base)
        values = base.astype(np.int64)
        for kind, at, other in others:
            rise, run = np.asarray(other).astype(np.int64) - base, at - self.lengths[kind]
            slope, rest = np.divmod(rise, run)
            if rest.any():
                raise EdgeAudioError(f"{kind} change a shape by {rise.tolist()} over {run}")
            values = values + slope * (lengths[kind] - self.lengths[kind])
        return values.astype(base.dtype)

    def _buffer(
        self, tensor: Any, made: Any, others: list[tuple[str, int, Any]], lengths: Lengths
    ) -> int:
        """The constant of a tensor, if it has one, for these lengths."""
        buffers = self._flat.buffers
        same = all(other.buffer == tensor.buffer for _, _, other in others)
        data = buffers[tensor.buffer].data
        if data is None or same:
            return int(tensor.buffer)
        kind = np.dtype(np.int32) if tensor.type == _INT32 else np.dtype(np.uint8)
        contents = [(k, at, np.asarray(buffers[other.buffer].data)) for k, at, other in others]
        if kind == np.int32:
            rows = [(k, at, content.view(np.int32)) for k, at, content in contents]
            value = self._values(np.asarray(data).view(np.int32), rows, lengths).view(np.uint8)
        else:
            value = _prefix(
                tensor,
                made,
                [(data, tensor)]
                + [(content, other) for (_, _, content), (_, _, other) in zip(contents, others)],
            )
        return self._kept(value)

    def _kept(self, value: Any) -> int:
        """Index of a buffer with that content; the same serves all who ask for it."""
        key = (len(value), value.tobytes())
        if key not in self._constants:
            buffer = copy.copy(self._flat.buffers[0])
            buffer.data = value
            self._flat.buffers.append(buffer)
            self._constants[key] = len(self._flat.buffers) - 1
        return self._constants[key]

    def _operator(self, index: int, operator: Any, lengths: Lengths) -> Any:
        options = operator.builtinOptions
        if options is None or getattr(options, "newShape", None) is None:
            return operator
        made = copy.copy(operator)
        made.builtinOptions = copy.copy(options)
        rows = [
            (kind, at, subgraph.operators[index].builtinOptions.newShape)
            for kind, at, subgraph in self._others
        ]
        made.builtinOptions.newShape = self._values(options.newShape, rows, lengths)
        return made


_INT32 = 2  # TensorType


def _prefix(tensor: Any, made: Any, versions: list[tuple[Any, Any]]) -> Any:
    """A table of positions for a length: the first rows of the longest one that was converted."""
    content, longest = max(versions, key=lambda version: len(version[0]))
    shape, wanted = list(longest.shape), list(made.shape)
    axes = [i for i, (a, b) in enumerate(zip(tensor.shape, shape)) if a != b]
    if not axes:
        if any(not np.array_equal(content, other) for other, _ in versions):
            raise EdgeAudioError(f"constant {_text(tensor.name)} changes with the length")
        return content
    (axis,) = axes
    rows = np.asarray(content).reshape(int(np.prod(shape[:axis])), shape[axis], -1)
    for other, described in versions:
        size = described.shape[axis]
        if not np.array_equal(rows[:, :size].ravel(), np.asarray(other)):
            raise EdgeAudioError(f"constant {_text(tensor.name)} is no table of positions")
    if wanted[axis] > shape[axis]:
        raise EdgeAudioError(f"constant {_text(tensor.name)} ends at {shape[axis]} positions")
    return np.ascontiguousarray(rows[:, : wanted[axis]]).reshape(-1)


def _same_graph(base: Any, other: Any, name: str) -> None:
    """EdgeAudioError unless two subgraphs are the same but for dimensions."""
    alike = (
        len(base.tensors) == len(other.tensors)
        and len(base.operators) == len(other.operators)
        and np.array_equal(base.inputs, other.inputs)
        and np.array_equal(base.outputs, other.outputs)
        and all(a.type == b.type for a, b in zip(base.tensors, other.tensors))
        and all(
            a.opcodeIndex == b.opcodeIndex
            and np.array_equal(a.inputs, b.inputs)
            and np.array_equal(a.outputs, b.outputs)
            for a, b in zip(base.operators, other.operators)
        )
    )
    if not alike:
        raise EdgeAudioError(
            f"{name} was not converted to the same graph as at another length; report it with the"
            " model_config.json"
        )


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
