"""Start an Oobleck autoencoder as a lapped transform, so that it carries sound before the first training step.

Every layer of Oobleck can be set to something linear and known: a snake with a large beta is the identity, a residual unit
whose last convolution has gain 0 is the identity, a convolution of kernel 2s and stride s is an MDCT with a sine window
(Princen and Bradley 1986), the matching transposed convolution is its inverse. The second stage takes groups of MDCT frames to
their principal components (the KLT), scaled to unit variance; the first `latents` of them are the latents.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from .modules import Autoencoder, ResidualUnit, SnakeBeta, WeightNormConv1d

SNAKE_LOG_BETA = 4.0  # near the identity, and still able to learn; at 20 its gradient vanishes
OTHER_CHANNELS = 0.3  # how much signal the full-rate channels besides the first start with


def mdct_basis(coefficients: int) -> Tensor:
    """Orthonormal MDCT with a sine window: [coefficients, 2 · coefficients]."""
    n, k = np.arange(2 * coefficients), np.arange(coefficients)[:, None]
    window = np.sin(np.pi * (n + 0.5) / (2 * coefficients))
    cosines = np.cos(np.pi / coefficients * (n + 0.5 + coefficients / 2) * (k + 0.5))
    return torch.tensor(math.sqrt(2 / coefficients) * window * cosines, dtype=torch.float32)


def principal_components(audio: Tensor, stride: int, group: int, keep: int) -> tuple[Tensor, Tensor]:
    """KLT of groups of MDCT frames of audio [clips, samples]: components [keep, stride, group] and their std [keep].

    Groups are weighted by 1/rms, so that quiet sounds count as much as loud ones.
    """
    frames = nn.functional.conv1d(audio[:, None], mdct_basis(stride)[:, None], stride=stride, padding=stride // 2)
    length = frames.shape[2] // group * group
    groups = frames[:, :, :length].unfold(2, group, group).permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
    rms = groups.pow(2).mean(1, keepdim=True).sqrt()
    groups = groups[rms[:, 0] > 1e-4]
    weighted = groups / rms[rms[:, 0] > 1e-4]
    _, vectors = torch.linalg.eigh(weighted.T @ weighted / len(weighted))
    components = vectors.flip(1)[:, :keep].T
    std = (groups @ components.T).std(0)
    return components.reshape(keep, stride, group), std


@torch.no_grad()
def initialise(autoencoder: Autoencoder, audio: Tensor, latents: int, strides: list[int]) -> None:
    """Set a two-stage autoencoder (mono) to MDCT + KLT of `audio` [clips, samples]."""
    stride, group = strides
    for module in autoencoder.modules():
        if isinstance(module, SnakeBeta):
            module.beta.fill_(SNAKE_LOG_BETA)
        if isinstance(module, ResidualUnit):
            module.layers[3].weight_g.zero_()
    encoder, decoder = autoencoder.encoder.layers, autoencoder.decoder.layers
    width = encoder[2].layers[4].weight_v.shape[0]
    components, std = principal_components(audio, stride, group, width)
    std = std.clamp(min=1e-3)
    basis = mdct_basis(stride)
    taps = slice(group // 2, group // 2 + group)  # of the 2·group taps, those of the group itself

    first = _small(encoder[0], OTHER_CHANNELS)
    first[0].zero_()
    first[:, 0, 3] += OTHER_CHANNELS
    first[0, 0, 3] = 1
    _set(encoder[0], first)
    strided = _small(encoder[1].layers[4], 1e-3)
    strided[:, 0] = basis
    _set(encoder[1].layers[4], strided)
    grouped = torch.zeros_like(encoder[2].layers[4].weight_v)
    grouped[:, :, taps] = components / std[:, None, None]
    _set(encoder[2].layers[4], grouped)
    last = _small(encoder[4], 1e-3)
    last[:latents, :latents, 1] += torch.eye(latents)
    _set(encoder[4], last)
    encoder[4].bias[latents:] = -5  # softplus: the latents' own noise starts below 0.01

    spread = _small(decoder[0], 1.0)
    spread[:latents] *= 1e-3
    spread[:latents, :, 3] += torch.eye(latents)
    _set(decoder[0], spread)
    ungrouped = torch.zeros_like(decoder[1].layers[1].weight_v)
    ungrouped[:, :, taps] = components * std[:, None, None]
    ungrouped[latents:] *= 0.02  # what no latent carries starts nearly silent, and learns from there
    _set(decoder[1].layers[1], ungrouped)
    inverse = _small(decoder[2].layers[1], OTHER_CHANNELS)
    inverse += OTHER_CHANNELS * basis[:, None]
    inverse[:, 0] = basis
    _set(decoder[2].layers[1], inverse)
    final = _small(decoder[4], 1e-3)
    final[0, 0, 3] = 1
    _set(decoder[4], final)


def _small(convolution: WeightNormConv1d, gain: float) -> Tensor:
    """Random weights of the convolution's shape; rows of norm about `gain`."""
    weight = torch.randn_like(convolution.weight_v)
    return gain * weight / weight.norm(dim=(1, 2), keepdim=True)


def _set(convolution: WeightNormConv1d, weight: Tensor) -> None:
    """Store a weight as weight norm's pair. No row may be exactly zero: its norm would divide by zero."""
    weight = weight + 1e-6 * torch.randn_like(weight)
    convolution.weight_v.copy_(weight)
    convolution.weight_g.copy_(weight.norm(dim=(1, 2), keepdim=True))
