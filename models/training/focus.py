"""What the transformer cannot do yet, found out by asking, so that it trains more on that.

The loss of a family says little: noise is never predicted, however good it sounds, and a beat that
stumbles has a low loss. So the model is asked for a few clips of every family now and then, in
words of the training set, and the family's check says which came out as asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .asked import SEED, verdicts
from .design import Design
from .modules import Model

#: clips, as many of every family and at least two, half of them asked for by a bare name
ASKED = 200
#: how much of a family's share is from before
MEMORY = 0.5
#: chance of a clip of a family that always comes out as asked, where one that never does has 1
LEAST = 0.25


class Focus:
    """`chances` [clips]: how often each clip is to be drawn, relative to the others.

    A table keeps the shares, so that training can go on.
    """

    def __init__(
        self,
        design: Design,
        table: Path,
        families: np.ndarray,
        tokenizer: Path,
        resumed: bool,
        sampling: Mapping[str, Any],
    ):
        self.design, self.table, self.tokenizer = design, table, tokenizer
        self.sampling = sampling
        known = design.world.families
        self.rows = {family: np.flatnonzero(families == family) for family in known}
        self.shares, self.chances = dict.fromkeys(known, 0.0), torch.ones(len(families))
        if not resumed:
            table.unlink(missing_ok=True)
        if table.exists():
            self._take(
                list(map(float, table.read_text(encoding="utf-8").splitlines()[-1].split(",")[2:]))
            )

    def _take(self, shares: list[float]) -> None:
        for (family, rows), share in zip(self.rows.items(), shares):
            self.shares[family], self.chances[rows] = share, 1 - (1 - LEAST) * share

    def update(self, model: Model, step: int, device: str) -> float:
        """Ask the model for some ASKED clips; returns the share that came out as asked."""
        heard = np.mean(
            [
                self._heard(
                    model, np.random.default_rng([SEED, step, index]), index % 2 == 1, device
                )
                for index in range(max(2, ASKED // len(self.rows)))
            ],
            axis=0,
        )
        before = heard if not self.table.exists() else np.array(list(self.shares.values()))
        self._take(list(MEMORY * before + (1 - MEMORY) * heard))
        with self.table.open("a") as stream:
            if stream.tell() == 0:
                stream.write(",".join(["step", "all", *self.rows]) + "\n")
            stream.write(
                ",".join(
                    [
                        str(step),
                        f"{heard.mean():.4f}",
                        *(f"{share:.4f}" for share in self.shares.values()),
                    ]
                )
                + "\n"
            )
        weakest = sorted(self.shares, key=self.shares.get)[:8]
        print(
            f"asked after {step} steps: {100 * heard.mean():.1f} % as asked; weakest"
            f" {', '.join(weakest)}",
            flush=True,
        )
        return float(heard.mean())

    def _heard(
        self, model: Model, rng: np.random.Generator, by_name: bool, device: str
    ) -> np.ndarray:
        """A clip of every family: 1 where it passes its check, else 0."""
        heard = verdicts(model, self.design, self.tokenizer, self.sampling, rng, by_name, device)
        return np.array([verdict.passed for _, verdict in heard], float)
