"""What the pocket model can be asked for, as its bundle lists it: the words of the captions, and
each family with prompts that ask for it.
"""

from __future__ import annotations

import numpy as np

from edge_audio.audio.clip import loudest_dbfs
from edge_audio.bundle.manifest import UsualLevel
from edge_audio.bundle.vocabulary import SoundFamily, Vocabulary, words_of

from .prompts import BUNDLED
from .sounds import FAMILIES, PRAISE, SAMPLE_RATE, WRAPPINGS, captions_corpus, make_sound
from .sounds.world import without_article

# Words that join others: no caption has them all, and nobody wants to be told so.
JOINING = [
    "and",
    "or",
    "with",
    "in",
    "on",
    "at",
    "of",
    "to",
    "for",
    "from",
    "by",
    "the",
    "my",
    "your",
    "some",
    "is",
    "are",
    "very",
    "it",
    "its",
    "that",
    "this",
    "me",
    "now",
]
LEVEL_SEEDS = 3


def vocabulary() -> Vocabulary:
    """Words and families of the sound world."""
    texts = [*captions_corpus(), *(words.format("") for words, _ in WRAPPINGS), *PRAISE, *JOINING]
    families = tuple(
        SoundFamily(without_article(family.names[0]), (*family.names[:3], prompt.text))
        for family, prompt in zip(FAMILIES.values(), BUNDLED)
    )
    return Vocabulary(frozenset(word for text in texts for word in words_of(text)), families)


def usual_level() -> UsualLevel:
    """Of the synthesised sounds, the same number of each family."""
    levels = [
        loudest_dbfs(make_sound(np.random.default_rng(seed), family).audio, SAMPLE_RATE)
        for family in FAMILIES
        for seed in range(LEVEL_SEEDS)
    ]
    return UsualLevel(round(float(np.median(levels)), 1), round(min(levels), 1))
