"""The sound world of the pocket model: named, clear sounds with captions, made on the fly.

A tiny model can only learn a small world well. So each family here is simple, free of clutter, and exactly what its
caption says: a note has exactly its equal-tempered frequency, a beat exactly its tempo. What the caption does not
mention (level, phase, timbre) varies a little, so that the model learns to ignore it.

`synthesis` holds the building blocks, `world` what a family is, and `music`, `electronic`, `rhythm` and `nature` the families.

    >>> sound = make_sound(np.random.default_rng(0), "tone", {"note": "A4"})
    >>> sound.audio.shape, sound.attributes
    ((65536,), {'note': 'A4', 'hz': 440.0})
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from . import electronic, music, nature, rhythm
from .synthesis import CLIP_SAMPLES, SAMPLE_RATE, Rng, release
from .world import Attributes, Family, captions

FULL_SECONDS = 4.0  # the length asked for most often
FADE_OUT = 0.02  # s; ends every sound, so that it does not click
PEAK = 0.56  # of full scale, at most; with +-2 dB of level around it no clip goes above 0.71
LOUDEST_RMS = 0.18  # of the loudest tenth of a second: a steady sine is held down to the loudness of the rest

FAMILIES: dict[str, Family] = music.FAMILIES | electronic.FAMILIES | rhythm.FAMILIES | nature.FAMILIES

# What people put around the name of a sound, and how often in a hundred captions.
WRAPPINGS = (("{}", 70), ("the sound of {}", 8), ("{} sound", 6), ("{} sound effect", 6), ("sound of {}", 4), ("a recording of {}", 3),
             ("{} please", 3))
LONE_WORDS = 0.15  # how often the article at the start is left out


@dataclass(frozen=True)
class Sound:
    """One training example: a clip and phrases that describe it."""

    captions: tuple[str, ...]
    family: str
    attributes: Attributes  # e.g. {"note": "A4", "hz": 440.0}; empty where the family has no slot
    audio: np.ndarray  # float32 [CLIP_SAMPLES], mono, zeros after `seconds`
    seconds: float  # asked length

    @property
    def caption(self) -> str:
        """The first phrase."""
        return self.captions[0]


def complete_attributes(family: str, attributes: Attributes) -> Attributes:
    """With the numbers that follow: ("tone", {"note": "A4"}) -> {"note": "A4", "hz": 440.0}."""
    return FAMILIES[family].complete(attributes)


def captions_of(family: str, attributes: Attributes) -> list[str]:
    """Every trained phrasing of one family with these attributes, e.g. "a sine tone at A4", "steady A4 tone", ..."""
    kind = FAMILIES[family]
    return list(dict.fromkeys(caption for template in kind.phrasings for caption in captions(kind, template, attributes)))


def say(rng: Rng, family: str, attributes: Attributes) -> str:
    """One way to ask for it, drawn at random: a phrasing, now and then with the words around it that people use."""
    kind = FAMILIES[family]
    every = list(captions(kind, kind.phrasings[rng.integers(len(kind.phrasings))], attributes))
    caption = every[rng.integers(len(every))]
    if rng.random() < LONE_WORDS:
        caption = caption.removeprefix("a ").removeprefix("an ")
    shares = np.array([share for _, share in WRAPPINGS])
    return WRAPPINGS[rng.choice(len(shares), p=shares / shares.sum())][0].format(caption)


def make_sound(rng: Rng, family: str | None = None, attributes: Attributes | None = None, seconds: float | None = None,
               phrases: int = 1) -> Sound:
    """Make one sound; whatever is not given is drawn at random, the attributes from those that are trained on.

    `attributes` need only name the slots, e.g. {"note": "A4"}: the numbers follow. `seconds` is at most
    CLIP_SAMPLES / SAMPLE_RATE = 4.096. `phrases`: how many captions it gets.
    """
    name = family or _draw_family(rng)
    kind = FAMILIES[name]
    free = kind.trained_combinations()
    drawn = free[rng.integers(len(free))]
    chosen = kind.complete({slot: (attributes or {}).get(slot, drawn[slot]) for slot in kind.slots})
    length = _draw_seconds(kind, rng) if seconds is None else seconds
    audio = _finish(kind.synthesise(chosen, min(CLIP_SAMPLES, round(length * SAMPLE_RATE)), rng), rng)
    return Sound(tuple(say(rng, name, chosen) for _ in range(phrases)), name, chosen, audio, length)


def sound_at(index: int, seed: int, phrases: int = 1) -> Sound:
    """Clip number `index` of the data set `seed`. It depends on nothing else, so clips can be made in any order."""
    return make_sound(np.random.default_rng([seed, index]), phrases=phrases)


def make_dataset(count: int, seed: int, phrases: int = 1) -> Iterator[Sound]:
    """The first `count` clips of the data set `seed`, one at a time."""
    for index in range(count):
        yield sound_at(index, seed, phrases)


def captions_corpus() -> Iterator[str]:
    """Every phrasing with every value that is trained on, and the words around them. For training a vocabulary."""
    rng = np.random.default_rng(0)
    for name, family in FAMILIES.items():
        for attributes in family.trained_combinations():
            for caption in captions_of(name, attributes):
                yield caption
                if rng.random() < 0.1:
                    yield WRAPPINGS[rng.integers(1, len(WRAPPINGS))][0].format(caption)


def _draw_family(rng: Rng) -> str:
    weights = np.array([family.weight for family in FAMILIES.values()])
    return list(FAMILIES)[rng.choice(len(weights), p=weights / weights.sum())]


def _draw_seconds(family: Family, rng: Rng) -> float:
    """The full length six times out of ten, else anything down to the shortest that makes sense."""
    if rng.random() < 0.6:
        return FULL_SECONDS
    return round(float(rng.uniform(family.shortest, FULL_SECONDS)), 2)


def _finish(audio: np.ndarray, rng: Rng) -> np.ndarray:
    """Set the level, fade the end out and fill up with silence: [count] -> float32 [CLIP_SAMPLES]."""
    tenth = SAMPLE_RATE // 10
    loudest = np.sqrt(max(np.mean(piece**2) for piece in np.split(audio, range(tenth, len(audio), tenth))))
    scale = min(PEAK / np.abs(audio).max(), LOUDEST_RMS / loudest)
    audio = release(audio * (scale * 10 ** (rng.uniform(-2, 2) / 20)), FADE_OUT)
    clip = np.zeros(CLIP_SAMPLES, dtype=np.float32)
    clip[: len(audio)] = audio
    return clip
