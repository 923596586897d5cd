"""SAME-S, the autoencoder: a latent and its patches of audio are tokens of transformers that
see two latents at a time.

Attention sees a chunk of two latents; half way the chunks move by one latent. So a latent reaches
three further at most, and tiles that overlap by two latents, and begin at even ones, give exactly
what the whole would give.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from edge_audio.bundle.manifest import Tiling
from edge_audio.errors import EdgeAudioError

from ..autoencoder import TILE
from ..checkpoint import Checkpoint
from ..dit import Rotary
from ..layers import Linear, Signatures, Taps, constant, no_taps, silu, under
from .config import CHUNK, Sa3Config, SameConfig

PREFIX = "pretransform.model"
#: latents that a tile shares with each neighbour
OVERLAP = 2


def tiling(config: Sa3Config, tile: int) -> Tiling:
    """Tiles of `tile` latents and of those that they share with their neighbours; no longer than
    the shortest latents.
    """
    if tile % CHUNK:
        raise EdgeAudioError(f"tile {tile} is odd; SAME decodes two latents at a time")
    return Tiling(min(tile + 2 * OVERLAP, *config.latent.lengths), OVERLAP, 1)


class Decoder(tf.Module):
    """The graph `decoder`: latents of one tile -> audio."""

    def __init__(self, checkpoint: Checkpoint, config: Sa3Config, tile: int = TILE):
        """tile: latents that a tile is good for, beside those that it shares with others."""
        super().__init__()
        side, name = config.decoder, f"{PREFIX}.decoder.layers"
        self.config, self.channels, self.patch = side, config.channels, config.patch
        self.tiling = tiling(config, tile)
        self.running_std = constant(checkpoint.take(f"{PREFIX}.bottleneck.running_std", (1,)))
        self.project = Linear.take(checkpoint, f"{name}.1", side.latent_dim, side.width, bias=True)
        stage = f"{name}.3"
        self.blocks = Blocks(checkpoint, f"{stage}.transformers", side)
        self.new_tokens = constant(checkpoint.take(f"{stage}.new_tokens", (1, 1, side.width)))
        weight = checkpoint.take_weight_normed(
            f"{stage}.mapping", (side.patch_channels, side.width, 3)
        )
        bias = checkpoint.take(f"{stage}.mapping.bias", (side.patch_channels,))
        self.mapping = Neighbours(f"{stage}.mapping", weight, bias)

    def decode(self, latents: tf.Tensor, taps: Taps = no_taps) -> dict[str, tf.Tensor]:
        """latents [1, T, latent_dim], T even -> audio [1, T·downsampling, channels]."""
        side, length = self.config, latents.shape[1]
        z = latents * self.running_std
        taps("bottleneck", z)
        x = self.project(z)
        taps("project_in", x)
        # a latent's token, then as many new ones as it has patches
        count = length * side.stride
        new = tf.tile(self.new_tokens, [length, side.stride, 1])
        x = tf.concat([tf.reshape(x, [length, 1, side.width]), new], axis=1)
        x = self.blocks(x, taps)
        x = tf.reshape(x[:, 1:], [1, count, side.width])
        taps("tokens_out", x)
        patches = self.mapping(x)
        taps("patches", patches)
        return {"audio": unpatched(patches, self.channels, self.patch)}

    def signatures(self) -> Signatures:
        """Signature -> (function, its inputs)."""
        tile = tf.TensorSpec([1, self.tiling.tile, self.config.latent_dim], tf.float32)
        return {"decode": (self.decode, {"latents": tile})}


class Encoder(tf.Module):
    """The graph `encoder`: audio of one tile -> latents."""

    def __init__(self, checkpoint: Checkpoint, config: Sa3Config, tile: int = TILE):
        super().__init__()
        side, name = config.encoder, f"{PREFIX}.encoder.layers"
        self.config, self.channels, self.patch = side, config.channels, config.patch
        self.tile = tiling(config, tile).tile
        stage = f"{name}.0"
        weight = checkpoint.take_weight_normed(
            f"{stage}.mapping", (side.width, side.patch_channels, 1)
        )
        self.mapping = Linear(
            f"{stage}.mapping",
            weight[:, :, 0],
            checkpoint.take(f"{stage}.mapping.bias", (side.width,)),
        )
        self.new_tokens = constant(checkpoint.take(f"{stage}.new_tokens", (1, 1, side.width)))
        self.blocks = Blocks(checkpoint, f"{stage}.transformers", side)
        # (z · scaling_factor + bias) / running_std, folded into the projection before it
        bottleneck = f"{PREFIX}.bottleneck"
        std = checkpoint.take(f"{bottleneck}.running_std", (1,)).astype(np.float64)
        shape = (1, side.latent_dim, 1)
        factor, shift = (
            checkpoint.take(f"{bottleneck}.{key}", shape).astype(np.float64)[0, :, 0]
            for key in ("scaling_factor", "bias")
        )
        checkpoint.take(f"{bottleneck}.noise_scaling_factor", (1, 0, 1))  # of no channel
        weight = checkpoint.take(f"{name}.2.weight", (side.latent_dim, side.width))
        bias = checkpoint.take(f"{name}.2.bias", (side.latent_dim,))
        self.project = Linear(
            f"{name}.2", weight * (factor / std)[:, None], (bias * factor + shift) / std
        )

    def encode(self, audio: tf.Tensor, taps: Taps = no_taps) -> dict[str, tf.Tensor]:
        """audio [1, T·downsampling, channels], T even -> mean [1, T, latent_dim]: the encoder is
        deterministic.
        """
        side = self.config
        patches = patched(audio, self.channels, self.patch)
        taps("patches", patches)
        x = self.mapping(patches)
        taps("mapped", x)
        length = patches.shape[1] // side.stride
        x = tf.reshape(x, [length, side.stride, side.width])
        new = tf.tile(self.new_tokens, [length, 1, 1])
        x = self.blocks(tf.concat([x, new], axis=1), taps)
        x = tf.reshape(x[:, side.stride :], [1, length, side.width])
        taps("summary", x)
        return {"mean": self.project(x)}

    def signatures(self) -> Signatures:
        """Signature -> (function, its inputs)."""
        frames = self.tile * self.config.stride * self.patch
        return {
            "encode": (
                self.encode,
                {"audio": tf.TensorSpec([1, frames, self.channels], tf.float32)},
            )
        }


class Neighbours(Linear):
    """A convolution of three taps as one product over the channels of three neighbours."""

    def __init__(self, name: str, weight: np.ndarray, bias: np.ndarray):
        """weight [outputs, inputs, 3], as checkpoints have it."""
        super().__init__(name, self.arranged(weight)[:, 0], bias)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """x [1, n, inputs], with zeros beyond both ends."""
        length = x.shape[1]
        x = tf.pad(x, [[0, 0], [1, 1], [0, 0]])
        return super().__call__(tf.concat([x[:, tap : tap + length] for tap in range(3)], axis=-1))

    @property
    def stored(self) -> np.ndarray:
        return self.kernel.numpy().T[:, None]

    @staticmethod
    def arranged(weight: np.ndarray) -> np.ndarray:
        return weight.transpose(0, 2, 1).reshape(len(weight), 1, -1)


class Blocks(tf.Module):
    """Transformer blocks on chunks of two latents, the second half of them one latent later."""

    def __init__(self, checkpoint: Checkpoint, name: str, config: SameConfig):
        super().__init__()
        self.config = config
        self.blocks = [
            Block(checkpoint, f"{name}.{index}", config) for index in range(config.depth)
        ]

    def __call__(self, x: tf.Tensor, taps: Taps) -> tf.Tensor:
        """Tokens [T, tokens, width] of T latents, the same after all blocks."""
        config, length = self.config, x.shape[0]
        chunk = [CHUNK * config.tokens, config.width]
        half = len(self.blocks) // 2
        x = tf.reshape(x, [length // CHUNK, *chunk])
        for index, block in enumerate(self.blocks[:half]):
            x = block(x, under(f"block{index}", taps))
        # one latent later, the latents at both ends doubled
        x = tf.reshape(x, [length, config.tokens, config.width])
        x = tf.concat([x[:1], x, x[-1:]], axis=0)
        x = tf.reshape(x, [length // CHUNK + 1, *chunk])
        for index, block in enumerate(self.blocks[half:], half):
            x = block(x, under(f"block{index}", taps))
        return tf.reshape(x, [length + CHUNK, config.tokens, config.width])[1:-1]


class Block(tf.Module):
    """Differential attention and a gated feed-forward, under norms that are a tanh."""

    def __init__(self, checkpoint: Checkpoint, name: str, config: SameConfig):
        super().__init__()
        width, inner = config.width, 3 * config.width
        self.heads, self.scale = config.heads, config.dim_head**-0.5
        self.pre_norm, self.ff_norm = (
            DynamicTanh(checkpoint, f"{name}.{norm}", width) for norm in ("pre_norm", "ff_norm")
        )
        attention = f"{name}.self_attn"
        self.to_qkv = Linear.take(checkpoint, f"{attention}.to_qkv", width, 5 * width)
        self.to_out = Linear.take(checkpoint, f"{attention}.to_out", width, width)
        self.q_norm, self.k_norm = (
            DynamicTanh(checkpoint, f"{attention}.{norm}", config.dim_head)
            for norm in ("q_norm", "k_norm")
        )
        inverse = checkpoint.take(f"{name}.rope.inv_freq", (config.dim_head // 4,))
        self.rotary = Rotary(inverse, CHUNK * config.tokens)  # positions inside a chunk
        self.up = Linear.take(checkpoint, f"{name}.ff.ff.0.proj", width, 2 * inner, bias=True)
        self.down = Linear.take(checkpoint, f"{name}.ff.ff.2", inner, width, bias=True)

    def __call__(self, x: tf.Tensor, taps: Taps) -> tf.Tensor:
        """x [chunks, tokens, width]."""
        taps("in", x)
        y = self.attend(self.pre_norm(x))
        taps("attn", y)
        x = x + y
        value, gate = tf.split(self.up(self.ff_norm(x)), 2, axis=-1)
        y = self.down(value * silu(gate))
        taps("ff", y)
        x = x + y
        taps("out", x)
        return x

    def attend(self, x: tf.Tensor) -> tf.Tensor:
        """softmax(q·kᵀ)·v − softmax(q₂·k₂ᵀ)·v (Ye et al. 2024), within each chunk."""
        q, k, v, q2, k2 = (self._heads(part) for part in tf.split(self.to_qkv(x), 5, axis=-1))
        weights = self._weights(q, k) - self._weights(q2, k2)
        y = tf.transpose(tf.matmul(weights, v), [0, 2, 1, 3])
        return self.to_out(tf.reshape(y, x.shape))

    def _weights(self, q: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        q, k = self.rotary(self.q_norm(q)), self.rotary(self.k_norm(k))
        return tf.nn.softmax(tf.matmul(q * self.scale, k, transpose_b=True))

    def _heads(self, x: tf.Tensor) -> tf.Tensor:
        """[chunks, tokens, width] -> [chunks, heads, tokens, dim_head]."""
        chunks, tokens, width = x.shape
        x = tf.reshape(x, [chunks, tokens, self.heads, width // self.heads])
        return tf.transpose(x, [0, 2, 1, 3])


class DynamicTanh(tf.Module):
    """γ · tanh(α·x) + β (Zhu et al. 2025)."""

    def __init__(self, checkpoint: Checkpoint, name: str, width: int):
        super().__init__()
        self.alpha = constant(checkpoint.take(f"{name}.alpha", (1,)))
        self.gamma, self.beta = (
            constant(checkpoint.take(f"{name}.{key}", (width,))) for key in ("gamma", "beta")
        )

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return tf.tanh(x * self.alpha) * self.gamma + self.beta


def patched(audio: tf.Tensor, channels: int, patch: int) -> tf.Tensor:
    """audio [1, n, channels] -> [1, n/patch, channels·patch]: a channel's samples side by side."""
    count = audio.shape[1] // patch
    x = tf.transpose(tf.reshape(audio, [count, patch, channels]), [0, 2, 1])
    return tf.reshape(x, [1, count, channels * patch])


def unpatched(patches: tf.Tensor, channels: int, patch: int) -> tf.Tensor:
    """The inverse of `patched`."""
    count = patches.shape[1]
    x = tf.transpose(tf.reshape(patches, [count, channels, patch]), [0, 2, 1])
    return tf.reshape(x, [1, count * patch, channels])
