"""What the README shows does what it says."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()
GENERATE = README.split("## Generate", 1)[1].split("\n## ", 1)[0]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def commands() -> list[str]:
    lines = [line.split("  #")[0].strip() for line in blocks(GENERATE, "sh")[0].splitlines()]
    return [line for line in lines if line]


def test_the_commands_of_the_front_page(tmp_path) -> None:
    """One after the other in one folder, as a reader would."""
    assert len(commands()) >= 6
    player = tmp_path / "bin" / "aplay"  # a machine of CI has no loudspeaker
    player.parent.mkdir()
    player.write_text("#!/bin/sh\ncat > /dev/null\n")
    player.chmod(0o755)
    environment = {**os.environ, "PATH": f"{player.parent}{os.pathsep}{os.environ['PATH']}"}
    for command in commands():
        program, *arguments = shlex.split(command)
        assert program == "edge-audio"
        done = subprocess.run(
            [sys.executable, "-m", "edge_audio.cli", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0 and done.stdout.strip(), f"{command}: {done.stderr}"
        assert "Traceback" not in done.stderr
    assert {"bell.wav", "ocean-waves.wav"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("number", range(len(blocks(GENERATE, "python"))))
def test_the_python_of_the_front_page(tmp_path, number) -> None:
    code = blocks(GENERATE, "python")[number]
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "bell.wav").stat().st_size > 10_000


def test_links_lead_somewhere() -> None:
    root = Path(__file__).parents[1]
    for page in (root / "README.md", root / "CONTRIBUTING.md", *(root / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if not link.startswith(("http", "mailto")):
                assert (page.parent / link).exists(), f"{page.name}: {link}"
