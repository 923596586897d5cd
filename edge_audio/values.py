"""What a value from outside is, before it is believed."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


def is_sequence(value: Any) -> bool:
    return isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (str, bytes))


def is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    try:
        return is_number(value) and math.isfinite(value)
    except OverflowError:  # an int that no float can hold
        return False


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_truth(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


def is_list_of_whole(value: Any) -> bool:
    return is_sequence(value) and all(map(is_whole, value))


def is_given(regions: Any) -> bool:
    return regions is not None and not (is_sequence(regions) and len(regions) == 0)


def is_list_of_pairs(value: Any) -> bool:
    return is_sequence(value) and all(
        is_sequence(one) and len(one) == 2 and all(map(is_number, one)) for one in value
    )


def shown(value: Any) -> str:
    """A value in an error's one line: short, and without control characters."""
    if isinstance(value, (float, np.number)):
        return str(value)
    try:
        if isinstance(value, int):
            str(value)  # of which reprlib of Python 3.14 tells the address
        return reprlib.repr(value)
    except ValueError:  # Python writes no int of thousands of digits
        return type(value).__name__


def counted(count: int, noun: str) -> str:
    """ "1 row", "2 rows"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def words_of(prompt: str | None) -> list[str]:
    """Its words in lower case: letters and digits of any language."""
    return re.findall(r"[^\W_]+", (prompt or "").lower())


def file_stem(words: Iterable[str]) -> str:
    """What words become in the name of a file: "rain-on-a-roof", of as many as 48 characters hold;
    "clip" of none.
    """
    stem = "-".join(words)
    if len(stem) > 48:
        stem = stem[:49].rpartition("-")[0] or stem[:48]
    return stem or "clip"
