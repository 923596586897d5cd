"""Classifier-free guidance."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edge_audio.sampling.samplers import Denoise

#: What the `project` signature returned for one branch.
Projected = Mapping[str, np.ndarray]


def guided(
    denoise: Callable[[np.ndarray, float, Projected], np.ndarray],
    conditional: Projected,
    unconditional: Projected | None,
    cfg_scale: float,
) -> Denoise:
    """A function (x, t) -> v that a sampler can use: v = u + cfg_scale (c - u), Ho & Salimans 2022.

    At scale 1 that is c: `unconditional` is then not evaluated and may be None.
    """
    if cfg_scale == 1:
        return lambda x, t: denoise(x, t, conditional)

    def v(x: np.ndarray, t: float) -> np.ndarray:
        c, u = denoise(x, t, conditional), denoise(x, t, unconditional)
        return u + cfg_scale * (c - u)

    return v
