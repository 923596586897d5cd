"""Layers whose weights in a graph are products of several tensors of the checkpoint. A product does
not tell its factors, so a bundle brings what is needed in a file of its own.

The exporter folds the residual convolutions of kernel 1 around the transformer into its
projections. The converter multiplies the gain of a norm into the layer behind it, and adds what the
layer makes of the norm's offset to its bias.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import numpy as np

_MODEL = "model.model"
PROJECT_IN, PROJECT_OUT = (f"{_MODEL}.transformer.project_{which}" for which in ("in", "out"))
#: layer of a graph -> the convolution and the projection that it is made of
FACTORS: Mapping[str, tuple[str, str]] = {
    PROJECT_IN: (f"{_MODEL}.preprocess_conv.weight", f"{PROJECT_IN}.weight"),
    PROJECT_OUT: (f"{_MODEL}.postprocess_conv.weight", f"{PROJECT_OUT}.weight"),
}
#: end of a layer's name -> that of the norm before it
_NORMS = {
    "self_attn.to_qkv": "pre_norm",
    "cross_attn.to_q": "cross_attend_norm",
    "ff.ff.0.proj": "ff_norm",
}
_NORMED = re.compile(rf"({re.escape(_MODEL)}\..+)\.({'|'.join(map(re.escape, _NORMS))})")
_KEPT = re.compile(rf"{re.escape(_MODEL)}\..+\.({'|'.join(_NORMS.values())})\.(gamma|beta)")


def kept(tensors: Iterable[str]) -> list[str]:
    """Which tensors of a checkpoint belong in that file."""
    factors = {name for names in FACTORS.values() for name in names}
    return sorted(name for name in tensors if name in factors or _KEPT.fullmatch(name))


def gain(layer: str) -> str:
    """The tensor by which the converter may have multiplied a layer's inputs."""
    match = _NORMED.fullmatch(layer)
    return f"{match[1]}.{_NORMS[match[2]]}.gamma" if match else f"what stands before {layer}"


def offset(layer: str) -> str:
    """What the norm before a layer adds to its inputs, if it does."""
    return f"{gain(layer).removesuffix('.gamma')}.beta"


def folded(layer: str, tensor: Callable[[str], np.ndarray]) -> np.ndarray:
    """The weight [out, in] of a layer of FACTORS, float64; tensor: name -> what the checkpoint
    has: convolutions [io, io, 1], projections [embed_dim, io] and [io, embed_dim].
    """
    convolution, projection = map(tensor, FACTORS[layer])
    residual = np.eye(len(convolution)) + convolution[:, :, 0]
    product = projection @ residual if layer == PROJECT_IN else residual @ projection
    return np.asarray(product, np.float64)
