"""Prompts with choices: "a {slow,fast} {siren,alarm}" is four prompts, "a bell at {note}" as many
as there are notes.

In braces stand a list, a range of whole numbers (`60..180:20`), or the name of an attribute, whose
values are given beside; a name that is there again has the same value again. Two braces are one.
"""

from __future__ import annotations

import functools
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence

from edge_audio.errors import UsageError

#: prompts that one template may become
MOST = 1_000_000
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)(?::(\d+))?")

#: the values of an attribute by name
Attributes = Mapping[str, Sequence[str]]


def expanded(
    template: str, attributes: Attributes, sample: int | None = None, seed: int = 0
) -> Iterator[tuple[str, dict[str, str]]]:
    """Every prompt of a template, and the values of the attributes that it names.

    sample: so many of them, drawn without repetition by `seed` and the template, in place of all.
    UsageError for a template that cannot be read or becomes more than MOST.
    """
    if "{" not in template and "}" not in template:
        yield template, {}
        return
    parts, names, choices = _parsed(template, tuple(attributes.items()))
    count = math.prod(map(len, choices))
    if sample is None and count > MOST:
        raise UsageError(f"{template[:60]!r} has {count} prompts; draw some of them with --sample")
    drawn: Sequence[int] = range(count)
    if sample is not None and sample < count:
        # random.Random(str) is the same on every computer and Python
        drawn = sorted(random.Random(f"{seed} {template}").sample(range(count), sample))
    for number in drawn:
        values = []
        for options in reversed(choices):
            number, index = divmod(number, len(options))
            values.append(options[index])
        values.reverse()
        prompt = "".join(part if isinstance(part, str) else values[part] for part in parts)
        yield prompt, {name: value for name, value in zip(names, values) if name}


@functools.lru_cache(maxsize=64)
def _parsed(
    template: str, attributes: tuple[tuple[str, Sequence[str]], ...]
) -> tuple[list[str | int], list[str], list[Sequence[str]]]:
    """Its pieces, a number where a choice stands; the name and the options of each choice."""
    parts: list[str | int] = []
    names: list[str] = []
    choices: list[Sequence[str]] = []
    known, place = dict(attributes), 0
    for match in _TOKEN.finditer(template):
        parts.append(template[place : match.start()])
        place = match.end()
        text = match[1]
        if match[0] in ("{{", "}}"):
            parts.append(match[0][0])
        elif text is None:
            raise UsageError(f"{template[:60]!r} has a lone {match[0]}; write it twice")
        elif text.strip() in names and text.strip():
            parts.append(names.index(text.strip()))
        else:
            name, options = _choice(text.strip(), known, template)
            parts.append(len(choices))
            names.append(name)
            choices.append(options)
    return [*parts, template[place:]], names, choices


def _choice(
    text: str, attributes: dict[str, Sequence[str]], template: str
) -> tuple[str, list[str]]:
    if text in attributes:
        return text, list(attributes[text])
    if "," not in text and not _RANGE.fullmatch(text):
        given = f"there are {', '.join(attributes)}" if attributes else "none is given"
        raise UsageError(
            f"{template[:60]!r} names the attribute {text[:30]!r}, and {given}; give its values"
            " with --attribute NAME=A,B,C, or write a list in braces"
        )
    return "", values_of(text)


def values_of(text: str) -> list[str]:
    """The values of "A3,B3" or "60..180:20"; UsageError for a range that is none."""
    values: list[str] = []
    for part in map(str.strip, text.split(",")):
        if (match := _RANGE.fullmatch(part)) is None:
            values.append(part)
            continue
        low, high, step = int(match[1]), int(match[2]), int(match[3] or 1)
        if step == 0 or low > high or (high - low) // step > MOST:
            raise UsageError(f"the range {part[:40]} is none; write it like 60..180:20")
        values += map(str, range(low, high + 1, step))
    return values
