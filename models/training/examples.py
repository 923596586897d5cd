"""What the decoder and the transformer learn from: the clips' latents, and what is said of each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .data import Clips
from .design import Design

# how often a clip is made at a greater length than it needs, and how often only its beginning is,
# as long as the shortest
LONGER, BEGINNING = 0.15, 0.5


class Batch(NamedTuple):
    """latents [B, C, length], ids and mask [B, L], seconds [B]."""

    latents: Tensor
    ids: Tensor
    mask: Tensor
    seconds: Tensor


class Examples:
    """Clips of a design's world and their latents [clips, latents, length], for training on
    `device`; the last `held_back` are not trained on.
    """

    def __init__(
        self, design: Design, clips: Clips, latents: np.ndarray, device: str, held_back: int = 0
    ):
        self.design, self.clips, self.latents, self.device = design, clips, latents, device
        #: rows that are trained on, and rows that are not
        self.learnt = range(len(latents) - held_back)
        self.kept = range(len(self.learnt), len(latents))
        self.length_of = torch.tensor([design.length_for(seconds) for seconds in clips.seconds])
        self.ids, self.mask = torch.from_numpy(clips.ids), torch.from_numpy(clips.mask)
        self.seconds = torch.from_numpy(clips.seconds).float()

    def draw(self, chances: Tensor, step: int) -> Batch:
        """The batch of a step: clips of one length by their chances, each with one of its
        captions. Now and then they are made longer than they need be; half of the time, a
        batch has the beginnings of clips of all lengths: what a sound is can be told by then, and
        three times as many fit.

        A batch has the same number of latents whatever its clips' length, so that of short clips
        there are more; lengths are drawn so that a clip's chance is nearly its own nonetheless.
        """
        generator = torch.Generator().manual_seed(step)
        length_of = self.length_of[: len(chances)]
        if self.design.shorter and torch.rand(1, generator=generator) < BEGINNING:
            length, alike = self.design.lengths[0], chances
        else:
            drawn = length_of[torch.multinomial(chances * length_of, 1, generator=generator)]
            length, alike = int(drawn), chances * (length_of == drawn)
            longer = [other for other in self.design.lengths if other > length]
            if longer and torch.rand(1, generator=generator) < LONGER:
                length = longer[int(torch.randint(len(longer), (1,), generator=generator))]
        count = self.design.batch * self.design.latent_length // length
        rows = torch.multinomial(alike, count, replacement=True, generator=generator)
        phrases = torch.randint(self.ids.shape[1], (count,), generator=generator)
        return self.batch(rows, phrases, length)

    def batch(self, rows: Tensor, phrases: Tensor | int, length: int) -> Batch:
        """The first `length` latents of clips, and captions of theirs."""
        latents = torch.from_numpy(self.latents[rows.numpy(), :, :length].astype("float32"))
        seconds = self.seconds[rows].to(self.device)
        return Batch(latents.to(self.device), *self.text(rows, phrases), seconds)

    def text(self, rows: Tensor, phrases: Tensor | int) -> tuple[Tensor, Tensor]:
        """Ids and mask [B, L] of captions."""
        return self.ids[rows, phrases].to(self.device), self.mask[rows, phrases].to(self.device)
