"""A model is brought from the Hub into the models folder: all of it or, after a fault, what the
next run goes on from.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError
from edge_audio.hub import faults, keeping
from edge_audio.hub.download import OnBytes, fetch, part_of
from edge_audio.hub.plan import BUNDLE, Plan, Wanted
from edge_audio.hub.source import Source
from edge_audio.system import cache


def place_of(plan: Plan, name: str) -> Path:
    """The folder that a plan's model will have."""
    return keeping.place(name) if plan.kind == BUNDLE else keeping.checkpoint_place(name)


def refuse_taken(name: str, id: str) -> None:
    """EdgeAudioError if a model of another repository has the name; UsageError for what is none."""
    folders = (keeping.place(name), keeping.checkpoint_place(name))
    there = [folder for folder in folders if folder.exists()]
    # an export that was killed at its end has not yet said what its bundle is of
    owners = {source.repository for source in map(Source.of, there) if source}
    if there and owners != {id}:
        owner = next(iter(owners - {id}), "no repository that is known")
        raise EdgeAudioError(
            f"{there[0]} is here already, of {owner}; give another name with --name, or"
            f" `edge-audio models rename {name} OTHER`"
        )


def is_here(plan: Plan, name: str) -> bool:
    """Whether all files of the plan are in their folder."""
    folder = place_of(plan, name)
    return folder.exists() and all(
        wanted.file.is_like(folder / wanted.place) for wanted in plan.wanted
    )


def missing_bytes(plan: Plan, name: str) -> int:
    """How much is still to be downloaded. What lies here whole is trusted by its size until it is
    used.
    """
    folder = keeping.pulling_place(name)
    return sum(wanted.file.bytes - _arrived(folder, wanted) for wanted in plan.wanted)


def free_bytes() -> int:
    """Free on the disk of the models folder."""
    return shutil.disk_usage(keeping.existing_home()).free


def pull(plan: Plan, name: str, on_bytes: OnBytes = lambda *_: None) -> Path:
    """Download what is missing, and put the model in its place when all of it is right; its
    folder. EdgeAudioError if that cannot be; another run goes on from there.
    """
    target, staging = place_of(plan, name), keeping.pulling_place(name)
    try:
        staging.mkdir(parents=True, exist_ok=True)
        with _alone(staging):
            for wanted in plan.wanted:
                _bring(wanted, staging / wanted.place, on_bytes)
            _source(plan).write(staging)
            _drop_strangers(plan, staging)
            if plan.kind == BUNDLE:
                _check_bundle(plan, staging)
            _swap(staging, target)
    except OSError as error:
        raise faults.explained(error, plan.repository.id) from None
    if plan.kind == BUNDLE:
        _remember_verified(plan, target)
    return target


def _bring(wanted: Wanted, target: Path, on_bytes: OnBytes) -> None:
    if wanted.content is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(wanted.content)
    else:
        fetch(wanted.repository, wanted.file, target, on_bytes)


def _check_bundle(plan: Plan, staging: Path) -> None:
    """EdgeAudioError unless its files have the hashes of its manifest, too: of those that git LFS
    does not keep, the Hub's listing has another hash.
    """
    _remember_verified(plan, staging)
    try:
        Bundle.open(staging).verify()
    except EdgeAudioError as error:
        said = str(error).partition("; ")[0].replace(f"{staging}{os.sep}", "")
        raise EdgeAudioError(f"{plan.repository.id}: {said}; tell its author") from None


def _remember_verified(plan: Plan, folder: Path) -> None:
    for wanted in plan.wanted:
        if wanted.file.sha256:  # it was hashed when it came
            cache.remember_verified(folder / wanted.place, wanted.file.sha256)


def _source(plan: Plan) -> Source:
    repository, files = plan.repository, {}
    if plan.kind != BUNDLE:
        files = {wanted.place: (wanted.file.bytes, wanted.file.id) for wanted in plan.wanted}
    return Source(repository.id, repository.commit, repository.license, files)


def _arrived(folder: Path, wanted: Wanted) -> int:
    target = folder / wanted.place
    if target.is_file() and target.stat().st_size == wanted.file.bytes:
        return wanted.file.bytes
    part = part_of(target, wanted.file)
    return min(part.stat().st_size, wanted.file.bytes) if part.is_file() else 0


def _drop_strangers(plan: Plan, folder: Path) -> None:
    """Files of another commit, of which an earlier run was stopped."""
    ours = {folder / wanted.place for wanted in plan.wanted} | {folder / "source.json"}
    for path in folder.rglob("*"):
        if path.is_file() and path not in ours:
            path.unlink()


def _swap(staging: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}{keeping.OLD}")
    keeping.delete(old)
    if target.exists():
        target.rename(old)
    staging.rename(target)
    keeping.delete(old)


@contextlib.contextmanager
def _alone(staging: Path) -> Iterator[None]:
    """Keep other runs away from a folder; EdgeAudioError if one is at work there."""
    lock = FileLock(staging.with_name(f"{staging.name}.lock"))
    try:
        with lock.acquire(timeout=0):
            yield
    except Timeout:
        raise EdgeAudioError(f"another run fetches into {staging}; wait until it is done") from None
