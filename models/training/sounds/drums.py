"""Drums: single hits, and loops with a tempo."""

from __future__ import annotations

import numpy as np

from .slots import REGISTER
from .synthesis import (
    FIRST_ONSET,
    Hit,
    Rng,
    attack,
    band,
    decay,
    glide,
    onsets,
    place,
    samples,
    shaped_noise,
    times,
)
from .world import Attributes, Family, Slot, Synthesiser, value

TEMPOS = tuple(range(60, 181, 10))  # beats per minute
USUAL_TEMPOS = (90, 100, 110, 120, 130)
BPM: Slot = {
    bpm: value(str(bpm), about=("slow",) * (bpm <= 80) + ("fast",) * (bpm >= 150)) for bpm in TEMPOS
}


# --------------------------------------------------------------------------------------------------
# Single hits
# --------------------------------------------------------------------------------------------------


def _kick_hit(rng: Rng) -> np.ndarray:
    """A thump: a sine that drops from about 160 to 50 Hz and dies away within half a second."""
    count = samples(0.6)
    fall = 50 + rng.uniform(90, 130) * decay(count, 0.03)
    return attack(glide(fall) * decay(count, rng.uniform(0.11, 0.14)), 0.002)


def _snare_hit(rng: Rng) -> np.ndarray:
    """A crack of noise over a short drum tone: brighter than it should sound, since codec and
    guidance take from the noise.
    """
    count = samples(0.5)
    rattle = 0.6 * shaped_noise(count, band(500, 5000), rng) * decay(count, rng.uniform(0.07, 0.09))
    skin = 0.32 * np.sin(2 * np.pi * rng.uniform(180, 210) * times(count)) * decay(count, 0.05)
    return attack(rattle + skin, 0.001)


def _hat_hit(rng: Rng) -> np.ndarray:
    """A short tick of high noise. It starts at 3 kHz, so that a dull codec does not lose it."""
    count = samples(0.3)
    return attack(
        0.35 * shaped_noise(count, band(3200, 7500), rng) * decay(count, rng.uniform(0.04, 0.05)),
        0.001,
    )


def _clap_hit(rng: Rng) -> np.ndarray:
    """Hands that do not meet at once: three bursts within thirty milliseconds, and a short tail."""
    count = samples(0.4)
    noise = shaped_noise(count, band(800, 2200), rng)
    bursts = sum(
        np.where(times(count) >= start, np.exp(-np.maximum(times(count) - start, 0) / 0.006), 0)
        for start in (0, 0.012, 0.024)
    )
    tail = np.where(
        times(count) >= 0.03,
        np.exp(-np.maximum(times(count) - 0.03, 0) / rng.uniform(0.05, 0.06)),
        0,
    )
    return 0.4 * noise * (bursts + 0.7 * tail)


def _tom_hit(hz: float, rng: Rng) -> np.ndarray:
    """A drum tone that drops a little and rings for a third of a second."""
    count = samples(0.8)
    return attack(
        glide(hz * (1 + 0.35 * decay(count, 0.05))) * decay(count, rng.uniform(0.15, 0.2)), 0.002
    )


def _crash_hit(rng: Rng) -> np.ndarray:
    """Bright noise that takes two seconds to die away, the treble first."""
    count = samples(3.5)
    low, high = (
        shaped_noise(count, band(1500, 4000), rng),
        shaped_noise(count, band(3500, 7500), rng),
    )
    return attack(
        0.35 * (low * decay(count, 0.7) + high * decay(count, rng.uniform(0.4, 0.55))), 0.002
    )


def _one_shot(hit: Hit) -> Synthesiser:
    """A family that is one single hit."""
    return lambda attributes, count, rng: place(count, hit(rng), [FIRST_ONSET])


def _tom(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    hz = rng.uniform(180, 215) if attributes["register"] == "high" else rng.uniform(78, 95)
    return place(count, _tom_hit(hz, rng), [FIRST_ONSET])


# --------------------------------------------------------------------------------------------------
# Loops
# --------------------------------------------------------------------------------------------------


def _beat(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Kick on beats 1 and 3, snare on 2 and 4, a soft hat on every half beat.

    All kicks of a clip are alike.
    """
    beat = 60 / attributes["bpm"]
    kicks = place(count, _kick_hit(rng), onsets(count, 2 * beat))
    snares = place(count, _snare_hit(rng), onsets(count, 2 * beat, FIRST_ONSET + beat))
    hats = place(count, _hat_hit(rng), onsets(count, beat / 2))
    return kicks + rng.uniform(0.7, 0.85) * snares + rng.uniform(0.25, 0.4) * hats


def _house(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Four on the floor: a kick on every beat, a hat between each two."""
    beat = 60 / attributes["bpm"]
    kicks = place(count, _kick_hit(rng), onsets(count, beat))
    return kicks + rng.uniform(0.8, 1.0) * place(
        count, _hat_hit(rng), onsets(count, beat, FIRST_ONSET + beat / 2)
    )


def _metronome(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A dry click on every beat, and nothing in between."""
    click = np.sin(2 * np.pi * rng.uniform(1300, 1700) * times(samples(0.15))) * decay(
        samples(0.15), 0.02
    )
    return place(count, attack(click, 0.001), onsets(count, 60 / attributes["bpm"]))


def _loop(
    synthesise: Synthesiser,
    weight: float,
    phrasings: tuple[str, ...],
    held_out: tuple[str, ...],
    names: tuple[str, ...],
    casual: tuple[str, ...],
) -> Family:
    # The shortest clip holds at least two beats at 60 bpm: with fewer there is no tempo to hear.
    return Family(
        synthesise,
        phrasings,
        held_out,
        {"bpm": BPM},
        names,
        casual,
        {"bpm": USUAL_TEMPOS},
        weight,
        shortest=2.5,
        bursts=True,
    )


def _single(
    hit: Hit, phrasings: tuple[str, ...], held_out: tuple[str, ...], names: tuple[str, ...]
) -> Family:
    return Family(_one_shot(hit), phrasings, held_out, names=names, weight=0.8, bursts=True)


FAMILIES: dict[str, Family] = {
    "kick": _single(
        _kick_hit,
        (
            "a kick drum",
            "kick drum hit",
            "one bass drum hit",
            "single kick",
            "a bass drum thump",
            "a kick drum one-shot",
        ),
        ("one kick drum hit", "single bass drum"),
        ("a kick drum", "a kick", "a bass drum"),
    ),
    "snare": _single(
        _snare_hit,
        (
            "a snare drum",
            "snare drum hit",
            "one snare hit",
            "single snare",
            "a snare drum crack",
            "a snare one-shot",
        ),
        ("one snare drum hit", "snare crack"),
        ("a snare drum", "a snare", "a snare hit"),
    ),
    "hat": _single(
        _hat_hit,
        (
            "a hi-hat",
            "closed hi-hat hit",
            "one hi-hat tick",
            "single hi-hat",
            "a closed hi-hat",
            "a hi-hat one-shot",
        ),
        ("one closed hi-hat", "hi-hat hit"),
        ("a hi-hat", "a hihat", "a closed hi-hat", "a high hat", "a hi hat"),
    ),
    "clap": _single(
        _clap_hit,
        (
            "a hand clap",
            "one clap",
            "a clap one-shot",
            "single hand clap",
            "clapping once",
            "drum machine clap",
        ),
        ("one hand clap", "a single clap"),
        ("a clap", "a hand clap", "a handclap", "clapping"),
    ),
    "tom": Family(
        _tom,
        (
            "{a_register} tom drum",
            "{register} tom",
            "tom drum, {register}",
            "one {register} tom hit",
            "{a_register} tom-tom",
            "a tom one-shot, {register}",
        ),
        ("single {register} tom drum", "tom hit, {register}"),
        {"register": REGISTER},
        ("a tom drum", "a tom", "a tom-tom"),
        weight=0.8,
        bursts=True,
    ),
    "crash": _single(
        _crash_hit,
        (
            "a crash cymbal",
            "cymbal crash",
            "one cymbal hit",
            "a cymbal",
            "crash cymbal hit",
            "a drum cymbal crashing",
        ),
        ("one crash cymbal", "a cymbal crash hit"),
        ("a cymbal", "a crash cymbal", "a crash", "a cymbal crash"),
    ),
    "beat": _loop(
        _beat,
        3.6,
        (
            "drum beat at {bpm} bpm",
            "{bpm} bpm beat",
            "{a_bpm} bpm drum loop",
            "a drum loop at {bpm} bpm",
            "drums playing at {bpm} bpm",
            "drum groove, {bpm} bpm",
            "{a_bpm} bpm rock beat",
            "rock drums, {bpm} bpm",
        ),
        ("rock beat at {bpm} bpm", "{a_bpm} bpm drum groove", "drum loop, {bpm} bpm"),
        (
            "drums",
            "a drum beat",
            "a beat",
            "a drum loop",
            "a rock beat",
            "a drum groove",
            "rock drums",
        ),
        (
            "{a_bpm:about} drum beat",
            "{a_bpm:about} beat",
            "{bpm:about} drums",
            "{a_bpm:about} rock beat",
        ),
    ),
    "house": _loop(
        _house,
        3.0,
        (
            "house beat at {bpm} bpm",
            "{bpm} bpm house loop",
            "four on the floor at {bpm} bpm",
            "{a_bpm} bpm techno beat",
            "techno loop, {bpm} bpm",
            "dance beat, {bpm} bpm",
            "{a_bpm} bpm four on the floor",
        ),
        ("techno beat at {bpm} bpm", "{a_bpm} bpm house beat", "house loop, {bpm} bpm"),
        (
            "house music",
            "techno",
            "a house beat",
            "techno music",
            "dance music",
            "four on the floor",
            "a techno beat",
        ),
        (
            "{bpm:about} house music",
            "{bpm:about} techno",
            "house music at {bpm} bpm",
            "techno at {bpm} bpm",
        ),
    ),
    "metronome": _loop(
        _metronome,
        3.0,
        (
            "metronome at {bpm} bpm",
            "{bpm} bpm metronome",
            "a metronome ticking at {bpm} bpm",
            "{a_bpm} bpm click track",
            "click track, {bpm} bpm",
            "metronome clicks at {bpm} bpm",
        ),
        ("click track at {bpm} bpm", "metronome, {bpm} bpm", "{a_bpm} bpm metronome click"),
        ("a metronome", "a click track", "a metronome ticking"),
        ("{a_bpm:about} metronome",),
    ),
}
