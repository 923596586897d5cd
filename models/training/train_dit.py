"""Train the diffusion transformer, and the text encoder and number conditioner along with it, on
the latents of the clips.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from . import learners
from .data import TOKENIZER_FILE
from .echo import ECHO_WEIGHT, Echo, audibility, heard
from .examples import Batch, Examples
from .fast import compile_for, fast
from .focus import Focus
from .modules import Model
from .progress import Best, Log, load_state, move_average, save_state
from .train_text import Lesson

PROMPT_DROPOUT = 0.1
# Log-odds of the noise levels trained on. Pitch and rhythm are decided while noise still covers
# nearly everything, and half of the sampler's steps are above 0.88. A level is there in 30 % of the
# batch, where plain logit-normal has 2 %.
LEVEL_SHIFT, LEVEL_SPREAD = 1.2, 1.5
EMA_DECAY = 0.998
SAVE_EVERY = 100
VALIDATE_EVERY = 500
ASK_EVERY = 2000  # and at least four times in a training
VALIDATION_CLIPS = 192
# of a step, where words are taught beside
CAPTIONS = 192


class Parts(nn.Module):
    """What is trained beside the autoencoder, so that one optimizer and one average hold it all."""

    def __init__(self, model: Model, echo: Echo):
        super().__init__()
        self.model, self.conditioner, self.t5 = model.model, model.conditioner, model.t5
        self.echo = echo


def flow_loss(model: Model, batch: Batch, weights: Tensor, echo: Echo) -> Tensor:
    """Rectified flow: x_t = (1 − t)·x + t·noise, target v = noise − x; t is logit-normal (Esser et
    al. 2024).

    weights [C, 1]: of latents, as `audibility` gives them.
    """
    latents, *said = batch
    cross_attn_cond, global_cond = model.condition(*said)
    # zeros for the whole of cross_attn_cond, the seconds token included: what guidance feeds as
    # "unconditional"
    keep = torch.rand(len(latents), 1, 1, device=latents.device) >= PROMPT_DROPOUT
    noise = torch.randn_like(latents)
    # levels are spread evenly over the batch, a share of the distribution for each of its clips
    count = len(latents)
    share = (torch.arange(count) + torch.rand(count)).to(latents.device) / count
    t = torch.sigmoid(LEVEL_SPREAD * torch.special.ndtri(share) + LEVEL_SHIFT)
    x = (1 - t[:, None, None]) * latents + t[:, None, None] * noise
    halfway = len(model.dit.transformer.layers) // 2
    v, told = model.dit(x, t, cross_attn_cond * keep, global_cond, tell=halfway)
    loss = evenly(v.float() - (noise - latents), latents, weights)
    return loss + ECHO_WEIGHT * echo.loss(told, heard(latents), weights)


def evenly(error: Tensor, latents: Tensor, weights: Tensor) -> Tensor:
    """The mean square of the errors of latents, both [B, C, T], weighted by `audibility` [C, 1]. A
    steady tone has ten times the power of soft rain, and without this it would have ten times the
    say.
    """
    error, power = ((x.pow(2) * weights).mean((1, 2)) for x in (error, latents))
    return (error * 2 / (1 + power)).mean()


def train(
    examples: Examples,
    model: Model,
    folder: Path,
    steps: int,
    pace: float = 1.0,
    loss_of: Callable[..., Tensor] = flow_loss,
    name: str = "dit",
    sampling: Mapping[str, Any] | None = None,
    echo: Echo | None = None,
    words: bool = False,
) -> Model:
    """Train for `steps` in all, going on from `folder`/`name`.pt; returns the model with averaged
    weights.

    pace: factor of the learning rates, below 1 for a model that has learnt already. loss_of: as
    `flow_loss`. Where clips are held back, the best by validation is returned instead of the last.
    Clips of the sound world are drawn by `Focus`, which asks with `sampling` (default: the
    design's). echo: what the text encoder learnt to speak to (default: a new one). words: whether
    the `Lesson` of captions goes on beside, for a transformer with positions.
    """
    device, learnt = examples.device, len(examples.learnt)
    torch.manual_seed(0)
    model.to(device).train()
    weights = audibility(model.autoencoder)
    echo = echo or Echo(examples.design.width, examples.design.latents)
    echo.to(device)
    parts = Parts(model, echo)
    lesson = Lesson(examples, model, echo, weights) if words else None
    average = copy.deepcopy(parts)
    learner = learners.transformers(parts, device, steps, pace)
    path = folder / f"{name}.pt"
    best = Best(folder / f"{name}-best.pt", folder / f"{name}-validation.csv", path)
    first = load_state(path, device, parts=parts, average=average, learner=learner)
    compile_for(steps - first, model.dit)
    focus = _focus(examples, folder / f"{name}-adherence.csv", first > 0, sampling)
    ask_every = min(ASK_EVERY, max(learners.WARM_UP, steps // 4))
    chances = focus.chances if focus else torch.ones(learnt)
    log, start = Log(folder / f"{name}.csv", first), time.monotonic()
    for step in range(first, steps):
        torch.manual_seed(step)
        batch = examples.draw(chances, step)
        with fast(device):
            loss = loss_of(model, batch, weights, echo)
            if lesson:
                rows = torch.multinomial(chances, CAPTIONS, replacement=True)
                loss = loss + ECHO_WEIGHT * lesson.loss(rows)[0]
        norm = learner.learn(step, loss)
        move_average(average, parts, step, EMA_DECAY)
        log.add(step, steps, loss=loss.item(), grad=norm, seconds=time.monotonic() - start)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            save_state(path, step + 1, parts=parts, average=average, learner=learner)
        if examples.kept and ((step + 1) % VALIDATE_EVERY == 0 or step + 1 == steps):
            with _averaged(parts, average):
                loss = validation_loss(examples, lambda batch: loss_of(model, batch, weights, echo))
            best.offer(step + 1, loss, average=average)
        if focus and (step + 1) % ask_every == 0:
            with _averaged(parts, average):
                focus.update(model, step + 1, device)
    if best.path.exists():
        load_state(best.path, device, average=average)
    parts.load_state_dict(average.state_dict())
    return model.eval()


def _focus(
    examples: Examples, table: Path, resumed: bool, sampling: Mapping[str, Any] | None
) -> Focus | None:
    """None for sounds that are of no family."""
    families = examples.clips.families[: len(examples.learnt)]
    if not len(families):
        return None
    design, tokenizer = examples.design, table.parent / TOKENIZER_FILE
    return Focus(design, table, families, tokenizer, resumed, sampling or design.sampling)


@contextmanager
def _averaged(parts: Parts, average: Parts) -> Iterator[None]:
    """The average in place of the parts, for as long as they are looked at."""
    now = {name: tensor.clone() for name, tensor in parts.state_dict().items()}
    parts.load_state_dict(average.state_dict())
    yield
    parts.load_state_dict(now)


@torch.no_grad()
def validation_loss(examples: Examples, loss_of: Callable[..., Tensor]) -> float:
    """The loss of the clips that are not trained on, always with the same noise and the same noise
    levels.
    """
    losses, kept = [], torch.tensor(examples.kept)
    # as written: compiling for every size of a batch would take minutes
    with torch.random.fork_rng(devices=[]), torch.compiler.set_stance("force_eager"):
        torch.manual_seed(0)
        for length in examples.design.lengths:
            for part in kept[examples.length_of[kept] == length].split(examples.design.batch):
                batch = examples.batch(part, 0, length)
                with fast(examples.device):
                    loss = loss_of(batch)
                losses += [loss.item()] * len(part)
    return sum(losses) / len(losses)
