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
from torch import Tensor

from edge_audio.listening import check
from edge_audio.sampling.guidance import guided
from edge_audio.sampling.samplers import SAMPLERS

from .data import tokenize
from .design import Design
from .fast import fast
from .modules import Model
from .prompts import ask, ask_by_name

#: clips, as many of every family and at least two, half of them asked for by a bare name
ASKED = 200
SEED = 31
STEPS = 8
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

    @torch.no_grad()
    def _heard(
        self, model: Model, rng: np.random.Generator, by_name: bool, device: str
    ) -> np.ndarray:
        """A clip of every family: 1 where it passes its check, else 0."""
        design, world, prompts = self.design, self.design.world, []
        for name, family in world.families.items():
            if by_name:
                known = family.names[rng.integers(len(family.names))]
                prompts.append(ask_by_name(name, known, world))
                continue
            choices = family.trained_combinations()
            prompts.append(
                ask(
                    rng,
                    name,
                    family.phrasings[rng.integers(len(family.phrasings))],
                    choices[rng.integers(len(choices))],
                    world,
                )
            )
        ids, mask = (
            torch.from_numpy(array[:, 0]).to(device)
            for array in tokenize(
                self.tokenizer, [(prompt.text,) for prompt in prompts], design.max_tokens
            )
        )
        cond, global_cond = model.condition(
            ids, mask, torch.full((len(prompts),), world.full_seconds, device=device)
        )

        def denoise(x: np.ndarray, t: float, cond: Tensor) -> np.ndarray:
            # as written: another batch size would have the compiled model compiled again
            with fast(device), torch.compiler.set_stance("force_eager"):
                v = model.dit(
                    torch.from_numpy(x).to(device),
                    torch.full((len(x),), t, device=device),
                    cond,
                    global_cond,
                )
            return v.float().cpu().numpy()

        sampler = SAMPLERS[self.sampling["sampler"]]
        length = design.length_for(world.full_seconds)
        x = rng.standard_normal((len(prompts), design.latents, length), np.float32)
        *_, last = sampler.sample(
            guided(denoise, cond, torch.zeros_like(cond), self.sampling["cfg_scale"]),
            x,
            sampler.schedule(min(STEPS, self.sampling["steps"])),
            lambda shape: rng.standard_normal(shape, np.float32),
        )
        samples = round(world.full_seconds * world.sample_rate)
        passed = []
        for latents, prompt in zip(torch.from_numpy(last.x).to(device), prompts):
            clip = model.autoencoder.decode(latents[None])[0, :, :samples].T.cpu().numpy()
            verdict = check(clip, world.sample_rate, prompt.family, prompt.attributes, world.name)
            passed.append(verdict.passed)
        return np.array(passed, float)
