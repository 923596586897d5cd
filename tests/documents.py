"""The code of the documents: which blocks there are, and what is done with each.

A block of code in a page is run as a reader would run it: those of a page one after the other, in
one folder. A comment in the line before the block says otherwise:

    <!-- not run: why not -->
    <!-- run by tests/a/test_b.py -->
    <!-- run: slow -->                      by `make test-slow`
    <!-- run: server -->                    beside an edge-audio serve, at the address of the page
    <!-- run: MODEL is models/pocket -->    with that file of the repository by this name

The last three are joined by commas. A block of `text` is no code, but one must say so.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (
    *("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"),
    *("android_demo/README.md", "models/pocket/MODEL_CARD.md"),
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
)
BLOCK = re.compile(r"(?:^ *<!-- ([^\n]*?) -->\n)?^( *)```(\w*)\n(.*?)^\2```$", re.M | re.S)
SHELLS = ("sh", "bash")
SLOW, SERVER = "slow", "server"

#: what a reader's computer has and a test's may not, as shell scripts
STAND_INS = {
    "aplay": "cat > /dev/null",
    "edge-audio": f'exec "{sys.executable}" -m edge_audio.cli "$@"',
    "python": f'exec "{sys.executable}" "$@"',
    # installs nothing; an extra that this package does not have is an error
    "pip": f'exec "{sys.executable}" "{Path(__file__)}" pip "$@"',
    "jq": f'exec "{sys.executable}" "{Path(__file__)}" jq "$@"',
    "curl": f'exec "{shutil.which("curl")}" --silent --show-error --fail-with-body "$@"',
}


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    code: str
    mark: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_run(self) -> bool:
        return self.language in (*SHELLS, "python") and not self.mark.startswith(("not", "run by"))

    @property
    def options(self) -> list[str]:
        return re.split(", *", self.mark.removeprefix("run: ")) if self.mark else []

    @property
    def is_slow(self) -> bool:
        return SLOW in self.options

    def fault(self) -> str | None:
        """What is wrong with how it is marked."""
        if reason := re.match("not run: (.*)", self.mark):
            return None if len(reason[1]) > 10 else "no reason why it is not run"
        if test := re.match(r"run by (\S+)", self.mark):
            file = ROOT / test[1]
            names_page = file.is_file() and Path(self.page).name in file.read_text()
            return None if names_page else f"{test[1]} does not run it"
        if not self.is_run:
            return f"a block of {self.language or 'no language'} is neither run nor marked"
        wrong = [o for o in self.options if o not in (SLOW, SERVER) and not _given(o)]
        return f"{wrong[0]!r} is no option" if wrong else None

    def run(self, folder: Path, server: str | None) -> None:
        """AssertionError with what it said, if it fails."""
        for option in self.options:
            if given := _given(option):
                link = folder / given[0]
                link.is_symlink() or link.symlink_to(ROOT / given[1])
        code = (
            self.code if server is None else re.sub("(localhost|127.0.0.1):8080", server, self.code)
        )
        command = [sys.executable, "-W", "error::DeprecationWarning", "-c", code]
        if self.language in SHELLS:
            traced = "trap 'echo \"failed: $BASH_COMMAND\" >&2' ERR\n" + code
            command = ["bash", "-e", "-o", "pipefail", "-c", traced]
        done = subprocess.run(
            command,
            cwd=folder,
            env=_environment(folder),
            capture_output=True,
            text=True,
            timeout=1200,
        )
        said = f"{self.where}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == 0 and "Traceback" not in done.stderr, said
        lines = [line for line in self.code.splitlines() if "--variations" not in line]
        for name in re.findall(r" -o (\w+\.\w+)", "\n".join(lines)):
            assert (folder / name).stat().st_size > 1_000, f"{self.where} wrote no {name}"


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, found.start(3)) + 1,
            found[3],
            textwrap.dedent(found[4]),
            found[1] or "",
        )
        for found in BLOCK.finditer(text)
        if found[3] != "text"
    ]


@contextlib.contextmanager
def serving(data: Path) -> Iterator[str]:
    """The address of an edge-audio serve with the pocket model."""
    command = [sys.executable, "-m", "edge_audio.cli", "serve", "--port", "0", "--quiet"]
    command += ["--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        try:
            yield re.search(r"//([\d.]+:\d+)/", running.stdout.readline())[1]
        finally:
            running.terminate()


def _given(option: str) -> tuple[str, str] | None:
    """A name in the folder, and the file of the repository that it stands for."""
    name, _, path = option.partition(" is ")
    return (name, path) if path and (ROOT / path).exists() else None


def _environment(folder: Path) -> dict[str, str]:
    programs = folder / ".bin"
    programs.mkdir(exist_ok=True)
    for name, does in STAND_INS.items():
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
    }


def _pip(arguments: list[str]) -> None:
    from importlib.metadata import metadata

    known = set(metadata("edge-audio").get_all("Provides-Extra") or ())
    for argument in arguments:
        if extras := re.search(r"(?:edge-audio|\.)\[(.*)\]$", argument):
            unknown = set(extras[1].split(",")) - known
            assert not unknown, f"edge-audio has no extra {sorted(unknown)}"


def _jq(arguments: list[str]) -> None:
    """`jq -r .name`"""
    import json

    print(json.load(sys.stdin)[arguments[-1].removeprefix(".")])


if __name__ == "__main__":
    {"pip": _pip, "jq": _jq}[sys.argv[1]](sys.argv[2:])
