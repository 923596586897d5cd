"""Signals: sweeps, sirens, alarms, beeps, rings."""

from __future__ import annotations

import numpy as np

from .slots import DIRECTION, REGISTER, rate
from .synthesis import Rng, attack, glide, onsets, place, release, samples, times
from .world import Attributes, Family


def _sweep(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A sine that moves over the whole length by the same number of octaves each second."""
    low, high = rng.uniform(150, 220), rng.uniform(1900, 2500)
    start, end = (low, high) if attributes["direction"] == "rising" else (high, low)
    return attack(glide(np.geomspace(start, end, count)), 0.01)


def _siren(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Pitch that goes up and down around a centre, half an octave each way, starting from the
    bottom.
    """
    centre = rng.uniform(950, 1100) if attributes["register"] == "high" else rng.uniform(420, 500)
    return attack(
        glide(centre * 2 ** (-0.5 * np.cos(2 * np.pi * attributes["per_second"] * times(count)))),
        0.01,
    )


def _alarm(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Two notes in turn, a fourth apart, without a pause: nee-naw."""
    low = rng.uniform(560, 640)
    upper = (times(count) * attributes["per_second"]) % 1 < 0.5
    tone = glide(np.where(upper, low * 4 / 3, low))
    return attack(tone + 0.15 * glide(3 * np.where(upper, low * 4 / 3, low)), 0.01)


def _beeps(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Short steady beeps, half of the time on, half off."""
    interval = 1 / attributes["per_second"]
    length = samples(0.5 * interval)
    hz = rng.uniform(1150, 1300) if attributes["register"] == "high" else rng.uniform(420, 500)
    beep = release(attack(np.sin(2 * np.pi * hz * times(length)), 0.005), 0.005)
    return place(count, beep, onsets(count, interval))


def _phone(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A telephone: a trill of two notes, twenty times a second, on for a second, off for a
    second.
    """
    low = rng.uniform(760, 860)
    trill = glide(np.where((times(samples(1.0)) * 20) % 1 < 0.5, low, low * 1.25))
    return place(count, release(attack(trill, 0.01), 0.01), onsets(count, 2.0))


FAMILIES: dict[str, Family] = {
    "sweep": Family(
        _sweep,
        (
            "{a_direction} sine sweep",
            "{direction} sweep",
            "a sweep going {direction:adverb}",
            "sine sweep {direction:span}",
            "a tone gliding {direction:adverb}",
            "{direction} pitch sweep",
            "pitch sweep {direction:adverb}",
            "a tone sweeping {direction:span}",
        ),
        (
            "{a_direction} tone sweep",
            "sine sweep going {direction:adverb}",
            "a pitch gliding {direction:adverb}",
        ),
        {"direction": DIRECTION},
        ("a sweep", "a sine sweep", "a pitch sweep", "a frequency sweep"),
        (
            "a sweep that {direction:verb}",
            "a sine sweep that {direction:verb}",
            "a tone that {direction:verb}",
            "a pitch that {direction:verb}",
            "{a_direction} tone",
            "{direction} pitch",
        ),
        weight=3.0,
    ),
    "siren": Family(
        _siren,
        (
            "{a_rate} siren",
            "{rate} siren wailing",
            "siren, {rate}",
            "a siren going up and down {rate:adverb}",
            "{a_rate} {register} siren",
            "{register} siren, {rate}",
            "{a_rate} police siren",
            "police siren, {rate}",
            "{rate} wailing siren, {register}",
            "an ambulance siren, {rate}",
        ),
        (
            "{a_register} {rate} siren",
            "a police siren wailing {rate:adverb}",
            "siren wailing, {rate}",
        ),
        {"rate": rate({"per_second": 0.5}, {"per_second": 3.0}), "register": REGISTER},
        ("a siren", "a police siren", "an ambulance", "an ambulance siren"),
        ("{a_register} siren", "{register} siren", "{a_register} police siren"),
        weight=2.0,
        shortest=2.5,
    ),
    "alarm": Family(
        _alarm,
        (
            "{a_rate} two-tone alarm",
            "{rate} alarm",
            "alarm, {rate}",
            "an alarm sounding {rate:adverb}",
            "a fire alarm, {rate}",
            "two-tone horn, {rate}",
            "{a_rate} warning alarm",
        ),
        ("{a_rate} fire alarm", "a two-tone alarm, {rate}", "warning alarm, {rate}"),
        {"rate": rate({"per_second": 0.8}, {"per_second": 3.0})},
        ("an alarm", "a fire alarm", "a warning alarm", "a two-tone alarm", "an alarm clock"),
        shortest=2.5,
    ),
    "beeps": Family(
        _beeps,
        (
            "{rate} beeps",
            "{a_rate} beeping",
            "{rate} electronic beeps",
            "beeps, {rate}",
            "{a_rate} beep beep beep",
            "{rate} {register} beeps",
            "{register} beeps, {rate}",
            "{a_register} beep repeating {rate:adverb}",
            "electronic beeping, {rate}",
        ),
        (
            "{register} electronic beeps, {rate}",
            "beeping {rate:adverb}",
            "{a_rate} electronic beep",
        ),
        {"rate": rate({"per_second": 1.5}, {"per_second": 5.0}), "register": REGISTER},
        ("beeps", "a beep", "beeping", "electronic beeps"),
        ("{a_register} beep", "{register} beeps", "{register} electronic beeps"),
        weight=1.4,
        shortest=2.0,
        bursts=True,
    ),
    "phone": Family(
        _phone,
        (
            "a phone ringing",
            "telephone ring",
            "a ringing telephone",
            "phone ring",
            "an old telephone ringing",
            "incoming phone call",
        ),
        ("a telephone ringing", "ringing phone"),
        names=("a phone", "a telephone", "a phone call", "a ringtone"),
        shortest=2.5,
        bursts=True,
    ),
}
