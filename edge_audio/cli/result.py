"""What commands give to programs: with `--json`, one object on standard output."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from edge_audio.notes import Note


def print_result(result: Mapping[str, Any]) -> None:
    """The one object of a command that was done."""
    print(json.dumps(_finite(result), allow_nan=False), flush=True)


def print_error(message: str, code: int) -> None:
    """The one object of a command that was not."""
    print(json.dumps({"error": message, "exit_code": code}))


def notes_of(notes: tuple[Note, ...] | list[Note]) -> list[dict[str, str]]:
    """Notes as a result has them."""
    return [{"kind": note.kind, "text": note.text} for note in notes]


def _finite(value: Any) -> Any:
    """The same with null for what JSON has no numbers for."""
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
