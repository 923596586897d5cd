"""Classifier-free guidance."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from edge_audio.sampling.samplers import Denoise

#: What `denoise` is told of one branch.
Branch = TypeVar("Branch")


def guided(
    denoise: Callable[[np.ndarray, float, Branch], np.ndarray],
    conditional: Branch,
    unconditional: Branch | None,
    cfg_scale: float,
    apg: float = 0.0,
    valid: int | None = None,
) -> Denoise:
    """A function (x, t) -> v that a sampler can use: v = u + cfg_scale (c - u), Ho & Salimans 2022.

    At scale 1 that is c: `unconditional` is then not evaluated and may be None. apg: the share of
    c - u along the denoised clip that is left out (Sadat et al. 2024, adaptive projected guidance),
    which keeps high scales from overdriving it; `valid` says how many latents that looks at.
    """
    if cfg_scale == 1:
        return lambda x, t: denoise(x, t, conditional)
    assert unconditional is not None, "guidance steers away from something"
    away = unconditional

    def v(x: np.ndarray, t: float) -> np.ndarray:
        guided_v: np.ndarray
        c, u = denoise(x, t, conditional), denoise(x, t, away)
        if not apg:
            guided_v = u + cfg_scale * (c - u)
            return guided_v
        difference = c - u
        kept = difference - apg * _along(difference, x - t * c, valid)
        guided_v = c + (cfg_scale - 1) * kept
        return guided_v

    return v


def _along(difference: np.ndarray, denoised: np.ndarray, valid: int | None) -> np.ndarray:
    """The part of `difference` along `denoised`, both [1, T, C], as its first `valid` latents have
    it.
    """
    counted = denoised[:, :valid].astype(np.float64)
    weight = (difference[:, :valid] * counted).sum() / max((counted * counted).sum(), 1e-24)
    along: np.ndarray = np.float32(weight) * denoised
    return along
