"""What is kept between runs: weights as XNNPACK packs them, graphs with styles merged into them,
and which files were already found intact.

LiteRT packs a graph's weights into the order that its kernels read. Kept in a file and mapped into
memory, they load in milliseconds, serve all signatures of a graph, and can be dropped by the system
when memory is short. An entry is made in a file of its own and moved into place when it is whole,
so that a crash, or two processes at once, leave nothing broken; it is trusted only while its size,
times and inode are those it was made with.

The folder is $EDGE_AUDIO_CACHE ("off" for none), else `edge-audio` in the user's cache directory.
It is made for its owner alone. A folder or file that another user owns, or could write to, is not
used: its weights would be computed with as they are.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import re
import secrets
import shutil
import stat
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edge_audio.errors import EdgeAudioWarning
from edge_audio.system import device, folders

VARIABLE = "EDGE_AUDIO_CACHE"
#: Graphs below these bytes are packed in a few hundredths of a second: they are not kept.
MINIMUM = 16 << 20
_WEIGHTS, _RECORD, _BUILDING, _VERIFIED = ".weights", ".json", ".building", "verified-graphs.json"
_GRAPH = ".tflite"
#: merged copies of a graph that are kept, those that were used last
MOST_COPIES = 3
_OURS = re.compile(
    r"[0-9a-f]{32}\.(weights|tflite|json)|verified-graphs\.json"
    r"|([0-9a-f]{32}|verified-graphs)\.\d+-[0-9a-f]{8}\.building"
)
_ABANDONED = 3600  # seconds after which a file that is still being built is nobody's


def folder() -> Path | None:
    """The cache folder, which need not exist; None if caching was switched off, or if there is no
    home directory to put it in.
    """
    named = os.environ.get(VARIABLE)
    if named == "off":
        return None
    return folders.expanded(named) if named else folders.user_folder(folders.CACHE)


def why_not() -> str | None:
    """Why packed weights are not kept on this computer; None if they are."""
    place = folder()
    if place is None:
        if os.environ.get(VARIABLE) == "off":
            return f"switched off by ${VARIABLE}"
        return f"this user has no home directory; name a folder in ${VARIABLE}"
    if not device.runs_compiled_model(device.describe()):
        return "this system or CPU cannot run LiteRT's CompiledModel, which it needs"
    if not _is_private(place):
        return (
            f"{place} belongs to another user, or others may write to it; remove their right to"
            f" (chmod go-w), or name another folder in ${VARIABLE}"
        )
    return None


def size() -> int:
    """Bytes in the cache folder."""
    place = folder()
    return sum(path.stat().st_size for path in _files(place)) if place else 0


def purge() -> int:
    """Delete everything that was cached and return how many bytes that freed.

    Running programs keep what they mapped.
    """
    freed = 0
    for path in _files(folder()):
        bytes_ = path.stat().st_size
        path.unlink(missing_ok=True)
        freed += bytes_
    return freed


@contextlib.contextmanager
def packed_weights(graph: Path, sha256: str) -> Iterator[Path | None]:
    """The file of a graph's packed weights, to be opened inside the `with`; None where they are not
    kept.

    The file holds zeros or is absent the first time: LiteRT fills it while it loads the graph, and
    it is kept if that succeeds.
    """
    if graph.stat().st_size < MINIMUM:
        yield None
        return
    place, reason = folder(), why_not()
    if place is None or reason:  # `why_not` has a reason where there is no folder
        if place and not _is_private(place):
            _warn(f"packed weights are not kept: {reason}")
        yield None
        return
    entry = place / f"{_key(sha256)}{_WEIGHTS}"
    if _is_intact(entry):
        yield entry
        return
    building = _building(entry)
    if not (_make(entry.parent) and _reserve(building, _packed_bytes(graph.stat().st_size))):
        _warn(
            f"{entry.parent} has no room for the packed weights of {graph.name}, or cannot be"
            " written; every start will pack them again, which takes time and memory: free some"
            f" space, or name another folder in ${VARIABLE}"
        )
        yield None
        return
    try:
        yield building
        with contextlib.suppress(OSError):  # without the entry everything still works
            _publish(building, entry, graph)
    finally:
        building.unlink(missing_ok=True)


def copy(key: str, graph: Path, change: Callable[[Path], None]) -> Path | None:
    """A changed copy of a graph that is kept under a key of 64 hexadecimal digits, which stands for
    all that it is made from; None where nothing can be kept.

    change: what is done to a new copy, once: it stays if that raises nothing.
    """
    place = folder()
    if place is None:
        return None
    entry = place / f"{key[:32]}{_GRAPH}"
    record = entry.with_suffix(_RECORD)
    if _is_intact(entry):
        with contextlib.suppress(OSError):
            os.utime(record)  # used just now
        return entry
    building = _building(entry)
    if not (_make(place) and _reserve(building, graph.stat().st_size)):
        _warn(
            f"{place} has no room for a copy of {graph.name}, or cannot be written; every start"
            f" will make one anew: free some space, or name another folder in ${VARIABLE}"
        )
        return None
    try:
        with graph.open("rb") as source, building.open("r+b") as target:
            shutil.copyfileobj(source, target, 1 << 22)
        change(building)
        os.replace(building, entry)
        _write(record, {"copy_of": str(graph.resolve()), "stamp": _stamp(entry)})
        _drop_old_copies(place, graph)
    finally:
        building.unlink(missing_ok=True)
    return entry


def _drop_old_copies(place: Path, graph: Path) -> None:
    """Keep MOST_COPIES of a graph; the others go, with their packed weights."""
    with contextlib.suppress(OSError):  # another process may be at it
        records = {path: _read(path) for path in _files(place) if path.suffix == _RECORD}
        copies = [
            path for path, value in records.items() if value.get("copy_of") == str(graph.resolve())
        ]
        copies.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for copied in copies[MOST_COPIES:]:
            old = copied.with_suffix(_GRAPH)
            for path, value in records.items():
                if value.get("graph") == str(old.resolve()):
                    path.with_suffix(_WEIGHTS).unlink(missing_ok=True)
                    path.unlink(missing_ok=True)
            copied.unlink(missing_ok=True)
            old.unlink(missing_ok=True)


def is_verified(path: Path, sha256: str) -> bool:
    """Whether `path` was found to have this hash, and has not been touched since."""
    return _read(_verified_file()).get(str(path.resolve())) == {
        "sha256": sha256,
        "stamp": _stamp(path),
    }


def remember_verified(path: Path, sha256: str) -> None:
    """Note that `path` has this hash, so that the next start need not read it all.

    Only worth it for big files.
    """
    file = _verified_file()
    if path.stat().st_size < MINIMUM or file is None or not _make(file.parent):
        return
    known = {name: value for name, value in _read(file).items() if Path(name).exists()}
    known[str(path.resolve())] = {"sha256": sha256, "stamp": _stamp(path)}
    with contextlib.suppress(OSError):
        _write(file, known)


def _key(sha256: str) -> str:
    """Of a graph, the CPU whose kernels fix the order of the weights, and the LiteRT that packs
    them.
    """
    here = device.describe()
    parts = (
        sha256,
        here.architecture,
        here.model,
        *here.features,
        importlib.metadata.version("ai-edge-litert"),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _is_intact(entry: Path) -> bool:
    try:
        return _is_private(entry) and _read(entry.with_suffix(_RECORD)).get("stamp") == _stamp(
            entry
        )
    except OSError:
        return False


def _is_private(path: Path) -> bool:
    """Whether nobody but this user (and root) can have put something there; so too if nothing is
    there, or if the system has no users.
    """
    if not hasattr(os, "geteuid"):
        return True
    try:
        status = path.stat()
    except OSError:
        return True
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _make(place: Path) -> bool:
    """Make the folder for this user alone; False if that fails or if it is not this user's."""
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return _is_private(place)


def _building(path: Path) -> Path:
    """Another name beside `path`, of this process alone, until the file is whole."""
    return path.with_name(f"{path.stem}.{os.getpid()}-{secrets.token_hex(4)}{_BUILDING}")


def _packed_bytes(weights: int) -> int:
    """Room for a graph's packed weights.

    LiteRT ends the process when the disk fills up while it writes. It also empties the file that it
    is given before it writes, so the room is held until then and no longer: another program can
    still take it. Our own do not, since they leave room for every file that is being built.
    """
    return weights + weights // 4 + (1 << 20)


def _reserve(building: Path, needed: int) -> bool:
    """Take room on the disk, in a file of these bytes; False if it is not there, or if the file
    cannot be written.
    """
    try:
        others = sum(path.suffix == _BUILDING for path in _files(building.parent))
        if shutil.disk_usage(building.parent).free < needed * (1 + others):
            return False
        with open(building, "xb", opener=_for_owner) as file:
            if hasattr(os, "posix_fallocate"):  # knows of quotas and limits too
                os.posix_fallocate(file.fileno(), 0, needed)
        return True
    except OSError:
        with contextlib.suppress(OSError):
            building.unlink(missing_ok=True)
        return False


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _publish(building: Path, entry: Path, graph: Path) -> None:
    """Move new weights into place, and drop those that they replace: of the same file with other
    contents, or abandoned.
    """
    with open(building, "rb") as file:
        if not any(file.read(64)):
            return  # LiteRT had nothing to keep: what it writes begins with a version
    os.replace(building, entry)
    _write(entry.with_suffix(_RECORD), {"graph": str(graph.resolve()), "stamp": _stamp(entry)})
    for path in _files(entry.parent):
        outdated = (
            path.suffix == _RECORD
            and path.stem != entry.stem
            and path.name != _VERIFIED
            and _read(path).get("graph") == str(graph.resolve())
        )
        if outdated:
            path.with_suffix(_WEIGHTS).unlink(missing_ok=True)
        if outdated or (
            path.suffix == _BUILDING and time.time() - path.stat().st_mtime > _ABANDONED
        ):
            path.unlink(missing_ok=True)


def _files(place: Path | None) -> list[Path]:
    """What is ours in the folder; a folder that was named by mistake keeps its other files."""
    return (
        [path for path in place.iterdir() if _OURS.fullmatch(path.name)]
        if place and place.is_dir()
        else []
    )


def _verified_file() -> Path | None:
    place = folder()
    return place / _VERIFIED if place and _is_private(place) else None


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev]


def _read(path: Path | None) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8")) if path and _is_private(path) else {}
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _write(path: Path, value: dict[str, Any]) -> None:
    temporary = _building(path)
    try:
        with open(temporary, "x", encoding="utf-8", opener=_for_owner) as file:
            json.dump(value, file)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _warn(message: str) -> None:
    warnings.warn(message, EdgeAudioWarning, stacklevel=5)
