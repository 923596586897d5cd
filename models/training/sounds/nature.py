"""Weather, water, animals, noise."""

from __future__ import annotations

import numpy as np
from scipy.signal import fftconvolve

from .slots import rate
from .synthesis import (
    Rng,
    attack,
    band,
    decay,
    glide,
    onsets,
    place,
    random_onsets,
    samples,
    shaped_noise,
    slow_wander,
    times,
)
from .world import Attributes, Family, Slot, value

AMOUNT: Slot = {
    "light": value("light", "gentle", "soft", numbers={"drops": 60}),
    "heavy": value("heavy", "strong", "loud", numbers={"drops": 0}),
}
COLOUR: Slot = {
    "white": value("white", numbers={"slope": 0.0}),
    "pink": value("pink", numbers={"slope": -3.0}),
    "brown": value("brown", numbers={"slope": -6.0}),
}


def _rain(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Heavy: a steady wash, softer towards the treble than white noise.

    Light: single drops over a thin wash.
    """
    wash = shaped_noise(count, band(300, 7000, rng.uniform(-4.5, -3.5)), rng)
    if attributes["amount"] == "heavy":
        return attack(wash, 0.02)
    length = samples(0.015)
    drop = np.sin(2 * np.pi * rng.uniform(1200, 1600) * times(length)) * decay(length, 0.003)
    hits = np.zeros(count)
    for start in random_onsets(count, attributes["drops"] / 4, rng):
        hits[min(count - 1, samples(start))] += rng.uniform(0.6, 1.4)
    return attack(0.15 * wash + 2.5 * fftconvolve(hits, drop)[:count], 0.02)


def _waves(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Surf: dull noise that swells and ebbs every 3 to 4 s, brighter while it breaks."""
    cycle = times(count) / rng.uniform(3.0, 3.8)
    swell = ((1 - np.cos(2 * np.pi * cycle)) / 2) ** 1.5
    dull, bright = (
        shaped_noise(count, band(100, 900, -3.0), rng),
        shaped_noise(count, band(500, 3000, -3.0), rng),
    )
    return attack((0.05 + swell) * (dull + 0.5 * swell * bright), 0.01)


def _wind(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Narrow low noise whose pitch wanders between about 200 and 600 Hz: a blend of three
    neighbouring bands.
    """
    place_ = 1 + slow_wander(count, 0.6, rng)  # 0 .. 2: which of the bands is in front
    mix = np.zeros(count)
    for index, centre in enumerate((200, 340, 580)):
        nearness = np.clip(1 - np.abs(place_ - index), 0, 1)
        mix += np.sqrt(nearness) * shaped_noise(count, band(centre * 0.85, centre * 1.18), rng)
    return attack(mix * (1 + 0.2 * slow_wander(count, 0.5, rng)), 0.05)


def _fire(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A soft low roar, and wood that cracks at random, each crack a burst of a few milliseconds."""
    roar = (
        0.1 * shaped_noise(count, band(60, 500, -3), rng) * (1 + 0.3 * slow_wander(count, 2.0, rng))
    )
    mix = np.zeros(count)
    for start in random_onsets(count, 9, rng):
        length = samples(0.08)
        crack = shaped_noise(length, band(500, 2000), rng) * decay(length, rng.uniform(0.004, 0.01))
        mix += place(count, rng.uniform(0.3, 1.2) * crack, [start])
    return attack(roar + mix, 0.02)


def _thunder(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A rumble below 150 Hz that rolls: several swells, weaker and weaker."""
    rumble = shaped_noise(count, band(25, 140, -3), rng)
    rolls = sum(
        level * np.exp(-(((times(count) - centre) / width) ** 2))
        for level, centre, width in (
            (1, 0.35, 0.22),
            (0.75, rng.uniform(1.0, 1.2), 0.35),
            (0.5, rng.uniform(2.0, 2.3), 0.5),
            (0.3, rng.uniform(3.0, 3.3), 0.6),
        )
    )
    return attack(rumble * (0.03 + rolls), 0.05)


def _frog(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Croaks of a third of a second, each a train of some eight pulses, twenty-two a second."""
    hz, length = rng.uniform(520, 680), samples(0.36)
    pulses = (0.5 - 0.5 * np.cos(2 * np.pi * 22 * times(length))) ** 2
    croak = (
        (np.sin(2 * np.pi * hz * times(length)) + 0.4 * np.sin(2 * np.pi * 2 * hz * times(length)))
        * pulses
        * np.hanning(length) ** 0.5
    )
    return place(count, croak, onsets(count, rng.uniform(0.7, 0.85)))


def _cuckoo(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Two soft whistles, the second a third lower; then a pause."""
    hz = rng.uniform(620, 700)
    call = np.zeros(samples(0.75))
    for start, ratio, seconds in ((0.0, 1.0, 0.22), (0.34, 0.8, 0.34)):
        length = samples(seconds)
        note = glide(np.full(length, hz * ratio)) + 0.15 * glide(np.full(length, 2 * hz * ratio))
        call += place(len(call), note * np.sin(np.pi * np.linspace(0, 1, length)) ** 0.6, [start])
    return place(count, call, onsets(count, 1 / attributes["per_second"]))


def _drops(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Drops into still water: each a bubble whose pitch rises as it closes."""
    mix = np.zeros(count)
    for start in onsets(count, 1 / attributes["per_second"]):
        length = samples(0.16)
        rise = rng.uniform(600, 800) * (1 + 0.9 * np.linspace(0, 1, length) ** 2)
        mix += place(count, attack(glide(rise) * decay(length, 0.035), 0.004), [start])
    return mix


def _stream(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Many bubbles at once over soft noise: a brook."""
    mix = np.zeros(count)
    for start in random_onsets(count, 32, rng):
        length = samples(0.07)
        bubble = glide(rng.uniform(400, 900) * (1 + 0.5 * np.linspace(0, 1, length))) * np.hanning(
            length
        )
        mix += place(count, rng.uniform(0.3, 1) * bubble, [start])
    return attack(mix + 0.15 * shaped_noise(count, band(300, 3000, -3), rng), 0.02)


def _noise(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    return attack(shaped_noise(count, band(30, 7900, attributes["slope"]), rng), 0.01)


FAMILIES: dict[str, Family] = {
    "rain": Family(
        _rain,
        (
            "{amount} rain",
            "{amount} rain falling",
            "rain, {amount}",
            "{amount} rain on the ground",
            "{a_amount} rain shower",
            "{amount} rainfall",
        ),
        ("rain on the ground, {amount}", "rainfall, {amount}", "rain falling, {amount}"),
        {"amount": AMOUNT},
        ("rain", "rainfall", "a rain shower", "raining"),
        weight=1.2,
    ),
    "waves": Family(
        _waves,
        (
            "ocean waves",
            "waves on a beach",
            "sea waves",
            "a wave rolling onto the shore",
            "sea surf",
            "ocean surf",
        ),
        ("waves on the shore", "a sea wave"),
        names=("waves", "the ocean", "the sea", "surf", "a beach"),
        shortest=3.8,
    ),
    "wind": Family(
        _wind,
        (
            "wind",
            "wind blowing",
            "howling wind",
            "a gust of wind",
            "a cold wind blowing",
            "windy weather",
        ),
        ("a howling wind blowing", "cold wind"),
        names=("wind", "a breeze", "a gust"),
    ),
    "fire": Family(
        _fire,
        (
            "a crackling fire",
            "fire crackling",
            "a campfire",
            "burning wood",
            "fireplace",
            "a fire burning",
        ),
        ("a crackling campfire", "wood burning in a fireplace"),
        names=("fire", "a campfire", "a fireplace", "a bonfire"),
        shortest=2.0,
    ),
    "thunder": Family(
        _thunder,
        (
            "thunder",
            "thunder rolling",
            "rolling thunder",
            "a thunderstorm rumble",
            "distant thunder",
            "thunder rumbling",
        ),
        ("a distant thunder rumble", "rumbling thunder"),
        names=("thunder", "a thunderstorm", "a rumble"),
        shortest=3.5,
    ),
    "frog": Family(
        _frog,
        (
            "a frog croaking",
            "frogs in a pond",
            "a croaking frog",
            "frog croaks",
            "a toad croaking",
            "frog ribbit",
        ),
        ("a croaking toad", "a frog in a pond"),
        names=("a frog", "a toad", "croaking"),
        shortest=2.0,
        bursts=True,
    ),
    "cuckoo": Family(
        _cuckoo,
        (
            "{a_rate} cuckoo",
            "cuckoo calling, {rate}",
            "a cuckoo calling {rate:adverb}",
            "{rate} cuckoo bird",
            "cuckoo clock, {rate}",
            "{rate} bird call cuckoo",
        ),
        ("{rate} calling cuckoo", "a cuckoo bird, {rate}"),
        {"rate": rate({"per_second": 0.55}, {"per_second": 1.25})},
        ("a cuckoo", "a cuckoo clock", "a bird", "a bird call"),
        shortest=3.5,
        bursts=True,
    ),
    "drops": Family(
        _drops,
        (
            "{rate} water drops",
            "water dripping {rate:adverb}",
            "dripping water, {rate}",
            "{a_rate} dripping tap",
            "drops of water, {rate}",
            "{rate} drips",
        ),
        ("{rate} dripping water", "water drops, {rate}"),
        {"rate": rate({"per_second": 1.2}, {"per_second": 4.0})},
        ("water drops", "dripping water", "a dripping tap", "a water drop", "a drip"),
        shortest=2.5,
        bursts=True,
    ),
    "stream": Family(
        _stream,
        (
            "a stream",
            "a bubbling brook",
            "water flowing",
            "a babbling stream",
            "a small river flowing",
            "bubbling water",
        ),
        ("a flowing stream", "a bubbling stream"),
        names=("a stream", "a brook", "a river", "flowing water", "water"),
    ),
    "noise": Family(
        _noise,
        (
            "{colour} noise",
            "{a_colour} noise hiss",
            "steady {colour} noise",
            "{colour} noise for sleeping",
            "noise, {colour}",
            "{colour} static noise",
        ),
        ("static noise, {colour}", "steady noise, {colour}"),
        {"colour": COLOUR},
        ("noise", "static", "static noise", "hiss"),
        weight=1.2,
    ),
}
