"""A start that is not noise alone, and parts that stay: with every sampler."""

import numpy as np
import pytest

from edge_audio.sampling.editing import keep_mask, keeping, pasted, started
from edge_audio.sampling.noise import NoiseStream
from edge_audio.sampling.samplers import SAMPLERS


def test_the_start_lies_between():
    noise, latents = (NoiseStream(seed).normal((1, 4, 3)) for seed in (1, 2))
    assert np.array_equal(started(noise, latents, 1.0), noise)
    np.testing.assert_allclose(started(noise, latents, 0.25), 0.75 * latents + 0.25 * noise)


def test_a_latent_is_made_anew_where_its_first_sample_is():
    mask = keep_mask(8, 10, 65, [(15, 31), (50, 52)])
    assert mask.tolist() == [1, 1, 0, 0, 1, 0, 1, 0]  # the last begins behind the clip


@pytest.mark.parametrize("name", SAMPLERS)
def test_what_is_kept_comes_back(name):
    """Whatever the model says there, and with noise of the right size on the way."""
    latents, keep = NoiseStream(3).normal((1, 6, 2)), np.array([1, 1, 0, 0, 1, 1], np.float32)
    v = keeping(lambda x, t: np.full_like(x, 9.0), keep, latents)
    noise, sampler = NoiseStream(4), SAMPLERS[name]
    x, level = noise.normal((1, 6, 2)), []
    for step in sampler.sample(v, x, sampler.schedule(8), noise.normal):
        level.append(np.abs(step.x - latents)[:, keep > 0].max())
    assert np.abs(step.x - latents)[:, keep > 0].max() < 1e-5
    assert level[0] > level[3] > level[-1]
    assert np.abs(step.x - latents)[:, keep == 0].min() > 0.1


def test_the_original_is_pasted_bit_for_bit():
    rng = np.random.default_rng(0)
    original, made = rng.standard_normal((2, 100, 2)).astype(np.float32)
    out = np.concatenate(list(pasted(np.split(made, [7, 40, 41]), original, [(20, 60)], 5)))
    assert np.array_equal(out[:20], original[:20]) and np.array_equal(out[60:], original[60:])
    assert np.array_equal(out[25:55], made[25:55]) and out.dtype == np.float32
    share = (out - original)[20:25] / (made - original)[20:25]
    assert np.all(np.diff(share, axis=0) > 0) and np.all((share > 0) & (share < 1))


def test_a_region_at_an_end_needs_no_fade_there():
    original, made = np.zeros((50, 1), np.float32), np.ones((50, 1), np.float32)
    out = np.concatenate(list(pasted([made], original, [(0, 10), (40, 50)], 4)))[:, 0]
    assert out[0] == 1 and out[-1] == 1 and out[9] < 1 and out[40] < 1 and not out[10:40].any()
