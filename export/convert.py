"""One component -> one .tflite with named signatures, and the proof that the file does what the
float function does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from edge_audio.errors import EdgeAudioError, first_line
from edge_audio.evaluate.metrics import snr
from edge_audio.system.graph import Graph

from .layers import Signatures
from .quiet import quiet_stderr

#: signature -> name -> array
Arrays = dict[str, dict[str, np.ndarray]]


def save_modules(component: tf.Module, folder: Path, precisions: Iterable[str]) -> dict[str, Path]:
    """Write a component's signatures as SavedModels and return precision -> the one to convert.

    One serves all precisions, unless the component has a method `store`, which brings its tables
    into the form that goes with a precision, and names that form.
    """
    saved: dict[str, Path] = {}
    for precision in precisions:
        saved[precision] = folder / (
            component.store(precision) if hasattr(component, "store") else "f32"
        )
        if not saved[precision].exists():
            save_module(component, saved[precision])
    return saved


def save_module(component: tf.Module, folder: Path) -> None:
    """Write a component's signatures as a SavedModel."""
    signatures = {
        name: traced(function, specs) for name, (function, specs) in component.signatures().items()
    }
    with quiet_stderr():
        tf.saved_model.save(component, str(folder), signatures=signatures)


def convert(saved_model: Path) -> bytes:
    """A SavedModel as the bytes of a float32 .tflite, whose operations bear the names of their
    layers.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    try:
        with quiet_stderr():
            return bytes(converter.convert())
    except Exception as error:
        raise EdgeAudioError(
            f"conversion of {saved_model.name} failed ({first_line(error)}); "
            "report it with the model_config.json"
        ) from error


@dataclass(frozen=True)
class Examples:
    """Inputs of plausible size, what the float function makes of them, and other inputs: signature
    -> name -> array. resized: the first two again, for a graph that is resized.
    """

    inputs: Arrays
    outputs: Arrays
    others: Arrays
    resized: tuple[Arrays, Arrays] = ({}, {})


def flops(component: tf.Module) -> dict[str, int]:
    """signature -> floating-point operations of its matrix products and convolutions, two for a
    multiply and an add.
    """
    return {
        name: sum(2 * _multiplies(op) for op in traced(function, specs).graph.get_operations())
        for name, (function, specs) in component.signatures().items()
    }


def _multiplies(op: tf.Operation) -> int:
    if op.type not in ("MatMul", "BatchMatMulV2", "Conv2D"):
        return 0
    outputs: int = math.prod(op.outputs[0].shape)
    left, weights = (tuple(tensor.shape) for tensor in op.inputs)
    if op.type == "Conv2D":
        return outputs * math.prod(weights[:3])
    transposed = op.get_attr("transpose_a" if op.type == "MatMul" else "adj_x")
    return outputs * int(left[-2 if transposed else -1])


def traced(
    function: Callable[..., dict[str, tf.Tensor]], specs: dict[str, tf.TensorSpec]
) -> tf.types.experimental.ConcreteFunction:
    """A signature's function as a graph whose inputs have the names of the contract."""
    named = {key: tf.TensorSpec(spec.shape, spec.dtype, name=key) for key, spec in specs.items()}
    return tf.function(function, autograph=False).get_concrete_function(**named)


def examples(component: tf.Module) -> Examples:
    """Computed once a component, so that it need not stay in memory while graphs are converted and
    checked.
    """
    signatures: Signatures = component.signatures()
    resized: Signatures = component.resized() if hasattr(component, "resized") else {}
    others, _ = _run(component, signatures, seed=1)
    return Examples(*_run(component, signatures, seed=0), others, _run(component, resized, seed=2))


def _run(component: tf.Module, signatures: Signatures, seed: int) -> tuple[Arrays, Arrays]:
    """(inputs, outputs) of every signature; what an earlier signature returns is fed to the later
    ones.
    """
    rng = np.random.default_rng(seed)
    inputs: Arrays = {}
    results: Arrays = {}
    known: dict[str, np.ndarray] = {}
    ranges = getattr(component, "example_ranges", {})
    for name, (function, specs) in signatures.items():
        inputs[name] = {
            key: (
                known[key]
                if key in known and known[key].shape == spec.shape
                else _example(rng, key, spec, ranges)
            )
            for key, spec in specs.items()
        }
        outputs = function(**{key: tf.constant(value) for key, value in inputs[name].items()})
        results[name] = {key: value.numpy() for key, value in outputs.items()}
        known |= {key: _first(value, component, key) for key, value in results[name].items()}
    return inputs, results


def _first(value: np.ndarray, component: tf.Module, key: str) -> np.ndarray:
    """The decoder's tail takes a tile of what its head gives."""
    for _, specs in component.signatures().values():
        if key in specs and value.shape != specs[key].shape:
            return value[:, : specs[key].shape[1]]
    return value


def _example(
    rng: np.random.Generator,
    name: str,
    spec: tf.TensorSpec,
    ranges: Mapping[str, tuple[float, float]],
) -> np.ndarray:
    """A component's `example_ranges` say what its numbers may be; whatever has none is standard
    normal.
    """
    if name.endswith("_mask"):
        length = int(spec.shape[1])
        kind = spec.dtype.as_numpy_dtype
        return (np.arange(length) < math.ceil(0.6 * length)).astype(kind)[None]
    if name in ranges:
        low, high = ranges[name]
        if spec.dtype == tf.int32:
            return rng.integers(int(low), int(high), tuple(spec.shape)).astype(np.int32)
        return rng.uniform(low, high, tuple(spec.shape)).astype(np.float32)
    return rng.standard_normal(tuple(spec.shape)).astype(np.float32)


def fidelity(expected: Examples, graph: Graph) -> dict[str, float]:
    """Output -> SNR in dB of the graph against the TensorFlow float function, on the example
    inputs.
    """
    measured: dict[str, float] = {}

    def compare(name: str, actual: Mapping[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
        for key, value in sorted(wanted.items()):
            if not np.isfinite(actual[key]).all():
                raise EdgeAudioError(
                    f"{graph.path}: {name} gives NaN or infinity in {key}; "
                    "leave this precision out, and check the checkpoint"
                )
            port, near = f"{name}.{key}", round(snr(actual[key], value), 2)
            measured[port] = min(near, measured.get(port, near))

    for name, inputs in expected.inputs.items():
        compare(name, graph(name, **inputs), expected.outputs[name])
    inputs_of, outputs_of = expected.resized
    for name, wanted in outputs_of.items():
        shapes = {key: value.shape for key, value in wanted.items()}
        compare(name, graph.resized(name, inputs_of[name], shapes), wanted)
        # and back to the lengths that it was written with
        shapes = {key: value.shape for key, value in expected.outputs[name].items()}
        back = graph.resized(name, expected.inputs[name], shapes)
        compare(name, back, expected.outputs[name])
    return measured


def refuse_inert_inputs(expected: Examples, graph: Graph) -> None:
    """Every input must change an output.

    An exported model that ignores one sounds fine, and is wrong.
    """
    for name, others in expected.others.items():
        inputs = expected.inputs[name]
        before = graph(name, **inputs)
        for key, value in inputs.items():
            other = 1 - value if key.endswith("_mask") else others[key]
            after = graph(name, **(inputs | {key: other}))
            if all(np.array_equal(before[output], after[output]) for output in before):
                raise EdgeAudioError(
                    f"{graph.path}: input {key} of {name} changes no output; "
                    "this export must not be used, report it with the model_config.json"
                )
