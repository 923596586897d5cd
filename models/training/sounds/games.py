"""What games and screens say: lasers, coins, jingles, dings, clicks, explosions."""

from __future__ import annotations

import numpy as np

from .slots import COUNT, DIRECTION, note_hz
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
    samples,
    shaped_noise,
    times,
)
from .world import Attributes, Family, Slot, value

LASER_INTERVAL = 0.5  # s between repeated shots


LENGTH: Slot = {
    "short": value("short", numbers={"lasts": 0.3}),
    "long": value("long", numbers={"lasts": 1.5}),
}


def _laser(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A quick fall through four octaves, once or again and again."""
    length = samples(rng.uniform(0.28, 0.36))
    shot = attack(glide(np.geomspace(rng.uniform(2400, 3000), 180, length)), 0.003)
    shot *= np.linspace(1, 0, length) ** 0.5
    starts = onsets(count, LASER_INTERVAL)
    return place(count, shot, starts[:1] if attributes["shots"] == "one" else starts)


def _coin(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A short B5, then an E6 that rings: the coin of the arcades."""
    detune = 2 ** (rng.uniform(-1, 1) / 12)
    first = _square(samples(0.08), note_hz("B5") * detune)
    second = _square(samples(0.7), note_hz("E6") * detune) * decay(
        samples(0.7), rng.uniform(0.16, 0.22)
    )
    return place(count, release(first, 0.004), [FIRST_ONSET]) + place(
        count, attack(second, 0.002), [FIRST_ONSET + 0.08]
    )


def _square(count: int, hz: float) -> np.ndarray:
    """The start of a square wave's series, softer than it: an old game console."""
    t = times(count)
    return np.sin(2 * np.pi * hz * t) + 0.2 * np.sin(2 * np.pi * 3 * hz * t)


def _power(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A quick run of six notes over two octaves, up or down, as games do when one gains or loses
    something.
    """
    steps = np.array([0, 4, 7, 12, 16, 19, 24])
    root = note_hz("C4") * 2 ** (rng.uniform(-2, 2) / 12)
    steps = steps if attributes["direction"] == "rising" else steps[::-1]
    mix = np.zeros(count)
    for index, semitones in enumerate(steps):
        note = release(attack(_square(samples(0.09), root * 2 ** (semitones / 12)), 0.003), 0.01)
        mix += place(count, note, [FIRST_ONSET + 0.09 * index])
    return mix


def _notification(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Dings of glass, one to three, each higher than the one before."""
    root = rng.uniform(780, 880)
    mix = np.zeros(count)
    for index in range(attributes["hits"]):
        length = samples(0.9)
        ding = partials(
            length, np.array([1, 2]) * root * (1, 1.26, 1.5)[index], [1, 0.15], [0.16, 0.07], rng
        )
        mix += place(count, attack(ding, 0.003), [FIRST_ONSET + 0.3 * index])
    return mix


def _buzz(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A harsh low buzzer, as for a wrong answer."""
    length = min(count, samples(attributes["lasts"] * rng.uniform(0.9, 1.1)))
    hz = rng.uniform(110, 130)
    harmonics = np.arange(1, 16)
    tone = partials(length, harmonics * hz, harmonics**-0.6, [60.0] * 15, rng)
    return place(count, release(attack(tone, 0.01), 0.02), [FIRST_ONSET])


def _click(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A tick of a button: over within twenty milliseconds."""
    hz = rng.uniform(1300, 1800)
    tick = np.sin(2 * np.pi * hz * times(samples(0.06))) * decay(samples(0.06), 0.006)
    return place(count, attack(tick, 0.001), [FIRST_ONSET])


def _explosion(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A burst of low noise that rumbles away over two seconds."""
    length = min(count, samples(3.5))
    crack = 0.5 * shaped_noise(length, band(300, 3000, -3), rng) * decay(length, 0.1)
    rumble = shaped_noise(length, band(30, 220, -3), rng) * decay(length, rng.uniform(0.5, 0.7))
    return place(count, attack(crack + rumble, 0.004), [FIRST_ONSET])


def _whoosh(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A band of noise that passes by: swells and ebbs, its pitch rising or falling, within a
    second.
    """
    length = min(count, samples(rng.uniform(0.9, 1.1)))
    position = (
        np.linspace(0, 1, length)
        if attributes["direction"] == "rising"
        else np.linspace(1, 0, length)
    )
    mix = np.zeros(length)
    for index, centre in enumerate((350, 700, 1400, 2800)):
        nearness = np.clip(1 - np.abs(3 * position - index), 0, 1)
        mix += np.sqrt(nearness) * shaped_noise(length, band(0.75 * centre, 1.35 * centre), rng)
    return place(count, mix * np.sin(np.pi * np.linspace(0, 1, length)) ** 1.5, [FIRST_ONSET])


FAMILIES: dict[str, Family] = {
    "laser": Family(
        _laser,
        (
            "{a_shots} laser shot",
            "{shots} laser zap",
            "{shots} laser blast",
            "laser gun, {shots} shot",
            "laser, {shots}",
            "{a_shots} space laser",
        ),
        ("laser zap, {shots}", "{a_shots} laser gun blast"),
        {
            "shots": {
                "one": value("single", numbers={"interval": LASER_INTERVAL}),
                "repeated": value(
                    "repeated", "repeating", "rapid", numbers={"interval": LASER_INTERVAL}
                ),
            }
        },
        ("a laser", "a laser gun", "a laser shot", "a laser blast", "a space laser", "a zap"),
        weight=1.6,
        shortest=1.5,
        bursts=True,
    ),
    "coin": Family(
        _coin,
        (
            "a coin",
            "coin pickup",
            "collecting a coin in a video game",
            "retro game coin sound",
            "arcade coin",
            "picking up a coin",
        ),
        ("a video game coin pickup", "arcade game coin"),
        names=("a coin", "a coin pickup", "an arcade coin"),
        bursts=True,
    ),
    "power": Family(
        _power,
        (
            "power {direction:adverb}",
            "a game power {direction:adverb}",
            "{direction} power jingle in a video game",
            "retro game jingle going {direction:adverb}",
            "{direction} arcade jingle",
            "level {direction:adverb} jingle",
        ),
        ("{direction} video game jingle", "an arcade power {direction:adverb}"),
        {
            "direction": {
                "rising": value("rising", "ascending", adverb=("up",)),
                "falling": value("falling", "descending", adverb=("down",)),
            }
        },
        ("a jingle", "a game jingle", "an arcade jingle", "a video game jingle"),
        ("a power-{direction:adverb}", "level {direction:adverb}"),
        weight=1.6,
        bursts=True,
    ),
    "notification": Family(
        _notification,
        (
            "{a_count:kind} notification ding",
            "notification dinging {count:number}",
            "{a_count:kind} message chime",
            "message notification, {count:kind}",
            "{count:kind} ding notification",
            "an app notification, {count:kind} ding",
        ),
        ("{a_count:kind} notification chime", "app message ding, {count:kind}"),
        {"count": COUNT},
        ("a notification", "a ding", "a message", "a message notification", "an app notification"),
        ("{count:many} dings",),
        weight=1.2,
        shortest=1.8,
        bursts=True,
    ),
    "buzz": Family(
        _buzz,
        (
            "{a_length} buzzer",
            "{length} buzz",
            "wrong answer buzzer, {length}",
            "{a_length} error buzz",
            "error sound, {length}",
            "{length} low buzzing error sound",
        ),
        ("error buzzer, {length}", "{a_length} wrong answer buzz"),
        {"length": LENGTH},
        ("a buzzer", "a buzz", "an error", "a wrong answer"),
        shortest=1.8,
    ),
    "click": Family(
        _click,
        (
            "a click",
            "button click",
            "a mouse click",
            "user interface click",
            "a short click",
            "a switch clicking",
        ),
        ("a user interface button click", "short button click"),
        names=("a click", "a button", "a mouse click", "a switch"),
        bursts=True,
    ),
    "explosion": Family(
        _explosion,
        (
            "an explosion",
            "a big explosion",
            "explosion in the distance",
            "a bomb exploding",
            "video game explosion",
            "a blast",
        ),
        ("a big bomb blast", "a video game bomb exploding"),
        names=("an explosion", "a bomb", "a blast", "a boom"),
        shortest=2.0,
    ),
    "whoosh": Family(
        _whoosh,
        (
            "{a_direction} whoosh",
            "{direction} whoosh",
            "whoosh, {direction}",
            "a whoosh going {direction:adverb}",
            "swoosh {direction:adverb}",
            "{a_direction} swoosh transition",
        ),
        ("{direction} swoosh", "a transition whoosh, {direction}"),
        {"direction": DIRECTION},
        ("a whoosh", "a swoosh", "a transition"),
        weight=1.4,
        bursts=True,
        shortest=1.2,
    ),
}
