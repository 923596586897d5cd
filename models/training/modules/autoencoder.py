"""Oobleck, the autoencoder: audio [B, channels, N] <-> latents [B, latent_dim, T]."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class WeightNormConv1d(nn.Module):
    """Conv1d as legacy weight norm stores it: weight = g · v / ‖v‖, one norm per index of dimension
    0.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        padding: int = 0,
        bias: bool = True,
        transposed: bool = False,
    ):
        super().__init__()
        shape = (inputs, outputs, kernel) if transposed else (outputs, inputs, kernel)
        self.weight_v = nn.Parameter(torch.randn(shape) / math.sqrt(inputs * kernel))
        self.weight_g = nn.Parameter(self.weight_v.detach().norm(dim=(1, 2), keepdim=True))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.stride, self.dilation, self.padding, self.transposed = (
            stride,
            dilation,
            padding,
            transposed,
        )

    @property
    def weight(self) -> Tensor:
        """The weight itself, in the shape of weight_v."""
        return self.weight_g * self.weight_v / self.weight_v.norm(dim=(1, 2), keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        if self.transposed:
            return F.conv_transpose1d(x, weight, self.bias, self.stride, self.padding)
        return F.conv1d(x, weight, self.bias, self.stride, self.padding, self.dilation)


class SnakeBeta(nn.Module):
    """x + sin²(e^alpha · x) / (e^beta + 1e-9), one alpha and one beta per channel, both stored as
    logarithms.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        alpha, beta = self.alpha.exp()[:, None], self.beta.exp()[:, None]
        return x + torch.sin(x * alpha) ** 2 / (beta + 1e-9)


class ResidualUnit(nn.Module):
    """x + conv1(snake(conv7(snake(x)))), the first convolution dilated."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.layers = nn.Sequential(
            SnakeBeta(channels),
            WeightNormConv1d(channels, channels, 7, dilation=dilation, padding=3 * dilation),
            SnakeBeta(channels),
            WeightNormConv1d(channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def _residual_units(channels: int) -> list[nn.Module]:
    return [ResidualUnit(channels, dilation) for dilation in (1, 3, 9)]


class EncoderBlock(nn.Module):
    """Residual units at the input's rate, then a strided convolution of twice the stride."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.layers = nn.Sequential(
            *_residual_units(inputs),
            SnakeBeta(inputs),
            WeightNormConv1d(inputs, outputs, 2 * stride, stride, padding=math.ceil(stride / 2)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class DecoderBlock(nn.Module):
    """A transposed convolution of twice the stride, then residual units at the output's rate."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.layers = nn.Sequential(
            SnakeBeta(inputs),
            WeightNormConv1d(
                inputs, outputs, 2 * stride, stride, padding=math.ceil(stride / 2), transposed=True
            ),
            *_residual_units(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class OobleckEncoder(nn.Module):
    """Audio [B, in_channels, N] -> [B, latent_dim, N / ratio]; for a VAE latent_dim counts mean and
    scale.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        latent_dim: int,
        c_mults: list[int],
        strides: list[int],
        **_,
    ):
        super().__init__()
        widths = [channels, *(channels * m for m in c_mults)]
        self.layers = nn.Sequential(
            WeightNormConv1d(in_channels, widths[0], 7, padding=3),
            *(EncoderBlock(a, b, s) for a, b, s in zip(widths, widths[1:], strides)),
            SnakeBeta(widths[-1]),
            WeightNormConv1d(widths[-1], latent_dim, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class OobleckDecoder(nn.Module):
    """Latents [B, latent_dim, T] -> audio [B, out_channels, T · ratio]."""

    def __init__(
        self,
        out_channels: int,
        channels: int,
        latent_dim: int,
        c_mults: list[int],
        strides: list[int],
        **_,
    ):
        super().__init__()
        widths = [channels, *(channels * m for m in c_mults)]
        blocks = [DecoderBlock(b, a, s) for a, b, s in zip(widths, widths[1:], strides)]
        self.layers = nn.Sequential(
            WeightNormConv1d(latent_dim, widths[-1], 7, padding=3),
            *reversed(blocks),
            SnakeBeta(widths[0]),
            WeightNormConv1d(widths[0], out_channels, 7, padding=3, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Autoencoder(nn.Module):
    """`pretransform.model` of a checkpoint: Oobleck encoder, VAE bottleneck, Oobleck decoder."""

    def __init__(self, config: dict):
        super().__init__()
        self.encoder = OobleckEncoder(**config["encoder"]["config"])
        self.decoder = OobleckDecoder(**config["decoder"]["config"])

    def encode(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Audio [B, channels, N] -> mean and standard deviation of the latents, each [B, latent,
        T].
        """
        mean, scale = self.encoder(audio).chunk(2, dim=1)
        return mean, F.softplus(scale) + 1e-4

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, latent, T] -> audio [B, channels, N]."""
        return self.decoder(latents)
