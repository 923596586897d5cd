"""Loudness and true peaks: the recommendation's own figures, EBU's test signals, pyloudnorm."""

import numpy as np
import pyloudnorm
import pytest
import scipy.signal

from edge_audio.audio.loudness import loudness, true_peak

RATES = (16000, 22050, 44100, 48000, 96000)


def sine(decibels, seconds, rate=48000, hertz=1000.0, channels=2, phase=0.0):
    wave = np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate + phase)
    return np.repeat(10 ** (decibels / 20) * wave[:, None], channels, axis=1).astype(np.float32)


def sounds(rate):
    rng = np.random.default_rng(5)
    seconds = np.arange(round(5.03 * rate)) / rate
    noise = rng.standard_normal((len(seconds), 2))
    yield "noise", 0.1 * noise
    yield "bursts with silence between", 0.2 * noise * (seconds % 1 < 0.3)[:, None]
    yield "a decay", 0.5 * noise * np.exp(-3 * seconds)[:, None]
    yield "a low tone", 0.3 * np.sin(2 * np.pi * 60 * seconds)[:, None].repeat(2, axis=1)
    yield "a tone", 0.3 * np.sin(2 * np.pi * 997 * seconds)[:, None].repeat(2, axis=1)
    yield "two channels apart", noise * [[0.3, 0.02]]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
def test_as_pyloudnorm_measures(rate, channels):
    meter = pyloudnorm.Meter(rate)
    for name, samples in sounds(rate):
        expected = meter.integrated_loudness(samples[:, :channels])
        measured = loudness(samples[:, :channels].astype(np.float32), rate)
        assert measured == pytest.approx(expected, abs=0.1), name


@pytest.mark.parametrize("rate", [8000, 11025, *RATES])
def test_a_full_scale_tone_in_one_channel(rate):
    """BS.1770-4: 997 Hz at 0 dB FS in one channel reads -3.01 LKFS; here at every rate."""
    assert loudness(sine(0, 3, rate, 997, channels=1), rate) == pytest.approx(-3.01, abs=0.02)


@pytest.mark.parametrize(
    "parts",
    [
        [(-23, 20)],
        [(-36, 10), (-23, 60), (-36, 10)],
        [(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)],
        [(-26, 20), (-20, 20.1), (-26, 20)],
    ],
)
def test_the_gates_on_the_signals_of_ebu_tech_3341(parts):
    """Its cases 1, 3, 4 and 5, all of -23.0 ± 0.1 LUFS."""
    samples = np.concatenate([sine(*part, rate=16000) for part in parts])
    assert loudness(samples, 16000) == pytest.approx(-23.0, abs=0.1)


def test_the_filters_are_those_of_the_tables():
    """Against the recursion that BS.1770-4 writes down, over the edges of what is filtered at a
    time.
    """
    samples = np.random.default_rng(2).standard_normal((48000 * 61, 1)).astype(np.float32)
    head = [1.53512485958697, -2.69169618940638, 1.19839281085285]
    weighted = scipy.signal.lfilter(head, [1, -1.69065929318241, 0.73248077421585], samples[:, 0])
    weighted = scipy.signal.lfilter([1, -2, 1], [1, -1.99004745483398, 0.99007225036621], weighted)
    powers = np.convolve(np.add.reduceat(weighted**2, np.arange(0, len(weighted), 4800)), [1] * 4)
    expected = -0.691 + 10 * np.log10(np.mean(powers[3:-3]) / 19200)
    assert loudness(samples, 48000) == pytest.approx(expected, abs=1e-3)


def test_silence_has_no_loudness():
    assert loudness(np.zeros((16000, 1), np.float32), 16000) is None
    assert loudness(sine(-75, 2, 16000), 16000) is None


def test_a_short_sound_is_measured_as_if_silence_followed():
    short = sine(-10, 0.1, 16000)
    padded = np.pad(short, [(0, 4800), (0, 0)])
    assert loudness(short, 16000) == pytest.approx(loudness(padded, 16000), abs=1e-6)
    assert loudness(short, 16000) == pytest.approx(-10 - 6, abs=0.1)  # a quarter of a block
    assert np.isfinite(loudness(np.ones((1, 1), np.float32), 16000))


@pytest.mark.parametrize("divisor, phase", [(4, 0), (4, 45), (6, 60), (8, 67.5)])
def test_peaks_between_the_samples(divisor, phase):
    """EBU Tech 3341, cases 15 to 18: -6 dBTP, +0.2 to -0.4 dB."""
    samples = sine(-6, 1, 48000, 48000 / divisor, phase=np.radians(phase))
    samples *= np.minimum(1, np.arange(48000)[:, None] / 4800)  # a start that is no step
    samples *= np.minimum(1, np.arange(48000)[::-1, None] / 4800)
    assert -6.4 < 20 * np.log10(true_peak(samples)) < -5.8


def test_a_peak_is_found_wherever_it_is():
    samples = np.zeros((70_000, 2), np.float32)
    for place in (0, 65_535, 65_536, 69_999):
        one = samples.copy()
        one[place, 1] = -0.5
        assert true_peak(one) == pytest.approx(0.5, abs=0.03)
    assert true_peak(samples) == 0
