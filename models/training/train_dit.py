"""Train the diffusion transformer, and the text encoder and number conditioner along with it, on
the latents of the clips.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import learners
from .data import TOKENIZER_FILE
from .examples import Batch, Examples
from .fast import compile_for, fast
from .focus import Focus
from .modules import Autoencoder, Model
from .progress import Best, Log, load_state, move_average, save_state

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
# of `Echo`: the share of its loss, latents over which loudness is averaged, a power that is as good
# as silence, and the size of loudness
ECHO_WEIGHT, ECHO_SPAN, SILENCE, ECHO_SCALE = 0.5, 5, 1e-3, 3.0
# and of its turns: how far apart the latents are that are compared, over how many of them, and the
# power below which a latent hardly turns: that of a faint one is chance
LAGS, TURN_SPAN, FAINT = (1, 2, 4), 9, 0.1
# latents around one of which something is told
HEARD_SPAN = TURN_SPAN + LAGS[-1]
# what `audibility` adds to a latent, and latents from one such place to the next
BUMP, APART = 0.5, 16


class Echo(nn.Module):
    """Says how loud each latent of the clip is and how it turns, by what the transformer knows of
    it halfway through: [B, T, width] -> [B, (1 + lags) · C, T]. Only training has it.

    Where a sound is and how it is tuned can be told, its phase cannot, and the velocity is mostly
    phase. With a loss of its own on what can be told, which is told of noise too, a transformer
    learns to listen to the text (as Yu et al. 2024 align theirs with what another model sees).
    """

    def __init__(self, width: int, latents: int):
        super().__init__()
        self.read = nn.Linear(width, (1 + len(LAGS)) * latents)
        # says nothing at first: at random it would push a transformer that has learnt already
        nn.init.zeros_(self.read.weight)

    def loss(self, told: Tensor, now: Tensor, weights: Tensor) -> Tensor:
        """told [B, T, width], what is `heard` then [B, 1 + lags, C, T]."""
        return self.error(self.read(told).mT.float().unflatten(1, now.shape[1:3]), now, weights)

    @staticmethod
    def error(said: Tensor, now: Tensor, weights: Tensor) -> Tensor:
        """The mean square of what is said wrongly, of loudness and of turns."""
        error = (said - now).pow(2) * weights
        return error[:, 0].mean() + error[:, 1:].mean()


def heard(latents: Tensor) -> Tensor:
    """What `Echo` tells of latents [B, C, T]: [B, 1 + lags, C, T], how loud each is, and how like
    those 1, 2 and 4 later, from −1 to 1.

    A tone goes through a latent as a sinusoid does, and how far it turns from one latent to the
    next is its pitch: loudness alone tells apart what is 31 Hz apart, four latents 8 Hz.
    """
    loud = (_mean(latents.pow(2), ECHO_SPAN) + SILENCE).log() - math.log(SILENCE) / 2
    power = _mean(latents.pow(2), TURN_SPAN) + FAINT
    later = (F.pad(latents[..., lag:], (0, lag)) for lag in LAGS)
    turns = [_mean(latents * other, TURN_SPAN) / power for other in later]
    return torch.stack([loud / ECHO_SCALE, *turns], dim=1)


def _mean(x: Tensor, span: int) -> Tensor:
    """A moving average of x [B, C, T] over so many latents, fewer at its ends."""
    return F.avg_pool1d(x, span, 1, span // 2, count_include_pad=False)


class Parts(nn.Module):
    """What is trained beside the autoencoder, so that one optimizer and one average hold it all."""

    def __init__(self, model: Model, echo: Echo):
        super().__init__()
        self.model, self.conditioner, self.t5 = model.model, model.conditioner, model.t5
        self.echo = echo


@torch.no_grad()
def audibility(autoencoder: Autoencoder) -> Tensor:
    """What an error in each latent does to the sound, as an amplitude: [C, 1], 1 in the mean.

    Latents are of one size, but some carry a voice and others the last shimmer of a cymbal, a tenth
    of that. Weighed alike, they make errors alike, and those of the first are heard.
    """
    decoder = autoencoder.decoder
    dims = decoder.layers[0].weight_v.shape[1]
    device = decoder.layers[0].weight_v.device
    some = torch.randn(1, dims, dims * APART, generator=torch.Generator().manual_seed(0))
    bumps = torch.zeros_like(some)
    bumps[0, torch.arange(dims), torch.arange(dims) * APART + APART // 2] = BUMP
    change = autoencoder.decode((some + bumps).to(device)) - autoencoder.decode(some.to(device))
    amplitude = change.pow(2).sum((0, 1)).unflatten(0, (dims, -1)).sum(1).sqrt()
    return (amplitude / amplitude.mean())[:, None]


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
) -> Model:
    """Train for `steps` in all, going on from `folder`/`name`.pt; returns the model with averaged
    weights.

    pace: factor of the learning rates, below 1 for a model that has learnt already. loss_of: as
    `flow_loss`. Where clips are held back, the best by validation is returned instead of the last.
    Clips of the sound world are drawn by `Focus`, which asks with `sampling` (default: the
    design's). echo: what the text encoder learnt to speak to (default: a new one).
    """
    device, learnt = examples.device, len(examples.learnt)
    torch.manual_seed(0)
    model.to(device).train()
    weights = audibility(model.autoencoder)
    echo = echo or Echo(examples.design.width, examples.design.latents)
    echo.to(device)
    parts = Parts(model, echo)
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
