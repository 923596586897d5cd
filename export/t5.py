"""T5 v1.0's encoder (Raffel et al. 2020), under the key names of its public checkpoints."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import tensorflow as tf

from .checkpoint import Checkpoint
from .config import T5Config
from .layers import Linear, RMSNorm, Taps, attend, constant, merge_heads, no_taps, split_heads

MASKED = -1e9  # added to a score, it leaves nothing of it after the softmax


class T5Encoder(tf.Module):
    """input_ids, attention_mask int32 [1, L] -> hidden states float32 [1, L, d_model]."""

    def __init__(self, checkpoint: Checkpoint, config: T5Config, length: int):
        super().__init__()
        self.embedding = Embedding(
            checkpoint.take("t5.shared.weight", (config.vocab_size, config.d_model))
        )
        table = checkpoint.take(
            "t5.encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
            (config.buckets, config.num_heads),
        )
        buckets = relative_position_buckets(length, config.buckets, config.max_distance)
        self.position_bias = constant(table[buckets].transpose(2, 0, 1)[None])
        self.blocks = [
            T5Block(checkpoint, f"t5.encoder.block.{i}.layer", config)
            for i in range(config.num_layers)
        ]
        self.norm = RMSNorm(
            checkpoint.take("t5.encoder.final_layer_norm.weight", (config.d_model,)), config.eps
        )

    def __call__(
        self, input_ids: tf.Tensor, attention_mask: tf.Tensor, taps: Taps = no_taps
    ) -> tf.Tensor:
        mask = tf.cast(attention_mask, tf.float32)
        bias = self.position_bias + tf.reshape(1.0 - mask, [1, 1, 1, -1]) * MASKED
        x = self.embedding(input_ids)
        taps("t5_embed", x)
        for block in self.blocks:
            x = block(x, bias)
        return self.norm(x)


class Embedding(tf.Module):
    """The table of word vectors, small in the precisions that are: only the rows that are asked for
    are ever widened.

    Left to the converter, a float16 table would be widened whole when the graph is loaded (98 MB
    for T5-base), and an int8 one would have a single scale for all words. Here rows are integers
    with a scale each, int16 standing for float16, which LiteRT cannot gather and which is no more
    exact.
    """

    #: form -> the largest integer of a row
    LARGEST: ClassVar = {"int16": 32767, "int8": 127}

    def __init__(self, table: np.ndarray):
        super().__init__()
        self._table = table
        self.store("f32")

    def store(self, precision: str) -> str:
        """Keep the table in the form that goes with a precision; return the form's name."""
        form = {"f32": "f32", "f16": "int16"}.get(precision, "int8")
        rows, self.scale = self._table.astype(np.float32), None
        if form in self.LARGEST:
            scale = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-12) / self.LARGEST[form]
            rows, self.scale = np.round(rows / scale).astype(form), constant(scale)
        self.rows = tf.Variable(rows, trainable=False)
        return form

    def __call__(self, ids: tf.Tensor) -> tf.Tensor:
        rows = tf.cast(tf.gather(self.rows, ids), tf.float32)
        return rows if self.scale is None else rows * tf.gather(self.scale, ids)


class T5Block(tf.Module):
    """Pre-norm self-attention without a scale, then a ReLU feed-forward; no biases anywhere."""

    def __init__(self, checkpoint: Checkpoint, name: str, config: T5Config):
        super().__init__()
        inner = config.num_heads * config.d_kv
        self.heads = config.num_heads
        attention, dense = f"{name}.0.SelfAttention", f"{name}.1.DenseReluDense"
        self.attention_norm = RMSNorm(
            checkpoint.take(f"{name}.0.layer_norm.weight", (config.d_model,)), config.eps
        )
        self.q, self.k, self.v = (
            Linear.take(checkpoint, f"{attention}.{n}", config.d_model, inner) for n in "qkv"
        )
        self.o = Linear.take(checkpoint, f"{attention}.o", inner, config.d_model)
        self.dense_norm = RMSNorm(
            checkpoint.take(f"{name}.1.layer_norm.weight", (config.d_model,)), config.eps
        )
        self.wi = Linear.take(checkpoint, f"{dense}.wi", config.d_model, config.d_ff)
        self.wo = Linear.take(checkpoint, f"{dense}.wo", config.d_ff, config.d_model)

    def __call__(self, x: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
        y = self.attention_norm(x)
        q, k, v = (split_heads(layer(y), self.heads) for layer in (self.q, self.k, self.v))
        x = x + self.o(merge_heads(attend(q, k, v, bias=bias)))
        return x + self.wo(tf.nn.relu(self.wi(self.dense_norm(x))))


def relative_position_buckets(length: int, buckets: int, max_distance: int) -> np.ndarray:
    """Bucket of each (query, key) pair, int [L, L]: half of them for each sign, near ones exact,
    far ones logarithmic.
    """
    distance = np.arange(length)[None, :] - np.arange(length)[:, None]
    half, exact = buckets // 2, buckets // 4
    # float32 like the official code: the truncation below is sensitive to the last digit
    ratio = np.log(np.maximum(np.abs(distance), 1).astype(np.float32) / exact) / np.float32(
        math.log(max_distance / exact)
    )
    far = np.minimum(exact + (ratio * (half - exact)).astype(np.int64), half - 1)
    near = np.where(np.abs(distance) < exact, np.abs(distance), far)
    return np.asarray(near + half * (distance > 0))
