"""Put a finished bundle in the place of an older one, so that a kill at any moment loses neither.

The new files lie in a folder beside the bundle. Once the journal is there, they are the bundle: the
next export into the same place moves what a kill kept from being moved. While files move there is
no manifest in the bundle, so that nobody opens a mixture.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from edge_audio.bundle.manifest import COMPONENTS, GENERATING, MANIFEST_NAME
from edge_audio.bundle.precision import PRECISIONS
from edge_audio.errors import EdgeAudioError
from edge_audio.system import processes

TOKENIZER_NAME = "tokenizer.model"
CHECKS_NAME = "checks.json"
VOCABULARY_NAME = "vocabulary.json"
FOLDED_NAME = "dit.folded.safetensors"
#: every name that an export may give a file of a bundle; other files in its folder stay
NAMES = (
    MANIFEST_NAME,
    TOKENIZER_NAME,
    CHECKS_NAME,
    VOCABULARY_NAME,
    FOLDED_NAME,
    *(f"{component}.mixed.json" for component in GENERATING),
    *(f"{component}.{precision}.tflite" for component in COMPONENTS for precision in PRECISIONS),
)
_JOURNAL, _OLD = "publish.json", "old"


def staging_folder(out: Path) -> Path:
    """Where the files of the bundle `out` lie until all of them are there."""
    return out.with_name(f".{out.name}.partial")


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep other exports away from `out`, whose parent folder is there.

    EdgeAudioError if one is at work there. The system frees the lock of a process that died.
    """
    path = out.with_name(f".{out.name}.lock")
    while True:
        stream = path.open("a+")
        try:
            _lock(stream, out)
            # the export before may have deleted the file between opening and locking it
            if path.exists() and os.path.samestat(os.fstat(stream.fileno()), path.stat()):
                break
        except BaseException:
            stream.close()
            raise
        stream.close()
    try:
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        stream.close()


def _lock(stream: TextIO, out: Path) -> None:
    try:
        processes.lock(stream.fileno())
    except BlockingIOError:
        stream.seek(0)
        owner = stream.read().strip()
        raise EdgeAudioError(
            f"another export into {out} is running (process {owner or 'unknown'}); wait until it is"
            " done, or give another folder"
        ) from None
    except OSError:
        pass  # a network file system without locks


def publish(staging: Path, names: list[str], out: Path) -> None:
    """Move the complete bundle of the files `names` from `staging` to `out`, in the place of an
    older one; if that fails, all files are where they were.
    """
    shutil.rmtree(staging / _OLD, ignore_errors=True)  # of an export that was killed
    journal = staging / _JOURNAL
    temporary = journal.with_suffix(".tmp")
    temporary.write_text(json.dumps(names))
    temporary.replace(journal)
    try:
        _move(staging, names, out)
    except BaseException:
        _move_back(staging, names, out)
        journal.unlink()
        raise
    journal.unlink()


def is_interrupted(out: Path) -> bool:
    """Whether an export into `out` was killed while it published."""
    return (staging_folder(out) / _JOURNAL).is_file()


def complete(out: Path) -> bool:
    """Finish what a killed export had begun to publish; whether there was such a thing."""
    if not is_interrupted(out):
        return False
    staging = staging_folder(out)
    journal = staging / _JOURNAL
    names = json.loads(journal.read_text(encoding="utf-8"))
    # unless somebody has tidied up meanwhile
    whole = all((staging / name).is_file() or (out / name).is_file() for name in names)
    if whole:
        _move(staging, names, out)
    journal.unlink()
    return whole


def _move(staging: Path, names: list[str], out: Path) -> None:
    """Can be done again after any part of it was done: a new file is in `staging` until it is in
    its place, so one of that name in `out` is old.
    """
    old = staging / _OLD
    for folder in (out, old):
        folder.mkdir(exist_ok=True)
    for name in NAMES:  # the manifest is the first to go
        if (out / name).exists() and (name not in names or (staging / name).exists()):
            (out / name).replace(old / name)
    for name in sorted(names, key=MANIFEST_NAME.__eq__):  # and the last to come
        if (staging / name).exists():
            (staging / name).replace(out / name)


def _move_back(staging: Path, names: list[str], out: Path) -> None:
    for name in names:
        if not (staging / name).exists():
            (out / name).replace(staging / name)
    for path in sorted((staging / _OLD).glob("*"), key=lambda path: path.name == MANIFEST_NAME):
        path.replace(out / path.name)
