import numpy as np
import pytest

from edge_audio.sampling.guidance import guided

X = np.ones((1, 2, 2), np.float32)


def denoise(x, t, projected):
    return projected["k"] * x + np.float32(t)


@pytest.mark.parametrize(
    "scale, expected", [(3.0, 1 + 3 * (4 - 1) + 0.5), (0.0, 1.5), (1.0, 4.5), (7.0, 22.5)]
)
def test_formula(scale, expected):
    v = guided(denoise, {"k": np.float32(4)}, {"k": np.float32(1)}, scale)
    np.testing.assert_allclose(v(X, 0.5), expected * X, rtol=1e-6)


def test_scale_one_needs_no_unconditional_branch():
    calls = []

    def counted(x, t, projected):
        calls.append(projected)
        return denoise(x, t, projected)

    guided(counted, {"k": np.float32(4)}, None, 1.0)(X, 0.5)
    assert len(calls) == 1
