"""What `edge-audio report` tells, and that nothing private is in it."""

import json
import os
import platform
import shutil
import socket

import pytest

import edge_audio
from edge_audio.cli import main as cli
from edge_audio.evaluate import bench, field_report
from edge_audio.model.model import default_model

CLIP = {"total": 0.25, "timings": {"condition_load": 0.05, "condition_run": 0.2}}


@pytest.fixture
def private(tmp_path, monkeypatch):
    """A home, a folder to stand in, a user, a host and values of variables whose texts are SECRET,
    and the pocket model in that home.
    """
    home = tmp_path / "home of SECRET"
    (home / "here SECRET").mkdir(parents=True)
    shutil.copytree(default_model(), home / "models-SECRET")
    monkeypatch.chdir(home / "here SECRET")
    monkeypatch.setenv("HOME", str(home))
    for name in ("USER", "LOGNAME", "USERNAME", "HOSTNAME", "EDGE_AUDIO_API_KEY"):
        monkeypatch.setenv(name, "SECRET")
    monkeypatch.setenv("EDGE_AUDIO_CACHE", str(home / "cache SECRET"))
    monkeypatch.setattr(platform, "node", lambda: "SECRET.local")
    monkeypatch.setattr(socket, "gethostname", lambda: "SECRET")
    return home


@pytest.fixture
def clips(monkeypatch):
    """A clip that takes no time."""
    monkeypatch.setattr(
        field_report, "run_child", lambda *_: {"clips": [CLIP, CLIP], "peak": 70_000_000}
    )


def reported(capsys, *arguments):
    """What the command prints, as a table and as JSON, in one text."""
    assert cli.main(["report", *arguments]) == 0
    table = capsys.readouterr()
    assert cli.main(["report", "--json", *arguments]) == 0
    out, errors = capsys.readouterr()
    found = json.dumps(json.loads(out), ensure_ascii=False)
    return "".join((*table, found, errors))


def test_a_report_tells_what_matters(capsys, clips):
    assert cli.main(["report"]) == 0
    table = capsys.readouterr().out
    assert cli.main(["report", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["edge_audio"] == edge_audio.__version__
    assert found["model"]["name"] == "pocket" and len(found["model"]["sha256"]) == 64
    assert found["clip"]["clips"] == [CLIP, CLIP] and found["clip"]["seconds"] == 1
    for text in (
        f"| edge-audio | {edge_audio.__version__} |",
        platform.python_version(),
        found["packages"]["ai-edge-litert"],
        found["model"]["sha256"],
        found["model"]["reason"],
        "| clip 2 | 0.250 s (condition load 0.050, condition run 0.200) |",
        "| peak memory | 70 MB |",
    ):
        assert text in table
    assert all(line.startswith("| ") and line.endswith(" |") for line in table.splitlines()[1:])


def test_a_clip_is_really_made(capsys):
    assert cli.main(["report", "--json"]) == 0
    clip = json.loads(capsys.readouterr().out)["clip"]
    assert len(clip["clips"]) == 2 and clip["clips"][0]["timings"]["sample_run"] > 0


def test_nothing_private_is_told(private, clips, capsys):
    text = reported(capsys, "--model", str(private / "models-SECRET"))
    assert "SECRET" not in text and str(private) not in text
    assert "EDGE_AUDIO_API_KEY, EDGE_AUDIO_CACHE" in text  # that they are set, and not to what


@pytest.mark.parametrize("given", ["absolute", "relative"])
def test_nothing_private_is_told_by_errors(private, capsys, given):
    folder = private / "models-SECRET"
    (folder / "dit.int8.tflite").write_bytes(b"SECRET")
    name = str(folder) if given == "absolute" else os.path.relpath(folder)
    text = reported(capsys, "--model", name)
    assert "SECRET" not in text and "dit.int8.tflite" in text
    shutil.rmtree(folder)
    text = reported(capsys, "--model", name)
    assert "SECRET" not in text and "no bundle at …: manifest.json is missing" in text


def test_nothing_private_is_told_of_a_model_given_by_name(capsys, monkeypatch, tmp_path):
    kept = tmp_path / "disk of SECRET"
    shutil.copytree(default_model(), kept / "mine")
    shutil.copytree(default_model(), kept / "for-SECRET")
    monkeypatch.setenv("EDGE_AUDIO_MODELS", str(kept))
    (kept / "mine" / "dit.int8.tflite").write_bytes(b"?")
    text = reported(capsys, "--model", "mine")
    assert "SECRET" not in text and "dit.int8.tflite has 1 bytes" in text
    text = reported(capsys, "--model", "none")
    assert "SECRET" not in text and "no bundle at …: manifest.json is missing" in text


def test_what_children_say_is_cleaned(private, capsys, monkeypatch):
    said = f"cannot map '{private}/x.tflite' for SECRET on SECRET.local at ~/y C:\\Users\\SECRET\\z"

    def fail(*_):
        raise edge_audio.EdgeAudioError(said)

    monkeypatch.setattr(field_report, "run_child", fail)
    text = reported(capsys)
    assert "SECRET" not in text and "Users" not in text and "cannot map '…' for … on …" in text


def test_a_process_that_dies_is_part_of_the_report(capsys, monkeypatch):
    monkeypatch.setattr(bench, "CHILD", "import os; os.kill(os.getpid(), 4)")
    text = reported(capsys)
    assert "exit code -4" in text and "| model | pocket" in text


@pytest.mark.parametrize("arguments", [("--precision", "int9"), ("--threads", "0")])
def test_wrong_usage_is_said(capsys, arguments):
    assert cli.main(["report", *arguments]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_table_survives_any_name():
    assert field_report._cell("a|b\nc") == "a\\|b c"
