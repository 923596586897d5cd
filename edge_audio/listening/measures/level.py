"""Level over time."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import hilbert

ANALYSIS_RATE = 16_000  # Hz; every clip is brought to this rate first


ACTIVE_DB = -18.0  # relative to the loudest moment; what lies below may be noise floor


ENVELOPE_HOP = 0.01  # s


def envelope(audio: np.ndarray, smooth: float = 0.03) -> np.ndarray:
    """RMS level in windows of `smooth` seconds, one value every ENVELOPE_HOP: [frames] ->
    [steps].
    """
    power = uniform_filter1d(audio**2, max(1, round(smooth * ANALYSIS_RATE)), mode="constant")
    level: np.ndarray = np.sqrt(np.maximum(power[:: round(ENVELOPE_HOP * ANALYSIS_RATE)], 0))
    return level


def decibels(level: np.ndarray) -> np.ndarray:
    """Levels in dB below the loudest: 0 at the loudest, never below -100."""
    below: np.ndarray = 20 * np.log10(np.maximum(level / (level.max() + 1e-12), 1e-5))
    return below


def active_part(audio: np.ndarray, floor_db: float = ACTIVE_DB) -> np.ndarray:
    """The stretch from the first to the last moment that is louder than `floor_db` below the
    loudest.
    """
    loud = np.flatnonzero(decibels(envelope(audio)) > floor_db)
    hop = round(ENVELOPE_HOP * ANALYSIS_RATE)
    return audio[loud[0] * hop : (loud[-1] + 1) * hop]


def duration(audio: np.ndarray) -> float:
    """Length of the active part in seconds."""
    return len(active_part(audio)) / ANALYSIS_RATE


def level_spread(audio: np.ndarray, smooth: float = 0.25) -> float:
    """How much the level moves within the active part, in dB: 95th less 5th percentile, edges left
    out.
    """
    levels = decibels(envelope(active_part(audio), smooth))
    edge = min(round(smooth / 2 / ENVELOPE_HOP) + 2, len(levels) // 4)
    low, high = np.percentile(levels[edge : len(levels) - edge], (5, 95))
    return float(high - low)


def _decay_span(levels: np.ndarray) -> tuple[int, int]:
    """Steps between which a sound dies away: first within 3 dB of the loudest, then first 15 dB
    below it.
    """
    start = int(np.flatnonzero(levels > -3)[0])
    below = np.flatnonzero(levels[start:] < -15)
    return start, start + int(below[0]) if len(below) else len(levels)


def decay_rate(audio: np.ndarray) -> float:
    """Slope of the level in dB per second from the attack until it is 15 dB down; negative = dies
    away.
    """
    # Only the active part, less its last 60 ms: they hold the fade at the end of the clip, not the
    # decay.
    levels = decibels(envelope(active_part(audio), 0.05))[:-6]
    if not (levels > -3).any():
        return float("-inf")  # over at once
    start, end = _decay_span(levels)
    if end - start < 3:
        return float("-inf")
    return float(np.polyfit(np.arange(end - start) * ENVELOPE_HOP, levels[start:end], 1)[0])


def decay_time(audio: np.ndarray) -> float:
    """Seconds from the attack until the sound is first 15 dB down."""
    start, end = _decay_span(decibels(envelope(audio)))
    return (end - start) * ENVELOPE_HOP


def rise_time(audio: np.ndarray) -> float:
    """Seconds that the slow level takes from 12 dB below its top up to the top."""
    levels = decibels(envelope(audio, 0.25))
    top = int(levels.argmax())
    quiet = np.flatnonzero(levels[:top] < -12)
    return (top - quiet[-1]) * ENVELOPE_HOP if len(quiet) else float("nan")


def sharpest_rise(audio: np.ndarray) -> float:
    """Largest rise in dB within 50 ms that ends at a loud moment: large for a hit, small for a
    swell.
    """
    levels = decibels(envelope(audio, 0.05))
    rises = levels[5:] - levels[:-5]
    return float(rises[levels[5:] > -10].max(initial=0.0))


def burst_edges(audio: np.ndarray, threshold_db: float = -12.0) -> tuple[np.ndarray, np.ndarray]:
    """Start and end times in seconds of the stretches louder than the threshold; gaps below 20 ms
    are closed.
    """
    loud = decibels(envelope(audio, 0.02)) > threshold_db
    edges = np.diff(np.concatenate(([0], loud.astype(int), [0])))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    apart = starts[1:] - ends[:-1] > 2
    starts = starts[np.concatenate(([True], apart))]
    ends = ends[np.concatenate((apart, [True]))]
    return starts * ENVELOPE_HOP, ends * ENVELOPE_HOP


def roughness(audio: np.ndarray) -> float:
    """Random flutter of the level: its spread over its mean. 0.52 for noise however narrow, 0 for a
    sine.
    """
    part = active_part(audio)
    if len(part) < 0.2 * ANALYSIS_RATE:
        return float("nan")
    level = np.abs(hilbert(part))
    slow = uniform_filter1d(level, round(0.25 * ANALYSIS_RATE))
    inner = slice(round(0.05 * ANALYSIS_RATE), -round(0.05 * ANALYSIS_RATE))
    return float(np.std((level / (slow + 1e-6))[inner]))


def spikiness(audio: np.ndarray) -> float:
    """Kurtosis of the samples: 3 for noise, 1.5 for a sine, 10 and more where single events stand
    out.
    """
    part = active_part(audio)
    return float(np.mean(part**4) / (np.mean(part**2) ** 2 + 1e-20))
