"""What can be measured of a sound: level over time, rhythm, spectrum and pitch, spectrum over time.

Every measure takes audio as float64 [frames], mono, at ANALYSIS_RATE, its peak at 1, and returns
numbers that a person can picture.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks, hilbert

ANALYSIS_RATE = 16_000  # Hz; every clip is brought to this rate first
ACTIVE_DB = -18.0  # relative to the loudest moment; what lies below may be noise floor

# --------------------------------------------------------------------------------------------------
# Measures of level over time
# --------------------------------------------------------------------------------------------------

ENVELOPE_HOP = 0.01  # s


def envelope(audio: np.ndarray, smooth: float = 0.03) -> np.ndarray:
    """RMS level in windows of `smooth` seconds, one value every ENVELOPE_HOP: [frames] ->
    [steps].
    """
    power = uniform_filter1d(audio**2, max(1, round(smooth * ANALYSIS_RATE)), mode="constant")
    return np.sqrt(np.maximum(power[:: round(ENVELOPE_HOP * ANALYSIS_RATE)], 0))


def decibels(level: np.ndarray) -> np.ndarray:
    """Levels in dB below the loudest: 0 at the loudest, never below -100."""
    return 20 * np.log10(np.maximum(level / (level.max() + 1e-12), 1e-5))


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


# --------------------------------------------------------------------------------------------------
# Measures of rhythm
# --------------------------------------------------------------------------------------------------


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
    return rise / (rise.max() + 1e-12)


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
    return correlation / (np.sqrt(early * late) + 1e-9)


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


# --------------------------------------------------------------------------------------------------
# Measures of spectrum and pitch
# --------------------------------------------------------------------------------------------------


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


# --------------------------------------------------------------------------------------------------
# Measures of spectrum over time
# --------------------------------------------------------------------------------------------------


def frames_of(audio: np.ndarray, frame: float, hop: float) -> tuple[np.ndarray, np.ndarray]:
    """Short-time power spectra: frequencies in Hz [bins] and powers [frames, bins], twice
    zero-padded.
    """
    size, step = round(frame * ANALYSIS_RATE), round(hop * ANALYSIS_RATE)
    padded = np.pad(audio, (0, max(0, size - len(audio))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[::step] * np.hanning(size)
    return np.fft.rfftfreq(2 * size, 1 / ANALYSIS_RATE), np.abs(np.fft.rfft(windows, 2 * size)) ** 2


@dataclass(frozen=True)
class Contour:
    """The strongest frequency over time, only where the clip is loud enough to have one."""

    times: np.ndarray  # [points] s
    octaves: np.ndarray  # [points] log2 of Hz
    # median over the points: share of the energy close to the strongest frequency, 0 to 1
    purity: float


def contour(
    audio: np.ndarray, frame: float = 0.048, hop: float = 0.012, floor_db: float = ACTIVE_DB
) -> Contour:
    """Follow the strongest frequency above 80 Hz."""
    hz, power = frames_of(audio, frame, hop)
    audible = np.where(hz >= 80, power, 0)
    level = audible.sum(axis=1)
    loud = level > level.max() * 10 ** (floor_db / 10)
    best = audible.argmax(axis=1)
    # A steady sine fills +-2 bins of the unpadded transform; +-3 leaves room for pitch that moves
    # within the frame.
    near = np.abs(hz[None, :] - hz[best][:, None]) <= 3 / frame
    purity = (audible * near).sum(axis=1) / (level + 1e-12)
    times = np.arange(len(best)) * hop + frame / 2
    return Contour(
        times[loud], np.log2(np.maximum(hz[best], 80.0))[loud], float(np.median(purity[loud]))
    )


def steadiness(line: Contour) -> float:
    """How far the pitch strays from its median, in cents (median absolute deviation)."""
    return 1200 * float(np.median(np.abs(line.octaves - np.median(line.octaves))))


def trend(line: Contour) -> float:
    """Rank correlation of pitch and time: 1 = always rising, -1 = always falling."""
    if len(line.octaves) < 5:
        return float("nan")
    ranks = line.octaves.argsort().argsort()
    return float(np.corrcoef(np.arange(len(ranks)), ranks)[0, 1])


def travel(line: Contour) -> float:
    """Octaves between the first and the last tenth of the contour; negative = it ends lower."""
    tenth = max(1, len(line.octaves) // 10)
    return float(np.median(line.octaves[-tenth:]) - np.median(line.octaves[:tenth]))


def sway(line: Contour) -> tuple[float, float, float]:
    """The sine that fits the pitch contour best: its rate per second, its height in octaves, the
    share it explains.
    """
    best = (float("nan"), 0.0, 0.0)
    pitch = line.octaves - line.octaves.mean()
    for rate in np.geomspace(0.3, 6.0, 90):
        angle = 2 * np.pi * rate * line.times
        basis = np.stack([np.sin(angle), np.cos(angle), np.ones_like(angle)], axis=1)
        weights = np.linalg.lstsq(basis, pitch, rcond=None)[0]
        explained = 1 - float(((pitch - basis @ weights) ** 2).sum() / ((pitch**2).sum() + 1e-9))
        if explained > best[2]:
            best = (float(rate), 2 * float(np.hypot(*weights[:2])), explained)
    return best


def falls(line: Contour) -> list[np.ndarray]:
    """Split a contour where the pitch jumps up by more than an octave or pauses: one array of
    octaves per piece.
    """
    jumps = np.diff(line.octaves) > 1.0
    pauses = np.diff(line.times) > 0.08
    pieces = np.split(line.octaves, np.flatnonzero(jumps | pauses) + 1)
    return [piece for piece in pieces if len(piece) >= 5]


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


def overtone_share(audio: np.ndarray, hz: float, multiple: float) -> float:
    """Share of the energy around `multiple` times `hz`, 0 to 1."""
    return power_share(audio, 0.97 * multiple * hz, 1.03 * multiple * hz)


def vibrato(audio: np.ndarray, hz: float) -> tuple[float, float]:
    """How far the pitch of a tone at `hz` swings, in cents RMS, and how many times a second."""
    analytic = hilbert(band_pass(active_part(audio), 0.9 * hz, 1.1 * hz))
    cents = 1200 * np.log2(
        np.maximum(np.diff(np.unwrap(np.angle(analytic))) * ANALYSIS_RATE / (2 * np.pi), 1.0) / hz
    )
    edge = round(0.15 * ANALYSIS_RATE)
    swing = uniform_filter1d(cents, round(0.02 * ANALYSIS_RATE))[edge:-edge]
    if len(swing) < ANALYSIS_RATE // 2:
        return float("nan"), float("nan")
    swing = swing - uniform_filter1d(swing, round(0.4 * ANALYSIS_RATE))
    size = 1 << 17
    strengths = np.abs(np.fft.rfft(swing * np.hanning(len(swing)), size))
    return float(np.std(swing)), float(strengths.argmax() * ANALYSIS_RATE / size)


def notes_in_turn(audio: np.ndarray, starts: np.ndarray, length: float) -> np.ndarray:
    """Strongest frequency in Hz of the stretches of `length` seconds from each start on; NaN where
    it is quiet.
    """
    loudest, notes = np.sqrt(np.mean(active_part(audio) ** 2)), []
    for start in starts:
        piece = audio[round(start * ANALYSIS_RATE) : round((start + length) * ANALYSIS_RATE)]
        quiet = (
            len(piece) < 0.5 * length * ANALYSIS_RATE or np.sqrt(np.mean(piece**2)) < 0.15 * loudest
        )
        magnitude = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), 1 << 16))
        notes.append(np.nan if quiet else float(magnitude.argmax() * ANALYSIS_RATE / (1 << 16)))
    return np.array(notes)


def brightness_slide(audio: np.ndarray) -> float:
    """Octaves that the centre of the spectrum moves from the first to the last third of the active
    part.
    """
    hz, power = frames_of(active_part(audio), 0.048, 0.012)
    centres = np.log2((hz * power).sum(axis=1) / (power.sum(axis=1) + 1e-12) + 1.0)
    third = max(1, len(centres) // 3)
    return float(np.median(centres[-third:]) - np.median(centres[:third]))


def spikiness(audio: np.ndarray) -> float:
    """Kurtosis of the samples: 3 for noise, 1.5 for a sine, 10 and more where single events stand
    out.
    """
    part = active_part(audio)
    return float(np.mean(part**4) / (np.mean(part**2) ** 2 + 1e-20))


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
