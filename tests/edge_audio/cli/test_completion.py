"""Real shells complete commands and options, and man shows them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_audio.cli import completion
from edge_audio.cli.completion import SHELLS
from edge_audio.cli.main import main

ROOT = Path(__file__).parents[3]
SHELL = Path(completion.__file__).parent / "shell"


def shell(name, script):
    """What a script prints in that shell, without anybody's start-up files."""
    if shutil.which(name) is None:
        pytest.skip(f"no {name} here")
    options = {"bash": ["--norc", "-c"], "zsh": ["-fc"], "fish": ["--no-config", "-c"]}
    done = subprocess.run([name, *options[name], script], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done
    return done.stdout.split()


@pytest.mark.parametrize("name", SHELLS)
def test_completion_prints_what_is_for_a_shell(name, capsys):
    assert main(["completion", name]) == 0
    assert capsys.readouterr().out == (SHELL / SHELLS[name]).read_text(encoding="utf-8")


def test_completion_of_another_shell_is_refused(capsys):
    assert main(["completion", "csh"]) == 2 and "'bash', 'zsh', 'fish'" in capsys.readouterr().err


WORDS = {
    "gen": "generate",
    "generate --limi": "--limiter",
    "export --lat": "--latent-lengths",
    "completion zs": "zsh",
    "generate --sampler ping": "pingpong",
    "generate --model my-mo": "my-model",
}


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_AUDIO_MODELS", str(tmp_path))
    (tmp_path / "my-model").mkdir()


@pytest.mark.parametrize("words", WORDS)
def test_bash_completes(words):
    line = f"edge-audio {words}"
    found = shell(
        "bash",
        f"source {SHELL}/edge-audio.bash; COMP_WORDS=({line}); COMP_CWORD={line.count(' ')};"
        " $(complete -p edge-audio | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); echo ${COMPREPLY[@]}",
    )
    assert found == [WORDS[words]]


@pytest.mark.parametrize("words", WORDS)
def test_fish_completes(words):
    found = shell("fish", f"source {SHELL}/edge-audio.fish; complete -C 'edge-audio {words}'")
    assert WORDS[words] in found


def test_zsh_finds_its_function():
    found = shell(
        "zsh",
        f"fpath=({SHELL} $fpath); autoload -U compinit; compinit -u -D; print $_comps[edge-audio];"
        " autoload +X _edge-audio && whence -w _edge-audio",
    )
    assert found == ["_edge-audio", "_edge-audio:", "function"]


def test_man_shows_every_command():
    page = ROOT / "packaging" / "edge-audio.1"
    if sys.platform != "linux" or shutil.which("man") is None:
        pytest.skip("no man-db here")
    done = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done
    for text in ("edge-audio export", "--latent-lengths", ".wav,", "EXIT STATUS"):
        assert text in done.stdout


def test_they_are_those_of_the_parser():
    pytest.importorskip("shtab")
    pytest.importorskip("argparse_manpage")
    made = subprocess.run(
        [sys.executable, "-c", "import shell, sys; sys.exit([str(a) for a, b in shell.files()"
         ".items() if a.read_text(encoding='utf-8') != b] or 0)"],
        cwd=ROOT / "packaging", capture_output=True, text=True,
    )  # fmt: skip
    assert made.returncode == 0, f"run make shell: {made.stderr}"
