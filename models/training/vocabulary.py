"""What the pocket model can be asked for, as its bundle lists it: the words of the captions, each
family with prompts that ask for it, and how a name alone is read.
"""

from __future__ import annotations

import numpy as np

from edge_audio.audio.clip import loudest_dbfs
from edge_audio.bundle.manifest import UsualLevel
from edge_audio.bundle.vocabulary import SoundFamily, Vocabulary, words_of

from .prompts import prompts_of
from .sounds import FIRST, PRAISE, WRAPPINGS, World
from .sounds.world import Family, captions, named_slots, without_article

# Words that join others: no caption has them all, and nobody wants to be told so.
JOINING = (
    "and or with in on at of to for from by the my your some is are very it its that this me now"
).split()
# No fillers: "a" is a note, too.
ARTICLES = frozenset(("a", "an"))
# Words around a name that do not change the sound.
FILLERS = frozenset(
    "the some sound sounds effect of recording clip play please make i want to hear me my"
    " on in with".split()
).union(PRAISE)
LEVEL_SEEDS = 3
#: captions that a name alone may mean, at most
MEANINGS = 8


def vocabulary(world: World = FIRST) -> Vocabulary:
    """Words and families of a sound world, and the readings of their names."""
    texts = [
        *world.captions_corpus(),
        *(words.format("") for words, _ in WRAPPINGS),
        *PRAISE,
        *JOINING,
    ]
    families = tuple(
        SoundFamily(without_article(family.names[0]), (*family.names[:3], prompt.text))
        for family, prompt in zip(world.families.values(), prompts_of(world).bundled)
    )
    return Vocabulary(
        words=frozenset(word for text in texts for word in words_of(text)),
        families=families,
        readings=_readings(world),
        fillers=FILLERS,
        articles=ARTICLES,
    )


def _readings(world: World) -> dict[str, tuple[str, ...]]:
    """Names and casual wordings, without fillers -> phrasings that say what these leave open.

    A model of four million parameters does not make up its mind about a tempo or a note that nobody
    named: trained on bare names, it plays a beat that stumbles and an organ between two notes. So
    its text says everything, and the seed decides what a name alone means.
    """
    found: dict[str, dict[str, None]] = {}
    learnt = {
        _key(caption)
        for family in world.families.values()
        for attributes in family.combinations()
        for template in (*family.phrasings, *family.held_out)
        for caption in captions(family, template, attributes)
    }
    for name, family in world.families.items():
        for number, attributes in enumerate(family.trained_combinations()):
            meaning = _said_in_full(family, attributes, number)
            for casual in world.casual_captions_of(name, attributes):
                # without its article if it may be: "coin pickup" is learnt, "a coin pickup" is not
                for key in (_key(without_article(casual)), _key(casual)):
                    if key not in learnt:
                        found.setdefault(key, {})[meaning] = None
                        break
    for key in learnt:  # "a minor chord" says it all, "minor chord" does not
        article, _, rest = key.partition(" ")
        if article in ARTICLES and rest in found:
            found[key] = {}
    return {key: _some(tuple(meanings)) for key, meanings in found.items()}


def _said_in_full(family: Family, attributes: dict, number: int) -> str:
    """A phrasing that names every attribute; not always the same one."""
    full = [t for t in family.phrasings if set(named_slots(t)) == set(family.slots)]
    return next(captions(family, full[number % min(2, len(full))], attributes))


def _key(caption: str) -> str:
    return " ".join(word for word in words_of(caption) if word not in FILLERS)


def _some(meanings: tuple[str, ...]) -> tuple[str, ...]:
    """At most MEANINGS, evenly taken."""
    count = min(MEANINGS, len(meanings))
    return tuple(meanings[index * len(meanings) // count] for index in range(count))


def usual_level(world: World = FIRST) -> UsualLevel:
    """Of the synthesised sounds, the same number of each family."""
    levels = [
        loudest_dbfs(world.make_sound(np.random.default_rng(seed), family).audio, world.sample_rate)
        for family in world.families
        for seed in range(LEVEL_SEEDS)
    ]
    return UsualLevel(round(float(np.median(levels)), 1), round(min(levels), 1))
