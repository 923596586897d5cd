"""What readers of data sets find: metadata beside the sounds, as AudioFolder of Hugging Face has it
(https://huggingface.co/docs/datasets/audio_dataset), or shards of WebDataset.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from edge_audio.batch.make import STAGED
from edge_audio.batch.place import STATE

if TYPE_CHECKING:
    from edge_audio.batch.job import Unit
    from edge_audio.batch.run import Run

METADATA = ("jsonl", "csv", "parquet")
FAILURES = "failures.csv"
#: rows of Parquet that are in memory at a time
GROUP = 4096
#: of a record, what the metadata has
_FIELDS = "seed seconds sample_rate channels attempts passed measured expected sha256".split()

Entry = dict[str, Any]


def entries(run: Run) -> Iterator[Entry]:
    """A row of metadata for every sound, in the order of the list."""
    records = run.journal.records(unit.key for unit in run.plan)
    for unit, record in zip(run.plan, records):
        if record is not None and "failed" not in record:
            yield entry(unit, record)


def entry(unit: Unit, record: dict[str, Any]) -> Entry:
    """The metadata of a sound: columns of one type each, settings as JSON."""
    family, attributes = unit.wanted or (None, None)
    levels = record["levels"]
    return {
        "file_name": record["file"],
        "prompt": unit.ask.get("prompt"),
        "row": unit.row,
        "take": unit.take,
        **{name: record[name] for name in _FIELDS},
        "family": family,
        "attributes": None if attributes is None else json.dumps(attributes),
        **{name: levels[name] for name in ("peak_dbfs", "rms_dbfs", "loudest_dbfs")},
        "gain": record["gain"],
        "notes": "; ".join(record["notes"]),
        "settings": json.dumps(record["settings"]),
        **unit.carried,
    }


def failures(run: Run) -> Iterator[tuple[int, int, str, str]]:
    """(row, take, prompt, reason) of what could not be made."""
    records = run.journal.records(unit.key for unit in run.plan)
    for unit, record in zip(run.plan, records):
        if record is not None and "failed" in record:
            yield unit.row, unit.take, str(unit.ask.get("prompt") or ""), record["failed"]


def finish(run: Run, kind: str) -> None:
    """Metadata in the place of the sounds, or shards; a list of what failed, if anything did; and
    sounds that the list no longer has put away.
    """
    folder = run.place.folder
    if run.job.shard_size and folder is not None:
        _pack(run, folder)
    elif folder is None:
        data = io.BytesIO()
        WRITERS[kind](entries(run), data)
        run.place.write(f"metadata.{kind}", data.getvalue())
    else:
        _put_away(run, folder)
        for other in set(METADATA) - {kind}:  # AudioFolder takes one kind
            (folder / f"metadata.{other}").unlink(missing_ok=True)
        _replace(folder / f"metadata.{kind}", lambda file: WRITERS[kind](entries(run), file))
    _write_failures(run, run.state / FAILURES)


def _jsonl(rows: Iterator[Entry], file: IO[bytes]) -> None:
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False, default=str).encode() + b"\n")


def _csv(rows: Iterator[Entry], file: IO[bytes]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(text, list(row), lineterminator="\n", extrasaction="ignore")
            writer.writeheader()
        writer.writerow(row)
    text.detach()


def _parquet(rows: Iterator[Entry], file: IO[bytes]) -> None:
    import pyarrow
    import pyarrow.parquet

    group: list[Entry] = []
    writer = None

    def write() -> None:
        nonlocal writer
        if writer is None:
            writer = pyarrow.parquet.ParquetWriter(file, _schema(group[0]))
        writer.write_table(pyarrow.Table.from_pylist(group, writer.schema))
        group.clear()

    for row in rows:
        group.append({name: _plain(value) for name, value in row.items()})
        if len(group) == GROUP:
            write()
    if group:
        write()
    if writer is not None:
        writer.close()


def _schema(row: Entry) -> Any:
    import pyarrow

    types = {"row": pyarrow.int64(), "take": pyarrow.int64(), "seed": pyarrow.int64()}
    types |= {name: pyarrow.int64() for name in ("sample_rate", "channels", "attempts")}
    types |= {"passed": pyarrow.bool_()}
    numbers = ("seconds", "peak_dbfs", "rms_dbfs", "loudest_dbfs", "gain")
    types |= {name: pyarrow.float64() for name in numbers}
    return pyarrow.schema([(name, types.get(name, pyarrow.string())) for name in row])


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (dict, list)) else value


WRITERS: dict[str, Callable[[Iterator[Entry], IO[bytes]], None]] = {
    "jsonl": _jsonl,
    "csv": _csv,
    "parquet": _parquet,
}


# Shards


def packed(folder: Path) -> dict[str, int]:
    """Name -> bytes of the sounds that are in shards."""
    found: dict[str, int] = {}
    for path in sorted(folder.glob("sounds-*.tar")):
        with tarfile.open(path) as tar:
            found |= {member.name: member.size for member in tar}
    return found


def _pack(run: Run, folder: Path) -> None:
    """Shards of so many units each, by their numbers in the plan; those that have not changed
    stay as they are.
    """
    size, shard, number = run.job.shard_size, list[Entry](), 0
    records = run.journal.records(unit.key for unit in run.plan)
    at = 0
    for at, (unit, record) in enumerate(zip(run.plan, records), 1):
        if record is not None and "failed" not in record:
            shard.append(entry(unit, record))
        if at % size == 0:
            _write_shard(folder, number, shard)
            shard, number = [], number + 1
    if at % size:
        _write_shard(folder, number, shard)


def _write_shard(folder: Path, number: int, rows: list[Entry]) -> None:
    path = folder / f"sounds-{number:06}.tar"
    note = folder / STATE / f"{path.name}.sha256"
    digest = hashlib.sha256(json.dumps(rows, default=str).encode()).hexdigest()
    if note.exists() and note.read_text(encoding="utf-8") == digest and path.exists():
        return
    old = tarfile.open(path) if path.exists() else None  # noqa: SIM115 (closed below)

    def write(file: IO[bytes]) -> None:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for row in rows:
                staged, name = folder / STAGED / row["file_name"], row["file_name"]
                if staged.exists():
                    data = staged.read_bytes()
                else:
                    member = old.extractfile(name) if old else None
                    data = member.read() if member else b""
                _add(tar, name, data)
                text = json.dumps(row, ensure_ascii=False, default=str)
                _add(tar, f"{name.rsplit('.', 1)[0]}.json", text.encode())

    try:
        _replace(path, write)
    finally:
        if old:
            old.close()
    save_text(note, digest)
    for row in rows:
        (folder / STAGED / row["file_name"]).unlink(missing_ok=True)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """A member without time and owner: the same bytes each time."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _put_away(run: Run, folder: Path) -> None:
    """Move sounds that the run made, and that the list no longer has, out of the readers' sight."""
    listed = {f"{unit.stem}{run.job.extension}" for unit in run.plan}
    keys = {unit.key for unit in run.plan}
    others = (key for key in run.journal.units() if key not in keys)
    for record in run.journal.records(others):
        if record is None or "failed" in record or record["file"] in listed:
            continue
        if (folder / record["file"]).exists():
            away = folder / STATE / "unlisted"
            away.mkdir(exist_ok=True)
            os.replace(folder / record["file"], away / record["file"])


def _write_failures(run: Run, path: Path) -> None:
    rows = list(failures(run))
    if not rows:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("row", "take", "prompt", "reason"))
    writer.writerows(rows)
    save_text(path, text.getvalue())


def save_text(path: Path, text: str) -> None:
    """The file appears whole or not at all."""
    _replace(path, lambda file: file.write(text.encode()))


def _replace(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            write(file)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
