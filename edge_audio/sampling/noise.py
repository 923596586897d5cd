"""Seeded Gaussian noise: one stream that never changes and that another language can reproduce bit
for bit.

Integers come from SplitMix64 and become normal deviates through Wichura's rational functions. Only
integer arithmetic and the IEEE-754 operations that every platform rounds alike (+ - * / sqrt,
float64) are used: a libm `log` may differ in the last bit from one machine to the next, and so
would the clip that a seed stands for.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edge_audio.errors import UsageError

MAX_SEED = 2**63 - 1

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_LN2 = 0.6931471805599453
_SQRT_HALF = 0.7071067811865476
#: s²/(2k+1) falls by at least 0.0294 a term: twelve terms leave less than 1e-19.
_ATANH_TERMS = 12

# Wichura (1988), AS 241, function PPND16: numerators and denominators in the order x^7 ... x^0.
_CENTRE = (
    (
        2509.0809287301226727,
        33430.575583588128105,
        67265.770927008700853,
        45921.953931549871457,
        13731.693765509461125,
        1971.5909503065514427,
        133.14166789178437745,
        3.3871328727963666080,
    ),
    (
        5226.4952788528545610,
        28729.085735721942674,
        39307.895800092710610,
        21213.794301586595867,
        5394.1960214247511077,
        687.18700749205790830,
        42.313330701600911252,
        1.0,
    ),
)
_TAIL = (
    (
        7.74545014278341407640e-4,
        2.27238449892691845833e-2,
        2.41780725177450611770e-1,
        1.27045825245236838258,
        3.64784832476320460504,
        5.76949722146069140550,
        4.63033784615654529590,
        1.42343711074968357734,
    ),
    (
        1.05075007164441684324e-9,
        5.47593808499534494600e-4,
        1.51986665636164571966e-2,
        1.48103976427480074590e-1,
        6.89767334985100004550e-1,
        1.67638483018380384940,
        2.05319162663775882187,
        1.0,
    ),
)
_FAR_TAIL = (
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        1.24266094738807843860e-3,
        2.65321895265761230930e-2,
        2.96560571828504891230e-1,
        1.78482653991729133580,
        5.46378491116411436990,
        6.65790464350110377720,
    ),
    (
        2.04426310338993978564e-15,
        1.42151175831644588870e-7,
        1.84631831751005468180e-5,
        7.86869131145613259100e-4,
        1.48753612908506148525e-2,
        1.36929880922735805310e-1,
        5.99832206555887937690e-1,
        1.0,
    ),
)


class NoiseStream:
    """Standard normal float32 numbers, one after the other: `normal(3)` then `normal(5)` equals
    `normal(8)`.
    """

    def __init__(self, seed: int):
        """seed: 0 ... 2^63 - 1; UsageError otherwise."""
        check_seed(seed)
        self._seed = np.uint64(seed)
        self._drawn = 0

    def normal(self, shape: int | tuple[int, ...]) -> np.ndarray:
        """The next prod(shape) deviates, row-major, float32."""
        count = math.prod(shape) if isinstance(shape, tuple) else shape
        return inverse_normal_cdf(self._uniform(count)).astype(np.float32).reshape(shape)

    def integers(self, count: int) -> npt.NDArray[np.uint64]:
        """The next `count` raw uint64 of SplitMix64 (Steele, Lea, Flood 2014;
        java.util.SplittableRandom.nextLong).
        """
        steps = np.arange(self._drawn + 1, self._drawn + count + 1, dtype=np.uint64)
        self._drawn += count
        z = self._seed + steps * _GAMMA
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: npt.NDArray[np.uint64] = z ^ (z >> np.uint64(31))
        return mixed

    def _uniform(self, count: int) -> npt.NDArray[np.float64]:
        # 52 bits and not 53: then adding one half is exact, and the result is never 0 or 1.
        steps = (self.integers(count) >> np.uint64(12)).astype(np.float64)
        between: npt.NDArray[np.float64] = (steps + 0.5) * 2.0**-52
        return between


def check_seed(seed: int) -> None:
    """UsageError unless `seed` is a whole number that the stream can start from (2^63 values: a
    Kotlin Long's).
    """
    if (
        isinstance(seed, bool)
        or not isinstance(seed, (int, np.integer))
        or not 0 <= seed <= MAX_SEED
    ):
        raise UsageError(f"seed {seed} is not usable; choose a whole number from 0 to {MAX_SEED}")


def inverse_normal_cdf(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Normal deviate with lower tail area p, 0 < p < 1, float64, relative error about 1e-16
    (Wichura 1988, AS 241).
    """
    q = p - 0.5
    central = np.abs(q) <= 0.425
    centre = q * _rational(_CENTRE, np.where(central, 0.180625 - q * q, 0.0))
    r = np.sqrt(-_log(np.where(q < 0, p, 1.0 - p)))
    tail = np.where(r <= 5.0, _rational(_TAIL, r - 1.6), _rational(_FAR_TAIL, r - 5.0))
    return np.where(central, centre, np.where(q < 0, -tail, tail))


def _rational(
    coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    numerator, denominator = (_horner(row, x) for row in coefficients)
    return numerator / denominator


def _horner(coefficients: tuple[float, ...], x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total


def _log(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """ln x = e ln 2 + 2 atanh s, where x = m 2^e, m in [√½, √2), s = (m - 1)/(m + 1), |s|
    < 0.172.
    """
    mantissa, exponent = np.frexp(x)
    small = mantissa < _SQRT_HALF
    mantissa = np.where(small, mantissa * 2.0, mantissa)
    exponent = np.where(small, exponent - 1, exponent).astype(np.float64)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    series = _horner(tuple(1.0 / (2 * k + 1) for k in reversed(range(_ATANH_TERMS))), s * s)
    return exponent * _LN2 + 2.0 * s * series
