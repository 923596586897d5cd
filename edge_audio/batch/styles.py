"""Styles that rows name: adapters of their own, read and checked once each."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from edge_audio.batch.job import Lora
from edge_audio.bundle.store import Bundle
from edge_audio.errors import UsageError
from edge_audio.lora.merging import check_fits
from edge_audio.lora.reading import argument, read_adapters
from edge_audio.values import shown

#: between the styles of a cell
SEPARATOR = ";"
#: (size, time of the last change) of a file
Stamp = tuple[int, int]
#: styles by their content: (sha256, strength)
Contents = list[tuple[str, float]]


class Styles:
    """folder: where the files are that cells name."""

    def __init__(self, folder: Path, bundle: Bundle):
        self.folder, self.bundle = folder, bundle
        self._known: dict[tuple[tuple[str, float, Stamp], ...], Contents] = {}

    def read(self, cell: Any) -> tuple[Lora, Contents]:
        """What `vinyl.safetensors=0.8; tape.safetensors` or a list of such texts says; UsageError
        or EdgeAudioError if it cannot be merged into the model.
        """
        texts = cell.split(SEPARATOR) if isinstance(cell, str) else cell
        if not isinstance(texts, (tuple, list)) or not all(isinstance(t, str) for t in texts):
            raise UsageError(f"lora {shown(cell)} is no style; write it like vinyl.safetensors=0.8")
        lora = tuple(self._style(text.strip()) for text in texts)
        key = tuple((file, strength, stamp(Path(file))) for file, strength in lora)
        if key not in self._known:
            adapters = read_adapters(lora)
            for adapter in adapters:
                check_fits(self.bundle, adapter)
            self._known[key] = [(adapter.sha256, adapter.strength) for adapter in adapters]
        return lora, self._known[key]

    def _style(self, text: str) -> tuple[str, float]:
        """A file, whose name may have a = in it, and its strength."""
        path, strength = self.folder / text, 1.0
        if not path.exists():
            try:
                file, strength = argument(text)
            except ArgumentTypeError as error:
                raise UsageError(f"lora {error}") from None
            path = self.folder / file  # a missing file is told when it is read
        return str(path.resolve()), strength


def stamp(path: Path) -> Stamp:
    """Of a file, by which a change of it is noticed."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns
