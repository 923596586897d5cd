"""Sound to start from: any rate, one channel or two, and files that are none."""

import numpy as np
import pytest
import soundfile

from edge_audio import Clip, EdgeAudioError
from edge_audio.audio.resample import resampled
from edge_audio.audio.source import Source
from edge_audio.evaluate.metrics import snr


def sine(hertz, rate, seconds=1.0):
    return np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)[:, None].astype("f")


@pytest.mark.parametrize(
    "rate, wanted", [(48000, 44100), (44100, 16000), (8000, 44100), (22050, 44100), (16000, 11025)]
)
def test_a_tone_is_the_same_at_another_rate(rate, wanted):
    found = resampled(sine(997, rate), rate, wanted)
    expected = sine(997, wanted)
    assert len(found) == len(expected)
    inner = slice(wanted // 20, -wanted // 20)  # the file begins and ends somewhere
    assert snr(found[inner], expected[inner]) > 80


def test_what_the_lower_rate_cannot_hold_is_taken_out():
    found = resampled(sine(12_000, 44100), 44100, 16000)
    assert np.abs(found[800:-800]).max() < 1e-3
    assert np.abs(resampled(np.ones((900, 1), "f"), 44100, 16000)[40:-40] - 1).max() < 1e-5


def test_channels_are_as_the_model_has_them(tmp_path):
    stereo = np.stack([np.ones(50), np.zeros(50)], axis=1)
    soundfile.write(tmp_path / "x.wav", stereo, 8000, "FLOAT")
    source = Source.of(tmp_path / "x.wav")
    assert source.at(8000, 1).shape == (50, 1) and np.all(source.at(8000, 1) == 0.5)
    assert np.array_equal(source.at(8000, 2), stereo) and source.seconds == 50 / 8000
    clip = Clip(np.ones((50, 1), np.float32), 8000, {})
    assert (
        Source.of(clip).at(8000, 2).shape == (50, 2) and Source.of(Source.of(clip)).name == "clip"
    )
    assert Source.of(clip) == Source.of(clip) != source


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda path: path.write_text("no sound"), "cannot be read as sound"),
        (lambda path: None, "there is no such file"),
        (lambda path: soundfile.write(path, np.zeros((0, 1)), 8000), "holds no samples"),
        (lambda path: soundfile.write(path, np.zeros((9, 8)), 8000), "has 8 channels; mix it to"),
        (lambda path: soundfile.write(path, np.zeros(8000 * 1300), 8000), "is 22 minutes long"),
        (
            lambda path: soundfile.write(path, np.full(9, np.nan), 8000, "FLOAT"),
            "holds values that are no numbers",
        ),
    ],
)
def test_what_is_no_sound(make, message, tmp_path):
    make(tmp_path / "x.wav")
    with pytest.raises(EdgeAudioError, match=message):
        Source.of(tmp_path / "x.wav")
