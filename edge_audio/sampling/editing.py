"""Editing is sampling with a memory: a start that is not noise alone, and parts that stay.

None of it knows a model or a sampler.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from edge_audio.sampling.samplers import Denoise

#: first and last frame + 1 of what is made anew
Regions = Sequence[tuple[int, int]]
#: seconds of the cross-fade at either end of a region, inside of it
CROSS_FADE = 0.015
GOLDEN = (math.sqrt(5) - 1) / 2


def started(noise: np.ndarray, latents: np.ndarray, strength: float) -> np.ndarray:
    """Where sampling begins from latents: x = (1 - s) latents + s noise, at level s
    (stable-audio-tools, `generate_diffusion_cond`).
    """
    start: np.ndarray = latents * np.float32(1 - strength) + noise * np.float32(strength)
    return start


def keep_mask(length: int, downsampling: int, frames: int, regions: Regions) -> np.ndarray:
    """float32 [length], 1 for latents that are kept: those whose first sample lies in no region,
    and in the clip (stable-audio-3, `generate`).
    """
    first = np.arange(length) * downsampling
    made = first >= frames
    for begin, end in regions:
        made |= (begin <= first) & (first < end)
    return (~made).astype(np.float32)


def keeping(v: Denoise, keep: np.ndarray, latents: np.ndarray) -> Denoise:
    """The same v, but where `keep` [T] is 1, x is led to `latents` [1, T, C]: for models that were
    not trained to keep anything.

    v = (x - latents) / t there, so that every sampler's guess is the latents, and its next x the
    latents at that noise level: with its own noise, or with fresh noise where the sampler draws
    some.
    """
    kept = keep[None, :, None] > 0
    last: np.ndarray | None = None

    def constrained(x: np.ndarray, t: float) -> np.ndarray:
        nonlocal last
        if t > 0 or last is None:  # a straight line ends in the direction that it had
            last = (x - latents) / np.float32(max(t, 1e-6))
        return np.where(kept, last, v(x, t))

    return constrained


def rolled(v: Denoise) -> Denoise:
    """The same v for a sound without an end: at every evaluation the circle of x [1, T, C] begins
    at another latent, so that no place is an end all the time.

    Where it begins are multiples of the golden ratio, which leave no large gap (Weyl's sequence)
    and are the same in every language.
    """
    count = 0

    def circular(x: np.ndarray, t: float) -> np.ndarray:
        nonlocal count
        length, count = x.shape[1], count + 1
        shift = math.floor(math.modf(count * GOLDEN)[0] * length)
        return np.roll(v(np.roll(x, -shift, axis=1), t), shift, axis=1)

    return circular


def pasted(
    blocks: Iterable[np.ndarray], original: np.ndarray, regions: Regions, fade: int
) -> Iterator[np.ndarray]:
    """Blocks of a clip with the original's own samples [frames, channels] outside the regions,
    which are faded into over `fade` frames on their inner side.
    """
    weights = np.zeros(len(original), np.float32)
    for begin, end in regions:
        length = end - begin
        ramp = (np.arange(length, dtype=np.float32) + 1) / (min(fade, length // 2) + 1)
        rise = np.ones(length, np.float32) if begin == 0 else ramp
        fall = np.ones(length, np.float32) if end >= len(original) else ramp[::-1]
        weights[begin:end] = np.minimum(1, np.minimum(rise, fall))[: len(weights) - begin]
    place = 0
    for block in blocks:
        weight = weights[place : place + len(block), None]
        kept = original[place : place + len(block)]
        yield np.where(weight == 0, kept, kept * (1 - weight) + block * weight)
        place += len(block)
