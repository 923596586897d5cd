"""Which models a server has: the one it was told, and those in a folder, by name."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_audio.bundle.manifest import MANIFEST_NAME
from edge_audio.bundle.places import resolve
from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError
from edge_audio.model.model import default_model
from edge_audio.request import Request
from edge_audio.serve.config import ServeConfig
from edge_audio.serve.refusal import Refused

#: bundles of a folder that are looked at
_MOST = 100
#: examples that are named outright
_EXAMPLES = 12
#: what is made of a sound, and what of nothing
_OF_A_SOUND, _OF_NOTHING = ("init", "replace", "keep", "extend", "extend_before"), ("loop",)


@dataclass(frozen=True)
class Entry:
    """A bundle under the name that clients use."""

    id: str
    bundle: Bundle
    created: float


class Models:
    """The bundles that are there now; a folder that changes is read again. Safe for threads."""

    def __init__(self, config: ServeConfig):
        """EdgeAudioError unless the model that is used when none is named is there."""
        self._usual = resolve(config.model) if config.model else default_model()
        self._folder = config.models
        self._lock = threading.Lock()
        self._opened: dict[Path, tuple[int, Entry]] = {}
        self.default = self._open(self._usual).id

    def all(self) -> list[Entry]:
        """The default one first; bundles that cannot be read are left out."""
        found: dict[str, Entry] = {}
        for folder in self._folders():
            try:
                entry = self._open(folder)
            except EdgeAudioError:
                continue
            if entry.id in found:
                entry = dataclasses.replace(entry, id=f"{entry.id}-{folder.name}")
            found.setdefault(entry.id, entry)
        return list(found.values())

    def get(self, name: str | None) -> Entry:
        """The model of that name, or the default one; Refused if it is not there."""
        if name is None or name == self.default:
            try:
                return self._open(self._usual)
            except EdgeAudioError:
                raise _gone(self.default) from None
        for entry in self.all():
            if entry.id == name:
                return entry
        raise Refused(
            422, "model_not_found", "there is no model of that name; see /v1/models", "model"
        )

    def _folders(self) -> list[Path]:
        if self._folder is None:
            return [self._usual]
        try:
            inside = sorted(p.parent for p in self._folder.glob(f"*/{MANIFEST_NAME}"))[:_MOST]
        except OSError:
            inside = []
        usual = self._usual.resolve()
        return [self._usual, *(folder for folder in inside if folder.resolve() != usual)]

    def _open(self, folder: Path) -> Entry:
        try:
            changed = (folder / MANIFEST_NAME).stat().st_mtime_ns
        except OSError:
            changed = -1
        with self._lock:
            known = self._opened.get(folder)
            if known is None or known[0] != changed:
                bundle = Bundle.open(folder)
                known = changed, Entry(bundle.manifest.name, bundle, changed / 1e9)
                self._opened[folder] = known
            return known[1]


def public(error: EdgeAudioError, entry: Entry) -> str:
    """What an error says, but for a folder of the server's, which is nothing that clients should
    know.
    """
    return str(error).replace(str(entry.bundle.folder), f"model {entry.id}")


def describe(entry: Entry, default: bool, loaded: bool, styles: Iterable[str]) -> dict[str, Any]:
    """A model as clients see it, ready for JSON. styles: names of those that it can have."""
    manifest, families = entry.bundle.manifest, _families(entry.bundle)
    settings, best = {field.name for field in dataclasses.fields(Request)}, manifest.defaults
    possible = _OF_A_SOUND + _OF_NOTHING if "encoder" in manifest.graphs else _OF_NOTHING
    every = max(1, len(families) // _EXAMPLES)
    longest = manifest.max_seconds
    return {
        "id": entry.id,
        "object": "model",
        "created": int(entry.created),
        "owned_by": "edge-audio",
        "default": default,
        "loaded": loaded,
        "sample_rate": manifest.sample_rate,
        "channels": manifest.channels,
        "seconds": {
            "min": manifest.seconds.min,
            "max": longest,
            "usual": longest if best.seconds is None else min(best.seconds, longest),
        },
        "defaults": {
            "steps": best.steps,
            "sampler": best.sampler,
            "cfg_scale": best.cfg_scale,
        },
        "can": [name for name in possible if name in settings],
        "precisions": [
            p
            for p in entry.bundle.precisions("dit")
            if all(p in entry.bundle.precisions(c) for c in ("conditioners", "decoder"))
        ],
        "styles": list(styles),
        "words": families,
        "examples": [prompts[0] for prompts in list(families.values())[::every][:_EXAMPLES]],
    }


def _families(bundle: Bundle) -> dict[str, list[str]]:
    try:
        return {family.name: list(family.prompts) for family in bundle.prompts if family.prompts}
    except EdgeAudioError:  # the list is damaged; the model may still make sounds
        return {}


def _gone(name: str) -> Refused:
    return Refused(
        503,
        "model_unavailable",
        f"model {name} is not where it was or cannot be read; put its folder back",
        "model",
        {"Retry-After": "30"},
    )
