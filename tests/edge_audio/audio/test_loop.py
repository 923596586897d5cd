import numpy as np
import pytest

from edge_audio.audio.loop import shortened
from edge_audio.listening.measures import seam_jumps

RATE = 16_000


def noise(seconds, low, high, seed=1):
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(int(seconds * RATE)))
    hz = np.fft.rfftfreq(int(seconds * RATE), 1 / RATE)
    samples = np.fft.irfft(spectrum * ((hz > low) & (hz < high)))
    return (samples / np.abs(samples).max() * 0.5).astype(np.float32)[:, None]


@pytest.mark.parametrize("seconds", [0.3, 1.0, 1.99, 2.0])
def test_it_has_the_length_and_no_seam(seconds):
    circle, frames = noise(2.0, 200, 2000), int(seconds * RATE)
    loop = shortened(circle, frames, RATE)
    assert loop.shape == (frames, 1) and loop.dtype == np.float32
    assert seam_jumps(loop[:, 0].astype(np.float64), [0], is_circle=True)[0] <= 1


def test_equal_halves_are_joined_without_a_change():
    half = noise(1.0, 200, 2000)
    loop = shortened(np.concatenate([half, half]), RATE, RATE)
    shift = int(np.argmax(np.fft.irfft(np.fft.rfft(loop[:, 0]) * np.fft.rfft(half[:, 0]).conj())))
    np.testing.assert_allclose(np.roll(loop, -shift, axis=0), half, atol=1e-5)


def test_a_seam_is_heard():
    low, high = noise(1.0, 200, 600), noise(1.0, 3000, 6000)
    joined = np.concatenate([low, high])[:, 0]
    assert min(seam_jumps(joined, [0, RATE], is_circle=True)) > 3
    assert seam_jumps(joined, [RATE])[0] > 3 and seam_jumps(low[:, 0], [RATE // 2])[0] <= 1
