"""Measures that several symptoms take, and how a row says them."""

from __future__ import annotations

import math

import numpy as np

from edge_audio.evaluate import metrics
from edge_audio.evaluate.verdict import FAIL, OK, WARN

#: dB of change: none at all but for rounding, and less than a model of any use has
NOTHING, LITTLE = -100.0, -60.0


def change(after: np.ndarray, before: np.ndarray) -> float:
    """How much an output changed, in dB of its own power: 0 is everything, −200 nothing."""
    return -metrics.snr(after, before)


def rms(samples: np.ndarray) -> float:
    """In dBFS."""
    return 10 * math.log10(
        max(float(np.mean(np.square(samples, dtype=np.float64))) if samples.size else 0.0, 1e-20)
    )


def scalar(value: float) -> np.ndarray:
    return np.array([value], np.float32)


def by_limits(value: float, fail: float, warn: float) -> str:
    return FAIL if value < fail else WARN if value < warn else OK


def db(value: float, unit: str = "dB") -> str:
    return "nothing" if value <= -199 else f"{value:.0f} {unit}"
