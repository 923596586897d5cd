"""Prompt -> token ids and mask, the T5 way: SentencePiece ids, one end-of-sequence id, padding up
to a fixed length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_audio.errors import EdgeAudioError, UsageError, first_line

#: T5's padding; a tokenizer that says otherwise overrides it.
PAD_ID = 0


@dataclass(frozen=True)
class Tokens:
    """A prompt as text encoders take it."""

    #: int32 [1, L], padded
    ids: np.ndarray
    #: int32 [1, L], 1 where there is a token
    mask: np.ndarray
    #: tokens that the whole prompt has, the end-of-sequence token included
    count: int

    @property
    def truncated(self) -> bool:
        """Whether the prompt had more tokens than the model reads."""
        return bool(self.count > self.ids.shape[1])

    def filled(self, other: Tokens) -> Tokens:
        """The same in as many places as another prompt has, if that has more."""
        missing = max(0, other.ids.shape[1] - self.ids.shape[1])
        ids, mask = (np.pad(row, [(0, 0), (0, missing)]) for row in (self.ids, self.mask))
        return Tokens(ids, mask, self.count)


def padded(
    ids: Sequence[int], longest: int, pad_id: int = PAD_ID, ends: bool = True, fill: bool = True
) -> Tokens:
    """Ids in a length of `longest`, or, unless `fill`, in as many places as they are (of none: one
    that does not count).

    Of a list that is longer the last id stays last, where it ends the sequence. Padding that the
    ids bring at their end is none of them; between others it counts like any id.
    """
    kept = list(ids)
    while len(kept) > 1 and kept[-1] == pad_id:
        kept.pop()
    count = len(kept)
    if count > longest:
        kept = [*kept[: longest - 1], kept[-1]] if ends else kept[:longest]
    length = longest if fill else max(1, len(kept))
    row, mask = np.full((1, length), pad_id, np.int32), np.zeros((1, length), np.int32)
    row[0, : len(kept)], mask[0, : len(kept)] = kept, 1
    return Tokens(row, mask, count)


class Tokenizer:
    """A SentencePiece model; its own pad and eos ids are used."""

    def __init__(self, path: str | Path, longest: int, ends: bool = True, fill: bool = True):
        """longest, fill: as `padded` has them. ends: whether the eos id is appended.

        EdgeAudioError if `path` is not a SentencePiece model, or has no eos id to append.
        """
        from sentencepiece import SentencePieceProcessor

        try:
            self._pieces = SentencePieceProcessor(model_file=str(path))
        except (OSError, RuntimeError) as error:
            raise EdgeAudioError(
                f"{path} is not a SentencePiece model ({first_line(error)}); export the model again"
            ) from None
        if ends and self._pieces.eos_id() < 0:
            raise EdgeAudioError(
                f"{path} has no end-of-sequence piece; export with the tokenizer of the T5 encoder"
            )
        self.longest, self._fill = longest, fill
        self._ends = [self._pieces.eos_id()] if ends else []
        self.pad_id = max(self._pieces.pad_id(), PAD_ID)

    def encode(self, text: str) -> Tokens:
        """Ids and mask of `text`; `truncated` says whether its end was cut. UsageError for text
        that is not Unicode.
        """
        try:
            text.encode()
        except (
            UnicodeEncodeError
        ):  # lone surrogates: how Python hands over an argument that is not UTF-8
            raise UsageError("prompt has bytes that are no text; write it in UTF-8") from None
        ids = [*self._pieces.encode(text), *self._ends]
        return padded(ids, self.longest, self.pad_id, bool(self._ends), self._fill)
