import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from processes import uncounted
from systems import posix

from edge_audio.audio.clip import Clip, check_writable
from edge_audio.errors import EdgeAudioError, EdgeAudioWarning
from edge_audio.notes import Note

RATE = 16000
RECIPE = {
    "prompt": 'a bell — ещё 雨 "quoted" \\',
    "seed": 7,
    "cfg_scale": 1.5,
    "ids": None,
    "precision": {"dit": "int8"},
}


def tone(peak, frames=RATE, channels=2):
    wave = peak * np.sin(2 * np.pi * 440 * np.arange(frames) / RATE + np.pi / 2)
    return np.repeat(wave[:, None], channels, 1).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    "extension, tolerance",
    [
        (".wav", 2**-15),
        (".flac", 2**-15),
        (".ogg", 0.2),
        (".mp3", 0.2),
        (".opus", 0.2),
        (".WAV", 2**-15),
        (".Mp3", 0.2),
    ],
)
def test_save_and_read_back(tmp_path, extension, tolerance, channels):
    path = tmp_path / f"bell{extension}"
    clip = Clip(tone(0.5, channels=channels), RATE, RECIPE)
    assert clip.save(path) == 1.0
    samples, rate = soundfile.read(path, always_2d=True)
    if extension == ".opus":  # 6.5 ms of silence follow (Format.swallowed)
        samples, rest = samples[:RATE], samples[RATE:]
        assert len(rest) == 104 and np.abs(rest[-9:]).max() < 0.01
    assert rate == RATE and samples.shape == clip.samples.shape
    assert np.max(np.abs(samples - clip.samples)) < tolerance
    assert Clip.recipe_of(path) == {**RECIPE, "gain": 1.0}
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_the_file_keeps_the_notes(tmp_path):
    clip = Clip(tone(0.5), RATE, RECIPE, notes=(Note("words", "'zither' is new to the model"),))
    clip.save(tmp_path / "a.wav")
    recipe = Clip.recipe_of(tmp_path / "a.wav")
    assert recipe == clip.saved_recipe and recipe["notes"] == ["'zither' is new to the model"]
    assert "notes" not in clip.recipe  # it says how a clip is made, and no more


def test_sixteen_bit_unless_asked(tmp_path):
    Clip(tone(0.5), RATE).save(tmp_path / "a.wav")
    Clip(tone(0.5), RATE).save(tmp_path / "b.wav", subtype="PCM_24")
    assert soundfile.info(tmp_path / "a.wav").subtype == "PCM_16"
    assert soundfile.info(tmp_path / "b.wav").subtype == "PCM_24"


def test_a_loud_clip_is_scaled_and_said_so(tmp_path):
    path = tmp_path / "loud.wav"
    with pytest.warns(
        EdgeAudioWarning, match=r"peak 2.00 is above 1.0; scaled down by 6.0 dB .*loud.wav"
    ) as warned:
        gain = Clip(tone(2.0), RATE, RECIPE).save(path)
    assert len(warned) == 1 and gain == pytest.approx(0.4995)
    assert Clip.recipe_of(path)["gain"] == gain
    samples, _ = soundfile.read(path)
    assert np.max(np.abs(samples)) == pytest.approx(0.999, abs=1e-4)
    np.testing.assert_allclose(samples, tone(2.0) * gain, atol=2**-15)


def test_a_clip_at_full_scale_is_left_alone(tmp_path, recwarn):
    assert Clip(tone(1.0), RATE).save(tmp_path / "full.wav") == 1.0
    assert not recwarn.list


@pytest.mark.parametrize("length", [3000, 10_000, 50_000])
@pytest.mark.parametrize("extension", [".wav", ".flac", ".ogg", ".mp3", ".opus"])
def test_a_long_prompt_stays_in_the_file(tmp_path, extension, length):
    path = tmp_path / f"long{extension}"
    Clip(tone(0.5), RATE, {"prompt": "x" * length}).save(path)
    assert Clip.recipe_of(path)["prompt"] == "x" * length
    assert soundfile.info(path).frames == RATE + 104 * (extension == ".opus")


@pytest.mark.parametrize("extension", [".wav", ".flac", ".ogg", ".mp3", ".opus"])
def test_a_recipe_that_does_not_fit_is_not_lost_silently(tmp_path, extension):
    with pytest.raises(EdgeAudioError, match="cannot hold a recipe this long; shorten the prompt"):
        Clip(tone(0.5), RATE, {"prompt": "x" * 200_000}).save(tmp_path / f"long{extension}")
    assert not list(tmp_path.iterdir())


def test_levels():
    levels = Clip(tone(0.5) + np.float32(0.01), RATE).levels()
    assert levels.peak_dbfs == pytest.approx(20 * np.log10(0.51), abs=1e-3)
    assert levels.rms_dbfs == pytest.approx(10 * np.log10(0.125 + 1e-4), abs=1e-3)
    assert levels.dc == pytest.approx(0.01, abs=1e-5)
    silence = Clip(np.zeros((10, 2), np.float32), RATE)
    assert silence.levels().peak_dbfs == -200 and json.dumps(silence.levels().rms_dbfs) == "-200.0"
    assert silence.seconds == 10 / RATE


def test_what_no_clip_should_be_is_said():
    assert Clip(tone(0.5), RATE).levels().symptoms() == []
    assert Clip(tone(0.5), RATE).levels().loudest_dbfs == pytest.approx(
        Clip(tone(0.5), RATE).levels().rms_dbfs, abs=0.1
    )
    assert "silent (-" in Clip(tone(1e-5), RATE).levels().symptoms()[0]
    loud = Clip(tone(1.1), RATE).levels()
    assert loud.clipped == pytest.approx(2 / np.pi * np.arccos(0.999 / 1.1), abs=0.01)
    assert loud.symptoms() == [f"{100 * loud.clipped:.1f} % of the samples are beyond full scale"]


def test_samples_that_are_not_numbers(tmp_path):
    with pytest.raises(EdgeAudioError, match="not numbers"):
        Clip(np.full((4, 2), np.nan, np.float32), RATE).save(tmp_path / "nan.wav")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name, message",
    [
        (
            "absent/x.wav",
            r"absent/x.wav cannot be written \(No such file or directory\); choose another folder",
        ),
        (
            "x.mp7",
            "x.mp7 has no known sound file extension; use one of .wav, .flac, .ogg, .mp3, .opus",
        ),
        ("x", "has no known sound file extension"),
        ("folder.wav", "folder.wav is a folder; name a file in it"),
        ("file/x.wav", "file/x.wav cannot be written"),
        ("x" * 300 + ".wav", "cannot be written"),
    ],
)
def test_unwritable_output(tmp_path, name, message):
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    for action in (check_writable, Clip(tone(0.5), RATE).save):
        if len(name) > 255 and action is check_writable:
            continue  # the temporary name is short; the rename tells
        with pytest.raises(EdgeAudioError, match=message):
            action(tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unknown_subtype(tmp_path):
    with pytest.raises(EdgeAudioError, match="x.wav cannot be written"):
        Clip(tone(0.5), RATE).save(tmp_path / "x.wav", subtype="PCM_99")
    assert not list(tmp_path.iterdir())


@posix
@pytest.mark.parametrize("extension", [".wav", ".flac", ".ogg", ".mp3", ".opus"])
def test_a_full_disk_leaves_no_file_and_keeps_the_old_one(tmp_path, extension):
    """The limit on file size fails a write in the middle, as a full disk does."""
    path = tmp_path / f"rain{extension}"
    path.write_bytes(b"old")
    code = (
        "import resource, numpy as np\n"
        "from edge_audio import Clip, EdgeAudioError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "noise = np.random.default_rng(0).uniform(-1, 1, (200000, 2)).astype(np.float32)\n"
        f"try: Clip(noise, 16000, {{'prompt': 'rain'}}).save({str(path)!r})\n"
        "except EdgeAudioError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=uncounted()
    )
    assert f"{path} cannot be written" in done.stdout and "free some space" in done.stdout, done
    assert done.stderr == ""
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_file_without_a_recipe(tmp_path):
    plain = tmp_path / "plain.wav"
    soundfile.write(plain, tone(0.5), RATE)
    (tmp_path / "text.wav").write_text("hello")
    foreign = tmp_path / "foreign.wav"
    with soundfile.SoundFile(foreign, "w", RATE, 2) as file:
        file.comment = "12"
        file.write(tone(0.5))
    for path, reason in (
        (plain, "no recipe in it"),
        (tmp_path / "text.wav", "Format not recognised"),
        (tmp_path / "absent.wav", "there is no such file"),
        (foreign, "another comment"),
    ):
        with pytest.raises(
            EdgeAudioError,
            match=f"{path.name} tells no recipe \\({reason}\\); name a file that edge-audio wrote",
        ):
            Clip.recipe_of(path)


def riff(*chunks):
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def chunk(name, data):
    return name + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) % 2)


FORMAT = chunk(
    b"fmt ",
    b"".join(
        n.to_bytes(size, "little")
        for n, size in ((1, 2), (1, 2), (RATE, 4), (RATE * 2, 4), (2, 2), (16, 2))
    ),
)


def comment(text):
    return chunk(b"LIST", b"INFO" + chunk(b"ISFT", b"odd") + chunk(b"ICMT", text))


def test_a_recipe_is_read_from_its_chunk_alone(tmp_path):
    long = json.dumps({"prompt": "x" * 3000}).encode()
    samples = chunk(b"data", b"INFOICMT" + (20).to_bytes(4, "little") + b'{"prompt": "forged"}')
    path = tmp_path / "x.wav"
    path.write_bytes(riff(FORMAT, samples, comment(long)))
    assert Clip.recipe_of(path) == {"prompt": "x" * 3000}
    for chunks in (
        [FORMAT, samples],
        [FORMAT, chunk(b"data", bytes(8)), comment(json.dumps({"prompt": "x" * 99_999}).encode())],
        [FORMAT, chunk(b"data", bytes(8)), comment(b"[" * 50_000)],
    ):
        path.write_bytes(riff(*chunks))
        with pytest.raises(EdgeAudioError, match=r"x.wav tells no recipe .*; name a file that"):
            Clip.recipe_of(path)


@posix
def test_no_samples_are_read_for_a_recipe(tmp_path):
    """Four gigabytes of them, which lie nowhere."""
    path, size = tmp_path / "long.wav", (1 << 32) - 65536
    long = comment(json.dumps({"prompt": "x" * 3000}).encode())
    with path.open("wb") as file:
        file.write(b"RIFF" + (size + 36 + len(long)).to_bytes(4, "little") + b"WAVE" + FORMAT)
        file.write(b"data" + size.to_bytes(4, "little"))
        file.seek(size, 1)
        file.write(long)
    code = (
        "import resource, sys; from edge_audio import Clip\n"
        "import soundfile; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "print(len(Clip.recipe_of(sys.argv[1])['prompt']))"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.stdout == "3000\n", done.stderr


@pytest.mark.parametrize("format", ["wav", "flac", "ogg", "mp3", "opus", "WAV"])
def test_save_to_an_open_file(tmp_path, format):
    clip, path, file = Clip(tone(0.5), RATE, RECIPE), tmp_path / f"x.{format}", io.BytesIO()
    assert clip.save(file, format=format) == clip.save(path) == 1.0
    path.write_bytes(file.getvalue())
    assert Clip.recipe_of(path) == {**RECIPE, "gain": 1.0}
    assert soundfile.info(path).frames == RATE + 104 * (format == "opus")
    assert soundfile.info(path).subtype != "FLOAT"
    with pytest.warns(EdgeAudioWarning, match=f"so that the {format} file does not clip"):
        assert Clip(tone(2.0), RATE).save(io.BytesIO(), format=format) == pytest.approx(0.4995)


class Full(io.BytesIO):
    def write(self, data):
        raise OSError("No space left on device")


@pytest.mark.parametrize(
    "make, format, message",
    [
        (io.BytesIO, "mp7", "the mp7 file has no known format; use one of wav, flac, ogg, mp3"),
        (io.BytesIO, None, "has no known format; use one of wav, flac, ogg"),
        (lambda: "x.wav", "flac", "x.wav says its format by its extension; leave out format"),
        (Full, "wav", r"the wav file cannot be written \(No space left on device\); free some"),
        (io.StringIO, "wav", "the wav file cannot be written"),
    ],
)
def test_an_open_file_that_takes_nothing(make, format, message):
    with pytest.raises(EdgeAudioError, match=message):
        Clip(tone(0.5), RATE).save(make(), format=format)


def test_equal_clips():
    clip = Clip(tone(0.5), RATE, {"seed": 7}, {"sample_run": 1.0})
    assert clip == Clip(tone(0.5), RATE, {"seed": 7})
    for other in (
        Clip(tone(0.4), RATE, {"seed": 7}),
        Clip(tone(0.5)[:9], RATE, {"seed": 7}),
        Clip(tone(0.5), 8000, {"seed": 7}),
        Clip(tone(0.5), RATE, {"seed": 8}),
        "a clip",
    ):
        assert clip != other
    with pytest.raises(TypeError, match="unhashable type: 'Clip'"):
        hash(clip)


def test_a_relative_path_is_fine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Clip(tone(0.5), RATE).save("here.wav")
    assert Path("here.wav").is_file()
