"""`edge-audio again`: the clip in a file, and the clip that its recipe makes now."""

import warnings

import numpy as np
import pytest
import soundfile

from edge_audio import Clip, Pipeline
from edge_audio.cli import main as cli
from edge_audio.sampling.noise import NoiseStream
from edge_audio.sampling.replay import replayed


@pytest.fixture
def again(toy_bundle, capsys):
    def again(path, *more, model=toy_bundle):
        code = cli.main(["again", str(path), "--model", str(model), *map(str, more)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return again


@pytest.fixture
def made(toy_bundle, tmp_path):
    """Writes a clip whose recipe was changed, or whose samples were."""

    def made(name="rain.wav", change=lambda samples: samples, subtype=None, **recipe):
        settings = {"seed": 7, "negative": "wind", "cfg_scale": 3, "seconds": 1.5}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clip = Pipeline.load(toy_bundle, "dit=f32,decoder=int8").generate("rain", **settings)
            clip = Clip(change(clip.samples), clip.sample_rate, {**clip.recipe, **recipe})
            clip.save(tmp_path / name, subtype)
        return tmp_path / name

    return made


@pytest.mark.parametrize(
    "name, subtype",
    [
        ("x.wav", None),
        ("x.flac", None),
        ("x.ogg", None),
        ("x.mp3", None),
        ("x.opus", None),
        ("x.wav", "PCM_24"),
        ("x.wav", "FLOAT"),
    ],
)
def test_the_same_again(again, made, tmp_path, name, subtype):
    path = made(name, subtype=subtype)
    code, out, err = again(path)
    assert code == 0 and out.startswith(f"{path}: identical, made again in "), out + err
    suffix = name[1:]
    assert (f"an {suffix} file is lossy" in out) == (suffix in (".ogg", ".mp3", ".opus"))
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == [name]


def test_the_new_clip_is_kept_where_asked(again, made, tmp_path):
    path = made(change=lambda samples: samples / 2)
    code, out, _ = again(path, "-o", tmp_path / "new.wav")
    assert code == 1 and "not identical (samples differ by up to -" in out
    assert "another CPU or LiteRT rounds otherwise: int8 and fp16" in out
    assert "; if both are the same, the file may have been changed\n" in out
    code, out, _ = again(tmp_path / "new.wav")
    assert code == 0 and Clip.recipe_of(tmp_path / "new.wav")["negative"] == "wind"


def test_the_clip_itself_is_not_written_over(again, made):
    path = made(change=lambda samples: samples / 2)
    before = path.read_bytes()
    code, out, err = again(path, "-o", path)
    assert code == 2 and out == "" and "would be written over" in err
    assert path.read_bytes() == before


def test_a_clip_of_another_model_that_this_one_cannot_make(again, made):
    code, out, err = again(made(bundle_sha256="ab" * 32, model="siren", seconds=99.0))
    assert code == 1 and out == ""
    assert "was made by siren (abababababab), name that one's folder with --model; with this" in err


def test_a_clip_of_another_length(again, made):
    code, out, _ = again(made(change=lambda samples: samples[:9]))
    assert code == 1 and "not identical (9 samples of 2 channels at 64 Hz, now 96 of 2 at" in out


def test_a_clip_of_given_noise_wants_that_noise(again, toy_bundle, tmp_path):
    pipe = Pipeline.load(toy_bundle, "f32")
    latent, draws, path = pipe.bundle.manifest.latent, tmp_path / "draws.npy", tmp_path / "x.wav"
    np.save(draws, NoiseStream(3).normal((9, latent.length, latent.channels)))
    pipe.generate("rain", noise=replayed(draws), steps=4, sampler="pingpong").save(path)
    code, out, err = again(path)
    assert code == 1 and out == "" and "was made of noise that was given, and not of a seed" in err
    assert again(path, "--noise", draws)[0] == 0


def test_another_version_is_named(again, made):
    code, out, _ = again(made(edge_audio="0.0.9"))
    assert code == 0 and "made by edge-audio 0.0.9, this is 0.1.0" in out


def test_another_model_is_named(again, made, own_bundle):
    path = made(bundle_sha256="ab" * 32, model="siren")
    code, out, _ = again(path)
    assert code == 0 and "the model is another one: toy (" in out
    assert "the file was made by siren (abababababab); name that one's folder with --model" in out


def test_what_a_file_says_of_itself_does_not_command_the_terminal(again, made):
    said = {"edge_audio": "\x1b]0;x\x07", "model": "a\x1b[31m\nb", "bundle_sha256": "\x1b[32m"}
    code, out, _ = again(made(**said))
    assert code == 0 and "made by edge-audio \ufffd]0;x\ufffd, this is" in out
    assert "made by a\ufffd[31m b (\ufffd[32m); name" in out and "\x1b" not in out


def test_threads_are_those_of_this_computer(again, made):
    assert again(made(threads=10**6))[0] == 0


@pytest.mark.parametrize(
    "recipe, message",
    [
        ({"precision": ["int8"]}, "has a recipe whose precision is none; name a file"),
        ({"precision": {"dit": "int1"}}, "precision 'dit=int1' is not understood"),
        ({"precision": {"dit": "f16"}}, "has no dit in f16"),
        ({"seed": None}, "no prompt or no seed"),
        ({"quality": 2}, "has a recipe whose quality is none; name a file"),
        ({"quality": [1]}, "has a recipe whose quality is none; name a file"),
        ({"finish": {"reverb": 1}}, "finish is none that this edge-audio knows; use the newest"),
        ({"finish": {"rate": 1e99}}, "the recipe's rate 1e+99 is out of range"),
    ],
)
def test_what_is_no_recipe(again, made, recipe, message):
    code, out, err = again(made(**recipe))
    assert code in (1, 2) and out == "" and err.startswith("error: ") and message in err


def test_a_file_without_a_recipe(again, tmp_path):
    soundfile.write(tmp_path / "x.wav", np.zeros((9, 2)), 64)
    code, out, err = again(tmp_path / "x.wav")
    assert (
        code == 1
        and out == ""
        and "x.wav tells no recipe (no recipe in it); name a file that" in err
    )
