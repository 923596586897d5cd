from pathlib import Path

import numpy as np
import pytest

from edge_audio.sampling.samplers import SAMPLERS, dpmpp, euler, pingpong, rk4
from edge_audio.sampling.schedule import logsnr_sigmas

GOLDEN = [
    np.load(Path(__file__).parents[2] / "data" / name / "golden.npz")
    for name in ("tiny0", "tinyrope0")
]
SPREAD = 0.5


def gaussian_v(x, t):
    """The exact v of data that is N(0, SPREAD²): its flow multiplies x by the ratio of standard
    deviations.
    """
    return x * (t - (1 - t) * SPREAD**2) / deviation(t) ** 2


def deviation(t):
    return np.sqrt((1 - t) ** 2 * SPREAD**2 + t**2)


def last(steps):
    return list(steps)[-1].x


def no_noise(shape):
    raise AssertionError("this sampler draws no noise")


@pytest.mark.parametrize("golden", GOLDEN)
def test_pingpong_replays_the_official_run(golden):
    x_at, denoised_at, noise = (golden[f"pingpong_{name}"] for name in ("x", "denoised", "noise"))
    sigmas = golden["sigmas_8"]
    draws = iter(noise)
    recorded = {float(t): (x - d) / t for t, x, d in zip(sigmas, x_at, denoised_at)}

    def denoise(x, t):
        np.testing.assert_allclose(x, x_at[list(recorded).index(t)], atol=1e-6)
        return recorded[t]

    steps = list(pingpong(denoise, golden["noise_init"], sigmas, lambda shape: next(draws)))
    np.testing.assert_allclose(steps[-1].x, golden["pingpong_final"], atol=1e-6)
    for step, denoised in zip(steps, denoised_at):
        np.testing.assert_allclose(step.denoised, denoised, atol=1e-6)
    assert next(draws, None) is None, "the last draw is multiplied by zero, but drawn"


@pytest.mark.parametrize("sampler, order", [(euler, 1), (dpmpp, 2), (rk4, 4)])
def test_order_of_convergence(sampler, order):
    """Half the step, 2^order less error, on a v that depends on both x and t."""

    def v(x, t):
        return (2 - t) * x

    def exact(t):
        return np.exp(2 * t - t**2 / 2)

    def error(steps):
        sigmas = np.linspace(0.9, 0.1, steps + 1)
        end = last(sampler(v, np.array([exact(0.9)]), sigmas, no_noise))
        return abs(end[0] - exact(0.1))

    assert np.log2(error(16) / error(32)) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize("name", ["euler", "rk4", "dpmpp"])
def test_from_noise_to_data(name):
    sampler, x = SAMPLERS[name], np.linspace(-2, 2, 8, dtype=np.float32).reshape(1, 4, 2)
    end = last(sampler.sample(gaussian_v, x, sampler.schedule(50), no_noise))
    np.testing.assert_allclose(
        end, x * SPREAD, atol=0.1
    )  # most of it the schedule's long last step


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_perfect_model_is_followed_in_one_step(name):
    clean, noise = np.full((1, 3, 2), 0.25, np.float32), np.full((1, 3, 2), -1.5, np.float32)
    steps = list(SAMPLERS[name].sample(lambda x, t: noise - clean, noise, [1.0, 0.0], np.zeros))
    assert len(steps) == 1
    np.testing.assert_allclose(steps[0].x, clean, atol=1e-6)
    np.testing.assert_allclose(steps[0].denoised, clean, atol=1e-6)


@pytest.mark.parametrize("name", SAMPLERS)
def test_steps_tell_where_they_are_and_stay_float32(name):
    sampler = SAMPLERS[name]
    x = np.ones((1, 4, 2), np.float32)
    sigmas = sampler.schedule(5)
    steps = list(
        sampler.sample(lambda x, t: 0.1 * x, x, sigmas, lambda shape: np.zeros(shape, np.float32))
    )
    assert [step.index for step in steps] == [0, 1, 2, 3, 4] and {step.total for step in steps} == {
        5
    }
    assert [step.t for step in steps] == list(sigmas[:-1])
    assert (
        {step.x.dtype for step in steps}
        == {step.denoised.dtype for step in steps}
        == {np.dtype(np.float32)}
    )
    assert np.array_equal(x, np.ones_like(x)), "the caller's array is not written to"


@pytest.mark.parametrize("name", SAMPLERS)
def test_nothing_is_evaluated_before_it_is_asked_for(name):
    calls = []
    sampler = SAMPLERS[name]

    def denoise(x, t):
        calls.append(t)
        return 0 * x

    steps = sampler.sample(denoise, np.ones((1, 2, 2), np.float32), sampler.schedule(8), np.zeros)
    assert not calls
    next(steps)
    assert len(calls) == sampler.evaluations


def test_rk4_evaluates_at_zero():
    levels = []
    last(rk4(lambda x, t: levels.append(t) or 0 * x, np.ones((1, 1, 1)), [1.0, 0.5, 0.0], no_noise))
    assert levels == [1.0, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25, 0.0]


def test_dpmpp_is_first_order_out_of_one_and_into_zero():
    sigmas = logsnr_sigmas(3)
    guesses = iter([np.array([1.0]), np.array([2.0]), np.array([5.0])])
    steps = list(dpmpp(lambda x, t: (x - next(guesses)) / t, np.array([0.3]), sigmas, no_noise))
    t1, t2 = sigmas[1], sigmas[2]
    assert steps[0].x == pytest.approx(t1 * 0.3 + (1 - t1) * 1.0)  # as Euler: h is infinite
    # A first-order step at t > 0 moves on the straight line from the guess, exactly like Euler.
    assert steps[1].x == pytest.approx(2.0 + (steps[0].x - 2.0) * t2 / t1)
    assert steps[2].x == pytest.approx(5.0)
