"""One component -> one .tflite with named signatures, and the proof that the file does what the float function does."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from pathlib import Path
from typing import Iterator

import numpy as np
import tensorflow as tf

from edge_audio.errors import EdgeAudioError, first_line
from edge_audio.graph import Graph

from .quantize import RECIPES


def save_module(component: tf.Module, folder: Path) -> None:
    """Write a component's signatures as a SavedModel, from which every precision is converted."""
    signatures = {}
    for name, (function, inputs) in component.signatures().items():
        specs = {key: tf.TensorSpec(spec.shape, spec.dtype, name=key) for key, spec in inputs.items()}
        signatures[name] = tf.function(function, autograph=False).get_concrete_function(**specs)
    with _quiet():
        tf.saved_model.save(component, str(folder), signatures=signatures)


def convert(saved_model: Path, precision: str) -> bytes:
    """A SavedModel as the bytes of a .tflite in one precision."""
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    RECIPES[precision](converter)
    try:
        with _quiet():
            return converter.convert()
    except Exception as error:
        raise EdgeAudioError(f"{precision} conversion of {saved_model.name} failed ({first_line(error)}); "
                             "leave that precision out, or report it with the model_config.json") from error


def example_inputs(component: tf.Module, seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
    """signature -> inputs of plausible size; what an earlier signature returns is fed to the later ones."""
    rng, inputs, known = np.random.default_rng(seed), {}, {}
    ranges = getattr(component, "example_ranges", {})
    for name, (function, specs) in component.signatures().items():
        inputs[name] = {key: known[key] if key in known and known[key].shape == spec.shape else _example(rng, key, spec, ranges)
                        for key, spec in specs.items()}
        outputs = function(**{key: tf.constant(value) for key, value in inputs[name].items()})
        known |= {key: _first(value.numpy(), component, key) for key, value in outputs.items()}
    return inputs


def _first(value: np.ndarray, component: tf.Module, key: str) -> np.ndarray:
    """The decoder's tail takes a tile of what its head gives."""
    for _, specs in component.signatures().values():
        if key in specs and value.shape != specs[key].shape:
            return value[:, : specs[key].shape[1]]
    return value


def _example(rng: np.random.Generator, name: str, spec: tf.TensorSpec, ranges: dict) -> np.ndarray:
    """A component's `example_ranges` say what its numbers may be; whatever has none is standard normal."""
    if name == "attention_mask":
        return (np.arange(spec.shape[1]) < math.ceil(0.6 * spec.shape[1])).astype(np.int32)[None]
    if name in ranges:
        low, high = ranges[name]
        draw = rng.integers(low, high, spec.shape) if spec.dtype == tf.int32 else rng.uniform(low, high, spec.shape)
        return draw.astype(spec.dtype.as_numpy_dtype)
    return rng.standard_normal(spec.shape).astype(np.float32)


def fidelity(component: tf.Module, graph: Graph) -> dict[str, float]:
    """Output -> SNR in dB of the graph against the TensorFlow float function, on the example inputs."""
    measured = {}
    examples = example_inputs(component)
    for name, (function, _) in component.signatures().items():
        expected = function(**{key: tf.constant(value) for key, value in examples[name].items()})
        actual = graph(name, **examples[name])
        for key in sorted(expected):
            if not np.isfinite(actual[key]).all():
                raise EdgeAudioError(f"{graph.path}: {name} gives NaN or infinity in {key}; "
                                     "leave this precision out, and check the checkpoint")
            measured[f"{name}.{key}"] = round(snr(actual[key], expected[key].numpy()), 2)
    return measured


def refuse_inert_inputs(component: tf.Module, graph: Graph) -> None:
    """Every input must change an output. An exported model that ignores one sounds fine, and is wrong."""
    others = example_inputs(component, seed=1)
    for name, inputs in example_inputs(component).items():
        before = graph(name, **inputs)
        for key, value in inputs.items():
            other = 1 - value if key == "attention_mask" else others[name][key]
            after = graph(name, **(inputs | {key: other}))
            if all(np.array_equal(before[output], after[output]) for output in before):
                raise EdgeAudioError(f"{graph.path}: input {key} of {name} changes no output; "
                                     "this export must not be used, report it with the model_config.json")


def snr(actual: np.ndarray, expected: np.ndarray) -> float:
    """Signal-to-noise ratio of `actual` against `expected` in dB, at most 200."""
    signal, noise = (float(np.sum(np.square(a, dtype=np.float64))) for a in (expected, actual - expected))
    return min(200.0, 10 * math.log10(max(signal, 1e-30) / max(noise, signal * 1e-20, 1e-30)))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what TensorFlow's C++ side prints off the terminal, unless something goes wrong."""
    with tempfile.TemporaryFile() as log:
        saved = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(saved, 2)
            log.seek(0)
            os.write(2, log.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
