"""What is done: a line of JSON for every unit, added when its sound is in its place, so that a run
that was killed anywhere goes on with the next. The last line of a unit counts; half a line, which a
kill may leave, does not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_audio.errors import EdgeAudioError, first_line

#: bytes of a journal, at most
FILE = 1 << 48
#: what is known of a unit: `unit`, its key; `file`, `bytes`, ...; or `failed`, the reason
Record = dict[str, Any]


class Journal:
    """The records of a folder, of which this process adds to one file.

    Several shards of a run add to a file each, and read those of all.
    """

    def __init__(self, folder: Path, shard: str = ""):
        self.folder = folder
        self.path = folder / f"journal{shard and '-'}{shard}.jsonl"
        #: unit -> number of the file times FILE, plus the place of its record: one number is less
        #: memory than two
        self._places: dict[str, int] = {}
        self._files: list[Path] = []
        self._descriptor = -1

    def __enter__(self) -> Journal:
        if self.path.exists():
            _cut_half_line(self.path)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        self._descriptor = os.open(self.path, flags, 0o666)
        self.read()
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._descriptor)

    def __len__(self) -> int:
        return len(self._places)

    def read(self) -> None:
        """Take up what all shards have recorded so far."""
        self._files = sorted(self.folder.glob("journal*.jsonl"))
        self._places.clear()
        for index, path in enumerate(self._files):
            with path.open("rb") as file:
                place = 0
                for line in file:
                    if line.endswith(b"\n") and (unit := _unit(line)):
                        earlier = self._places.get(unit)
                        # a sound that was made counts more than a failure of another time
                        if earlier is None or b'"failed":' not in line[:200]:
                            self._places[unit] = index * FILE + place
                    place += len(line)

    def add(self, record: Record) -> None:
        """One more, in one write. EdgeAudioError if it cannot be: then none of it is there."""
        line = (json.dumps(record, separators=(",", ":")) + "\n").encode()
        place = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            is_whole, reason = os.write(self._descriptor, line) == len(line), "no space left"
        except OSError as error:
            is_whole, reason = False, error.strerror or first_line(error)
        if not is_whole:
            os.ftruncate(self._descriptor, place)
            raise EdgeAudioError(
                f"{self.path} cannot be written ({reason}); run the same command again to go on"
            )
        if self.path not in self._files:
            self._files.append(self.path)
        self._places[record["unit"]] = self._files.index(self.path) * FILE + place

    def records(self, units: Iterator[str]) -> Iterator[Record | None]:
        """Of units in their order, None for what has none."""
        files = [path.open("rb") for path in self._files]
        try:
            for unit in units:
                if unit not in self._places:
                    yield None
                    continue
                index, place = divmod(self._places[unit], FILE)
                files[index].seek(place)
                yield json.loads(files[index].readline())
        finally:
            for file in files:
                file.close()

    def __contains__(self, unit: str) -> bool:
        return unit in self._places

    def units(self) -> list[str]:
        """All that have a record."""
        return list(self._places)


def _unit(line: bytes) -> str | None:
    try:
        unit = json.loads(line).get("unit")
    except (ValueError, AttributeError):
        return None
    return unit if isinstance(unit, str) else None


def _cut_half_line(path: Path) -> None:
    data_end = path.stat().st_size
    with path.open("rb+") as file:
        back = min(data_end, 1 << 20)
        file.seek(data_end - back)
        last = file.read(back).rfind(b"\n")
        file.truncate(data_end - back + last + 1)
