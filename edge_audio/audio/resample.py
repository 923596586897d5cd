"""The same sound at another sample rate, or with another number of channels."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

#: zero crossings of the sinc on either side, the share of the band that passes, the shape of the
#: window (Kaiser), and outputs at a time
ZEROS, ROLLOFF, BETA, BLOCK = 32, 0.95, 10.0, 1 << 13


def remixed(samples: np.ndarray, channels: int) -> np.ndarray:
    """[n, c] with `channels` channels: the mean of all where these are fewer, or a copy of the one
    in each.
    """
    if samples.shape[1] > channels:
        samples = samples.mean(axis=1, keepdims=True)
    return np.repeat(samples, channels, axis=1) if samples.shape[1] < channels else samples


def resampled(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """float32 [n, channels] at another sample rate: a windowed sinc, phase by phase (Smith &
    Gossett 1984).
    """
    if rate == wanted:
        return samples
    common = math.gcd(rate, wanted)
    up, down = wanted // common, rate // common
    narrow = min(1.0, up / down)
    half = math.ceil(ZEROS / narrow)
    taps = np.arange(1 - half, half + 1)
    windows = sliding_window_view(np.pad(samples, [(half, half), (0, 0)]), 2 * half, axis=0)
    out = np.empty((math.ceil(len(samples) * up / down), samples.shape[1]), np.float32)
    for begin in range(0, len(out), BLOCK):
        places = np.arange(begin, min(begin + BLOCK, len(out))) * down
        whole, phase = np.divmod(places, up)
        phases, which = np.unique(phase, return_inverse=True)
        weights = _sinc(taps[None] - phases[:, None] / up, ROLLOFF * narrow, half)[which]
        found = windows[whole + 1]
        out[begin : begin + len(places)] = np.einsum("nct,nt->nc", found, weights)
    return out


def _sinc(x: np.ndarray, cutoff: float, half: int) -> np.ndarray:
    """Low-pass weights at distances `x` in samples, each row adding up to one."""
    window = np.i0(BETA * np.sqrt(np.clip(1 - (x / half) ** 2, 0, None)))
    weights = np.sinc(cutoff * x) * window
    normal: np.ndarray = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normal
