import math
import statistics

import numpy as np
import pytest

from edge_audio.errors import UsageError
from edge_audio.sampling.noise import MAX_SEED, NoiseStream, inverse_normal_cdf

RAW = {
    0: [
        16294208416658607535,
        7960286522194355700,
        487617019471545679,
        17909611376780542444,
        1961750202426094747,
        6038094601263162090,
        3207296026000306913,
        14232521865600346940,
    ],
    1234567: [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
        7804594928223864054,
        10895525637215051397,
        5078158048327840177,
    ],
}
NORMALS = {
    0: [
        "0x1.3113560000000p+0",
        "-0x1.613ffe0000000p-3",
        "-0x1.ef9dc80000000p+0",
        "0x1.e4d7bc0000000p+0",
        "-0x1.3f06880000000p+0",
        "-0x1.ca0b880000000p-2",
        "-0x1.e0c3560000000p-1",
        "0x1.7ce6fa0000000p-1",
    ],
    1234567: [
        "-0x1.8a59280000000p-2",
        "-0x1.e135a20000000p-1",
        "0x1.4b09880000000p-4",
        "-0x1.5af0760000000p-1",
        "0x1.395a020000000p+0",
        "-0x1.8d4fe00000000p-3",
        "0x1.d56cb20000000p-3",
        "-0x1.319cb60000000p-1",
    ],
    MAX_SEED: [
        "-0x1.f169dc0000000p-1",
        "0x1.9a48400000000p+0",
        "0x1.6b88c00000000p+0",
        "-0x1.25e11e0000000p+0",
        "-0x1.d16cc80000000p-2",
        "-0x1.367f720000000p+0",
        "-0x1.dba03a0000000p-1",
        "0x1.e4c75e0000000p-4",
    ],
}


def splitmix64(state, count):
    """The published algorithm, one number at a time in whole Python integers."""
    word = 2**64 - 1
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & word
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & word
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & word
        yield z ^ (z >> 31)


@pytest.mark.parametrize("seed", RAW)
def test_raw_numbers_never_change(seed):
    assert NoiseStream(seed).integers(8).tolist() == RAW[seed]


@pytest.mark.parametrize("seed", [0, 1, 1234567, MAX_SEED])
def test_raw_numbers_are_splitmix64(seed):
    assert NoiseStream(seed).integers(1000).tolist() == list(splitmix64(seed, 1000))


@pytest.mark.parametrize("seed", NORMALS)
def test_normals_never_change(seed):
    assert [float(x).hex() for x in NoiseStream(seed).normal(8)] == NORMALS[seed]


def test_draws_continue_across_calls():
    stream, whole = NoiseStream(5), NoiseStream(5).normal(8)
    assert np.array_equal(np.concatenate([stream.normal(3), stream.normal(5)]), whole)


def test_shape_is_row_major_float32():
    block = NoiseStream(5).normal((1, 4, 2))
    assert block.dtype == np.float32 and block.shape == (1, 4, 2)
    assert np.array_equal(block.ravel(), NoiseStream(5).normal(8))


def test_seeds_differ():
    assert not np.intersect1d(NoiseStream(1).normal(1000), NoiseStream(2).normal(1000)).size


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, True, "7"])
def test_other_seeds_are_refused(seed):
    with pytest.raises(
        UsageError, match="seed .* choose a whole number from 0 to 9223372036854775807"
    ):
        NoiseStream(seed)


def test_noise_is_standard_normal():
    x = NoiseStream(42).normal(200_000).astype(np.float64)
    n = len(x)
    assert abs(x.mean()) < 4 / math.sqrt(n)
    assert abs(x.var() - 1) < 4 * math.sqrt(2 / n)
    assert abs((x**3).mean()) < 4 * math.sqrt(15 / n)
    assert abs((x**4).mean() - 3) < 4 * math.sqrt(96 / n)
    assert abs((x[1:] * x[:-1]).mean()) < 4 / math.sqrt(n)


def test_noise_passes_kolmogorov_smirnov():
    x = np.sort(NoiseStream(43).normal(50_000).astype(np.float64))
    expected = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in x])
    distance = np.max(np.abs(expected - (np.arange(len(x)) + 0.5) / len(x)))
    assert distance * math.sqrt(len(x)) < 1.63  # the 1 % point


def test_inverse_cdf_round_trip():
    p = np.concatenate(
        [np.logspace(-16, -0.31, 2000), [0.5 - 0.425, 0.5 - 0.425 - 1e-12, 0.5, 2.0**-53]]
    )
    back = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in inverse_normal_cdf(p)])
    assert np.max(np.abs(back - p) / p) < 2e-13


def test_inverse_cdf_equals_the_standard_library():
    p = np.random.default_rng(0).uniform(1e-9, 1 - 1e-9, 20_000)
    expected = np.array([statistics.NormalDist().inv_cdf(value) for value in p])
    assert np.max(np.abs(inverse_normal_cdf(p) - expected)) < 2e-14


def test_extreme_draws_are_finite_and_symmetric():
    lowest = 0.5 * 2.0**-52
    ends = inverse_normal_cdf(np.array([lowest, 1 - lowest]))
    assert np.isfinite(ends).all() and ends[0] == -ends[1] and ends[0] < -8
