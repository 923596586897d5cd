"""The diffusion transformer in stages: what depends on the prompt is computed once, what depends on
the noise level alone once a step, the rest at every evaluation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from edge_audio.bundle.manifest import LATENTS, TOKENS

from ..checkpoint import Checkpoint
from ..dit import (
    PREFIX,
    CrossAttention,
    FeedForward,
    Rotary,
    SelfAttention,
    keys_and_values,
    projections,
)
from ..ladder import Ladder, Lengths
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
from ..t5 import MASKED
from .conditioners import FEATURES
from .config import DiTConfig, Sa3Config

#: scale, shift and gate of self-attention and of the feed-forward
MODULATIONS = 6
#: keys beside the prompt's: the padding, and the seconds
EXTRA_KEYS = 2


class DiT(tf.Module):
    """The graph `dit`."""

    def __init__(self, checkpoint: Checkpoint, config: Sa3Config):
        super().__init__()
        self.config = dit = config.dit
        self.latent, self.prompt = config.latent, config.prompt
        self.example_ranges = {
            "t_features": (-1.0, 1.0),
            "keep": (0.0, 1.0),
            "cross_attn_bias": (-1.0, 1.0),
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
        self.rotary = Rotary(inverse, dit.memory_tokens + self.latent.length)
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

    def local(
        self, keep: tf.Tensor, kept_latents: tf.Tensor, taps: Taps = no_taps
    ) -> dict[str, tf.Tensor]:
        """keep [1, T, 1], 1 where latents are kept, and those latents [1, T, channels], zero
        elsewhere -> what inpainting adds to the latents in every block.
        """
        condition = tf.concat([keep, kept_latents], axis=-1)
        return {
            f"local_{index:02}": block.to_local_embed(condition)
            for index, block in enumerate(self.blocks)
        }

    def denoise(
        self,
        x: tf.Tensor,
        latent_mask: tf.Tensor,
        padding_mask: tf.Tensor,
        modulations: tf.Tensor,
        cross_attn_bias: tf.Tensor,
        taps: Taps = no_taps,
        **given: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """x [1, T, channels], masks [1, T], and what `adaln`, `condition` and `project` gave (of
        `local` as well, where a part is kept) -> v [1, T, channels].

        latent_mask is 1 where the clip has latents: a longer signature's others are nothing's keys.
        padding_mask is 1 where a latent counts: the values of others are zero, their keys stay
        (what the official code does on a CPU).
        """
        dit = self.config
        there, counts = (
            tf.concat([tf.fill([1, dit.memory_tokens], value), mask], axis=1)
            for mask, value in ((latent_mask, 1.0), (padding_mask, 1.0))
        )
        length = dit.memory_tokens + x.shape[1]
        masks = Masks(
            keys=tf.reshape((there - 1.0) * -MASKED, [1, 1, 1, length]),
            values=tf.reshape(counts, [1, 1, length, 1]),
            cross=tf.reshape(cross_attn_bias, [1, 1, 1, -1]),
            # not a constant, which the converter would make [T, embed_dim] for every length
            latents=tf.reshape(
                tf.concat([tf.zeros([1, dit.memory_tokens]), latent_mask], axis=1), [1, length, 1]
            ),
        )
        memory = tf.expand_dims(self.memory, 0)
        x = tf.concat([memory, self.project_in(x)], axis=1)
        for index, block in enumerate(self.blocks):
            taps(f"block{index}.in", x)
            x = block(
                x,
                self.rotary,
                masks,
                modulations,
                given[f"cross_k_{index:02}"],
                given[f"cross_v_{index:02}"],
                given.get(f"local_{index:02}"),
                under(f"block{index}", taps),
            )
        taps("hidden", x)
        return {"v": self.project_out(x[:, dit.memory_tokens :])}

    def signatures(self) -> Signatures:
        """Signature -> (function, its inputs): those that are converted. `ladders` are made of
        them.
        """
        found: Signatures = {}
        for tokens in self.prompt.lengths:
            inputs = {"cross_attn_cond": spec(tokens + EXTRA_KEYS, self.config.cond_token_dim)}
            found[self.prompt.signature("project", tokens)] = (self.project, inputs)
        inputs = {"t_features": spec(FEATURES), "global_cond": spec(self.config.global_cond_dim)}
        found["adaln"] = (self.adaln, inputs)
        for stage, ladder in self._ladders().items():
            for name, lengths in ladder.templates.items():
                found[name] = self._at(stage, lengths)
        return found

    def proofs(self) -> Signatures:
        """The signatures that a graph is proven with: the shortest of every stage, and one between
        the templates, at which `ladder.expand` shows whether it is right.
        """
        ladders = self._ladders()
        longer = {name for one in ladders.values() for name in list(one.templates)[1:]}
        found = {name: made for name, made in self.signatures().items() if name not in longer}
        between = list(ladders["denoise"].wanted.items())
        name, lengths = between[len(between) // 3]
        return found | {name: self._at("denoise", lengths)}

    @property
    def ladders(self) -> list[Ladder]:
        """The stages that follow a length."""
        return list(self._ladders().values())

    def _ladders(self) -> dict[str, Ladder]:
        latents, tokens = self.latent.lengths, self.prompt.lengths
        corners = [(latents[0], tokens[0]), (latents[-1], tokens[0]), (latents[0], tokens[-1])]
        ladders = {}
        for stage, follows in (("local", False), ("denoise", True), ("inpaint", True)):

            def named(pairs: Iterable[tuple[int, int]], stage: str = stage) -> dict[str, Lengths]:
                return {
                    self._named(stage, length, count): {LATENTS: length, TOKENS: count}
                    for length, count in pairs
                }

            every = itertools.product(latents, tokens if follows else tokens[:1])
            ladders[stage] = Ladder(named(corners[: 3 if follows else 2]), named(every))
        return ladders

    def _named(self, stage: str, length: int, tokens: int) -> str:
        name = self.latent.signature(stage, length)
        return name if stage == "local" else self.prompt.signature(name, tokens)

    def _at(self, stage: str, lengths: Lengths) -> tuple[Callable[..., Any], dict[str, Any]]:
        """A stage's function, and its inputs for these lengths."""
        dit, length = self.config, lengths[LATENTS]
        if stage == "local":
            inputs = {"keep": spec(length, 1), "kept_latents": spec(length, dit.io_channels)}
            return self.local, inputs
        inputs = self._denoise_inputs(length, lengths[TOKENS])
        local = {f"local_{i:02}": spec(length, dit.embed_dim) for i in range(dit.depth)}
        return self.denoise, inputs | (local if stage == "inpaint" else {})

    def _denoise_inputs(self, length: int, tokens: int) -> dict[str, tf.TensorSpec]:
        dit, keys = self.config, tokens + EXTRA_KEYS
        context = spec(dit.num_heads, keys, dit.dim_head)
        return {
            "x": spec(length, dit.io_channels),
            "latent_mask": spec(length),
            "padding_mask": spec(length),
            "modulations": spec(MODULATIONS * dit.embed_dim),
            "cross_attn_bias": spec(keys),
        } | {f"cross_{kind}_{i:02}": context for i in range(dit.depth) for kind in "kv"}


def spec(*shape: int) -> tf.TensorSpec:
    """One of something in float32."""
    return tf.TensorSpec([1, *shape], tf.float32)


@dataclass(frozen=True)
class Masks:
    """What is attended to and what counts, in the shapes that attention wants."""

    #: added to the scores of self-attention, [1, 1, 1, M+T]
    keys: tf.Tensor
    #: times the values of self-attention, [1, 1, M+T, 1]
    values: tf.Tensor
    #: added to the scores of cross-attention, [1, 1, 1, K]
    cross: tf.Tensor
    #: 1 at latents, 0 at memory tokens, [1, M+T, 1]
    latents: tf.Tensor


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
        # Where nothing is kept, the local condition is zeros, and what becomes of them is the same
        # for every latent: the first layer's bias on its way through the second.
        first, second = self.to_local_embed.first, self.to_local_embed.second
        assert first.bias is not None and second.bias is not None  # it was made with them
        hidden = first.bias.numpy().astype(np.float64)
        hidden = hidden / (1 + np.exp(-hidden))
        self.local_of_nothing = constant(hidden @ second.kernel.numpy() + second.bias.numpy())

    def __call__(
        self,
        x: tf.Tensor,
        rotary: Rotary,
        masks: Masks,
        modulations: tf.Tensor,
        k: tf.Tensor,
        v: tf.Tensor,
        local: tf.Tensor | None,
        taps: Taps,
    ) -> tf.Tensor:
        scale, shift, gate, ff_scale, ff_shift, ff_gate = (
            tf.reshape(part, [1, 1, -1])
            for part in tf.split(modulations + self.scale_shift_gate, MODULATIONS, axis=-1)
        )
        y = modulated(self.pre_norm, x, scale, shift)
        y = self.self_attn(y, rotary, taps, masks.values, masks.keys)
        taps("self_attn", y)
        x = x + y * tf.sigmoid(1.0 - gate)
        y = self.cross_attn(self.cross_attend_norm(x), k, v, masks.cross)
        taps("cross_attn", y)
        if local is None:
            embed = tf.reshape(self.local_of_nothing, [1, 1, -1]) * masks.latents
        else:
            memory = x.shape[1] - local.shape[1]
            embed = tf.pad(local, [[0, 0], [memory, 0], [0, 0]])
        taps("local", embed)
        x = x + y + embed
        y = self.ff(modulated(self.ff_norm, x, ff_scale, ff_shift))
        taps("ff", y)
        x = x + y * tf.sigmoid(1.0 - ff_gate)
        taps("out", x)
        return x


def modulated(norm: RMSNorm, x: tf.Tensor, scale: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """adaLN (Peebles & Xie 2023): norm(x) · (1 + scale) + shift, the gains made one first."""
    inverse = tf.math.rsqrt(tf.reduce_mean(x * x, axis=-1, keepdims=True) + norm.eps)
    return x * inverse * ((1.0 + scale) * norm.gain) + shift
