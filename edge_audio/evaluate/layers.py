"""The layers inside a graph: what they are called, what they weigh, and what each of them gives.

Exported graphs keep the official names of their layers (`transformer.layers.3.ff.ff.2`) in the names of their tensors. A graph
in another precision has the same layers, so two graphs can be compared layer by layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import EdgeAudioError

KINDS = ("FULLY_CONNECTED", "CONV_2D")
"""operations that have weights, and that a quantizer may change"""
_SCOPE = re.compile(r"(?:^|;)([^;/]+(?:\.[^;/]+)+)/")  # a dotted name before a slash, as the exporter gives it
_ROOTS = re.compile(r"^(?:model\.model\.|pretransform\.model\.)")
_BITS = {"FLOAT32": 32, "FLOAT16": 16, "INT8": 8, "INT4": 4}


@dataclass(frozen=True)
class Operation:
    """One run of a layer in one signature: where it stands, and its weights."""

    layer: str
    kind: str
    subgraph: int
    index: int
    """place in the order of execution"""
    output: str
    """name of its output tensor"""
    shape: tuple[int, ...]
    """of the weights, outputs first"""
    stored: str
    """type of the stored weights: FLOAT32, FLOAT16, INT8 or INT4"""

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


def expose(path: str | Path, signatures: tuple[str, ...], out: Path) -> dict[str, list[str]]:
    """Write to `out` the same graph with the output of every layer as one more output; signature -> layers in order.

    A layer of several operations (a split convolution) gives the last one's. The outputs are named after the layers.
    """
    from ai_edge_litert.schema_py_generated import TensorMapT
    from ai_edge_litert.tools import flatbuffer_utils

    model = _read(path)
    exposed: dict[str, list[str]] = {}
    for signature in model.signatureDefs:
        name = signature.signatureKey.decode()
        if name not in signatures:
            continue
        last = {operation.layer: operation for operation in _operations(model) if operation.subgraph == signature.subgraphIndex}
        graph = model.subgraphs[signature.subgraphIndex]
        exposed[name], outputs = list(last), list(graph.outputs)
        for layer, operation in last.items():
            entry = TensorMapT()
            entry.name, entry.tensorIndex = layer.encode(), int(graph.operators[operation.index].outputs[0])
            signature.outputs.append(entry)
            if entry.tensorIndex not in outputs:
                outputs.append(entry.tensorIndex)
        graph.outputs = outputs
    out.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    return exposed


def _read(path: str | Path):
    from ai_edge_litert.tools import flatbuffer_utils

    try:
        return flatbuffer_utils.read_model(str(path))
    except Exception as error:  # whatever a damaged flatbuffer makes of the generated reader
        raise EdgeAudioError(f"{path} is not a graph whose layers can be read ({error}); "
                             "copy the bundle again or export the model again") from None


def _operations(model) -> Iterator[Operation]:
    from ai_edge_litert.schema_py_generated import BuiltinOperator, TensorType

    kinds = {getattr(BuiltinOperator, kind): kind for kind in KINDS}
    types = {getattr(TensorType, kind): kind for kind in _BITS}
    for number, graph in enumerate(model.subgraphs):
        made_by = {int(output): operator for operator in graph.operators for output in operator.outputs}
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
            yield Operation(_layer([name.decode() for name in names]), kind, number, index, names[1].decode(),
                            tuple(int(size) for size in weights.shape), types[weights.type])


def _layer(names: list[str]) -> str:
    """The layer's official name, without the part that all layers of a component share; a graph without one has its tensor's."""
    for name in names:
        if found := _SCOPE.findall(name):
            return _ROOTS.sub("", found[-1])
    return names[0]
