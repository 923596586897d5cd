"""What the columns of a list mean: every setting of `edge_audio.Request` by its name, and a few
that only a list has.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from edge_audio.errors import UsageError
from edge_audio.request import Request
from edge_audio.values import shown

#: columns of a list alone -> their type
OF_LISTS = {
    "file_name": "str",
    "variations": "int",
    "family": "str",
    "attributes": "dict",
    "lora": "styles",
}
#: columns that say what to hear, one of which a list must have
PROMPTS = frozenset(("prompt", "ids"))
#: how the command line calls a setting
ALIASES = {"cfg": "cfg_scale"}
SETTINGS = {field.name: str(field.type) for field in dataclasses.fields(Request)}
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class ColumnError(UsageError):
    """What is wrong with a column, and so with every row that has it."""


def no_prompt(columns: Iterable[Any]) -> ColumnError:
    """What to say of a list that has only these columns."""
    found = ", ".join(str(name)[:40] for name in islice(columns, 20))
    return ColumnError(f"there is no prompt; give a column prompt (its columns: {found})")


def check_columns(names: Iterable[str], carried: Iterable[str]) -> None:
    """ColumnError for a column that means nothing, with the nearest one that does."""
    known = [*SETTINGS, *OF_LISTS, *ALIASES, *carried]
    for name in names:
        if name in known:
            continue
        near = difflib.get_close_matches(str(name), known, 1, 0.6)
        meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise ColumnError(
            f"column {shown(name)} is unknown; {meant} (a column of your own that should only be"
            f" written to the metadata: --carry {str(name)[:40]})"
        )


def value_of(name: str, cell: Any) -> Any:
    """What a cell says: text, as CSV has all of it, becomes the type of its column; UsageError if
    it cannot. What has a type already stays, and is checked with the rest of the request.
    """
    kind = (SETTINGS | OF_LISTS)[name]
    if not isinstance(cell, str) or kind.startswith("str"):
        return tuple(cell) if isinstance(cell, list) else cell
    for start, read, wanted in _READ:
        if kind.startswith(start):
            try:
                return read(cell.strip())
            except (ValueError, RecursionError):
                raise UsageError(f"{name} {shown(cell)} is {wanted}") from None
    return cell


def _truth(text: str) -> bool:
    if text.lower() not in TRUE + FALSE:
        raise ValueError
    return text.lower() in TRUE


def _whole(text: str) -> int:
    number = float(text)  # a spreadsheet writes 7.0
    if number != int(number):
        raise ValueError
    return int(text) if text.lstrip("+-").isdecimal() else int(number)


def _regions(text: str) -> tuple[tuple[float, float], ...]:
    """ "4-7, 9-10", as `--replace` has them, or JSON."""
    if text.startswith("["):
        return tuple((float(begin), float(end)) for begin, end in json.loads(text))
    pairs = (part.split("-") for part in text.split(","))
    return tuple((float(begin), float(end)) for begin, end in pairs)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.strip("[]").split(",") if part.strip())


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError
    return found


#: beginning of a type -> what reads text as such, and what text is that it cannot
_READ: tuple[tuple[str, Callable[[str], Any], str], ...] = (
    ("bool", _truth, "neither true nor false"),
    ("int", _whole, "no whole number"),
    ("float", float, "no number"),
    ("tuple[int", _numbers, "no list of whole numbers like 37,112,1"),
    ("tuple[tuple", _regions, "no list of seconds like 4-7,9-10"),
    ("dict", _object, 'no JSON object like {"note": "A4"}'),
)
