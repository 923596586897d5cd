"""Teach words what they sound like, and the first block when, before the transformer learns to make
clips.

Under heavy noise, where a transformer decides what it makes, the text lowers its loss by a
hundredth, and a text encoder that learns by that alone says nothing for thousands of steps. Here it
learns, with the first block, to say what is heard at single latents (`heard`), of nothing but
captions and positions: a hundred times as many captions a second as the transformer hears.

The same goes on beside the transformer's training, whose own loss asks for little of it. Noise does
not disturb what was learnt before: latents come in fewer dims than the transformer is wide, and
the block begins by reading and writing in those that are left, which are `quiet`.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from . import learners
from .echo import HEARD_SPAN, TURN_SPAN, Echo, audibility, heard
from .examples import Examples
from .modules import Model
from .progress import Log, load_state, save_state

# of a step: captions, and latents of the clip of each
CAPTIONS, PLACES = 384, 8
SAVE_EVERY = 500
# the shortest of the waves that positions begin as, in latents
SHORTEST = 8


class Words(nn.Module):
    """What learns: the text encoder, the conditioner of seconds, positions, the first block; and
    the directions that it keeps to.
    """

    def __init__(self, model: Model, echo: Echo):
        super().__init__()
        transformer = model.dit.transformer
        self.t5, self.conditioner, self.echo = model.t5, model.conditioner, echo
        self.to_cond_embed, self.pos_emb = model.dit.to_cond_embed, transformer.pos_emb
        block = transformer.layers[0]
        self.cross_attend_norm, self.cross_attn = block.cross_attend_norm, block.cross_attn
        self.ff_norm, self.ff = block.ff_norm, block.ff
        self.register_buffer("quiet", quiet_of(model), persistent=False)

    def tell(self, context: Tensor, noise: Tensor, at: Tensor) -> Tensor:
        """context [B, L+1, D], noise as it arrives [B, K, width], places of latents [B, K] -> what
        the block makes of them [B, K, width]. Its self-attention says nothing yet.
        """
        x = noise + self.pos_emb(self.pos_emb.emb.num_embeddings)[1 + at]
        x = x + self.cross_attn(self.cross_attend_norm(x), context=self.to_cond_embed(context))
        return x + self.ff(self.ff_norm(x))

    @torch.no_grad()
    def stay(self) -> None:
        """Read and write in quiet directions alone."""
        for read in (self.cross_attn.to_q, self.ff.ff[0].proj, self.echo.read):
            read.weight.copy_(read.weight @ self.quiet)
        for write in (self.cross_attn.to_out, self.ff.ff[2]):
            write.weight.copy_(self.quiet @ write.weight)
        self.ff.ff[2].bias.copy_(self.quiet @ self.ff.ff[2].bias)
        for norm in (self.cross_attend_norm, self.ff_norm):  # which would mix the directions
            norm.gamma.fill_(1.0)


def begin(model: Model, echo: Echo) -> Words:
    """What learns, before it has: positions are waves, and the block's self-attention is silent."""
    words = Words(model, echo)
    # the directions are the last eigenvectors; a sine and a cosine in every two of them
    count, directions = len(words.pos_emb.emb.weight), round(words.quiet.trace().item()) // 2
    basis = torch.linalg.eigh(words.quiet).eigenvectors[:, -2 * directions :]
    cycles = torch.linspace(1 / (2 * count), 1 / SHORTEST, directions)
    angles = 2 * math.pi * torch.arange(count)[:, None] * cycles
    waves = torch.cat([angles.sin(), angles.cos()], dim=1).to(basis)
    with torch.no_grad():
        words.pos_emb.emb.weight.copy_(waves @ basis.T / words.pos_emb.scale)
        model.dit.transformer.layers[0].self_attn.to_out.weight.zero_()
    words.stay()
    return words


class Lesson:
    """Captions of examples and what is heard of their clips, which the `Words` of `model` learn to
    say to `echo`. weights [C, 1]: of latents, as `audibility` gives them.
    """

    def __init__(self, examples: Examples, model: Model, echo: Echo, weights: Tensor):
        self.examples, self.model, self.weights = examples, model, weights
        self.words = Words(model, echo)

    def loss(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """What is said wrongly of clips [B], by one caption of each, and what is heard of them
        [B, 1 + lags, C, PLACES].
        """
        examples, device = self.examples, self.examples.device
        channels, length = examples.design.latents, examples.design.latent_length
        phrases = torch.randint(examples.ids.shape[1], (len(rows),))
        context, _ = self.model.condition(
            *examples.text(rows, phrases), examples.seconds[rows].to(device)
        )
        # a tenth of them after the end of the clip, where it is still
        ends = examples.length_of[rows, None] * 1.1
        at = (torch.rand(len(rows), PLACES) * ends).long().clamp(max=length - 1)
        noise = torch.randn(len(rows), channels, PLACES, device=device)
        now = heard_at(examples, rows, at).to(device)
        told = self.words.tell(context, self.model.dit.arrive(noise).detach(), at.to(device))
        return self.words.echo.loss(told, now, self.weights), now


def quiet_of(model: Model) -> Tensor:
    """The projection [width, width] to those directions in which no latents arrive, nor the mean of
    all dims, which norms take away.
    """
    channels = model.dit.transformer.project_in.in_features
    device = model.dit.transformer.project_in.weight.device
    with torch.no_grad():
        arrives = model.dit.arrive(torch.eye(channels, device=device)[None])[0]
    loud = torch.cat([arrives, torch.ones_like(arrives[:1])])
    basis = torch.linalg.qr(loud.T).Q
    return torch.eye(len(basis), device=device) - basis @ basis.T


def train(examples: Examples, model: Model, folder: Path, steps: int) -> Echo:
    """Train the text encoder and the first block of `model` for `steps` in all, going on from
    `folder`/text.pt if it is there; returns what reads them.
    """
    device, design = examples.device, examples.design
    torch.manual_seed(0)
    model.to(device).train()
    weights = audibility(model.autoencoder)
    echo = Echo(design.width, design.latents).to(device)
    words = begin(model, echo)
    lesson = Lesson(examples, model, echo, weights)
    learner = learners.transformers(words, device, steps)
    path = folder / "text.pt"
    first = load_state(path, device, words=words, learner=learner)

    log, start = Log(folder / "text.csv", first), time.monotonic()
    for step in range(first, steps):
        torch.manual_seed(step)
        rows = torch.randint(len(examples.learnt), (CAPTIONS,))
        loss, _ = lesson.loss(rows)
        learner.learn(step, loss)
        words.stay()
        log.add(step, steps, loss=loss.item(), seconds=time.monotonic() - start)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            save_state(path, step + 1, words=words, learner=learner)
    if examples.kept and first < steps:
        with torch.no_grad():
            loss, now = lesson.loss(torch.tensor(examples.kept))
            usual = now.mean((0, 3), keepdim=True)
            differ = echo.error(usual, now, weights)
        print(
            f"text: of how sounds that were not trained on differ, {1 - loss / differ:.0%} is told"
        )
    return echo


def heard_at(examples: Examples, rows: Tensor, places: Tensor) -> Tensor:
    """What is heard of clips [B] at places [B, K] of theirs: [B, 1 + lags, C, K]."""
    length = examples.design.latent_length
    begin = (places - TURN_SPAN // 2).clamp(0, length - HEARD_SPAN)
    around = begin[..., None] + torch.arange(HEARD_SPAN)
    some = examples.latents[rows.numpy()[:, None, None], :, around.numpy()]
    now = heard(torch.from_numpy(some.astype("float32")).flatten(0, 1).mT)
    index = (places - begin).flatten()[:, None, None, None].expand(*now.shape[:3], 1)
    return now.gather(3, index)[..., 0].unflatten(0, places.shape).movedim(1, 3)
