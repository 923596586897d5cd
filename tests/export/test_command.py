"""`edge-audio export`: the exporter as a part of the package."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from edge_audio.bundle.store import Bundle
from edge_audio.cli.main import main

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "edge_audio.cli", "export", *map(str, arguments)],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "EDGE_AUDIO_CACHE": "off"},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_bundle_is_made_anywhere(tmp_path):
    done = run(DATA / "tiny0", "out", "--precision", "f32", "--without-encoder", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert set(Bundle.open(tmp_path / "out").manifest.graphs) == {"conditioners", "dit", "decoder"}


def test_a_checkpoint_of_random_weights(tmp_path):
    done = run("synth", "--preset", "nothing", "out", cwd=tmp_path)
    assert done.returncode == 1 and "nothing" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["synth"]])
def test_help_is_the_exporters_own(arguments, capsys):
    with pytest.raises(SystemExit):
        main(["export", *arguments, "--help"])
    assert capsys.readouterr().out.startswith(
        f"usage: edge-audio {' '.join(['export', *arguments])} ["
    )


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["checkpoint"], "OUT_DIR; see edge-audio export --help"),
        (["checkpoint", "out", "--what"], "--what; see edge-audio export --help"),
        (["synth"], "OUT_DIR; see edge-audio export synth --help"),
    ],
)
def test_wrong_usage_is_one_line(arguments, said, capsys):
    assert main(["export", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and said in error and error.count("\n") == 1


def test_the_missing_extra_is_named(monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tensorflow" else find(name)
    )
    assert main(["export", "checkpoint", "out"]) == 1
    assert capsys.readouterr().err == (
        "error: export needs tensorflow; run pip install 'edge-audio[export]'\n"
    )


def test_the_command_line_costs_no_tensorflow():
    code = "import sys, edge_audio.cli.main, edge_audio.exporter.command as c; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "edge_audio.exporter.command" in done.stdout.split(), done.stderr
    assert "tensorflow" not in done.stdout.split() and "export" not in done.stdout.split()


def test_the_exporter_never_imports_itself_by_a_name():
    """It has two in a clone, and a second copy of its classes would not be the first's."""
    for path in (ROOT / "export").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in names:
                assert name.split(".")[0] != "export" and "exporter" not in name, path
