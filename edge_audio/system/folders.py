"""Where this system keeps a user's data."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def user_data() -> Path | None:
    """Folder of edge-audio's data, which need not exist; None for a user without a home."""
    try:
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Application Support" / "edge-audio"
        if sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
            return Path(os.environ["LOCALAPPDATA"]) / "edge-audio" / "data"
        base = os.environ.get("XDG_DATA_HOME", "")
        return (Path(base) if os.path.isabs(base) else Path.home() / ".local/share") / "edge-audio"
    except RuntimeError:  # no $HOME, and a user id that the system has no name for
        return None
