"""How configurations are read: every entry is known, or refused by its name."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_audio.errors import EdgeAudioError

MEND = "use the configuration that came with the checkpoint"


class Reader:
    """Walks a parsed JSON object and remembers where it is, for messages that name the place."""

    def __init__(self, value: Any, where: str):
        if not isinstance(value, dict):
            raise EdgeAudioError(f"{where} is not an object; {MEND}")
        self.value, self.where = value, where

    def __call__(self, key: str, kind: type) -> Any:
        if key not in self.value:
            raise EdgeAudioError(f"{self.where}.{key} is missing; {MEND}")
        value = self.value[key]
        if kind is dict:
            return Reader(value, f"{self.where}.{key}")
        accepted = (int, float) if kind is float else kind
        fits = isinstance(value, accepted) and isinstance(value, bool) == (kind is bool)
        if not fits:  # mypy would take a value that was asked here for a mere object below
            raise EdgeAudioError(
                f"{self.where}.{key} is {value!r}, expected {kind.__name__}; {MEND}"
            )
        if (kind is int and value < 1) or (kind is float and not math.isfinite(value)):
            raise EdgeAudioError(
                f"{self.where}.{key} is {value!r}, which no model can have; {MEND}"
            )
        return kind(value)

    def expect(self, key: str, *supported: Any) -> None:
        """The entry must be there and be one of the supported values."""
        value = self.value.get(key)
        if value not in supported:
            raise EdgeAudioError(
                f"{self.where}.{key} is {value!r}; only models with"
                f" {' or '.join(map(repr, supported))} can be exported"
            )

    def only(self, known: set[str], options: Mapping[str, Any]) -> None:
        """Every entry must be known, or an option at the value that the graphs implement (`...`
        allows any).
        """
        for key, value in self.value.items():
            if key not in known and key not in options:
                raise EdgeAudioError(
                    f"{self.where}.{key} (value {value!r}) is not known here; only models without"
                    " it can be exported"
                )
            if key in options and options[key] is not ... and value != options[key]:
                raise EdgeAudioError(
                    f"{self.where}.{key} is {value!r}; only models with {options[key]!r} can be"
                    " exported"
                )


def load_json(path: Path) -> Any:
    """The parsed file; EdgeAudioError if it is missing or damaged."""
    if not path.is_file():
        raise EdgeAudioError(f"{path} is missing; give the folder of an official-format checkpoint")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EdgeAudioError(f"{path} cannot be read ({error}); download it again") from None
