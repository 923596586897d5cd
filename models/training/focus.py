"""What the transformer cannot do yet, found out by asking, so that it trains more on that.

The loss of a family says little: noise is never predicted, however good it sounds, and a beat that
stumbles has a low loss. So the model is asked for a few clips of every family now and then, in
words of the training set, and the family's check says which came out as asked.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edge_audio.listening import check
from edge_audio.sampling.guidance import guided
from edge_audio.sampling.samplers import SAMPLERS

from .data import tokenize
from .modules import Model
from .pocket import LATENT_LENGTH, LATENTS, SAMPLING
from .prompts import ask, ask_by_name
from .sounds import FAMILIES, FULL_SECONDS, SAMPLE_RATE

#: clips of every family, half of them asked for by a bare name
ASKED_EACH = 4
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

    def __init__(self, table: Path, families: np.ndarray, tokenizer: Path, resumed: bool):
        self.table, self.tokenizer = table, tokenizer
        self.rows = {family: np.flatnonzero(families == family) for family in FAMILIES}
        self.shares, self.chances = dict.fromkeys(FAMILIES, 0.0), torch.ones(len(families))
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
        """Ask the model for ASKED_EACH clips of every family; returns the share that came out as
        asked.
        """
        heard = np.mean(
            [
                self._heard(
                    model, np.random.default_rng([SEED, step, index]), index % 2 == 1, device
                )
                for index in range(ASKED_EACH)
            ],
            axis=0,
        )
        before = heard if not self.table.exists() else np.array(list(self.shares.values()))
        self._take(list(MEMORY * before + (1 - MEMORY) * heard))
        with self.table.open("a") as stream:
            if stream.tell() == 0:
                stream.write(",".join(["step", "all", *FAMILIES]) + "\n")
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
        prompts = []
        for name, family in FAMILIES.items():
            if by_name:
                prompts.append(ask_by_name(name, family.names[rng.integers(len(family.names))]))
                continue
            choices = family.trained_combinations()
            prompts.append(
                ask(
                    rng,
                    name,
                    family.phrasings[rng.integers(len(family.phrasings))],
                    choices[rng.integers(len(choices))],
                )
            )
        ids, mask = (
            torch.from_numpy(array[:, 0]).to(device)
            for array in tokenize(self.tokenizer, [(prompt.text,) for prompt in prompts])
        )
        cond, global_cond = model.condition(
            ids, mask, torch.full((len(prompts),), FULL_SECONDS, device=device)
        )

        def denoise(x: np.ndarray, t: float, cond: Tensor) -> np.ndarray:
            # `forward`, since another batch size would have the compiled model compiled again
            return (
                model.dit.forward(
                    torch.from_numpy(x).to(device),
                    torch.full((len(x),), t, device=device),
                    cond,
                    global_cond,
                )
                .float()
                .cpu()
                .numpy()
            )

        sampler = SAMPLERS[SAMPLING["sampler"]]
        x = rng.standard_normal((len(prompts), LATENTS, LATENT_LENGTH), np.float32)
        *_, last = sampler.sample(
            guided(denoise, cond, torch.zeros_like(cond), SAMPLING["cfg_scale"]),
            x,
            sampler.schedule(STEPS),
            lambda shape: rng.standard_normal(shape, np.float32),
        )
        audio = (
            model.autoencoder.decode(torch.from_numpy(last.x).to(device))[
                :, 0, : round(FULL_SECONDS * SAMPLE_RATE)
            ]
            .cpu()
            .numpy()
        )
        return np.array(
            [
                check(clip, SAMPLE_RATE, prompt.family, prompt.attributes).passed
                for clip, prompt in zip(audio, prompts)
            ],
            float,
        )
