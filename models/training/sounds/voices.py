"""Families of the first world made anew: several bells, synthesisers, hearts, clocks, floors, doors
and telephones, where the first world has one of each.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import everyday, instruments, nature, signals
from .effects import tone_of
from .played import STEP, held_seconds, note_family
from .synthesis import (
    FIRST_ONSET,
    Rng,
    attack,
    band,
    decay,
    glide,
    onsets,
    partials,
    place,
    release,
    sample_rate,
    samples,
    shaped_noise,
    start_phase,
    times,
)
from .world import Attributes, Family

# Ratios, levels and decay times in seconds of the partials of bells: a bar, a church bell, a hand
# bell. Their loudest and longest partial is the note.
_BELLS = (
    ((1.0, 2.756, 5.404), (1.0, 0.45, 0.15), (1.9, 0.9, 0.25)),
    (
        (0.5, 1.0, 1.2, 1.5, 2.0, 2.7),
        (0.3, 1.0, 0.45, 0.3, 0.5, 0.2),
        (2.2, 2.0, 1.2, 0.9, 0.7, 0.4),
    ),
    ((1.0, 2.0, 3.01, 4.2), (1.0, 0.3, 0.35, 0.12), (1.5, 0.9, 0.6, 0.3)),
)


def _bell(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    ratios, levels, decays = _BELLS[rng.integers(len(_BELLS))]
    hard = 1.5 if attributes["velocity"] > 80 else 0.5
    levels = [
        level * (1.0 if ratio == 1.0 else hard * rng.uniform(0.7, 1.3))
        for ratio, level in zip(ratios, levels)
    ]
    longer = rng.uniform(0.75, 1.25)
    bell = partials(
        count, np.array(ratios) * attributes["hz"], levels, longer * np.array(decays), rng
    )
    strike = shaped_noise(samples(0.03), band(2000, 9000), rng) * decay(samples(0.03), 0.004)
    bell[: len(strike)] += 0.1 * hard * strike[:count]
    return place(count, attack(bell, 0.001), [FIRST_ONSET])


def _synth(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A sawtooth or a square through a filter, alone or two a little apart; some with vibrato."""
    hz = attributes["hz"]
    harmonics = np.arange(1, max(2, int(min(40, 0.42 * sample_rate() / hz))))
    cutoff = attributes["cutoff"] * rng.uniform(0.75, 1.3)
    levels = 1 / harmonics / np.sqrt(1 + (harmonics / cutoff) ** 6)
    if rng.random() < 0.4:  # a square has every second harmonic, a narrow pulse a little of all
        levels = levels * np.where(harmonics % 2, 1.0, rng.uniform(0.25, 0.5))
    spread = rng.uniform(0, 5) if rng.random() < 0.5 else 0.0
    depth = rng.uniform(3, 8) / 1200 if rng.random() < 0.3 else 0.0
    swing = 2 ** (depth * np.sin(2 * np.pi * rng.uniform(4.5, 6) * times(count)))
    mix = np.zeros(count)
    for cents in (-spread, spread) if spread else (0.0,):
        for order, level in zip(harmonics, levels):
            mix += level * glide(hz * 2 ** (cents / 1200) * order * swing, start_phase(rng, 6))
    return attack(mix, rng.uniform(0.005, 0.06))


def _synth_bass(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A low sawtooth, square or sine with a filter that closes."""
    length = min(count, samples(held_seconds(attributes, count, rng)))
    harmonics = np.arange(1, 16)
    levels = harmonics ** -rng.uniform(1.0, 1.6)
    if rng.random() < 0.4:
        levels = levels * np.where(harmonics % 2, 1.0, 0.3)
    if attributes["velocity"] < 80:
        levels = levels / np.sqrt(1 + (harmonics / 3) ** 4)
    decays = rng.uniform(1.5, 6) / (1 + rng.uniform(0, 0.5) * (harmonics - 1))
    note = partials(length, harmonics * attributes["hz"], levels, decays, rng)
    return place(count, release(attack(note, 0.008), 0.04), [FIRST_ONSET])


def _heartbeat(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Lub-dub, from far inside or close to the ear."""
    interval = 60 / attributes["bpm"]
    length, hz = samples(0.3), rng.uniform(48, 80)
    thumps = [
        attack(
            glide(ratio * hz * (1 + rng.uniform(0, 0.5) * decay(length, 0.03)))
            * decay(length, rng.uniform(0.035, 0.07)),
            0.008,
        )
        for ratio in (1.0, rng.uniform(1.0, 1.25))
    ]
    first, late = onsets(count, interval), rng.uniform(0.25, 0.32)
    second = place(count, thumps[1], first + late * interval)
    return place(count, thumps[0], first) + rng.uniform(0.5, 0.9) * second


def _footsteps(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Heel and sole on a floor, on wood, or on gravel; no two steps are alike."""
    ground, mix = rng.integers(3), np.zeros(count)
    pitch, scuffs = rng.uniform(85, 170), rng.uniform(0.15, 0.5)
    for start in onsets(count, 1 / attributes["per_second"]):
        length = samples(0.22)
        hz = pitch * rng.uniform(0.9, 1.1)
        heel = np.sin(2 * np.pi * hz * times(length)) * decay(length, rng.uniform(0.02, 0.04))
        if ground == 1:
            knock = partials(length, np.array([2.3, 4.1]) * hz, [0.5, 0.3], [0.015, 0.01], rng)
            heel = heel + knock
        low, high = (400, 2000) if ground < 2 else (900, 5000)
        scuff = shaped_noise(length, band(low, high), rng)
        scuff *= np.exp(-(((times(length) - 0.05) / (0.025 if ground < 2 else 0.045)) ** 2))
        step = heel + (1.0 if ground < 2 else 2.0) * scuffs * scuff
        mix += place(count, rng.uniform(0.75, 1.0) * attack(step, 0.002), [start])
    return mix


def _knock(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Knuckles on a light door, a heavy one, or a table."""
    hz, length = rng.uniform(180, 380), samples(0.3)
    ratios = np.array([1, rng.uniform(1.6, 2.2), rng.uniform(2.7, 3.6)])
    ring = rng.uniform(0.02, 0.05)
    knock = partials(length, ratios * hz, [1, 0.6, 0.4], [ring, 0.6 * ring, 0.3 * ring], rng)
    tap = shaped_noise(length, band(500, 5000), rng) * decay(length, 0.006)
    gap, mix = rng.uniform(0.22, 0.36), np.zeros(count)
    for index in range(attributes["hits"]):
        hit = attack(rng.uniform(0.8, 1) * (knock + rng.uniform(0.05, 0.3) * tap), 0.001)
        mix += place(count, hit, [FIRST_ONSET + gap * index])
    return mix


def _clock(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Tick and tock of a wall clock, a grandfather's, or a watch."""
    interval, length = 1 / attributes["per_second"], samples(0.12)
    hz, fall = rng.uniform(600, 2400), rng.uniform(0.006, 0.02)
    hits = []
    for ratio in (1.0, rng.uniform(0.7, 0.9)):
        tick = partials(length, np.array([1, 2.4]) * hz * ratio, [1, 0.3], [fall, fall / 2], rng)
        gears = shaped_noise(length, band(2000, 9000), rng) * decay(length, 0.004)
        hits.append(attack(tick + rng.uniform(0, 0.3) * gears, 0.001))
    tock = onsets(count, 2 * interval, FIRST_ONSET + interval)
    return place(count, hits[0], onsets(count, 2 * interval)) + place(count, hits[1], tock)


def _phone(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A trill of two bells, of two tones, or a tone that warbles; a second on, a second off."""
    low, length = rng.uniform(700, 1100), samples(1.0)
    upper = (times(length) * rng.uniform(14, 24)) % 1 < 0.5
    pitch = np.where(upper, low, low * rng.uniform(1.15, 1.33))
    way = rng.integers(3)
    if way == 0:
        ring = glide(pitch)
    elif way == 1:
        ring = glide(pitch) + 0.4 * glide(2.76 * pitch) + 0.2 * glide(4.1 * pitch)
    else:
        ring = tone_of(length, low, 1, rng) * (0.6 + 0.4 * np.sign(np.where(upper, 1, -1)))
    return place(count, release(attack(ring, 0.008), 0.01), onsets(count, 2.0))


def _pluck(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A string plucked near its end or in its middle, of steel or of gut."""
    harmonics = np.arange(1, 25)
    place_ = rng.uniform(0.12, 0.4)  # of the string, where it is plucked
    levels = harmonics ** -rng.uniform(1.0, 1.5) * np.abs(np.sin(np.pi * place_ * harmonics))
    levels = levels / levels.max() + 0.02 / harmonics
    decays = rng.uniform(0.55, 1.0) / (1 + rng.uniform(0.3, 0.8) * (harmonics - 1))
    return attack(partials(count, harmonics * attributes["hz"], levels, decays, rng), 0.002)


def _chord(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Held notes with more or less of an overtone, some of them trembling."""
    overtone, depth = rng.uniform(0.05, 0.35), rng.uniform(0, 0.2) * (rng.random() < 0.5)
    mix = np.zeros(count)
    for hz in attributes["hz"]:
        pitch = np.full(count, hz * 2 ** (rng.uniform(-3, 3) / 1200))
        mix += glide(pitch, start_phase(rng, 6)) + overtone * glide(2 * pitch, start_phase(rng, 6))
    mix *= 1 + depth * np.sin(2 * np.pi * rng.uniform(3, 6) * times(count))
    return attack(mix * decay(count, rng.uniform(3, 20)), rng.uniform(0.005, 0.06))


def _arpeggio(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """The notes of a chord in turn, like a music box, a plucked string or a bell."""
    notes = [*attributes["hz"], 2 * attributes["hz"][0]]
    notes = notes if attributes["direction"] == "rising" else notes[::-1]
    ratios, levels = (
        ((1.0, 2.0, 3.0), (1.0, 0.3, 0.1)),
        ((1.0, 4.0), (1.0, 0.2)),
        ((1.0, 2.76), (1.0, 0.25)),
    )[rng.integers(3)]
    fall, mix, length = rng.uniform(0.1, 0.22), np.zeros(count), samples(0.8)
    for index, start in enumerate(np.arange(FIRST_ONSET, count / sample_rate() - 0.1, STEP)):
        decays = [fall / ratio**0.7 for ratio in ratios]
        note = partials(length, np.array(ratios) * notes[index % 4], levels, decays, rng)
        mix += place(count, attack(note, 0.003), [start])
    return mix


def _drops(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Drops into a basin, large or small: bubbles whose pitch rises as they close."""
    size, rising, mix = rng.uniform(600, 820), rng.uniform(0.6, 0.9), np.zeros(count)
    for start in onsets(count, 1 / attributes["per_second"]):
        length = samples(0.2)
        slide = np.linspace(0, 1, length) ** rng.uniform(1.2, 2.0)
        rise = size * rng.uniform(0.95, 1.08) * (1 + rising * slide)
        drop = glide(rise) * decay(length, rng.uniform(0.025, 0.045))
        mix += place(count, rng.uniform(0.7, 1) * attack(drop, 0.004), [start])
    return mix


# Of families that `second` renames.
RENAMED = {"pluck": _pluck, "chord": _chord, "arpeggio": _arpeggio}

FAMILIES: dict[str, Family] = {
    "bell": note_family(
        _bell, "C4", "F#5", "a bell", "a church bell", "a chime", "a bell ringing", weight=1.4
    ),
    "synth": replace(instruments.FAMILIES["synth"], synthesise=_synth),
    "synth_bass": note_family(
        _synth_bass, "C2", "B2", "a synth bass", "a sub bass", "a deep synth bass", held=True
    ),
    "heartbeat": replace(everyday.FAMILIES["heartbeat"], synthesise=_heartbeat),
    "footsteps": replace(
        everyday.FAMILIES["footsteps"],
        synthesise=_footsteps,
        phrasings=tuple(
            words.replace("a floor", "the ground")
            for words in everyday.FAMILIES["footsteps"].phrasings
        ),
        held_out=("{rate} footsteps on the ground", "a person walking {rate:adverb}"),
    ),
    "knock": replace(everyday.FAMILIES["knock"], synthesise=_knock),
    "clock": replace(everyday.FAMILIES["clock"], synthesise=_clock),
    "drops": replace(nature.FAMILIES["drops"], synthesise=_drops),
    "phone": replace(signals.FAMILIES["phone"], synthesise=_phone),
}
