"""Weights as graphs store them: read as numbers, and stored again by the rule that made their
scales.

The rules are those of ai-edge-quantizer (`algorithms/uniform_quantize`), so that a layer merged on
the device is what an export of the merged checkpoint would have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edge_audio.lora.graphs import Weights

_TYPES = {"FLOAT32": "<f4", "FLOAT16": "<f2"}
#: type -> bits, and the least and the largest integer
_RANGES = {"INT8": (8, -127, 127), "INT4": (4, -8, 7)}
#: a rule made the scales, and no other need be tried, if its own are as near as this
_SAME = 1e-5
#: what the mean square is multiplied with (`mse.py`)
_MSE = {8: 0.05408, 4: 0.37755}
_ITERATIONS = 10


def load(data: np.ndarray, weights: Weights) -> np.ndarray:
    """The weights float32 [outputs, inputs] of the layer; data: bytes of the graph's file."""
    if not weights.scales:
        values = weights.values.of(data, _TYPES[weights.type]).astype(np.float32)
        return _turned_back(data, weights, values.reshape(weights.shape))
    integers = weights.values.of(data, "u1")
    if weights.type == "INT4":  # two to a byte, the first in the low half
        halves = np.stack([integers & 15, integers >> 4], axis=-1).reshape(-1)
        values = ((halves[: np.prod(weights.shape)] ^ 8).astype(np.int8) - 8).astype(np.float32)
    else:
        values = integers.view(np.int8).astype(np.float32)
    groups = values.reshape(-1, _group(weights)) * _scales(data, weights)
    return _turned_back(data, weights, groups.reshape(weights.shape))


def store(data: np.ndarray, weights: Weights, merged: np.ndarray, original: np.ndarray) -> None:
    """Overwrite the weights of a layer in the bytes of its graph's file.

    merged: float32 [outputs, inputs]. original: what they were before they were first stored, as
    far as that is known; it tells by which rule.
    """
    if not weights.scales:
        # beyond what the type holds there is infinity, and the graph says so when it runs
        with np.errstate(over="ignore"):
            weights.values.of(data, _TYPES[weights.type])[:] = _turned(
                data, weights, merged
            ).ravel()
        return
    bits, least, largest = _RANGES[weights.type]
    groups, before = (
        _turned(data, weights, array).reshape(-1, _group(weights)) for array in (merged, original)
    )
    scales = _rule(data, weights, before)(groups, bits)
    if weights.block:
        scales = _rounded(scales)
    for span in weights.scales:
        span.of(data, "<f2" if weights.block else "<f4")[:] = scales.ravel()
    integers = np.clip(np.rint(groups / scales), least, largest).astype(np.int8).reshape(-1)
    if weights.type == "INT4":
        halves = np.append(integers, np.zeros(len(integers) % 2, np.int8)).view(np.uint8) & 15
        weights.values.of(data, "u1")[:] = halves[::2] | (halves[1::2] << 4)
    else:
        weights.values.of(data, "i1")[:] = integers


def _group(weights: Weights) -> int:
    """How many inputs share a scale."""
    return weights.block or weights.shape[1]


def _scales(data: np.ndarray, weights: Weights) -> np.ndarray:
    """float32 [groups, 1]."""
    stored = weights.scales[0].of(data, "<f2" if weights.block else "<f4")
    return np.asarray(stored.astype(np.float32).reshape(-1, 1))


def _turned(data: np.ndarray, weights: Weights, weight: np.ndarray) -> np.ndarray:
    """As it is stored: every n inputs times the matrix."""
    if weights.rotation is None:
        return weight
    matrix = _matrix(data, weights)
    return np.asarray((weight.reshape(-1, len(matrix)) @ matrix).reshape(weight.shape))


def _turned_back(data: np.ndarray, weights: Weights, weight: np.ndarray) -> np.ndarray:
    if weights.rotation is None:
        return weight
    matrix = _matrix(data, weights)  # of Hadamard: orthogonal
    return np.asarray((weight.reshape(-1, len(matrix)) @ matrix.T).reshape(weight.shape))


def _matrix(data: np.ndarray, weights: Weights) -> np.ndarray:
    assert weights.rotation is not None
    values = weights.rotation.of(data, "<f4")
    return values.reshape(round(len(values) ** 0.5), -1)


# --- rules: groups of weights [n, inputs that share a scale], bits -> scales [n, 1] ---

Rule = Callable[[np.ndarray, int], np.ndarray]


def _min_max(groups: np.ndarray, bits: int) -> np.ndarray:
    """The largest weight is the largest integer."""
    largest = np.maximum(groups.max(axis=1, keepdims=True), -groups.min(axis=1, keepdims=True))
    return np.asarray(np.maximum(largest, np.float32(1e-9)) / np.float32(2 ** (bits - 1) - 1))


def _octav(groups: np.ndarray, bits: int) -> np.ndarray:
    """Larger weights are clipped where that makes the error smallest (Sakr et al. 2022, eq. 6)."""
    guess = np.ones((len(groups), 1), np.float32)
    inside = np.float32(4.0**-bits / 3)
    absolute = np.abs(groups)
    for _ in range(_ITERATIONS):
        clipped = absolute >= guess
        count = np.count_nonzero(clipped, axis=1, keepdims=True).astype(np.float32)
        before = guess
        guess = np.sum(absolute, axis=1, keepdims=True, where=clipped, dtype=np.float32)
        guess = guess / (count * (1 - inside) + inside * np.float32(groups.shape[1]))
        if np.allclose(before, guess):
            break
    largest = np.float32(2 ** (bits - 1) - 1)
    return np.asarray(np.minimum(_min_max(groups, bits), guess / largest))


def _mean_square(groups: np.ndarray, bits: int) -> np.ndarray:
    """A share of the root of the mean square."""
    root = np.sqrt(np.mean(groups**2, axis=1, keepdims=True))
    return np.asarray(np.float32(_MSE[bits]) * root)


_RULES: Mapping[str, Rule] = {"min-max": _min_max, "octav": _octav, "mse": _mean_square}


def _rule(data: np.ndarray, weights: Weights, original: np.ndarray) -> Rule:
    """The rule that made the scales: whose own come nearest.

    Of weights that are known only as they are stored this says min-max, which keeps what they have.
    Weights that were turned always have octav's.
    """
    if weights.rotation is not None:
        return _octav
    bits, stored = _RANGES[weights.type][0], _scales(data, weights)
    nearest: Rule = _min_max
    least = np.inf
    for rule in _RULES.values():
        distance = float(np.median(np.abs(rule(original, bits) / stored - 1)))
        if distance < least:
            nearest, least = rule, distance
        if least < _SAME:
            break
    return nearest


def _rounded(scales: np.ndarray) -> np.ndarray:
    """To 7 bits of mantissa, as XNNPACK has the scales of blocks (bfloat16)."""
    bits = np.ascontiguousarray(scales, np.float32).view(np.uint32)
    even = (bits >> 16) & 1
    return np.asarray(((bits + 0x7FFF + even) & np.uint32(0xFFFF0000)).view(np.float32))
