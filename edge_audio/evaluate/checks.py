"""Does a clip sound as asked? One check per family of sounds, made of small named measures.

A check never hears the caption, only the samples, the family and its attributes. It has to be fair to what a small
model and its codec do to a sound (a noise floor 25 dB down, nothing above 4 kHz, attacks smeared by 30 ms, a level that
wobbles), and still fail on silence, on white noise, on another family, and on a neighbouring note or tempo. So each
check asks for two things: that the clip is the right *kind* of sound, and that the named attribute is right.

    >>> check(audio, 16_000, "tone", {"note": "A4", "hz": 440.0})
    Verdict(passed=True, measured='441.2 Hz (+5 cents); ...', expected='A4 440.0 Hz +-50 cents; ...')

To add a family: write a function `(audio, attributes) -> Verdict` and put it in the table with `@_checks("name")`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks, hilbert, resample_poly


ANALYSIS_RATE = 16_000  # Hz; every clip is brought to this rate first
SILENCE = 1e-3  # a clip whose peak is below this is silent
CENTS = 50.0  # allowed error of a pitch: half a semitone, so that a neighbouring note fails
TEMPO_ERROR = 0.04  # allowed relative error of a tempo
ACTIVE_DB = -18.0  # relative to the loudest moment; what lies below may be noise floor


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check, with what was heard and what was asked for, to be read by people."""

    passed: bool
    measured: str
    expected: str


@dataclass(frozen=True)
class Claim:
    """One thing a check asks for, e.g. Claim(True, "441.2 Hz (+5 cents)", "A4 440.0 Hz +-50 cents")."""

    holds: bool
    measured: str
    expected: str


Attributes = dict[str, Any]
Check = Callable[[np.ndarray, Attributes], Verdict]  # audio: float64 [frames], mono, ANALYSIS_RATE, peak 1
CHECKS: dict[str, Check] = {}


def _checks(family: str) -> Callable[[Check], Check]:
    """Put a check function into the table."""

    def register(function: Check) -> Check:
        CHECKS[family] = function
        return function

    return register


def _verdict(*claims: Claim) -> Verdict:
    """Passed if all claims hold. The first claim is the headline."""
    return Verdict(
        all(claim.holds for claim in claims),
        "; ".join(claim.measured for claim in claims),
        "; ".join(claim.expected for claim in claims),
    )


def _within(name: str, value: float, low: float, high: float, unit: str = "") -> Claim:
    """The claim that low <= value <= high. A value that could not be measured (NaN) fails."""
    return Claim(bool(low <= value <= high), f"{name} {value:.3g}{unit}", f"{name} {low:g}..{high:g}{unit}")


def check(audio: np.ndarray, sample_rate: int, family: str, attributes: Attributes) -> Verdict:
    """Judge a clip: float [frames] or [frames, channels] at `sample_rate` Hz, asked to be `family` with `attributes`.

    family: one of CHECKS. attributes: all that its check looks at (`models.training.sounds.complete_attributes`).
    """
    mono = np.asarray(audio, dtype=np.float64)
    mono = mono.mean(axis=1) if mono.ndim == 2 else mono
    if mono.size < sample_rate // 10 or not np.isfinite(mono).all():
        return Verdict(False, "too short or not finite", f"a clip with {family}")
    mono = mono - mono.mean()  # a constant offset cannot be heard
    if np.abs(mono).max() < SILENCE:
        return Verdict(False, "silence", f"a clip with {family}")
    if sample_rate != ANALYSIS_RATE:
        common = gcd(sample_rate, ANALYSIS_RATE)
        mono = resample_poly(mono, ANALYSIS_RATE // common, sample_rate // common)
    return CHECKS[family](mono / np.abs(mono).max(), attributes)


# ---------------------------------------------------------------------------------------------------------------------
# Measures of level over time
# ---------------------------------------------------------------------------------------------------------------------

ENVELOPE_HOP = 0.01  # s


def envelope(audio: np.ndarray, smooth: float = 0.03) -> np.ndarray:
    """RMS level in windows of `smooth` seconds, one value every ENVELOPE_HOP: [frames] -> [steps]."""
    power = uniform_filter1d(audio**2, max(1, round(smooth * ANALYSIS_RATE)), mode="constant")
    return np.sqrt(np.maximum(power[:: round(ENVELOPE_HOP * ANALYSIS_RATE)], 0))


def decibels(level: np.ndarray) -> np.ndarray:
    """Levels in dB below the loudest: 0 at the loudest, never below -100."""
    return 20 * np.log10(np.maximum(level / (level.max() + 1e-12), 1e-5))


def active_part(audio: np.ndarray, floor_db: float = ACTIVE_DB) -> np.ndarray:
    """The stretch from the first to the last moment that is louder than `floor_db` below the loudest."""
    loud = np.flatnonzero(decibels(envelope(audio)) > floor_db)
    hop = round(ENVELOPE_HOP * ANALYSIS_RATE)
    return audio[loud[0] * hop : (loud[-1] + 1) * hop]


def duration(audio: np.ndarray) -> float:
    """Length of the active part in seconds."""
    return len(active_part(audio)) / ANALYSIS_RATE


def level_spread(audio: np.ndarray, smooth: float = 0.25) -> float:
    """How much the level moves within the active part, in dB: 95th less 5th percentile, edges left out."""
    levels = decibels(envelope(active_part(audio), smooth))
    edge = min(round(smooth / 2 / ENVELOPE_HOP) + 2, len(levels) // 4)
    low, high = np.percentile(levels[edge : len(levels) - edge], (5, 95))
    return float(high - low)


def _decay_span(levels: np.ndarray) -> tuple[int, int]:
    """Steps between which a sound dies away: first within 3 dB of the loudest, then first 15 dB below it."""
    start = int(np.flatnonzero(levels > -3)[0])
    below = np.flatnonzero(levels[start:] < -15)
    return start, start + int(below[0]) if len(below) else len(levels)


def decay_rate(audio: np.ndarray) -> float:
    """Slope of the level in dB per second from the attack until it is 15 dB down; negative = dies away."""
    # Only the active part, less its last 60 ms: they hold the fade at the end of the clip, not the decay.
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
    """Largest rise in dB within 50 ms that ends at a loud moment: large for a hit, small for a swell."""
    levels = decibels(envelope(audio, 0.05))
    rises = levels[5:] - levels[:-5]
    return float(rises[levels[5:] > -10].max(initial=0.0))


def burst_edges(audio: np.ndarray, threshold_db: float = -12.0) -> tuple[np.ndarray, np.ndarray]:
    """Start and end times in seconds of the stretches louder than the threshold; gaps below 20 ms are closed."""
    loud = decibels(envelope(audio, 0.02)) > threshold_db
    edges = np.diff(np.concatenate(([0], loud.astype(int), [0])))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    apart = starts[1:] - ends[:-1] > 2
    starts = starts[np.concatenate(([True], apart))]
    ends = ends[np.concatenate((apart, [True]))]
    return starts * ENVELOPE_HOP, ends * ENVELOPE_HOP


# ---------------------------------------------------------------------------------------------------------------------
# Measures of rhythm
# ---------------------------------------------------------------------------------------------------------------------


def band_pass(audio: np.ndarray, low: float, high: float) -> np.ndarray:
    """Keep only low..high Hz."""
    spectrum = np.fft.rfft(audio)
    hz = np.fft.rfftfreq(len(audio), 1 / ANALYSIS_RATE)
    spectrum[(hz < low) | (hz > high)] = 0
    return np.fft.irfft(spectrum, len(audio))


def onset_strength(audio: np.ndarray) -> np.ndarray:
    """How much the level rises at each step of ENVELOPE_HOP, blurred over 50 ms, greatest = 1: [steps]."""
    rise = np.maximum(np.diff(envelope(audio), prepend=0), 0)
    # Two passes of a box blur: hits that are a few steps off the exact rhythm should still count.
    rise = uniform_filter1d(uniform_filter1d(rise, 3, mode="constant"), 3, mode="constant")
    return rise / (rise.max() + 1e-12)


def onset_count(audio: np.ndarray) -> int:
    """Number of clear hits: rises of at least 0.3 of the strongest, at least 80 ms apart."""
    return len(find_peaks(np.pad(onset_strength(audio), 1), height=0.3, distance=8)[0])


def busy_share(onsets: np.ndarray) -> float:
    """Share of the time in which the level rises: small for separate hits, large for noise that rises all the time."""
    rising = np.flatnonzero(onsets > 0.15 * onsets.max())
    return len(rising) / (rising[-1] - rising[0] + 1) if len(rising) else 1.0


def self_similarity(onsets: np.ndarray) -> np.ndarray:
    """How well the onsets agree with themselves some steps later: [steps], 1 = perfectly. Fair to long lags."""
    size = len(onsets)
    onsets = onsets - onsets.mean()  # else a rise at every moment, as in noise, would agree with itself anywhere
    correlation = np.correlate(onsets, onsets, "full")[size - 1 :]
    power = np.cumsum(onsets**2)
    early, late = power[::-1], power[-1] - np.concatenate(([0], power[:-1]))
    return correlation / (np.sqrt(early * late) + 1e-9)


def repetition(onsets: np.ndarray, shortest: float = 0.2, longest: float = 2.2) -> tuple[float, float]:
    """Period in seconds after which the onsets repeat, and how well they do (0 to 1).

    A rhythm that repeats after T also repeats after 2 T, so the shortest lag that is nearly as good as the best wins.
    The period is then sharpened on the longest multiple that fits: one step of error there counts less.
    """
    similarity = self_similarity(onsets)
    low, high = round(shortest / ENVELOPE_HOP), min(round(longest / ENVELOPE_HOP), round(0.85 * len(onsets)))
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
    """Follow the peaks of `similarity` at the multiples of the lag `first`: the period in steps, fractional.

    `similarity` has to end soon after the last hit: at longer lags there is nothing to compare.
    """
    period, multiple = float(first), 1
    while (multiple + 1) * period < len(similarity) - 2:
        multiple += 1
        guess, reach = round(multiple * period), max(2, round(0.1 * period))
        nearby = similarity[guess - reach : guess + reach + 1]
        period = (guess - reach + int(nearby.argmax())) / multiple
    return period


def _tempo_claim(period: float, bpm: float) -> Claim:
    measured = 60 / period if period > 0 else float("nan")
    return Claim(
        abs(measured / bpm - 1) <= TEMPO_ERROR, f"{measured:.1f} bpm", f"{bpm:g} bpm +-{TEMPO_ERROR * 100:g} %"
    )


# ---------------------------------------------------------------------------------------------------------------------
# Measures of spectrum and pitch
# ---------------------------------------------------------------------------------------------------------------------


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
    reach = max(2 ** (cents / 1200), 1 + 4.0 / hz)  # at least 4 Hz: the spectrum of a short clip is no finer
    return power_share(audio, hz / reach, hz * reach)


def line_share(audio: np.ndarray, lines: int = 3) -> float:
    """Share of the energy in the few strongest narrow lines of the spectrum: high for held notes, low for noise."""
    hz, magnitude = spectrum(audio)
    power, total, share = magnitude**2, (magnitude**2).sum() + 1e-12, 0.0
    for _ in range(lines):
        peak = hz[power.argmax()]
        line = np.abs(hz - peak) < max(3.0, 0.0075 * peak)
        share += power[line].sum() / total
        power[line] = 0
    return float(share)


def harmonic_hz(audio: np.ndarray, low: float = 55.0, high: float = 1500.0) -> float:
    """Fundamental in Hz of the strongest harmonic series, even where the fundamental itself is weak.

    Every candidate collects the magnitudes at its multiples, each counting less than the one before. So half the
    true pitch, which would collect the same lines as its even multiples, always collects less.
    """
    per_octave = 240  # steps of 5 cents: on such a grid, "three times the frequency" is the same shift everywhere
    hz, magnitude = spectrum(audio)
    grid = low * 2 ** (np.arange(-0.5, per_octave * np.log2(0.5 * ANALYSIS_RATE / low)) / per_octave)
    lines = np.maximum.reduceat(magnitude, np.searchsorted(hz, grid))  # strongest line in each step
    scores = np.zeros(int(per_octave * np.log2(high / low)))
    for multiple in range(1, 7):
        shifted = lines[round(per_octave * np.log2(multiple)) :][: len(scores)]
        scores[: len(shifted)] += 0.8 ** (multiple - 1) * shifted
    return float(low * 2 ** (scores.argmax() / per_octave))


def _cents(measured: float, expected: float) -> float:
    return 1200 * float(np.log2(max(measured, 1e-3) / expected))


def _pitch_claim(measured: float, attributes: Attributes) -> Claim:
    error = _cents(measured, attributes["hz"])
    wanted = f"{attributes['note']} {attributes['hz']:.1f} Hz +-{CENTS:g} cents"
    return Claim(abs(error) <= CENTS, f"{measured:.1f} Hz ({error:+.0f} cents)", wanted)


def string_overtones(audio: np.ndarray, hz: float) -> float:
    """Share of the energy at 2 and 3 times `hz`, where the overtones of a string are."""
    return power_share(audio, 1.94 * hz, 2.06 * hz) + power_share(audio, 2.94 * hz, 3.06 * hz)


def bar_overtone(audio: np.ndarray, hz: float) -> float:
    """Share of the energy around 2.76 times `hz`, where the first overtone of a struck metal bar is."""
    return power_share(audio, 2.62 * hz, 2.88 * hz)


def tilt(audio: np.ndarray, low: float = 500.0, high: float = 3600.0) -> float:
    """Slope of the spectrum in dB per octave: 0 for white noise, negative where the treble is softer."""
    hz, magnitude = spectrum(audio)
    edges = np.geomspace(low, high, 13)  # bands of equal width in octaves, each averaged
    powers = [np.mean(magnitude[(hz >= a) & (hz < b)] ** 2) for a, b in zip(edges, edges[1:])]
    return float(np.polyfit(np.log2(np.sqrt(edges[1:] * edges[:-1])), 10 * np.log10(np.array(powers) + 1e-12), 1)[0])


# ---------------------------------------------------------------------------------------------------------------------
# Measures of spectrum over time
# ---------------------------------------------------------------------------------------------------------------------


def frames_of(audio: np.ndarray, frame: float, hop: float) -> tuple[np.ndarray, np.ndarray]:
    """Short-time power spectra: frequencies in Hz [bins] and powers [frames, bins], twice zero-padded."""
    size, step = round(frame * ANALYSIS_RATE), round(hop * ANALYSIS_RATE)
    padded = np.pad(audio, (0, max(0, size - len(audio))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[::step] * np.hanning(size)
    return np.fft.rfftfreq(2 * size, 1 / ANALYSIS_RATE), np.abs(np.fft.rfft(windows, 2 * size)) ** 2


@dataclass(frozen=True)
class Contour:
    """The strongest frequency over time, only where the clip is loud enough to have one."""

    times: np.ndarray  # [points] s
    octaves: np.ndarray  # [points] log2 of Hz
    purity: float  # median over the points: share of the energy close to the strongest frequency, 0 to 1


def contour(audio: np.ndarray, frame: float = 0.048, hop: float = 0.012, floor_db: float = ACTIVE_DB) -> Contour:
    """Follow the strongest frequency above 80 Hz."""
    hz, power = frames_of(audio, frame, hop)
    audible = np.where(hz >= 80, power, 0)
    level = audible.sum(axis=1)
    loud = level > level.max() * 10 ** (floor_db / 10)
    best = audible.argmax(axis=1)
    # A steady sine fills +-2 bins of the unpadded transform; +-3 leaves room for pitch that moves within the frame.
    near = np.abs(hz[None, :] - hz[best][:, None]) <= 3 / frame
    purity = (audible * near).sum(axis=1) / (level + 1e-12)
    times = np.arange(len(best)) * hop + frame / 2
    return Contour(times[loud], np.log2(np.maximum(hz[best], 80.0))[loud], float(np.median(purity[loud])))


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
    """The sine that fits the pitch contour best: its rate per second, its height in octaves, the share it explains."""
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
    """Split a contour where the pitch jumps up by more than an octave or pauses: one array of octaves per piece."""
    jumps = np.diff(line.octaves) > 1.0
    pauses = np.diff(line.times) > 0.08
    pieces = np.split(line.octaves, np.flatnonzero(jumps | pauses) + 1)
    return [piece for piece in pieces if len(piece) >= 5]


def roughness(audio: np.ndarray) -> float:
    """Random flutter of the level: its spread over its mean. 0.52 for noise however narrow, 0 for a sine."""
    part = active_part(audio)
    if len(part) < 0.2 * ANALYSIS_RATE:
        return float("nan")
    level = np.abs(hilbert(part))
    slow = uniform_filter1d(level, round(0.25 * ANALYSIS_RATE))
    inner = slice(round(0.05 * ANALYSIS_RATE), -round(0.05 * ANALYSIS_RATE))
    return float(np.std((level / (slow + 1e-6))[inner]))


# ---------------------------------------------------------------------------------------------------------------------
# The checks: pitched sounds
# ---------------------------------------------------------------------------------------------------------------------


@_checks("tone")
def _check_tone(audio: np.ndarray, attributes: Attributes) -> Verdict:
    pitch = strongest_hz(audio)  # of a sine there is only one line, so an octave too high or low is a failure
    return _verdict(
        _pitch_claim(pitch, attributes),
        _within("purity", share_near(audio, pitch), 0.6, 1),
        _within("level spread", level_spread(audio, 0.1), 0, 7, " dB"),
        _within("length", duration(audio), 0.5, 60, " s"),
    )


@_checks("pluck")
def _check_pluck(audio: np.ndarray, attributes: Attributes) -> Verdict:
    pitch = harmonic_hz(audio)
    strings, bars = string_overtones(audio, pitch), bar_overtone(audio, pitch)
    return _verdict(
        _pitch_claim(pitch, attributes),
        _within("decay", decay_rate(audio), -40, -7, " dB/s"),
        _within("string overtones", strings, max(0.01, bars), 1),
        _within("energy in harmonics", share_near(audio, pitch) + strings, 0.5, 1.1),
        _within("hits", onset_count(audio), 1, 1),
    )


@_checks("bell")
def _check_bell(audio: np.ndarray, attributes: Attributes) -> Verdict:
    pitch = strongest_hz(audio)
    return _verdict(
        _pitch_claim(pitch, attributes),
        _within("decay", decay_rate(audio), -9, -2.5, " dB/s"),
        _within("bell overtone", bar_overtone(audio, pitch), max(0.004, string_overtones(audio, pitch)), 1),
        _within("purity", share_near(audio, pitch), 0.5, 1),
    )


@_checks("bass")
def _check_bass(audio: np.ndarray, attributes: Attributes) -> Verdict:
    pitch = harmonic_hz(audio)  # small codecs weaken the lowest line, so its overtones count as well
    return _verdict(
        _pitch_claim(pitch, attributes),
        _within("energy below 450 Hz", power_share(audio, 0, 450), 0.7, 1),
        _within("decay", decay_rate(audio), -10, 2, " dB/s"),
        _within("energy in lines", line_share(audio, 6), 0.75, 1),
        _within("length", duration(audio), 0.5, 60, " s"),
    )


@_checks("chord")
def _check_chord(audio: np.ndarray, attributes: Attributes) -> Verdict:
    strengths = [share_near(audio, hz, 40) for hz in attributes["hz"]]
    weakest = 10 * np.log10(min(strengths) / (max(strengths) + 1e-12) + 1e-9)
    overtones = sum(share_near(audio, 2 * hz, 40) for hz in attributes["hz"])
    return _verdict(
        _within(f"{attributes['chord']} in notes", sum(strengths) + overtones, 0.7, 1.1),
        _within("weakest note", weakest, -10, 0, " dB"),
        _within("decay", decay_rate(audio), -8, 2, " dB/s"),
    )


# ---------------------------------------------------------------------------------------------------------------------
# The checks: moving and electronic sounds
# ---------------------------------------------------------------------------------------------------------------------


@_checks("sweep")
def _check_sweep(audio: np.ndarray, attributes: Attributes) -> Verdict:
    line = contour(audio)
    sign = 1 if attributes["direction"] == "rising" else -1
    return _verdict(
        _within(f"{attributes['direction']}: trend", sign * trend(line), 0.9, 1),
        _within("travel", sign * travel(line), 1.5, 6, " octaves"),
        _within("purity", line.purity, 0.5, 1),
        _within("length", duration(audio), 0.7, 60, " s"),
    )


@_checks("siren")
def _check_siren(audio: np.ndarray, attributes: Attributes) -> Verdict:
    line = contour(audio)
    rate, height, explained = sway(line)
    return _verdict(
        _within("sway", rate, 0.7 * attributes["hz"], 1.4 * attributes["hz"], " per s"),
        _within("height", height, 0.4, 2, " octaves"),
        _within("regularity", explained, 0.6, 1),
        _within("purity", line.purity, 0.5, 1),
        _within("level spread", level_spread(audio), 0, 8, " dB"),
    )


@_checks("beeps")
def _check_beeps(audio: np.ndarray, attributes: Attributes) -> Verdict:
    starts, ends = burst_edges(audio, -9)
    intervals = np.diff(starts) if len(starts) > 1 else np.array([np.nan])
    interval = float(np.median(intervals))
    line, rate = contour(audio, floor_db=-9), attributes["per_second"]
    return _verdict(
        _within("beeps", 1 / interval, 0.7 * rate, 1.4 * rate, " per s"),
        _within("share of even gaps", float(np.mean(np.abs(intervals / interval - 1) < 0.3)), 0.7, 1),
        _within("share of time on", float(np.median(ends - starts)) / interval, 0.25, 0.75),
        _within("pitch", 2 ** float(np.median(line.octaves)), 600, 1600, " Hz"),
        _within("pitch wander", steadiness(line), 0, 80, " cents"),
        _within("purity", line.purity, 0.5, 1),
    )


@_checks("laser")
def _check_laser(audio: np.ndarray, attributes: Attributes) -> Verdict:
    shots = [piece for piece in falls(contour(audio, 0.032, 0.008, -20)) if piece[0] - piece[-1] > 1]
    downward = [float(np.mean(np.diff(shot) <= 0.02)) for shot in shots]
    steps = [len(shot) for shot in shots]
    low, high = (1, 1) if attributes["shots"] == "one" else (2, 40)
    return _verdict(
        _within("falling shots", len(shots), low, high),
        _within("steps that fall", float(np.mean(downward or [0])), 0.8, 1),
        _within("length of a shot", float(np.median(steps or [0])) * 0.008, 0.1, 0.6, " s"),
        _within("sound outside shots", duration(audio) - attributes["interval"] * len(shots), -60, 0.5, " s"),
    )


# ---------------------------------------------------------------------------------------------------------------------
# The checks: drums and rhythms
# ---------------------------------------------------------------------------------------------------------------------


@_checks("kick")
def _check_kick(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return _verdict(
        _within("energy below 200 Hz", power_share(audio, 0, 200), 0.7, 1),
        _within("dies away in", decay_time(audio), 0.05, 0.6, " s"),
        _within("length", duration(audio), 0.05, 0.8, " s"),
        _within("hits", onset_count(audio), 1, 1),
    )


@_checks("snare")
def _check_snare(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return _verdict(
        _within("centroid", centroid(audio), 900, 2900, " Hz"),
        _within("energy above 800 Hz", power_share(audio, 800, 8000), 0.4, 1),
        _within("tonality", contour(band_pass(audio, 800, 8000)).purity, 0, 0.45),  # leaves out the drum's own tone
        _within("dies away in", decay_time(audio), 0.04, 0.45, " s"),
        _within("length", duration(audio), 0.05, 0.7, " s"),
        _within("hits", onset_count(audio), 1, 1),
    )


@_checks("hat")
def _check_hat(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return _verdict(
        _within("centroid", centroid(audio), 2900, 8000, " Hz"),
        _within("energy below 1500 Hz", power_share(audio, 0, 1500), 0, 0.12),
        _within("tonality", contour(audio).purity, 0, 0.45),
        _within("dies away in", decay_time(audio), 0.02, 0.35, " s"),
        _within("length", duration(audio), 0.02, 0.5, " s"),
        _within("hits", onset_count(audio), 1, 1),
    )


@_checks("beat")
def _check_beat(audio: np.ndarray, attributes: Attributes) -> Verdict:
    """Tempo from kicks and snares together.

    Half or double tempo is accepted in one case only, where it is truly ambiguous: when loud hats (or a weak snare)
    make another subdivision repeat best, but the kicks alone come exactly every second beat, as asked.
    """
    low, high = onset_strength(band_pass(audio, 30, 150)), onset_strength(band_pass(audio, 300, 8000))
    onsets = low + high
    period, regularity = repetition(onsets, 0.25, 1.2)
    bpm = attributes["bpm"]
    tempo = _tempo_claim(period, bpm)
    kicks = _tempo_claim(repetition(low)[0] / 2, bpm)
    octave_off = min(abs(60 / period / bpm * factor - 1) for factor in (0.5, 2)) <= TEMPO_ERROR
    return _verdict(
        kicks if octave_off else tempo,
        _within("regularity", regularity, 0.6, 1.01),
        _within("share of time in attacks", busy_share(onsets), 0, 0.35),
        _within("energy below 200 Hz", power_share(audio, 0, 200), 0.1, 0.99),
        _within("energy above 800 Hz", power_share(audio, 800, 8000), 0.01, 0.9),
        _within("level spread", level_spread(audio, 0.05), 9, 100, " dB"),
        _within("hits", onset_count(audio), 3, 100),
    )


@_checks("metronome")
def _check_metronome(audio: np.ndarray, attributes: Attributes) -> Verdict:
    period, regularity = repetition(onset_strength(audio))
    starts, ends = burst_edges(audio, -9)
    return _verdict(
        _tempo_claim(period, attributes["bpm"]),  # all clicks are alike, so half or double tempo is simply wrong
        _within("regularity", regularity, 0.4, 1.01),
        _within("energy from 800 to 3000 Hz", power_share(audio, 800, 3000), 0.6, 1),
        _within("length of a click", float(np.median(ends - starts)), 0.01, 0.14, " s"),
        _within("clicks per beat", (len(starts) - 1) * period / (starts[-1] - starts[0] + 1e-9), 0.75, 1.3),
    )


@_checks("heartbeat")
def _check_heartbeat(audio: np.ndarray, attributes: Attributes) -> Verdict:
    period, regularity = repetition(onset_strength(audio), 0.35)
    beats = duration(audio) / period if period > 0 else float("nan")
    return _verdict(
        _within("heartbeats", 60 / period, 0.8 * attributes["bpm"], 1.25 * attributes["bpm"], " per min"),
        _within("thumps per beat", onset_count(audio) / beats, 1.4, 2.8),
        _within("regularity", regularity, 0.6, 1.01),
        _within("energy below 200 Hz", power_share(audio, 0, 200), 0.85, 1),
    )


# ---------------------------------------------------------------------------------------------------------------------
# The checks: nature and noise
# ---------------------------------------------------------------------------------------------------------------------


def _noise_claims(audio: np.ndarray) -> tuple[Claim, ...]:
    """What all long noises have in common: no lines in the spectrum, and a level that flutters at random."""
    return (
        _within("energy in lines", line_share(audio), 0, 0.35),
        _within("roughness", roughness(audio), 0.38, 0.65),
        _within("length", duration(audio), 0.7, 60, " s"),
    )


@_checks("rain")
def _check_rain(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return _verdict(
        _within("tilt", tilt(audio), -8, -2, " dB/octave"),
        _within("energy below 800 Hz", power_share(audio, 0, 800), 0, 0.7),
        _within("tonality", contour(audio).purity, 0, 0.35),
        _within("level spread", level_spread(audio), 0, 6, " dB"),
        *_noise_claims(audio),
    )


@_checks("waves")
def _check_waves(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return _verdict(
        _within("swell", level_spread(audio), 7, 60, " dB"),
        _within("rises in", rise_time(audio), 0.35, 4, " s"),
        _within("sharpest rise", sharpest_rise(audio), 0, 9, " dB"),
        _within("energy below 1200 Hz", power_share(audio, 0, 1200), 0.6, 1),
        _within("tonality", contour(audio).purity, 0, 0.5),
        *_noise_claims(audio),
    )


@_checks("wind")
def _check_wind(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return _verdict(
        _within("energy below 1000 Hz", power_share(audio, 0, 1000), 0.8, 1),  # rain has about half of it there
        _within("centroid", centroid(audio), 120, 1000, " Hz"),
        _within("tilt", tilt(audio), -60, -8, " dB/octave"),
        _within("level spread", level_spread(audio), 0, 9, " dB"),
        *_noise_claims(audio),
    )


@_checks("noise")
def _check_noise(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return _verdict(
        _within("tilt", tilt(audio), -2, 3, " dB/octave"),
        _within("centroid", centroid(audio), 1500, 5000, " Hz"),
        _within("tonality", contour(audio).purity, 0, 0.35),
        _within("level spread", level_spread(audio), 0, 6, " dB"),
        *_noise_claims(audio),
    )
