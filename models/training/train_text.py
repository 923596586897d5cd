"""Teach the text encoder what words sound like, before the transformer learns to listen to it.

Under heavy noise, where a transformer decides what it makes, the text lowers its loss by a
hundredth, and a text encoder that learns by that alone says nothing for thousands of steps. Here it
learns to say how loud every latent of a clip is, and when, and how it turns (`Echo`): from its
captions, in minutes. What it says can be read off its vectors by a linear map, which is thrown
away.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from . import learners
from .examples import Examples
from .modules import Model
from .progress import Log, load_state, save_state
from .train_dit import LAGS, SILENCE

BATCH = 256
SAVE_EVERY = 500
# the spans in which the loudness of every latent is told, in latents; the last ends with the clip
EDGES = (0, 2, 4, 8, 16, 32, 64, 128, 256)
# latents for which the loudness of all together is told
BEAT = 4


class Reader(nn.Module):
    """A text encoder, and a linear map from the mean of its vectors to what there is
    `to_tell`."""

    def __init__(self, t5: nn.Module, told: int):
        super().__init__()
        self.t5, self.head = t5, nn.Linear(t5.config["d_model"], told)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        hidden = self.t5(ids, mask) * mask[..., None]
        return self.head(hidden.sum(1) / mask.sum(1, keepdim=True))


def to_tell(latents: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """What there is to tell of a clip's latents [C, T], `length` of which hold it: log powers, of
    each latent in each span of EDGES and of all in every BEAT, and how like those 1, 2 and 4 later
    each is; and where they are of the clip.
    """
    latents = latents.astype(np.float32)
    power = latents**2
    edges = [edge for edge in EDGES if edge < power.shape[1]]
    sizes = np.diff([*edges, power.shape[1]])
    spans = np.add.reduceat(power, edges, axis=1) / sizes
    beats = power[:, : power.shape[1] // BEAT * BEAT].mean(axis=0).reshape(-1, BEAT).mean(axis=1)
    within = np.array(edges) < length, np.arange(len(beats)) * BEAT < length
    loud = np.log(np.concatenate([spans.ravel(), beats]) + SILENCE)
    turns = [(latents[:, :-lag] * latents[:, lag:]).mean(axis=1) for lag in LAGS]
    turns = np.concatenate(turns / (power.mean(axis=1) + SILENCE))
    of_clip = np.tile(within[0], len(power)), within[1], np.ones(len(turns), bool)
    return np.concatenate([loud, turns]), np.concatenate(of_clip)


def train(examples: Examples, model: Model, folder: Path, steps: int) -> None:
    """Train the text encoder of `model` for `steps` in all, going on from `folder`/text.pt if it is
    there.
    """
    device = examples.device
    torch.manual_seed(0)
    size = len(to_tell(examples.latents[0], 0)[0])
    reader = Reader(model.t5, size).to(device).train()
    learner = learners.transformers(reader, device, steps)
    path = folder / "text.pt"
    first = load_state(path, device, reader=reader, learner=learner)
    if first >= steps:
        return
    rows = range(len(examples.latents))
    both = [
        to_tell(examples.latents[row], int(examples.length_of[row]))
        for row in tqdm(rows, desc="to tell", unit="clip", mininterval=5)
    ]
    told, within = (torch.from_numpy(np.stack(part)).to(device) for part in zip(*both))
    count = within.sum(0).clamp(min=1)
    mean = (told * within).sum(0) / count
    told = (told - mean) / (((told - mean).pow(2) * within).sum(0) / count + 1e-3).sqrt()

    def loss_of(chosen: Tensor, phrases: Tensor | int) -> Tensor:
        ids, mask = examples.text(chosen, phrases)
        error = (reader(ids, mask) - told[chosen]).pow(2) * within[chosen]
        return error.sum() / within[chosen].sum()

    log, start = Log(folder / "text.csv", first), time.monotonic()
    for step in range(first, steps):
        generator = torch.Generator().manual_seed(step)
        chosen = torch.randint(len(examples.learnt), (BATCH,), generator=generator)
        phrases = torch.randint(examples.ids.shape[1], (BATCH,), generator=generator)
        loss = loss_of(chosen, phrases)
        learner.learn(step, loss)
        log.add(step, steps, loss=loss.item(), seconds=time.monotonic() - start)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            save_state(path, step + 1, reader=reader, learner=learner)
    if examples.kept:
        with torch.no_grad():
            unheard = loss_of(torch.tensor(examples.kept), 0).item()
        print(f"text: of how sounds that were not trained on differ, {1 - unheard:.0%} is told")
