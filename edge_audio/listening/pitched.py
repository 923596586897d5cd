"""The checks of notes and chords on instruments."""

from __future__ import annotations

import numpy as np

from edge_audio.listening.claims import (
    Attributes,
    Claim,
    Verdict,
    family_check,
    pitch_claim,
    verdict,
    within,
)
from edge_audio.listening.measures import (
    ANALYSIS_RATE,
    bar_overtone,
    decay_rate,
    duration,
    harmonic_hz,
    level_spread,
    line_share,
    notes_in_turn,
    onset_count,
    overtone_share,
    power_share,
    share_near,
    string_overtones,
    strongest_hz,
    vibrato,
)


@family_check("tone")
def _check_tone(audio: np.ndarray, attributes: Attributes) -> Verdict:
    pitch = strongest_hz(
        audio
    )  # of a sine there is only one line, so an octave too high or low is a failure
    return verdict(
        pitch_claim(pitch, attributes, (127, 1080)),
        within("purity", share_near(audio, pitch), 0.8, 1),
        within("level spread", level_spread(audio, 0.1), 0, 7, " dB"),
        within("length", duration(audio), 0.5, 60, " s"),
    )


@family_check("pluck")
def _check_pluck(audio: np.ndarray, attributes: Attributes) -> Verdict:
    pitch = harmonic_hz(audio)
    strings, bars = string_overtones(audio, pitch), bar_overtone(audio, pitch)
    return verdict(
        pitch_claim(pitch, attributes, (127, 810)),
        within("decay", decay_rate(audio), -40, -7, " dB/s"),
        within("string overtones", strings, max(0.01, bars), 1),
        within("energy in harmonics", share_near(audio, pitch) + strings, 0.5, 1.1),
        within("hits", onset_count(audio), 1, 1),
    )


@family_check("bell")
def _check_bell(audio: np.ndarray, attributes: Attributes) -> Verdict:
    pitch = strongest_hz(audio)
    return verdict(
        pitch_claim(pitch, attributes, (254, 763)),
        within("decay", decay_rate(audio), -9, -2.5, " dB/s"),
        within(
            "bell overtone",
            bar_overtone(audio, pitch),
            max(0.004, string_overtones(audio, pitch)),
            1,
        ),
        within("purity", share_near(audio, pitch), 0.5, 1),
    )


@family_check("bass")
def _check_bass(audio: np.ndarray, attributes: Attributes) -> Verdict:
    pitch = harmonic_hz(
        audio
    )  # small codecs weaken the lowest line, so its overtones count as well
    return verdict(
        pitch_claim(pitch, attributes, (63, 128)),
        within("energy below 450 Hz", power_share(audio, 0, 450), 0.7, 1),
        within("decay", decay_rate(audio), -10, 2, " dB/s"),
        within("energy in lines", line_share(audio, 6), 0.75, 1),
        within("length", duration(audio), 0.5, 60, " s"),
    )


@family_check("mallet")
def _check_mallet(audio: np.ndarray, attributes: Attributes) -> Verdict:
    pitch = strongest_hz(audio)
    return verdict(
        pitch_claim(pitch, attributes, (127, 1080)),
        within("decay", decay_rate(audio), -130, -34, " dB/s"),
        within("energy at the note", power_share(audio, 0.93 * pitch, 1.07 * pitch), 0.6, 1),
        within("length", duration(audio), 0.05, 0.8, " s"),
        within("hits", onset_count(audio), 1, 1),
    )


@family_check("organ")
def _check_organ(audio: np.ndarray, attributes: Attributes) -> Verdict:
    pitch = harmonic_hz(audio)
    return verdict(
        pitch_claim(pitch, attributes, (127, 540)),
        within("octave", overtone_share(audio, pitch, 2), 0.08, 0.6),
        within(
            "twelfth and fifteenth",
            overtone_share(audio, pitch, 3) + overtone_share(audio, pitch, 4),
            0.06,
            0.5,
        ),
        within("energy in lines", line_share(audio, 6), 0.75, 1),
        within("decay", decay_rate(audio), -6, 3, " dB/s"),
        within("length", duration(audio), 0.7, 60, " s"),
    )


@family_check("flute")
def _check_flute(audio: np.ndarray, attributes: Attributes) -> Verdict:
    pitch = strongest_hz(audio)
    depth, speed = vibrato(audio, pitch)
    return verdict(
        pitch_claim(pitch, attributes, (254, 1080)),
        within("vibrato", depth, 7, 60, " cents"),
        within("vibrato", speed, 3.8, 6.6, " per s"),
        within("energy at the note", share_near(audio, attributes.get("hz", pitch), 80), 0.7, 1),
        within("level spread", level_spread(audio), 0, 7, " dB"),
        within("length", duration(audio), 0.6, 60, " s"),
    )


@family_check("synth")
def _check_synth(audio: np.ndarray, attributes: Attributes) -> Verdict:
    pitch = harmonic_hz(audio)
    upper = power_share(audio, 3.5 * pitch, 8000)
    low, high = {"bright": (0.025, 0.6), "dark": (0, 0.02)}.get(
        attributes.get("timbre", ""), (0, 0.6)
    )
    return verdict(
        pitch_claim(pitch, attributes, (127, 360)),
        within("energy from the fourth harmonic", upper, low, high),
        within("octave", overtone_share(audio, pitch, 2), 0.012, 0.4),
        within("energy in lines", line_share(audio, 8), 0.75, 1),
        within("decay", decay_rate(audio), -6, 3, " dB/s"),
        within("length", duration(audio), 0.7, 60, " s"),
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
        within(f"{chord} in notes", sum(strengths[chord]) + overtones, 0.7, 1.1),
        within("weakest note", weakest, -10, 0, " dB"),
    )


def _swell(audio: np.ndarray) -> float:
    """Level in dB, against the loudest, of the first eighth of a second."""
    eighth = ANALYSIS_RATE // 8
    levels = [
        np.sqrt(np.mean(audio[at : at + eighth] ** 2))
        for at in range(0, len(audio) - eighth, eighth)
    ]
    return float(20 * np.log10(levels[0] / max(levels) + 1e-5))


@family_check("pad")
def _check_pad(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return verdict(
        *_chord_claims(audio, attributes),
        within("level at the start", _swell(audio), -60, -7, " dB"),
        within("decay", decay_rate(audio), -12, 6, " dB/s"),
    )


@family_check("arpeggio")
def _check_arpeggio(audio: np.ndarray, attributes: Attributes) -> Verdict:
    chords = {attributes["chord"]: attributes["hz"]} if "chord" in attributes else _chords()
    directions = [attributes["direction"]] if "direction" in attributes else ["rising", "falling"]
    starts = np.arange(0.02, min(4.0, len(audio) / ANALYSIS_RATE) - 0.25, 0.25)
    heard = notes_in_turn(audio, starts + 0.03, 0.2)
    audible = ~np.isnan(heard)

    def right(chord: str, direction: str) -> float:
        rising = [*chords[chord], 2 * chords[chord][0]]
        notes = np.resize(rising if direction == "rising" else rising[::-1], len(heard))
        near = np.abs(1200 * np.log2(np.where(audible, np.maximum(heard, 1.0), 1.0) / notes)) < 60
        return float(near[audible].mean()) if audible.any() else 0.0

    chord, direction = max(
        ((chord, direction) for chord in chords for direction in directions),
        key=lambda pair: right(*pair),
    )
    return verdict(
        within(f"notes of {chord} {direction}", right(chord, direction), 0.75, 1),
        within("notes", int(audible.sum()), 4, 16),
        within("level spread", level_spread(audio, 0.06), 4, 60, " dB"),
    )


@family_check("chord")
def _check_chord(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return verdict(
        *_chord_claims(audio, attributes),
        within("level at the start", _swell(audio), -7, 0.01, " dB"),
        within("decay", decay_rate(audio), -8, 2, " dB/s"),
    )
