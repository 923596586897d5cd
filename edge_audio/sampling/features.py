"""What a runtime makes of numbers for models that leave it to it: the noise level, the seconds.

The angles of the highest frequency reach 63 000 rad. A graph's sine may lose digits there, and
float64 all through would give other digits than the model was trained on; so the angles are
computed in float32, in the order of the official code, and their sines in float64.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.float32]
LEAST_LEVEL = 1e-5


def expo_features(x: float, frequencies: Sequence[float]) -> Features:
    """A number from 0 to 1 -> float32 [1, 2F]: cosines, then sines, of 2π·f·x (stable-audio-3,
    `ExpoFourierFeatures`).
    """
    table = np.asarray(frequencies, np.float32)
    angles = ((np.float32(x) * table) * np.float32(2) * np.float32(np.pi)).astype(np.float64)
    return np.concatenate([np.cos(angles), np.sin(angles)])[None].astype(np.float32)


def level_features(t: float, frequencies: Sequence[float]) -> Features:
    """Of a noise level. Only the last evaluation of RK4 asks for one below LEAST_LEVEL, and the
    official code's is at that level: so its result is met to 1e-5 (`rk4_4_final` of the golden
    arrays), where the features of 0 miss it by 0.2 %.
    """
    return expo_features(max(t, LEAST_LEVEL), frequencies)


def seconds_features(
    seconds: float, low: float, high: float, frequencies: Sequence[float]
) -> Features:
    """Seconds, clamped to what the model was trained on and scaled to 0..1, as `expo_features`."""
    clamped = np.float32(min(max(seconds, low), high) - low)
    return expo_features(float(clamped / np.float32(high - low)), frequencies)
