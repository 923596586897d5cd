"""What is done to a clip after it was made, where it goes, and recipes that others start from."""

import io
import json
import os
import subprocess

import numpy as np
import pytest
import soundfile
from systems import posix
from test_cli import command, environment, refused, run  # noqa: F401 (a fixture)

from edge_audio import Clip, Finish, Pipeline, finished
from edge_audio.cli import main as cli


@pytest.fixture
def made(toy_bundle, tmp_path, capsys):
    """Runs `generate` for a file in the folder of the test."""

    def made(name, *arguments, code=0):
        out = tmp_path / name
        assert (
            cli.main(["generate", "--model", str(toy_bundle), "-o", str(out), *map(str, arguments)])
            == code
        )
        return out

    return made


FINISH = ("--trim", "--normalize", "-16LUFS", "--rate", 8000, "--channels", 1)


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "mp3", "opus"])
def test_the_same_in_python_in_the_recipe_and_again(made, toy_bundle, extension, capsys):
    path = made(f"x.{extension}", "rain", "--seed", 7, *FINISH)
    assert soundfile.info(path).samplerate == 8000 and soundfile.info(path).channels == 1
    finish = {"trim": True, "normalize": -16.0, "rate": 8000, "channels": 1}
    assert Clip.recipe_of(path)["finish"] == finish
    clip = finished(Pipeline.load(toy_bundle).generate("rain", seed=7), Finish(**finish))
    file = io.BytesIO()
    clip.save(file, format=extension)
    file.seek(0)
    assert np.array_equal(soundfile.read(file)[0], soundfile.read(path)[0])
    capsys.readouterr()
    assert cli.main(["again", str(path), "--model", str(toy_bundle)]) == 0
    assert ": identical, made again in" in capsys.readouterr().out


@pytest.mark.parametrize("given", ["-16", "-16LUFS", "-16 lufs", "-16.0LKFS"])
def test_a_loudness_as_people_write_it(made, given):
    assert Clip.recipe_of(made("x.wav", "rain", "--normalize", given))["finish"] == {
        "normalize": -16.0
    }


def test_quality_is_kept_and_made_again(made, toy_bundle, tmp_path, capsys):
    path = made("x.mp3", "rain", "--quality", 0.2, "--rate", 44100)
    assert Clip.recipe_of(path)["quality"] == 0.2
    kept = tmp_path / "kept.wav"
    assert cli.main(["again", str(path), "--model", str(toy_bundle), "-o", str(kept)]) == 0
    assert "quality" not in Clip.recipe_of(kept)


def test_the_report_is_of_what_was_written(made, capsys):
    path = made("x.opus", "rain", "--json", "--quiet")
    report = json.loads(capsys.readouterr().out)
    assert report["sample_rate"] == 8000 == soundfile.info(path).samplerate
    assert report["recipe"] == Clip.recipe_of(path)


def test_a_file_on_standard_output(toy_bundle, tmp_path):
    for more, kind in (((), "WAV"), (("--format", "flac", "--rate", "8000"), "FLAC")):
        done = subprocess.run(
            command("generate", "rain", "--model", toy_bundle, "--seed", 7, "-o", "-", *more),
            capture_output=True,
            cwd=tmp_path,
            env=environment(),
        )
        assert done.returncode == 0 and done.stderr.startswith(b"standard output: "), done.stderr
        (tmp_path / "x").write_bytes(done.stdout)
        assert soundfile.info(tmp_path / "x").format == kind
        assert Clip.recipe_of(tmp_path / "x")["seed"] == 7
        (tmp_path / "x").unlink()
        assert not list(tmp_path.iterdir())


def test_who_reads_standard_output_may_stop(toy_bundle, tmp_path):
    process = subprocess.Popen(
        command("generate", "rain", "--model", toy_bundle, "-o", "-", "--rate", 192_000),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment(),
    )
    assert process.stdout.read(4) == b"RIFF"
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 0 and b"Traceback" not in error and b"Exception" not in error
    assert not list(tmp_path.iterdir())


@posix
def test_no_sound_is_written_to_a_terminal(toy_bundle):
    import pty

    terminal, theirs = pty.openpty()
    done = subprocess.run(
        command("generate", "rain", "--model", toy_bundle, "-o", "-"),
        stdout=theirs,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    os.close(theirs)
    os.close(terminal)
    assert done.returncode == 2 and b"-o - would write sound to a terminal" in done.stderr


@pytest.mark.parametrize(
    "arguments, code, texts",
    [
        (["-o", "-", "--variations", "2"], 2, ["--variations wants it too"]),
        (["-o", "x.wav", "--format", "flac"], 2, ["x.wav says its format", "leave out --format"]),
        (["-o", "x.aac"], 2, ["x.aac has no known", "one of .wav, .flac, .ogg, .mp3, .opus"]),
        (["-o", "x.wav", "--quality", "1"], 2, ["x.wav loses nothing"]),
        (["-o", "x.mp3", "--quality", "2"], 2, ["quality 2.0 is out of range"]),
        (["--normalize", "loud"], 2, ["'loud' is no loudness; write it as -16 or -16LUFS"]),
        (["--normalize", "16"], 2, ["normalize 16.0 is out of range; use -60 to 0"]),
        (["--rate", "44.1"], 2, ["--rate: invalid int value"]),
        (["--rate", "44"], 2, ["rate 44 is out of range; use 8000 to 192000"]),
        (["--channels", "5"], 2, ["channels 5 cannot be made; use 1 or 2"]),
        (["--from", "nothing.wav"], 1, ["nothing.wav tells no recipe"]),
    ],
)
def test_what_contradicts_or_cannot_be(run, toy_bundle, arguments, code, texts):  # noqa: F811
    refused(run("generate", "rain", "--model", toy_bundle, *arguments), code, *texts)


def test_standard_output_is_a_clip_s_or_an_object_s(run, toy_bundle):  # noqa: F811
    done = run("generate", "rain", "--model", toy_bundle, "-o", "-", "--json")
    assert done.returncode == 2 and done.files == []
    said = json.loads(done.stdout)["error"]
    assert said.startswith("-o - gives standard output") and "--json wants it too" in said


def test_the_prompt_s_file_has_the_format_that_was_asked_for(run, toy_bundle):  # noqa: F811
    done = run("generate", "rain", "--model", toy_bundle, "--format", "mp3", "--rate", 8000)
    assert done.files == ["rain.mp3"], done.stderr


def settings_of(path):
    recipe = Clip.recipe_of(path)
    names = ("prompt", "seed", "seconds", "cfg_scale", "negative", "fit_length", "finish")
    return {name: recipe.get(name) for name in names}


def test_a_clip_from_a_recipe(made, tmp_path):
    good = made("good.wav", "rain", "--seed", 7, "--seconds", 1.2, "--cfg", 3, "--negative", "wind",
                "--precision", "dit=f32", "--fit-length", "--trim", "--rate", 8000)  # fmt: skip
    theirs = settings_of(good)
    same = made("same.wav", "--from", good)
    assert settings_of(same) == theirs
    assert np.array_equal(soundfile.read(same)[0], soundfile.read(good)[0])
    assert Clip.recipe_of(same)["precision"] == Clip.recipe_of(good)["precision"]
    other = made("other.wav", "--from", good, "--seed", 5, "--cfg", 4, "--no-trim")
    expected = {**theirs, "seed": 5, "cfg_scale": 4.0, "finish": {"rate": 8000}}
    assert settings_of(other) == expected
    assert settings_of(made("wind.wav", "wind", "--from", good)) == {**theirs, "prompt": "wind"}
    made("v.wav", "--from", good, "--variations", 2)
    seeds = [Clip.recipe_of(tmp_path / f"v-{number}.wav")["seed"] for number in (1, 2)]
    assert seeds == [7, 8]
    made("good.wav", "--from", good, code=2)  # it would be written over


def test_ids_and_prompts_take_each_other_s_place(made):
    ids = made("ids.wav", "--ids", "5,7,1", "--seed", 7)
    recipe = Clip.recipe_of(made("a.wav", "--from", ids, "rain"))
    assert (recipe["prompt"], recipe["ids"]) == ("rain", None)
    recipe = Clip.recipe_of(made("b.wav", "--from", made("c.wav", "rain"), "--ids", "5,1"))
    assert (recipe["prompt"], recipe["ids"]) == (None, [5, 1])


def test_a_recipe_of_another_model_or_of_noise_is_noted(made, toy_bundle, tmp_path, capsys):
    clip = Pipeline.load(toy_bundle).generate("rain", seed=7)
    recipe = {**clip.recipe, "bundle_sha256": "ab" * 32, "model": "siren", "noise": "given"}
    Clip(clip.samples, clip.sample_rate, recipe).save(tmp_path / "siren.wav")
    made("x.wav", "--from", tmp_path / "siren.wav")
    told = capsys.readouterr().err
    assert "was made by another model, siren (abababababab)" in told
    assert "was made of noise that was given; its seed makes another sound" in told


def test_a_recipe_that_started_from_a_sound_names_it(made, toy_bundle, tmp_path, capsys):
    clip = Pipeline.load(toy_bundle).generate("rain", seed=7)
    recipe = {**clip.recipe, "init": {"file": "garden.wav", "sha256": "ab" * 32}}
    Clip(clip.samples, clip.sample_rate, recipe).save(tmp_path / "from.wav")
    made("x.wav", "--from", tmp_path / "from.wav", code=1)
    told = capsys.readouterr().err
    assert "was made from 'garden.wav'; give that with --init" in told
    assert not (tmp_path / "x.wav").exists()
