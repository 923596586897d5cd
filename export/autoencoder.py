"""Oobleck, the autoencoder: decoder as head and tail, encoder whole. Audio and latents are [1,
time, channels].
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from edge_audio.bundle.manifest import Tiling
from edge_audio.errors import EdgeAudioError

from .checkpoint import Checkpoint
from .config import ModelConfig
from .layers import Signatures, Taps, constant, no_taps, observe, under

PREFIX = "pretransform.model"
DILATIONS = (1, 3, 9)
TAIL_BLOCKS = 3
TILE = 8


class Conv(tf.Module):
    """Weight-normed Conv1d on [1, T, inputs], zero padding `left` and `right`: a CONV_2D of height
    1, or a matrix product in which each row has the inputs of all taps.

    In int8 a product has an activation scale a row, a convolution one for all frames, in which what
    is quiet drowns (one tap is a product to XNNPACK anyway). Inputs are copied once a tap for that,
    which pays for two taps and where there are few frames: the default is a product for two.

    A kernel of many taps times channels is split over its input channels, and the parts are added:
    XNNPACK reads the weights of 16 outputs again for every few frames, and is up to 1.8 times as
    fast when these stay in the cache (measured with 7 taps and 1 024 channels, AVX2; nothing is
    gained below MAX_DEPTH).
    """

    MAX_DEPTH = 4096

    def __init__(
        self,
        name: str,
        weight: np.ndarray,
        bias: np.ndarray | None,
        stride: int = 1,
        dilation: int = 1,
        padding: tuple[int, int] = (0, 0),
        product: bool | None = None,
    ):
        super().__init__()
        self.scope = name
        kernel = weight.transpose(2, 1, 0)[None]  # [out, in, k] -> [1, k, in, out]
        taps, inputs = kernel.shape[1:3]
        self.is_product = taps == 2 and stride == dilation == 1 if product is None else product
        is_deep = taps > 2 and taps * inputs > self.MAX_DEPTH and not self.is_product
        parts = 4 if is_deep and inputs % 4 == 0 else 1
        self.kernels = [constant(part) for part in np.split(kernel, parts, axis=2)]
        self.bias = None if bias is None else constant(bias)
        self.stride, self.dilation = stride, dilation
        self.padding = [[0, 0], [0, 0], list(padding), [0, 0]]

    @classmethod
    def take(
        cls,
        checkpoint: Checkpoint,
        name: str,
        inputs: int,
        outputs: int,
        kernel: int,
        dilation: int = 1,
        stride: int = 1,
        bias: bool = True,
        product: bool | None = None,
    ) -> Conv:
        """A convolution that keeps the length (stride 1), or one of kernel 2s that divides it by an
        even stride s.
        """
        weight = checkpoint.take_weight_normed(name, (outputs, inputs, kernel))
        pad = stride // 2 if stride > 1 else dilation * (kernel - 1) // 2
        return cls(
            name,
            weight,
            checkpoint.take(f"{name}.bias", (outputs,)) if bias else None,
            stride,
            dilation,
            (pad, pad),
            product,
        )

    def __call__(self, x: tf.Tensor, taps: Taps = no_taps) -> tf.Tensor:
        with tf.name_scope(self.scope):
            y = self._product(x) if self.is_product else self._sum(x)
            if self.bias is not None:
                y = y + self.bias
        observe(self.scope, y)
        return tf.reshape(y, [1, -1, y.shape[-1]])

    def _product(self, x: tf.Tensor) -> tf.Tensor:
        """[1, T, inputs] -> [frames, outputs]: each row has the inputs of all taps."""
        taps, inputs, outputs = self.kernels[0].shape[1:]
        left, right = self.padding[2]
        frames = x.shape[1] + left + right - taps + 1
        rows = [self._window(x, tap - left, frames) for tap in range(taps)]
        while len(rows) > 1:  # XNNPACK joins at most five
            rows = [tf.concat(rows[tap : tap + 5], axis=-1) for tap in range(0, len(rows), 5)]
        kernel = tf.reshape(self.kernels[0], [taps * inputs, outputs])
        return tf.matmul(tf.reshape(rows[0], [-1, taps * inputs]), kernel)

    @staticmethod
    def _window(x: tf.Tensor, first: int, frames: int) -> tf.Tensor:
        """Frames [first, first + frames) of x [1, T, inputs], zeros beyond its ends."""
        begin, end = max(first, 0), min(first + frames, x.shape[1])
        return tf.pad(x[:, begin:end], [[0, 0], [begin - first, first + frames - end], [0, 0]])

    def _sum(self, x: tf.Tensor) -> tf.Tensor:
        """[1, T, inputs] -> [1, 1, frames, outputs], of one convolution or of several."""
        # expand_dims and reshape, not indexing: XNNPACK has no slice that drops an axis
        x = tf.expand_dims(x, 1)
        split = tf.split(x, len(self.kernels), axis=-1) if len(self.kernels) > 1 else [x]
        # a chain of additions, which XNNPACK has, unlike add_n
        y = self._convolved(split[0], self.kernels[0])
        for part, kernel in zip(split[1:], self.kernels[1:]):
            y = y + self._convolved(part, kernel)
        return y

    def _convolved(self, x: tf.Tensor, kernel: tf.Variable) -> tf.Tensor:
        strides, dilations = [1, 1, self.stride, 1], [1, 1, self.dilation, 1]
        return tf.nn.conv2d(x, kernel, strides, self.padding, dilations=dilations)

    @property
    def stored(self) -> np.ndarray:
        """The weights in the order of a graph: [outputs, taps, inputs]."""
        kernel = np.concatenate([kernel.numpy()[0] for kernel in self.kernels], axis=1)
        return kernel.transpose(2, 0, 1)

    @staticmethod
    def arranged(weight: np.ndarray) -> np.ndarray:
        """The same of a checkpoint's folded weight [out, in, k]."""
        return weight.transpose(0, 2, 1)


class TransposedConv(tf.Module):
    """Weight-normed ConvTranspose1d of kernel 2s, stride s, padding s/2, s even: [1, T, inputs] ->
    [1, T·s, outputs].

    Output sample m of the uncropped result sums input q = m // s with tap m mod s, and input q − 1
    with tap m mod s + s. So one convolution of two taps gives all s phases of a frame as channels;
    a reshape puts them in order, a slice crops. TRANSPOSE_CONV would compute the same, more slowly.
    """

    def __init__(self, checkpoint: Checkpoint, name: str, inputs: int, outputs: int, stride: int):
        super().__init__()
        weight = checkpoint.take_weight_normed(name, (inputs, outputs, 2 * stride))
        bias = checkpoint.take(f"{name}.bias", (outputs,))
        self.scope = name
        self.phases = Conv(name, self._as_phases(weight), np.tile(bias, stride), padding=(1, 1))
        self.stride, self.outputs = stride, outputs

    @staticmethod
    def _as_phases(weight: np.ndarray) -> np.ndarray:
        """[in, out, 2s] -> [s · out, in, 2]."""
        inputs, outputs, kernel = weight.shape
        taps = weight.reshape(inputs, outputs, 2, kernel // 2)[
            :, :, ::-1
        ]  # the earlier input meets the later taps
        return taps.transpose(3, 1, 0, 2).reshape(kernel // 2 * outputs, inputs, 2)

    @property
    def stored(self) -> np.ndarray:
        """The weights in the order of a graph: [outputs, taps, inputs], an output for
        every phase.
        """
        return self.phases.stored

    @classmethod
    def arranged(cls, weight: np.ndarray) -> np.ndarray:
        """The same of a checkpoint's folded weight [in, out, 2s]."""
        return Conv.arranged(cls._as_phases(weight))

    def __call__(self, x: tf.Tensor, taps: Taps = no_taps) -> tf.Tensor:
        length, crop = x.shape[1] * self.stride, self.stride // 2
        y = tf.reshape(self.phases(x), [1, length + self.stride, self.outputs])
        return y[:, crop : crop + length]


class Snake(tf.Module):
    """x + sin²(e^α·x) / (e^β + 1e-9), with sin² a = (1 − cos 2a) / 2."""

    def __init__(self, checkpoint: Checkpoint, name: str, channels: int):
        super().__init__()
        alpha, beta = (
            checkpoint.take(f"{name}.{n}", (channels,)).astype(np.float64)
            for n in ("alpha", "beta")
        )
        self.frequency = constant(2 * np.exp(alpha))
        self.half = constant(0.5 / (np.exp(beta) + 1e-9))

    def __call__(self, x: tf.Tensor, taps: Taps = no_taps) -> tf.Tensor:
        return x + self.half - self.half * tf.cos(self.frequency * x)


class Chain(tf.Module):
    """Layers in a row, numbered as in the official module list."""

    def __init__(self, layers: Sequence[tf.Module], first: int = 0):
        super().__init__()
        self.layers, self.first = layers, first

    def __call__(self, x: tf.Tensor, taps: Taps = no_taps) -> tf.Tensor:
        for index, layer in enumerate(self.layers, self.first):
            x = layer(x, under(str(index), taps))
            taps(f"{index}", x)
        return x


class ResidualUnit(Chain):
    """x + conv1(snake(conv7(snake(x))))."""

    def __init__(self, checkpoint: Checkpoint, name: str, channels: int, dilation: int):
        super().__init__(
            [
                Snake(checkpoint, f"{name}.layers.0", channels),
                Conv.take(checkpoint, f"{name}.layers.1", channels, channels, 7, dilation),
                Snake(checkpoint, f"{name}.layers.2", channels),
                Conv.take(checkpoint, f"{name}.layers.3", channels, channels, 1),
            ]
        )

    def __call__(self, x: tf.Tensor, taps: Taps = no_taps) -> tf.Tensor:
        return x + super().__call__(x, taps)


def _residual_units(
    checkpoint: Checkpoint, name: str, channels: int, first: int
) -> list[ResidualUnit]:
    return [
        ResidualUnit(checkpoint, f"{name}.layers.{first + i}", channels, dilation)
        for i, dilation in enumerate(DILATIONS)
    ]


class Decoder(tf.Module):
    """The graph `decoder`: `head` runs once over all latents, `tail` tile by tile (or over all at
    once).
    """

    def __init__(self, checkpoint: Checkpoint, config: ModelConfig, tile: int = TILE):
        super().__init__()
        decoder, name = config.decoder, f"{PREFIX}.decoder"
        widths, strides = decoder.widths[::-1], decoder.strides[::-1]  # from latents to audio
        first = f"{name}.layers.0"
        layers = [Conv.take(checkpoint, first, decoder.latent_dim, widths[0], 7, product=True)]
        for index, (inputs, outputs, stride) in enumerate(zip(widths, widths[1:], strides), 1):
            block = f"{name}.layers.{index}"
            layers.append(
                Chain(
                    [
                        Snake(checkpoint, f"{block}.layers.0", inputs),
                        TransposedConv(checkpoint, f"{block}.layers.1", inputs, outputs, stride),
                        *_residual_units(checkpoint, block, outputs, 2),
                    ]
                )
            )
        layers.append(Snake(checkpoint, f"{name}.layers.{len(layers)}", widths[-1]))
        layers.append(
            Conv.take(
                checkpoint,
                f"{name}.layers.{len(layers)}",
                widths[-1],
                decoder.audio_channels,
                7,
                bias=False,
            )
        )

        self.split = 1 + len(strides) - max(1, min(TAIL_BLOCKS, len(strides) - 1))
        self.head_chain, self.tail_chain = (
            Chain(layers[: self.split]),
            Chain(layers[self.split :], self.split),
        )
        self.width, self.latent_dim = widths[self.split - 1], decoder.latent_dim
        self.latent = config.latent
        per_latent, shortest = math.prod(strides[: self.split - 1]), min(self.latent.lengths)
        overlap = receptive_radius(strides[self.split - 1 :])
        tile = tile * per_latent + 2 * overlap
        if tile >= shortest * per_latent:  # a tile that holds everything has no inner edge
            tile, overlap = shortest * per_latent, overlap if self.latent.shorter else 0
        if 2 * overlap >= tile:
            raise EdgeAudioError(
                f"latent length {shortest} is too short for the decoder, whose tail sees {overlap}"
                f" of its {tile} frames to each side; give longer ones"
            )
        self.tiling = Tiling(tile, overlap, per_latent)

    def head(self, latents: tf.Tensor, taps: Taps = no_taps) -> dict[str, tf.Tensor]:
        """latents [1, T, latent_dim] -> features [1, T·per_latent, width]."""
        return {"features": self.head_chain(latents, taps)}

    def tail(self, features: tf.Tensor, taps: Taps = no_taps) -> dict[str, tf.Tensor]:
        """features [1, tile, width] -> audio [1, tile·downsampling / per_latent, channels]."""
        return {"audio": self.tail_chain(features, taps)}

    def signatures(self) -> Signatures:
        features = tf.TensorSpec([1, self.tiling.tile, self.width], tf.float32)
        latents = {
            length: tf.TensorSpec([1, length, self.latent_dim], tf.float32)
            for length in self.latent.lengths
        }
        heads = {
            self.latent.signature("head", length): (self.head, {"latents": spec})
            for length, spec in latents.items()
        }
        return heads | {"tail": (self.tail, {"features": features})}


def receptive_radius(strides: tuple[int, ...]) -> int:
    """How many input frames to each side a chain of decoder blocks and the last convolution look
    at.
    """
    radius = 3  # the last convolution, kernel 7
    for stride in reversed(strides):
        radius += 3 * sum(DILATIONS)
        radius = math.ceil(radius / stride) + 1
    return radius


class Encoder(tf.Module):
    """The graph `encoder`."""

    def __init__(self, checkpoint: Checkpoint, config: ModelConfig):
        super().__init__()
        encoder, name = config.encoder, f"{PREFIX}.encoder"
        widths = encoder.widths
        layers = [Conv.take(checkpoint, f"{name}.layers.0", encoder.audio_channels, widths[0], 7)]
        for index, (inputs, outputs, stride) in enumerate(
            zip(widths, widths[1:], encoder.strides), 1
        ):
            block = f"{name}.layers.{index}"
            layers.append(
                Chain(
                    [
                        *_residual_units(checkpoint, block, inputs, 0),
                        Snake(checkpoint, f"{block}.layers.3", inputs),
                        Conv.take(
                            checkpoint,
                            f"{block}.layers.4",
                            inputs,
                            outputs,
                            2 * stride,
                            stride=stride,
                        ),
                    ]
                )
            )
        layers.append(Snake(checkpoint, f"{name}.layers.{len(layers)}", widths[-1]))
        layers.append(
            Conv.take(checkpoint, f"{name}.layers.{len(layers)}", widths[-1], encoder.latent_dim, 3)
        )
        self.chain = Chain(layers)
        self.example_ranges = {"audio": (-0.5, 0.5)}
        self.audio_shape = [1, config.sample_size, encoder.audio_channels]

    def encode(self, audio: tf.Tensor, taps: Taps = no_taps) -> dict[str, tf.Tensor]:
        """audio [1, N, channels] -> mean, stdev [1, N / downsampling, latent channels]."""
        mean, scale = tf.split(self.chain(audio, taps), 2, axis=-1)
        # softplus without overflow, of operations that XNNPACK has: max(s, 0) + log(1 + e^−|s|)
        softplus = tf.nn.relu(scale) + tf.math.log(1.0 + tf.exp(-tf.abs(scale)))
        return {"mean": mean, "stdev": softplus + 1e-4}

    def signatures(self) -> Signatures:
        return {"encode": (self.encode, {"audio": tf.TensorSpec(self.audio_shape, tf.float32)})}
