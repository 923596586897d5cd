"""How weights are moved: what all trainers share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

from .fast import has_bfloat16

LEARNING_RATE = 1.5e-3
MUON_LEARNING_RATE = 2.5e-3
WARM_UP = 200


class Learner:
    """Optimizers and their learning rates, through `steps` steps: a linear start of `warm_up`
    steps, then half a cosine.
    """

    def __init__(self, optimizers: Iterable[tuple[Optimizer, float]], steps: int, warm_up: int):
        self.optimizers, self.rates = zip(*optimizers)
        self.steps, self.warm_up = steps, warm_up
        self.parameters = [
            parameter
            for optimizer in self.optimizers
            for group in optimizer.param_groups
            for parameter in group["params"]
        ]

    def learn(self, step: int, loss: Tensor) -> float:
        """Go down the slope of a loss; returns the norm of its gradient."""
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        speed = min(1, (step + 1) / self.warm_up) * (0.01 + 0.99 * cosine)
        for optimizer, rate in zip(self.optimizers, self.rates):
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["lr"] = rate * speed
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        return norm.item()

    def state_dict(self) -> dict[str, Any]:
        return {"optimizers": [optimizer.state_dict() for optimizer in self.optimizers]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)


def convolutions(module: nn.Module, rate: float, steps: int, warm_up: int) -> Learner:
    """AdamW for those parameters of an autoencoder that are not held where they are."""
    moving = (parameter for parameter in module.parameters() if parameter.requires_grad)
    return Learner([(AdamW(moving, betas=(0.8, 0.99), weight_decay=0), rate)], steps, warm_up)


def transformers(module: nn.Module, device: str, steps: int, pace: float = 1.0) -> Learner:
    """Muon (Jordan et al. 2024) for matrices, where it needs fewer steps than AdamW, and AdamW for
    everything else, the tables of tokens and positions among it; `pace` times the usual rates.
    """
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in module.named_parameters():
        is_table = name.endswith(("shared.weight", "pos_emb.emb.weight"))
        groups[parameter.ndim == 2 and not is_table].append(parameter)
    if not has_bfloat16(device):
        torch.optim._muon._zeropower_via_newtonschulz = _orthogonal
    muon = Muon(groups[True], weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    adamw = AdamW(groups[False], betas=(0.9, 0.98), weight_decay=0)
    rates = pace * MUON_LEARNING_RATE, pace * LEARNING_RATE
    return Learner(zip((muon, adamw), rates), steps, WARM_UP)


def _orthogonal(
    gradient: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Tensor:
    """The nearest orthogonal matrix, roughly, by Newton-Schulz iteration (Jordan et al. 2024).

    In float32: torch.optim.Muon does it in bfloat16, which takes three seconds a step of the pocket
    model on a CPU that has to emulate it, and a tenth of one like this.
    """
    a, b, c = coefficients
    x = gradient / gradient.norm().clamp(min=eps)
    x = x.T if gradient.shape[0] > gradient.shape[1] else x
    # every step multiplies x by a polynomial of x·xᵀ, the smaller square: all of them first
    gram, product = x @ x.T, torch.eye(len(x), device=x.device)
    for _ in range(steps):
        factor = torch.addmm(b * gram, gram, gram, alpha=c)
        factor.diagonal().add_(a)
        gram, product = factor @ gram @ factor, factor @ product
    x = product @ x
    return x.T if gradient.shape[0] > gradient.shape[1] else x
