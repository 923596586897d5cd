"""`source.json`, beside a model's own files: where a model that is kept here came from."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_audio.values import is_text, is_whole

FILE = "source.json"
_LONGEST = 1 << 20


@dataclass(frozen=True)
class Source:
    """A repository at a commit, and its licence. files: of a checkpoint, place -> bytes and hash of
    what was fetched.
    """

    repository: str = ""
    commit: str = ""
    license: str = ""
    files: dict[str, tuple[int, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> Source | None:
        """What is written in a model's folder; None if nothing is, or nothing that makes sense."""
        path = folder / FILE
        try:
            if path.stat().st_size > _LONGEST:
                return None
            entries = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(entries, dict):
            return None
        texts = [_plain(entries.get(name)) for name in ("repository", "commit", "license")]
        files = entries.get("files")
        return cls(texts[0], texts[1], texts[2], _files(files if isinstance(files, dict) else {}))

    def write(self, folder: Path) -> None:
        """Write it into a model's folder."""
        entries = dataclasses.asdict(self)
        text = json.dumps(entries, indent=2, sort_keys=True) + "\n"
        (folder / FILE).write_text(text, encoding="utf-8")


def _plain(value: Any) -> str:
    return value[:200] if is_text(value) and value.isprintable() else ""


def _files(entries: dict[str, Any]) -> dict[str, tuple[int, str]]:
    return {
        place: (value[0], value[1])
        for place, value in entries.items()
        if isinstance(value, list)
        and len(value) == 2
        and is_whole(value[0])
        and is_text(value[1])
        and not place.startswith("/")
        and ".." not in place
    }
