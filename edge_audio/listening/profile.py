"""What a sound is most like, of all families of the second sound world: for instruments, drums and
effects that no two or three measures tell apart.

`features` measures how the level goes, where the energy is, at first and later, and how it lies on
the multiples of the pitch. The table beside this file holds a linear discriminant, which was found
on training sounds, half of them with a noise floor and a dull treble as a codec leaves them
(`models.training.sounds.profiles` makes it anew).
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_audio.listening.claims import Claim
from edge_audio.listening.measures import (
    ENVELOPE_HOP,
    decibels,
    envelope,
    frames_of,
    harmonic_hz,
    onset_strength,
)

TABLE = Path(__file__).with_name("profiles.npz")
FLOOR = -40.0  # dB; what lies lower is alike
BAND_EDGES = np.geomspace(45, 8000, 23)
COARSE_EDGES = np.geomspace(45, 8000, 9)
HARMONICS = 10
AFTER = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5)  # s after the loudest moment


def _shares(hz: np.ndarray, power: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """dB of each band against all of them: [bands]."""
    bands = np.array(
        [power[(hz >= low) & (hz < high)].sum() for low, high in itertools.pairwise(edges)]
    )
    shares: np.ndarray = np.maximum(10 * np.log10(bands / (bands.sum() + 1e-20) + 1e-9), FLOOR)
    return shares


def _envelope_features(audio: np.ndarray) -> list[float]:
    levels = decibels(envelope(audio, 0.02))
    top = int(levels.argmax())
    before = levels[: top + 1][::-1]
    quiet = np.flatnonzero(before < -12)
    attack = (quiet[0] if len(quiet) else top) * ENVELOPE_HOP
    heard = np.flatnonzero(levels > -18)
    later = [
        max(FLOOR, float(levels[min(top + round(s / ENVELOPE_HOP), len(levels) - 1)]))
        for s in AFTER
    ]
    length = (heard[-1] - heard[0] + 1) * ENVELOPE_HOP
    onsets = onset_strength(audio)
    peaks = np.sum(
        (onsets[1:-1] > 0.3) & (onsets[1:-1] >= onsets[:-2]) & (onsets[1:-1] > onsets[2:])
    )
    middle = levels[heard[0] : heard[-1] + 1]
    return [
        np.log10(attack + 0.01),
        np.log10(length + 0.02),
        np.log10(1 + peaks / (length + 0.1)),
        float(len(heard)) / (heard[-1] - heard[0] + 1),
        float(np.std(np.maximum(middle, -30))),
        float(np.mean(np.abs(np.diff(np.maximum(middle, -30))))) if len(middle) > 1 else 0.0,
        *later,
    ]


def features(audio: np.ndarray) -> np.ndarray:
    """Of a clip as checks get it, mono at ANALYSIS_RATE with its peak at 1: float64 [features]."""
    hz, power = frames_of(audio, 0.064, 0.016)
    level = power.sum(axis=1)
    loud = level > level.max() * 10**-2.5
    top = int(level.argmax())
    whole = power[loud].mean(axis=0)
    first = power[top : top + 4].mean(axis=0)
    late = power[top + 12 : top + 40]
    late = late[level[top + 12 : top + 40] > level.max() * 1e-4]
    after = late.mean(axis=0) if len(late) else first
    pitch = harmonic_hz(audio, 40, 4000)
    near = [power_near(hz, whole, number * pitch) for number in range(1, HARMONICS + 1)]
    total = whole.sum() + 1e-20
    harmonic = np.maximum(10 * np.log10(np.array(near) / total + 1e-9), FLOOR)
    rest = max(FLOOR, 10 * np.log10(max(1e-9, 1 - sum(near) / total)))
    normal = power[loud] / (level[loud][:, None] + 1e-20)
    flux = float(np.mean(np.abs(np.diff(normal, axis=0)).sum(axis=1))) if loud.sum() > 1 else 0.0
    logs = np.log(whole[1:] + total * 1e-9)
    flat = float(10 * np.log10(np.exp(logs.mean()) / (whole[1:].mean() + 1e-20)))
    swing = np.std(np.log2(np.maximum(hz[power[loud].argmax(axis=1)], 40)))
    octave = np.log2(pitch / 260)
    plain = np.concatenate(
        [
            _envelope_features(audio),
            _shares(hz, whole, BAND_EDGES),
            _shares(hz, first, COARSE_EDGES),
            _shares(hz, after, COARSE_EDGES),
            harmonic,
            [rest, flux, flat, float(swing), octave],
        ]
    )
    # An instrument is another one in another octave.
    return np.concatenate([plain, harmonic * octave, [rest * octave, octave**2]])


def power_near(hz: np.ndarray, power: np.ndarray, centre: float) -> float:
    """Power within a bin or three of a frequency."""
    reach = max(24.0, 0.02 * centre)
    return float(power[np.abs(hz - centre) <= reach].sum())


@dataclass(frozen=True)
class Profiles:
    """A linear discriminant: features, less `mean`, by `project` are compared with `centres`."""

    families: tuple[str, ...]
    mean: np.ndarray  # [features]
    project: np.ndarray  # [features, dimensions]; spreads are 1 afterwards
    centres: np.ndarray  # [families, dimensions]
    reach: np.ndarray  # [families]; how far from its centre a family's own sounds are
    slack: np.ndarray  # [families]; how much nearer another family may be, of such distances

    def distances(self, heard: np.ndarray) -> np.ndarray:
        """Of features from every family's centre: [families]."""
        place = (heard - self.mean) @ self.project
        apart: np.ndarray = np.sqrt(((place - self.centres) ** 2).sum(axis=1))
        return apart


@functools.cache
def profiles() -> Profiles:
    """The table that is beside this file."""
    with np.load(TABLE) as table:
        numbers = [table[name].astype(np.float64) for name in ("mean", "project", "centres")]
        edges = [table[name].astype(np.float64) for name in ("reach", "slack")]
        return Profiles(tuple(table["families"].tolist()), *numbers, *edges)


# The clip that was measured last, and its distances: who asks for one family asks for others.
_last: list[tuple[np.ndarray, np.ndarray]] = []


def _distances(audio: np.ndarray) -> np.ndarray:
    for known, distances in _last:
        if known is audio:
            return distances
    distances = profiles().distances(features(audio))
    _last[:] = [(audio, distances)]
    return distances


def like(audio: np.ndarray, family: str) -> tuple[Claim, ...]:
    """That it sounds like the family, and not much more like any other."""
    table, distance = profiles(), _distances(audio)
    own = table.families.index(family)
    nearest = int(distance.argmin())
    return (
        Claim(
            bool(distance[own] - distance[nearest] <= table.slack[own]),
            f"most like {table.families[nearest]}",
            f"like {family}",
        ),
        Claim(
            bool(distance[own] <= table.reach[own]),
            f"{distance[own]:.1f} from {family}",
            f"at most {table.reach[own]:.1f}",
        ),
    )
