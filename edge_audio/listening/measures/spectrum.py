"""Spectrum and pitch of a whole sound."""

from __future__ import annotations

import itertools

import numpy as np

from edge_audio.listening.measures.level import ANALYSIS_RATE, active_part


def spectrum(audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz and magnitudes of the active part, zero-padded to bins of about 0.24 Hz.

    Only the ends are faded: a full window would hide one-shots, whose energy is all at the start.
    """
    part = active_part(audio)
    ramp = np.linspace(0, 1, min(80, len(part) // 2))
    faded = part.copy()
    faded[: len(ramp)] *= ramp
    faded[len(faded) - len(ramp) :] *= ramp[::-1]
    size = max(1 << 16, 1 << (len(faded) - 1).bit_length())
    return np.fft.rfftfreq(size, 1 / ANALYSIS_RATE), np.abs(np.fft.rfft(faded, size))


def power_share(audio: np.ndarray, low: float, high: float) -> float:
    """Share of the energy between `low` and `high` Hz, 0 to 1."""
    hz, magnitude = spectrum(audio)
    power = magnitude**2
    return float(power[(hz >= low) & (hz < high)].sum() / (power.sum() + 1e-12))


def centroid(audio: np.ndarray) -> float:
    """Centre of gravity of the power spectrum in Hz: dark is low, bright is high."""
    hz, magnitude = spectrum(audio)
    return float((hz * magnitude**2).sum() / ((magnitude**2).sum() + 1e-12))


def strongest_hz(audio: np.ndarray, lowest: float = 50.0) -> float:
    """Frequency in Hz of the highest peak of the spectrum."""
    hz, magnitude = spectrum(audio)
    return float(hz[np.where(hz >= lowest, magnitude, 0).argmax()])


def share_near(audio: np.ndarray, hz: float, cents: float = 60.0) -> float:
    """Share of the energy within `cents` of one frequency, 0 to 1: near 1 for a pure tone."""
    reach = max(
        2 ** (cents / 1200), 1 + 4.0 / hz
    )  # at least 4 Hz: the spectrum of a short clip is no finer
    return power_share(audio, hz / reach, hz * reach)


def line_share(audio: np.ndarray, lines: int = 3) -> float:
    """Share of the energy in the few strongest narrow lines of the spectrum: high for held notes,
    low for noise.
    """
    hz, magnitude = spectrum(audio)
    power, total, share = magnitude**2, (magnitude**2).sum() + 1e-12, 0.0
    for _ in range(lines):
        peak = hz[power.argmax()]
        line = np.abs(hz - peak) < max(3.0, 0.0075 * peak)
        share += power[line].sum() / total
        power[line] = 0
    return float(share)


def harmonic_hz(audio: np.ndarray, low: float = 55.0, high: float = 1500.0) -> float:
    """Fundamental in Hz of the strongest harmonic series, even where the fundamental itself is
    weak.

    Every candidate collects the magnitudes at its multiples, each counting less than the one
    before. So half the true pitch, which would collect the same lines as its even multiples, always
    collects less.
    """
    # steps of 5 cents: on such a grid, "three times the frequency" is the same shift everywhere
    per_octave = 240
    hz, magnitude = spectrum(audio)
    grid = low * 2 ** (
        np.arange(-0.5, per_octave * np.log2(0.5 * ANALYSIS_RATE / low)) / per_octave
    )
    lines = np.maximum.reduceat(magnitude, np.searchsorted(hz, grid))  # strongest line in each step
    scores = np.zeros(int(per_octave * np.log2(high / low)))
    for multiple in range(1, 7):
        shifted = lines[round(per_octave * np.log2(multiple)) :][: len(scores)]
        scores[: len(shifted)] += 0.8 ** (multiple - 1) * shifted
    return float(low * 2 ** (scores.argmax() / per_octave))


def string_overtones(audio: np.ndarray, hz: float) -> float:
    """Share of the energy at 2 and 3 times `hz`, where the overtones of a string are."""
    return power_share(audio, 1.94 * hz, 2.06 * hz) + power_share(audio, 2.94 * hz, 3.06 * hz)


def bar_overtone(audio: np.ndarray, hz: float) -> float:
    """Share of the energy around 2.76 times `hz`, where the first overtone of a struck metal bar
    is.
    """
    return power_share(audio, 2.62 * hz, 2.88 * hz)


def tilt(audio: np.ndarray, low: float = 500.0, high: float = 3600.0) -> float:
    """Slope of the spectrum in dB per octave: 0 for white noise, negative where the treble is
    softer.
    """
    hz, magnitude = spectrum(audio)
    edges = np.geomspace(low, high, 13)  # bands of equal width in octaves, each averaged
    powers = [np.mean(magnitude[(hz >= a) & (hz < b)] ** 2) for a, b in itertools.pairwise(edges)]
    return float(
        np.polyfit(
            np.log2(np.sqrt(edges[1:] * edges[:-1])), 10 * np.log10(np.array(powers) + 1e-12), 1
        )[0]
    )


def overtone_share(audio: np.ndarray, hz: float, multiple: float) -> float:
    """Share of the energy around `multiple` times `hz`, 0 to 1."""
    return power_share(audio, 0.97 * multiple * hz, 1.03 * multiple * hz)
