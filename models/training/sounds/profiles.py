"""Make the table of `edge_audio.listening.profile` from training sounds of the second world:

python -m models.training.sounds.profiles
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from math import gcd

import numpy as np
from scipy.signal import butter, resample_poly, sosfilt

from edge_audio.listening.measures import ANALYSIS_RATE
from edge_audio.listening.profile import TABLE, features

from .second import SECOND

SEED = 77
DIMENSIONS = 60
SHRINK = 0.05  # of the spread within families, towards its mean
OWN = 99.0  # percent of a family's sounds, from which both limits start
# How much is added for sounds that the table has not heard. Made of 30 sounds of each family, it
# let 99.8 % of 10 others pass as their own family, and 3.8 % as another.
REACH, LEAST_REACH = 1.7, 16.0
SLACK, LEAST_SLACK, MOST_SLACK = 1.3, 3.2, 4.0


def heard(audio: np.ndarray, rate: int) -> np.ndarray:
    """As `edge_audio.listening.check` hands it to a check."""
    mono = audio.astype(np.float64).mean(axis=1) if audio.ndim == 2 else audio.astype(np.float64)
    mono = mono - mono.mean()
    divisor = gcd(rate, ANALYSIS_RATE)
    mono = resample_poly(mono, ANALYSIS_RATE // divisor, rate // divisor)
    return mono / np.abs(mono).max()


def _worn(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """With a noise floor and a dull treble, as a codec leaves it."""
    dull = sosfilt(butter(2, rng.uniform(4000, 7500), fs=ANALYSIS_RATE, output="sos"), audio)
    noise = rng.standard_normal(len(dull)) * 10 ** (rng.uniform(-60, -32) / 20)
    dull = dull + noise * np.sqrt(np.mean(dull**2)) * 4
    return dull / np.abs(dull).max()


def _of_family(job: tuple[str, int]) -> np.ndarray:
    family, each = job
    rows = []
    for index in range(each):
        rng = np.random.default_rng([SEED, index])
        seconds = float(rng.uniform(SECOND.families[family].shortest, SECOND.full_seconds))
        audio = SECOND.make_sound(rng, family, seconds=seconds).audio
        audio = heard(audio[: round(seconds * SECOND.sample_rate)], SECOND.sample_rate)
        rows.append(features(_worn(audio, rng) if index % 2 else audio))
    return np.stack(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--each", type=int, default=40, help="sounds of each family")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    families = tuple(SECOND.families)
    with ProcessPoolExecutor(arguments.threads) as pool:
        sets = list(pool.map(_of_family, [(family, arguments.each) for family in families]))
    table = fit(families, sets)
    np.savez_compressed(TABLE, **table)
    print(f"{TABLE}: {len(families)} families, {TABLE.stat().st_size} bytes")


def fit(families: tuple[str, ...], sets: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Fisher's discriminant of the sets, float16."""
    mean = np.mean([rows.mean(axis=0) for rows in sets], axis=0)
    within = np.mean([np.cov(rows.T) for rows in sets], axis=0)
    scale = np.sqrt(np.diag(within) + 1e-6)
    within = within / np.outer(scale, scale)
    within = (1 - SHRINK) * within + SHRINK * np.eye(len(within))
    values, vectors = np.linalg.eigh(within)
    white = (vectors / np.sqrt(values)) / scale[:, None]
    centres = np.stack([(rows.mean(axis=0) - mean) @ white for rows in sets])
    _, _, axes = np.linalg.svd(centres, full_matrices=False)
    project = white @ axes[:DIMENSIONS].T
    centres = np.stack([(rows.mean(axis=0) - mean) @ project for rows in sets])
    reach, slack = [], []
    for own, rows in enumerate(sets):
        places = (rows - mean) @ project
        distances = np.sqrt(((places[:, None] - centres[None]) ** 2).sum(axis=2))
        reach.append(max(LEAST_REACH, REACH * np.percentile(distances[:, own], OWN)))
        behind = distances[:, own] - distances.min(axis=1)
        slack.append(np.clip(SLACK * np.percentile(behind, OWN), LEAST_SLACK, MOST_SLACK))
    return {
        "families": np.array(families),
        "mean": mean.astype(np.float32),
        "project": project.astype(np.float32),
        "centres": centres.astype(np.float16),
        "reach": np.array(reach, np.float16),
        "slack": np.array(slack, np.float16),
    }


if __name__ == "__main__":
    main()
