"""Where models are kept, and which folder a model's name stands for.

A model is given as a folder or by name. What has a slash (or is `.` or `..`) is a folder, and so is
the name of a bundle in the current directory. Any other name is that of a model that is kept:
`pocket`, which the package brings, or a folder of the models folder.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

from edge_audio.bundle.manifest import MANIFEST_NAME
from edge_audio.errors import UsageError
from edge_audio.system import folders

VARIABLE = "EDGE_AUDIO_MODELS"
POCKET = "pocket"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


def models_folder() -> Path | None:
    """$EDGE_AUDIO_MODELS, else `models` among the user's data; None for a user without a home. It
    need not exist.
    """
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser().absolute()
    data = folders.user_folder(folders.DATA)
    return None if data is None else data / "models"


def pocket_model() -> Path:
    """The model that the package brings; in a clone it lies in models/."""
    package = Path(__file__).resolve().parents[1]
    places = (package / POCKET, package.parent / "models" / POCKET)
    return next((place for place in places if (place / MANIFEST_NAME).is_file()), places[-1])


def kept() -> dict[str, Path]:
    """Name -> folder of every bundle that is kept, by name; pocket first."""
    found = {POCKET: pocket_model()}
    folder = models_folder()
    try:
        inside = sorted(folder.iterdir()) if folder else []
    except OSError:  # it was never made, or cannot be read
        inside = []
    for place in inside:
        if NAME.fullmatch(place.name) and (place / MANIFEST_NAME).is_file():
            found.setdefault(place.name, place)
    return found


def resolve(model: str | Path) -> Path:
    """The folder of a model that was given as a folder or by name; it need not exist."""
    folder, text = Path(model), os.fspath(model)
    if not NAME.fullmatch(text) or (folder / MANIFEST_NAME).is_file():
        return folder
    return kept().get(text, folder)


def advice(model: Path) -> str:
    """What to do where there is no model of that name."""
    return (
        "make one with `edge-audio export CHECKPOINT_DIR OUT_DIR`, or fetch one with"
        f" `edge-audio pull`; kept here: {listed(model.name)}"
    )


def listed(name: str) -> str:
    """The models that are kept, and which of them may have been meant."""
    known = list(kept())
    close = difflib.get_close_matches(name, known, 1)
    return ", ".join(known[:12]) + (f"; did you mean {close[0]}?" if close else "")


def checked_name(name: str) -> str:
    """The name, if a model may be kept under it; UsageError if not."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name[:40]!r} is no name for a model; use up to 96 letters, digits and . _ -"
        )
    if name == POCKET:
        raise UsageError(f"{POCKET} is the name of the model that edge-audio brings; use another")
    return name
