"""A bundle in the place of another: killed or failing at any moment, and two exports at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError
from edge_audio.exporter.publish import complete, is_interrupted, locked, publish, staging_folder

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "data" / "tiny0"
GRAPHS = [f"{component}.f32.tflite" for component in ("conditioners", "dit", "decoder")]
#: what stands there before, and what is put in its place
OLD = ["manifest.json", *GRAPHS, "dit.int8.tflite", "tokenizer.model"]
NEW = ["manifest.json", *GRAPHS, "encoder.f32.tflite", "checks.json"]
#: the journal, the old files, the new ones
MOVES = 1 + len(OLD) + len(NEW)

#: replaces Path.replace by one that ends the process when it is called for the n-th time
KILL = """
import os, signal, sys
from pathlib import Path
calls, replace = [], Path.replace
def killing(self, target):
    calls.append(self)
    if len(calls) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)
Path.replace = killing
"""


@pytest.fixture
def out(tmp_path):
    place = tmp_path / "out"
    for folder, names in ((place, OLD), (staging_folder(place), NEW)):
        folder.mkdir()
        for name in names:
            (folder / name).write_text(folder.name)
    (place / "mine.txt").write_text("mine")
    (place / "other.tflite").write_text("mine")
    return place


def files(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def standing(names, origin):
    return {**dict.fromkeys(names, origin), "mine.txt": "mine", "other.tflite": "mine"}


def killed(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", KILL + code, *map(str, arguments)], cwd=ROOT, capture_output=True
    )
    assert done.returncode < 0, done.stderr


def test_other_files_stay(out):
    publish(staging_folder(out), NEW, out)
    assert files(out) == standing(NEW, ".out.partial") and not is_interrupted(out)


@pytest.mark.parametrize("at", range(1, MOVES + 1))
def test_a_kill_leaves_the_old_bundle_or_the_new_one(out, at):
    code = """
from edge_audio.exporter.publish import publish
publish(Path(sys.argv[2]), sys.argv[4:], Path(sys.argv[3]))
"""
    killed(code, at, staging_folder(out), out, *NEW)
    if not is_interrupted(out):
        assert at == 1 and files(out) == standing(OLD, "out")
        return
    assert at == 2 or not (out / "manifest.json").exists()  # no mixture is opened
    assert complete(out) and not complete(out)
    assert files(out) == standing(NEW, ".out.partial")


@pytest.mark.parametrize("at", range(1, MOVES + 1))
def test_a_failure_brings_the_old_bundle_back(out, monkeypatch, at):
    calls, replace = [], Path.replace

    def failing(self, target):
        calls.append(self)
        if len(calls) == at:
            raise OSError("no space left")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError):
        publish(staging_folder(out), NEW, out)
    assert files(out) == standing(OLD, "out") and not is_interrupted(out)
    made = files(staging_folder(out))  # and what was made is not lost either
    assert {name: made[name] for name in NEW} == dict.fromkeys(NEW, ".out.partial")


def test_what_somebody_tidied_up_is_not_completed(out):
    (staging_folder(out) / "publish.json").write_text('["manifest.json", "encoder.f32.tflite"]')
    (staging_folder(out) / "encoder.f32.tflite").unlink()
    assert not complete(out) and files(out) == standing(OLD, "out")


@pytest.mark.slow
def test_a_killed_export_is_completed_by_the_next(tmp_path):
    from edge_audio.exporter.bundle import Options, export

    out, options = tmp_path / "out", Options(("f32",), ("conditioners", "dit", "decoder"))
    export(TINY, out, options, say=lambda line: None)
    (out / "mine.txt").write_text("mine")
    killed(
        "from edge_audio.exporter.command import main\nmain(sys.argv[2:])",
        7,
        TINY,
        out,
        "--precision=f32",
        "--without-encoder",
        "--name=new",
    )
    with pytest.raises(EdgeAudioError, match=r"manifest\.json is missing"):
        Bundle.open(out)
    said = []
    with pytest.raises(EdgeAudioError, match="FILE"):
        # one that fails afterwards completes it too
        export(TINY, out, Options(("f32",), tokenizer=Path("FILE")), say=said.append)
    assert said == [f"{out}: an interrupted export was completed"]
    bundle = Bundle.open(out)
    assert bundle.manifest.name == "new" and (out / "mine.txt").exists()
    assert all(bundle.graph_path(name, "f32") for name in bundle.manifest.graphs)
    export(TINY, out, options, say=lambda line: None)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_second_export_says_that_the_first_is_running(tmp_path):
    from edge_audio.exporter.bundle import export

    out = tmp_path / "out"
    with (
        locked(out),
        pytest.raises(EdgeAudioError, match=r"another export .*out is running \(proc"),
    ):
        export(TINY, out, say=lambda line: None)
    assert not list(tmp_path.iterdir())


def test_the_lock_of_a_dead_export_is_free(tmp_path):
    code = "from edge_audio.exporter.publish import *\n"
    code += "with locked(Path(sys.argv[2])): Path(sys.argv[2]).replace('')"
    killed(code, 1, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [".out.lock"]
    with locked(tmp_path / "out"):
        pass
    assert not list(tmp_path.iterdir())
