"""The diffusion transformer in stages: what depends on the prompt is computed once, what depends on
the noise level alone once a step, the rest at every evaluation.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from edge_audio.bundle.manifest import LATENTS, TOKENS

from ..checkpoint import Checkpoint
from ..dit import (
    PREFIX,
    CrossAttention,
    FeedForward,
    Rotary,
    Rotation,
    SelfAttention,
    keys_and_values,
    projections,
    rotate,
)
from ..layers import (
    Embed,
    Linear,
    RMSNorm,
    Signatures,
    Taps,
    constant,
    no_taps,
    silu,
    under,
)
from .conditioners import FEATURES
from .config import CONVERTED, PROVEN, SHORTEST, DiTConfig, Sa3Config

#: scale, shift and gate of self-attention and of the feed-forward
MODULATIONS = 6
#: keys beside the prompt's: the padding, and the seconds
EXTRA_KEYS = 2


class DiT(tf.Module):
    """The graph `dit`."""

    def __init__(self, checkpoint: Checkpoint, config: Sa3Config):
        super().__init__()
        self.config = dit = config.dit
        self.example_ranges = {
            "t_features": (-1.0, 1.0),
            "keep": (0.0, 1.0),
            "cross_attn_bias": (-1.0, 1.0),
            "positions": (0, SHORTEST),
        }
        width = dit.embed_dim
        self.to_timestep_embed = Embed(
            checkpoint, f"{PREFIX}.to_timestep_embed", FEATURES, width, True
        )
        self.to_cond_embed = Embed(
            checkpoint, f"{PREFIX}.to_cond_embed", dit.cond_token_dim, width, False
        )
        self.to_global_embed = Embed(
            checkpoint, f"{PREFIX}.to_global_embed", dit.global_cond_dim, width, False
        )
        name = f"{PREFIX}.transformer"
        embedder = f"{name}.global_cond_embedder"
        self.global_cond_embedder = (
            Linear.take(checkpoint, f"{embedder}.0", width, width, bias=True),
            Linear.take(checkpoint, f"{embedder}.2", width, MODULATIONS * width, bias=True),
        )
        self.memory = constant(checkpoint.take(f"{name}.memory_tokens", (dit.memory_tokens, width)))
        self.project_in, self.project_out = projections(checkpoint, dit)
        inverse = checkpoint.take(f"{name}.rotary_pos_emb.inv_freq", (dit.rotary_dims // 2,))
        # positions count the memory tokens
        self.rotary = Rotary(inverse, dit.memory_tokens + config.latent.length)
        self.blocks = [Block(checkpoint, f"{name}.layers.{i}", dit) for i in range(dit.depth)]

    def project(self, cross_attn_cond: tf.Tensor, taps: Taps = no_taps) -> dict[str, tf.Tensor]:
        """cross_attn_cond [1, K, C] -> keys and values of every block's cross-attention."""
        context = self.to_cond_embed(cross_attn_cond)
        taps("to_cond_embed", context)
        return keys_and_values((block.cross_attn for block in self.blocks), context)

    def adaln(
        self, t_features: tf.Tensor, global_cond: tf.Tensor, taps: Taps = no_taps
    ) -> dict[str, tf.Tensor]:
        """Features of t [1, 256], global_cond [1, C] -> modulations [1, 6·embed_dim]."""
        timestep = self.to_timestep_embed(t_features)
        taps("timestep_embed", timestep)
        embed = self.to_global_embed(global_cond)
        taps("to_global_embed", embed)
        first, second = self.global_cond_embedder
        return {"modulations": second(silu(first(embed + timestep)))}

    def rotation(self, positions: tf.Tensor, taps: Taps = no_taps) -> dict[str, tf.Tensor]:
        """positions int32 [1, T] of latents, from 0 -> tables of rotary positions, [1, M+T, dims]:
        M memory tokens come first.
        """
        memory = np.arange(self.config.memory_tokens, dtype=np.int32)
        places = tf.concat([memory, tf.reshape(positions, [-1]) + len(memory)], axis=0)
        cos, sin = (tf.reshape(y, [1, -1, self.rotary.dims]) for y in self.rotary.at(places))
        return {"rotary_cos": cos, "rotary_sin": sin}

    def local(
        self, keep: tf.Tensor, kept_latents: tf.Tensor, taps: Taps = no_taps
    ) -> dict[str, tf.Tensor]:
        """keep [1, T, 1], 1 where latents are kept, and those latents [1, T, channels], zero
        elsewhere -> what inpainting adds to the latents in every block. Where nothing is kept, one
        row stands for all.
        """
        condition = tf.concat([keep, kept_latents], axis=-1)
        return {
            f"local_{index:02}": block.to_local_embed(condition)
            for index, block in enumerate(self.blocks)
        }

    def denoise(
        self,
        x: tf.Tensor,
        padding_mask: tf.Tensor,
        rotary_cos: tf.Tensor,
        rotary_sin: tf.Tensor,
        modulations: tf.Tensor,
        cross_attn_bias: tf.Tensor,
        taps: Taps = no_taps,
        **given: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """x [1, T, channels], padding_mask [1, T], and what the other stages gave -> v [1, T,
        channels].

        padding_mask is 1 where a latent counts: the values of others are zero, their keys stay
        (what the official code does on a CPU).
        """
        memory = self.config.memory_tokens
        counts = tf.concat([tf.ones([1, memory]), padding_mask], axis=1)
        cos, sin = (tf.reshape(y, [1, 1, -1, y.shape[-1]]) for y in (rotary_cos, rotary_sin))
        common = Common(
            memory,
            rotation=functools.partial(rotate, cos=cos, sin=sin),
            counts=tf.reshape(counts, [1, 1, -1, 1]),
            cross_bias=tf.reshape(cross_attn_bias, [1, 1, 1, -1]),
            modulations=modulations,
        )
        x = tf.concat([tf.expand_dims(self.memory, 0), self.project_in(x)], axis=1)
        for index, block in enumerate(self.blocks):
            taps(f"block{index}.in", x)
            k, v, local = (given[f"{name}_{index:02}"] for name in ("cross_k", "cross_v", "local"))
            x = block(x, common, k, v, local, under(f"block{index}", taps))
        taps("hidden", x)
        return {"v": self.project_out(x[:, memory:])}

    def signatures(self, lengths: Mapping[str, int] = CONVERTED) -> Signatures:
        """Signature -> (function, its inputs), for these lengths."""
        dit, keys = self.config, lengths[TOKENS] + EXTRA_KEYS
        latents, every = lengths[LATENTS], lengths[LATENTS] + dit.memory_tokens
        x, blocks = spec(latents, dit.io_channels), range(dit.depth)
        context = spec(dit.num_heads, keys, dit.dim_head)
        cross = {f"cross_{kind}_{i:02}": context for i in blocks for kind in "kv"}
        return {
            "project": (self.project, {"cross_attn_cond": spec(keys, dit.cond_token_dim)}),
            "adaln": (
                self.adaln,
                {"t_features": spec(FEATURES), "global_cond": spec(dit.global_cond_dim)},
            ),
            "rotary": (self.rotation, {"positions": tf.TensorSpec([1, latents], tf.int32)}),
            "local": (self.local, {"keep": spec(latents, 1), "kept_latents": x}),
            "denoise": (
                self.denoise,
                {
                    "x": x,
                    "padding_mask": spec(latents),
                    **dict.fromkeys(("rotary_cos", "rotary_sin"), spec(every, dit.rotary_dims)),
                    "modulations": spec(MODULATIONS * dit.embed_dim),
                    "cross_attn_bias": spec(keys),
                    **cross,
                    **{f"local_{i:02}": spec(latents, dit.embed_dim) for i in blocks},
                },
            ),
        }

    def resized(self) -> Signatures:
        """The same for other lengths: how a graph is proven that will be resized."""
        return self.signatures(PROVEN)


def spec(*shape: int) -> tf.TensorSpec:
    """One of something in float32."""
    return tf.TensorSpec([1, *shape], tf.float32)


@dataclass(frozen=True)
class Common:
    """What all blocks are given."""

    #: tokens before the latents
    memory: int
    rotation: Rotation
    #: times the values of self-attention, [1, 1, M+T, 1]
    counts: tf.Tensor
    #: added to the scores of cross-attention, [1, 1, 1, K]
    cross_bias: tf.Tensor
    #: of adaLN, [1, 6·embed_dim]
    modulations: tf.Tensor


def head_rms_norm(checkpoint: Checkpoint, name: str, width: int) -> tf.Module:
    """The norm of a head's q or k."""
    return RMSNorm(checkpoint.take(f"{name}.gamma", (width,)), eps=1e-6)


class Block(tf.Module):
    """Self-attention and feed-forward under adaLN, cross-attention and local conditioning
    between them.
    """

    def __init__(self, checkpoint: Checkpoint, name: str, config: DiTConfig):
        super().__init__()
        width = config.embed_dim
        self.pre_norm, self.cross_attend_norm, self.ff_norm = (
            RMSNorm(checkpoint.take(f"{name}.{norm}.gamma", (width,)), eps=1e-5)
            for norm in ("pre_norm", "cross_attend_norm", "ff_norm")
        )
        self.scale_shift_gate = constant(
            checkpoint.take(f"{name}.to_scale_shift_gate", (MODULATIONS * width,))
        )
        self.self_attn = SelfAttention(checkpoint, f"{name}.self_attn", config, head_rms_norm)
        self.cross_attn = CrossAttention(checkpoint, f"{name}.cross_attn", config, head_rms_norm)
        self.to_local_embed = Embed(
            checkpoint, f"{name}.to_local_embed", config.local_dim, width, True
        )
        self.ff = FeedForward(checkpoint, f"{name}.ff.ff", width)

    def __call__(
        self,
        x: tf.Tensor,
        common: Common,
        k: tf.Tensor,
        v: tf.Tensor,
        local: tf.Tensor,
        taps: Taps,
    ) -> tf.Tensor:
        scale, shift, gate, ff_scale, ff_shift, ff_gate = (
            tf.reshape(part, [1, 1, -1])
            for part in tf.split(common.modulations + self.scale_shift_gate, MODULATIONS, axis=-1)
        )
        y = modulated(self.pre_norm, x, scale, shift)
        y = self.self_attn(y, common.rotation, taps, common.counts)
        taps("self_attn", y)
        x = x + y * tf.sigmoid(1.0 - gate)
        y = self.cross_attn(self.cross_attend_norm(x), k, v, common.cross_bias)
        taps("cross_attn", y)
        x = x + y
        taps("local", local)
        x = tf.concat([x[:, : common.memory], x[:, common.memory :] + local], axis=1)
        y = self.ff(modulated(self.ff_norm, x, ff_scale, ff_shift))
        taps("ff", y)
        x = x + y * tf.sigmoid(1.0 - ff_gate)
        taps("out", x)
        return x


def modulated(norm: RMSNorm, x: tf.Tensor, scale: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """adaLN (Peebles & Xie 2023): norm(x) · (1 + scale) + shift, the gains made one first."""
    inverse = tf.math.rsqrt(tf.reduce_mean(x * x, axis=-1, keepdims=True) + norm.eps)
    return x * inverse * ((1.0 + scale) * norm.gain) + shift
