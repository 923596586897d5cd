"""Prompts to measure the pocket model with: what to ask for, and what `edge_audio.evaluate.checks.check` should then hear.

Three kinds, drawn once and for all from the sound world: in the wording and with the values that were trained on (`SEEN`); in wordings that
no training set has (`HELD_OUT_WORDING`); with combinations of values that none has, "a high fast siren", say (`HELD_OUT_VALUES`).
`BUNDLED` are those that the bundle carries along for `compare` and `diagnose`.
"""

from __future__ import annotations

from edge_audio.evaluate.prompts import Prompt

import numpy as np

from .sounds import FAMILIES, FULL_SECONDS, complete_attributes
from .sounds.world import Attributes, captions, named_slots

SEEN_EACH, HELD_OUT_EACH = 3, 2
"""prompts of each family, of each kind"""


def _ask(text: str, family: str, **key: str | int) -> Prompt:
    return Prompt(text, FULL_SECONDS, family, complete_attributes(family, key))


BUNDLED: tuple[Prompt, ...] = (
    _ask("a sine tone at A4", "tone", note="A4"),
    _ask("steady C3 tone", "tone", note="C3"),
    _ask("pure tone, note C#5", "tone", note="C#5"),
    _ask("an F#3 sine wave", "tone", note="F#3"),
    _ask("sine wave at E5", "tone", note="E5"),
    _ask("a steady tone on the note G4", "tone", note="G4"),
    _ask("a plucked string at E3", "pluck", note="E3"),
    _ask("plucked A3 string", "pluck", note="A3"),
    _ask("guitar pluck, note D4", "pluck", note="D4"),
    _ask("a guitar string plucked at G#4", "pluck", note="G#4"),
    _ask("a bell ringing at C5", "bell", note="C5"),
    _ask("bell, note A4", "bell", note="A4"),
    _ask("an F5 bell", "bell", note="F5"),
    _ask("a low bass note at E2", "bass", note="E2"),
    _ask("bass note A2", "bass", note="A2"),
    _ask("an A minor chord", "chord", chord="A minor"),
    _ask("a rising sine sweep", "sweep", direction="rising"),
    _ask("upward pitch sweep", "sweep", direction="rising"),
    _ask("a falling sine sweep", "sweep", direction="falling"),
    _ask("a sweep going down", "sweep", direction="falling"),
    _ask("a slow siren", "siren", rate="slow"),
    _ask("fast siren wailing", "siren", rate="fast"),
    _ask("slow beeps", "beeps", rate="slow"),
    _ask("fast electronic beeps", "beeps", rate="fast"),
    _ask("repeated laser shots", "laser", shots="repeated"),
    _ask("a kick drum", "kick"),
    _ask("snare drum hit", "snare"),
    _ask("closed hi-hat hit", "hat"),
    _ask("drum beat at 120 bpm", "beat", bpm=120),
    _ask("90 bpm beat", "beat", bpm=90),
    _ask("a 160 bpm drum loop", "beat", bpm=160),
    _ask("drums playing at 70 bpm", "beat", bpm=70),
    _ask("metronome at 100 bpm", "metronome", bpm=100),
    _ask("a 140 bpm click track", "metronome", bpm=140),
    _ask("steady rain", "rain", amount="heavy"),
    _ask("the sound of rain", "rain", amount="heavy"),
    _ask("ocean waves", "waves"),
    _ask("waves on a beach", "waves"),
    _ask("wind blowing", "wind"),
    _ask("white noise", "noise", colour="white"),
)


def _drawn(kind: int, wordings: str, values: str, each: int) -> tuple[Prompt, ...]:
    """`each` prompts of every family, as different as can be: templates in turn, values and words at random."""
    prompts: dict[str, Prompt] = {}
    for number, (name, family) in enumerate(FAMILIES.items()):
        rng = np.random.default_rng([kind, number])
        templates, choices = rng.permutation(getattr(family, wordings)), getattr(family, values)()
        for index in range(each if choices else 0):
            template, chosen = str(templates[index % len(templates)]), choices[rng.integers(len(choices))]
            words = list(captions(family, template, chosen))
            named: Attributes = {slot: chosen[slot] for slot in named_slots(template)}
            text = words[rng.integers(len(words))]
            prompts[text] = Prompt(text, FULL_SECONDS, name, family.complete(named))
    return tuple(prompts.values())


SEEN = _drawn(1, "phrasings", "trained_combinations", SEEN_EACH)
HELD_OUT_WORDING = _drawn(2, "held_out", "trained_combinations", HELD_OUT_EACH)
HELD_OUT_VALUES = _drawn(3, "phrasings", "held_out_combinations", HELD_OUT_EACH)
