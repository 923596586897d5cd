"""How weights are stored: methods for a layer, and precisions, which are a method for every layer
of a graph.

All precisions are made of the same float32 graph by ai-edge-quantizer, operation by operation.
Biases, norms and layers of few weights stay as they are.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import io
import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edge_audio.errors import EdgeAudioError, first_line
from edge_audio.evaluate.layers import Operation, operations

#: inputs that share a scale in int4; fewer are not worth a rotation
BLOCK = 32
#: A Hadamard rotation is a float32 product with a matrix as wide as the largest power of two in the
#: number of inputs. Beyond this it costs more than the layer that it serves (1 024 inputs: as much
#: as a square layer).
WIDEST_ROTATION = 256
#: weights: a layer of fewer stays float32, for it costs nothing
MINIMUM = 1024
KEEP = "f32"

#: signature -> inputs it was called with
Calibration = Mapping[str, Iterable[dict[str, np.ndarray]]]
#: tensor -> what ai-edge-quantizer measured of it
Statistics = dict[str, dict[str, Any]]
Found = TypeVar("Found")


@dataclass(frozen=True)
class Method:
    """One way to store the weights of a layer, and to compute with them.

    bits: of a stored weight. loaded: bits of a weight in memory, as XNNPACK packs it. algorithm:
    ai-edge-quantizer's name.
    """

    bits: int
    loaded: int
    algorithm: str = "min_max_uniform_quantize"
    granularity: str = "CHANNELWISE"
    #: activations are quantized too, at run time, to 8 bits a row; else the weights are widened
    #: when the graph is loaded
    dynamic: bool = True
    kinds: tuple[str, ...] = ("FULLY_CONNECTED", "CONV_2D")

    def suits(self, operation: Operation) -> bool:
        """Whether the method can store this operation's weights."""
        inputs = operation.shape[-1]
        if math.prod(operation.shape) < MINIMUM or operation.kind not in self.kinds:
            return False
        if self.rotates:
            return BLOCK <= inputs & -inputs <= WIDEST_ROTATION
        return self.granularity == "CHANNELWISE" or inputs % BLOCK == 0

    @property
    def rotates(self) -> bool:
        """Whether inputs and weights are turned by a Hadamard matrix first, which spreads outliers
        over all of them.
        """
        return "HADAMARD" in self.algorithm

    def rule(self, operation: Operation) -> dict[str, Any]:
        """ai-edge-quantizer's entry for this operation."""
        weights = {
            "num_bits": self.bits,
            "symmetric": True,
            "granularity": self.granularity,
            "dtype": "FLOAT" if self.bits == 16 else "INT",
            "algorithm_params": {},
        }
        return {
            "regex": f"^{re.escape(operation.output)};?$",
            "operation": operation.kind,
            "algorithm_key": self.algorithm,
            "op_config": {
                "weight_tensor_config": weights,
                "compute_precision": "INTEGER" if self.dynamic else "FLOAT",
                "explicit_dequantize": not self.dynamic,
                "skip_checks": False,
                "min_weight_elements": 0,
            },
        }


LINEAR = ("FULLY_CONNECTED",)
#: name -> method. `int8` and `int4` are ai-edge-quantizer's min-max; the others are its better-
#: informed algorithms.
METHODS: dict[str, Method] = {
    "f16": Method(16, 32, "float_casting", dynamic=False),
    "int8": Method(8, 8),
    "int8-weights": Method(8, 32, dynamic=False),
    "int8-octav": Method(8, 8, "OCTAV"),
    "int8-mse": Method(8, 8, "MSE"),
    "int8-gptq": Method(8, 8, "GPTQ", kinds=LINEAR),
    "int8-hadamard": Method(8, 8, "DECOMPOSED_HADAMARD_ROTATION", kinds=LINEAR),
    "int4": Method(4, 4, granularity="BLOCKWISE_32", kinds=LINEAR),
    "int4-octav": Method(4, 4, "OCTAV", "BLOCKWISE_32", kinds=LINEAR),
    "int4-gptq": Method(4, 4, "GPTQ", "BLOCKWISE_32", kinds=LINEAR),
    "int4-channel": Method(4, 4, kinds=LINEAR),
    "int4-hadamard": Method(4, 4, "DECOMPOSED_HADAMARD_ROTATION", kinds=LINEAR),
}

#: the transformer's first and last layer: small, and all error passes through them; f16 in `int8`
#: and `int4`
EDGES = re.compile(r"\btransformer\.project_(in|out)$")
#: the transformer's feed-forward layers, whose gated activations have outliers: rotated in `int8`,
#: 4 bits in `int4`
GATED = re.compile(r"\.ff\.ff\.")
TEXT = re.compile(r"^t5(gemma)?\.")


def methods_for(precision: str, layers: Iterable[str]) -> dict[str, str]:
    """Layer -> method that a precision stands for, where it can (`quantize` falls back to int8, or
    float32).
    """

    def method(layer: str) -> str:
        if precision in ("f32", "f16"):
            return precision
        if EDGES.search(layer):
            return "f16"
        if precision == "int4" and (GATED.search(layer) or TEXT.search(layer)):
            return "int4"
        return "int8-hadamard" if GATED.search(layer) else "int8"

    return {layer: method(layer) for layer in layers}


#: what needs no measuring; `mixed` does (export.mixed)
PRECISIONS = ("f32", "f16", "int8", "int4")


def statistics(graph: Path, calibration: Calibration) -> Statistics:
    """What GPTQ must know about the inputs of the layers: computed once, for any choice of
    layers.
    """
    every = {operation.layer: "int8-gptq" for operation in operations(graph)}
    rules = _rules(graph, every)
    return _run(graph, rules, lambda quantizer: quantizer.calibrate(dict(calibration)))


def quantize(graph: Path, methods: Mapping[str, str], known: Statistics | None = None) -> bytes:
    """The float32 graph with every layer stored by its method, or as the next simpler one that
    suits it.

    methods: layer -> name in METHODS, or KEEP. known: `statistics` of this graph, for GPTQ.
    EdgeAudioError if the quantizer fails.
    """
    rules = _rules(graph, methods)
    if not rules:
        return graph.read_bytes()
    # a copy, because the quantizer writes its damping into what it is given
    return _run(
        graph,
        rules,
        lambda quantizer: _open_lengths(quantizer.quantize(copy.deepcopy(known)).quantized_model),
    )


def _open_lengths(model: bytes) -> bytes:
    """The same graph, with the lengths left open in every RESHAPE to a constant shape, so that it
    can be resized: the quantizer writes them down where it turns a layer's inputs.
    """
    from ai_edge_litert import schema_py_generated as schema

    opened = bytearray(model)
    root = schema.Model.GetRootAs(opened)
    reshape = schema.BuiltinOperator.RESHAPE
    for graph in map(root.Subgraphs, range(root.SubgraphsLength())):
        for operator in map(graph.Operators, range(graph.OperatorsLength())):
            if root.OperatorCodes(operator.OpcodeIndex()).BuiltinCode() != reshape:
                continue
            data = root.Buffers(graph.Tensors(operator.Inputs(1)).Buffer()).DataAsNumpy()
            shape = data.view(np.int32) if isinstance(data, np.ndarray) else np.zeros(0, np.int32)
            if len(shape) > 1 and -1 not in shape:
                shape[-2] = -1  # of rows of channels; there is as much of all else
    return bytes(opened)


def _rules(graph: Path, methods: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        METHODS[method].rule(operation)
        for operation in operations(graph)
        if (method := suitable(methods.get(operation.layer, KEEP), operation)) != KEEP
    ]


def _run(graph: Path, rules: list[dict[str, Any]], use: Callable[[Any], Found]) -> Found:
    """What `use` makes of the quantizer of a graph."""
    try:
        with quiet():
            from ai_edge_quantizer.quantizer import Quantizer

            with _large_convolutions():
                return use(Quantizer(str(graph), rules))
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        raise EdgeAudioError(
            f"{graph.name} cannot be quantized ({first_line(error)}); "
            "leave that precision out, or report it with the model_config.json"
        ) from error


@contextlib.contextmanager
def _large_convolutions() -> Iterator[None]:
    """ai-edge-quantizer 0.10 cannot quantize weights of more than two dimensions and 32 MiB ("more
    dimensions than allowed by the axis remapping"): it flattens them, but not their scales. Here
    both are flattened before it does.
    """
    from ai_edge_quantizer.algorithms.uniform_quantize import uniform_quantize_tensor as module

    original = module.uniform_quantize

    def flattened(data: np.ndarray, params: Any, is_blockwise_quant: bool = False) -> Any:
        if data.ndim < 3 or is_blockwise_quant or np.size(params.scale) != len(data):
            return original(data, params, is_blockwise_quant)
        rows = dataclasses.replace(
            params,
            scale=np.reshape(params.scale, (-1, 1)),
            zero_point=np.reshape(params.zero_point, (-1, 1)),
        )
        return original(data.reshape(len(data), -1), rows, is_blockwise_quant).reshape(data.shape)

    module.uniform_quantize = flattened
    try:
        yield
    finally:
        module.uniform_quantize = original


def suitable(method: str, operation: Operation) -> str:
    """The method, or what comes nearest to it and can store this operation: 4 bits fall back to 8,
    all to float32.
    """
    for name in (method, *(["int8"] if method.startswith("int") else [])):
        if name != KEEP and METHODS[name].suits(operation):
            return name
    return KEEP


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The quantizer reports sizes on stdout, progress on stderr and advice to the log; errors reach
    the caller as exceptions.
    """
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
