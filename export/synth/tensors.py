"""What tensors of random, well-scaled weights are drawn from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

#: a model_config.json, as json.loads gives it
Config = dict[str, Any]

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


@dataclass(frozen=True)
class Tensor:
    """One tensor to make; `draw` gives its float32 values."""

    name: str
    shape: tuple[int, ...]
    draw: Draw


def normal(scale: float, mean: float = 0.0) -> Draw:
    return lambda rng, shape: (
        rng.standard_normal(shape, np.float32) * np.float32(scale) + np.float32(mean)
    )


def matrix(gain: float = 1.0) -> Draw:
    """[outputs, inputs, ...] such that unit inputs give outputs of standard deviation `gain`."""
    return lambda rng, shape: normal(gain / math.sqrt(math.prod(shape[1:])))(rng, shape)


def linear(
    name: str, inputs: int, outputs: int, bias: bool = True, gain: float = 1.0
) -> Iterator[Tensor]:
    yield Tensor(f"{name}.weight", (outputs, inputs), matrix(gain))
    if bias:
        yield Tensor(f"{name}.bias", (outputs,), normal(0.1))


def conv(
    name: str, first: int, second: int, kernel: int, bias: int | None = 0, gain: float = 1.0
) -> Iterator[Tensor]:
    """Weight-norm pair of a convolution [first, second, kernel]; the bias has `first` entries,
    `bias` entries, or is absent.

    g is the norm that a row of the folded weight gets: `gain` for a plain convolution of unit
    inputs.
    """
    yield Tensor(
        f"{name}.weight_g", (first, 1, 1), lambda rng, shape: normal(0.05 * gain, gain)(rng, shape)
    )
    yield Tensor(f"{name}.weight_v", (first, second, kernel), matrix())
    if bias is not None:
        yield Tensor(f"{name}.bias", (bias or first,), normal(0.02))


def inverse_frequencies(dims: int) -> Draw:
    """Rotary embedding's, of `dims` rotated dimensions: constant, though checkpoints hold them."""
    return lambda rng, shape: (10000.0 ** (-np.arange(0, dims, 2) / dims)).astype(np.float32)
