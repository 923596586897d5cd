"""What an evaluation needs, looked at before it begins: packages of an extra, a folder to write to.

Imports nothing of an extra itself, so that it can say what is missing.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from edge_audio.errors import EdgeAudioError

EVAL = ("scipy", "matplotlib", "jinja2")
EXPORT = ("tensorflow", "safetensors", "ai_edge_quantizer")


def packages(what: str, extra: str, names: tuple[str, ...]) -> None:
    """EdgeAudioError with the command that installs an extra, unless all of its packages
    are there.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise EdgeAudioError(
            f"{what} needs {', '.join(missing)}; run pip install 'edge-audio[{extra}]'"
        )


def new_folder(out: Path) -> None:
    """EdgeAudioError unless `out` is a folder that can be made anew."""
    if out.exists():
        raise EdgeAudioError(f"{out} exists; name a new folder, or delete it")
    try:
        out.mkdir(parents=True)
        out.rmdir()
    except OSError as error:
        raise EdgeAudioError(
            f"{out} cannot be made ({error.strerror}); choose another folder"
        ) from None
