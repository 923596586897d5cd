"""Windows make all of the regions, each from what is known beside it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_audio.windows import CONTEXT, plan

STEP, LONGEST = 8, 8 * 16


@st.composite
def sounds(draw):
    """Frames of a sound, and regions of it that do not touch."""
    edges = draw(st.lists(st.integers(0, 2000), min_size=2, max_size=6, unique=True))
    edges = sorted(edges)[: len(edges) // 2 * 2]
    frames = draw(st.integers(max(edges[-1], LONGEST), 2500))
    return frames, list(zip(edges[::2], edges[1::2]))


@given(sounds())
def test_all_is_made_and_nothing_else(sound):
    frames, regions = sound
    wanted, made = np.zeros(frames, bool), np.zeros(frames, bool)
    for begin, end in regions:
        wanted[begin:end] = True
    for window in plan(frames, regions, LONGEST, STEP):
        assert 0 <= window.start <= window.begin < window.end <= window.stop <= frames
        assert window.stop - window.start <= LONGEST
        made[window.begin : window.end] = True
    assert np.array_equal(made, wanted)


@given(sounds())
def test_a_window_knows_what_is_beside_it(sound):
    frames, regions = sound
    known = np.ones(frames, bool)
    for begin, end in regions:
        known[begin:end] = False
    for window in plan(frames, regions, LONGEST, STEP):
        beside = [window.begin - 1] * (window.begin > window.start)
        beside += [window.end] * (window.end < window.stop)
        assert known[beside].all() and (beside or known[STEP:].sum() == 0 or window.begin < STEP)
        # no latent is half known where a region begins
        assert window.begin < STEP or (window.begin - window.start) % STEP == 0
        known[window.begin : window.end] = True


@pytest.mark.parametrize("region, count", [((400, 1000), 9), ((0, 600), 9), ((500, 550), 1)])
def test_windows_are_no_more_than_needed(region, count):
    windows = plan(1000, [region], LONGEST, STEP)
    assert len(windows) <= count + 1
    context = CONTEXT * LONGEST - STEP
    for window in windows:
        kept = (window.begin - window.start) + (window.stop - window.end)
        assert kept >= context or window.start == 0 or window.stop == 1000
