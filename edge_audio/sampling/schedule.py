"""Noise levels: `steps + 1` values of t that fall from sigma_max to 0.

They know no sampler and no model.
"""

from __future__ import annotations

import math

import numpy as np

from edge_audio.errors import UsageError

LOGSNR_START, LOGSNR_END = -6.0, 2.0
#: Below this strength (0.119) the logSNR schedule would have to rise: levels are linear there.
MIN_SIGMA_MAX = 1 / (1 + math.exp(LOGSNR_END))


def logsnr_sigmas(steps: int, sigma_max: float = 1.0) -> np.ndarray:
    """Levels evenly spaced in log-SNR, ln((1 - t)/t), from -6 to 2; float64 [steps + 1].

    sigma_max < 1 (audio-to-audio at that strength) starts where the log-SNR is ln((1 -
    sigma_max)/sigma_max). The two ends are set: t[0] = sigma_max and t[-1] = 0, where the formula
    alone gives sigmoid(6) and sigmoid(-2). Source: stable-audio-tools, `sample_rf` and
    `sample_flow_pingpong`.
    """
    check_steps(steps)
    _check_sigma_max(sigma_max, 0.0)
    if sigma_max <= MIN_SIGMA_MAX:
        return linear_sigmas(steps, sigma_max)
    start = LOGSNR_START if sigma_max == 1.0 else math.log((1.0 - sigma_max) / sigma_max + 1e-6)
    sigmas = 1.0 / (1.0 + np.exp(np.linspace(start, LOGSNR_END, steps + 1)))
    sigmas[0], sigmas[-1] = sigma_max, 0.0
    return sigmas


def shifted_sigmas(steps: int, start: float, end: float, strength: float = 1.0) -> np.ndarray:
    """Levels evenly spaced in log-SNR from `start` to `end`, with ends set to 1 and 0, all times
    `strength`; float32 [steps + 1]. Source: stable-audio-3, `LogSNRShift` with rate 0.

    In float32 all through, as the official code computes them: these models read t by angles of
    up to 63 000 rad, to which its last digit matters.
    """
    check_steps(steps)
    _check_sigma_max(strength, 0.0)
    grid = np.linspace(1, 0, steps + 1).astype(np.float32)
    logsnr = np.float32(end) - np.float32(end - start) * grid
    sigmas: np.ndarray = np.float32(1) / (np.float32(1) + np.exp(logsnr))
    sigmas[0], sigmas[-1] = 1.0, 0.0
    sigmas *= np.float32(strength)
    return sigmas


def linear_sigmas(steps: int, sigma_max: float = 1.0) -> np.ndarray:
    """Evenly spaced levels sigma_max ... 0; float64 [steps + 1]."""
    check_steps(steps)
    _check_sigma_max(sigma_max, 0.0)
    return np.linspace(sigma_max, 0.0, steps + 1)


def check_steps(steps: int) -> None:
    """UsageError unless `steps` is a whole number from 1."""
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
        raise UsageError(f"steps {steps} makes no sound; use a whole number from 1")


def _check_sigma_max(sigma_max: float, above: float) -> None:
    if not above < sigma_max <= 1.0:
        raise UsageError(
            f"strength {sigma_max} is out of range; choose more than {above:.3g} and at most 1"
        )
