"""The audit of the weights: tensors used and left out, and every layer's weights in the graph
against the checkpoint's and against what faulty conversions make of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import tensorflow as tf

from edge_audio.evaluate import metrics
from edge_audio.evaluate.diagnosis import Row
from edge_audio.evaluate.layers import Operation, weights
from edge_audio.evaluate.verdict import FAIL, OK, WARN

from ..checkpoint import LEFT_OUT, Checkpoint
from .model import FloatModel
from .source import Source

AS_IT_SHOULD_BE = "as it should be"
#: type of the stored weights -> dB of the checkpoint's that rounding leaves
ROUNDED = {"FLOAT32": 90.0, "FLOAT16": 50.0, "INT8": 20.0, "INT4": 8.0}
FLOAT16_MOST, FLOAT16_LEAST = 65504, 6e-5
#: start of the names of a block's tensors
BLOCK = re.compile(r".*?\b(layers|block)\.\d+\.")


class Layer(Protocol):
    """A layer that becomes an operation of a graph (`export.layers.Linear`)."""

    scope: str

    @property
    def stored(self) -> np.ndarray:
        """Its weights in the order of a graph: [outputs, taps, inputs]."""

    def arranged(self, weight: np.ndarray) -> np.ndarray:
        """A checkpoint's weight in that order."""


def tensors(model: FloatModel) -> list[Row]:
    """Rows on what of the checkpoint was used, and on what looks damaged in it."""
    source, checkpoint = model.source, model.source.checkpoint
    source.use_rest(model.precision, model.manifest)
    left_out = [name for name in checkpoint.tensors if LEFT_OUT.fullmatch(name)]
    explained = {*checkpoint.used, *left_out}
    ignored = sorted(name for name in checkpoint.tensors if name not in explained)
    odd = [
        f"{name} ({what})"
        for name in sorted(checkpoint.used)
        if (what := _oddity(checkpoint.tensors[name]))
    ]
    mend = "Is this the model_config.json of these weights?"
    used = Row(
        symptom="weights used",
        level=WARN if ignored else OK,
        measured=f"{len(checkpoint.used)} used, {len(left_out)} left out on purpose,"
        f" {len(ignored)} ignored",
        expected="none ignored",
        meaning=f"Not explained: {', '.join(ignored[:5])}. {mend}" if ignored else "",
        value=float(len(ignored)),
    )
    lost = "Unless the network was trained so, a conversion of the checkpoint has lost it."
    damaged = Row(
        symptom="weights of the checkpoint",
        level=WARN if odd else OK,
        measured="; ".join(odd[:3]) or f"{len(checkpoint.used)} tensors",
        expected="none all zero, none out of the range of their type",
        meaning=lost if odd else "",
    )
    return [used, damaged]


def stored_weights(component: str, model: FloatModel) -> tuple[Row, dict[str, str]]:
    """A row on the weights in a component's graph, and what is wrong with which layer's."""
    family = model.source.family
    expected = {
        family.short(layer.scope): layer for layer in layers(model.acquire(component).module)
    }
    path = model.bundle.graph_path(component, model.precision[component])
    stored: dict[str, list[tuple[Operation, np.ndarray]]] = {}
    for operation, values, _ in weights(path):
        stored.setdefault(operation.layer, []).append((operation, values))
    # a graph of another exporter may not name its layers
    is_named = any("." in layer for layer in stored)
    wrong = {layer: "not in the graph" for layer in expected if is_named and layer not in stored}
    for name, layer in expected.items():
        if name in stored:
            parts = [
                values.reshape(len(values), -1, values.shape[-1]) for _, values in stored[name]
            ]
            operation, _ = stored[name][0]
            found = _suspicion(
                np.concatenate(parts, axis=-1), layer, model.source, operation.stored
            )
            if found:
                wrong[name] = found
    said = "; ".join(f"{layer}: {reason}" for layer, reason in list(wrong.items())[:3])
    changed = "The export changed them. Layers are named as in the checkpoint."
    row = Row(
        symptom=f"weights in {component}",
        level=FAIL if wrong else OK,
        measured=said or f"{len(expected)} layers are the checkpoint's",
        expected="the checkpoint's, but for rounding",
        meaning=changed if wrong else "",
        value=float(len(wrong)),
    )
    return row, wrong


def layers(module: tf.Module) -> list[Layer]:
    """Those of a component that become operations of a graph; of two with one name, which is a
    layer made of another, the outer one.
    """
    found = [layer for layer in module.submodules if hasattr(layer, "stored")]
    inner = {
        id(part)
        for layer in found
        for part in layer.submodules
        if getattr(part, "scope", None) == layer.scope
    }
    return [layer for layer in found if id(layer) not in inner]


def _oddity(tensor: np.ndarray) -> str:
    if tensor.size and not tensor.any() and tensor.ndim > 1:
        return "all zero"
    if tensor.dtype == np.float16:
        largest = np.abs(tensor).max()
        if largest >= FLOAT16_MOST:
            return "at the end of float16"
        if tensor.ndim > 1 and 0 < largest < FLOAT16_LEAST:
            return "below float16's normal range"
    return ""


def _suspicion(values: np.ndarray, layer: Layer, source: Source, stored: str) -> str:
    """What a layer's weights look like, if not like the checkpoint's; values [outputs, taps,
    inputs].
    """
    right = layer.stored
    if values.size != right.size:
        return f"{list(values.shape)} in place of {list(right.shape)}"
    values = values.reshape(right.shape)
    limit = ROUNDED[stored]
    if metrics.snr(values, right) >= limit:
        return ""
    if not values.any():
        return "all zero"
    fits: dict[str, float] = {}
    for what, twin in _twins(layer, right, source):
        fits[what] = max(metrics.snr(values, twin), fits.get(what, -math.inf))
    best = max(fits, key=lambda what: fits[what])
    if fits[best] >= limit:
        return "" if best == AS_IT_SHOULD_BE else best
    gain, cosine = metrics.gain(values, right), metrics.cosine(values, right)
    if cosine > 0.9 and abs(gain - 1) > 0.05:
        return f"{gain:.2f} times the checkpoint's"
    return f"{metrics.snr(values, right):.0f} dB of the checkpoint's (cosine {cosine:.2f})"


def _twins(layer: Layer, right: np.ndarray, source: Source) -> Iterator[tuple[str, np.ndarray]]:
    """What becomes of a layer's weights: as it should be, a norm's gain multiplied in, the inputs
    turned by a Hadamard matrix where the quantizer did that on purpose; and what faulty conversions
    make of them.
    """
    gains = _gains(layer.scope, right.shape[-1], source)
    for scaled in (right, *(right * (gain + one) for gain, one in gains)):
        yield AS_IT_SHOULD_BE, scaled
        width = right.shape[-1] & -right.shape[-1]
        if right.shape[1] == 1 and width > 1:
            from scipy.linalg import hadamard

            turned = scaled.reshape(-1, width) @ (hadamard(width) / np.sqrt(width))
            yield AS_IT_SHOULD_BE, turned.reshape(right.shape)
    for gain, one in gains:
        if one:
            yield "multiplied by its norm's w in place of 1 + w", right * gain
    if right.shape[-1] % 2 == 0:
        halves = np.roll(right, right.shape[-1] // 2, axis=-1)
        yield "the halves of its inputs swapped, as sines and cosines are", halves
    for what, weight in _misread(layer.scope, source.checkpoint):
        if weight.shape == _shape(layer.scope, source.checkpoint):
            yield what, layer.arranged(weight)


def _gains(name: str, inputs: int, source: Source) -> list[tuple[np.ndarray, float]]:
    """What a converter multiplies into the weights behind it: gains of the norms of the same block,
    and what families scale a layer's inputs by. Each with what is added to it first.
    """
    block, checkpoint, family = BLOCK.match(name), source.checkpoint, source.family
    here = block[0] if block else name
    return [
        (checkpoint.tensors[gain].astype(np.float32), one)
        for gain in sorted(checkpoint.used)
        for ending, one in family.gains.items()
        if (gain.startswith(here) and gain.endswith(ending) and block)
        or gain == family.scales.get(family.short(name))
        if checkpoint.tensors[gain].shape in ((inputs,), (1,))
    ]


def _shape(name: str, checkpoint: Checkpoint) -> tuple[int, ...]:
    kind = "weight" if f"{name}.weight" in checkpoint.tensors else "weight_v"
    return checkpoint.tensors[f"{name}.{kind}"].shape


def _misread(name: str, checkpoint: Checkpoint) -> Iterator[tuple[str, np.ndarray]]:
    """A weight as ports get it wrong, in the shape of the checkpoint's; nothing for a layer whose
    weight the checkpoint has under another name.
    """
    if f"{name}.weight" in checkpoint.tensors:
        weight = checkpoint.tensors[f"{name}.weight"].astype(np.float32)
        yield "transposed", weight.swapaxes(0, 1).reshape(weight.shape)
        return
    if f"{name}.weight_v" not in checkpoint.tensors:
        return
    g, v = (checkpoint.tensors[f"{name}.weight_{part}"].astype(np.float64) for part in "gv")

    def folded(*axes: int) -> np.ndarray:
        norm = np.maximum(np.sqrt((v * v).sum(axis=axes, keepdims=True)), 1e-12)
        return np.asarray(g * v / norm)

    right = folded(1, 2)
    swapped = right.swapaxes(0, 1).reshape(right.shape)
    yield "transposed, as if it were another kind of convolution", swapped
    yield "reversed in time", right[:, :, ::-1]
    for axes in ((0, 2), (0, 1), (0,), (1,), (2,), (0, 1, 2)):
        shown = ", ".join(map(str, axes))
        yield f"weight norm folded over the wrong axes ({shown} in place of 1, 2)", folded(*axes)
    yield "weight_v without its norm", v
    yield "weight_g times weight_v, not normalized", g * v
