"""What is done to a clip once it was made."""

import io
import json

import numpy as np
import pytest
import soundfile

from edge_audio import Clip, EdgeAudioError, Finish, UsageError, finished
from edge_audio.audio.loudness import loudness, true_peak
from edge_audio.errors import EdgeAudioWarning

RATE = 16000
RECIPE = {"prompt": "a bell", "seed": 7}


def tone(peak, seconds, hertz=440):
    wave = peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)
    return wave[:, None].astype(np.float32)


def silence(seconds):
    return np.zeros((round(seconds * RATE), 1), np.float32)


def hiss(decibels, seconds):
    noise = np.random.default_rng(0).standard_normal((round(seconds * RATE), 1))
    return (10 ** (decibels / 20) * noise).astype(np.float32)


def made(*parts):
    return Clip(np.concatenate(parts), RATE, RECIPE)


def texts(clip):
    return [note.text for note in clip.notes]


def test_nothing_asked_nothing_done():
    clip = made(tone(0.5, 1))
    assert finished(clip, Finish()) is clip and Finish().entries == {}


def test_all_of_it_is_in_the_recipe():
    finish = Finish(channels=2, trim=True, rate=48000, normalize=-20)
    clip = finished(made(silence(1), tone(0.5, 1), silence(1)), finish)
    assert clip.recipe["finish"] == finish.entries and clip.recipe["prompt"] == "a bell"
    assert Finish.from_recipe(json.loads(json.dumps(clip.recipe))) == finish
    assert clip.sample_rate == 48000 and clip.samples.shape[1] == 2
    assert clip.samples.dtype == np.float32
    assert loudness(clip.samples, 48000) == pytest.approx(-20, abs=0.01)
    with pytest.raises(UsageError, match="finished already; finish the one that was generated"):
        finished(clip, Finish(trim=True))


def test_trimming_leaves_the_sound_and_a_margin():
    clip = finished(made(silence(1), tone(0.5, 0.7), silence(2)), Finish(trim=True))
    assert clip.seconds == pytest.approx(0.7 + 0.01 + 0.05, abs=0.011)
    inner = tone(0.5, 0.7)
    assert np.array_equal(clip.samples[160 : 160 + len(inner)], inner)  # not a sample is touched


def test_what_is_cut_ends_without_a_click():
    clip = finished(made(hiss(-50, 1), tone(0.5, 0.5), hiss(-50, 1)), Finish(trim=True))
    assert 0.5 < clip.seconds < 0.6
    assert clip.samples[0] == 0 and abs(clip.samples[-1]) < 1e-4
    assert np.abs(np.diff(clip.samples[:40, 0])).max() < 10 ** (-50 / 20) * 4


def test_ends_that_are_not_cut_are_not_faded():
    samples = tone(0.5, 1) + np.float32(0.1)
    assert np.array_equal(finished(made(samples), Finish(trim=True)).samples, samples)


@pytest.mark.parametrize("level", [0.0, -20.0, -45.0])
def test_trimming_follows_the_clip_s_own_level(level):
    gain = np.float32(10 ** (level / 20))
    clip = made(gain * hiss(-70, 1), gain * tone(0.5, 0.5), gain * hiss(-70, 1))
    assert finished(clip, Finish(trim=True)).seconds == pytest.approx(0.56, abs=0.02)


def test_a_decay_keeps_its_tail():
    """Down to 60 dB, where there is no hiss."""
    seconds = np.arange(4 * RATE) / RATE
    decay = tone(0.9, 4) * (10 ** (-25 * seconds / 20))[:, None].astype(np.float32)
    trimmed = finished(made(decay), Finish(trim=True))
    assert trimmed.seconds == pytest.approx(60 / 25 + 0.05, abs=0.02)


def test_nothing_is_trimmed_to_nothing():
    for samples in (silence(1), hiss(-80, 1)):
        clip = finished(made(samples), Finish(trim=True))
        assert np.array_equal(clip.samples, samples)
        assert texts(clip) == ["the clip is silent all through and was not trimmed"]
    click = silence(1)
    click[8000] = 1
    assert finished(made(click), Finish(trim=True)).peak == 1
    one = Clip(np.ones((1, 1), np.float32), RATE, RECIPE)
    assert len(finished(one, Finish(trim=True)).samples) == 1


@pytest.mark.parametrize("target", [-16, -30, -23.5])
def test_the_loudness_that_was_asked_for(target):
    clip = finished(made(tone(0.2, 2, 997)), Finish(normalize=target))
    assert loudness(clip.samples, RATE) == pytest.approx(target, abs=0.01) and not clip.notes


def test_peaks_stay_under_the_ceiling_and_that_is_said():
    click = np.concatenate([tone(0.9, 0.02), hiss(-60, 2)])
    clip = finished(made(click), Finish(normalize=-10))
    reached = loudness(clip.samples, RATE)
    assert 20 * np.log10(true_peak(clip.samples)) == pytest.approx(-1, abs=0.02)
    assert reached < -11
    (said,) = texts(clip)
    assert said.startswith("-10 LUFS would take peaks to +")
    assert said.endswith(f"the clip was set to {reached:.1f} LUFS, where they reach -1")
    assert clip.gain == 1  # and saving has nothing to turn down


def test_a_hundredth_of_a_decibel_is_not_worth_a_note():
    clip = made(tone(0.2, 2, 997))
    room = loudness(clip.samples, RATE) - 1 - 20 * np.log10(true_peak(clip.samples))
    assert not finished(clip, Finish(normalize=round(room + 0.02, 2))).notes
    assert finished(clip, Finish(normalize=round(room + 0.2, 2))).notes


def test_silence_and_shortness_are_said():
    clip = finished(made(silence(1)), Finish(normalize=-16))
    assert "silent, below -70 LUFS, and was not normalized" in texts(clip)[0]
    assert not clip.samples.any()
    clip = finished(made(tone(0.1, 0.2)), Finish(normalize=-24))
    assert "has 0.20 seconds, and loudness needs 0.4; it was measured as if" in texts(clip)[0]
    assert loudness(clip.samples, RATE) == pytest.approx(-24, abs=0.01)


def test_channels():
    stereo = Clip(np.stack([np.ones(50), np.zeros(50)], axis=1).astype("f"), RATE, RECIPE)
    assert np.all(finished(stereo, Finish(channels=1)).samples == 0.5)
    assert finished(stereo, Finish(channels=2)).samples.shape == (50, 2)
    mono = made(tone(0.5, 0.1))
    assert np.array_equal(
        finished(mono, Finish(channels=2)).samples, np.repeat(mono.samples, 2, axis=1)
    )


@pytest.mark.parametrize("format", ["mp3", "opus", "ogg"])
def test_lossy_formats_do_not_clip_what_was_normalized(format):
    clip = finished(made(hiss(-20, 2)), Finish(normalize=-9))
    file = io.BytesIO()
    clip.save(file, format=format)
    file.seek(0)
    assert np.abs(soundfile.read(file)[0]).max() < 1


def test_a_rate_that_a_format_has_not_is_said(tmp_path):
    clip = finished(made(tone(0.5, 1)), Finish(rate=44100))
    with pytest.warns(EdgeAudioWarning, match=r"x.opus cannot hold 44100 Hz; resampled to 48000"):
        clip.save(tmp_path / "x.opus")
    info = soundfile.info(tmp_path / "x.opus")
    assert (info.samplerate, info.frames, info.subtype) == (48000, 48000 + 312, "OPUS")


@pytest.mark.parametrize(
    "given, message",
    [
        ({"channels": 3}, "channels 3 cannot be made; use 1 or 2"),
        ({"channels": True}, "channels True cannot be made"),
        ({"rate": 7999}, "rate 7999 is out of range; use 8000 to 192000 Hz"),
        ({"rate": 44100.5}, "rate 44100.5 is out of range"),
        ({"rate": 10**5000}, "rate int is out of range"),
        ({"normalize": 1}, "normalize 1 is out of range; use -60 to 0 LUFS, such as -16"),
        ({"normalize": float("nan")}, "normalize nan is out of range"),
        ({"normalize": "-16"}, "normalize '-16' is out of range"),
        ({"trim": 1}, "trim 1 is neither True nor False"),
    ],
)
def test_what_cannot_be(given, message):
    with pytest.raises(UsageError, match=message):
        Finish(**given)
    with pytest.raises(EdgeAudioError, match=f"the recipe's {message}") as error:
        Finish.from_recipe({"finish": given})
    assert not isinstance(error.value, UsageError)


@pytest.mark.parametrize("entry", ["trim", ["trim"], {"reverb": 1}, {"trim": True, "": 0}])
def test_a_finish_of_another_version(entry):
    with pytest.raises(EdgeAudioError, match="the recipe's finish is none that this edge-audio"):
        Finish.from_recipe({"finish": entry})


def test_a_loop_stays_one_at_another_rate():
    """A whole number of periods: any rate makes the same tone without a seam."""
    time = np.arange(16_000) / 16_000
    tone = (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)[:, None]
    loop = Clip(tone, 16_000, {"loop": True})
    found = finished(loop, Finish(rate=44_100)).samples[:, 0]
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-3)
    straight = finished(Clip(tone, 16_000), Finish(rate=44_100)).samples[:, 0]
    assert np.abs(straight - expected).max() > 0.005
    with pytest.raises(UsageError, match="leave either trim or loop out"):
        finished(loop, Finish(trim=True))
