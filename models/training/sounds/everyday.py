"""Everyday sounds: a heart, steps, a knock, an engine, a clock."""

from __future__ import annotations

import numpy as np

from .slots import COUNT, rate
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
    samples,
    shaped_noise,
    slow_wander,
    start_phase,
    times,
)
from .world import Attributes, Family

KNOCK_INTERVAL = 0.3  # s


def _heartbeat(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Two soft low thumps close together (lub-dub), then a rest."""
    interval = 60 / attributes["bpm"]
    thump = attack(
        np.sin(2 * np.pi * rng.uniform(55, 70) * times(samples(0.25))) * decay(samples(0.25), 0.05),
        0.01,
    )
    first = onsets(count, interval)
    return place(count, thump, first) + 0.7 * place(count, thump, first + 0.3 * interval)


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
    mix = sum(order**-0.8 * glide(order * hz, start_phase(rng, 6)) for order in range(1, 9))
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


FAMILIES: dict[str, Family] = {
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
