"""How much memory programs can have: the machine's, within the limits of the control groups that
this process is in (a container's, or a systemd unit's `MemoryMax`).

`root` is where /proc and /sys are, so that tests can bring their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
#: what version 1 of control groups says for no limit is some bytes below 2⁶³
UNLIMITED = 1 << 60


@dataclass(frozen=True)
class Memory:
    """Bytes that programs can have: without swapping (0 where the system does not say), and how
    many more by swapping.
    """

    available: int
    swap: int


@dataclass(frozen=True)
class _Version:
    """Where control groups of a version are, and the names of their files.

    reclaimable: the lines of memory.stat that count as used though the kernel gives them up for
    whoever asks, as it does what MemAvailable holds: the page cache, and caches of its own.
    """

    folder: str
    limit: str
    used: str
    reclaimable: tuple[str, ...]


_VERSION_1 = _Version(
    "sys/fs/cgroup/memory",
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_inactive_file", "total_active_file"),
)
_VERSION_2 = _Version(
    "sys/fs/cgroup",
    "memory.max",
    "memory.current",
    ("inactive_file", "active_file", "slab_reclaimable"),
)


def total(root: Path = ROOT) -> int:
    """Bytes of the machine, or of the smallest limit; 0 if the system does not say."""
    limits = [_bytes(folder / version.limit) for folder, version in _groups(root)]
    known = [_meminfo(root, "MemTotal") or None, *limits]
    return min((size for size in known if size is not None), default=0)


def free(root: Path = ROOT) -> Memory:
    """What is free now: of the machine, and below every limit."""
    available: list[int | None] = [_meminfo(root, "MemAvailable") or None]
    swap: list[int | None] = [_meminfo(root, "SwapFree")]
    both: list[int | None] = []
    for folder, version in _groups(root):
        cache = _reclaimable(folder, version)
        available.append(_room(folder, version.limit, version.used, cache))
        if version is _VERSION_2:
            swap.append(_room(folder, "memory.swap.max", "memory.swap.current"))
        else:  # one limit for memory and swap together
            names = "memory.memsw.limit_in_bytes", "memory.memsw.usage_in_bytes"
            both.append(_room(folder, *names, cache))
    # A limit that is used up leaves 1 byte, as 0 means that nothing is known.
    least = min((max(size, 1) for size in available if size is not None), default=0)
    swap += [max(size - least, 0) for size in both if size is not None]
    return Memory(least, min(size for size in swap if size is not None))


def _groups(root: Path) -> Iterator[tuple[Path, _Version]]:
    """The folders of the control groups that this process is in, from its own to the top.

    Some of them need not exist: a container sees its own group as the top, and may still be told
    the path that the host gives it.
    """
    text = _read(root / "proc/self/cgroup") or "1:memory:/\n0::/"
    for number, controllers, path in re.findall(r"^(\d+):([^:\n]*):(.*)$", text, re.M):
        if number != "0" and "memory" not in controllers.split(","):
            continue
        version = _VERSION_2 if number == "0" else _VERSION_1
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for depth in range(len(parts), -1, -1):
            yield root.joinpath(version.folder, *parts[:depth]), version


def _room(folder: Path, limit: str, used: str, reclaimable: int = 0) -> int | None:
    """Bytes left below a limit; None where there is no limit."""
    most = _bytes(folder / limit)
    if most is None:
        return None
    return max(most - max((_bytes(folder / used) or 0) - reclaimable, 0), 0)


def _reclaimable(folder: Path, version: _Version) -> int:
    statistics = dict(re.findall(r"^(\w+) (\d+)$", _read(folder / "memory.stat"), re.M))
    return sum(int(statistics.get(name, 0)) for name in version.reclaimable)


def _bytes(path: Path) -> int | None:
    """The number in a file; None if it is absent, "max", or as good as that."""
    text = _read(path).strip()
    return int(text) if text.isdecimal() and int(text) < UNLIMITED else None


def _meminfo(root: Path, key: str) -> int:
    """Bytes that /proc/meminfo gives for a key, 0 if it does not."""
    found = re.search(rf"^{key}:\s+(\d+) kB", _read(root / "proc/meminfo"), re.M)
    return int(found[1]) * 1024 if found else 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return ""
