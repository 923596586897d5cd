from pathlib import Path

import numpy as np
import pytest

from edge_audio.errors import UsageError
from edge_audio.sampling.schedule import linear_sigmas, logsnr_sigmas

GOLDEN = [
    np.load(Path(__file__).parents[2] / "data" / name / "golden.npz")
    for name in ("tiny0", "tinyrope0")
]


@pytest.mark.parametrize("golden", GOLDEN)
@pytest.mark.parametrize("steps", [1, 2, 4, 8, 50, 100])
def test_logsnr_schedule(golden, steps):
    np.testing.assert_allclose(logsnr_sigmas(steps), golden[f"sigmas_{steps}"], atol=2e-7)


@pytest.mark.parametrize("golden", GOLDEN)
@pytest.mark.parametrize("sigma_max", [0.3, 0.6, 0.9])
def test_logsnr_schedule_at_strength(golden, sigma_max):
    np.testing.assert_allclose(
        logsnr_sigmas(8, sigma_max), golden[f"sigmas_8_max{sigma_max}"], atol=2e-7
    )


def test_linear_schedule():
    np.testing.assert_allclose(linear_sigmas(4), GOLDEN[0]["sigmas_rk4_4"], atol=0)


@pytest.mark.parametrize("sigma_max", [1e-3, 0.119, 0.12, 0.5, 0.99, 0.9999, 1.0])
@pytest.mark.parametrize("schedule", [logsnr_sigmas, linear_sigmas])
def test_levels_fall_to_zero(schedule, sigma_max):
    sigmas = schedule(12, sigma_max)
    assert sigmas[0] == sigma_max and sigmas[-1] == 0 and len(sigmas) == 13
    assert (np.diff(sigmas) < 0).all()


@pytest.mark.parametrize("schedule", [logsnr_sigmas, linear_sigmas])
def test_bad_settings_are_refused(schedule):
    for steps in (0, -3, 2.5, True):
        with pytest.raises(UsageError, match="steps .* use a whole number from 1"):
            schedule(steps)
    for sigma_max in (0, -0.3, 1.1, float("nan")):
        with pytest.raises(UsageError, match="strength .* choose more than 0 "):
            schedule(8, sigma_max)
