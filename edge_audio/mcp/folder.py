"""The one folder that tools read and write: no name leads out of it, whatever links lie there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from edge_audio.audio.sound_file import writable
from edge_audio.errors import EdgeAudioError
from edge_audio.values import file_stem, words_of

#: characters of a name
_LONGEST = 200
#: files that are looked at, and what else than we write can be read
_MOST, _READ = 10_000, (".aif", ".aiff")


class Folder:
    """Sound files by their names relative to a folder, parts joined by "/"."""

    def __init__(self, root: Path):
        """EdgeAudioError unless there is such a folder."""
        try:
            self._root = root.resolve(strict=True)
        except (OSError, RuntimeError):
            raise EdgeAudioError(f"--folder {root} is not there; make it first") from None
        if not self._root.is_dir():
            raise EdgeAudioError(f"--folder {root} is no folder; name one")

    def existing(self, name: str) -> Path:
        """A sound file; EdgeAudioError if it is none, or not inside."""
        path = self._inside(name)
        if path.suffix.lower() not in (*writable(), *_READ) or not path.is_file():
            raise EdgeAudioError(f"there is no sound file {name!r}; list_sounds names those here")
        return path

    def free(self, name: str) -> Path:
        """Where a new sound file of that name will lie; EdgeAudioError if there is one, or it would
        not be inside.
        """
        path = self._inside(name)
        if path.suffix.lower() not in writable():
            known = ", ".join(writable())
            raise EdgeAudioError(f"{name!r} has no known extension; use one of {known}")
        if not path.parent.is_dir():
            raise EdgeAudioError(f"there is no folder for {name!r}; leave the folder out")
        if os.path.lexists(path):
            raise EdgeAudioError(f"{name!r} is there already; give another name")
        return path

    def named_after(self, prompt: str, seed: int) -> str:
        """A free name for a sound of a prompt."""
        stem, number = f"{file_stem(words_of(prompt))}-{seed}", 1
        name = f"{stem}.wav"
        while os.path.lexists(self._root / name):
            number += 1
            name = f"{stem}-{number}.wav"
        return name

    def name(self, path: Path) -> str:
        """Of a file that lies inside."""
        return path.relative_to(self._root).as_posix()

    def sounds(self) -> Iterator[Path]:
        """Sound files, sorted by name; neither hidden ones nor what links lead to."""
        looked_at = 0
        for folder, folders, names in os.walk(self._root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                looked_at += 1
                if looked_at > _MOST:
                    return
                path = Path(folder, name)
                is_sound = path.suffix.lower() in (*writable(), *_READ)
                if is_sound and not name.startswith(".") and not path.is_symlink():
                    yield path

    def _inside(self, name: str) -> Path:
        parts = PurePosixPath(name).parts
        is_plain = 0 < len(name) <= _LONGEST and name.isprintable() and "\\" not in name
        if not is_plain or not parts or any(":" in p or p.startswith((".", "/")) for p in parts):
            raise EdgeAudioError(
                f"{name[:_LONGEST]!r} is no name of a file inside the folder; use letters, digits"
                " and a known extension"
            )
        path = self._root.joinpath(*parts)
        try:
            found = path.resolve()
        except (OSError, RuntimeError):  # a circle of links
            found = Path("/")
        if not found.is_relative_to(self._root):
            raise EdgeAudioError(f"{name!r} leads out of the folder; name a file that lies inside")
        return path
