"""The sound world of the pocket model: named, clear sounds with captions, made on the fly.

A tiny model can only learn a small world well. So each family here is simple, free of clutter, and
exactly what its caption says: a note has exactly its equal-tempered frequency, a beat exactly its
tempo. What the caption does not mention (level, phase, timbre) varies a little, so that the model
learns to ignore it.

`synthesis` holds the building blocks, `world` what a family is, `slots` what several families have
in common that can be asked for, and each other file a group of families.

    >>> sound = make_sound(np.random.default_rng(0), "tone", {"note": "A4"})
    >>> sound.audio.shape, sound.attributes
    ((65536,), {'note': 'A4', 'hz': 440.0})
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from . import chords, drums, everyday, games, instruments, nature, signals
from .synthesis import CLIP_SAMPLES, SAMPLE_RATE, Rng, release
from .world import Attributes, Family, captions, forms_of, without_article

FULL_SECONDS = 4.0  # the length asked for most often
FADE_OUT = 0.02  # s; ends every sound, so that it does not click
PEAK = 0.56  # of full scale, at most; with +-2 dB of level around it no clip goes above 0.71
# of the loudest tenth of a second: a steady sine is held down to the loudness of the rest
LOUDEST_RMS = 0.18

# In this order for good, new ones last: the place of a family picks the seeds of its prompts.
FAMILIES: dict[str, Family] = (
    instruments.FAMILIES
    | chords.FAMILIES
    | signals.FAMILIES
    | games.FAMILIES
    | drums.FAMILIES
    | everyday.FAMILIES
    | nature.FAMILIES
)

# What people put around the name of a sound, and how often in a hundred captions.
WRAPPINGS = (
    ("{}", 70),
    ("the sound of {}", 6),
    ("{} sound", 5),
    ("{} sound effect", 5),
    ("sound of {}", 4),
    ("a recording of {}", 2),
    ("{} please", 2),
    ("short clip of {}", 2),
    ("play {}", 1),
    ("please make {}", 1),
    ("i want to hear {}", 1),
    ("{} sounds", 1),
)
PRAISE = ("nice", "good", "realistic", "clean", "cool")
PRAISED = 0.03  # how often a word of praise stands before the sound
LONE_WORDS = 0.15  # how often the article at the start is left out
USUAL = 0.4  # how often all values are usual ones, so that a bare name fits
NAMED, CASUAL = 0.4, 0.15  # how often a caption is a bare name or a casual wording, where one fits


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
    """Every trained phrasing of one family with these attributes, e.g.

    "a sine tone at A4", "steady A4 tone", ...
    """
    return _captions(FAMILIES[family], FAMILIES[family].phrasings, attributes)


def casual_captions_of(family: str, attributes: Attributes) -> list[str]:
    """Every casual wording of one family with these attributes: its names, if they fit, and what is
    said roughly or in part.
    """
    kind = FAMILIES[family]
    return _captions(
        kind,
        tuple(form for name in kind.names for form in forms_of(name)) + kind.casual,
        attributes,
    )


def _captions(kind: Family, templates: tuple[str, ...], attributes: Attributes) -> list[str]:
    fitting = (template for template in templates if kind.fits(template, attributes))
    return list(
        dict.fromkeys(
            caption for template in fitting for caption in captions(kind, template, attributes)
        )
    )


def say(rng: Rng, family: str, attributes: Attributes) -> str:
    """One way to ask for it, drawn at random: a name or a phrasing, now and then with the words
    around it that people use.
    """
    caption = _say_plainly(rng, FAMILIES[family], attributes)
    if rng.random() < LONE_WORDS:
        caption = without_article(caption)
    if rng.random() < PRAISED:
        caption = praise(caption, PRAISE[rng.integers(len(PRAISE))])
    shares = np.array([share for _, share in WRAPPINGS])
    return WRAPPINGS[rng.choice(len(shares), p=shares / shares.sum())][0].format(caption)


def praise(caption: str, word: str) -> str:
    """ "an organ", "nice" -> "a nice organ"; "rain" -> "nice rain"."""
    noun = without_article(caption)
    return f"{word} {noun}" if noun == caption else f"a {word} {noun}"


def _say_plainly(rng: Rng, kind: Family, attributes: Attributes) -> str:
    kinds = rng.random()
    if kinds < NAMED and kind.fits("", attributes):
        forms = forms_of(kind.names[rng.integers(len(kind.names))])
        return forms[rng.integers(len(forms))]
    if NAMED <= kinds < NAMED + CASUAL:
        for template in rng.permutation(kind.casual):
            if kind.fits(template, attributes) and (
                every := list(captions(kind, template, attributes))
            ):
                return every[rng.integers(len(every))]
    every = list(captions(kind, kind.phrasings[rng.integers(len(kind.phrasings))], attributes))
    return every[rng.integers(len(every))]


def make_sound(
    rng: Rng,
    family: str | None = None,
    attributes: Attributes | None = None,
    seconds: float | None = None,
    phrases: int = 1,
) -> Sound:
    """Make one sound; whatever is not given is drawn at random, the attributes from those that are
    trained on, the usual ones more often.

    `attributes` need only name the slots, e.g. {"note": "A4"}: the numbers follow. `seconds` is at
    most CLIP_SAMPLES / SAMPLE_RATE = 4.096. `phrases`: how many captions it gets.
    """
    name = family or _draw_family(rng)
    kind = FAMILIES[name]
    free = kind.usual_combinations() if rng.random() < USUAL else kind.trained_combinations()
    drawn = free[rng.integers(len(free))]
    chosen = kind.complete({slot: (attributes or {}).get(slot, drawn[slot]) for slot in kind.slots})
    length = _draw_seconds(kind, rng) if seconds is None else seconds
    audio = _finish(
        kind.synthesise(chosen, min(CLIP_SAMPLES, round(length * SAMPLE_RATE)), rng), rng
    )
    return Sound(tuple(say(rng, name, chosen) for _ in range(phrases)), name, chosen, audio, length)


def sound_at(index: int, seed: int, phrases: int = 1) -> Sound:
    """Clip number `index` of the data set `seed`.

    It depends on nothing else, so clips can be made in any order.
    """
    return make_sound(np.random.default_rng([seed, index]), phrases=phrases)


def make_dataset(count: int, seed: int, phrases: int = 1) -> Iterator[Sound]:
    """The first `count` clips of the data set `seed`, one at a time."""
    for index in range(count):
        yield sound_at(index, seed, phrases)


def captions_corpus() -> Iterator[str]:
    """Every phrasing with every value that is trained on, and the words around them.

    For training a vocabulary.
    """
    rng = np.random.default_rng(0)
    for name, family in FAMILIES.items():
        for attributes in family.trained_combinations():
            for caption in captions_of(name, attributes) + casual_captions_of(name, attributes):
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
    """Set the level, fade the end out and fill up with silence: [count] -> float32
    [CLIP_SAMPLES].
    """
    tenth = SAMPLE_RATE // 10
    loudest = np.sqrt(
        max(np.mean(piece**2) for piece in np.split(audio, range(tenth, len(audio), tenth)))
    )
    scale = min(PEAK / np.abs(audio).max(), LOUDEST_RMS / loudest)
    audio = release(audio * (scale * 10 ** (rng.uniform(-2, 2) / 20)), FADE_OUT)
    clip = np.zeros(CLIP_SAMPLES, dtype=np.float32)
    clip[: len(audio)] = audio
    return clip
