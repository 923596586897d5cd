"""What has to be fetched of a repository, and of others that its model needs, before any of it is:
the files, where each goes, and how much they are.
"""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_audio.bundle.manifest import MANIFEST_NAME, FileEntry, files
from edge_audio.bundle.store import LONGEST_MANIFEST, Bundle
from edge_audio.errors import EdgeAudioError
from edge_audio.hub.download import fetch
from edge_audio.hub.remote_file import RemoteFile
from edge_audio.hub.repository import FOLDER, ID, TERMS, Repository, describe
from edge_audio.system import safetensors

BUNDLE, CHECKPOINT = "bundle", "checkpoint"
CONFIG = "model_config.json"
#: where the text encoders are that official configurations name in short
_T5 = "google-t5/"
_T5_FOLDER = "t5"
_LONGEST_TERMS = 1 << 20


@dataclass(frozen=True)
class Wanted:
    """A file to fetch, and its place in the model's folder."""

    repository: Repository
    file: RemoteFile
    place: str
    #: what was read of it already
    content: bytes | None = None


@dataclass(frozen=True)
class Plan:
    """What makes up a model. kind: BUNDLE or CHECKPOINT."""

    kind: str
    repository: Repository
    wanted: tuple[Wanted, ...]

    @property
    def bytes(self) -> int:
        return sum(wanted.file.bytes for wanted in self.wanted)

    @property
    def weights(self) -> int:
        """Bytes of tensors."""
        return sum(
            wanted.file.bytes
            for wanted in self.wanted
            if wanted.place.endswith((".safetensors", ".ckpt"))
        )


def plan(id: str, revision: str | None = None) -> Plan:
    """What to fetch for the bundle or the checkpoint that is in a repository; EdgeAudioError if
    there is neither, or a part of it is missing.
    """
    repository = describe(id, revision)
    if manifest := repository.first(MANIFEST_NAME):
        return Plan(BUNDLE, repository, _bundle(repository, manifest))
    if config := repository.first(CONFIG):
        return Plan(CHECKPOINT, repository, _checkpoint(repository, config))
    raise EdgeAudioError(
        f"{id} has neither {MANIFEST_NAME} (a bundle) nor {CONFIG} (an official checkpoint) among"
        f" its {len(repository.files)} files; name another repository"
    )


def _bundle(repository: Repository, listed: RemoteFile) -> tuple[Wanted, ...]:
    content = _read(repository, listed, LONGEST_MANIFEST)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / MANIFEST_NAME).write_bytes(content)
        try:
            manifest = Bundle.open(folder).manifest
        except EdgeAudioError as error:
            raise EdgeAudioError(str(error).replace(folder, repository.id)) from None
    named = [
        Wanted(repository, _as_named(repository, entry), entry.file) for entry in files(manifest)
    ]
    return (*named, *_terms(repository), Wanted(repository, listed, MANIFEST_NAME, content))


def _as_named(repository: Repository, entry: FileEntry) -> RemoteFile:
    """The file of the listing that a manifest names; EdgeAudioError if it is not what that says."""
    file = repository.files.get(entry.file)
    if file is None:
        raise EdgeAudioError(
            f"{repository.id} lacks {entry.file}, which its {MANIFEST_NAME} names; tell its author"
        )
    if file.bytes != entry.bytes or file.sha256 not in (None, entry.sha256):
        raise EdgeAudioError(
            f"{repository.id}: {entry.file} is not the file that {MANIFEST_NAME} names; tell its"
            " author"
        )
    return file


def _checkpoint(repository: Repository, listed: RemoteFile) -> tuple[Wanted, ...]:
    weights = _weights(repository)
    content = _read(repository, listed, LONGEST_MANIFEST)
    return (
        Wanted(repository, listed, CONFIG, content),
        *_terms(repository),
        *_text_encoder(repository, content),
        *weights,
    )


def _weights(repository: Repository) -> list[Wanted]:
    """One file, or the parts that an index names, and the index."""
    whole, index = (repository.first(name) for name in ("model.safetensors", safetensors.INDEX))
    if index and not whole:
        content = _read(repository, index, LONGEST_MANIFEST)
        wanted = [Wanted(repository, index, index.path, content)]
        for name in safetensors.parts(content, f"{index.path} of {repository.id}"):
            part = repository.first(name)
            if part is None:
                raise EdgeAudioError(f"{repository.id} lacks {name}, which {index.path} names")
            wanted.append(Wanted(repository, part, name))
        return wanted
    pickled = (path for path in repository.files if re.fullmatch(r"[^/]+\.ckpt", path))
    weights = whole or repository.first("model.ckpt", *pickled)
    if weights is None:
        raise EdgeAudioError(
            f"{repository.id} has {CONFIG}, but neither model.safetensors nor a .ckpt; it may keep"
            " them elsewhere, see its page"
        )
    return [Wanted(repository, weights, weights.path)]


def _text_encoder(repository: Repository, content: bytes) -> list[Wanted]:
    """The text encoder's files: of this repository if it brings them, else of the one that the
    configuration names. A repository that brings them may do without a tokenizer: its bundle takes
    token ids.
    """
    prompt = _prompt_of(content)
    config = prompt.get("config")
    config = config if isinstance(config, dict) else {}
    if prompt.get("type") == "t5":
        folder, under, tokenizer = _T5_FOLDER, "", "spiece.model"
        named = str(config.get("t5_model_name", ""))
        other = named if "/" in named else _T5 + named
    elif prompt.get("type") == "t5gemma":
        folder = under = str(config.get("subfolder", ""))
        tokenizer, other = "tokenizer.model", str(config.get("repo_id", ""))
    else:
        return []  # the export says what it cannot do
    is_own = f"{folder}/model.safetensors" in repository.files
    if is_own:
        source, under = repository, folder
    elif ID.fullmatch(other) and other != repository.id and FOLDER.fullmatch(folder):
        source = describe(other)
    else:
        raise EdgeAudioError(
            f"{repository.id} lacks its text encoder ({folder[:40]}/model.safetensors), and"
            f" {CONFIG} names no repository that has it"
        )
    wanted = []
    for name in ("config.json", tokenizer, "model.safetensors"):
        path = f"{under}/{name}" if under else name
        beside = (name,) if is_own and name == tokenizer else ()
        file = source.first(path, *beside)
        if file is None and beside:
            continue
        if file is None:
            raise EdgeAudioError(f"{source.id} lacks {path}, which {repository.id} needs")
        read = _read(source, file, LONGEST_MANIFEST) if name == "config.json" else None
        wanted.append(
            Wanted(source, file, name if file.path in beside else f"{folder}/{name}", read)
        )
    return wanted


def _prompt_of(content: bytes) -> dict[str, Any]:
    """The conditioner of the prompt in a model_config.json; empty if it has none."""
    try:
        entries = json.loads(content)["model"]["conditioning"]["configs"]
        return dict(next(entry for entry in entries if entry.get("id") == "prompt"))
    except (ValueError, LookupError, TypeError, AttributeError, StopIteration, RecursionError):
        return {}


def _terms(repository: Repository) -> list[Wanted]:
    return [
        Wanted(repository, file, path)
        for path, file in repository.files.items()
        if TERMS.fullmatch(path) and file.bytes <= _LONGEST_TERMS
    ]


def _read(repository: Repository, file: RemoteFile, longest: int) -> bytes:
    """What is in a small file."""
    if file.bytes > longest:
        raise EdgeAudioError(
            f"{repository.id}: {file.path} has {file.bytes / 1e6:.0f} MB, which no such file has"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        fetch(repository, file, path)
        return path.read_bytes()
