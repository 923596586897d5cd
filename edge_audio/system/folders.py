"""Where this system keeps a user's things."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of folder: on macOS and below Windows' %LOCALAPPDATA%, None where it is as elsewhere;
    elsewhere the variable of the XDG base directories, and what stands in for it.
    """

    macos: str | None
    windows: str | None
    variable: str
    default: str


CACHE = Kind("Library/Caches/edge-audio", "edge-audio/cache", "XDG_CACHE_HOME", ".cache")
DATA = Kind(
    "Library/Application Support/edge-audio", "edge-audio/data", "XDG_DATA_HOME", ".local/share"
)
CONFIGURATION = Kind(None, None, "XDG_CONFIG_HOME", ".config")


def user_folder(kind: Kind) -> Path | None:
    """edge-audio's own, which need not exist; None for a user without a home."""
    local, base = os.environ.get("LOCALAPPDATA"), os.environ.get(kind.variable, "")
    try:
        if kind.macos and sys.platform == "darwin":
            return Path.home() / kind.macos
        if kind.windows and sys.platform == "win32" and local:
            return Path(local, kind.windows)
        return (Path(base) if os.path.isabs(base) else Path.home() / kind.default) / "edge-audio"
    except RuntimeError:  # no $HOME, and a user id that the system has no name for
        return None


def expanded(path: str) -> Path | None:
    """A path that may begin with "~"; None where that is nobody's home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return None
