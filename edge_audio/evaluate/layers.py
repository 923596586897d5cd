"""The layers inside a graph: what they are called, what they weigh, and what each of them gives.

Exported graphs keep the official names of their layers (`transformer.layers.3.ff.ff.2`) in the
names of their tensors. A graph in another precision has the same layers, so two graphs can be
compared layer by layer.
"""

from __future__ import annotations

import contextlib
import math
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_audio.errors import EdgeAudioError
from edge_audio.lora.graphs import scope
from edge_audio.system.graph import Graph

#: operations that have weights, and that a quantizer may change
KINDS = ("FULLY_CONNECTED", "CONV_2D")
_ROOTS = re.compile(r"^(?:model\.model\.|pretransform\.model\.)")
#: of constants behind a file's tables
ALIGNMENT = 64
_BITS = {"FLOAT32": 32, "FLOAT16": 16, "INT8": 8, "INT4": 4}


@dataclass(frozen=True)
class Operation:
    """One run of a layer in one signature: where it stands, and its weights."""

    layer: str
    kind: str
    subgraph: int
    #: place in the order of execution
    index: int
    #: name of its output tensor
    output: str
    #: of the weights, outputs first
    shape: tuple[int, ...]
    #: type of the stored weights: FLOAT32, FLOAT16, INT8 or INT4
    stored: str
    #: whether negative outputs become 0 in the same operation
    rectified: bool = False
    #: name of the signature
    signature: str = ""
    #: rows of outputs, such as frames, at the length that the graph was written with
    rows: int = 1

    @property
    def bytes(self) -> int:
        """Of the stored weights, without scales."""
        count = 1
        for size in self.shape:
            count *= size
        return count * _BITS[self.stored] // 8


def operations(path: str | Path) -> list[Operation]:
    """All operations with constant weights, subgraph by subgraph in the order in which they run."""
    return list(_operations(_read(path)))


@contextlib.contextmanager
def exposed(
    path: str | Path, signatures: tuple[str, ...], threads: int, inputs: tuple[str, ...] = ()
) -> Iterator[tuple[Graph, dict[str, list[str]]]]:
    """The graph opened such that `signatures` return what every layer gives, beside their own
    outputs; and signature -> layers in order.

    The outputs are named after the layers. inputs: layers of which what they take is returned too,
    as NAME.input.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / Path(path).name
        names = expose(path, signatures, out, inputs)
        with Graph(out, threads) as graph:
            yield graph, names


def expose(
    path: str | Path, signatures: tuple[str, ...], out: Path, inputs: tuple[str, ...] = ()
) -> dict[str, list[str]]:
    """Write to `out` the same graph with the output of every layer as one more output, and with
    these signatures alone; signature -> layers in order.

    A layer of several operations (a convolution that is split over its inputs) gives their sum.
    """
    from ai_edge_litert.schema_py_generated import TensorMapT

    model = _read(path)
    names: dict[str, list[str]] = {}
    for signature in model.signatureDefs:
        name = signature.signatureKey.decode()
        if name not in signatures:
            continue
        runs: dict[str, list[Operation]] = {}
        for operation in _operations(model):
            if operation.subgraph == signature.subgraphIndex:
                runs.setdefault(operation.layer, []).append(operation)
        graph = model.subgraphs[signature.subgraphIndex]
        names[name], outputs = list(runs), list(graph.outputs)
        shown = [(layer, _result(model, graph, parts)) for layer, parts in runs.items()]
        shown += [
            (f"{layer}.input", int(graph.operators[parts[0].index].inputs[0]))
            for layer, parts in runs.items()
            if layer in inputs
        ]
        for label, tensor in shown:
            entry = TensorMapT()
            entry.name, entry.tensorIndex = label.encode(), tensor
            signature.outputs.append(entry)
            if tensor not in outputs:
                outputs.append(tensor)
        graph.outputs = outputs
    _keep(model, signatures)
    _write(model, out)
    return names


def _keep(model: Any, signatures: tuple[str, ...]) -> None:
    """Leave out what other signatures run: an interpreter would pack weights for each of them."""
    model.signatureDefs = [
        found for found in model.signatureDefs if found.signatureKey.decode() in signatures
    ]
    kept = sorted({found.subgraphIndex for found in model.signatureDefs})
    model.subgraphs = [model.subgraphs[index] for index in kept]
    for found in model.signatureDefs:
        found.subgraphIndex = kept.index(found.subgraphIndex)


def weights(path: str | Path) -> Iterator[tuple[Operation, np.ndarray, float]]:
    """Every layer's weights as floats, with the share of integers at the end of their range (0 for
    floats), once a layer and part.
    """
    model, seen = _read(path), set()
    for operation in _operations(model):
        graph = model.subgraphs[operation.subgraph]
        tensor = graph.tensors[graph.operators[operation.index].inputs[1]]
        made_by = {
            int(output): operator for operator in graph.operators for output in operator.outputs
        }
        if (source := made_by.get(int(graph.operators[operation.index].inputs[1]))) is not None:
            tensor = graph.tensors[source.inputs[0]]
        if tensor.buffer in seen:
            continue
        seen.add(tensor.buffer)
        values, end = _floats(model, graph, tensor, operation)
        yield operation, values, end


def epsilons(path: str | Path) -> list[float]:
    """What the norms of a graph add to a variance before the root, in order: the constants x + eps
    of every 1/√(x + eps).
    """
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    model, found = _read(path), []
    codes = [code.builtinCode for code in model.operatorCodes]
    for graph in model.subgraphs:
        made_by = {
            int(output): operator for operator in graph.operators for output in operator.outputs
        }
        for operator in graph.operators:
            source = (
                made_by.get(int(operator.inputs[0]))
                if codes[operator.opcodeIndex] == BuiltinOperator.RSQRT
                else None
            )
            if source is None or codes[source.opcodeIndex] != BuiltinOperator.ADD:
                continue
            for tensor in (graph.tensors[index] for index in source.inputs):
                data = model.buffers[tensor.buffer].data
                if data is not None and len(data) == 4:
                    found.append(float(np.asarray(data, np.uint8).view(np.float32)[0]))
    return found


def _floats(model: Any, graph: Any, tensor: Any, operation: Operation) -> tuple[np.ndarray, float]:
    raw = np.asarray(model.buffers[tensor.buffer].data, np.uint8)
    if operation.stored in ("FLOAT32", "FLOAT16"):
        return (
            raw.view(np.float32 if operation.stored == "FLOAT32" else np.float16)
            .astype(np.float32)
            .reshape(operation.shape),
            0.0,
        )
    if operation.stored == "INT4":  # two to a byte, the first in the low half
        halves = np.stack([raw & 15, raw >> 4], axis=-1).reshape(-1)[: np.prod(operation.shape)]
        values, limit = (halves.astype(np.int8) ^ 8) - 8, 7
    else:
        values, limit = raw.view(np.int8), 127
    values = values.reshape(operation.shape)
    scale = _scales(model, graph, tensor.quantization, operation.shape)
    return values.astype(np.float32) * scale, float(
        np.mean(np.abs(values.astype(np.int16)) >= limit)
    )


def _scales(model: Any, graph: Any, quantization: Any, shape: tuple[int, ...]) -> np.ndarray:
    """One for every weight, one for each output, or one for each block of inputs of each output."""
    if quantization.scale is None or not len(
        quantization.scale
    ):  # blockwise: float16, in a tensor of its own
        details = quantization.details
        values = (
            np.asarray(model.buffers[graph.tensors[details.scales].buffer].data, np.uint8)
            .view(np.float16)
            .astype(np.float32)
        )
        return np.repeat(values.reshape(shape[0], -1), details.blockSize, axis=1).reshape(shape)
    scale = np.asarray(quantization.scale, np.float32)
    return scale if scale.size == 1 else scale.reshape(-1, *[1] * (len(shape) - 1))


def _result(model: Any, graph: Any, parts: list[Operation]) -> int:
    """The tensor that holds what a layer gives."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    tensor = int(graph.operators[parts[-1].index].outputs[0])
    while len(parts) > 1:
        readers = [operator for operator in graph.operators if tensor in operator.inputs]
        if (
            len(readers) != 1
            or model.operatorCodes[readers[0].opcodeIndex].builtinCode != BuiltinOperator.ADD
        ):
            break
        tensor = int(readers[0].outputs[0])
    return tensor


def _read(path: str | Path) -> Any:
    from ai_edge_litert.tools import flatbuffer_utils

    try:
        model = flatbuffer_utils.read_model(str(path))
        for buffer in model.buffers:  # what lies behind the tables comes as plain bytes
            if buffer.data is not None and not isinstance(buffer.data, np.ndarray):
                buffer.data = np.frombuffer(buffer.data, np.uint8)
        return model
    except Exception as error:  # whatever a damaged flatbuffer makes of the generated reader
        raise EdgeAudioError(
            f"{path} is not a graph whose layers can be read ({error}); "
            "copy the bundle again or export the model again"
        ) from None


def _write(model: Any, out: Path) -> None:
    """A .tflite whose large constants lie behind its tables, where LiteRT maps them: a flatbuffer
    alone is built by copying all of it again and again.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    large = [one for one in model.buffers if one.data is not None and len(one.data) > ALIGNMENT]
    contents = [one.data for one in large]
    for buffer, content in zip(large, contents):
        buffer.data, buffer.offset, buffer.size = None, 2, len(content)
    # an offset takes the same room whatever it is, so the tables' size is known before it
    place = len(flatbuffer_utils.convert_object_to_bytearray(model))
    for buffer in large:
        buffer.offset = place + -place % ALIGNMENT
        place = buffer.offset + buffer.size
    with out.open("wb") as file:
        file.write(flatbuffer_utils.convert_object_to_bytearray(model))
        for buffer, content in zip(large, contents):
            file.write(bytes(buffer.offset - file.tell()))
            file.write(content)


def _operations(model: Any) -> Iterator[Operation]:
    from ai_edge_litert.schema_py_generated import (
        ActivationFunctionType,
        BuiltinOperator,
        TensorType,
    )

    kinds = {getattr(BuiltinOperator, kind): kind for kind in KINDS}
    types = {getattr(TensorType, kind): kind for kind in _BITS}
    signatures = {one.subgraphIndex: one.signatureKey.decode() for one in model.signatureDefs or ()}
    for number, graph in enumerate(model.subgraphs):
        made_by = {
            int(output): operator for operator in graph.operators for output in operator.outputs
        }
        for index, operator in enumerate(graph.operators):
            kind = kinds.get(model.operatorCodes[operator.opcodeIndex].builtinCode)
            if kind is None:
                continue
            weights = graph.tensors[operator.inputs[1]]
            names = [weights.name, graph.tensors[operator.outputs[0]].name]
            source = made_by.get(int(operator.inputs[1]))
            if source is not None:  # stored small, widened when the graph is loaded
                weights = graph.tensors[source.inputs[0]]
                names.append(weights.name)
            constant = model.buffers[weights.buffer].data is not None and weights.type in types
            rotation = any(b"hadamard" in name or name.endswith(b"_rotated") for name in names)
            if not constant or rotation:
                continue
            yield Operation(
                _layer([name.decode() for name in names]),
                kind,
                number,
                index,
                names[1].decode(),
                tuple(int(size) for size in weights.shape),
                types[weights.type],
                operator.builtinOptions.fusedActivationFunction == ActivationFunctionType.RELU,
                signatures.get(number, ""),
                math.prod(int(n) for n in graph.tensors[operator.outputs[0]].shape[:-1]),
            )


def _layer(names: list[str]) -> str:
    """The layer's official name, without the part that all layers of a component share; a graph
    without one has its tensor's.
    """
    found = scope(names)
    return names[0] if found is None else _ROOTS.sub("", found)
