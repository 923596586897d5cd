"""Instruments that play one note."""

from __future__ import annotations

import numpy as np

from .slots import note_slot, usual_notes
from .synthesis import Rng, attack, band, glide, partials, sample_rate, shaped_noise, sine, times
from .world import Attributes, Family, Slot, Synthesiser, value, without_article

TIMBRE: Slot = {
    "bright": value("bright", numbers={"cutoff": 7.0}),
    "dark": value("dark", numbers={"cutoff": 1.5}),
}


def _tone(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    return attack(sine(count, attributes["hz"], rng), 0.015)


def _pluck(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """One plucked string: exact harmonics that die away faster the higher they are."""
    harmonics = np.arange(1, 9)
    decays = rng.uniform(0.6, 0.9) / (1 + 0.5 * (harmonics - 1))
    return attack(
        partials(
            count, harmonics * attributes["hz"], harmonics ** -rng.uniform(1.1, 1.5), decays, rng
        ),
        0.002,
    )


def _bell(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A struck metal bar: its overtones (2.76, 5.40) are no whole multiples, and the named pitch
    rings longest.
    """
    ratios = np.array([1.0, 2.756, 5.404])
    levels = [1.0, rng.uniform(0.35, 0.5), rng.uniform(0.1, 0.2)]
    return attack(
        partials(count, ratios * attributes["hz"], levels, [rng.uniform(1.6, 2.2), 0.9, 0.25], rng),
        0.002,
    )


def _mallet(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A marimba bar: tuned so that its overtone is two octaves up; over within half a second."""
    levels, decays = [1.0, rng.uniform(0.2, 0.3)], [rng.uniform(0.14, 0.18), 0.05]
    return attack(
        partials(count, np.array([1.0, 4.0]) * attributes["hz"], levels, decays, rng), 0.002
    )


def _organ(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Drawbars: a held fundamental and its octaves and fifth, all steady."""
    levels = [1.0, rng.uniform(0.5, 0.7), rng.uniform(0.3, 0.4), rng.uniform(0.2, 0.3)]
    return attack(
        partials(count, np.array([1, 2, 3, 4]) * attributes["hz"], levels, [60.0] * 4, rng), 0.02
    )


def _flute(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Nearly a sine, with a vibrato of five a second, a soft start and a little breath."""
    vibrato = 2 ** (
        0.25 / 12 * np.sin(2 * np.pi * rng.uniform(4.8, 5.4) * times(count) + rng.uniform(0, 6))
    )
    hz = attributes["hz"] * vibrato
    breath = 0.04 * shaped_noise(count, band(0.8 * attributes["hz"], 2.5 * attributes["hz"]), rng)
    return attack(glide(hz) + 0.2 * glide(2 * hz, rng.uniform(0, 6)) + breath, 0.09)


def _synth(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A sawtooth through a low-pass filter: open when bright, nearly shut when dark; held."""
    harmonics = np.arange(1, max(2, int(min(24, 0.42 * sample_rate() / attributes["hz"]))))
    levels = 1 / harmonics / np.sqrt(1 + (harmonics / attributes["cutoff"]) ** 6)
    return attack(
        partials(count, harmonics * attributes["hz"], levels, [60.0] * len(harmonics), rng), 0.01
    )


def _bass(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A low held note; the overtones make it audible on small loudspeakers."""
    harmonics = np.arange(1, 7)
    return attack(
        partials(
            count, harmonics * attributes["hz"], harmonics ** -rng.uniform(1.0, 1.3), [4.0] * 6, rng
        ),
        0.01,
    )


def _note(
    synthesise: Synthesiser,
    lowest: str,
    highest: str,
    weight: float,
    phrasings: tuple[str, ...],
    held_out: tuple[str, ...],
    names: tuple[str, ...],
    casual: tuple[str, ...] = (),
    **slots: Slot,
) -> Family:
    roughly = tuple("{a_note:about} " + without_article(name) for name in names)
    return Family(
        synthesise,
        phrasings,
        held_out,
        {"note": note_slot(lowest, highest)} | slots,
        names,
        casual + roughly,
        {"note": usual_notes(lowest, highest)},
        weight,
    )


FAMILIES: dict[str, Family] = {
    "tone": _note(
        _tone,
        "C3",
        "C6",
        2.0,
        (
            "a sine tone at {note}",
            "steady {note} tone",
            "pure tone, note {note}",
            "{a_note} sine wave",
            "sine wave at {note}",
            "a steady tone on the note {note}",
            "{note} pure sine tone",
            "test tone {note}",
            "sine {note}",
        ),
        ("a pure {note} sine wave", "steady sine tone, {note}", "tone at {note}"),
        ("a tone", "a sine wave", "a sine tone", "a test tone", "a pure tone"),
    ),
    "pluck": _note(
        _pluck,
        "C3",
        "G5",
        1.6,
        (
            "a plucked string at {note}",
            "plucked {note} string",
            "guitar pluck, note {note}",
            "{a_note} string pluck",
            "a guitar string plucked at {note}",
            "{note} plucked guitar note",
            "one plucked string note, {note}",
            "guitar {note}",
            "acoustic guitar playing {note}",
        ),
        (
            "plucked guitar string, note {note}",
            "{a_note} guitar pluck",
            "a string plucked at {note}",
        ),
        ("a guitar", "a plucked string", "an acoustic guitar", "a guitar string", "a pluck"),
    ),
    "bell": _note(
        _bell,
        "C4",
        "F#5",
        1.4,
        (
            "a bell ringing at {note}",
            "bell, note {note}",
            "{a_note} bell",
            "a bell struck at {note}",
            "{note} bell chime",
            "a ringing chime on the note {note}",
            "metal bell {note}",
            "church bell, {note}",
        ),
        ("a ringing {note} bell", "bell struck, note {note}", "a {note} chime"),
        ("a bell", "a chime", "a church bell", "a bell ringing"),
    ),
    "mallet": _note(
        _mallet,
        "C3",
        "C6",
        1.4,
        (
            "a marimba note at {note}",
            "marimba {note}",
            "{a_note} marimba hit",
            "xylophone, note {note}",
            "a xylophone bar struck at {note}",
            "a wooden mallet note, {note}",
            "{note} xylophone",
        ),
        ("a xylophone note at {note}", "marimba bar, note {note}", "marimba struck at {note}"),
        ("a marimba", "a xylophone", "a mallet", "a marimba note"),
    ),
    "organ": _note(
        _organ,
        "C3",
        "C5",
        1.2,
        (
            "an organ note at {note}",
            "organ {note}",
            "{a_note} organ",
            "a held organ note, {note}",
            "church organ playing {note}",
            "organ, note {note}",
            "a pipe organ at {note}",
        ),
        ("a pipe organ note, {note}", "organ playing {note}", "a held {note} organ"),
        ("an organ", "a church organ", "a pipe organ", "an organ note"),
    ),
    "flute": _note(
        _flute,
        "C4",
        "C6",
        1.2,
        (
            "a flute playing {note}",
            "flute {note}",
            "{a_note} flute note",
            "flute, note {note}",
            "a soft flute at {note}",
            "a flute note at {note}",
            "a whistled {note}",
        ),
        ("a {note} flute", "soft flute playing {note}", "flute note, {note}"),
        ("a flute", "a flute note", "a whistle", "a soft flute"),
    ),
    "synth": _note(
        _synth,
        "C3",
        "F4",
        1.6,
        (
            "{a_timbre} synth at {note}",
            "{timbre} synth lead, note {note}",
            "synth lead {note}, {timbre}",
            "{a_timbre} sawtooth at {note}",
            "{a_note} synth note, {timbre}",
            "{timbre} {note} synthesizer",
            "a synthesizer playing {note}",
        ),
        (
            "{a_timbre} synth playing {note}",
            "{timbre} sawtooth, note {note}",
            "sawtooth {note}, {timbre}",
        ),
        ("a synth", "a synthesizer", "a sawtooth", "a synth lead"),
        (
            "{a_timbre} synth",
            "{timbre} synthesizer",
            "{a_timbre} sawtooth",
            "{timbre} synth lead",
            "synth {note}",
            "a synth note at {note}",
        ),
        timbre=TIMBRE,
    ),
    "bass": _note(
        _bass,
        "C2",
        "B2",
        1.5,
        (
            "a low bass note at {note}",
            "bass note {note}",
            "{a_note} bass note",
            "deep bass, note {note}",
            "a deep {note} bass",
            "synth bass at {note}",
            "bass guitar {note}",
        ),
        ("low bass at {note}", "a deep bass note, {note}", "{note} bass guitar"),
        ("a bass", "a bass guitar", "a bass note", "a synth bass", "a deep bass"),
    ),
}
