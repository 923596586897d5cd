"""What a row's sound should be heard as: the family and attributes that `listening.check` asks for.

A row says it itself, in its columns `family` and `attributes`; else the bundle does, of the prompts
that it brings checks for and of the names of its families. Other prompts are not judged: a verdict
on what was not understood would be worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from edge_audio.bundle.store import Bundle
from edge_audio.bundle.vocabulary import words_of
from edge_audio.errors import UsageError
from edge_audio.evaluate.prompts import of_bundle
from edge_audio.values import shown

_NOTE = re.compile(r"([A-G])(#?)(-?\d)")
_SEMITONES = {"C": -9, "D": -7, "E": -5, "F": -4, "G": -2, "A": 0, "B": 2}

#: a family, and its attributes
Wanted = tuple[str, dict[str, Any]]


class Hearing:
    """What can be heard of the prompts of a bundle."""

    def __init__(self, bundle: Bundle):
        known = {prompt.text: prompt for prompt in of_bundle(bundle) if prompt.family}
        self._exact = {text: (p.family or "", p.attributes) for text, p in known.items()}
        self._fillers = bundle.vocabulary.fillers if bundle.vocabulary else frozenset[str]()
        self._names: dict[str, str] = {}
        for family in bundle.prompts:
            judged = {known[text].family for text in family.prompts if text in known}
            for name in (family.name, *family.prompts) if len(judged) == 1 else ():
                if name not in known:
                    self._names[self._key(name)] = judged.copy().pop() or ""

    def wanted(
        self, prompt: str | None, family: str | None, attributes: Mapping[str, Any] | None
    ) -> Wanted | None:
        """None if nothing can be said; UsageError for a family that has no check."""
        from edge_audio.listening import CHECKS

        if family is not None:
            if family not in CHECKS:
                raise UsageError(
                    f"family {shown(family)} has no check; there are {', '.join(sorted(CHECKS))}"
                )
            return family, completed(attributes or {})
        if attributes:
            raise UsageError("attributes are those of a family; name it in a column family")
        if prompt is None:
            return None
        if prompt in self._exact:
            return self._exact[prompt]
        name = self._names.get(self._key(prompt))
        return None if name is None else (name, {})

    def _key(self, text: str) -> str:
        words = [word for word in words_of(text) if word not in self._fillers]
        return " ".join(words[1:] if words[:1] in (["a"], ["an"]) else words)


def completed(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """With the frequency in Hz of a note that has none (equal temperament, A4 = 440 Hz), and
    numbers as such: a template's values are text.
    """
    found: dict[str, Any] = {}
    for name, value in attributes.items():
        text = str(value)
        found[name] = int(text) if isinstance(value, str) and text.isdecimal() else value
    note = found.get("note")
    if "hz" not in found and isinstance(note, str) and (match := _NOTE.fullmatch(note)):
        steps = _SEMITONES[match[1]] + len(match[2]) + 12 * (int(match[3]) - 4)
        found["hz"] = 440.0 * 2 ** (steps / 12)
    return found
