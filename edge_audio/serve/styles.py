"""Styles that clients ask for by name: the adapters in a folder that the server's owner named."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError
from edge_audio.lora.adapter import Adapter
from edge_audio.lora.merging import check_fits
from edge_audio.lora.reading import read_adapter
from edge_audio.serve.refusal import Refused

#: adapters of a folder that are looked at, and characters of a name
MOST_STYLES, LONGEST_STYLE = 100, 200
_FILE, _PEFT = "*.safetensors", "*/adapter_config.json"


@dataclass(frozen=True)
class Style:
    """An adapter of the folder, under the name of its file."""

    path: Path
    adapter: Adapter


class Styles:
    """The adapters that are there now. A client's name is looked up among theirs, and never becomes
    part of a path. Safe for threads.
    """

    def __init__(self, folder: Path | None):
        """folder: None for no styles at all; EdgeAudioError if it is none."""
        if folder is not None and not folder.is_dir():
            raise EdgeAudioError(f"{folder} is no folder; name one of adapters with --styles")
        self._folder = folder
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[int, Style]] = {}
        self._fits: dict[tuple[str, str], bool] = {}

    def of(self, bundle: Bundle) -> dict[str, Style]:
        """name -> style, of those that this model can have; what cannot be read is left out."""
        found = {}
        with self._lock:
            for path in self._paths():
                style = self._opened(path)
                if style is not None and self._is_for(bundle, style):
                    found[path.name] = style
        return found

    def chosen(self, bundle: Bundle, names: list[str]) -> list[Style]:
        """The styles of these names, each once; Refused for one that this model cannot have."""
        if not names:
            return []
        here = self.of(bundle)
        chosen = [here[name] for name in names if name in here]
        if len(chosen) < len(names):
            text = "there is no style of that name for this model; see /v1/models"
            raise Refused(422, "style_not_found", text, "lora")
        if len({style.adapter.sha256 for style in chosen}) < len(names):
            text = "a style is there twice; give it once, with the strength of both"
            raise Refused(422, "invalid", text, "lora")
        return chosen

    def public(self, text: str) -> str:
        """What an error says, but for where the folder is."""
        return text if self._folder is None else text.replace(f"{self._folder}/", "")

    def _paths(self) -> list[Path]:
        if self._folder is None:
            return []
        try:
            folders = [config.parent for config in self._folder.glob(_PEFT)]
            paths = sorted([*self._folder.glob(_FILE), *folders])
        except OSError:
            return []
        return [path for path in paths if len(path.name) <= LONGEST_STYLE][:MOST_STYLES]

    def _opened(self, path: Path) -> Style | None:
        """Read again where it changed; None for what is no adapter."""
        try:
            inside = path.iterdir() if path.is_dir() else [path]
            changed = max(file.stat().st_mtime_ns for file in inside)
            known = self._read.get(path)
            if known is None or known[0] != changed:
                known = changed, Style(path, read_adapter(path))
        except (EdgeAudioError, OSError, ValueError):
            return None
        self._read[path] = known
        return known[1]

    def _is_for(self, bundle: Bundle, style: Style) -> bool:
        key = bundle.sha256, style.adapter.sha256
        if key not in self._fits:
            try:
                check_fits(bundle, style.adapter)
                self._fits[key] = True
            except EdgeAudioError:
                self._fits[key] = False
        return self._fits[key]
