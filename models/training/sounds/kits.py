"""Percussion: the drum kits of the soundfont, recorded hits and the first world's synthesised ones;
and beats on all of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from . import drums
from .played import TOUCH, Hits, _velocity, kit_hit, kits, one_shot, pattern, percussion
from .recorded import recorded
from .soundfont import Preset
from .synthesis import FIRST_ONSET, Hit, Rng, onsets, place
from .world import Attributes, Family, Slot, Synthesiser, value

ROCK = kits(0, 1, 2, 8, 9, 16, 17)
JAZZ = kits(32, 33, 40)
MACHINES = kits(24, 25)
KIT: Slot = {
    "acoustic": value("acoustic", "real"),
    "electronic": value("electronic", "drum machine", "synthetic"),
}


def _hits(presets: Sequence[Preset], *keys: int) -> Hits:
    return tuple((preset, key) for preset in presets for key in keys)


# Samples that drums draw from, for whoever wants to know which.
RECORDED: set[str] = set()


def _drum(
    acoustic: Hits, machine: Hits, synthesised: Hit | None, real: Sequence[str], made: Sequence[str]
) -> Synthesiser:
    """A hit of either kind: of a kit, recorded, or synthesised."""
    RECORDED.update(real, made)

    def synthesise(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
        electronic = attributes["kit"] == "electronic"
        hits, names = (machine, made) if electronic else (acoustic, real)
        choice = rng.random()
        if electronic and synthesised is not None and choice < 0.35:
            hit = place(count, synthesised(rng), [FIRST_ONSET])
            return np.stack([hit, hit], axis=1)
        if names and choice > 0.65:
            return recorded(names[rng.integers(len(names))], count, rng)
        return kit_hit(hits, FIRST_ONSET, _velocity(attributes, rng), count, rng)

    return synthesise


def _kind(synthesise: Synthesiser, *names: str) -> Family:
    return one_shot(synthesise, {"touch": TOUCH, "kit": KIT}, *names, weight=0.9)


_SINGLE: dict[str, Family] = {
    "kick": _kind(
        _drum(
            _hits(ROCK + JAZZ, 35, 36),
            _hits(MACHINES, 36),
            drums._kick_hit,
            ("drum_bass_hard", "drum_bass_soft", "drum_heavy_kick", "bd_ada", "bd_gas", "bd_sone"),
            ("bd_808", "bd_boom", "bd_haus", "bd_klub", "bd_pure", "bd_tek", "bd_zome", "bd_fat"),
        ),
        "a kick drum",
        "a bass drum",
        "a kick",
    ),
    "snare": _kind(
        _drum(
            _hits(ROCK, 38, 40),
            _hits(MACHINES, 38, 40),
            drums._snare_hit,
            ("drum_snare_hard", "drum_snare_soft", "sn_dolf", "sn_zome"),
            ("elec_snare", "elec_hi_snare", "elec_mid_snare", "sn_dub"),
        ),
        "a snare drum",
        "a snare",
        "a snare hit",
    ),
    "hat": _kind(
        _drum(
            _hits(ROCK + JAZZ, 42),
            _hits(MACHINES, 42),
            drums._hat_hit,
            ("drum_cymbal_closed", "drum_cymbal_pedal"),
            (),
        ),
        "a hi-hat",
        "a closed hi-hat",
        "a hihat",
        "a high hat",
        "a hi hat",
    ),
    "open_hat": _kind(
        _drum(_hits(ROCK, 46), _hits(MACHINES, 46), None, ("drum_cymbal_open",), ("elec_cymbal",)),
        "an open hi-hat",
        "an open hihat",
        "an open hi hat",
    ),
    "clap": _kind(
        _drum(_hits(ROCK, 39), _hits(MACHINES, 39), drums._clap_hit, (), ()),
        "a clap",
        "a hand clap",
        "a handclap",
        "clapping",
    ),
    "crash": _kind(
        _drum(
            _hits(ROCK, 49, 57),
            _hits(MACHINES, 49),
            drums._crash_hit,
            ("drum_cymbal_hard",),
            (),
        ),
        "a crash cymbal",
        "a cymbal crash",
        "a cymbal",
        "a crash",
    ),
    "tom": percussion(
        _hits(ROCK, 48, 50),
        "a tom drum",
        "a tom-tom",
        "a tom",
        low=_hits(ROCK, 41, 43),
        weight=0.9,
    ),
    "ride": percussion(_hits(ROCK + JAZZ, 51, 59), "a ride cymbal", "a jazz cymbal", "a ride"),
    "splash": percussion(
        _hits(ROCK, 55), "a splash cymbal", "a small cymbal", "a splash of a cymbal"
    ),
    "rimshot": percussion(_hits(ROCK, 37), "a rimshot", "a side stick", "a cross stick"),
    "cowbell": percussion(_hits(ROCK, 56), "a cowbell", "a cow bell", "more cowbell"),
    "tambourine": percussion(_hits(ROCK, 54), "a tambourine", "a jingle ring", "a tambourine hit"),
    "triangle": percussion(
        _hits(ROCK, 81), "a triangle", "an orchestra triangle", "a triangle ting"
    ),
    "woodblock": percussion(
        _hits(ROCK[:2], 76),
        "a woodblock",
        "a wood block",
        "a temple block",
        low=_hits(ROCK[:2], 77),
    ),
    "bongo": percussion(
        _hits(ROCK[:2], 60), "a bongo", "a bongo drum", "a bongo hit", low=_hits(ROCK[:2], 61)
    ),
    "conga": percussion(
        _hits(ROCK[:2], 63), "a conga", "a conga drum", "a conga hit", low=_hits(ROCK[:2], 64)
    ),
    "claves": percussion(_hits(ROCK[:2], 75), "claves", "rhythm sticks", "a clave"),
    "maracas": percussion(_hits(ROCK[:2], 70, 82), "maracas", "a shaker", "a maraca"),
    "guiro": percussion(_hits(ROCK[:2], 74), "a guiro", "a scraped gourd", "a guiro scrape"),
    "agogo": percussion(
        _hits(ROCK[:2], 67), "an agogo", "an agogo bell", "a samba bell", low=_hits(ROCK[:2], 68)
    ),
    "taiko": percussion(
        tuple(((0, 116), key) for key in range(48, 61)),
        "a taiko",
        "a taiko drum",
        "a japanese drum",
    ),
    "gun": percussion(
        tuple(((0, 127), key) for key in range(55, 66)), "a gunshot", "a gun", "a pistol shot"
    ),
}
_KICK, _SNARE, _HAT, _OPEN, _RIDE = 36, 38, 42, 46, 51


def _rock(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Kick on 1 and 3, snare on 2 and 4, hats on every half beat; synthesised at times."""
    if rng.random() < 0.2:
        beat = drums._beat(attributes, count, rng)
        return np.stack([beat, beat], axis=1)
    beat = 60 / attributes["bpm"]
    choices = ROCK + MACHINES
    return pattern(
        choices[rng.integers(len(choices))],
        (
            (_KICK, onsets(count, 2 * beat), 115),
            (_SNARE, onsets(count, 2 * beat, FIRST_ONSET + beat), 105),
            (_HAT, onsets(count, beat / 2), 60),
        ),
        count,
        rng,
    )


def _house(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A kick on every beat, an open hat between each two; synthesised at times."""
    if rng.random() < 0.4:
        beat = drums._house(attributes, count, rng)
        return np.stack([beat, beat], axis=1)
    beat = 60 / attributes["bpm"]
    return pattern(
        MACHINES[rng.integers(len(MACHINES))],
        (
            (_KICK, onsets(count, beat), 120),
            ((_HAT, _OPEN)[rng.integers(2)], onsets(count, beat, FIRST_ONSET + beat / 2), 80),
        ),
        count,
        rng,
    )


def _swing(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Jazz: a ride on every beat, and a late one before every second; the foot's hat on 2 and 4."""
    beat = 60 / attributes["bpm"]
    late = onsets(count, 2 * beat, FIRST_ONSET + beat * (1 + 2 / 3))
    return pattern(
        JAZZ[rng.integers(len(JAZZ))],
        (
            (_RIDE, onsets(count, beat), 95),
            (_RIDE, late, 80),
            (44, onsets(count, 2 * beat, FIRST_ONSET + beat), 70),
            (_KICK, onsets(count, 4 * beat), 60),
        ),
        count,
        rng,
    )


def _latin(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A high conga on every beat, low ones before every second, a shaker on every half."""
    beat = 60 / attributes["bpm"]
    return pattern(
        ROCK[0],
        (
            (63, onsets(count, beat), 105),
            (64, onsets(count, 2 * beat, FIRST_ONSET + 1.5 * beat), 110),
            (70, onsets(count, beat / 2), 90),
        ),
        count,
        rng,
    )


_LOOPS: dict[str, Family] = {
    "beat": replace(drums.FAMILIES["beat"], synthesise=_rock),
    "house": replace(drums.FAMILIES["house"], synthesise=_house),
    "swing": drums._loop(
        _swing,
        2.0,
        (
            "jazz drums at {bpm} bpm",
            "{a_bpm} bpm swing beat",
            "swing drums, {bpm} bpm",
            "{a_bpm} bpm jazz beat",
            "a jazz drum loop at {bpm} bpm",
        ),
        ("swing beat at {bpm} bpm", "jazz drums, {bpm} bpm"),
        ("jazz drums", "a swing beat", "a jazz beat"),
        ("{bpm:about} jazz drums", "{a_bpm:about} swing beat"),
    ),
    "latin": drums._loop(
        _latin,
        2.0,
        (
            "latin percussion at {bpm} bpm",
            "{a_bpm} bpm latin beat",
            "congas playing at {bpm} bpm",
            "latin drums, {bpm} bpm",
            "{a_bpm} bpm conga loop",
        ),
        ("latin beat at {bpm} bpm", "conga loop, {bpm} bpm"),
        ("latin percussion", "a latin beat", "latin drums"),
        ("{bpm:about} latin percussion", "{a_bpm:about} latin beat"),
    ),
}
FAMILIES: dict[str, Family] = _SINGLE | _LOOPS
