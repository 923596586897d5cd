"""Drums and everything that knocks, ticks and steps."""

from __future__ import annotations

import numpy as np

from .electronic import COUNT, REGISTER, rate
from .synthesis import (
    FIRST_ONSET,
    Hit,
    Rng,
    attack,
    band,
    decay,
    glide,
    onsets,
    partials,
    place,
    samples,
    shaped_noise,
    slow_wander,
    times,
)
from .world import Attributes, Family, Slot, Synthesiser, value

TEMPOS = tuple(range(60, 181, 10))  # beats per minute
KNOCK_INTERVAL = 0.3  # s
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


def _heartbeat(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Two soft low thumps close together (lub-dub), then a rest."""
    interval = 60 / attributes["bpm"]
    thump = attack(
        np.sin(2 * np.pi * rng.uniform(55, 70) * times(samples(0.25))) * decay(samples(0.25), 0.05),
        0.01,
    )
    first = onsets(count, interval)
    return place(count, thump, first) + 0.7 * place(count, thump, first + 0.3 * interval)


# --------------------------------------------------------------------------------------------------
# About the house
# --------------------------------------------------------------------------------------------------


def _footsteps(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Heel, then sole: a dull thud and, right after, a soft scuff. No two steps are alike."""
    mix = np.zeros(count)
    for start in onsets(count, 1 / attributes["per_second"]):
        length = samples(0.2)
        heel = np.sin(2 * np.pi * rng.uniform(95, 125) * times(length)) * decay(length, 0.03)
        scuff = (
            0.25
            * shaped_noise(length, band(400, 2000), rng)
            * np.exp(-(((times(length) - 0.05) / 0.025) ** 2))
        )
        mix += place(count, rng.uniform(0.8, 1.0) * attack(heel + scuff, 0.002), [start])
    return mix


def _knock(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Knuckles on a wooden door, one to three times."""
    hz = rng.uniform(230, 290)
    length = samples(0.25)
    knock = partials(length, np.array([1, 1.9, 3.1]) * hz, [1, 0.5, 0.3], [0.035, 0.02, 0.01], rng)
    knock += 0.1 * shaped_noise(length, band(500, 2500), rng) * decay(length, 0.008)
    return place(
        count, attack(knock, 0.001), FIRST_ONSET + KNOCK_INTERVAL * np.arange(attributes["hits"])
    )


def _engine(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Harmonics of the firing rate that wander a little, with a rough puff at every firing."""
    hz = attributes["firing"] * rng.uniform(0.92, 1.08) * (1 + 0.02 * slow_wander(count, 0.8, rng))
    mix = sum(order**-0.8 * glide(order * hz, rng.uniform(0, 6)) for order in range(1, 9))
    puff = 0.5 + 0.5 * glide(hz)
    return attack(mix + 0.5 * puff * shaped_noise(count, band(60, 700, -3), rng), 0.05)


def _clock(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Tick and tock in turn: two short wooden sounds, the second lower."""
    interval = 1 / attributes["per_second"]
    hz, length = rng.uniform(850, 950), samples(0.1)
    tick, tock = (
        attack(np.sin(2 * np.pi * f * times(length)) * decay(length, 0.012), 0.001)
        for f in (hz, 0.75 * hz)
    )
    return place(count, tick, onsets(count, 2 * interval)) + place(
        count, tock, onsets(count, 2 * interval, FIRST_ONSET + interval)
    )


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
    "heartbeat": Family(
        _heartbeat,
        (
            "{a_rate} heartbeat",
            "{rate} heart beating",
            "heartbeat, {rate}",
            "a heart beating {rate:adverb}",
            "{rate} heartbeats",
            "heart, {rate}",
        ),
        ("a {rate} beating heart", "heart beating, {rate}"),
        {"rate": rate({"bpm": 60}, {"bpm": 120})},
        ("a heartbeat", "a heart", "a heart beating"),
        shortest=2.5,
        bursts=True,
    ),
    "footsteps": Family(
        _footsteps,
        (
            "{rate} footsteps",
            "footsteps, {rate}",
            "someone walking {rate:adverb}",
            "{a_rate} walk",
            "steps on a floor, {rate}",
            "{rate} steps",
        ),
        ("{rate} footsteps on a floor", "a person walking {rate:adverb}"),
        {"rate": rate({"per_second": 1.4}, {"per_second": 3.2})},
        ("footsteps", "steps", "walking", "someone walking"),
        shortest=2.5,
        bursts=True,
    ),
    "knock": Family(
        _knock,
        (
            "{a_count:kind} knock on a door",
            "knocking on a door {count:number}",
            "{count:kind} door knock",
            "a door knock, {count:number}",
            "{a_count:kind} knock on wood",
            "knock {count:number}",
        ),
        ("door knocking, {count:number}", "{a_count:kind} wooden door knock"),
        {"count": COUNT},
        ("a knock", "a door knock", "knocking", "knocking on a door", "a knock on a door"),
        ("{count:many} knocks",),
        shortest=1.2,
        bursts=True,
    ),
    "engine": Family(
        _engine,
        (
            "{a_rate} engine",
            "{rate} engine running",
            "a motor running {rate:adverb}",
            "car engine, {rate}",
            "{a_rate} motor",
            "engine hum, {rate}",
        ),
        ("{a_rate} car engine", "motor running, {rate}"),
        {"rate": rate({"firing": 32.0}, {"firing": 85.0})},
        ("an engine", "a motor", "a car engine", "a car", "an engine running"),
    ),
    "clock": Family(
        _clock,
        (
            "{a_rate} ticking clock",
            "clock ticking, {rate}",
            "a clock ticking {rate:adverb}",
            "{rate} tick tock",
            "tick tock, {rate}",
            "an old clock, {rate}",
        ),
        ("{rate} clock ticking", "an old ticking clock, {rate}"),
        {"rate": rate({"per_second": 1.0}, {"per_second": 4.0})},
        ("a clock", "a ticking clock", "tick tock", "a clock ticking", "ticking"),
        shortest=3.0,
        bursts=True,
    ),
}
