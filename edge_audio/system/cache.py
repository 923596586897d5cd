"""What is kept between runs: weights as XNNPACK packs them, and which files were already found
intact.

LiteRT packs a graph's weights into the order that its kernels read. Kept in a file and mapped into
memory, they load in milliseconds, serve all signatures of a graph, and can be dropped by the system
when memory is short. An entry is made in a file of its own and moved into place when it is whole,
so that a crash, or two processes at once, leave nothing broken; it is trusted only while its size,
times and inode are those it was made with.

The folder is $EDGE_AUDIO_CACHE ("off" for none), else `edge-audio` in the user's cache directory.
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
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from edge_audio.errors import EdgeAudioWarning
from edge_audio.system import device

VARIABLE = "EDGE_AUDIO_CACHE"
#: Graphs below these bytes are packed in a few hundredths of a second: they are not kept.
MINIMUM = 16 << 20
_WEIGHTS, _RECORD, _BUILDING, _VERIFIED = ".weights", ".json", ".building", "verified-graphs.json"
_OURS = re.compile(
    r"[0-9a-f]{32}\.(weights|json)|verified-graphs\.json"
    r"|([0-9a-f]{32}|verified-graphs)\.\d+-[0-9a-f]{8}\.building"
)
_ABANDONED = 3600  # seconds after which a file that is still being built is nobody's


def folder() -> Path | None:
    """The cache folder, which need not exist; None if caching was switched off."""
    named = os.environ.get(VARIABLE)
    if named:
        return None if named == "off" else Path(named).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "edge-audio"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge-audio"


def why_not() -> str | None:
    """Why packed weights are not kept on this computer; None if they are."""
    if folder() is None:
        return f"switched off by ${VARIABLE}"
    if not device.runs_compiled_model(device.describe()):
        return "this system or CPU cannot run LiteRT's CompiledModel, which it needs"
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

    The file is empty or absent the first time: LiteRT fills it while it loads the graph, and it is
    kept if that succeeds.
    """
    if graph.stat().st_size < MINIMUM or why_not():
        yield None
        return
    entry = folder() / f"{_key(sha256)}{_WEIGHTS}"
    if _is_intact(entry):
        yield entry
        return
    with contextlib.suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
    building = _building(entry)
    if not _has_room(building, graph.stat().st_size):
        warnings.warn(
            f"{entry.parent} has no room for the packed weights of {graph.name}, or cannot be"
            " written; every start will pack them again, which takes time and memory: free some"
            f" space, or name another folder in ${VARIABLE}",
            EdgeAudioWarning,
            stacklevel=4,
        )
        yield None
        return
    try:
        yield building
        with contextlib.suppress(OSError):  # without the entry everything still works
            _publish(building, entry, graph)
    finally:
        building.unlink(missing_ok=True)


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
    if path.stat().st_size < MINIMUM or file is None:
        return
    known = {name: value for name, value in _read(file).items() if Path(name).exists()}
    known[str(path.resolve())] = {"sha256": sha256, "stamp": _stamp(path)}
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
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
        return _read(entry.with_suffix(_RECORD)).get("stamp") == _stamp(entry)
    except OSError:
        return False


def _building(path: Path) -> Path:
    """Another name beside `path`, of this process alone, until the file is whole."""
    return path.with_name(f"{path.stem}.{os.getpid()}-{secrets.token_hex(4)}{_BUILDING}")


def _has_room(building: Path, needed: int) -> bool:
    """LiteRT ends the process when the disk fills up while it writes, so the room is asked for
    beforehand.
    """
    needed += needed // 4 + (1 << 20)
    try:
        if shutil.disk_usage(building.parent).free < needed:
            return False
        if hasattr(os, "posix_fallocate"):  # knows of quotas and limits too
            with open(building, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, needed)
        return True
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            building.unlink(missing_ok=True)


def _publish(building: Path, entry: Path, graph: Path) -> None:
    """Move new weights into place, and drop those that they replace: of the same file with other
    contents, or abandoned.
    """
    if not building.is_file():
        return  # LiteRT had nothing to keep
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
    return None if place is None else place / _VERIFIED


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev]


def _read(path: Path | None) -> dict:
    try:
        value = json.loads(path.read_text()) if path else {}
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _write(path: Path, value: dict) -> None:
    temporary = _building(path)
    try:
        temporary.write_text(json.dumps(value))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
