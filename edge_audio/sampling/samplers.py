"""Samplers for rectified flow: pure numpy generators that know no model and do no I/O.

With x = (1 - t) clean + t noise the model's v is noise - clean, so that denoised = x - t v at any
level t. A sampler yields one Step per interval of `sigmas`; the caller drives it, shows progress,
cancels by no longer asking.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edge_audio.sampling.schedule import linear_sigmas, logsnr_sigmas

#: (x float32 [B, T, C], t) -> v float32 [B, T, C].
Denoise = Callable[[np.ndarray, float], np.ndarray]
#: falling noise levels, as `schedule` makes them
Sigmas = Sequence[float] | np.ndarray
#: shape -> standard normal float32; only ping-pong draws.
Noise = Callable[[tuple[int, ...]], np.ndarray]


@dataclass(frozen=True)
class Step:
    """What one step did. `x` of the last step is the sample; `denoised` is the guess made at level
    `t`.
    """

    index: int
    total: int
    t: float
    x: np.ndarray
    denoised: np.ndarray


@dataclass(frozen=True)
class Sampler:
    """A sampling function with the schedule it was made for."""

    sample: Callable[[Denoise, np.ndarray, Sigmas, Noise], Iterator[Step]]
    schedule: Callable[..., np.ndarray]
    #: of the model, a step
    evaluations: int = 1


def pingpong(denoise: Denoise, x: np.ndarray, sigmas: Sigmas, noise: Noise) -> Iterator[Step]:
    """Denoise fully, then add fresh noise of the next level (stable-audio-tools,
    `sample_flow_pingpong`).
    """
    for index, t, t_next in _intervals(sigmas):
        denoised = x - t * denoise(x, t)
        # The last draw is multiplied by zero, but it is drawn: a stream must stand where the
        # official code's stands.
        x = (1 - t_next) * denoised + t_next * noise(x.shape)
        yield Step(index, len(sigmas) - 1, t, x, denoised)


def euler(denoise: Denoise, x: np.ndarray, sigmas: Sigmas, noise: Noise) -> Iterator[Step]:
    """First-order steps along v (stable-audio-tools, `sample_discrete_euler`)."""
    for index, t, t_next in _intervals(sigmas):
        v = denoise(x, t)
        denoised = x - t * v
        x = x + (t_next - t) * v
        yield Step(index, len(sigmas) - 1, t, x, denoised)


def rk4(denoise: Denoise, x: np.ndarray, sigmas: Sigmas, noise: Noise) -> Iterator[Step]:
    """Classical Runge-Kutta, four evaluations a step, the last one at t = 0 (stable-audio-tools,
    `sample_rk4`).
    """
    for index, t, t_next in _intervals(sigmas):
        dt = t_next - t
        k1 = denoise(x, t)
        k2 = denoise(x + dt / 2 * k1, t + dt / 2)
        k3 = denoise(x + dt / 2 * k2, t + dt / 2)
        k4 = denoise(x + dt * k3, t_next)
        denoised = x - t * k1
        x = x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        yield Step(index, len(sigmas) - 1, t, x, denoised)


def dpmpp(denoise: Denoise, x: np.ndarray, sigmas: Sigmas, noise: Noise) -> Iterator[Step]:
    """DPM-Solver++ 2M in log-SNR (Lu et al. 2022; stable-audio-tools, `sample_flow_dpmpp`).

    A step out of t = 1 or into t = 0 is infinitely long in log-SNR: there, and after such a step,
    it is first-order.
    """
    previous, h_last = x, math.inf  # an infinite h_last: there is no previous guess to use
    for index, t, t_next in _intervals(sigmas):
        denoised = x - t * denoise(x, t)
        h = _logsnr(t_next) - _logsnr(t)
        direction = denoised
        if math.isfinite(h) and math.isfinite(h_last):
            weight = h / (2 * h_last)
            direction = (1 + weight) * denoised - weight * previous
        x = (t_next / t) * x - (1 - t_next) * math.expm1(-h) * direction
        previous, h_last = denoised, h
        yield Step(index, len(sigmas) - 1, t, x, denoised)


SAMPLERS = {
    "pingpong": Sampler(pingpong, logsnr_sigmas),
    "euler": Sampler(euler, logsnr_sigmas),
    "dpmpp": Sampler(dpmpp, logsnr_sigmas),
    "rk4": Sampler(rk4, linear_sigmas, evaluations=4),
}


def _intervals(sigmas: Sigmas) -> Iterator[tuple[int, float, float]]:
    # Python floats, because a numpy float64 scalar would turn float32 latents into float64.
    for index in range(len(sigmas) - 1):
        yield index, float(sigmas[index]), float(sigmas[index + 1])


def _logsnr(t: float) -> float:
    if t in (0.0, 1.0):
        return math.inf if t == 0.0 else -math.inf
    return math.log((1 - t) / t)
