"""What a transformer says of the clip beside its velocity, in training: how loud each latent is and
how it turns.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .modules import Autoencoder

# of `Echo`: the share of its loss, latents over which loudness is averaged, a power that is as good
# as silence, and the size of loudness
ECHO_WEIGHT, ECHO_SPAN, SILENCE, ECHO_SCALE = 0.5, 5, 1e-3, 3.0
# and of its turns: how far apart the latents are that are compared, over how many of them, and the
# power below which a latent hardly turns: that of a faint one is chance
LAGS, TURN_SPAN, FAINT = (1, 2, 4), 9, 0.1
# latents around one of which something is told
HEARD_SPAN = TURN_SPAN + LAGS[-1]
# what `audibility` adds to a latent, and latents from one such place to the next
BUMP, APART = 0.5, 16


class Echo(nn.Module):
    """Says how loud each latent of the clip is and how it turns, by what the transformer knows of
    it halfway through: [B, T, width] -> [B, (1 + lags) · C, T]. Only training has it.

    Where a sound is and how it is tuned can be told, its phase cannot, and the velocity is mostly
    phase. With a loss of its own on what can be told, which is told of noise too, a transformer
    learns to listen to the text (as Yu et al. 2024 align theirs with what another model sees).
    """

    def __init__(self, width: int, latents: int):
        super().__init__()
        self.read = nn.Linear(width, (1 + len(LAGS)) * latents)
        # says nothing at first: at random it would push a transformer that has learnt already
        nn.init.zeros_(self.read.weight)

    def loss(self, told: Tensor, now: Tensor, weights: Tensor) -> Tensor:
        """told [B, T, width], what is `heard` then [B, 1 + lags, C, T]."""
        return self.error(self.read(told).mT.float().unflatten(1, now.shape[1:3]), now, weights)

    @staticmethod
    def error(said: Tensor, now: Tensor, weights: Tensor) -> Tensor:
        """The mean square of what is said wrongly, of loudness and of turns."""
        error = (said - now).pow(2) * weights
        return error[:, 0].mean() + error[:, 1:].mean()


def heard(latents: Tensor) -> Tensor:
    """What `Echo` tells of latents [B, C, T]: [B, 1 + lags, C, T], how loud each is, and how like
    those 1, 2 and 4 later, from −1 to 1.

    A tone goes through a latent as a sinusoid does, and how far it turns from one latent to the
    next is its pitch: loudness alone tells apart what is 31 Hz apart, four latents 8 Hz.
    """
    loud = (_mean(latents.pow(2), ECHO_SPAN) + SILENCE).log() - math.log(SILENCE) / 2
    power = _mean(latents.pow(2), TURN_SPAN) + FAINT
    later = (F.pad(latents[..., lag:], (0, lag)) for lag in LAGS)
    turns = [_mean(latents * other, TURN_SPAN) / power for other in later]
    return torch.stack([loud / ECHO_SCALE, *turns], dim=1)


def _mean(x: Tensor, span: int) -> Tensor:
    """A moving average of x [B, C, T] over so many latents, fewer at its ends."""
    return F.avg_pool1d(x, span, 1, span // 2, count_include_pad=False)


@torch.no_grad()
def audibility(autoencoder: Autoencoder) -> Tensor:
    """What an error in each latent does to the sound, as an amplitude: [C, 1], 1 in the mean.

    Latents are of one size, but some carry a voice and others the last shimmer of a cymbal, a tenth
    of that. Weighed alike, they make errors alike, and those of the first are heard.
    """
    decoder = autoencoder.decoder
    dims = decoder.layers[0].weight_v.shape[1]
    device = decoder.layers[0].weight_v.device
    some = torch.randn(1, dims, dims * APART, generator=torch.Generator().manual_seed(0))
    bumps = torch.zeros_like(some)
    bumps[0, torch.arange(dims), torch.arange(dims) * APART + APART // 2] = BUMP
    change = autoencoder.decode((some + bumps).to(device)) - autoencoder.decode(some.to(device))
    amplitude = change.pow(2).sum((0, 1)).unflatten(0, (dims, -1)).sum(1).sqrt()
    return (amplitude / amplitude.mean())[:, None]
