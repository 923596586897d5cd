"""A loop out of a circle of sound: as long as it is wanted, and without a seam."""

from __future__ import annotations

import numpy as np

#: seconds of the cross-fade where a circle is shortened
CROSS_FADE = 0.2
#: seconds between the places that are looked at, and of what is looked at there
HOP, FRAME = 0.01, 0.064
#: bands of a spectrum, from this frequency in Hz
BANDS, LOWEST = 24, 80.0


def shortened(circle: np.ndarray, frames: int, rate: int) -> np.ndarray:
    """A loop of `frames` samples out of a circle [n, channels], n >= frames: its end leads into its
    beginning by a cross-fade, where the two sound most alike.
    """
    length, fade = len(circle), min(round(CROSS_FADE * rate), frames // 2)
    if frames == length:
        return circle
    begin = _best_place(circle, frames, fade, rate)
    loop = np.take(circle, np.arange(begin, begin + frames), axis=0, mode="wrap")
    beyond = np.arange(begin + frames, begin + frames + fade)
    loop[:fade] = _cross_faded(np.take(circle, beyond, axis=0, mode="wrap"), loop[:fade])
    return loop


def band_levels(mono: np.ndarray, starts: np.ndarray, rate: int) -> np.ndarray:
    """Power in bands of equal width in pitch, dB [places, bands], of the FRAME that begins at each
    start; 60 dB below the loudest is the least.
    """
    size = round(FRAME * rate)
    edges = np.geomspace(LOWEST, 0.47 * rate, BANDS + 1) * size / rate
    bins = np.unique(np.round(edges).astype(int))
    frames = np.take(mono, starts[:, None] + np.arange(size), mode="wrap") * np.hanning(size)
    power = np.add.reduceat(np.abs(np.fft.rfft(frames)) ** 2, bins[:-1], axis=1) / np.diff(bins)
    levels: np.ndarray = 10 * np.log10(power + max(power.max(), 1e-20) * 1e-6)
    return levels


def _best_place(circle: np.ndarray, frames: int, fade: int, rate: int) -> int:
    """Where the circle sounds most as it does `frames` later, for the length of the fade."""
    hop = round(HOP * rate)
    begins = np.arange(0, len(circle), hop)
    mono = circle.mean(axis=1)
    here, there = (band_levels(mono, begins + shift, rate) for shift in (0, frames))
    distance = np.abs(here - there).mean(axis=1)
    span = np.arange(max(1, fade // hop))
    over_fade = np.take(distance, np.arange(len(begins))[:, None] + span, mode="wrap").mean(axis=1)
    return int(begins[over_fade.argmin()])


def _cross_faded(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """From one to the other, both [n, channels], at the power of either: how much two gains add up
    to depends on how alike the two are (Fink, Holters & Zölzer 2016).
    """
    n = len(old)
    rise = np.sin(np.linspace(0, np.pi / 2, n + 2)[1:-1, None]) ** 2
    norm = np.sqrt(np.square(old).sum() * np.square(new).sum())
    alike = np.clip((old * new).sum() / max(norm, 1e-20), 0, 1)
    gain = np.sqrt(rise**2 + (1 - rise) ** 2 + 2 * alike * rise * (1 - rise))
    faded: np.ndarray = (old * (1 - rise) + new * rise) / gain
    return faded
