"""Does a clip sound as asked? One check per family of sounds, made of small named measures.

A check never hears the caption, only the samples, the family and its attributes. It has to be fair
to what a small model and its codec do to a sound (a noise floor 25 dB down, nothing above 4 kHz,
attacks smeared by 30 ms, a level that wobbles), and still fail on silence, on white noise, on
another family, and on a neighbouring note or tempo. So each check asks for two things: that the
clip is the right *kind* of sound, and that the named attribute is right. An attribute that is not
named, as in "a bell", may have any value: then only the kind is judged, and that the value is one
of that kind.

    >>> check(audio, 16_000, "tone", {"note": "A4", "hz": 440.0})
    Verdict(passed=True, measured='441.2 Hz (+5 cents); ...', expected='A4 440.0 Hz +-50 cents;
    ...')

To add a family: write a function `(audio, attributes) -> Verdict` and put it in the table with
`@_checks("name")`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
from scipy.signal import resample_poly

from .measures import (
    ANALYSIS_RATE,
    band_pass,
    bar_overtone,
    brightness_slide,
    burst_edges,
    burst_rate,
    busy_share,
    centroid,
    contour,
    decay_rate,
    decay_time,
    duration,
    falls,
    harmonic_hz,
    level_spread,
    line_share,
    notes_in_turn,
    onset_count,
    onset_strength,
    overtone_share,
    power_share,
    pulse_rate,
    repetition,
    rise_time,
    roughness,
    share_near,
    sharpest_rise,
    spikiness,
    steadiness,
    string_overtones,
    strongest_hz,
    sway,
    tilt,
    travel,
    trend,
    vibrato,
)

SILENCE = 1e-3  # a clip whose peak is below this is silent
CENTS = 50.0  # allowed error of a pitch: half a semitone, so that a neighbouring note fails
TEMPO_ERROR = 0.04  # allowed relative error of a tempo


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check, with what was heard and what was asked for, to be read by people."""

    passed: bool
    measured: str
    expected: str


@dataclass(frozen=True)
class Claim:
    """One thing a check asks for, e.g.

    Claim(True, "441.2 Hz (+5 cents)", "A4 440.0 Hz +-50 cents").
    """

    holds: bool
    measured: str
    expected: str


Attributes = dict[str, Any]
Check = Callable[
    [np.ndarray, Attributes], Verdict
]  # audio: float64 [frames], mono, ANALYSIS_RATE, peak 1
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
    return Claim(
        bool(low <= value <= high), f"{name} {value:.3g}{unit}", f"{name} {low:g}..{high:g}{unit}"
    )


def check(audio: np.ndarray, sample_rate: int, family: str, attributes: Attributes) -> Verdict:
    """Judge a clip: float [frames] or [frames, channels] at `sample_rate` Hz, asked to be `family`
    with `attributes`.

    family: one of CHECKS. attributes: those that were asked for, and the numbers that follow from
    them (`models.training.sounds.complete_attributes`).
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


def _tempo_claim(period: float, bpm: float | None) -> Claim:
    measured = 60 / period if period > 0 else float("nan")
    if bpm is None:
        return _within("tempo", measured, 55, 190, " bpm")
    return Claim(
        abs(measured / bpm - 1) <= TEMPO_ERROR,
        f"{measured:.1f} bpm",
        f"{bpm:g} bpm +-{TEMPO_ERROR * 100:g} %",
    )


def _cents(measured: float, expected: float) -> float:
    return 1200 * float(np.log2(max(measured, 1e-3) / expected))


def _rate_claim(
    name: str,
    measured: float,
    wanted: float | None,
    slack: tuple[float, float],
    unnamed: tuple[float, float],
    unit: str,
) -> Claim:
    """About as fast as asked, `slack` being the factors allowed; where no rate was named, within
    `unnamed`.
    """
    low, high = unnamed if wanted is None else (slack[0] * wanted, slack[1] * wanted)
    return _within(name, measured, low, high, unit)


def _direction(attributes: Attributes, measured: float) -> tuple[str, int]:
    """What was asked for, its sign; where nothing was, what is heard."""
    direction = attributes.get("direction", "rising" if measured > 0 else "falling")
    return direction, 1 if direction == "rising" else -1


def _pitch_claim(measured: float, attributes: Attributes, unnamed: tuple[float, float]) -> Claim:
    """The note that was asked for; where none was, one between two frequencies in Hz, where such
    instruments play.
    """
    if "hz" not in attributes:
        return _within("pitch", measured, *unnamed, " Hz")
    error = _cents(measured, attributes["hz"])
    wanted = f"{attributes['note']} {attributes['hz']:.1f} Hz +-{CENTS:g} cents"
    return Claim(abs(error) <= CENTS, f"{measured:.1f} Hz ({error:+.0f} cents)", wanted)


# --------------------------------------------------------------------------------------------------
# The checks: pitched sounds
# --------------------------------------------------------------------------------------------------


@_checks("tone")
def _check_tone(audio: np.ndarray, attributes: Attributes) -> Verdict:
    pitch = strongest_hz(
        audio
    )  # of a sine there is only one line, so an octave too high or low is a failure
    return _verdict(
        _pitch_claim(pitch, attributes, (127, 1080)),
        _within("purity", share_near(audio, pitch), 0.8, 1),
        _within("level spread", level_spread(audio, 0.1), 0, 7, " dB"),
        _within("length", duration(audio), 0.5, 60, " s"),
    )


@_checks("pluck")
def _check_pluck(audio: np.ndarray, attributes: Attributes) -> Verdict:
    pitch = harmonic_hz(audio)
    strings, bars = string_overtones(audio, pitch), bar_overtone(audio, pitch)
    return _verdict(
        _pitch_claim(pitch, attributes, (127, 810)),
        _within("decay", decay_rate(audio), -40, -7, " dB/s"),
        _within("string overtones", strings, max(0.01, bars), 1),
        _within("energy in harmonics", share_near(audio, pitch) + strings, 0.5, 1.1),
        _within("hits", onset_count(audio), 1, 1),
    )


@_checks("bell")
def _check_bell(audio: np.ndarray, attributes: Attributes) -> Verdict:
    pitch = strongest_hz(audio)
    return _verdict(
        _pitch_claim(pitch, attributes, (254, 763)),
        _within("decay", decay_rate(audio), -9, -2.5, " dB/s"),
        _within(
            "bell overtone",
            bar_overtone(audio, pitch),
            max(0.004, string_overtones(audio, pitch)),
            1,
        ),
        _within("purity", share_near(audio, pitch), 0.5, 1),
    )


@_checks("bass")
def _check_bass(audio: np.ndarray, attributes: Attributes) -> Verdict:
    pitch = harmonic_hz(
        audio
    )  # small codecs weaken the lowest line, so its overtones count as well
    return _verdict(
        _pitch_claim(pitch, attributes, (63, 128)),
        _within("energy below 450 Hz", power_share(audio, 0, 450), 0.7, 1),
        _within("decay", decay_rate(audio), -10, 2, " dB/s"),
        _within("energy in lines", line_share(audio, 6), 0.75, 1),
        _within("length", duration(audio), 0.5, 60, " s"),
    )


@_checks("mallet")
def _check_mallet(audio: np.ndarray, attributes: Attributes) -> Verdict:
    pitch = strongest_hz(audio)
    return _verdict(
        _pitch_claim(pitch, attributes, (127, 1080)),
        _within("decay", decay_rate(audio), -130, -34, " dB/s"),
        _within("energy at the note", power_share(audio, 0.93 * pitch, 1.07 * pitch), 0.6, 1),
        _within("length", duration(audio), 0.05, 0.8, " s"),
        _within("hits", onset_count(audio), 1, 1),
    )


@_checks("organ")
def _check_organ(audio: np.ndarray, attributes: Attributes) -> Verdict:
    pitch = harmonic_hz(audio)
    return _verdict(
        _pitch_claim(pitch, attributes, (127, 540)),
        _within("octave", overtone_share(audio, pitch, 2), 0.08, 0.6),
        _within(
            "twelfth and fifteenth",
            overtone_share(audio, pitch, 3) + overtone_share(audio, pitch, 4),
            0.06,
            0.5,
        ),
        _within("energy in lines", line_share(audio, 6), 0.75, 1),
        _within("decay", decay_rate(audio), -6, 3, " dB/s"),
        _within("length", duration(audio), 0.7, 60, " s"),
    )


@_checks("flute")
def _check_flute(audio: np.ndarray, attributes: Attributes) -> Verdict:
    pitch = strongest_hz(audio)
    depth, speed = vibrato(audio, pitch)
    return _verdict(
        _pitch_claim(pitch, attributes, (254, 1080)),
        _within("vibrato", depth, 7, 60, " cents"),
        _within("vibrato", speed, 3.8, 6.6, " per s"),
        _within("energy at the note", share_near(audio, attributes.get("hz", pitch), 80), 0.7, 1),
        _within("level spread", level_spread(audio), 0, 7, " dB"),
        _within("length", duration(audio), 0.6, 60, " s"),
    )


@_checks("synth")
def _check_synth(audio: np.ndarray, attributes: Attributes) -> Verdict:
    pitch = harmonic_hz(audio)
    upper = power_share(audio, 3.5 * pitch, 8000)
    low, high = {"bright": (0.025, 0.6), "dark": (0, 0.02)}.get(attributes.get("timbre"), (0, 0.6))
    return _verdict(
        _pitch_claim(pitch, attributes, (127, 360)),
        _within("energy from the fourth harmonic", upper, low, high),
        _within("octave", overtone_share(audio, pitch, 2), 0.012, 0.4),
        _within("energy in lines", line_share(audio, 8), 0.75, 1),
        _within("decay", decay_rate(audio), -6, 3, " dB/s"),
        _within("length", duration(audio), 0.7, 60, " s"),
    )


_TRIADS = {"major": (0, 4, 7), "minor": (0, 3, 7)}  # semitones above the root


def _chords() -> dict[str, tuple[float, ...]]:
    """Every major and minor triad with its root in octave 4, its frequencies in Hz."""
    names = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
    return {
        f"{root} {quality}": tuple(440 * 2 ** ((number - 9 + step) / 12) for step in steps)
        for number, root in enumerate(names)
        for quality, steps in _TRIADS.items()
    }


def _chord_claims(audio: np.ndarray, attributes: Attributes) -> tuple[Claim, ...]:
    chords = {attributes["chord"]: attributes["hz"]} if "chord" in attributes else _chords()
    strengths = {
        chord: [share_near(audio, hz, 40) for hz in notes] for chord, notes in chords.items()
    }
    chord = max(strengths, key=lambda name: min(strengths[name]))
    weakest = 10 * np.log10(min(strengths[chord]) / (max(strengths[chord]) + 1e-12) + 1e-9)
    overtones = sum(share_near(audio, 2 * hz, 40) for hz in chords[chord])
    return (
        _within(f"{chord} in notes", sum(strengths[chord]) + overtones, 0.7, 1.1),
        _within("weakest note", weakest, -10, 0, " dB"),
    )


def _swell(audio: np.ndarray) -> float:
    """Level in dB, against the loudest, of the first eighth of a second."""
    eighth = ANALYSIS_RATE // 8
    levels = [
        np.sqrt(np.mean(audio[at : at + eighth] ** 2))
        for at in range(0, len(audio) - eighth, eighth)
    ]
    return float(20 * np.log10(levels[0] / max(levels) + 1e-5))


@_checks("pad")
def _check_pad(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return _verdict(
        *_chord_claims(audio, attributes),
        _within("level at the start", _swell(audio), -60, -7, " dB"),
        _within("decay", decay_rate(audio), -12, 6, " dB/s"),
    )


@_checks("arpeggio")
def _check_arpeggio(audio: np.ndarray, attributes: Attributes) -> Verdict:
    chords = {attributes["chord"]: attributes["hz"]} if "chord" in attributes else _chords()
    directions = [attributes["direction"]] if "direction" in attributes else ["rising", "falling"]
    starts = np.arange(0.02, min(4.0, len(audio) / ANALYSIS_RATE) - 0.25, 0.25)
    heard = notes_in_turn(audio, starts + 0.03, 0.2)
    audible = ~np.isnan(heard)

    def right(chord: str, direction: str) -> float:
        rising = [*chords[chord], 2 * chords[chord][0]]
        notes = np.resize(rising if direction == "rising" else rising[::-1], len(heard))
        near = np.abs(1200 * np.log2(np.where(audible, heard, 1.0) / notes)) < 60
        return float(near[audible].mean()) if audible.any() else 0.0

    chord, direction = max(
        ((chord, direction) for chord in chords for direction in directions),
        key=lambda pair: right(*pair),
    )
    return _verdict(
        _within(f"notes of {chord} {direction}", right(chord, direction), 0.75, 1),
        _within("notes", int(audible.sum()), 4, 16),
        _within("level spread", level_spread(audio, 0.06), 4, 60, " dB"),
    )


@_checks("chord")
def _check_chord(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return _verdict(
        *_chord_claims(audio, attributes),
        _within("level at the start", _swell(audio), -7, 0.01, " dB"),
        _within("decay", decay_rate(audio), -8, 2, " dB/s"),
    )


# --------------------------------------------------------------------------------------------------
# The checks: moving and electronic sounds
# --------------------------------------------------------------------------------------------------


@_checks("sweep")
def _check_sweep(audio: np.ndarray, attributes: Attributes) -> Verdict:
    line = contour(audio)
    direction, sign = _direction(attributes, trend(line))
    return _verdict(
        _within(f"{direction}: trend", sign * trend(line), 0.9, 1),
        _within("travel", sign * travel(line), 1.5, 6, " octaves"),
        _within("purity", line.purity, 0.5, 1),
        _within("length", duration(audio), 0.7, 60, " s"),
    )


def _register_claim(hz: float, attributes: Attributes, border: float) -> tuple[Claim, ...]:
    """Above or below a border in Hz, where high or low is asked for."""
    low, high = {"high": (border, 8000), "low": (20, border)}.get(
        attributes.get("register"), (20, 8000)
    )
    return (_within("pitch", hz, low, high, " Hz"),)


@_checks("siren")
def _check_siren(audio: np.ndarray, attributes: Attributes) -> Verdict:
    line = contour(audio)
    rate, height, explained = sway(line)
    return _verdict(
        _rate_claim("sway", rate, attributes.get("per_second"), (0.7, 1.4), (0.35, 4.2), " per s"),
        *_register_claim(2 ** float(line.octaves.mean()), attributes, 680),
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
    line, rate = contour(audio, floor_db=-9), attributes.get("per_second")
    return _verdict(
        _rate_claim("beeps", 1 / interval, rate, (0.7, 1.4), (1.0, 7.0), " per s"),
        _within(
            "share of even gaps", float(np.mean(np.abs(intervals / interval - 1) < 0.3)), 0.7, 1
        ),
        _within("share of time on", float(np.median(ends - starts)) / interval, 0.25, 0.75),
        *_register_claim(2 ** float(np.median(line.octaves)), attributes, 750),
        _within("pitch wander", steadiness(line), 0, 80, " cents"),
        _within("purity", line.purity, 0.5, 1),
    )


@_checks("laser")
def _check_laser(audio: np.ndarray, attributes: Attributes) -> Verdict:
    shots = [
        piece for piece in falls(contour(audio, 0.032, 0.008, -20)) if piece[0] - piece[-1] > 1
    ]
    downward = [float(np.mean(np.diff(shot) <= 0.02)) for shot in shots]
    steps = [len(shot) for shot in shots]
    low, high = {"one": (1, 1), "repeated": (2, 40)}.get(attributes.get("shots"), (1, 40))
    return _verdict(
        _within("falling shots", len(shots), low, high),
        _within("steps that fall", float(np.mean(downward or [0])), 0.8, 1),
        _within("length of a shot", float(np.median(steps or [0])) * 0.008, 0.1, 0.6, " s"),
        _within(
            "sound outside shots",
            duration(audio) - attributes.get("interval", 0.5) * len(shots),
            -60,
            0.5,
            " s",
        ),
    )


@_checks("alarm")
def _check_alarm(audio: np.ndarray, attributes: Attributes) -> Verdict:
    line = contour(audio)
    rate, _, explained = sway(line)
    low, high = np.percentile(line.octaves, (15, 85))
    near = np.minimum(np.abs(line.octaves - low), np.abs(line.octaves - high)) < 0.07
    return _verdict(
        _rate_claim("turns", rate, attributes.get("per_second"), (0.7, 1.4), (0.56, 4.2), " per s"),
        _within("height", float(high - low), 0.25, 0.65, " octaves"),
        _within("time on two notes", float(near.mean()), 0.75, 1),
        _within("regularity", explained, 0.5, 1),
        _within("level spread", level_spread(audio), 0, 8, " dB"),
    )


@_checks("phone")
def _check_phone(audio: np.ndarray, attributes: Attributes) -> Verdict:
    starts, ends = burst_edges(audio, -12)
    lengths = ends - starts
    return _verdict(
        _within("rings", len(starts), 1, 3),
        _within("length of a ring", float(lengths[0]), 0.75, 1.25, " s"),
        _within("pause", float(starts[1] - ends[0]) if len(starts) > 1 else 1.0, 0.7, 1.3, " s"),
        _within("energy from 600 to 1300 Hz", power_share(audio, 600, 1300), 0.7, 1),
        _within("two notes", line_share(audio, 1), 0, 0.45),
    )


@_checks("coin")
def _check_coin(audio: np.ndarray, attributes: Attributes) -> Verdict:
    first, second = notes_in_turn(audio, np.array([0.03, 0.13]), 0.06)
    return _verdict(
        _within("first note", first, 850, 1150, " Hz"),
        _within("step", 12 * np.log2(second / first), 3.5, 6.5, " semitones"),
        _within("dies away in", decay_time(audio), 0.1, 0.8, " s"),
        _within("length", duration(audio), 0.15, 1.2, " s"),
    )


@_checks("power")
def _check_power(audio: np.ndarray, attributes: Attributes) -> Verdict:
    line = contour(audio, 0.04, 0.01)
    direction, sign = _direction(attributes, trend(line))
    return _verdict(
        _within(f"{direction}: trend", sign * trend(line), 0.85, 1),
        _within("travel", sign * travel(line), 1.3, 3, " octaves"),
        _within("length", duration(audio), 0.4, 1.0, " s"),
    )


@_checks("notification")
def _check_notification(audio: np.ndarray, attributes: Attributes) -> Verdict:
    line, dings = contour(audio), onset_count(audio)
    hits = attributes.get("hits", min(max(dings, 1), 3))
    return _verdict(
        _within("dings", dings, hits, hits),
        _within("pitch", 2 ** float(np.median(line.octaves)), 680, 1500, " Hz"),
        _within("rise", travel(line), -0.1 if hits == 1 else 0.15, 0.9, " octaves"),
        _within("purity", line.purity, 0.5, 1),
        _within("length", duration(audio), 0.15, 1.8, " s"),
    )


@_checks("buzz")
def _check_buzz(audio: np.ndarray, attributes: Attributes) -> Verdict:
    low, high = {"short": (0.15, 0.65), "long": (1.0, 2.2)}.get(
        attributes.get("length"), (0.15, 2.2)
    )
    return _verdict(
        _within("length", duration(audio), low, high, " s"),
        _within("pitch", harmonic_hz(audio, 60, 500), 100, 140, " Hz"),
        _within("energy above 300 Hz", power_share(audio, 300, 8000), 0.2, 0.9),
        _within("decay", decay_rate(audio), -20, 20, " dB/s"),
    )


@_checks("click")
def _check_click(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return _verdict(
        _within("length", duration(audio), 0, 0.11, " s"),
        _within("energy from 700 to 3500 Hz", power_share(audio, 700, 3500), 0.6, 1),
        _within("centroid", centroid(audio), 900, 2600, " Hz"),
        _within("hits", onset_count(audio), 1, 1),
    )


@_checks("explosion")
def _check_explosion(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return _verdict(
        _within("energy below 400 Hz", power_share(audio, 0, 400), 0.6, 1),
        _within("energy in lines", line_share(audio), 0, 0.45),
        _within("decay", decay_rate(audio), -60, -6, " dB/s"),
        _within("sharpest rise", sharpest_rise(audio[: ANALYSIS_RATE // 2]), 6, 100, " dB"),
        _within("length", duration(audio), 0.35, 3.0, " s"),
    )


@_checks("whoosh")
def _check_whoosh(audio: np.ndarray, attributes: Attributes) -> Verdict:
    slide = brightness_slide(audio)
    direction, sign = _direction(attributes, slide)
    return _verdict(
        _within(f"{direction} by", sign * slide, 0.6, 4, " octaves"),
        _within("energy in lines", line_share(audio), 0, 0.3),
        _within("length", duration(audio), 0.25, 1.2, " s"),
        _within("sharpest rise", sharpest_rise(audio), 0, 14, " dB"),
    )


# --------------------------------------------------------------------------------------------------
# The checks: drums and rhythms
# --------------------------------------------------------------------------------------------------


@_checks("kick")
def _check_kick(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return _verdict(
        _within("pitch", strongest_hz(audio, 30), 35, 130, " Hz"),
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
        _within(
            "tonality", contour(band_pass(audio, 800, 8000)).purity, 0, 0.45
        ),  # leaves out the drum's own tone
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

    Half or double tempo is accepted in one case only, where it is truly ambiguous: when loud hats
    (or a weak snare) make another subdivision repeat best, but the kicks alone come exactly every
    second beat, as asked.
    """
    low, high = (
        onset_strength(band_pass(audio, 30, 150)),
        onset_strength(band_pass(audio, 300, 8000)),
    )
    onsets = low + high
    period, regularity = repetition(onsets, 0.25, 1.2)
    bpm = attributes.get("bpm")
    tempo = _tempo_claim(period, bpm)
    kicks = _tempo_claim(repetition(low)[0] / 2, bpm)
    octave_off = (
        bpm is not None
        and min(abs(60 / period / bpm * factor - 1) for factor in (0.5, 2)) <= TEMPO_ERROR
    )
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
        _tempo_claim(
            period, attributes.get("bpm")
        ),  # all clicks are alike, so half or double tempo is simply wrong
        _within("regularity", regularity, 0.4, 1.01),
        _within("energy from 800 to 3000 Hz", power_share(audio, 800, 3000), 0.6, 1),
        _within("length of a click", float(np.median(ends - starts)), 0.01, 0.14, " s"),
        _within(
            "clicks per beat",
            (len(starts) - 1) * period / (starts[-1] - starts[0] + 1e-9),
            0.75,
            1.3,
        ),
    )


@_checks("heartbeat")
def _check_heartbeat(audio: np.ndarray, attributes: Attributes) -> Verdict:
    period, regularity = repetition(onset_strength(audio), 0.35)
    beats = duration(audio) / period if period > 0 else float("nan")
    return _verdict(
        _rate_claim(
            "heartbeats", 60 / period, attributes.get("bpm"), (0.8, 1.25), (48, 150), " per min"
        ),
        _within("thumps per beat", onset_count(audio) / beats, 1.4, 2.8),
        _within("regularity", regularity, 0.6, 1.01),
        _within("energy below 200 Hz", power_share(audio, 0, 200), 0.85, 1),
    )


@_checks("clap")
def _check_clap(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return _verdict(
        _within("centroid", centroid(audio), 900, 2500, " Hz"),
        _within("energy from 600 to 3200 Hz", power_share(audio, 600, 3200), 0.75, 1),
        _within("energy below 400 Hz", power_share(audio, 0, 400), 0, 0.1),
        _within("tonality", contour(audio).purity, 0, 0.6),
        _within("dies away in", decay_time(audio), 0.03, 0.4, " s"),
        _within("hits", onset_count(audio), 1, 1),
    )


@_checks("tom")
def _check_tom(audio: np.ndarray, attributes: Attributes) -> Verdict:
    low, high = {"high": (150, 290), "low": (65, 125)}.get(attributes.get("register"), (65, 290))
    return _verdict(
        _within("pitch", strongest_hz(audio), low, high, " Hz"),
        _within("energy below 350 Hz", power_share(audio, 0, 350), 0.8, 1),
        _within("dies away in", decay_time(audio), 0.08, 0.7, " s"),
        _within("length", duration(audio), 0.1, 0.9, " s"),
        _within("hits", onset_count(audio), 1, 1),
    )


@_checks("crash")
def _check_crash(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return _verdict(
        _within("centroid", centroid(audio), 2400, 7000, " Hz"),
        _within("energy in lines", line_share(audio), 0, 0.3),
        _within("decay", decay_rate(audio), -40, -7, " dB/s"),
        _within("length", duration(audio), 0.4, 3, " s"),
    )


@_checks("house")
def _check_house(audio: np.ndarray, attributes: Attributes) -> Verdict:
    low = onset_strength(band_pass(audio, 30, 200))
    period, regularity = repetition(low, 0.25, 1.2)
    return _verdict(
        _tempo_claim(period, attributes.get("bpm")),
        _within("regularity", regularity, 0.6, 1.01),
        _within("energy below 200 Hz", power_share(audio, 0, 200), 0.5, 0.995),
        _within("energy above 2500 Hz", power_share(audio, 2500, 8000), 0.002, 0.5),
        _within("level spread", level_spread(audio, 0.05), 9, 100, " dB"),
    )


@_checks("footsteps")
def _check_footsteps(audio: np.ndarray, attributes: Attributes) -> Verdict:
    period, regularity = repetition(onset_strength(audio), 0.2, 1.2)
    return _verdict(
        _rate_claim(
            "steps", 1 / period, attributes.get("per_second"), (0.7, 1.4), (1.0, 4.5), " per s"
        ),
        _within("regularity", regularity, 0.5, 1.01),
        _within("energy below 300 Hz", power_share(audio, 0, 300), 0.25, 0.97),
        _within("energy from 400 to 2500 Hz", power_share(audio, 400, 2500), 0.02, 0.75),
        _within("share of time in attacks", busy_share(onset_strength(audio)), 0, 0.6),
    )


@_checks("knock")
def _check_knock(audio: np.ndarray, attributes: Attributes) -> Verdict:
    knocks = onset_count(audio)
    hits = attributes.get("hits", min(max(knocks, 1), 3))
    return _verdict(
        _within("knocks", knocks, hits, hits),
        _within("energy from 180 to 1000 Hz", power_share(audio, 180, 1000), 0.7, 1),
        _within("length", duration(audio), 0.02, 0.3 * hits - 0.05, " s"),
        _within(
            "time between",
            float(np.median(np.diff(burst_edges(audio)[0]))) if hits > 1 else 0.3,
            0.2,
            0.4,
            " s",
        ),
    )


@_checks("engine")
def _check_engine(audio: np.ndarray, attributes: Attributes) -> Verdict:
    firing = harmonic_hz(audio, 20, 150)
    return _verdict(
        _rate_claim("firing", firing, attributes.get("firing"), (0.75, 1.35), (24, 115), " Hz"),
        _within("energy below 800 Hz", power_share(audio, 0, 800), 0.8, 1),
        _within("level spread", level_spread(audio), 0, 8, " dB"),
        _within("length", duration(audio), 0.7, 60, " s"),
    )


@_checks("clock")
def _check_clock(audio: np.ndarray, attributes: Attributes) -> Verdict:
    rate, even, length = burst_rate(audio, -14)
    return _verdict(
        _rate_claim(
            "ticks", rate, attributes.get("per_second"), (0.75, 1.3), (0.75, 5.2), " per s"
        ),
        _within("share of even gaps", even, 0.7, 1),
        _within("length of a tick", length, 0.01, 0.15, " s"),
        _within("energy from 500 to 1200 Hz", power_share(audio, 500, 1200), 0.6, 1),
    )


# --------------------------------------------------------------------------------------------------
# The checks: nature and noise
# --------------------------------------------------------------------------------------------------


def _noise_claims(audio: np.ndarray) -> tuple[Claim, ...]:
    """What all long noises have in common: no lines in the spectrum, and a level that flutters at
    random.
    """
    return (
        _within("energy in lines", line_share(audio), 0, 0.35),
        _within("roughness", roughness(audio), 0.38, 0.65),
        _within("length", duration(audio), 0.7, 60, " s"),
    )


@_checks("rain")
def _check_rain(audio: np.ndarray, attributes: Attributes) -> Verdict:
    if "amount" not in attributes:
        heavy, light = (_check_rain(audio, {"amount": amount}) for amount in ("heavy", "light"))
        return light if light.passed else heavy
    if attributes["amount"] == "light":
        return _verdict(
            _within("single drops stand out", spikiness(audio), 5, 200),
            _within("centroid", centroid(audio), 900, 3500, " Hz"),
            _within("energy below 500 Hz", power_share(audio, 0, 500), 0, 0.3),
            _within("drops", onset_count(audio) / duration(audio), 1.5, 12, " per s"),
            _within("length", duration(audio), 0.7, 60, " s"),
        )
    return _verdict(
        _within("tilt", tilt(audio), -8, -2, " dB/octave"),
        _within("energy below 800 Hz", power_share(audio, 0, 800), 0, 0.7),
        _within("energy below 200 Hz", power_share(audio, 0, 200), 0, 0.12),
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
        _within(
            "energy below 1000 Hz", power_share(audio, 0, 1000), 0.8, 1
        ),  # rain has about half of it there
        _within("centroid", centroid(audio), 120, 1000, " Hz"),
        _within("tilt", tilt(audio), -60, -8, " dB/octave"),
        _within("level spread", level_spread(audio), 0, 9, " dB"),
        *_noise_claims(audio),
    )


@_checks("fire")
def _check_fire(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return _verdict(
        _within("cracks stand out", spikiness(audio), 8, 500),
        _within("cracks", onset_count(audio) / duration(audio), 1, 9, " per s"),
        _within("length of a crack", burst_rate(audio)[2], 0, 0.08, " s"),
        _within("energy below 600 Hz", power_share(audio, 0, 600), 0.1, 0.9),
        _within("tonality", contour(audio).purity, 0, 0.6),
    )


@_checks("thunder")
def _check_thunder(audio: np.ndarray, attributes: Attributes) -> Verdict:
    half = len(audio) // 2
    return _verdict(
        _within("energy below 200 Hz", power_share(audio, 0, 200), 0.85, 1),
        _within("energy in lines", line_share(audio), 0, 0.6),
        _within("swell", level_spread(audio), 5, 60, " dB"),
        _within(
            "second half",
            10 * np.log10(np.mean(audio[half:] ** 2) / np.mean(audio[:half] ** 2) + 1e-9),
            -40,
            -2,
            " dB",
        ),
        _within("sharpest rise", sharpest_rise(audio), 0, 16, " dB"),
        _within("length", duration(audio), 0.8, 60, " s"),
    )


@_checks("frog")
def _check_frog(audio: np.ndarray, attributes: Attributes) -> Verdict:
    starts, ends = burst_edges(audio, -20)
    lengths = (ends - starts)[ends - starts > 0.1]
    return _verdict(
        _within("energy from 400 to 1500 Hz", power_share(audio, 400, 1500), 0.8, 1),
        _within("croaks", 1 / repetition(onset_strength(audio), 0.5, 1.2)[0], 1.0, 1.6, " per s"),
        _within(
            "length of a croak", float(np.median(lengths)) if len(lengths) else 0.0, 0.2, 0.5, " s"
        ),
        _within("pulses", pulse_rate(audio, 12, 60), 18, 26, " per s"),
    )


@_checks("cuckoo")
def _check_cuckoo(audio: np.ndarray, attributes: Attributes) -> Verdict:
    line = contour(audio, 0.048, 0.012, -14)
    calls = 1 / repetition(onset_strength(audio), 0.6, 2.4)[0]
    low, high = np.percentile(line.octaves, (20, 90))
    return _verdict(
        _rate_claim(
            "calls", calls, attributes.get("per_second"), (0.7, 1.4), (0.38, 1.75), " per s"
        ),
        _within("interval", 12 * float(high - low), 2.5, 5.5, " semitones"),
        _within("pitch", 2 ** float(np.median(line.octaves)), 450, 760, " Hz"),
        _within("purity", line.purity, 0.5, 1),
        _within("level spread", level_spread(audio, 0.05), 8, 100, " dB"),
    )


@_checks("drops")
def _check_drops(audio: np.ndarray, attributes: Attributes) -> Verdict:
    rate, _, length = burst_rate(audio)
    line = contour(audio, 0.032, 0.008, -20)
    return _verdict(
        _rate_claim("drops", rate, attributes.get("per_second"), (0.7, 1.4), (0.84, 5.6), " per s"),
        _within("energy from 500 to 1500 Hz", power_share(audio, 500, 1500), 0.75, 1),
        _within("length of a drop", length, 0.02, 0.15, " s"),
        _within("rise", float(np.mean(np.diff(line.octaves) > 0)), 0.3, 1),
    )


@_checks("stream")
def _check_stream(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return _verdict(
        _within("energy from 350 to 1500 Hz", power_share(audio, 350, 1500), 0.7, 1),
        _within("bubbles stand out", spikiness(audio), 2.6, 12),
        _within("pitch wander", steadiness(contour(audio)), 120, 1200, " cents"),
        _within("energy in lines", line_share(audio), 0, 0.35),
        _within("level spread", level_spread(audio), 0, 11, " dB"),
        _within("length", duration(audio), 0.7, 60, " s"),
    )


_SLOPES = {
    "white": (-1.6, 3),
    "pink": (-4.6, -1.6),
    "brown": (-9, -4.6),
    None: (-9, 3),
}  # dB per octave, as measured over amplitudes of noise


@_checks("noise")
def _check_noise(audio: np.ndarray, attributes: Attributes) -> Verdict:
    colour = attributes.get("colour")
    dull = colour == "brown" or (colour is None and tilt(audio) < -4.6)
    return _verdict(
        _within(f"{colour or 'any'}: tilt", tilt(audio), *_SLOPES[colour], " dB/octave"),
        _within("tonality", contour(audio).purity, 0, 0.8 if dull else 0.45),
        _within("level spread", level_spread(audio), 0, 7, " dB"),
        _within("energy above 1 kHz", power_share(audio, 1000, 8000), 0.003, 1),
        _within("energy in lines", line_share(audio), 0, 0.5 if dull else 0.35),
        _within("roughness", roughness(audio), 0.38, 0.65),
        _within("length", duration(audio), 0.7, 60, " s"),
    )
