"""Chords: held, swelling, and one note after the other."""

from __future__ import annotations

import numpy as np

from .slots import CHORDS, DIRECTION, USUAL_CHORDS
from .synthesis import (
    Rng,
    attack,
    glide,
    partials,
    place,
    room,
    sample_rate,
    samples,
    sine,
    slow_wander,
    start_phase,
)
from .world import Attributes, Family

ARPEGGIO_STEP = 0.25  # s from one note of an arpeggio to the next


def _chord(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Three held notes at the same level, each with one soft overtone."""
    roots, overtone = attributes["hz"], rng.uniform(0.1, 0.2)
    hz = [*roots, *(2 * frequency for frequency in roots)]
    return attack(partials(count, hz, [1.0] * 3 + [overtone] * 3, [4.0] * 6, rng), 0.015)


def _pad(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """The same notes, each as two that are a little apart and so beat slowly; they swell in over
    half a second.
    """
    mix = np.zeros(count)
    for hz in attributes["hz"]:
        drift = 2 ** (slow_wander(count, 0.3, rng) * 4 / 1200)
        for detune in (-4, 4):
            mix += glide(hz * 2 ** (detune / 1200) * drift, start_phase(rng, 6))
        mix += 0.3 * sine(count, 2 * hz, rng)
    return room(attack(mix, min(0.8, 0.3 * count / sample_rate())), 0.8, 0.2, rng)


def _arpeggio(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """The notes of a chord one after the other, up or down, again and again, like a music box."""
    notes = [*attributes["hz"], 2 * attributes["hz"][0]]
    notes = notes if attributes["direction"] == "rising" else notes[::-1]
    mix = np.zeros(count)
    for index, start in enumerate(np.arange(0.02, count / sample_rate() - 0.1, ARPEGGIO_STEP)):
        length = samples(0.6)
        note = attack(
            partials(
                length,
                np.array([1.0, 2.0, 3.0]) * notes[index % 4],
                [1, 0.3, 0.1],
                [0.16, 0.1, 0.05],
                rng,
            ),
            0.003,
        )
        mix += place(count, note, [start])
    return mix


FAMILIES: dict[str, Family] = {
    "chord": Family(
        _chord,
        (
            "a chord of {chord}",
            "{chord} chord",
            "{a_chord} chord",
            "a held {chord} chord",
            "an organ chord in {chord}",
            "sustained chord, {chord}",
        ),
        ("held chord, {chord}", "a sustained {chord} chord"),
        {"chord": CHORDS},
        ("a chord", "an organ chord", "a held chord", "a sustained chord"),
        ("{a_chord:about} chord",),
        {"chord": USUAL_CHORDS},
        1.4,
    ),
    "pad": Family(
        _pad,
        (
            "a soft {chord} pad",
            "{chord} pad",
            "ambient pad in {chord}",
            "synth pad, {chord}",
            "a warm pad, {chord} chord",
            "a slow swelling {chord} pad",
        ),
        ("a warm {chord} pad", "ambient synth pad in {chord}"),
        {"chord": CHORDS},
        ("a pad", "a synth pad", "an ambient pad", "a warm pad", "ambient music"),
        ("{a_chord:about} pad",),
        {"chord": USUAL_CHORDS},
        1.4,
        shortest=2.0,
    ),
    "arpeggio": Family(
        _arpeggio,
        (
            "{a_direction} {chord} arpeggio",
            "{direction} arpeggio in {chord}",
            "{chord} arpeggio going {direction:adverb}",
            "arpeggio, {chord}, {direction}",
            "a music box playing {chord} {direction:adverb}",
            "broken {chord} chord going {direction:adverb}",
        ),
        ("{direction} arpeggio, {chord}", "a music box arpeggio in {chord}, {direction}"),
        {"chord": CHORDS, "direction": DIRECTION},
        ("an arpeggio", "a music box", "a broken chord"),
        (
            "{a_direction} arpeggio",
            "{chord} arpeggio",
            "arpeggio in {chord}",
            "an arpeggio going {direction:adverb}",
            "{a_chord:about} arpeggio",
            "a music box going {direction:adverb}",
        ),
        {"chord": USUAL_CHORDS},
        2.4,
        shortest=1.5,
    ),
}
