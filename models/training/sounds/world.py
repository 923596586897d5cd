"""What a family of sounds is: how it is made, what can be asked of it, and in which words.

A family has *slots*, the attributes that captions name (a note, a tempo, a direction ...), each
with its values and their words. A phrasing is a template with slots in braces: `{note}`; `{a_note}`
with its article, "an A4"; `{rate:adverb}` in another form, "slowly". Not every phrasing names every
slot; what is not named is free.

People ask for less than that: for a bare name, "bell", or roughly, "a fast beat". So a family has
its *names*, and *casual* wordings, in which the form `about` says a value roughly. What a casual
wording leaves open is one of the slot's *usual* values, drawn anew.

Some phrasings and some combinations of values are *held out*: never in a training set, so that they
tell what was understood from what was learnt by heart.
"""

from __future__ import annotations

import functools
import itertools
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .synthesis import Rng

Attributes = dict[str, Any]
# (attributes, samples to make, random generator) -> float [samples], any level: `make_sound` sets
# the level.
Synthesiser = Callable[[Attributes, int, Rng], np.ndarray]


@dataclass(frozen=True)
class Value:
    """One value of a slot: the words for it, by form ("" is the plain one), and the numbers that
    follow from it.
    """

    forms: Mapping[str, tuple[str, ...]]
    numbers: Attributes = field(default_factory=dict)


Slot = Mapping[Any, Value]


def value(
    *words: str,
    adverb: tuple[str, ...] = (),
    numbers: Attributes | None = None,
    **forms: tuple[str, ...],
) -> Value:
    """Shorthand: value("slow", adverb=("slowly",), numbers={"hz": 0.5})."""
    return Value({"": words, "adverb": adverb} | forms, numbers or {})


_SLOT = re.compile(r"\{(a_)?(\w+?)(?::(\w+))?\}")


@dataclass(frozen=True)
class Family:
    """A kind of sound. Templates in `held_out` are for evaluation alone."""

    synthesise: Synthesiser
    phrasings: tuple[str, ...]
    held_out: tuple[str, ...]
    slots: Mapping[str, Slot] = field(default_factory=dict)
    # of the sound alone, the commonest first: "a bell", "rain"
    names: tuple[str, ...] = ()
    # templates beside the phrasings, which the evaluation does not draw from
    casual: tuple[str, ...] = ()
    # slot -> what it is when unnamed; missing: any value
    usual: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    # how often the family is drawn, relative to the others
    weight: float = 1.0
    # s; the shortest length that still shows what the caption says
    shortest: float = 1.0
    # single hits and rhythms: what lies between them is silence
    bursts: bool = False
    # of noises, in worlds with two channels: how independent the channels are, 0 to 1
    width: float = 0.0
    # dBFS of RMS while it sounds, in worlds that give every family a level
    level: float = -18.0
    # how many sounds there are of the same attributes and length; 0: no two are alike
    takes: int = 0

    def combinations(self) -> list[Attributes]:
        """Every choice of one value per slot."""
        return [dict(zip(self.slots, values)) for values in itertools.product(*self.slots.values())]

    def held_out_combinations(self) -> list[Attributes]:
        """One in eight of the combinations, one of four to seven, none of fewer; always the same
        ones. Where there are several slots, every value of each is heard in some combination.
        """
        return list(self._held_out)

    @functools.cached_property
    def _held_out(self) -> tuple[Attributes, ...]:
        every = self.combinations()
        if len(every) < 4:
            return ()
        order = sorted(
            every, key=lambda choice: zlib.crc32(f"{self.phrasings[0]} {choice}".encode())
        )
        left = Counter(item for choice in every for item in choice.items())
        held_out: list[Attributes] = []
        for choice in order:
            if len(held_out) == max(1, len(every) // 8):
                break
            if len(self.slots) == 1 or min(left[item] for item in choice.items()) > 1:
                held_out.append(choice)
                left.subtract(choice.items())
        return tuple(held_out)

    def trained_combinations(self) -> list[Attributes]:
        """What a training set draws from."""
        held_out = self.held_out_combinations()
        return [choice for choice in self.combinations() if choice not in held_out]

    def usual_combinations(self) -> list[Attributes]:
        """What a bare name may mean."""
        return [
            choice
            for choice in self.trained_combinations()
            if all(self._is_usual(slot, choice) for slot in self.slots)
        ]

    def fits(self, template: str, attributes: Attributes) -> bool:
        """Whether a template may describe these attributes: what it does not mention is usual."""
        mentioned = {match[2] for match in _SLOT.finditer(template)}
        return all(slot in mentioned or self._is_usual(slot, attributes) for slot in self.slots)

    def _is_usual(self, slot: str, attributes: Attributes) -> bool:
        return attributes[slot] in self.usual.get(slot, self.slots[slot])

    def complete(self, attributes: Attributes) -> Attributes:
        """The attributes and the numbers that follow: {"note": "A4"} -> {"note": "A4", "hz":
        440.0}.
        """
        numbers: Attributes = {}
        for slot, chosen in attributes.items():
            numbers |= self.slots[slot][chosen].numbers
        return attributes | numbers


def named_slots(template: str) -> tuple[str, ...]:
    """The slots whose values a template names; not those that it names roughly."""
    return tuple(match[2] for match in _SLOT.finditer(template) if match[3] != "about")


def forms_of(name: str) -> tuple[str, ...]:
    """The name with and without its article, and its plural: "a bell" -> "a bell", "bell", "bells";
    "rain" -> "rain".
    """
    noun = without_article(name)
    if noun == name:
        return (name,)
    last = noun.rsplit(" ", 1)[-1]
    if (last.endswith("ing") and len(last) > 6) or re.search(
        r" (on|of|in) ", noun
    ):  # "a clock ticking", "a knock on a door"
        return name, noun
    plural = (
        noun[:-1] + "ies"
        if re.search("[^aeiou]y$", noun)
        else noun + ("es" if re.search("(s|x|z|ch|sh)$", noun) else "s")
    )
    return name, noun, plural


def without_article(caption: str) -> str:
    """ "a bell" -> "bell"; "rain" -> "rain"."""
    return caption.removeprefix("a ").removeprefix("an ")


def with_article(word: str) -> str:
    """ "A4" -> "an A4", "C4" -> "a C4", "80" -> "an 80": as it is spoken."""
    return ("an " if word[0] in "aeiouAEF8" and word != "one" else "a ") + word


def captions(family: Family, template: str, attributes: Attributes) -> Iterator[str]:
    """Every caption of a template with these attributes: all the words that there are for them,
    none if a form has none.
    """
    choices = [
        family.slots[m[2]][attributes[m[2]]].forms.get(m[3] or "", ())
        for m in _SLOT.finditer(template)
    ]
    for words in itertools.product(*choices):
        yield _fill(template, words)


def _fill(template: str, words: tuple[str, ...]) -> str:
    pieces = iter(words)
    return _SLOT.sub(
        lambda match: with_article(next(pieces)) if match[1] else next(pieces), template
    )
