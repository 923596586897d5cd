"""The diffusion transformer, in two signatures: what depends on the prompt is computed once, the
rest at every step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from edge_audio.lora.folded import FACTORS, PROJECT_IN, PROJECT_OUT, folded

from .checkpoint import Checkpoint
from .config import DiTConfig, ModelConfig
from .layers import (
    Embed,
    LayerNorm,
    Linear,
    Signatures,
    Taps,
    attend,
    constant,
    merge_heads,
    no_taps,
    silu,
    split_heads,
    under,
)

PREFIX = "model.model"
TIMESTEP_FEATURES = 256
#: (checkpoint, name, dim_head) -> the norm of q or k
HeadNorm = Callable[[Checkpoint, str, int], tf.Module]


class DiT(tf.Module):
    """The graph `dit`."""

    def __init__(self, checkpoint: Checkpoint, config: ModelConfig):
        super().__init__()
        self.config, self.latent, self.tokens = config.dit, config.latent, config.max_length + 1
        self.example_ranges = {"t": (0.0, 1.0)}
        dit = config.dit
        self.frequencies = constant(
            checkpoint.take(f"{PREFIX}.timestep_features.weight", (TIMESTEP_FEATURES // 2, 1)).T
        )
        self.to_timestep_embed = Embed(
            checkpoint, f"{PREFIX}.to_timestep_embed", TIMESTEP_FEATURES, dit.embed_dim, True
        )
        self.to_cond_embed = Embed(
            checkpoint, f"{PREFIX}.to_cond_embed", dit.cond_token_dim, dit.embed_dim, False
        )
        self.to_global_embed = Embed(
            checkpoint, f"{PREFIX}.to_global_embed", dit.global_cond_dim, dit.embed_dim, False
        )
        name = f"{PREFIX}.transformer"
        self.project_in, self.project_out = projections(checkpoint, dit)
        inverse = checkpoint.take(f"{name}.rotary_pos_emb.inv_freq", (dit.rotary_dims // 2,))
        self.rotary = Rotary(inverse, self.latent.length + 1)  # positions count the prepended token
        self.positions = None
        if dit.positions:
            shape = (dit.positions, dit.embed_dim)
            table = checkpoint.take(f"{name}.pos_emb.emb.weight", shape)
            self.positions = constant(table[: self.latent.length + 1] * dit.embed_dim**-0.5)
        self.blocks = [Block(checkpoint, f"{name}.layers.{i}", dit) for i in range(dit.depth)]

    def project(
        self, cross_attn_cond: tf.Tensor, global_cond: tf.Tensor, taps: Taps = no_taps
    ) -> dict[str, tf.Tensor]:
        """cross_attn_cond [1, L+1, C], global_cond [1, C] -> keys and values of every block's
        cross-attention, global_embed.
        """
        context, global_embed = (
            self.to_cond_embed(cross_attn_cond),
            self.to_global_embed(global_cond),
        )
        taps("to_cond_embed", context)
        attentions = [block.cross_attn for block in self.blocks]
        return {"global_embed": global_embed, **keys_and_values(attentions, context)}

    def timestep_embed(self, t: tf.Tensor, taps: Taps = no_taps) -> tf.Tensor:
        """t [1] -> [1, embed_dim]: Fourier features, cosines first, then Linear, SiLU, Linear."""
        angles = tf.reshape(t, [1, 1]) * (2 * math.pi * self.frequencies)
        features = tf.concat([tf.cos(angles), tf.sin(angles)], axis=-1)
        taps("timestep_features", features)
        embed = self.to_timestep_embed(features)
        taps("timestep_embed", embed)
        return embed

    def denoise(
        self,
        x: tf.Tensor,
        t: tf.Tensor,
        global_embed: tf.Tensor,
        taps: Taps = no_taps,
        **cross: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """x [1, T, channels], t [1] and what `project` gave -> v [1, T, channels]."""
        token = global_embed + self.timestep_embed(t, taps)
        x = tf.concat([tf.expand_dims(token, 1), self.project_in(x)], axis=1)
        if self.positions is not None:
            x += self.positions[: x.shape[1]]
        for index, block in enumerate(self.blocks):
            taps(f"block{index}.in", x)
            x = block(
                x,
                self.rotary,
                cross[f"cross_k_{index:02}"],
                cross[f"cross_v_{index:02}"],
                under(f"block{index}", taps),
            )
        return {"v": self.project_out(x[:, 1:])}

    def signatures(self) -> Signatures:
        dit = self.config
        spec = {
            name: tf.TensorSpec(shape, tf.float32)
            for name, shape in (
                ("cross_attn_cond", [1, self.tokens, dit.cond_token_dim]),
                ("global_cond", [1, dit.global_cond_dim]),
                ("t", [1]),
                ("global_embed", [1, dit.embed_dim]),
            )
        }
        context = tf.TensorSpec([1, dit.num_heads, self.tokens, dit.dim_head], tf.float32)
        cross = {f"cross_{kind}_{i:02}": context for i in range(dit.depth) for kind in "kv"}
        signatures: Signatures = {
            "project": (
                self.project,
                {name: spec[name] for name in ("cross_attn_cond", "global_cond")},
            )
        }
        for length in self.latent.lengths:
            x = tf.TensorSpec([1, length, dit.io_channels], tf.float32)
            inputs = {"x": x, "t": spec["t"], "global_embed": spec["global_embed"]} | cross
            signatures[self.latent.signature("denoise", length)] = (self.denoise, inputs)
        return signatures


def projections(checkpoint: Checkpoint, dit: DiTConfig) -> tuple[Linear, Linear]:
    """`project_in` and `project_out`, with the residual convolutions around the transformer folded
    into them: two products less, and no 1 on a diagonal beside which the small weights would be
    lost in 8 bits.
    """

    io, width = dit.io_channels, dit.embed_dim
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, shape in ((PROJECT_IN, (width, io)), (PROJECT_OUT, (io, width))):
        convolution, projection = FACTORS[layer]
        shapes |= {convolution: (io, io, 1), projection: shape}

    def tensor(name: str) -> np.ndarray:
        return checkpoint.take(name, shapes[name])

    return (
        Linear(PROJECT_IN, folded(PROJECT_IN, tensor)),
        Linear(PROJECT_OUT, folded(PROJECT_OUT, tensor)),
    )


def keys_and_values(
    attentions: Iterable[CrossAttention], context: tf.Tensor
) -> dict[str, tf.Tensor]:
    """What the cross-attention of every block makes of the embedded conditioning: `cross_k_NN` and
    `cross_v_NN`.
    """
    projected: dict[str, tf.Tensor] = {}
    for index, attention in enumerate(attentions):
        k, v = attention.project(context)
        projected |= {f"cross_k_{index:02}": k, f"cross_v_{index:02}": v}
    return projected


class Rotary(tf.Module):
    """Rotary positions (Su et al.

    2021), half-rotation, on the first dims of a head; the tables are constants.
    """

    def __init__(self, inverse_frequencies: np.ndarray, length: int):
        super().__init__()
        angles = np.arange(length)[:, None] * inverse_frequencies.astype(np.float64)[None]
        self.dims = 2 * len(inverse_frequencies)
        self.cos = constant(np.concatenate([np.cos(angles), np.cos(angles)], axis=1))
        self.sin = constant(
            np.concatenate([-np.sin(angles), np.sin(angles)], axis=1)
        )  # the sign of the turned half

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """x [..., length, dim_head], rotated by its positions."""
        return rotate(x, self.cos[: x.shape[-2]], self.sin[: x.shape[-2]])

    def at(self, positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The tables at positions int32 [length], for `rotate`: each [length, dims]."""
        return tf.gather(self.cos, positions), tf.gather(self.sin, positions)


def rotate(x: tf.Tensor, cos: tf.Tensor, sin: tf.Tensor) -> tf.Tensor:
    """x [..., length, dim_head] by tables of `Rotary`, [length, dims] or with leading ones."""
    dims = cos.shape[-1]
    a, b, rest = x[..., : dims // 2], x[..., dims // 2 : dims], x[..., dims:]
    turned = tf.concat([a, b], axis=-1) * cos + tf.concat([b, a], axis=-1) * sin
    return turned if rest.shape[-1] == 0 else tf.concat([turned, rest], axis=-1)


def head_layer_norm(checkpoint: Checkpoint, name: str, width: int) -> tf.Module:
    """The norm of a head's q or k in stable-audio-open-small."""
    weight, bias = (checkpoint.take(f"{name}.{key}", (width,)) for key in ("weight", "bias"))
    return LayerNorm(weight, bias, eps=1e-6)


class Attention(tf.Module):
    """What self- and cross-attention share: heads, norms per head of q and k, the output
    projection.
    """

    def __init__(self, checkpoint: Checkpoint, name: str, config: DiTConfig, norm: HeadNorm):
        super().__init__()
        self.heads, self.scale = config.num_heads, config.dim_head**-0.5
        self.to_out = Linear.take(checkpoint, f"{name}.to_out", config.embed_dim, config.embed_dim)
        self.q_norm, self.k_norm = (
            norm(checkpoint, f"{name}.{which}", config.dim_head) for which in ("q_norm", "k_norm")
        )

    def finish(
        self, q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, bias: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Heads of q, k, v -> what attention gives, [1, T, embed_dim]; bias is added to scores."""
        return self.to_out(merge_heads(attend(q, k, v, self.scale, bias)))


Rotation = Callable[[tf.Tensor], tf.Tensor]


class SelfAttention(Attention):
    def __init__(
        self,
        checkpoint: Checkpoint,
        name: str,
        config: DiTConfig,
        norm: HeadNorm = head_layer_norm,
    ):
        super().__init__(checkpoint, name, config, norm)
        self.to_qkv = Linear.take(
            checkpoint, f"{name}.to_qkv", config.embed_dim, 3 * config.embed_dim
        )

    def __call__(
        self,
        x: tf.Tensor,
        rotary: Rotation,
        taps: Taps,
        weights: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """weights: of the values, [1, 1, T, 1]."""
        q, k, v = (split_heads(y, self.heads) for y in tf.split(self.to_qkv(x), 3, axis=-1))
        q, k = self.q_norm(q), self.k_norm(k)  # before the rotation
        taps("q_normed", q)
        taps("k_normed", k)
        return self.finish(rotary(q), rotary(k), v if weights is None else v * weights)


class CrossAttention(Attention):
    def __init__(
        self,
        checkpoint: Checkpoint,
        name: str,
        config: DiTConfig,
        norm: HeadNorm = head_layer_norm,
    ):
        super().__init__(checkpoint, name, config, norm)
        self.to_q = Linear.take(checkpoint, f"{name}.to_q", config.embed_dim, config.embed_dim)
        self.to_kv = Linear.take(
            checkpoint, f"{name}.to_kv", config.embed_dim, 2 * config.embed_dim
        )

    def project(self, context: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Embedded conditioning [1, L, embed_dim] -> keys (normed) and values, each [1, heads, L,
        dim_head].
        """
        k, v = (split_heads(y, self.heads) for y in tf.split(self.to_kv(context), 2, axis=-1))
        return self.k_norm(k), v

    def __call__(
        self, x: tf.Tensor, k: tf.Tensor, v: tf.Tensor, bias: tf.Tensor | None = None
    ) -> tf.Tensor:
        """bias: of the scores, [1, 1, 1, L]."""
        return self.finish(self.q_norm(split_heads(self.to_q(x), self.heads)), k, v, bias)


class FeedForward(tf.Module):
    """Linear to twice 4·dim, x · SiLU(gate), Linear back."""

    def __init__(self, checkpoint: Checkpoint, name: str, dim: int):
        super().__init__()
        self.up = Linear.take(checkpoint, f"{name}.0.proj", dim, 8 * dim, bias=True)
        self.down = Linear.take(checkpoint, f"{name}.2", 4 * dim, dim, bias=True)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        value, gate = tf.split(self.up(x), 2, axis=-1)
        return self.down(value * silu(gate))


class Block(tf.Module):
    """Pre-norm residual block: self-attention, cross-attention, feed-forward."""

    def __init__(self, checkpoint: Checkpoint, name: str, config: DiTConfig):
        super().__init__()
        self.pre_norm, self.cross_attend_norm, self.ff_norm = (
            LayerNorm(
                checkpoint.take(f"{name}.{norm}.gamma", (config.embed_dim,)),
                checkpoint.take(f"{name}.{norm}.beta", (config.embed_dim,)),
                eps=1e-5,
            )
            for norm in ("pre_norm", "cross_attend_norm", "ff_norm")
        )
        self.self_attn = SelfAttention(checkpoint, f"{name}.self_attn", config)
        self.cross_attn = CrossAttention(checkpoint, f"{name}.cross_attn", config)
        self.ff = FeedForward(checkpoint, f"{name}.ff.ff", config.embed_dim)

    def __call__(
        self, x: tf.Tensor, rotary: Rotary, cross_k: tf.Tensor, cross_v: tf.Tensor, taps: Taps
    ) -> tf.Tensor:
        y = self.self_attn(self.pre_norm(x), rotary, taps)
        taps("self_attn", y)
        x = x + y
        y = self.cross_attn(self.cross_attend_norm(x), cross_k, cross_v)
        taps("cross_attn", y)
        x = x + y
        y = self.ff(self.ff_norm(x))
        taps("ff", y)
        x = x + y
        taps("out", x)
        return x
