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


def embeds(config: Config) -> Iterator[Tensor]:
    """What a transformer of either family makes of noise level, prompt and seconds, and the
    convolutions around it.
    """
    dim, channels, name = config["embed_dim"], config["io_channels"], "model.model"
    for embed, inputs in (
        ("to_timestep_embed", 256),
        ("to_cond_embed", config["cond_token_dim"]),
        ("to_global_embed", config["global_cond_dim"]),
    ):
        for index, width in ((0, inputs), (2, dim)):
            yield from linear(
                f"{name}.{embed}.{index}", width, dim, bias=embed == "to_timestep_embed"
            )
    for plain in ("preprocess_conv", "postprocess_conv"):
        yield Tensor(f"{name}.{plain}.weight", (channels, channels, 1), matrix(0.3))


def attentions(
    layer: str, dim: int, residual: float, norm: Callable[[str], Iterator[Tensor]]
) -> Iterator[Tensor]:
    """Self- and cross-attention of a block. residual: gain of what they add. norm: name -> the
    tensors of a head's norm of q or k.
    """
    for attention, inputs in (
        ("self_attn", {"to_qkv": 3 * dim}),
        ("cross_attn", {"to_q": dim, "to_kv": 2 * dim}),
    ):
        for matrix_name, outputs in inputs.items():
            yield Tensor(f"{layer}.{attention}.{matrix_name}.weight", (outputs, dim), matrix())
        yield Tensor(f"{layer}.{attention}.to_out.weight", (dim, dim), matrix(residual))
        for which in ("q_norm", "k_norm"):
            yield from norm(f"{layer}.{attention}.{which}")


def inverse_frequencies(dims: int) -> Draw:
    """Rotary embedding's, of `dims` rotated dimensions: constant, though checkpoints hold them."""
    return lambda rng, shape: (10000.0 ** (-np.arange(0, dims, 2) / dims)).astype(np.float32)
