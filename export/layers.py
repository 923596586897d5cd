"""The layers that several parts of the model share, in TensorFlow, channels last.

Each layer takes its tensors from the checkpoint by official name when it is made, brings them into
the form that runs fastest, and is then a plain function of its input. A layer that was given `taps`
reports inner values to it, under the names of the official modules: parity tests and diagnosis look
inside through them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from .checkpoint import Checkpoint

Taps = Callable[[str, tf.Tensor], None]
#: signature -> the function behind it, and the names, shapes and types of what it reads
Signatures = dict[str, tuple[Callable[..., dict[str, tf.Tensor]], dict[str, tf.TensorSpec]]]


def no_taps(name: str, value: tf.Tensor) -> None:
    """Nobody is looking."""


def under(prefix: str, taps: Taps) -> Taps:
    """Taps for a part of a layer: the same, told `prefix`.name."""
    return lambda name, value: taps(f"{prefix}.{name}", value)


_observers: list[Taps] = []


@contextlib.contextmanager
def observed(report: Taps) -> Iterator[None]:
    """While this lasts, every layer that becomes operations of a graph tells what it gives, by its
    official name, as it runs.

    Taps show what the official modules give, wherever an exported graph computes it; this shows
    what a graph can be asked for.
    """
    _observers.append(report)
    try:
        yield
    finally:
        _observers.remove(report)


def observe(name: str, value: tf.Tensor) -> None:
    for report in _observers:
        report(name, value)


def constant(value: np.ndarray) -> tf.Variable:
    """A weight. Variables, because SavedModel stores them beside the graph, where constants would
    count against its 2 GB.
    """
    return tf.Variable(value.astype(np.float32), trainable=False)


class Linear(tf.Module):
    """y = x·Wᵀ (+ b) on [..., inputs]. The graph's operations bear the layer's official name."""

    def __init__(self, name: str, weight: np.ndarray, bias: np.ndarray | None = None):
        super().__init__()
        self.scope = name
        self.kernel = constant(weight.T)
        self.bias = None if bias is None else constant(bias)

    @classmethod
    def take(
        cls, checkpoint: Checkpoint, name: str, inputs: int, outputs: int, bias: bool = False
    ) -> Linear:
        return cls(
            name,
            checkpoint.take(f"{name}.weight", (outputs, inputs)),
            checkpoint.take(f"{name}.bias", (outputs,)) if bias else None,
        )

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        # Two dimensions: a matrix product of three would become a batch product, which is not
        # quantized.
        with tf.name_scope(self.scope):
            y = tf.matmul(tf.reshape(x, [-1, x.shape[-1]]), self.kernel)
            if self.bias is not None:
                y = y + self.bias
            observe(self.scope, y)
            # the length is left open, so that a graph can be resized
            return y if x.shape.rank == 2 else tf.reshape(y, [*x.shape[:-2], -1, y.shape[-1]])

    @property
    def stored(self) -> np.ndarray:
        """The weights in the order of a graph: [outputs, taps, inputs]."""
        return self.arranged(self.kernel.numpy().T)

    @staticmethod
    def arranged(weight: np.ndarray) -> np.ndarray:
        """The same of a checkpoint's weight."""
        return weight[:, None]


class LayerNorm(tf.Module):
    """(x − mean) / √(variance + eps) · gain + bias over the last axis."""

    def __init__(self, gain: np.ndarray, bias: np.ndarray, eps: float):
        super().__init__()
        self.gain, self.bias, self.eps = constant(gain), constant(bias), eps

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
        variance = tf.reduce_mean(centred * centred, axis=-1, keepdims=True)
        return centred * tf.math.rsqrt(variance + self.eps) * self.gain + self.bias


class RMSNorm(tf.Module):
    """T5's norm: x / √(mean square + eps) · gain, no mean, no bias."""

    def __init__(self, gain: np.ndarray, eps: float):
        super().__init__()
        self.gain, self.eps = constant(gain), eps

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return (
            x * tf.math.rsqrt(tf.reduce_mean(x * x, axis=-1, keepdims=True) + self.eps) * self.gain
        )


def silu(x: tf.Tensor) -> tf.Tensor:
    """x · sigmoid(x)."""
    return x * tf.sigmoid(x)


class Embed(tf.Module):
    """Linear, SiLU, Linear: `to_cond_embed`, `to_global_embed` (no bias), `to_timestep_embed`
    (bias).
    """

    def __init__(self, checkpoint: Checkpoint, name: str, inputs: int, outputs: int, bias: bool):
        super().__init__()
        self.first = Linear.take(checkpoint, f"{name}.0", inputs, outputs, bias)
        self.second = Linear.take(checkpoint, f"{name}.2", outputs, outputs, bias)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return self.second(silu(self.first(x)))


def split_heads(x: tf.Tensor, heads: int) -> tf.Tensor:
    """[1, T, heads·d] -> [1, heads, T, d]."""
    return tf.transpose(tf.reshape(x, [1, -1, heads, x.shape[-1] // heads]), [0, 2, 1, 3])


def merge_heads(x: tf.Tensor) -> tf.Tensor:
    """[1, heads, T, d] -> [1, T, heads·d]."""
    return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [1, -1, x.shape[1] * x.shape[3]])


def attend(
    q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, scale: float = 1.0, bias: tf.Tensor | None = None
) -> tf.Tensor:
    """softmax(scale · q·kᵀ + bias)·v on [1, heads, T, d]."""
    scores = tf.matmul(q * scale if scale != 1 else q, k, transpose_b=True)
    return tf.matmul(tf.nn.softmax(scores if bias is None else scores + bias), v)
