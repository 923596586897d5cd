"""Formats: what the libsndfile that is here can write, rates, qualities, comments."""

import io

import numpy as np
import pytest
import soundfile

from edge_audio import Clip, EdgeAudioError, UsageError
from edge_audio.audio.sound_file import FORMATS, extension_of, writable

RATE = 16000


def clip(seconds=1.0, rate=RATE, **recipe):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (round(seconds * rate), 2))
    return Clip(noise.astype(np.float32), rate, recipe)


def test_all_of_them_are_here():
    assert writable() == list(FORMATS) == [".wav", ".flac", ".ogg", ".mp3", ".opus"]


@pytest.mark.parametrize("absent, subtype", [(".mp3", None), (".opus", "OPUS")])
def test_what_an_older_libsndfile_lacks_is_refused_with_what_it_has(
    monkeypatch, tmp_path, absent, subtype
):
    formats, subtypes = soundfile.available_formats(), soundfile.available_subtypes
    if subtype is None:
        del formats["MP3"]
    monkeypatch.setattr(soundfile, "available_formats", lambda: formats)
    monkeypatch.setattr(
        soundfile,
        "available_subtypes",
        lambda name: {k: v for k, v in subtypes(name).items() if k != subtype},
    )
    left = [extension for extension in FORMATS if extension != absent]
    message = f"cannot be written by the libsndfile .* that is here; use one of {', '.join(left)}"
    with pytest.raises(EdgeAudioError, match=message):
        clip().save(tmp_path / f"x{absent}")
    listed = ", ".join(extension[1:] for extension in left)
    with pytest.raises(EdgeAudioError, match=f"the {absent[1:]} file cannot .*one of {listed}$"):
        clip().save(io.BytesIO(), format=absent[1:])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "extension, rate, held",
    [
        (".opus", 44100, 48000),
        (".opus", 22050, 24000),
        (".opus", 16000, 16000),
        (".opus", 96000, 48000),
        (".mp3", 44100, 44100),
        (".mp3", 64, 8000),
        (".mp3", 88200, 48000),
        (".flac", 88200, 88200),
        (".ogg", 96000, 96000),
    ],
)
def test_the_rate_that_is_held(tmp_path, extension, rate, held, recwarn):
    path = tmp_path / f"x{extension}"
    original = clip(0.5, rate, prompt="rain")
    assert original.save(path) == 1.0
    info = soundfile.info(path)
    assert info.samplerate == held == FORMATS[extension].rate_for(rate)
    # the same length, to the sample, but for the silence that ends an .opus
    assert info.frames == round((0.5 + FORMATS[extension].swallowed) * held)
    said = [str(warning.message) for warning in recwarn.list]
    expected = f"{path} cannot hold {rate} Hz; resampled to {held} Hz"
    assert said == ([] if rate == held else [expected])
    assert original.sample_rate == rate  # the clip itself stays


def test_peaks_that_resampling_makes_are_turned_down():
    """A square wave rings over when its edges are filtered."""
    square = np.sign(np.sin(2 * np.pi * 3000 * np.arange(22050) / 44100 + 0.1))[:, None]
    with pytest.warns() as warned:
        gain = Clip(square.astype(np.float32), 44100).save(io.BytesIO(), format="opus")
    assert gain < 1 and len(warned) == 2 and "is above 1.0; scaled down" in str(warned[1].message)


@pytest.mark.parametrize("extension", [".ogg", ".mp3", ".opus"])
def test_quality_is_size_and_nearness(tmp_path, extension):
    sizes = {}
    for quality in (0, 0.5, 1.0):
        path = tmp_path / f"{quality}{extension}"
        clip(seed=1).save(path, quality=quality)
        assert Clip.recipe_of(path)["quality"] == quality
        sizes[quality] = path.stat().st_size
    assert sizes[0] < 0.8 * sizes[0.5] and sizes[0.5] < 0.8 * sizes[1.0], sizes


@pytest.mark.parametrize(
    "extension, quality, message",
    [
        (".mp3", 1.1, "quality 1.1 is out of range; use 0 to 1, the best"),
        (".mp3", float("nan"), "quality nan is out of range"),
        (".mp3", "best", "quality best is out of range"),
        (".wav", 0.5, "x.wav loses nothing and has no quality to choose; that is for .ogg, .mp3"),
        (".flac", 0.5, "x.flac loses nothing"),
    ],
)
def test_a_quality_that_cannot_be(tmp_path, extension, quality, message):
    with pytest.raises(UsageError, match=message):
        clip().save(tmp_path / f"x{extension}", quality=quality)
    assert not list(tmp_path.iterdir())


def test_a_soundfile_that_cannot_set_a_quality(monkeypatch, tmp_path):
    class Older(soundfile.SoundFile):
        def __init__(self, file, mode="r", samplerate=None, channels=None, subtype=None, **more):
            super().__init__(file, mode, samplerate, channels, subtype, **more)

    monkeypatch.setattr("inspect.signature", lambda _: type("", (), {"parameters": {}}))
    monkeypatch.setattr(soundfile, "SoundFile", Older)
    with pytest.raises(EdgeAudioError, match=r"pip install 'soundfile>=0\.13'"):
        clip().save(tmp_path / "x.mp3", quality=0.5)
    clip().save(tmp_path / "x.mp3")


def test_the_extension_of_what_a_file_is(tmp_path):
    for extension in FORMATS:
        clip().save(tmp_path / f"x{extension}")
        info = soundfile.info(tmp_path / f"x{extension}")
        assert extension_of(info.format, info.subtype) == extension
    assert extension_of("WAV", "FLOAT") == ".wav" and extension_of("AIFF", "PCM_16") == ""


@pytest.mark.parametrize("frames", [1, 7, 959, 1153])
@pytest.mark.parametrize("extension", list(FORMATS))
def test_very_short_clips(tmp_path, extension, frames):
    path = tmp_path / f"x{extension}"
    Clip(np.full((frames, 1), 0.1, np.float32), RATE, {"seed": 1}).save(path)
    assert soundfile.info(path).frames == frames + 104 * (extension == ".opus")
    assert Clip.recipe_of(path)["seed"] == 1


def test_the_same_floats_are_the_same_bits_in_every_whole_format():
    """Rounded to the nearest once, where libsndfile rounds down for .wav alone; and what was read
    from one is written as the other without another rounding.
    """
    noise = np.random.default_rng(1).uniform(-1, 1, (RATE, 2)).astype(np.float32)
    noise[:4, 0] = 1.0, -1.0, 0.5 / 32768, 1.5 / 32768  # halves go to the even one
    held = {}
    for format in ("wav", "flac"):
        file = io.BytesIO()
        Clip(noise, RATE).save(file, format=format)
        file.seek(0)
        held[format] = soundfile.read(file, dtype="int16")[0]
    assert np.array_equal(held["wav"], held["flac"])
    assert held["wav"][:4, 0].tolist() == [32767, -32768, 0, 2]
    assert np.abs(held["wav"] - 32768.0 * noise)[2:].max() <= 0.5
    file = io.BytesIO()
    Clip(held["flac"] / np.float32(32768), RATE).save(file, format="wav")
    file.seek(0)
    assert np.array_equal(soundfile.read(file, dtype="int16")[0], held["flac"])
