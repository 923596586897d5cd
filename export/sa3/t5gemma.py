"""The encoder half of T5Gemma (Google 2025), under the key names of its public checkpoints."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from ..checkpoint import Checkpoint
from ..dit import Rotary, Rotation, rotate
from ..layers import Linear, RMSNorm, Taps, merge_heads, no_taps, split_heads
from ..t5 import MASKED, Embedding
from .config import GemmaConfig

#: what `read_checkpoint` puts before the names in the text encoder's file
PREFIX = "t5gemma.model.encoder"


class T5GemmaEncoder(tf.Module):
    """input_ids, attention_mask int32 [1, N] -> hidden states float32 [1, N, width]."""

    def __init__(self, checkpoint: Checkpoint, config: GemmaConfig, longest: int):
        super().__init__()
        self.embedding = Embedding(
            checkpoint.take(f"{PREFIX}.embed_tokens.weight", (config.vocab_size, config.width))
        )
        self.scale = config.width**0.5
        exponents = np.arange(0, config.dim_head, 2) / config.dim_head
        self.rotary = Rotary(config.rope_base**-exponents, longest)
        self.layers = [
            GemmaLayer(checkpoint, f"{PREFIX}.layers.{i}", config) for i in range(config.layers)
        ]
        self.norm = gemma_norm(checkpoint, f"{PREFIX}.norm", config)

    def __call__(
        self, input_ids: tf.Tensor, attention_mask: tf.Tensor, taps: Taps = no_taps
    ) -> tf.Tensor:
        mask = tf.cast(attention_mask, tf.float32)
        bias = tf.reshape(1.0 - mask, [1, 1, 1, -1]) * MASKED
        # counted along the mask, so that the graph can be resized
        positions = tf.maximum(tf.cumsum(attention_mask, axis=1) - 1, 0)
        cos, sin = (tf.reshape(y, [1, 1, -1, self.rotary.dims]) for y in self.rotary.at(positions))
        rotary = functools.partial(rotate, cos=cos, sin=sin)
        x = self.embedding(input_ids) * self.scale
        taps("t5_embed", x)
        for index, layer in enumerate(self.layers):
            x = layer(x, rotary, bias)
            taps(f"t5_layer{index}", x)
        return self.norm(x)


class GemmaLayer(tf.Module):
    """Attention with soft-capped scores and a gated feed-forward, each normed before and after."""

    def __init__(self, checkpoint: Checkpoint, name: str, config: GemmaConfig):
        super().__init__()
        inner = config.heads * config.dim_head
        self.heads, self.scale, self.softcap = config.heads, config.scale, config.softcap
        self.before, self.after, self.before_mlp, self.after_mlp = (
            gemma_norm(checkpoint, f"{name}.{norm}_layernorm", config)
            for norm in ("pre_self_attn", "post_self_attn", "pre_feedforward", "post_feedforward")
        )
        self.q, self.k, self.v = (
            Linear.take(checkpoint, f"{name}.self_attn.{kind}_proj", config.width, inner)
            for kind in "qkv"
        )
        self.o = Linear.take(checkpoint, f"{name}.self_attn.o_proj", inner, config.width)
        self.gate, self.up = (
            Linear.take(checkpoint, f"{name}.mlp.{kind}_proj", config.width, config.feed_forward)
            for kind in ("gate", "up")
        )
        self.down = Linear.take(
            checkpoint, f"{name}.mlp.down_proj", config.feed_forward, config.width
        )

    def __call__(self, x: tf.Tensor, rotary: Rotation, bias: tf.Tensor) -> tf.Tensor:
        x = x + self.after(self._attend(self.before(x), rotary, bias))
        y = self.before_mlp(x)
        return x + self.after_mlp(self.down(gelu_tanh(self.gate(y)) * self.up(y)))

    def _attend(self, x: tf.Tensor, rotary: Rotation, bias: tf.Tensor) -> tf.Tensor:
        q, k, v = (split_heads(layer(x), self.heads) for layer in (self.q, self.k, self.v))
        scores = tf.matmul(rotary(q) * (self.scale / self.softcap), rotary(k), transpose_b=True)
        # the cap comes before the mask
        capped = self.softcap * tf.tanh(scores) + bias
        return self.o(merge_heads(tf.matmul(tf.nn.softmax(capped), v)))


def gemma_norm(checkpoint: Checkpoint, name: str, config: GemmaConfig) -> RMSNorm:
    """Gemma's RMS norm stores its gain less one."""
    return RMSNorm(1.0 + checkpoint.take(f"{name}.weight", (config.width,)), config.eps)


def gelu_tanh(x: tf.Tensor) -> tf.Tensor:
    """GELU in its tanh form (Hendrycks & Gimpel 2016)."""
    return tf.nn.gelu(x, approximate=True)
