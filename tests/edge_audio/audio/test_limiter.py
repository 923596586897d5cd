"""The limiter: nothing above the ceiling, nothing changed that was below it, and the same however a
clip comes.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_audio.audio.limiter import BLOCK, CEILING, REACH, Limiter


def limited(blocks, **options):
    limiter = Limiter(**options)
    return np.concatenate(list(limiter(blocks))), limiter


def noise(frames, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return (scale * rng.standard_normal((frames, 2))).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.floats(0.1, 20), st.integers(0, 99), st.lists(st.integers(1, 700)))
def test_it_is_the_same_however_the_clip_is_cut(frames, scale, seed, sizes):
    clip = noise(frames, scale, seed)
    whole, limiter = limited([clip])
    parts, cut = limited(np.split(clip, np.cumsum(sizes)[np.cumsum(sizes) < frames]))
    assert np.array_equal(parts, whole) and cut.gain == limiter.gain
    assert whole.shape == clip.shape and whole.dtype == np.float32
    assert np.abs(whole).max() <= CEILING * (1 + 1e-6)


@pytest.mark.parametrize("at", [0, 31, 32, 63, 64, 999, 1999])
def test_a_peak_anywhere_is_turned_down_to_the_ceiling(at):
    clip = np.full((2000, 1), 0.01, np.float32)
    clip[at] = -4.0
    out, limiter = limited([clip])
    assert np.abs(out).max() <= CEILING * (1 + 1e-6) and abs(out[at, 0]) > 0.8 * CEILING
    assert limiter.gain <= CEILING / 4 * 1.001 and limiter.over == pytest.approx(12.04, abs=0.01)
    far = np.abs(np.arange(2000) // BLOCK - at // BLOCK) > REACH
    assert np.array_equal(out[far], clip[far])
    gains = out[:, 0] / clip[:, 0]
    assert np.abs(np.diff(gains)).max() < 0.02  # softly: it takes several milliseconds


def test_what_needs_no_limiter_is_left_alone():
    clip = np.clip(noise(5000, 0.3), -CEILING, CEILING)
    out, limiter = limited(np.array_split(clip, 7))
    assert np.array_equal(out, clip) and limiter.gain == 1 and limiter.over < 0


def test_it_streams():
    """What comes in is given on as soon as REACH further blocks are known."""
    limiter, given_on = Limiter(), 0
    taken = 0

    def blocks():
        nonlocal taken
        for _ in range(20):
            taken += 500
            yield noise(500)

    for out in limiter(blocks()):
        given_on += len(out)
        assert taken - given_on < (REACH + 1) * BLOCK + 500 or given_on == 10_000
    assert given_on == 10_000


def test_no_audio_is_none():
    assert list(Limiter()([])) == [] and list(Limiter()([np.zeros((0, 2), np.float32)])) == []
