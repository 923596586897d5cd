"""Edits of the model that ships are not heard where they begin and end (docs/editing.md has twenty
prompts with three seeds)."""

import dataclasses

import numpy as np
import pytest

from edge_audio import Pipeline
from edge_audio.listening.measures import seam_jumps

RATE = 16_000


@pytest.fixture(scope="module")
def pipe():
    with Pipeline.load(precision="int8", memory="all") as pipe:
        yield pipe


def mono(clip) -> np.ndarray:
    return clip.samples[:, 0].astype(np.float64)


def test_loops_have_no_seam(pipe):
    jumps = []
    for text in ("steady rain", "a cold wind blowing", "engine hum, fast", "an organ note at D4"):
        for seconds in (2.0, 4.096):
            loop = pipe.generate(text, seconds=seconds, seed=2, loop=True)
            assert len(loop.samples) == round(seconds * RATE)
            jumps += seam_jumps(mono(loop), [0], is_circle=True)
    assert sum(jump <= 1 for jump in jumps) >= 7, jumps


def test_replaced_seconds_have_no_seams(pipe):
    jumps = []
    for text in ("steady rain", "a quick high siren", "engine hum, fast", "an organ note at D4"):
        clip = pipe.generate(text, seconds=4, seed=1)
        middle = dataclasses.replace(clip, samples=clip.samples[RATE // 2 : -RATE // 2])
        edit = pipe.generate(text, init=middle, replace=[(1.0, 2.0)], seed=3)
        jumps += seam_jumps(mono(edit), [RATE, 2 * RATE])
    assert sum(jump <= 1 for jump in jumps) >= 6, jumps
