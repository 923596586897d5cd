"""Which operations of a graph XNNPACK did not take."""

from __future__ import annotations

import copy
from pathlib import Path

from ai_edge_litert.interpreter import Interpreter
from tensorflow.lite.tools import flatbuffer_utils


def delegation(path: Path, folder: Path) -> dict[str, tuple[int, list[str]]]:
    """signature -> (number of delegate partitions, names of the operations outside of them).

    The interpreter tells operations of its first subgraph only, so each signature's subgraph is
    made the first in turn.
    """
    model, found = flatbuffer_utils.read_model(str(path)), {}
    for signature in model.signatureDefs:
        alone = copy.copy(model)
        alone.subgraphs, alone.signatureDefs = [model.subgraphs[signature.subgraphIndex]], []
        name = signature.signatureKey.decode()
        flatbuffer_utils.write_model(alone, str(folder / "alone.tflite"))
        found[name] = _outside(folder / "alone.tflite")
    return found


def _outside(path: Path) -> tuple[int, list[str]]:
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    operations = interpreter._get_ops_details()
    delegates = [op for op in operations if op["op_name"] == "DELEGATE"]
    others = [op for op in operations if op["op_name"] != "DELEGATE"]
    producer = {int(tensor): op for op in others for tensor in op["outputs"]}
    taken = set()
    for delegate in delegates:  # what lies between a delegate's outputs and its inputs is inside
        inputs, waiting = set(map(int, delegate["inputs"])), list(map(int, delegate["outputs"]))
        while waiting:
            tensor = waiting.pop()
            if tensor in inputs or tensor not in producer or producer[tensor]["index"] in taken:
                continue
            taken.add(producer[tensor]["index"])
            waiting += map(int, producer[tensor]["inputs"])
    return len(delegates), [op["op_name"] for op in others if op["index"] not in taken]
