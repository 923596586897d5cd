"""How loud a sound is to an ear, and how high its peaks are between the samples (ITU-R BS.1770-4).

The filters are those of the recommendation's tables for 48 kHz, applied as a frequency response, so
that they are the same at every sample rate.
"""

from __future__ import annotations

import numpy as np

from edge_audio.audio.resample import ZEROS, resampled

#: BS.1770-4, annex 1, tables 1 and 2: numerators and denominators, of the head as a sphere, and of
#: the low frequencies that an ear hears less
_K_WEIGHTING = (
    (
        (1.53512485958697, -2.69169618940638, 1.19839281085285),
        (1.0, -1.69065929318241, 0.73248077421585),
    ),
    ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)),
)
_TABLES_RATE = 48_000
#: tenths of a second that a gating block has; blocks begin a tenth apart
BLOCK = 4
#: LUFS under which a block counts as silence, and LU under the mean of the others where it does
#: not count either
SILENCE, RELATIVE_GATE = -70.0, -10.0
#: LUFS of a mean square of 1, annex 1, equation 2
_OFFSET = -0.691
#: tenths of a second that are filtered at a time
_PIECE = 300
#: true peak: how many times the rate, annex 2, and samples at a time
_OVERSAMPLING, _PEAK_PIECE = 4, 1 << 16


def loudness(samples: np.ndarray, sample_rate: int) -> float | None:
    """Integrated loudness in LUFS of [n, channels], one or two of them; None for silence.

    K-weighted, gated at -70 LUFS and 10 LU under the mean of what is louder. Sounds shorter than a
    gating block of 0.4 s have none; they are measured as one that ends in silence, which is their
    maximum momentary loudness (EBU Tech 3341).
    """
    missing = BLOCK * sample_rate / 10 - len(samples)
    if missing > 0:
        samples = np.pad(samples, [(0, int(np.ceil(missing))), (0, 0)])
    edges = np.arange(int(len(samples) * 10 / sample_rate) + 1) * sample_rate / 10
    edges = np.round(edges).astype(np.int64)
    sums = np.concatenate([[0.0], np.cumsum(_energies(samples, sample_rate, edges))])
    powers = (sums[BLOCK:] - sums[:-BLOCK]) / (edges[BLOCK:] - edges[:-BLOCK])
    powers = powers[powers > _power(SILENCE)]
    if not len(powers):
        return None
    powers = powers[powers > powers.mean() * 10 ** (RELATIVE_GATE / 10)]
    return float(_OFFSET + 10 * np.log10(powers.mean()))


def true_peak(samples: np.ndarray) -> float:
    """Largest amplitude of [n, channels], between the samples as well: of the sound at four times
    its rate (BS.1770-4, annex 2).
    """
    peak = float(np.max(np.abs(samples), initial=0.0))
    for begin in range(0, len(samples), _PEAK_PIECE):
        piece = samples[max(0, begin - ZEROS - 1) : begin + _PEAK_PIECE + ZEROS + 1]
        between = resampled(piece.astype(np.float32), 1, _OVERSAMPLING)
        peak = max(peak, float(np.max(np.abs(between))))
    return peak


def _energies(samples: np.ndarray, rate: int, edges: np.ndarray) -> np.ndarray:
    """Sum of the K-weighted squares of all channels from each edge to the next, float64."""
    found = []
    for first in range(0, len(edges) - 1, _PIECE):
        part = edges[first : first + _PIECE + 1]
        # the filters ring for less than a second
        begin, end = max(0, part[0] - rate), min(len(samples), part[-1] + rate)
        piece = samples[begin:end].astype(np.float64)
        size = 1 << int(len(piece) + rate).bit_length()
        spectrum = np.fft.rfft(piece, size, axis=0) * _response(size, rate)[:, None]
        weighted = np.fft.irfft(spectrum, size, axis=0)[part[0] - begin : part[-1] - begin]
        squares = np.sum(weighted**2, axis=1)
        found.append(np.add.reduceat(squares, part[:-1] - part[0]))
    return np.concatenate(found)


def _response(size: int, rate: int) -> np.ndarray:
    """K-weighting at the frequencies of a real FFT of `size`, complex."""
    hertz = np.minimum(np.fft.rfftfreq(size, 1 / rate), _TABLES_RATE / 2)
    delay = np.exp(-2j * np.pi * hertz / _TABLES_RATE)
    response: np.ndarray = np.ones_like(delay)
    for numerator, denominator in _K_WEIGHTING:
        response *= np.polyval(numerator[::-1], delay) / np.polyval(denominator[::-1], delay)
    return response


def _power(lufs: float) -> float:
    return float(10 ** ((lufs - _OFFSET) / 10))
