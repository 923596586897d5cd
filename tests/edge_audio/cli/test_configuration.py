"""The configuration file decides what no flag and no variable says, as if it were a flag."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

from edge_audio import Clip
from edge_audio.cli import configuration
from edge_audio.cli.main import main
from edge_audio.cli.parser import parser
from edge_audio.errors import EdgeAudioWarning, UsageError
from edge_audio.exporter import command as exporter

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in ("EDGE_AUDIO_MODEL", "EDGE_AUDIO_DATA", "EDGE_AUDIO_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Writes the file that is read from then on."""
    place = tmp_path / "config.toml"

    def write(text):
        place.write_text(text)
        monkeypatch.setenv("EDGE_AUDIO_CONFIG", str(place))
        return place

    return write


def parsed(*words):
    return parser().parse_args([str(word) for word in words])


def test_a_clip_is_the_one_that_the_same_flags_make(config, tmp_path, capsys):
    flags = ["--seconds", "1", "--steps", "3", "--seed", "5", "--normalize", "-20"]
    one, other = tmp_path / "flags.flac", tmp_path / "file.flac"
    assert main(["generate", "bell", *flags, "-o", str(one)]) == 0
    config("[generate]\nseconds = 1\nsteps = 3\nseed = 5\nnormalize = -20\n")
    assert main(["generate", "bell", "-o", str(other)]) == 0
    assert one.read_bytes() == other.read_bytes()
    assert Clip.recipe_of(other)["steps"] == 3


def test_a_flag_counts_more_than_the_environment_than_the_file_than_the_default(
    config, monkeypatch
):
    assert parsed("serve").data is None
    config('[serve]\ndata = "/file"\nport = 1\n')
    assert (parsed("serve").data, parsed("serve").port) == (Path("/file"), 1)
    monkeypatch.setenv("EDGE_AUDIO_DATA", "/environment")
    assert parsed("serve").data is None  # which is where the server looks there
    assert (parsed("serve", "--data", "/flag").data, parsed("serve", "--port", 8080).port) == (
        Path("/flag"),
        8080,
    )


def test_what_stands_above_the_tables_is_of_every_command(config, monkeypatch, tmp_path):
    config('model = "~/m"\ncache = "/c"\nthreads = 3\nquiet = true\n[bench]\nthreads = "1,2"\n')
    assert parsed("generate", "bell").threads == 3 and parsed("generate", "bell").quiet is True
    assert parsed("bench").threads == (1, 2)
    variables = parsed("info").environment
    assert variables == {
        "EDGE_AUDIO_MODEL": os.path.expanduser("~/m"),
        "EDGE_AUDIO_CACHE": "/c",
    }
    config(f"model = '{tmp_path / 'none'}'\n")
    assert main(["info"]) == 1 and "EDGE_AUDIO_MODEL" not in os.environ
    monkeypatch.setenv("EDGE_AUDIO_MODEL", str(ROOT / "models" / "pocket"))
    assert main(["info"]) == 0


def test_a_flag_that_may_be_given_again_begins_anew(config):
    config('[serve]\nallow-host = ["a", "b"]\ncors = "https://one.example"\n')
    assert parsed("serve").allow_host == ["a", "b"]
    assert parsed("serve").cors == ["https://one.example"]
    assert parsed("serve", "--allow-host", "c", "--allow-host", "d").allow_host == ["c", "d"]


VALUES = {
    "seconds = 2": ("seconds", 2.0),
    'normalize = "-16LUFS"': ("normalize", -16.0),
    'fp16 = "off"': ("fp16", "off"),
    "limiter = true": ("limiter", "on"),
    "trim = false": ("trim", False),
    "fit_length = true": ("fit_length", True),
    'replace = ["1-2", "3-4"]': ("replace", [(1.0, 2.0), (3.0, 4.0)]),
    'lora = "~/warm.safetensors=0.8"': ("lora", [(Path.home() / "warm.safetensors", 0.8)]),
    'from = "~/bell.wav"': ("source", os.path.expanduser("~/bell.wav")),
}


@pytest.mark.parametrize("line", VALUES)
def test_a_value_is_what_the_flag_makes_of_it(line, config):
    config(f"[generate]\n{line}\n")
    name, value = VALUES[line]
    found = getattr(parsed("generate", "bell"), name)
    assert found == value and type(found) is type(value)


def test_options_with_and_without_a_value_and_such_that_must_be_given(config):
    config('[batch]\nwebdataset = true\nray = "head:6379"\nout = "x"\n[mcp]\nfolder = "sounds"\n')
    batch = parsed("batch", "list.csv")
    assert (batch.webdataset, batch.ray, batch.out) == (1000, "head:6379", "x")
    assert parsed("mcp").folder == Path("sounds")
    config("[batch]\nwebdataset = 50\nray = false\n")
    batch = parsed("batch", "list.csv", "--out", "y")
    assert (batch.webdataset, batch.ray, batch.out) == (50, None, "y")


BAD = {
    '[generate]\nseconds = "four"': "[generate] seconds = 'four' is no number",
    "[generate]\nseconds = true": "[generate] seconds = True is no number",
    f"[generate]\nseconds = 1{400 * '0'}": "is too large a number",
    'data = "a\\u0000b"': "is no text that a variable or a file's name can have",
    "[generate]\nsteps = 4.5": "[generate] steps = 4.5 is no whole number",
    "[generate]\nsteps = [4]": "[generate] steps = [4] is no whole number",
    "[generate]\nsampler = [4]": "[generate] sampler = [4] is neither text nor a number",
    "[generate]\nsampler = 2026-11-26": "is neither text nor a number",
    '[generate]\ntrim = "yes"': "[generate] trim = 'yes' is neither true nor false",
    '[generate]\nformat = "wave"': "[generate] format = 'wave' is none of wav, flac",
    '[generate]\nnormalize = "loud"': "[generate] normalize: 'loud' is no loudness",
    '[generate]\nreplace = ["1-2", "x"]': "[generate] replace: 'x' is no part of a sound",
    '[generate]\nlora = [{file = "x"}]': "[generate] lora = {'file': 'x'} is neither text",
    "generate = 3": "generate = 3 is no table; write [generate]",
    "model = {}": "model = {} is neither text nor a number",
    "threads = true": "threads = True is no whole number",
    "[generate]\nseconds = four\n": "is no TOML: Invalid value (at line 2",
    "[generate]\n[generate]": "line 2",
    "a = " + "[" * 5000: "is no TOML",
}


@pytest.mark.parametrize("text", BAD)
def test_what_an_option_cannot_be_is_said_in_one_line(text, config, capsys):
    place = config(text)
    assert main(["generate", "bell", "-o", "/never/made.wav"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(f"error: {place}"), said.err
    assert BAD[text] in said.err and said.err.count("\n") == 1


def test_what_the_model_refuses_is_said_to_be_of_the_file(config, monkeypatch, capsys):
    place = config('model = "nowhere"\n[generate]\nseconds = 400\n')
    assert main(["generate", "bell", "-o", "made.wav"]) == 1
    assert capsys.readouterr().err.endswith(f" (model of {place})\n")
    monkeypatch.setenv("EDGE_AUDIO_MODEL", "pocket")
    assert main(["generate", "bell", "-o", "made.wav"]) == 1
    assert capsys.readouterr().err.endswith(f" (seconds of {place})\n")
    assert main(["generate", "bell", "-o", "made.wav", "--seconds", "300"]) == 1
    assert str(place) not in capsys.readouterr().err  # a flag decided


def test_what_is_called_otherwise_is_told_with_the_nearest_name(config, capsys):
    place = config('modle = "x"\n[generate]\nsecnds = 3\nhelp = true\n[serv]\n[batch]\nsteps = "x"')
    with pytest.warns(EdgeAudioWarning) as said:
        parsed("generate", "bell")
    assert [str(one.message) for one in said] == [
        f"{place}: modle is unknown; did you mean model?",
        f"{place}: serv is unknown; did you mean serve?",
        f"{place}: [generate] secnds is unknown; did you mean seconds?",
        f"{place}: [generate] help is unknown; see edge-audio generate --help",
    ]
    assert main(["info"]) == 2  # which looks at all tables
    assert "[batch] steps = 'x' is no whole number" in capsys.readouterr().err


def test_a_recipe_counts_more_and_so_does_a_file_name(config, tmp_path, capsys):
    bell = tmp_path / "bell.wav"
    assert main(["generate", "bell", "--seconds", "1", "--steps", "2", "-o", str(bell)]) == 0
    config('[generate]\nseconds = 2\nsteps = 3\nformat = "mp3"\nquality = 0.5\nquiet = true\n')
    again = tmp_path / "again.wav"
    assert main(["generate", "--from", str(bell), "-o", str(again)]) == 0
    assert Clip.recipe_of(again) == Clip.recipe_of(bell)
    one, other = (parsed("generate", "bell", "-o", f"x.{name}") for name in ("wav", "ogg"))
    assert (one.format, one.quality, other.format, other.quality) == (None, None, None, 0.5)
    asked = parsed("generate", "bell", "--bars", 2, "--bpm", 100)
    assert (asked.seconds, asked.format, asked.steps) == (None, "mp3", 3)


def test_the_exporter_has_a_table(config, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(exporter.needs, "packages", lambda *names: None)
    monkeypatch.setattr(exporter, "_export", lambda options, prog: seen.append(options))
    config('[export]\nprecision = "int8"\nlatent-lengths = "64,128"\nwithout-encoder = true\n')
    assert main(["export", "in", "out"]) == 0 and main(["info"]) == 0
    assert main(["export", "in", "out", "--precision", "f16"]) == 0
    assert [one.precision for one in seen] == ["int8", "f16"]
    assert seen[0].latent_lengths == (64, 128) and seen[0].without_encoder is True
    assert capsys.readouterr().err == ""
    place = config("[export]\nprecison = 'int8'\n")
    assert main(["export", "in", "out"]) == 0
    warning = f"warning: {place}: [export] precison is unknown; did you mean precision?\n"
    assert capsys.readouterr().err == warning


def test_info_says_which_file_was_read(config, monkeypatch, tmp_path, capsys):
    place = config("")
    assert main(["info"]) == 0 and f"settings   {place}, where" in capsys.readouterr().out
    monkeypatch.delenv("EDGE_AUDIO_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert main(["info"]) == 0
    assert f"settings   no {tmp_path / 'edge-audio' / 'config.toml'}" in capsys.readouterr().out
    (tmp_path / "edge-audio").mkdir()
    place.rename(tmp_path / "edge-audio" / "config.toml")
    assert main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["configuration"]
    assert found == str(tmp_path / "edge-audio" / "config.toml")


def test_a_file_that_cannot_be_read(config, tmp_path, capsys):
    place = config("")
    place.write_bytes(b"\xff\xfe")
    assert main(["info"]) == 2 and "is no TOML" in capsys.readouterr().err
    with pytest.raises(SystemExit) as done:  # and help is there all the same
        main(["generate", "--help"])
    assert done.value.code == 0
    place.unlink()
    assert main(["info"]) == 2 and "No such file" in capsys.readouterr().err
    place.mkdir()
    assert main(["info"]) == 2 and "EDGE_AUDIO_CONFIG=off" in capsys.readouterr().err


def test_a_folder_that_cannot_be_looked_into_has_no_file(monkeypatch, tmp_path):
    monkeypatch.delenv("EDGE_AUDIO_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ("x" * 300)))
    assert configuration.read() == configuration.Configuration()


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="which has TOML")
def test_python_3_10_says_what_it_lacks(config, monkeypatch):
    config("")
    monkeypatch.setitem(sys.modules, "tomli", None)
    with pytest.raises(UsageError, match="pip install tomli"):
        configuration.read()


def test_the_example_of_the_page_is_one(config, recwarn):
    page = (ROOT / "docs" / "configuration.md").read_text()
    config(re.search(r"```toml\n(.*?)```", page, re.S)[1])
    assert main(["info"]) == 0
    assert parsed("serve").allow_host == ["sound.example"]
    assert not [one for one in recwarn if issubclass(one.category, EdgeAudioWarning)]
