"""Notes: what a person should know about a clip that was made, and is no error."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """kind: what the note is about, such as "cfg" or "words", for programs. text: for people."""

    kind: str
    text: str

    def __str__(self) -> str:
        return self.text
