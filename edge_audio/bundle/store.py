"""A bundle: the folder that holds one exported model. Files are checked before they are used."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_audio.bundle import places
from edge_audio.bundle.manifest import (
    GENERATING,
    MANIFEST_NAME,
    SCHEMA,
    FileEntry,
    Manifest,
    files,
)
from edge_audio.bundle.precision import PRECISIONS
from edge_audio.bundle.vocabulary import SoundFamily, Vocabulary, read_vocabulary
from edge_audio.errors import EdgeAudioError, UsageError, first_line
from edge_audio.system import cache

#: bytes of a manifest.json; what is longer is none
LONGEST_MANIFEST = 4 << 20


@dataclass(frozen=True)
class Bundle:
    """An opened bundle. Opening reads only the manifest; each file is checked when its path is
    asked for.
    """

    folder: Path
    manifest: Manifest
    #: Hash of manifest.json, which holds the hash of every other file: it identifies the model.
    sha256: str

    @classmethod
    def open(cls, folder: str | Path) -> Bundle:
        """Read and check `folder`/manifest.json.

        folder: a bundle's, or the name of a model that is kept (`places.resolve`). EdgeAudioError
        says what is wrong and what to do.
        """
        folder = places.resolve(folder)
        path = folder / MANIFEST_NAME
        if not path.is_file():
            raise EdgeAudioError(
                f"no bundle at {folder}: {MANIFEST_NAME} is missing; {places.advice(folder)}"
            )
        raw = _read_manifest(path)
        try:
            manifest = Manifest.from_json(raw.decode())
        except (ValueError, RecursionError) as error:
            raise EdgeAudioError(
                f"{path} is not a valid manifest ({first_line(error)}); export the model again"
            ) from None
        for component in GENERATING:
            if not set(PRECISIONS) & set(manifest.graphs.get(component, {})):
                raise EdgeAudioError(
                    f"{path} lists no {component} graph in a known precision; export the model"
                    " again"
                )
        return cls(folder, manifest, hashlib.sha256(raw).hexdigest())

    def precisions(self, component: str) -> tuple[str, ...]:
        """The precisions in which `component` is here, in the order of PRECISIONS."""
        return tuple(p for p in PRECISIONS if p in self.manifest.graphs.get(component, {}))

    def graph_path(self, component: str, precision: str) -> Path:
        """Path of a graph file whose size and hash have been checked: just now, or before it was
        last touched.
        """
        entries = self.manifest.graphs.get(component, {})
        if precision not in entries:
            raise EdgeAudioError(
                f"{self.folder} has no {component} in {precision}; "
                f"it has {', '.join(self.precisions(component)) or 'none at all'}"
            )
        return self._checked(entries[precision])

    def tokenizer_path(self) -> Path | None:
        """Path of the checked SentencePiece model, or None for a bundle that serves ids only."""
        entry = self.manifest.prompt.tokenizer
        return None if entry is None else self._checked(entry)

    def checks_path(self) -> Path | None:
        """Path of the checked file of prompts to measure the model with, or None."""
        entry = self.manifest.checks
        return None if entry is None else self._checked(entry)

    def folded_path(self) -> Path | None:
        """Path of the checked tensors that graphs hold only as products, or None."""
        entry = self.manifest.folded
        return None if entry is None else self._checked(entry)

    @functools.cached_property
    def vocabulary(self) -> Vocabulary | None:
        """The words that the model knows, or None for a bundle without such a list."""
        entry = self.manifest.vocabulary
        return None if entry is None else read_vocabulary(self._checked(entry))

    @property
    def prompts(self) -> tuple[SoundFamily, ...]:
        """Families of sounds that the model makes, with prompts that ask for them; none for a
        bundle without such a list.
        """
        return self.vocabulary.families if self.vocabulary else ()

    def choose(
        self,
        spec: str | Mapping[str, str] | None,
        preferred: Callable[[str], tuple[str, ...]] = lambda component: PRECISIONS,
    ) -> dict[str, str]:
        """Which precision each generating component runs in.

        spec: None (the first of `preferred(component)` that is here), "int8" (for all), or
        "dit=int8,decoder=f16" (the others as with None), which a recipe writes as a mapping.
        UsageError for a malformed spec, EdgeAudioError for a precision that this bundle does not
        have.
        """
        if isinstance(spec, Mapping):
            spec = ",".join(f"{component}={precision}" for component, precision in spec.items())
        chosen = {}
        for component in GENERATING:
            here = self.precisions(component)
            chosen[component] = next((p for p in preferred(component) if p in here), here[0])
        for part in [] if spec is None else spec.split(","):
            component, _, precision = part.strip().rpartition("=")
            if precision not in PRECISIONS or (component and component not in GENERATING):
                raise UsageError(
                    f"precision {part.strip()!r} is not understood; write one of"
                    f" {', '.join(PRECISIONS)}, or COMPONENT=PRECISION with a component of"
                    f" {', '.join(GENERATING)}"
                )
            for name in (component,) if component else GENERATING:
                if precision not in self.precisions(name):
                    raise EdgeAudioError(
                        f"{self.folder} has no {name} in {precision}; "
                        f"it has {', '.join(self.precisions(name))}"
                    )
                chosen[name] = precision
        return chosen

    def verify(self) -> None:
        """EdgeAudioError unless every file is there and has the hash that the manifest names."""
        for entry in files(self.manifest):
            self._checked(entry)

    def _checked(self, entry: FileEntry) -> Path:
        path = self.folder / entry.file
        mend = "copy the bundle again or export the model again"
        if not path.is_file():
            raise EdgeAudioError(f"{path} is missing; {mend}")
        if path.stat().st_size != entry.bytes:
            raise EdgeAudioError(
                f"{path} has {path.stat().st_size} bytes, the manifest says {entry.bytes}; {mend}"
            )
        if not cache.is_verified(path, entry.sha256):
            if file_sha256(path) != entry.sha256:
                raise EdgeAudioError(f"{path} has another sha256 than the manifest says; {mend}")
            cache.remember_verified(path, entry.sha256)
        return path


def _read_manifest(path: Path) -> bytes:
    """The bytes of a manifest of a schema that can be read; EdgeAudioError for another."""
    try:
        if path.stat().st_size > LONGEST_MANIFEST:
            raise ValueError(f"it has more than {LONGEST_MANIFEST >> 20} MB")
        raw = path.read_bytes()
        schema = json.loads(raw).get("schema")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise EdgeAudioError(
            f"{path} cannot be read ({first_line(error)}); export the model again"
        ) from None
    if type(schema) is not int or not 1 <= schema <= SCHEMA:
        newer = type(schema) is int and schema > SCHEMA
        mend = "upgrade edge-audio" if newer else "export the model again"
        raise EdgeAudioError(
            f"{path} has schema {json.dumps(schema)[:40]}, this edge-audio reads schemas 1 to"
            f" {SCHEMA}; {mend}"
        )
    return raw


def file_sha256(path: str | Path) -> str:
    """Hex sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def file_entry(path: Path) -> FileEntry:
    """The manifest's entry for a file that was just written."""
    return FileEntry(path.name, path.stat().st_size, file_sha256(path))
