"""Onsets, tempo and bursts."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks, hilbert

from edge_audio.listening.measures.level import ANALYSIS_RATE, ENVELOPE_HOP, burst_edges, envelope


def band_pass(audio: np.ndarray, low: float, high: float) -> np.ndarray:
    """Keep only low..high Hz."""
    spectrum = np.fft.rfft(audio)
    hz = np.fft.rfftfreq(len(audio), 1 / ANALYSIS_RATE)
    spectrum[(hz < low) | (hz > high)] = 0
    return np.fft.irfft(spectrum, len(audio))


def onset_strength(audio: np.ndarray) -> np.ndarray:
    """How much the level rises at each step of ENVELOPE_HOP, blurred over 50 ms, greatest = 1:
    [steps].
    """
    rise = np.maximum(np.diff(envelope(audio), prepend=0), 0)
    # Two passes of a box blur: hits that are a few steps off the exact rhythm should still count.
    rise = uniform_filter1d(uniform_filter1d(rise, 3, mode="constant"), 3, mode="constant")
    strength: np.ndarray = rise / (rise.max() + 1e-12)
    return strength


def onset_count(audio: np.ndarray) -> int:
    """Number of clear hits: rises of at least 0.3 of the strongest, at least 80 ms apart."""
    return len(find_peaks(np.pad(onset_strength(audio), 1), height=0.3, distance=8)[0])


def busy_share(onsets: np.ndarray) -> float:
    """Share of the time in which the level rises: small for separate hits, large for noise that
    rises all the time.
    """
    rising = np.flatnonzero(onsets > 0.15 * onsets.max())
    return len(rising) / (rising[-1] - rising[0] + 1) if len(rising) else 1.0


def self_similarity(onsets: np.ndarray) -> np.ndarray:
    """How well the onsets agree with themselves some steps later: [steps], 1 = perfectly. Fair to
    long lags.
    """
    size = len(onsets)
    onsets = (
        onsets - onsets.mean()
    )  # else a rise at every moment, as in noise, would agree with itself anywhere
    correlation = np.correlate(onsets, onsets, "full")[size - 1 :]
    power = np.cumsum(onsets**2)
    early, late = power[::-1], power[-1] - np.concatenate(([0], power[:-1]))
    similarity: np.ndarray = correlation / (np.sqrt(early * late) + 1e-9)
    return similarity


def repetition(
    onsets: np.ndarray, shortest: float = 0.2, longest: float = 2.2
) -> tuple[float, float]:
    """Period in seconds after which the onsets repeat, and how well they do (0 to 1).

    A rhythm that repeats after T also repeats after 2 T, so the shortest lag that is nearly as good
    as the best wins. The period is then sharpened on the longest multiple that fits: one step of
    error there counts less.
    """
    similarity = self_similarity(onsets)
    low, high = (
        round(shortest / ENVELOPE_HOP),
        min(round(longest / ENVELOPE_HOP), round(0.85 * len(onsets))),
    )
    if high <= low + 2:
        return float("nan"), 0.0
    peaks = find_peaks(similarity[low : high + 1])[0] + low
    best = similarity[peaks].max(initial=0.0)
    if best <= 0:
        return float("nan"), 0.0
    first = int(peaks[similarity[peaks] > 0.75 * best][0])
    last_hit = int(np.flatnonzero(onsets > 0.15 * onsets.max())[-1])
    return _sharpen_period(similarity[: last_hit + 3], first) * ENVELOPE_HOP, float(best)


def _sharpen_period(similarity: np.ndarray, first: int) -> float:
    """Follow the peaks of `similarity` at the multiples of the lag `first`: the period in steps,
    fractional.

    `similarity` has to end soon after the last hit: at longer lags there is nothing to compare.
    """
    period, multiple = float(first), 1
    while (multiple + 1) * period < len(similarity) - 2:
        multiple += 1
        guess, reach = round(multiple * period), max(2, round(0.1 * period))
        nearby = similarity[guess - reach : guess + reach + 1]
        period = (guess - reach + int(nearby.argmax())) / multiple
    return period


def burst_rate(audio: np.ndarray, threshold_db: float = -9.0) -> tuple[float, float, float]:
    """Bursts per second from the median time between them, the share of even gaps, the median
    length of a burst in seconds.
    """
    starts, ends = burst_edges(audio, threshold_db)
    if len(starts) < 2:
        return float("nan"), 0.0, float(np.median(ends - starts))
    gaps = np.diff(starts)
    typical = float(np.median(gaps))
    return (
        1 / typical,
        float(np.mean(np.abs(gaps / typical - 1) < 0.3)),
        float(np.median(ends - starts)),
    )


def pulse_rate(audio: np.ndarray, low: float, high: float) -> float:
    """Strongest modulation of the level between `low` and `high` times a second."""
    level = np.abs(hilbert(audio))
    size = 1 << 18
    strengths = np.abs(np.fft.rfft((level - level.mean()) * np.hanning(len(level)), size))
    hz = np.fft.rfftfreq(size, 1 / ANALYSIS_RATE)
    return float(hz[np.where((hz >= low) & (hz <= high), strengths, 0).argmax()])
