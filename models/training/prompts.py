"""Prompts to measure the pocket model with: what to ask for, and what
`edge_audio.listening.check` should then hear.

Four kinds: the names of every family alone, as a stranger asks first (`bare_names`); and drawn once
and for all from the sound world, in the wording and with the values that were trained on (`seen`);
in wordings that no training set has (`held_out_wording`); with combinations of values that none
has, "a high fast siren", say (`held_out_values`). `bundled`, one of the seen ones for each family,
are what the bundle carries along for `compare` and `diagnose`, and what the gallery shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_audio.evaluate.prompts import Prompt

from .sounds import FIRST, World
from .sounds.synthesis import Rng
from .sounds.world import Attributes, captions, named_slots

#: prompts of each family, of each kind
SEEN_EACH, HELD_OUT_EACH = 3, 2
#: the family's own name and two synonyms
NAMES_EACH = 3


def ask(rng: Rng, name: str, template: str, chosen: Attributes, world: World = FIRST) -> Prompt:
    """Ask for a family in a template's words; what the template does not name may come out as it
    likes.
    """
    family = world.families[name]
    words, named = (
        list(captions(family, template, chosen)),
        {slot: chosen[slot] for slot in named_slots(template)},
    )
    return Prompt(words[rng.integers(len(words))], world.full_seconds, name, family.complete(named))


def ask_by_name(family: str, name: str, world: World = FIRST) -> Prompt:
    """Ask for a sound and nothing more: every value may come out as it likes."""
    return Prompt(name, world.full_seconds, family)


def _drawn(world: World, kind: int, wordings: str, values: str, each: int) -> tuple[Prompt, ...]:
    """`each` prompts of every family, as different as can be: templates in turn, values and words
    at random.
    """
    prompts: dict[str, Prompt] = {}
    for number, (name, family) in enumerate(world.families.items()):
        rng = np.random.default_rng([kind, number])
        templates, choices = rng.permutation(getattr(family, wordings)), getattr(family, values)()
        for index in range(each if choices else 0):
            prompt = ask(
                rng,
                name,
                str(templates[index % len(templates)]),
                choices[rng.integers(len(choices))],
                world,
            )
            prompts[prompt.text] = prompt
    return tuple(prompts.values())


NAMES = "bare names"


@dataclass(frozen=True)
class Prompts:
    """The prompts of a sound world, of each kind."""

    bare_names: tuple[Prompt, ...]
    seen: tuple[Prompt, ...]
    held_out_wording: tuple[Prompt, ...]
    held_out_values: tuple[Prompt, ...]

    @property
    def bundled(self) -> tuple[Prompt, ...]:
        """One of the seen ones for each family."""
        return tuple({prompt.family: prompt for prompt in reversed(self.seen)}.values())[::-1]

    @property
    def kinds(self) -> dict[str, tuple[Prompt, ...]]:
        """Every kind but the bundled ones, as an evaluation calls them."""
        return {
            NAMES: self.bare_names,
            "seen": self.seen,
            "held-out wording": self.held_out_wording,
            "held-out values": self.held_out_values,
        }


def prompts_of(world: World) -> Prompts:
    """All of them, always the same."""
    return Prompts(
        tuple(
            ask_by_name(family, name, world)
            for family, kind in world.families.items()
            for name in kind.names[:NAMES_EACH]
        ),
        _drawn(world, 1, "phrasings", "trained_combinations", SEEN_EACH),
        _drawn(world, 2, "held_out", "trained_combinations", HELD_OUT_EACH),
        _drawn(world, 3, "phrasings", "held_out_combinations", HELD_OUT_EACH),
    )
