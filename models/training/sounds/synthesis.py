"""Building blocks of synthesis: sines, noises, envelopes, hits in time. `count` is always a number
of samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve

# s; hits start here, so that the first attack is not cut by the start of the clip
FIRST_ONSET = 0.02

Rng = np.random.Generator
Hit = Callable[[Rng], np.ndarray]


@dataclass(frozen=True)
class Studio:
    """Where sounds are made: the sample rate in Hz; how far noises differ from those of the first
    channel (0 not at all, 1 independent); whether oscillators start together, as those of a
    synthesiser do at every key. The world that makes a sound sets it.
    """

    rate: int = 16_000
    width: float = 0.0
    in_phase: bool = False


_USUAL_STUDIO = Studio()
_STUDIO = ContextVar("studio", default=_USUAL_STUDIO)


@contextmanager
def studio(rate: int, width: float = 0.0, in_phase: bool = False) -> Iterator[None]:
    """Sounds within are made in such a `Studio`."""
    token = _STUDIO.set(Studio(rate, width, in_phase))
    try:
        yield
    finally:
        _STUDIO.reset(token)


def sample_rate() -> int:
    """Hz of the sounds that are being made."""
    return _STUDIO.get().rate


def times(count: int) -> np.ndarray:
    """Time of every sample in seconds: [count]."""
    return np.arange(count) / sample_rate()


def samples(seconds: float) -> int:
    """How many samples that is."""
    return max(1, round(seconds * sample_rate()))


def start_phase(rng: Rng, below: float = 2 * np.pi) -> float:
    """The phase in radians that an oscillator starts with: any, or 0 where they start together."""
    phase = rng.uniform(0, below)
    return 0.0 if _STUDIO.get().in_phase else phase


def sine(count: int, hz: float, rng: Rng) -> np.ndarray:
    """A steady sine: [count]."""
    return np.sin(2 * np.pi * hz * times(count) + start_phase(rng))


def glide(hz: np.ndarray, phase: float = 0.0) -> np.ndarray:
    """A sine that follows a frequency curve in Hz: [count] -> [count]."""
    return np.sin(2 * np.pi * np.cumsum(hz) / sample_rate() + phase)


def partials(
    count: int, hz: Sequence[float], levels: Sequence[float], decays: Sequence[float], rng: Rng
) -> np.ndarray:
    """A sum of sines, each with its own level and exponential decay time in seconds: [count].

    Partials above 0.45 of the sample rate are left out: they would fold back as wrong notes.
    """
    t = times(count)
    mix = np.zeros(count)
    for frequency, level, decay in zip(hz, levels, decays):
        if frequency < 0.45 * sample_rate():
            mix += level * np.exp(-t / decay) * np.sin(2 * np.pi * frequency * t + start_phase(rng))
    return mix


def attack(audio: np.ndarray, seconds: float) -> np.ndarray:
    """Fade the start in over `seconds`, so that it does not click."""
    ramp = min(len(audio), samples(seconds))
    audio[:ramp] *= np.linspace(0, 1, ramp)
    return audio


def release(audio: np.ndarray, seconds: float) -> np.ndarray:
    """Fade the end out over `seconds`."""
    ramp = min(len(audio), samples(seconds))
    audio[len(audio) - ramp :] *= np.linspace(1, 0, ramp)
    return audio


def decay(count: int, seconds: float) -> np.ndarray:
    """An exponential that is down to 1/e after `seconds`: [count]."""
    return np.exp(-times(count) / seconds)


def shaped_noise(count: int, gain: Callable[[np.ndarray], np.ndarray], rng: Rng) -> np.ndarray:
    """Gaussian noise with RMS 1 and the spectrum `gain(Hz)`: [count].

    The noise is made in the frequency domain, at the next power of two, where the transform is
    fastest.
    """
    size = max(1024, 1 << (count - 1).bit_length())
    hz = np.fft.rfftfreq(size, 1 / sample_rate())
    spectrum = rng.standard_normal(len(hz)) + 1j * rng.standard_normal(len(hz))
    spectrum = _widened(spectrum) * gain(np.maximum(hz, 1.0))
    noise = np.fft.irfft(spectrum, size)[:count]
    return noise / (noise.std() + 1e-12)


def _widened(noise: np.ndarray) -> np.ndarray:
    """The noise of another channel: a mixture of the first channel's and of one that follows from
    it, so that no draws are taken that the first channel did not take.
    """
    width = _STUDIO.get().width
    if not width:
        return noise
    seed = np.ascontiguousarray(noise[:4]).view(np.uint64)
    other = np.random.default_rng(seed).standard_normal(noise.view(np.float64).shape)
    return np.sqrt(1 - width) * noise + np.sqrt(width) * other.view(noise.dtype)


def band(low: float, high: float, slope_db: float = 0.0) -> Callable[[np.ndarray], np.ndarray]:
    """Gain curve of a band from `low` to `high` Hz with soft edges, tilted by `slope_db` per
    octave.
    """

    def gain(hz: np.ndarray) -> np.ndarray:
        edges = 1 / np.sqrt((1 + (low / hz) ** 8) * (1 + (hz / high) ** 8))
        return edges * 10 ** (slope_db * np.log2(hz / 1000.0) / 20)

    return gain


def slow_wander(count: int, cycles_per_second: float, rng: Rng) -> np.ndarray:
    """A smooth random curve between -1 and 1: cosine steps between random points, [count]."""
    position = times(count) * cycles_per_second * 2
    points = rng.uniform(-1, 1, int(position[-1]) + 2)
    index = position.astype(int)
    blend = (1 - np.cos(np.pi * (position - index))) / 2
    return points[index] * (1 - blend) + points[index + 1] * blend


def place(count: int, hit: np.ndarray, starts: Sequence[float] | np.ndarray) -> np.ndarray:
    """Repeat `hit` at the given start times in seconds: [count]. What falls past the end is cut."""
    track = np.zeros(count)
    for start in np.round(np.asarray(starts) * sample_rate()).astype(int):
        piece = hit[: max(0, count - start)]
        track[start : start + len(piece)] += piece
    return track


def onsets(count: int, interval: float, first: float = FIRST_ONSET) -> np.ndarray:
    """Start times in seconds, every `interval` seconds; none so close to the end that it would be
    only a click.
    """
    return np.arange(first, count / sample_rate() - 0.05, interval)


def random_onsets(count: int, per_second: float, rng: Rng) -> np.ndarray:
    """Start times in seconds of independent events, so many a second on average (a Poisson
    process).
    """
    length = count / sample_rate()
    return rng.uniform(FIRST_ONSET, length, rng.poisson(per_second * length))


def room(audio: np.ndarray, seconds: float, share: float, rng: Rng) -> np.ndarray:
    """Add a simple reverberation: noise that dies away by 60 dB in `seconds`, `share` of the direct
    sound's level.
    """
    tail = _widened(rng.standard_normal(samples(seconds))) * decay(samples(seconds), seconds / 6.9)
    wet = fftconvolve(audio, tail)[: len(audio)]
    return audio + share * wet * np.sqrt(np.mean(audio**2) / (np.mean(wet**2) + 1e-12))
