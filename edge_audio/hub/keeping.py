"""The models that are kept on this computer: bundles, checkpoints (`NAME.checkpoint`), and what an
interrupted `pull` left.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from edge_audio.bundle import places
from edge_audio.bundle.manifest import MANIFEST_NAME
from edge_audio.bundle.precision import PRECISIONS
from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError, UsageError
from edge_audio.hub.remote_file import RemoteFile
from edge_audio.hub.source import Source
from edge_audio.system import processes

BUNDLE, CHECKPOINT, INCOMPLETE, BROKEN = "bundle", "checkpoint", "incomplete", "broken"
CHECKPOINT_ENDING = ".checkpoint"
#: of `.NAME.old`, what a new pull replaces
OLD = ".old"
_PULLING = ".pulling"


@dataclass(frozen=True)
class Kept:
    """A model that is kept. kind: one of the four above."""

    name: str
    folder: str
    kind: str
    bytes: int
    precisions: tuple[str, ...] = ()
    source: str = ""
    license: str = ""


def home() -> Path:
    """The models folder; UsageError for a user without a home."""
    folder = places.models_folder()
    if folder is None:
        raise UsageError(f"this user has no home; name a folder for models in ${places.VARIABLE}")
    return folder


def existing_home() -> Path:
    """The models folder, or where it will be made."""
    folder = home()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def place(name: str) -> Path:
    """Where a bundle of that name is kept; UsageError for what is no name."""
    if name.endswith(CHECKPOINT_ENDING):
        raise UsageError(f"{name} is a checkpoint; give the name without {CHECKPOINT_ENDING}")
    return home() / places.checked_name(name)


def checkpoint_place(name: str) -> Path:
    """Where the checkpoint is kept that the bundle of that name is made of."""
    return place(name).with_name(f"{name}{CHECKPOINT_ENDING}")


def pulling_place(name: str) -> Path:
    """Where the files of a model lie until all are there."""
    return place(name).with_name(f".{name}{_PULLING}")


def all_kept() -> list[Kept]:
    """By name, pocket first."""
    found = [_kept(places.POCKET, places.pocket_model())]
    try:
        inside = sorted(home().iterdir())
    except (OSError, UsageError):
        inside = []
    for folder in inside:
        name = folder.name
        if name.startswith(".") and name.endswith(_PULLING):
            name = name[1 : -len(_PULLING)]
            found.append(Kept(name, str(folder), INCOMPLETE, _size(folder)))
        elif places.NAME.fullmatch(name) and folder.is_dir() and name != places.POCKET:
            found.append(_kept(name, folder))
    return found


def verify(name: str) -> Kept:
    """The model of that name, all of whose files have been read and are what they should be;
    EdgeAudioError names the first that is not.
    """
    kept = find(name)
    folder = Path(kept.folder)
    if kept.kind == INCOMPLETE:
        raise EdgeAudioError(f"{name} is not all here; run the same `edge-audio pull` again")
    if kept.kind != CHECKPOINT:
        Bundle.open(folder).verify()
        return kept
    source = Source.of(folder)
    if source is None or not source.files:
        raise EdgeAudioError(
            f"{folder} does not say what its files should be, as what `edge-audio pull` fetches"
            " does; pull it under another name to have one that does"
        )
    for path, (size, id) in source.files.items():
        sha256 = id if len(id) == 64 else None
        if not RemoteFile(path, size, id, sha256).is_like(folder / path):
            raise EdgeAudioError(
                f"{folder / path} is missing or damaged; run `edge-audio pull` of it again"
            )
    return kept


def rename(name: str, new: str) -> Path:
    """Give a model another name, and the checkpoint that it was made of, too; its new folder."""
    pairs = ((place(name), place(new)), (checkpoint_place(name), checkpoint_place(new)))
    moves = [(here, there) for here, there in pairs if here.is_dir()]
    if not moves:
        find(name)
        raise EdgeAudioError(f"{name} is not all here; run the same `edge-audio pull` again")
    for _, there in pairs:
        if there.exists():
            raise EdgeAudioError(f"{there} exists; choose another name, or remove that first")
    for here, there in moves:
        here.rename(there)
    return moves[0][1]


def remove(name: str) -> int:
    """Delete what is kept under a name, also what an interrupted pull or export left of it; how
    many bytes it was. EdgeAudioError while one is at it.
    """
    folders = [Path(_own(name).folder)]
    folders += [home() / f".{name}{ending}" for ending in (_PULLING, OLD, ".partial")]
    locks = [home() / f".{name}{ending}" for ending in (f"{_PULLING}.lock", ".lock")]
    with contextlib.ExitStack() as held:
        for lock in locks:
            if lock.is_file():
                file = held.enter_context(lock.open("rb+"))
                try:
                    processes.lock(file.fileno())
                except BlockingIOError:
                    raise EdgeAudioError(
                        f"{name} is being fetched or exported by another process; let it end first"
                    ) from None
        freed = sum(map(delete, folders))
    for lock in locks:  # Windows deletes no file that is open
        delete(lock)
    return freed


def delete(folder: Path) -> int:
    """Delete a folder, or the link that leads to one, if it is there; how many bytes it was."""
    if folder.is_symlink() or not folder.is_dir():
        folder.unlink(missing_ok=True)
        return 0
    size = _size(folder)
    (folder / MANIFEST_NAME).unlink(missing_ok=True)  # what is half deleted is no bundle any more
    shutil.rmtree(folder)
    return size


def find(name: str) -> Kept:
    """The model of that name, what is whole before what is not; EdgeAudioError if there is none."""
    found = [kept for kept in all_kept() if kept.name == name]
    if found:
        return min(found, key=lambda kept: kept.kind == INCOMPLETE)
    raise EdgeAudioError(
        f"no model {name[:60]!r} is kept here; those that are: {places.listed(name)}"
    )


def _own(name: str) -> Kept:
    if name == places.POCKET:
        raise UsageError(f"{name} comes with edge-audio, which keeps it")
    return find(name)


def _kept(name: str, folder: Path) -> Kept:
    source, size = Source.of(folder), _size(folder)
    named = source.repository if source else ""
    license = source.license if source else ""
    if name.endswith(CHECKPOINT_ENDING) and not (folder / MANIFEST_NAME).exists():
        return Kept(name, str(folder), CHECKPOINT, size, (), named, license)
    try:
        bundle = Bundle.open(folder)
    except EdgeAudioError:
        return Kept(name, str(folder), BROKEN, size, (), named, license)
    precisions = tuple(p for p in PRECISIONS if p in bundle.precisions("dit"))
    return Kept(name, str(folder), BUNDLE, size, precisions, named, bundle.manifest.license)


def _size(folder: Path) -> int:
    size = 0
    for inside, _, names in os.walk(folder):
        for file in names:
            with contextlib.suppress(FileNotFoundError):  # a pull that is at work has moved it
                size += os.lstat(Path(inside) / file).st_size
    return size
