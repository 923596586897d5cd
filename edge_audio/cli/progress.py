"""Progress on stderr, for a person who waits."""

from __future__ import annotations

import sys

from edge_audio.pipeline import Progress

_BAR = 30


class Bar:
    """A progress bar on stderr for the steps of each stage; silent when not `shown`."""

    def __init__(self, shown: bool):
        self.shown = shown

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exception: object) -> None:
        self._write("\r\x1b[K")

    def __call__(self, progress: Progress) -> None:
        done = _BAR * progress.step // progress.steps
        self._write(
            f"\r\x1b[K{progress.stage:9} [{'#' * done}{'.' * (_BAR - done)}]"
            f" {progress.step}/{progress.steps}"
        )

    def _write(self, text: str) -> None:
        if self.shown:
            print(text, end="", file=sys.stderr, flush=True)


class Line:
    """One line on stderr that says what is being done, replaced by the next; silent when not
    `shown`.
    """

    def __init__(self, shown: bool):
        self.shown = shown

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *exception: object) -> None:
        self("")

    def __call__(self, text: str) -> None:
        if self.shown:
            print(f"\r\x1b[K{text[:100]}", end="", file=sys.stderr, flush=True)
