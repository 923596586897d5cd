"""Prompts to measure the pocket model with: what to ask for, and what
`edge_audio.listening.check` should then hear.

Four kinds: the names of every family alone, as a stranger asks first (`BARE_NAMES`); and drawn once
and for all from the sound world, in the wording and with the values that were trained on (`SEEN`);
in wordings that no training set has (`HELD_OUT_WORDING`); with combinations of values that none
has, "a high fast siren", say (`HELD_OUT_VALUES`). `BUNDLED`, one of the seen ones for each family,
are what the bundle carries along for `compare` and `diagnose`, and what the gallery shows.
"""

from __future__ import annotations

import numpy as np

from edge_audio.evaluate.prompts import Prompt

from .sounds import FAMILIES, FULL_SECONDS
from .sounds.synthesis import Rng
from .sounds.world import Attributes, captions, named_slots

#: prompts of each family, of each kind
SEEN_EACH, HELD_OUT_EACH = 3, 2
#: the family's own name and two synonyms
NAMES_EACH = 3


def ask(rng: Rng, name: str, template: str, chosen: Attributes) -> Prompt:
    """Ask for a family in a template's words; what the template does not name may come out as it
    likes.
    """
    family = FAMILIES[name]
    words, named = (
        list(captions(family, template, chosen)),
        {slot: chosen[slot] for slot in named_slots(template)},
    )
    return Prompt(words[rng.integers(len(words))], FULL_SECONDS, name, family.complete(named))


def _drawn(kind: int, wordings: str, values: str, each: int) -> tuple[Prompt, ...]:
    """`each` prompts of every family, as different as can be: templates in turn, values and words
    at random.
    """
    prompts: dict[str, Prompt] = {}
    for number, (name, family) in enumerate(FAMILIES.items()):
        rng = np.random.default_rng([kind, number])
        templates, choices = rng.permutation(getattr(family, wordings)), getattr(family, values)()
        for index in range(each if choices else 0):
            prompt = ask(
                rng,
                name,
                str(templates[index % len(templates)]),
                choices[rng.integers(len(choices))],
            )
            prompts[prompt.text] = prompt
    return tuple(prompts.values())


def ask_by_name(family: str, name: str) -> Prompt:
    """Ask for a sound and nothing more: every value may come out as it likes."""
    return Prompt(name, FULL_SECONDS, family)


BARE_NAMES = tuple(
    ask_by_name(family, name)
    for family, kind in FAMILIES.items()
    for name in kind.names[:NAMES_EACH]
)
SEEN = _drawn(1, "phrasings", "trained_combinations", SEEN_EACH)
HELD_OUT_WORDING = _drawn(2, "held_out", "trained_combinations", HELD_OUT_EACH)
HELD_OUT_VALUES = _drawn(3, "phrasings", "held_out_combinations", HELD_OUT_EACH)
BUNDLED = tuple({prompt.family: prompt for prompt in reversed(SEEN)}.values())[::-1]

NAMES = "bare names"
# Every kind but the bundled ones, as an evaluation calls them.
KINDS = {
    NAMES: BARE_NAMES,
    "seen": SEEN,
    "held-out wording": HELD_OUT_WORDING,
    "held-out values": HELD_OUT_VALUES,
}
