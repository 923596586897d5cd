"""Whether two parts of a sound were joined where nobody hears it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_audio.audio.loop import FRAME, band_levels
from edge_audio.listening.measures.level import ANALYSIS_RATE

#: seconds between the places that a seam is compared with
HOP = 0.016


def seam_jumps(audio: np.ndarray, seams: Sequence[int], is_circle: bool = False) -> list[float]:
    """How much the spectrum changes at each seam, a frame number: the mean difference of its bands
    just before and just after, against that which 95 of 100 other places stay below. 1 or less is a
    change as the sound itself has them.

    is_circle: whether the audio's end leads into its beginning.
    """
    size = round(FRAME * ANALYSIS_RATE)
    first, last = (0, len(audio)) if is_circle else (size, len(audio) - size + 1)
    places = np.arange(first, last, round(HOP * ANALYSIS_RATE))
    distances = np.abs(places[:, None] - np.asarray(seams)[None])
    if is_circle:
        distances = np.minimum(distances, len(audio) - distances)
    usual = np.percentile(_changes(audio, places[distances.min(axis=1) >= size]), 95)
    return [float(change / max(usual, 1e-9)) for change in _changes(audio, np.asarray(seams))]


def _changes(audio: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Mean difference, in dB over bands, of the frames before and after each place."""
    size = round(FRAME * ANALYSIS_RATE)
    levels = band_levels(audio, np.concatenate([places - size, places]), ANALYSIS_RATE)
    before, after = np.split(levels, 2)
    changes: np.ndarray = np.abs(before - after).mean(axis=1)
    return changes
