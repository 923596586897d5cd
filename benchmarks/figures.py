"""Every figure, table and picture of the documents, and the command that makes it anew.

    python benchmarks/figures.py                    # which there are, and of which model
    python benchmarks/figures.py gallery compare    # make these
    python benchmarks/figures.py --stale            # make those that are of an older model
    python benchmarks/figures.py --all --dry-run    # only say what would be run

What was made when, and with which bundle, is kept in docs/figures.json. A command whose table goes
into a page prints it; it stands there between `<!-- figure NAME -->` and `<!-- end of figure -->`.
To add a figure, add it to FIGURES. The card needs the packages of `make test-train`, those of full
size the environment of `make bench-full`, which makes itself.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge_audio import Bundle

ROOT = Path(__file__).parents[1]
POCKET = ROOT / "models" / "pocket"
STAMPS = ROOT / "docs" / "figures.json"
END = "<!-- end of figure -->"
FULL = "python benchmarks/quantization.py build/full/bundle"
METHODS = "docs/pocket-quantization.json docs/full-size-quantization.json"


@dataclass(frozen=True)
class Figure:
    name: str
    #: made one after the other by a shell at the repository's root; `python` is this one
    commands: tuple[str, ...]
    #: files that they write, or in which they are written down
    files: tuple[str, ...]
    #: roughly
    minutes: float
    #: the page that gets what the last command prints
    page: str = ""
    #: whether it is made with the bundled model; else with synthetic weights of another's shape
    is_of_pocket: bool = True
    #: whether it holds times, so that the computer should have nothing else to do
    is_timed: bool = False


FIGURES = (
    Figure(
        "first-sound",
        ("python benchmarks/first_sound.py",),
        ("README.md",),
        1,
        page="README.md",
        is_timed=True,
    ),
    Figure("strip", ("python benchmarks/pictures.py strip",), ("docs/images/gallery.png",), 0.2),
    Figure(
        "gallery",
        ("python -m models.training.gallery models/pocket docs/pocket-gallery.html",),
        ("docs/pocket-gallery.html",),
        0.5,
    ),
    Figure(
        "card",
        (
            "python -m models.training.evaluate models/pocket --precision f16,int8"
            " --out build/evaluation --card",
            "cp build/evaluation/confusion.png docs/images/pocket-confusion.png",
        ),
        ("models/pocket/MODEL_CARD.md", "docs/images/pocket-confusion.png"),
        15,
    ),
    Figure(
        "compare",
        (
            "edge-audio compare --precisions f16,int8,mixed --repeats 0 --out build/compare",
            "cp build/compare/report.json docs/pocket-compare.json",
            "python benchmarks/pictures.py compare",
            "python benchmarks/quantization.py --compared docs/pocket-compare.json",
        ),
        ("docs/pocket-compare.json", "docs/images/compare-1400.png"),
        5,
        page="docs/quantization.md",
    ),
    Figure(
        "methods",
        (
            "edge-audio export models/training/checkpoint build/pocket-f32 --precision f32"
            " --name pocket",
            "python benchmarks/quantization.py build/pocket-f32 --recipe models/pocket --kinds"
            " --out docs/pocket-quantization.json",
            f"python benchmarks/quantization.py --plot docs/images/quantization.png {METHODS}",
            f"python benchmarks/quantization.py --table {METHODS}",
        ),
        ("docs/pocket-quantization.json", "docs/images/quantization.png"),
        15,
        page="docs/quantization.md",
    ),
    Figure(
        "methods-full-size",
        (f"{FULL} --clips 2 --steps 3 --kinds --out docs/full-size-quantization.json",),
        ("docs/full-size-quantization.json",),
        180,
        is_of_pocket=False,
    ),
    Figure(
        "editing",
        ("python benchmarks/editing.py",),
        tuple(f"docs/images/edit-{name}.png" for name in ("strength", "replace", "extend", "loop")),
        5,
        page="docs/editing.md",
    ),
    Figure(
        "editing-times",
        ("python benchmarks/editing.py --times",),
        ("docs/editing.md",),
        1,
        page="docs/editing.md",
        is_timed=True,
    ),
    Figure(
        "pull",
        ("python benchmarks/pull_memory.py",),
        ("docs/models.md",),
        1,
        page="docs/models.md",
        is_of_pocket=False,
    ),
    Figure(
        "listen",
        (
            "rm -rf build/listen",
            'edge-audio diagnose --listen build/listen --prompt "a plucked string at A3"'
            ' --prompt "steady rain"',
            "python benchmarks/pictures.py listen",
        ),
        ("docs/images/diagnose-listen.png",),
        0.5,
    ),
    Figure(
        "formats", ("python benchmarks/formats.py",), ("docs/output.md",), 0.2, "docs/output.md"
    ),
    Figure(
        "serve",
        ("python benchmarks/serve_load.py",),
        ("docs/serve.md",),
        5,
        page="docs/serve.md",
        is_timed=True,
    ),
    Figure(
        "serve-pictures",
        ("python benchmarks/pictures.py serve",),
        tuple(f"docs/images/serve-{width}.png" for width in (1600, 800, 360)),
        1,
    ),
    Figure("batch", ("python benchmarks/batch.py",), ("docs/batch.md",), 10, is_timed=True),
    Figure(
        "arm",
        tuple(
            f"python benchmarks/arm_instructions.py build/arm64-cost {model}"
            for model in ("sao-small", "sa3-small")
        ),
        ("docs/arm.md",),
        40,
        is_of_pocket=False,
    ),
    Figure(
        "full-size",
        ("make -s bench-full >&2", "cat build/full/table.md"),
        ("docs/measured.md",),
        50,
        page="docs/measured.md",
        is_of_pocket=False,
        is_timed=True,
    ),
    Figure(
        "sa3",
        ("make -s bench-sa3 >&2", "cat build/sa3/table.md"),
        ("docs/measured.md",),
        120,
        page="docs/measured.md",
        is_of_pocket=False,
        is_timed=True,
    ),
)


def state(figure: Figure, stamps: dict[str, dict[str, str]], bundle: str) -> str:
    """Whether it is of the present model, in words."""
    stamp = stamps.get(figure.name)
    if stamp is None:
        return "stale: not made by its command yet"
    if figure.is_of_pocket and stamp["bundle"] != bundle:
        return f"stale: of {stamp['made']}, of bundle {stamp['bundle']}"
    return f"of {stamp['made']}"


def table(stamps: dict[str, dict[str, str]], bundle: str) -> str:
    """The list of figures, as docs/measured.md has it."""
    lines = ["| figure | goes to | made by | about | state |", "| --- | --- | --- | --- | --- |"]
    for figure in FIGURES:
        goes = [re.sub(r"^docs/", "", file) for file in (*figure.files, figure.page) if file]
        said = [f"`{command}`" for command in figure.commands if not command.startswith("rm")]
        about = f"{figure.minutes:g} min" + (", at rest" if figure.is_timed else "")
        cells = (
            f"`{figure.name}`",
            ", ".join(dict.fromkeys(goes)),
            "<br>".join(said),
            about,
            state(figure, stamps, bundle),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"The bundled model is {bundle}."])


def put(page: Path, name: str, text: str) -> None:
    """Replace what stands between the marks of a figure; ValueError if the page has no such."""
    marks = rf"(<!-- figure {re.escape(name)} -->\n).*?({re.escape(END)})"
    before = page.read_text(encoding="utf-8")
    written, count = re.subn(marks, lambda m: f"{m[1]}{text.strip()}\n{m[2]}", before, flags=re.S)
    if count != 1:
        raise ValueError(f"{page} has {count} places for the figure {name}, and should have one")
    page.write_text(written, encoding="utf-8")


def make(figure: Figure) -> str:
    """Run its commands; what the last one printed. CalledProcessError if one fails."""
    with tempfile.TemporaryDirectory() as folder:
        for name, does in {"python": "", "edge-audio": " -m edge_audio.cli"}.items():
            program = Path(folder) / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}"{does} "$@"\n')
            program.chmod(0o755)
        path = f"{folder}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
        for command in figure.commands:
            print(f"{figure.name}: {command}", file=sys.stderr, flush=True)
            done = subprocess.run(
                [shutil.which("bash") or "sh", "-c", command],
                cwd=ROOT,
                env=environment,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
    return done.stdout


def chosen(options: argparse.Namespace, stamps: dict, bundle: str) -> Iterable[Figure]:
    stale = {f.name for f in FIGURES if state(f, stamps, bundle).startswith("stale")}
    known = {figure.name for figure in FIGURES}
    if unknown := set(options.names) - known:
        sys.exit(
            f"error: there is no figure {sorted(unknown)[0]!r}; use {', '.join(sorted(known))}"
        )
    names = known if options.all else stale if options.stale else set(options.names)
    return [figure for figure in FIGURES if figure.name in names]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to make")
    parser.add_argument("--all", action="store_true", help="make all of them: hours")
    parser.add_argument("--stale", action="store_true", help="make those of an older model")
    parser.add_argument("--dry-run", action="store_true", help="say what would be run")
    options = parser.parse_args(arguments)
    stamps, bundle = json.loads(STAMPS.read_text()), Bundle.open(POCKET).sha256[:12]
    figures = chosen(options, stamps, bundle)
    for figure in figures:
        if options.dry_run:
            print("\n".join(figure.commands))
            continue
        try:
            printed = make(figure)
        except subprocess.CalledProcessError as error:
            print(f"error: {figure.name} was not made: {error.cmd[-1]} failed", file=sys.stderr)
            return 1
        if figure.page:
            put(ROOT / figure.page, figure.name, printed)
        stamps[figure.name] = {"made": str(datetime.date.today())}
        if figure.is_of_pocket:
            stamps[figure.name]["bundle"] = bundle
        STAMPS.write_text(json.dumps(stamps, indent=1, sort_keys=True) + "\n")
        put(ROOT / "docs" / "measured.md", "figures", table(stamps, bundle))
    if not figures:
        put(ROOT / "docs" / "measured.md", "figures", table(stamps, bundle))
        for figure in FIGURES:
            print(f"{figure.name:18} {figure.minutes:5g} min  {state(figure, stamps, bundle)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
