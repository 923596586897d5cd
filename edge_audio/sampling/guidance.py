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
) -> Denoise:
    """A function (x, t) -> v that a sampler can use: v = u + cfg_scale (c - u), Ho & Salimans 2022.

    At scale 1 that is c: `unconditional` is then not evaluated and may be None.
    """
    if cfg_scale == 1:
        return lambda x, t: denoise(x, t, conditional)
    assert unconditional is not None, "guidance steers away from something"
    away = unconditional

    def v(x: np.ndarray, t: float) -> np.ndarray:
        c, u = denoise(x, t, conditional), denoise(x, t, away)
        guided_v: np.ndarray = u + cfg_scale * (c - u)
        return guided_v

    return v
