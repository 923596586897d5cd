"""How far apart two arrays, two sounds, two sets of sounds are. Audio is float [frames, channels],
full scale ±1.

`snr`, `cosine` and `channel_errors` need numpy alone; what looks at spectra needs the extra `eval`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

MAX_SNR = 200.0
#: dB below the loudest mel band of a clip: what lies lower is as good as silent
FLOOR = 80.0
WINDOWS = (512, 1024, 2048)
MEL_BANDS, MEL_WINDOW, MEL_HOP = 64, 1024, 256


def snr(actual: np.ndarray, expected: np.ndarray) -> float:
    """Signal-to-noise ratio of `actual` against `expected` in dB, at most MAX_SNR."""
    signal, noise = (
        float(np.sum(np.square(a, dtype=np.float64))) for a in (expected, actual - expected)
    )
    return min(MAX_SNR, 10 * math.log10(max(signal, 1e-30) / max(noise, signal * 1e-20, 1e-30)))


def cosine(actual: np.ndarray, expected: np.ndarray) -> float:
    """Cosine of the angle between two arrays, 0 if one of them is zero."""
    a, b = (np.asarray(value, np.float64).ravel() for value in (actual, expected))
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size else 0.0


def gain(actual: np.ndarray, expected: np.ndarray) -> float:
    """The factor g for which g · expected comes nearest to `actual`: 1 for a graph that is right, 2
    if its scales are doubled.
    """
    a, b = (np.asarray(value, np.float64).ravel() for value in (actual, expected))
    size = float(b @ b)
    return float(a @ b) / size if size else 1.0


def channel_errors(actual: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Error power of each channel (last axis) over the mean signal power of all: float64
    [channels].
    """
    error: np.ndarray = (
        np.square(np.asarray(actual, np.float64) - expected)
        .reshape(-1, actual.shape[-1])
        .mean(axis=0)
    )
    return error / max(float(np.mean(np.square(expected, dtype=np.float64))), 1e-30)


def spectral_distance(actual: np.ndarray, expected: np.ndarray) -> float:
    """Multi-resolution STFT distance: spectral convergence plus mean |Δ log magnitude|, mean of
    WINDOWS and channels.

    Yamamoto, Song, Kim 2020 (Parallel WaveGAN), formulas 4 to 6. 0 for equal sounds; two unrelated
    ones have about 2.
    """
    distances = []
    for window in WINDOWS:
        for channel in range(expected.shape[1]):
            a, b = (
                np.maximum(_magnitudes(samples[:, channel], window), 1e-5)
                for samples in (actual, expected)
            )
            convergence = np.linalg.norm(a - b) / np.linalg.norm(b)
            distances.append(convergence + np.mean(np.abs(np.log(a) - np.log(b))))
    return float(np.mean(distances))


def log_mel(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Power in MEL_BANDS mel bands of the channels' mean, in dB: [steps, bands], never lower than
    FLOOR below the loudest.
    """
    power = _magnitudes(samples.mean(axis=1), MEL_WINDOW, MEL_HOP) ** 2
    decibels = 10 * np.log10(np.maximum(power @ mel_filters(sample_rate).T, 1e-12))
    floored: np.ndarray = np.maximum(decibels, decibels.max() - FLOOR)
    return floored


def log_mel_distance(actual: np.ndarray, expected: np.ndarray, sample_rate: int) -> float:
    """Root mean square difference of two log-mel spectrograms, in dB."""
    difference = log_mel(actual, sample_rate) - log_mel(expected, sample_rate)
    return float(np.sqrt(np.mean(difference**2)))


def flatness(samples: np.ndarray) -> float:
    """Spectral flatness of the channels' mean, geometric over arithmetic mean of the power: 0 for a
    tone, 0.56 for white noise.

    The median of the windows within 30 dB of the loudest.
    """
    power = _magnitudes(samples.mean(axis=1), MEL_WINDOW, MEL_HOP)[:, 1:-1] ** 2 + 1e-20
    level = power.mean(axis=1)
    ratio = np.exp(np.log(power).mean(axis=1)) / level
    return float(np.median(ratio[level >= level.max() / 1000]))


def movement(mel: np.ndarray) -> float:
    """How much a log-mel spectrogram [steps, bands] changes over time: standard deviation in dB,
    mean of the bands.

    Noise that stays the same has about 5; silence and a steady tone 0.
    """
    return float(mel.std(axis=0).mean())


def stereo_correlation(samples: np.ndarray) -> float | None:
    """Correlation of the first two channels, −1..1; None for mono and for a channel that never
    changes.
    """
    if samples.shape[1] < 2:
        return None
    left, right = (samples[:, i].astype(np.float64) - samples[:, i].mean() for i in (0, 1))
    return cosine(left, right) if left.any() and right.any() else None


def frechet_distance(actual: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """Fréchet distance between the log-mel frames of two sets of clips, each [steps, bands], taken
    as Gaussians, in dB².

    |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 √(Σ₁Σ₂)) (Dowson & Landau 1982), with the frames themselves for
    features.
    """
    import scipy.linalg

    (mean_a, cov_a), (mean_b, cov_b) = (
        _gaussian(np.concatenate(clips)) for clips in (actual, expected)
    )
    # √(Σ₁Σ₂) has the trace of √(√Σ₁ Σ₂ √Σ₁), which is symmetric: its eigenvalues are real and not
    # negative
    root = scipy.linalg.sqrtm(cov_a).real
    eigenvalues = np.linalg.eigvalsh(root @ cov_b @ root)
    overlap = np.sqrt(np.maximum(eigenvalues, 0)).sum()
    return max(
        0.0, float(np.sum((mean_a - mean_b) ** 2) + np.trace(cov_a) + np.trace(cov_b) - 2 * overlap)
    )


def _gaussian(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return frames.mean(axis=0), np.cov(frames, rowvar=False) + 1e-6 * np.eye(frames.shape[1])


def _magnitudes(mono: np.ndarray, window: int, hop: int | None = None) -> np.ndarray:
    """[steps, window / 2 + 1]; a clip shorter than the window is padded with silence."""
    from scipy.signal import ShortTimeFFT, get_window

    mono = np.pad(mono.astype(np.float64), (0, max(0, window - len(mono))))
    transform = ShortTimeFFT(
        get_window("hann", window), hop or window // 4, fs=1, scale_to="magnitude"
    )
    magnitudes: np.ndarray = np.abs(transform.stft(mono)).T
    return magnitudes


def mel_band(hz: float, sample_rate: int) -> float:
    """Where a frequency lies on the bands of `log_mel`: the index of the band whose centre it is,
    or between two.
    """
    return _mel(hz) / _mel(sample_rate / 2) * (MEL_BANDS + 1) - 1


def _mel(hz: float) -> float:
    return 2595 * math.log10(1 + hz / 700)


@functools.lru_cache
def mel_filters(sample_rate: int) -> np.ndarray:
    """Triangles of equal width on the mel scale 2595 log₁₀(1 + f / 700) (O'Shaughnessy 1987):
    [bands, window / 2 + 1].
    """
    frequencies = np.fft.rfftfreq(MEL_WINDOW, 1 / sample_rate)
    edges = 700 * (10 ** (np.linspace(0, _mel(sample_rate / 2), MEL_BANDS + 2) / 2595) - 1)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.maximum(
        0, np.minimum((frequencies - low) / (centre - low), (high - frequencies) / (high - centre))
    )
