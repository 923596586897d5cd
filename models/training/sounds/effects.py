"""Effects of the second world: the game sounds with pitch and length in words, each by several ways
of synthesis, so that ten lasers are ten lasers.
"""

from __future__ import annotations

import numpy as np

from .played import WAY
from .slots import COUNT, note_hz, rate
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
from .world import Attributes, Family, Slot, value

PITCH: Slot = {
    "high": value("high", "high-pitched"),
    "low": value("low", "low-pitched", "deep"),
}
LENGTH: Slot = {"short": value("short", "quick", "brief"), "long": value("long", "slow")}
LASER_GAP = {"short": 0.3, "long": 0.75}  # s between repeated shots


def _wave(phase: np.ndarray, shape: int) -> np.ndarray:
    """Sine, a soft square, or a soft sawtooth of a phase in radians."""
    tone = np.sin(phase)
    if shape == 1:
        return tone + np.sin(3 * phase) / 3 + np.sin(5 * phase) / 5
    if shape == 2:
        return tone + np.sin(2 * phase) / 2 + np.sin(3 * phase) / 3 + np.sin(4 * phase) / 4
    return tone


def _phase(hz: np.ndarray, rng: Rng) -> np.ndarray:
    return 2 * np.pi * np.cumsum(hz) / sample_rate() + start_phase(rng, 6)


def tone_of(count: int, hz: float, shape: int, rng: Rng) -> np.ndarray:
    return _wave(_phase(np.full(count, hz), rng), shape)


def _laser(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A fall through octaves: even or hurried, of any of the waves, at times with a warble, a ring
    of a second frequency, or a spit of noise.
    """
    short = attributes["length"] == "short"
    length = samples(rng.uniform(0.12, 0.2) if short else rng.uniform(0.4, 0.65))
    top = rng.uniform(3000, 5500) if attributes["register"] == "high" else rng.uniform(900, 1500)
    octaves, bend = rng.uniform(1.8, 3.2), rng.uniform(0.55, 1.6)
    fall = top * 2 ** (-octaves * np.linspace(0, 1, length) ** bend)
    way = rng.integers(4)
    if way == 1:  # warbles
        fall = fall * 2 ** (0.1 * np.sin(2 * np.pi * rng.uniform(18, 35) * times(length)))
    shot = _wave(_phase(fall, rng), int(rng.integers(3)))
    if way == 2:  # rings
        shot = shot * (1 + 0.6 * np.sin(_phase(fall * rng.uniform(0.2, 0.45), rng)))
    if way == 3:  # spits
        spit = shaped_noise(length, band(1500, 9000), rng) * decay(length, 0.015)
        shot = shot + 0.6 * spit
    shot = release(attack(shot, 0.002), 0.01) * np.linspace(1, 0, length) ** rng.uniform(0.3, 1.0)
    starts = onsets(count, LASER_GAP[attributes["length"]])
    return place(count, shot, starts[:1] if attributes["shots"] == "one" else starts)


def _coin(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Two or three rising notes, the last one ringing: fourths, fifths or a triad."""
    root = note_hz("B5" if attributes["register"] == "high" else "E4") * 2 ** rng.uniform(-0.2, 0.2)
    steps = ((0, 5), (0, 7), (0, 4, 7), (0, 12))[rng.integers(4)]
    shape, gap, mix = int(rng.integers(3)), rng.uniform(0.06, 0.1), np.zeros(count)
    for index, step in enumerate(steps):
        last = index == len(steps) - 1
        length = samples(0.8 if last else gap)
        note = tone_of(length, root * 2 ** (step / 12), shape, rng)
        note = note * decay(length, rng.uniform(0.12, 0.24)) if last else release(note, 0.004)
        mix += place(count, attack(note, 0.002), [FIRST_ONSET + gap * index])
    return mix


_RUNS = ((0, 4, 7, 12, 16, 19, 24), (0, 3, 7, 10, 12, 15, 19), (0, 2, 4, 7, 9, 12, 14, 16))


def _power(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A run of six to eight notes over one and a half octaves or two, up or down."""
    steps = _RUNS[rng.integers(3)]
    root = note_hz("C4") * 2 ** rng.uniform(-0.4, 0.4)
    steps = steps if attributes["direction"] == "rising" else steps[::-1]
    gap = rng.uniform(0.06, 0.08) if attributes["rate"] == "fast" else rng.uniform(0.13, 0.17)
    shape, mix = int(rng.integers(3)), np.zeros(count)
    for index, step in enumerate(steps):
        note = tone_of(samples(gap), root * 2 ** (step / 12), shape, rng)
        mix += place(count, release(attack(note, 0.003), 0.01), [FIRST_ONSET + gap * index])
    return mix


def _notification(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Dings, one to three, each higher than the one before: of glass, metal, wood or a sine."""
    high = attributes["register"] == "high"
    root = rng.uniform(950, 1300) if high else rng.uniform(420, 600)
    ratios, levels, decays = (
        ((1, 2), (1, 0.15), (0.18, 0.07)),
        ((1, 2.76, 5.4), (1, 0.35, 0.12), (0.22, 0.09, 0.04)),
        ((1, 4), (1, 0.25), (0.1, 0.04)),
        ((1, 2, 3), (1, 0.4, 0.2), (0.14, 0.1, 0.07)),
    )[rng.integers(4)]
    rise, gap, mix = rng.uniform(1.12, 1.3), rng.uniform(0.24, 0.34), np.zeros(count)
    for index in range(attributes["hits"]):
        length = samples(1.2)
        ding = partials(length, np.array(ratios) * root * rise**index, levels, decays, rng)
        mix += place(count, attack(ding, 0.003), [FIRST_ONSET + gap * index])
    return mix


def _buzz(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A harsh tone: one, two that beat, or one that is cut up."""
    seconds = rng.uniform(0.25, 0.4) if attributes["length"] == "short" else rng.uniform(1.2, 1.8)
    length = min(count - samples(0.05), samples(seconds))
    hz = rng.uniform(190, 250) if attributes["register"] == "high" else rng.uniform(85, 125)
    orders = np.arange(1, 20)
    slope, way = rng.uniform(0.5, 0.9), rng.integers(3)
    tone = partials(length, orders * hz, orders**-slope, [60.0] * 19, rng)
    if way == 1:
        tone += partials(length, orders * hz * 1.015, orders**-slope, [60.0] * 19, rng)
    if way == 2:
        tone *= 0.65 + 0.35 * np.tanh(4 * np.sin(2 * np.pi * rng.uniform(22, 32) * times(length)))
    return place(count, release(attack(tone, 0.008), 0.015), [FIRST_ONSET])


def _click(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A tick that is over within twenty milliseconds: a ping, a snap of noise, or wood."""
    high, length = attributes["register"] == "high", samples(0.06)
    hz = rng.uniform(2400, 3400) if high else rng.uniform(700, 1100)
    way = rng.integers(3)
    if way == 0:
        tick = np.sin(2 * np.pi * hz * times(length)) * decay(length, rng.uniform(0.004, 0.008))
    elif way == 1:
        tick = shaped_noise(length, band(0.75 * hz, 1.3 * hz), rng) * decay(length, 0.006)
    else:
        bars = np.array([1, 1.6, 2.1]) * hz
        tick = partials(length, bars, [1, 0.4, 0.2], [0.007, 0.004, 0.003], rng)
    return place(count, attack(tick, 0.001), [FIRST_ONSET])


def _explosion(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A crack and a rumble; after some, debris falls."""
    short = attributes["length"] == "short"
    length = min(count, samples(1.2 if short else 5.0))
    fade = rng.uniform(0.12, 0.2) if short else rng.uniform(0.6, 0.95)
    crack = rng.uniform(0.3, 0.8) * shaped_noise(length, band(300, 6000, -3), rng)
    crack *= decay(length, rng.uniform(0.05, 0.12))
    rumble = shaped_noise(length, band(30, rng.uniform(140, 300), -3), rng) * decay(length, fade)
    thump = glide(40 + 60 * decay(length, 0.08)) * decay(length, 0.2) * rng.uniform(0, 1.5)
    mix = crack + rumble + thump
    if rng.random() < 0.4:
        size = samples(0.05)
        for start in rng.uniform(0.15, 3 * fade, 12):
            piece = shaped_noise(size, band(400, 3000), rng) * decay(size, 0.01)
            mix += place(length, 0.5 * np.exp(-start / fade) * piece, [start])
    return place(count, attack(mix, 0.004), [FIRST_ONSET])


def _whoosh(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Noise that passes by: a band that slides up or down, broad or narrow, within its swell."""
    seconds = rng.uniform(0.35, 0.55) if attributes["length"] == "short" else rng.uniform(1.0, 1.5)
    length = min(count - samples(0.05), samples(seconds))
    rising = attributes["direction"] == "rising"
    position = np.linspace(0, 1, length) if rising else np.linspace(1, 0, length)
    low, broad, mix = rng.uniform(280, 450), rng.uniform(1.2, 1.6), np.zeros(length)
    for index in range(5):
        centre = low * 2**index
        nearness = np.clip(1 - np.abs(4 * position - index), 0, 1)
        noise = shaped_noise(length, band(centre / broad, centre * broad), rng)
        mix += np.sqrt(nearness) * noise
    swell = np.sin(np.pi * np.linspace(0, 1, length) ** rng.uniform(0.8, 1.3)) ** 1.5
    return place(count, mix * swell, [FIRST_ONSET])


FAMILIES: dict[str, Family] = {
    "laser": Family(
        _laser,
        (
            "{a_shots} laser shot",
            "{a_register} {length} laser",
            "{a_length} {register} laser zap",
            "{shots} laser blast",
            "{a_shots} {register} laser, {length}",
            "{length} {register} laser, {shots}",
            "laser gun, {shots}, {register} and {length}",
            "{a_shots} space laser",
        ),
        ("laser zap, {shots}", "{a_length} {register} laser shot", "{a_register} laser gun blast"),
        {
            "shots": {
                "one": value("single"),
                "repeated": value("repeated", "repeating", "rapid"),
            },
            "register": PITCH,
            "length": LENGTH,
        },
        ("a laser", "a laser gun", "a laser shot", "a laser blast", "a space laser", "a zap"),
        ("{a_register} laser", "{a_length} laser", "{a_register} laser shot", "{shots} lasers"),
        weight=2.0,
        shortest=1.8,
        bursts=True,
    ),
    "coin": Family(
        _coin,
        (
            "{a_register} coin pickup",
            "{register} game coin",
            "coin, {register}",
            "collecting {a_register} coin in a video game",
            "{a_register} arcade coin",
            "{register} retro coin",
        ),
        ("{a_register} video game coin", "arcade game coin, {register}"),
        {"register": PITCH},
        ("a coin", "a coin pickup", "an arcade coin", "picking up a coin"),
        bursts=True,
    ),
    "power": Family(
        _power,
        (
            "power {direction:adverb}",
            "a game power {direction:adverb}, {rate}",
            "{a_rate} {direction} power jingle",
            "retro game jingle going {direction:adverb} {rate:adverb}",
            "{direction} arcade jingle, {rate}",
            "level {direction:adverb} jingle",
            "{a_direction} game jingle",
            "a jingle that {direction:verb}",
        ),
        ("{direction} video game jingle", "an arcade power {direction:adverb}"),
        {"direction": WAY, "rate": rate({}, {})},
        ("a jingle", "a game jingle", "an arcade jingle", "a video game jingle"),
        ("a power-{direction:adverb}", "{a_rate} jingle", "{a_direction} jingle"),
        weight=1.8,
        bursts=True,
        shortest=1.5,
    ),
    "notification": Family(
        _notification,
        (
            "{a_count:kind} {register} notification ding",
            "{register} notification dinging {count:number}",
            "{a_count:kind} message chime",
            "{register} message notification, {count:kind}",
            "{count:kind} ding notification",
            "an app notification, {count:kind} ding, {register}",
        ),
        ("{a_count:kind} notification chime", "{register} app message ding, {count:kind}"),
        {"count": COUNT, "register": PITCH},
        ("a notification", "a ding", "a message", "a message notification", "an app notification"),
        ("{count:many} dings", "{a_register} ding", "{a_register} notification"),
        weight=1.4,
        shortest=1.8,
        bursts=True,
    ),
    "buzz": Family(
        _buzz,
        (
            "{a_length} buzzer",
            "{length} {register} buzz",
            "wrong answer buzzer, {length}",
            "{a_register} {length} error buzz",
            "error sound, {length} and {register}",
            "{length} {register} buzzing error sound",
        ),
        ("{register} error buzzer, {length}", "{a_length} wrong answer buzz"),
        {"length": {"short": value("short", "brief"), "long": value("long")}, "register": PITCH},
        ("a buzzer", "a buzz", "an error", "a wrong answer"),
        ("{a_register} buzzer", "{a_register} buzz"),
        shortest=2.2,
    ),
    "click": Family(
        _click,
        (
            "{a_register} click",
            "{register} button click",
            "{a_register} mouse click",
            "user interface click, {register}",
            "a switch clicking, {register}",
            "one {register} click",
        ),
        ("{a_register} user interface button click", "button, one {register} click"),
        {"register": PITCH},
        ("a click", "a button", "a mouse click", "a switch"),
        bursts=True,
    ),
    "explosion": Family(
        _explosion,
        (
            "{a_length} explosion",
            "{a_length} bomb blast",
            "explosion, {length}",
            "a bomb exploding, {length}",
            "{length} video game explosion",
            "{a_length} blast",
        ),
        ("{a_length} big bomb blast", "a video game bomb exploding, {length}"),
        {"length": {"short": value("short", "quick"), "long": value("long", "rumbling")}},
        ("an explosion", "a bomb", "a blast", "a boom"),
        shortest=2.5,
        width=0.5,
    ),
    "whoosh": Family(
        _whoosh,
        (
            "{a_direction} whoosh",
            "{length} {direction} whoosh",
            "whoosh, {direction} and {length}",
            "{a_length} whoosh going {direction:adverb}",
            "swoosh {direction:adverb}, {length}",
            "{a_direction} swoosh transition",
            "a whoosh that {direction:verb}",
        ),
        ("{direction} swoosh", "a transition whoosh, {direction}"),
        {
            "direction": WAY,
            "length": {"short": value("short", "quick"), "long": value("long", "slow")},
        },
        ("a whoosh", "a swoosh", "a transition"),
        ("{a_length} whoosh", "{length} swoosh"),
        weight=1.6,
        bursts=True,
        shortest=2.0,
        width=0.5,
    ),
}
