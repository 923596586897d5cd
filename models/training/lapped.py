"""Start an Oobleck autoencoder as a lapped transform, so that it carries sound before the first
training step.

Every layer of Oobleck can be set to something linear and known: a snake with a large beta is the
identity, a residual unit whose last convolution has gain 0 is the identity, a convolution of kernel
2s and stride s is an MDCT with a sine window (Princen and Bradley 1986), the matching transposed
convolution is its inverse. Every later stage takes groups of frames to their principal components
(the KLT), the last one scaled to unit variance; the first `latents` of those are the latents.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from .modules.autoencoder import Autoencoder, ResidualUnit, SnakeBeta, WeightNormConv1d

SNAKE_LOG_BETA = 4.0  # near the identity, and still able to learn; at 20 its gradient vanishes
OTHER_CHANNELS = 0.3  # how much signal the full-rate channels besides the first start with
REWEIGHTED = 7  # times that the principal components are found anew
LOST = 1e-3  # share of a group's power whose loss nobody hears
BLOCK_GAIN = (
    6.0  # brings the coefficients of clips at our level near unit size, where a snake can bend them
)


def mdct_basis(coefficients: int) -> Tensor:
    """Orthonormal MDCT with a sine window: [coefficients, 2 · coefficients]."""
    n, k = np.arange(2 * coefficients), np.arange(coefficients)[:, None]
    window = np.sin(np.pi * (n + 0.5) / (2 * coefficients))
    cosines = np.cos(np.pi / coefficients * (n + 0.5 + coefficients / 2) * (k + 0.5))
    return torch.tensor(math.sqrt(2 / coefficients) * window * cosines, dtype=torch.float32)


def middle_and_side(channels: int) -> Tensor:
    """The rotation that takes the channels of a sound to what is coded: [channels, channels]."""
    if channels == 1:
        return torch.ones(1, 1)
    if channels == 2:
        return torch.tensor([[1.0, 1.0], [1.0, -1.0]]) / math.sqrt(2)
    raise ValueError(f"sounds have one or two channels here, not {channels}")


def principal_components(frames: Tensor, group: int, keep: int, count: int) -> Tensor:
    """KLT of groups of frames [clips, channels, length]: orthonormal components [keep, channels,
    group], strongest first.

    Groups are weighted by 1/rms, so that quiet sounds count as much as loud ones, and then, again
    and again, by what the first `count` components leave of each, so that these lose the fewest
    decibels on average: tones are kept, and noises, which no few components hold, have little say.
    """
    groups = frames.unfold(2, group, group).permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
    rms = groups.pow(2).mean(1, keepdim=True).sqrt()
    groups = (groups / rms)[rms[:, 0] > 1e-4] / math.sqrt(groups.shape[1])
    components = torch.zeros(groups.shape[1], keep)
    for _ in range(1 + REWEIGHTED):
        kept = (groups @ components[:, :count]).pow(2).sum(1, keepdim=True)
        _, vectors = torch.linalg.eigh(groups.T @ (groups / (1 - kept + LOST)))
        components = vectors.flip(1)[:, :keep]
    return components.T.reshape(keep, frames.shape[1], group)


@torch.no_grad()
def initialise(
    autoencoder: Autoencoder, audio: Tensor, latents: int, strides: Sequence[int]
) -> None:
    """Set an autoencoder to MDCT, then KLT upon KLT of `audio` [clips, channels, samples].

    Of two channels, middle and side have an MDCT each: what both have in common is most of it.
    """
    for module in autoencoder.modules():
        if isinstance(module, SnakeBeta):
            module.beta.fill_(SNAKE_LOG_BETA)
        if isinstance(module, ResidualUnit):
            module.layers[3].weight_g.zero_()
    encoder, decoder = autoencoder.encoder.layers, autoencoder.decoder.layers
    stages = len(strides)

    turn = middle_and_side(audio.shape[1])
    channels = range(len(turn))
    first = _small(encoder[0], OTHER_CHANNELS)
    for row in range(len(first)):
        first[row, :, 3] += OTHER_CHANNELS * turn[row % len(turn)]
    final = _small(decoder[-1], 1e-3)
    for channel in channels:
        first[channel].zero_()
        first[channel, :, 3] = turn[channel]
        final[:, channel, 3] = turn[channel]
    _set(encoder[0], first)
    _set(decoder[-1], final)

    basis = mdct_basis(strides[0])
    strided = _small(encoder[1].layers[4], 1e-3)
    inverse = _small(decoder[stages].layers[1], OTHER_CHANNELS)
    for channel in channels:
        rows = slice(channel * len(basis), (channel + 1) * len(basis))
        strided[rows, channel] = basis * BLOCK_GAIN
        inverse[rows, channel :: len(turn)] += OTHER_CHANNELS * basis[:, None]
        inverse[rows, : len(turn)] = 0
        inverse[rows, channel] = basis
    _set(encoder[1].layers[4], strided)
    _set(decoder[stages].layers[1], inverse / BLOCK_GAIN)

    frames = torch.cat(
        [
            nn.functional.conv1d(
                (turn[channel] @ audio)[:, None],
                basis[:, None] * BLOCK_GAIN,
                stride=strides[0],
                padding=strides[0] // 2,
            )
            for channel in channels
        ],
        dim=1,
    )
    for stage in range(1, stages):
        group, down, up = (
            strides[stage],
            encoder[1 + stage].layers[4],
            decoder[stages - stage].layers[1],
        )
        taps = slice(
            group // 2, group // 2 + group
        )  # of the 2·group taps, those of the group itself
        keep = down.weight_v.shape[0]
        count = latents if stage == stages - 1 else keep
        components = principal_components(frames, group, keep, count)
        frames = nn.functional.conv1d(frames, components, stride=group)
        std = (
            frames.std(dim=(0, 2)).clamp(min=1e-3)
            if stage == stages - 1
            else torch.ones(len(components))
        )
        grouped, ungrouped = (_small(layer, 1e-3) for layer in (down, up))
        grouped[:, :, taps] += components / std[:, None, None]
        components = components * std[:, None, None]
        if stage == stages - 1:
            components[latents:] *= (
                0.02  # what no latent carries starts nearly silent, and learns from there
            )
        ungrouped[:, :, taps] += components
        _set(down, grouped)
        _set(up, ungrouped)

    last = _small(encoder[-1], 1e-3)
    last[:latents, :latents, 1] += torch.eye(latents)
    _set(encoder[-1], last)
    encoder[-1].bias[latents:] = -5  # softplus: the latents' own noise starts below 0.01
    spread = _small(decoder[0], 1.0)
    spread[:latents] *= 1e-3
    spread[:latents, :, 3] += torch.eye(latents)
    _set(decoder[0], spread)


def _small(convolution: WeightNormConv1d, gain: float) -> Tensor:
    """Random weights of the convolution's shape; rows of norm about `gain`."""
    weight = torch.randn_like(convolution.weight_v)
    return gain * weight / weight.norm(dim=(1, 2), keepdim=True)


def _set(convolution: WeightNormConv1d, weight: Tensor) -> None:
    """Store a weight as weight norm's pair.

    No row may be exactly zero: its norm would divide by zero.
    """
    weight = weight + 1e-6 * torch.randn_like(weight)
    convolution.weight_v.copy_(weight)
    convolution.weight_g.copy_(weight.norm(dim=(1, 2), keepdim=True))
