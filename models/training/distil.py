"""Make the trained transformer fast: one evaluation a step instead of guidance's two, and half the
steps.

The student begins as its teacher. It learns to go in a single evaluation from a noise level to the
one that lies a whole step of its schedule further down, to where its teacher comes by guidance and
two midpoint steps, in eight evaluations: progressive distillation (Salimans and Ho 2022) of a
guided model (Meng et al. 2023). Half of the time it starts between the levels of its schedule, as
clips do that begin from another clip.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from edge_audio.sampling.schedule import LOGSNR_END, LOGSNR_START

from . import train_dit
from .examples import Batch, Examples
from .fast import compile_for
from .modules import Model

#: factor of the learning rates: the student knows nearly everything
PACE = 0.25
TEACHER_STEPS = 2

# (x [B, C, T], t [B]) -> v [B, C, T]
Velocity = Callable[[Tensor, Tensor], Tensor]


def levels(places: Tensor, steps: int) -> Tensor:
    """The noise levels [B] at so many steps, whole or not, into a schedule of `steps`: what
    `logsnr_sigmas` has, its two set ends included.
    """
    t = torch.sigmoid(-(LOGSNR_START + (LOGSNR_END - LOGSNR_START) * places / steps))
    return t.where(places > 0, 1.0).where(places < steps, 0.0)


def midpoint(v: Velocity, x: Tensor, t: Tensor, end: Tensor, steps: int) -> Tensor:
    """x [B, C, T], brought from the levels t to the levels `end` [B] along v by midpoint steps."""
    size = (end - t) / steps
    for index in range(steps):
        now = t + index * size
        middle = x + (size / 2)[:, None, None] * v(x, now)
        x = x + size[:, None, None] * v(middle, now + size / 2)
    return x


def train(
    examples: Examples, model: Model, folder: Path, steps: int, name: str = "distilled"
) -> Model:
    """Train for `steps` in all, going on from `folder`/`name`.pt if it is there; returns the
    student, made for the design's `distilled`.
    """
    design = examples.design
    teacher = copy.deepcopy(model).to(examples.device).eval().requires_grad_(False)
    compile_for(steps, teacher.dit)
    scale, count = design.sampling["cfg_scale"], design.distilled["steps"]

    def loss_of(student: Model, batch: Batch, weights: Tensor, _: nn.Module) -> Tensor:
        latents, *said = batch
        places = torch.rand(len(latents), device=latents.device) * count
        whole = torch.rand(len(latents), device=latents.device) < 0.5
        places = torch.where(whole, places.floor(), places)
        t, end = levels(places, count), levels(places + 1, count)
        x = torch.lerp(latents, torch.randn_like(latents), t[:, None, None])
        # an empty prompt is learnt as well: guidance leaves that as it is
        keep = torch.rand(len(latents), 1, 1, device=latents.device) >= train_dit.PROMPT_DROPOUT
        with torch.no_grad():
            cond, global_cond = teacher.condition(*said)
            cond = cond * keep
            branches = torch.cat([cond, torch.zeros_like(cond)]), global_cond.repeat(2, 1)

            def guided(x: Tensor, t: Tensor) -> Tensor:
                c, u = teacher.dit(x.repeat(2, 1, 1), t.repeat(2), *branches).float().chunk(2)
                return u + scale * (c - u)

            there = midpoint(guided, x, t, end, TEACHER_STEPS)
        cond, global_cond = student.condition(*said)
        v = student.dit(x, t, cond * keep, global_cond).float()
        error = v - (there - x) / (end - t)[:, None, None]
        return train_dit.evenly(error, latents, weights)

    return train_dit.train(
        examples,
        model,
        folder,
        steps,
        pace=PACE,
        loss_of=loss_of,
        name=name,
        sampling=design.distilled,
    )
