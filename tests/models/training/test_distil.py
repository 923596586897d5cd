"""Distillation: the student's levels are the sampler's, its goal is where the teacher comes, and it
comes nearer to that with a quarter of the evaluations.
"""

import copy
import dataclasses

import numpy as np
import torch

from edge_audio.sampling.guidance import guided
from edge_audio.sampling.samplers import SAMPLERS
from edge_audio.sampling.schedule import logsnr_sigmas
from models.training import data, distil
from models.training.design import POCKET
from models.training.examples import Examples
from models.training.modules import Model

DESIGN = dataclasses.replace(
    POCKET,
    width=32,
    depth=1,
    heads=1,
    latents=8,
    batch=8,
    distilled={"sampler": "euler", "steps": 6, "cfg_scale": 1.0},
)


def test_levels_are_those_of_the_sampler():
    found = distil.levels(torch.arange(7.0), 6)
    assert np.allclose(found, logsnr_sigmas(6), atol=1e-6)
    between = distil.levels(torch.tensor([0.5, 4.5, 6.5]), 6)
    assert 1 > between[0] > found[1] and found[4] > between[1] > found[5] and between[2] == 0


def test_midpoint_steps_are_of_second_order():
    x, start, end = torch.ones(2, 1, 1), torch.tensor([1.0, 0.8]), torch.tensor([0.4, 0.0])
    exact = (end - start).exp()  # of dx/dt = x

    def error(steps: int) -> float:
        found = distil.midpoint(lambda x, t: x, x, start, end, steps)[:, 0, 0]
        return float((found - exact).abs().max())

    assert error(2) < 0.03 and error(8) < error(2) / 12
    falling = distil.midpoint(lambda x, t: 2 * t[:, None, None], x, start, end, 1)
    assert torch.allclose(falling[:, 0, 0], 1 + end**2 - start**2)


@torch.no_grad()
def sampled(model: Model, batch, sampler: str, steps: int, scale: float) -> np.ndarray:
    cond, global_cond = model.condition(*batch)

    def v(x, t, cond):
        level = torch.full((len(x),), t)
        return model.dit(torch.from_numpy(x), level, cond, global_cond).numpy()

    x = np.random.default_rng(1).standard_normal((len(cond), DESIGN.latents, 16), np.float32)
    way = SAMPLERS[sampler]
    branches = guided(v, cond, torch.zeros_like(cond), scale)
    *_, last = way.sample(branches, x, way.schedule(steps), lambda shape: None)
    return last.x


def test_the_student_comes_near_where_guidance_leads(tmp_path, monkeypatch):
    monkeypatch.setattr(distil, "PACE", 1.0)
    torch.manual_seed(0)
    teacher = Model(DESIGN.model_config, DESIGN.t5_config(DESIGN.pieces)).eval()
    teacher.dit.to_cond_embed[2].weight.data *= 30  # so that the prompt has its say
    rng = np.random.default_rng(0)
    ids = rng.integers(2, DESIGN.pieces, (16, 1, DESIGN.max_tokens))
    clips = data.Clips(
        None,
        [("",)] * 16,
        ids,
        np.ones_like(ids, bool),
        np.full(16, 4.0),
    )
    latents = rng.standard_normal((16, DESIGN.latents, 16)).astype("float16")
    batch = [torch.from_numpy(a[:, 0]) for a in (clips.ids, clips.mask)]
    batch.append(torch.from_numpy(clips.seconds).float())
    goal = sampled(teacher, batch, "rk4", 24, DESIGN.sampling["cfg_scale"])
    before = sampled(teacher, batch, "euler", 6, 1.0)
    student = distil.train(
        Examples(DESIGN, clips, latents, "cpu"), copy.deepcopy(teacher), tmp_path, 150
    )
    after = sampled(student, batch, "euler", 6, 1.0)
    assert np.abs(after - goal).mean() < 0.5 * np.abs(before - goal).mean()
