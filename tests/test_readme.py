"""What the pages show does what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = {
    "README.md": README.split("## Generate", 1)[1].split("\n## ", 1)[0],
    "docs/editing.md": (ROOT / "docs" / "editing.md").read_text(),
    "docs/output.md": (ROOT / "docs" / "output.md").read_text(),
}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def commands(page: str) -> list[str]:
    lines = [line.split("  #")[0].strip() for line in blocks(PAGES[page], "sh")[0].splitlines()]
    return [line for line in lines if line]


@pytest.fixture
def reader(tmp_path) -> dict[str, str]:
    """The environment of a reader, whose computer may have no loudspeaker."""
    programs = {
        "aplay": "cat > /dev/null",
        "edge-audio": f'exec {sys.executable} -m edge_audio.cli "$@"',
    }
    (tmp_path / "bin").mkdir()
    for name, does in programs.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize("page", PAGES)
def test_the_commands(tmp_path, reader, page) -> None:
    """One after the other in one folder, as a reader would."""
    assert len(commands(page)) >= 5
    for command in commands(page):
        assert command.startswith("edge-audio ")
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=tmp_path,
            env=reader,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        assert done.stdout.strip() or " | " in command, command
        assert "Traceback" not in done.stderr
    written = {path.name for path in tmp_path.iterdir()}
    named = re.findall(r"-o (\w+\.\w+)", " ".join(commands(page)))
    assert {name for name in named if not name.startswith(("more", "bell"))} <= written


@pytest.mark.parametrize(
    "page, code", [(page, code) for page in PAGES for code in blocks(PAGES[page], "python")]
)
def test_the_python(tmp_path, page, code) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert any(path.stat().st_size > 1_000 for path in tmp_path.iterdir())


def test_links_lead_somewhere() -> None:
    root = ROOT
    for page in (root / "README.md", root / "CONTRIBUTING.md", *(root / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if not link.startswith(("http", "mailto")):
                assert (page.parent / link).exists(), f"{page.name}: {link}"
