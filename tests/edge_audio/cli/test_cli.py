"""The command line as its users meet it: in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import toy
from processes import uncounted
from systems import posix

from edge_audio import Clip, EdgeAudioError, Pipeline
from edge_audio.bundle.manifest import SCHEMA
from edge_audio.cli import main as cli

ROOT = Path(__file__).parents[3]


def command(*arguments):
    return [sys.executable, "-m", "edge_audio.cli", *map(str, arguments)]


def environment(**more):
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


@pytest.fixture
def run(tmp_path):
    """Run the program in an empty folder; what it left there is in `.files`."""
    folder = tmp_path / "here"
    folder.mkdir()

    def run(*arguments, **more):
        done = subprocess.run(
            command(*arguments), capture_output=True, text=True, cwd=folder, env=environment(**more)
        )
        done.files = sorted(path.name for path in folder.iterdir())
        done.folder = folder
        return done

    return run


def refused(done, code, *texts):
    """One line on stderr that says what is wrong and the mend, nothing on stdout, no file left."""
    lines = done.stderr.strip().splitlines()
    assert done.returncode == code and done.stdout == "" and done.files == [], done
    assert [line.startswith("error: ") for line in lines] == [True], done.stderr
    for text in texts:
        assert text in lines[0]


def test_generate(run, toy_bundle):
    done = run(
        "generate", "A slow, rising siren!", "--model", toy_bundle, "--seconds", 1.5, "--seed", 7
    )
    assert done.returncode == 0 and done.files == ["a-slow-rising-siren.wav"]
    assert done.stderr.startswith("note: the prompt has ") and done.stderr.count("\n") == 1
    assert (
        done.stdout.startswith("a-slow-rising-siren.wav: 1.50 s of audio in ")
        and done.stdout.count("\n") == 1
    )
    for text in ("condition ", "sample ", "decode ", " times real time", "seed 7"):
        assert text in done.stdout
    assert soundfile.info(done.folder / done.files[0]).frames == 96


def test_a_second_clip_does_not_replace_the_first(run, toy_bundle):
    for expected in (["rain.wav"], ["rain-2.wav", "rain.wav"]):
        assert run("generate", "rain", "--model", toy_bundle, "--quiet").files == expected


def test_processes_that_name_their_clips_at_once_lose_none(toy_bundle, tmp_path):
    processes = [
        subprocess.Popen(
            command("generate", "rain", "--model", toy_bundle, "--seed", seed, "--quiet"),
            cwd=tmp_path,
            env=environment(),
        )
        for seed in range(4)
    ]
    assert [process.wait() for process in processes] == [0] * 4
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["rain-2.wav", "rain-3.wav", "rain-4.wav", "rain.wav"]
    assert sorted(Clip.recipe_of(tmp_path / name)["seed"] for name in names) == [0, 1, 2, 3]


def test_a_clip_that_cannot_be_saved_leaves_no_name_behind(toy_bundle, tmp_path, monkeypatch):
    def broken(clip, path, quality=None):
        assert path.exists()
        raise EdgeAudioError("no")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Clip, "save", broken)
    assert cli.main(["generate", "rain", "--model", str(toy_bundle)]) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("output", ["sounds", "sounds/", "sounds/."])
def test_a_folder_as_output(toy_bundle, tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sounds").mkdir()
    for names in (["rain.wav"], ["rain-2.wav", "rain.wav"]):
        assert cli.main(["generate", "rain", "-o", output, "--model", str(toy_bundle)]) == 0
        assert sorted(path.name for path in (tmp_path / "sounds").iterdir()) == names


def test_variations_are_numbered_and_of_seeds_that_follow(toy_bundle, tmp_path, capsys):
    out = tmp_path / "rain.wav"
    made = ["generate", "rain", "--model", str(toy_bundle), "--steps", "2", "-o", str(out)]
    assert cli.main([*made, "--variations", "3", "--seed", "5", "--cfg", "3"]) == 0
    told = capsys.readouterr()
    assert "3 variations in " in told.out and "seeds 5 to 7" in told.out
    assert told.err.count("cfg 3 overdrives") == 1  # said once, not for each
    paths = [tmp_path / f"rain-{number}.wav" for number in (1, 2, 3)]
    assert sorted(tmp_path.iterdir()) == paths
    assert [Clip.recipe_of(path)["seed"] for path in paths] == [5, 6, 7]
    alone = Pipeline.load(toy_bundle).generate("rain", seed=6, steps=2, cfg_scale=3)
    alone.save(tmp_path / "alone.wav")
    held = [soundfile.read(tmp_path / name)[0] for name in ("alone.wav", "rain-2.wav")]
    assert np.array_equal(*held)
    assert cli.main([*made, "--variations", "0"]) == 2
    assert cli.main([*made, "--variations", "2", "--latents", str(tmp_path / "x.npy")]) == 2


def test_more_threads_than_cpus(toy_bundle, tmp_path, capsys):
    out = tmp_path / "x.wav"
    arguments = ["generate", "rain", "-o", str(out), "--model", str(toy_bundle), "--threads"]
    assert cli.main([*arguments, "1000000"]) == 0
    assert "warning: 1000000 threads are more than the " in capsys.readouterr().err
    assert Clip.recipe_of(out)["threads"] == len(os.sched_getaffinity(0))


def test_output_is_replaced_when_named(run, toy_bundle):
    for seed in (1, 2):
        done = run(
            "generate", "rain", "-o", "r.flac", "--model", toy_bundle, "--seed", seed, "--quiet"
        )
        assert (done.returncode, done.stdout, done.stderr, done.files) == (0, "", "", ["r.flac"])
    assert Clip.recipe_of(done.folder / "r.flac")["seed"] == 2


def test_json_is_all_there_is_on_stdout(run, toy_bundle):
    done = run(
        "generate",
        "",
        "-o",
        "x.wav",
        "--model",
        toy_bundle,
        "--json",
        "--seed",
        7,
        "--cfg",
        7,
        "--steps",
        3,
        "--sampler",
        "euler",
        "--negative",
        "wind",
        "--precision",
        "dit=f32",
        "--threads",
        1,
        "--seconds",
        1,
    )
    report = json.loads(done.stdout)
    assert (
        done.returncode == 0
        and report["file"] == "x.wav"
        and report["frames"] == 64
        and report["seconds"] == 1
    )
    assert report["recipe"] == Clip.recipe_of(done.folder / "x.wav")
    assert report["recipe"]["sampler"] == "euler" and report["recipe"]["precision"]["dit"] == "f32"
    assert report["total"] == pytest.approx(sum(report["timings"].values()))
    assert "note: the prompt is empty" in done.stderr and "note: cfg 7 overdrives" in done.stderr


def test_quiet_leaves_notes_to_the_file(run, toy_bundle):
    arguments = ("generate", "", "-o", "x.wav", "--model", toy_bundle, "--seed", 7)
    told = [line for line in run(*arguments).stderr.splitlines() if line.startswith("note: ")]
    assert any("the prompt is empty" in line for line in told)
    for more, printed in (((), False), (("--json",), True)):
        done = run(*arguments, "--quiet", *more)
        assert (done.returncode, done.stderr, bool(done.stdout)) == (0, "", printed)
        recipe = Clip.recipe_of(done.folder / "x.wav")
        assert [f"note: {note}" for note in recipe["notes"]] == told
    assert json.loads(done.stdout)["recipe"] == recipe


def test_warnings_are_said_even_if_quiet(toy_bundle, tmp_path, capsys):
    arguments = ["generate", "rain", "--model", str(toy_bundle), "--threads", "1000000", "--quiet"]
    assert cli.main([*arguments, "-o", str(tmp_path / "x.wav")]) == 0
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("warning: 1000000 threads are more than the ")


def test_the_command_line_and_the_library_make_the_same_clip(run, toy_bundle):
    done = run(
        "generate",
        "rain",
        "-o",
        "x.wav",
        "--model",
        toy_bundle,
        "--seed",
        7,
        "--quiet",
        "--precision",
        "f32",
    )
    samples, _ = soundfile.read(done.folder / "x.wav")
    expected = Pipeline.load(toy_bundle, "f32").generate("rain", seed=7)
    np.testing.assert_allclose(samples, expected.samples * min(1, expected.gain), atol=2**-15)


def test_ids(run, ids_bundle):
    done = run("generate", "--ids", "5,6,1", "--model", ids_bundle, "--seed", 7)
    assert done.returncode == 0 and done.files == ["clip.wav"] and done.stderr == ""
    assert Clip.recipe_of(done.folder / "clip.wav")["ids"] == [5, 6, 1]


def test_the_model_can_come_from_the_environment(run, toy_bundle):
    assert run("generate", "rain", "--quiet", EDGE_AUDIO_MODEL=str(toy_bundle)).files == [
        "rain.wav"
    ]


def test_a_loud_clip_says_that_it_was_scaled(toy_bundle, tmp_path, monkeypatch, capsys):
    generate = Pipeline.generate

    def louder(self, *arguments, **settings):
        clip = generate(self, *arguments, **settings)
        return Clip(
            clip.samples * np.float32(3 / clip.peak), clip.sample_rate, clip.recipe, clip.timings
        )

    monkeypatch.setattr(Pipeline, "generate", louder)
    out = tmp_path / "loud.wav"
    assert cli.main(["generate", "rain", "-o", str(out), "--model", str(toy_bundle), "--json"]) == 0
    told = capsys.readouterr()
    assert "warning: peak 3.00 is above 1.0; scaled down by 9.6 dB" in told.err
    assert (
        json.loads(told.out)["recipe"]["gain"]
        == Clip.recipe_of(out)["gain"]
        == pytest.approx(0.333)
    )


@pytest.mark.parametrize(
    "arguments, texts",
    [
        (
            ["generate", "rain", "--sampler", "heun"],
            ["sampler 'heun' is unknown; use one of pingpong, euler, dpmpp, rk4"],
        ),
        (
            ["generate", "rain", "--steps", "0"],
            ["steps 0 makes no sound; use a whole number from 1"],
        ),
        (
            ["generate", "rain", "--steps", "many"],
            ["--steps: invalid int value: 'many'; see edge-audio generate --help"],
        ),
        (["generate", "rain", "--cfg", "nan"], ["cfg nan is not a finite number; use"]),
        (
            ["generate", "rain", "--seconds", "0"],
            ["seconds 0.0 is no duration; use more than 0, at most 2"],
        ),
        (["generate", "rain", "--seconds", "-3"], ["seconds -3.0 is no duration"]),
        (
            ["generate", "rain", "--cfg", "-3"],
            ["cfg -3.0 would steer away from the prompt; use 1"],
        ),
        (["generate", "rain", "--cfg", "much"], ["--cfg: invalid float value: 'much'"]),
        (
            ["generate", "--seed", "7", "a", "slow", "siren", "--cfg", "2"],
            [
                "the prompt is several words; put it in quotes:"
                " edge-audio generate --seed 7 'a slow siren' --cfg 2"
            ],
        ),
        (
            ["bench", "a", "--steps", "2", "siren"],
            ["put it in quotes: edge-audio bench 'a siren'"],
        ),
        (["info", "a", "--model", "b"], ["two models are given; name one folder"]),
        (["generate", "rain", "--seed", "-1"], ["seed -1 is not usable; choose"]),
        (["generate", "rain", "--threads", "0"], ["threads 0 cannot run anything; use"]),
        (
            ["generate", "rain", "--precision", "int9"],
            ["precision 'int9' is not understood; write one of f32"],
        ),
        (
            ["generate", "rain", "-o", "x.mp7"],
            ["x.mp7 has no known sound file extension; use one of .wav"],
        ),
        (["generate"], ["give either a prompt or ids"]),
        (["generate", "rain", "--ids", "1,2"], ["give either a prompt or ids"]),
        (["generate", "--ids", "a,b"], ["'a,b' is no list of numbers like 118,7,54,1"]),
        (
            ["generate", "rain", "--colour", "red"],
            ["unrecognized arguments: --colour red; see edge-audio generate --help"],
        ),
        (["sing"], ["invalid choice: 'sing'"]),
        ([], ["required: COMMAND; see edge-audio --help"]),
    ],
)
def test_wrong_usage_exits_with_2(run, toy_bundle, arguments, texts):
    refused(run(*arguments, EDGE_AUDIO_MODEL=str(toy_bundle)), 2, *texts)


@pytest.mark.parametrize(
    "arguments, texts",
    [
        (["--seconds", "2.5"], ["seconds 2.5 is more than model toy can make; use at most 2"]),
        (
            ["-o", "absent/x.wav"],
            ["absent/x.wav cannot be written (No such file or directory); choose another folder"],
        ),
        (
            ["--loop", "--bars", "2", "--bpm", "90"],
            ["bars 2 at bpm 90 are 5.33333 seconds, and model toy can make 2; use fewer bars"],
        ),
        (
            ["-o", "absent/"],
            ["absent/rain.wav cannot be written (No such file or directory); choose another"],
        ),
        (["-o", "/proc/x.wav"], ["/proc/x.wav cannot be written", "choose another folder"]),
        (
            ["--model", "absent"],
            ["no bundle at absent: manifest.json is missing; make one with `edge-audio export"],
        ),
        (["--precision", "dit=f16"], ["has no dit in f16; it has f32, int8"]),
    ],
)
def test_what_cannot_be_done_exits_with_1(run, toy_bundle, arguments, texts):
    refused(run("generate", "rain", *arguments, EDGE_AUDIO_MODEL=str(toy_bundle)), 1, *texts)


def truncate(folder):
    path = folder / "dit.int8.tflite"
    path.write_bytes(path.read_bytes()[:99])


def flip(folder):
    path = folder / "dit.int8.tflite"
    data = path.read_bytes()
    path.write_bytes(data[:-9] + bytes(9))


def swap(folder):
    (folder / "dit.int8.tflite").write_bytes((folder / "decoder.int8.tflite").read_bytes())
    toy.write_manifest(folder)


def newer(folder):
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace(f'"schema": {SCHEMA}', f'"schema": {SCHEMA + 1}'))


@pytest.mark.parametrize(
    "damage, texts",
    [
        (
            truncate,
            ["dit.int8.tflite has 99 bytes, the manifest says", "copy the bundle again or export"],
        ),
        (
            flip,
            ["dit.int8.tflite has another sha256 than the manifest says; copy the bundle again"],
        ),
        (
            lambda folder: (folder / "decoder.int8.tflite").unlink(),
            ["decoder.int8.tflite is missing; copy the bundle"],
        ),
        (
            swap,
            [
                "dit.int8.tflite has signatures head, head_8, tail, a dit graph needs denoise,"
                " denoise_8, project; copy"
            ],
        ),
        (newer, [f"manifest.json has schema {SCHEMA + 1}, this edge-audio reads"]),
        (
            lambda folder: (folder / "manifest.json").write_text("{"),
            ["manifest.json cannot be read", "export the model"],
        ),
        (
            lambda folder: (folder / "tokenizer.model").unlink(),
            ["tokenizer.model is missing; copy the bundle again"],
        ),
    ],
)
def test_a_damaged_bundle_exits_with_1(run, own_bundle, damage, texts):
    damage(own_bundle)
    refused(
        run("generate", "rain", "-o", "x.wav", "--model", own_bundle, "--precision", "int8"),
        1,
        *texts,
    )


def test_a_prompt_for_a_bundle_without_tokenizer(run, ids_bundle):
    refused(
        run("generate", "rain", "--model", ids_bundle),
        1,
        "model toy has no tokenizer",
        "give token ids",
    )


def test_a_prompt_of_ten_thousand_characters(run, toy_bundle):
    prompt = ("rain on a roof " * 700)[:10_000]
    done = run("generate", prompt, "--model", toy_bundle, "--seed", 7)
    assert (
        done.returncode == 0
        and done.stderr.count("note: the prompt has") == 1
        and done.stderr.count("\n") == 1
    )
    assert len(done.files) == 1 and len(done.files[0]) < 60
    assert Clip.recipe_of(done.folder / done.files[0])["prompt"] == prompt


def test_a_prompt_that_is_no_text(run, toy_bundle):
    done = run("generate", os.fsdecode(b"rain \xff"), "--model", toy_bundle, "-o", "x.wav")
    refused(done, 2, "no text; write it in UTF-8")


@posix
def test_a_full_disk(toy_bundle, tmp_path):
    code = (
        "import resource, sys; from edge_audio.cli.main import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300)); sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "generate", "rain", "--model", str(toy_bundle), "-o", "x.wav"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(),
    )
    assert (
        done.returncode == 1
        and "error: x.wav cannot be written" in done.stderr
        and not list(tmp_path.iterdir())
    )


@posix
def test_interrupting_leaves_nothing(toy_bundle, tmp_path):
    process = subprocess.Popen(
        command(*"generate rain --sampler rk4 --steps 10000 --model".split(), toy_bundle),
        cwd=tmp_path,
        env=uncounted(environment()),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # a shell starts background jobs, such as this whole test run, with Ctrl-C ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 30
        while (
            f"{toy_bundle}/dit" not in Path(f"/proc/{process.pid}/maps").read_text()
            and time.monotonic() < deadline
        ):
            time.sleep(0.05)  # until the transformer is mapped into memory: then it samples
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (130, "", "error: interrupted\n")
    assert not list(tmp_path.iterdir())


@posix
def test_a_bar_is_shown_on_a_terminal_only(toy_bundle, tmp_path):
    def stderr_of(*more):
        import pty

        main, terminal = pty.openpty()
        process = subprocess.Popen(
            command("generate", "rain", "--model", toy_bundle, *more),
            cwd=tmp_path,
            env=environment(),
            stderr=terminal,
            stdout=subprocess.DEVNULL,
        )
        os.close(terminal)
        text = b""
        try:
            while piece := os.read(main, 4096):
                text += piece
        except OSError:  # the other end of the terminal is closed
            pass
        os.close(main)
        assert process.wait() == 0
        return text.decode()

    assert "sample    [" in stderr_of() and "] 4/4" in stderr_of()
    assert "[" not in stderr_of("--quiet") and "[" not in stderr_of("--json")


def fake_player(folder, script):
    folder.mkdir(exist_ok=True)
    (folder / "aplay").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "aplay").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@posix
def test_play(run, toy_bundle, tmp_path):
    path = fake_player(tmp_path / "bin", 'echo "$@" > "$0.log"; exec cat > "$0.raw"')
    done = run("generate", "rain", "--play", "--seed", 3, "--model", toy_bundle, PATH=path)
    assert done.returncode == 0 and done.files == ["rain.wav"], done.stderr
    assert (tmp_path / "bin" / "aplay.log").read_text() == "-q -t raw -f FLOAT_LE -r 64 -c 2\n"
    heard = np.frombuffer((tmp_path / "bin" / "aplay.raw").read_bytes(), "<f4").reshape(-1, 2)
    expected = Pipeline.load(toy_bundle).generate("rain", seed=3).samples
    np.testing.assert_array_equal(heard, np.clip(expected, -1, 1))


@posix
def test_a_player_that_fails_loses_no_clip(run, toy_bundle, tmp_path):
    complaint = "echo warming up >&2; echo 'aplay: main: audio open error: No such file or"
    path = fake_player(tmp_path / "bin", f"{complaint} directory' >&2; exit 1")
    done = run("generate", "rain", "--play", "--model", toy_bundle, "-o", "again.wav", PATH=path)
    assert done.returncode == 0 and done.files == ["again.wav"]
    assert done.stderr.splitlines()[-1] == (
        "warning: the clip is made, but aplay could not play it"
        " (aplay: main: audio open error: No such file or directory); check the sound output"
    )


@posix
def test_sounddevice_without_portaudio_gives_way(run, toy_bundle, tmp_path):
    path = fake_player(tmp_path / "bin", 'exec cat > "$0.raw"')
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    done = run(
        "generate",
        "rain",
        "--play",
        "--model",
        toy_bundle,
        PATH=path,
        PYTHONPATH=f"{tmp_path}:{ROOT}",
    )
    assert done.returncode == 0 and (tmp_path / "bin" / "aplay.raw").stat().st_size, done.stderr


def test_nothing_to_play_with_is_said_first(run, toy_bundle, tmp_path):
    refused(
        run("generate", "rain", "--play", "--model", toy_bundle, PATH=str(tmp_path)),
        1,
        "nothing here can play sound; install paplay, aplay or the Python package sounddevice, or"
        " leave out --play",
    )


def test_fit_length(run, toy_bundle):
    done = run("generate", "rain", "--seconds", 1, "--fit-length", "--json", "--model", toy_bundle)
    assert done.returncode == 0 and json.loads(done.stdout)["recipe"]["fit_length"] is True
    done = run(
        *("generate", "rain", "--seconds", 1, "--no-fit-length", "--json", "--model", toy_bundle)
    )
    assert done.returncode == 0 and json.loads(done.stdout)["recipe"]["fit_length"] is False


def test_info(run, toy_bundle):
    done = run("info", "--model", toy_bundle)
    assert done.returncode == 0 and done.stderr == ""
    for text in (
        "toy in ",
        "up to 2.00 s, 64 Hz, 2 channels",
        "16 x 4, 8 samples each",
        "a prompt, up to 8 tokens",
        "pingpong, 4 steps, cfg 1 (rf_denoiser)",
        "dit          int8",
        "60.0 dB",
        "this computer",
        "threads",
    ):
        assert text in done.stdout


def test_info_on_pocket(capsys):
    assert cli.main(["info", "pocket"]) == 0
    assert " Hz, 1 channel\n" in capsys.readouterr().out


def test_info_on_a_folder(toy_bundle, capsys):
    assert cli.main(["info", str(toy_bundle)]) == 0
    named = capsys.readouterr().out
    assert cli.main(["info", "--model", str(toy_bundle)]) == 0
    assert named == capsys.readouterr().out and named.startswith("toy in ")


def test_info_as_json(run, toy_bundle, ids_bundle):
    found = json.loads(run("info", "--model", toy_bundle, "--json").stdout)
    assert found["manifest"]["name"] == "toy" and found["chosen"]["threads"] >= 1
    assert (
        set(found["chosen"]["precision"]) == {"conditioners", "dit", "decoder"}
        and found["device"]["architecture"]
    )
    assert "token ids only" in run("info", "--model", ids_bundle).stdout


def test_info_on_what_is_no_bundle(run):
    refused(
        run("info", "--model", "."),
        1,
        "no bundle at .: manifest.json is missing; make one with",
    )


def test_version_and_help(run):
    assert run("--version").stdout == "edge-audio 0.1.0\n"
    assert "--negative PROMPT" in run("generate", "--help").stdout
