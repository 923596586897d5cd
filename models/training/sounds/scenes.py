"""Scenes that the first world does not have: a helicopter, applause, birds."""

from __future__ import annotations

import numpy as np

from .slots import rate
from .synthesis import (
    FIRST_ONSET,
    Rng,
    attack,
    band,
    decay,
    glide,
    place,
    random_onsets,
    sample_rate,
    samples,
    shaped_noise,
    slow_wander,
    times,
)
from .world import Attributes, Family, value


def _helicopter(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Blades that beat low air, and the whine of a turbine."""
    beats = attributes["per_second"] * rng.uniform(0.93, 1.07)
    phase = 2 * np.pi * beats * times(count)
    chop = (0.5 + 0.5 * np.cos(phase + 0.3 * slow_wander(count, 0.5, rng))) ** 4
    air = shaped_noise(count, band(50, rng.uniform(300, 500), -3), rng)
    whine = glide(np.full(count, rng.uniform(900, 1400))) * rng.uniform(0.01, 0.04)
    return attack((0.08 + chop) * air + whine, 0.05)


def _applause(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Hundreds of hands, or a handful; none clap together."""
    hands = 260 if attributes["amount"] == "large" else 22
    mix, size = np.zeros(count), samples(0.03)
    claps = [
        shaped_noise(size, band(centre * 0.7, centre * 1.5), rng) * decay(size, 0.005)
        for centre in rng.uniform(800, 2600, 12)
    ]
    for start in random_onsets(count, hands, rng):
        at = samples(start)
        piece = claps[rng.integers(len(claps))][: max(0, count - at)]
        mix[at : at + len(piece)] += rng.uniform(0.3, 1) * piece
    if attributes["amount"] == "large":
        mix += 0.1 * np.std(mix) * shaped_noise(count, band(600, 3500), rng)
    return attack(mix, 0.05)


def _birds(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Chirps in groups: quick slides of a high whistle."""
    mix, at = np.zeros(count), FIRST_ONSET
    voice, gap = rng.uniform(2600, 4200), 1 / attributes["per_second"]
    while at < count / sample_rate() - 0.1:
        for _ in range(rng.integers(1, 4)):
            length = samples(rng.uniform(0.05, 0.11))
            slide = voice * 2 ** (
                np.linspace(0, rng.uniform(-0.5, 0.5), length) + 0.1 * rng.normal()
            )
            chirp = glide(slide) * np.sin(np.pi * np.linspace(0, 1, length))
            mix += place(count, rng.uniform(0.6, 1) * chirp, [at])
            at += length / sample_rate() + 0.03
        at += gap * rng.uniform(0.5, 1.5)
    return mix


FAMILIES: dict[str, Family] = {
    "helicopter": Family(
        _helicopter,
        (
            "{a_rate} helicopter",
            "helicopter blades, {rate}",
            "a helicopter flying {rate:adverb}",
            "{rate} chopper",
            "{a_rate} helicopter rotor",
        ),
        ("{a_rate} chopper flying", "helicopter rotor, {rate}"),
        {"rate": rate({"per_second": 9.0}, {"per_second": 17.0})},
        ("a helicopter", "a chopper", "a helicopter overhead"),
        width=0.5,
    ),
    "applause": Family(
        _applause,
        (
            "applause, {amount}",
            "{a_amount} audience clapping hands",
            "{a_amount} crowd applauding",
            "{amount} applause",
            "{a_amount} crowd clapping",
        ),
        ("{a_amount} audience applauding", "applauding, {a_amount} crowd"),
        {"amount": {"small": value("small", "sparse"), "large": value("large", "big", "huge")}},
        ("applause", "an audience", "a crowd clapping", "people clapping"),
        width=0.6,
    ),
    "birds": Family(
        _birds,
        (
            "birds chirping {rate:adverb}",
            "{rate} birdsong",
            "{rate} bird chirps",
            "a bird chirping {rate:adverb}",
            "birds tweeting, {rate}",
        ),
        ("birds tweeting {rate:adverb}", "a bird tweeting, {rate}"),
        {"rate": rate({"per_second": 1.2}, {"per_second": 4.0})},
        ("birds", "a bird", "birdsong", "a bird chirping", "chirping"),
        shortest=2.0,
        bursts=True,
    ),
}
