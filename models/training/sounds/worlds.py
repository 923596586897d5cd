"""A world of sounds: families, and how its clips are drawn, put into words and finished.

Two live side by side: the one that the pocket model learnt, and `second`, of the model after it.
They share what a family is, the slots, the wordings and most of the synthesis, and differ in their
families, sample rate, channels, lengths and levels.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from .synthesis import Rng, studio
from .world import Attributes, Family, captions, forms_of, without_article

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

# of the seeds up to 400 the one whose six takes lie furthest apart in their first draws
TAKES_SEED = 79


@dataclass(frozen=True)
class Sound:
    """One training example: a clip and phrases that describe it."""

    captions: tuple[str, ...]
    family: str
    attributes: Attributes  # e.g. {"note": "A4", "hz": 440.0}; empty where the family has no slot
    audio: np.ndarray  # float32 [samples], or [samples, channels]; zeros after `seconds`
    seconds: float  # asked length

    @property
    def caption(self) -> str:
        """The first phrase."""
        return self.captions[0]


# (float [count] or [count, channels], its family, its attributes, random generator) -> the same, at
# the level that the clip shall have, its end faded out
Finish = Callable[[np.ndarray, Family, Attributes, Rng], np.ndarray]


@dataclass(frozen=True)
class World:
    """A set of families, and the clips that are made of them."""

    name: str
    families: Mapping[str, Family]
    finish: Finish
    sample_rate: int  # Hz
    channels: int
    clip_samples: int
    # s; asked for most often, `full_share` of all clips
    full_seconds: float
    full_share: float
    longest_seconds: float

    def complete_attributes(self, family: str, attributes: Attributes) -> Attributes:
        """With the numbers that follow: ("tone", {"note": "A4"}) -> {"note": "A4", "hz": 440.0}."""
        return self.families[family].complete(attributes)

    def captions_of(self, family: str, attributes: Attributes) -> list[str]:
        """Every trained phrasing of one family with these attributes, e.g.

        "a sine tone at A4", "steady A4 tone", ...
        """
        return _captions(self.families[family], self.families[family].phrasings, attributes)

    def casual_captions_of(self, family: str, attributes: Attributes) -> list[str]:
        """Every casual wording of one family with these attributes: its names, if they fit, and
        what is said roughly or in part.
        """
        kind = self.families[family]
        return _captions(
            kind,
            tuple(form for name in kind.names for form in forms_of(name)) + kind.casual,
            attributes,
        )

    def say(self, rng: Rng, family: str, attributes: Attributes) -> str:
        """One way to ask for it, drawn at random: a name or a phrasing, now and then with the words
        around it that people use.
        """
        caption = _say_plainly(rng, self.families[family], attributes)
        if rng.random() < LONE_WORDS:
            caption = without_article(caption)
        if rng.random() < PRAISED:
            caption = praise(caption, PRAISE[rng.integers(len(PRAISE))])
        shares = np.array([share for _, share in WRAPPINGS])
        return WRAPPINGS[rng.choice(len(shares), p=shares / shares.sum())][0].format(caption)

    def make_sound(
        self,
        rng: Rng,
        family: str | None = None,
        attributes: Attributes | None = None,
        seconds: float | None = None,
        phrases: int = 1,
    ) -> Sound:
        """Make one sound; whatever is not given is drawn at random, the attributes from those that
        are trained on, the usual ones more often.

        `attributes` need only name the slots, e.g. {"note": "A4"}: the numbers follow. `seconds` is
        at most clip_samples / sample_rate. `phrases`: how many captions it gets.
        """
        name = family or self._draw_family(rng)
        kind = self.families[name]
        free = kind.usual_combinations() if rng.random() < USUAL else kind.trained_combinations()
        drawn = free[rng.integers(len(free))]
        chosen = kind.complete(
            {slot: (attributes or {}).get(slot, drawn[slot]) for slot in kind.slots}
        )
        length = self._draw_seconds(kind, rng) if seconds is None else seconds
        count = min(self.clip_samples, round(length * self.sample_rate))
        audio = self._make(kind, chosen, count, rng)
        return Sound(
            tuple(self.say(rng, name, chosen) for _ in range(phrases)), name, chosen, audio, length
        )

    def sound_at(self, index: int, seed: int, phrases: int = 1) -> Sound:
        """Clip number `index` of the data set `seed`.

        It depends on nothing else, so clips can be made in any order.
        """
        return self.make_sound(np.random.default_rng([seed, index]), phrases=phrases)

    def make_dataset(self, count: int, seed: int, phrases: int = 1) -> Iterator[Sound]:
        """The first `count` clips of the data set `seed`, one at a time."""
        for index in range(count):
            yield self.sound_at(index, seed, phrases)

    def captions_corpus(self) -> Iterator[str]:
        """Every phrasing with every value that is trained on, and the words around them.

        For training a vocabulary.
        """
        rng = np.random.default_rng(0)
        for name, family in self.families.items():
            for attributes in family.trained_combinations():
                every = self.captions_of(name, attributes)
                for caption in every + self.casual_captions_of(name, attributes):
                    yield caption
                    if rng.random() < 0.1:
                        yield WRAPPINGS[rng.integers(1, len(WRAPPINGS))][0].format(caption)

    def _draw_family(self, rng: Rng) -> str:
        weights = np.array([family.weight for family in self.families.values()])
        return list(self.families)[rng.choice(len(weights), p=weights / weights.sum())]

    def _draw_seconds(self, family: Family, rng: Rng) -> float:
        """The full length often, else anything from the shortest that makes sense."""
        if rng.random() < self.full_share:
            return self.full_seconds
        return round(float(rng.uniform(family.shortest, self.longest_seconds)), 2)

    def _make(self, kind: Family, chosen: Attributes, count: int, rng: Rng) -> np.ndarray:
        """The whole clip, float32 [clip_samples] or [clip_samples, channels]."""
        # the draws of a take are the same, whatever is asked of it
        player, together = rng, kind.takes > 0
        if together:
            player = np.random.default_rng([TAKES_SEED, rng.integers(kind.takes)])
        twin = copy.deepcopy(player) if self.channels > 1 else player
        with studio(self.sample_rate, in_phase=together):
            audio = kind.synthesise(chosen, count, player)
        if self.channels > 1 and audio.ndim == 1:
            other = audio
            if kind.width:  # the same draws, but for the noise
                with studio(self.sample_rate, kind.width, together):
                    other = kind.synthesise(chosen, count, twin)
            audio = np.stack([audio, other], axis=1)
        with studio(self.sample_rate):
            audio = self.finish(audio, kind, chosen, rng)
        clip = np.zeros((self.clip_samples, *audio.shape[1:]), dtype=np.float32)
        clip[: len(audio)] = audio
        return clip


def praise(caption: str, word: str) -> str:
    """ "an organ", "nice" -> "a nice organ"; "rain" -> "nice rain"."""
    noun = without_article(caption)
    return f"{word} {noun}" if noun == caption else f"a {word} {noun}"


def _captions(kind: Family, templates: tuple[str, ...], attributes: Attributes) -> list[str]:
    fitting = (template for template in templates if kind.fits(template, attributes))
    return list(
        dict.fromkeys(
            caption for template in fitting for caption in captions(kind, template, attributes)
        )
    )


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
