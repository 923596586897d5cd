"""Lists of rows as people have them: CSV, JSON Lines, Parquet, or a text file with a prompt a
line. Read one row at a time, so that a list may be longer than memory.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from edge_audio.batch.columns import no_prompt
from edge_audio.errors import EdgeAudioError, first_line

#: characters of one row; what is longer is none
LONGEST = 1 << 16
#: rows of a Parquet file that are in memory at a time
BATCH = 1024
#: lists that name their columns once, for all rows
HEADED = (".csv", ".parquet")
#: what a row is: the place that a person looks it up by, and its cells
Row = tuple[int, dict[str, Any]]


def read_rows(path: Path, needed: Collection[str] = ()) -> Iterator[Row]:
    """(number, column -> cell) of every row; empty cells are left out.

    The number is the line of a text, CSV (of where the row ends) or JSON Lines file, and the row of
    a Parquet file, from 1. EdgeAudioError if the file is no list. needed: columns of which a list
    that names them once must have one.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise EdgeAudioError(f"{path} is no list; use one of {', '.join(READERS)}")
    is_unchecked, number = bool(needed) and path.suffix.lower() in HEADED, 0
    try:
        for number, cells in reader(path):
            if is_unchecked and cells.keys().isdisjoint(needed):
                raise EdgeAudioError(f"{path}: {no_prompt(cells)}")
            is_unchecked = False
            yield number, {name: cell for name, cell in cells.items() if cell not in (None, "")}
    except UnicodeDecodeError:
        raise EdgeAudioError(f"{path} is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise EdgeAudioError(f"{path} cannot be read ({reason}); name a list of prompts") from None
    except (ValueError, csv.Error, RecursionError) as error:
        raise EdgeAudioError(
            f"{path} is malformed after row {number} ({first_line(error)}); mend it there"
        ) from None
    if not number:
        raise EdgeAudioError(f"{path} is empty; write a prompt a line")


def _text(path: Path) -> Iterator[Row]:
    for number, line in _lines(path):
        if any(ord(character) < 32 and character != "\t" for character in line):
            raise ValueError("control characters are no prompt")
        yield number, {"prompt": " ".join(line.split())}


def _json_lines(path: Path) -> Iterator[Row]:
    for number, line in _lines(path):
        cells = json.loads(line)
        if not isinstance(cells, dict):
            raise ValueError('a line is no object like {"prompt": "rain"}')
        yield number, cells


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, and their numbers."""
    with path.open(encoding="utf-8-sig") as file:
        number = 0
        while line := file.readline(LONGEST + 1):
            number += 1
            if len(line) > LONGEST:
                raise ValueError(f"a line has more than {LONGEST} characters")
            if line.strip():
                yield number, line.strip()


def _csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(LONGEST)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        for cells in reader:
            if None in cells:
                raise ValueError("the row after it has more cells than the first one")
            yield reader.line_num, cells


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(BATCH):
                for cells in batch.to_pylist():
                    number += 1
                    yield number, cells
    except pyarrow.ArrowException as error:
        raise ValueError(first_line(error)) from None


#: extension -> what reads such a file
READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _csv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
    ".txt": _text,
}
