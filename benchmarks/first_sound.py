"""What a newcomer pays: installed bytes, import time, and a clip of the pocket model from a cold
process.

    .venv/bin/python benchmarks/first_sound.py

Run it on an idle machine, with the Python of a plain `pip install .`. Prints the README's table,
in which the shares of clips that sound as asked are those of the model's card. Every time comes
from fresh processes: one warm-up, then `--runs` of them, f16 and int8 in turn so that a drifting
machine touches both alike.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from edge_audio import Bundle
from edge_audio.bundle.manifest import GENERATING
from edge_audio.model.model import default_model
from edge_audio.system import device

CARD = Path(__file__).parents[1] / "models" / "pocket" / "MODEL_CARD.md"
PACKAGES = ("ai-edge-litert", "numpy", "sentencepiece", "soundfile")
PRECISIONS = ("f16", "int8")
#: row of the table -> rows of the card's that it sums up
SHARES = {
    '{} clips of names alone ("bell") that sound as asked': ["bare names"],
    "{} prompts in known wording": ["seen"],
    "{} prompts in wordings or combinations it never saw": ["held-out wording", "held-out values"],
}


def installed_bytes() -> int:
    """Bytes of the packages that edge-audio's runtime needs, what they need in turn included."""
    seen, waiting = set(), list(PACKAGES)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for requirement in importlib.metadata.requires(name) or []:
            needed = re.match(r"[\w.-]+", requirement).group()
            if "extra ==" not in requirement and is_installed(
                needed
            ):  # else it is for another platform or Python
                waiting.append(needed)
    files = {path.locate() for name in seen for path in importlib.metadata.files(name) or []}
    return sum(Path(file).stat().st_size for file in files if Path(file).is_file())


def is_installed(name: str) -> bool:
    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False


def seconds_of(*code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *code], check=True, capture_output=True)
    return time.perf_counter() - start


def clip(precision: str, folder: str) -> tuple[float, dict]:
    """Seconds of the whole process, and what `--json` reports."""
    command = [
        sys.executable,
        "-m",
        "edge_audio.cli",
        "generate",
        "steady rain",
        "--seconds",
        "4",
        "--seed",
        "1",
        "--precision",
        precision,
        "--threads",
        "2",
        "--json",
        "-o",
        f"{folder}/clip.wav",
    ]
    start = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - start, json.loads(done.stdout)


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} s ({min(values):.2f}–{max(values):.2f})"


def adherence() -> list[tuple[str, str, str]]:
    """Rows of the card's evaluation: clips that sound as asked, in f16 and int8."""
    found = {}
    for line in CARD.read_text(encoding="utf-8").splitlines():
        if row := re.fullmatch(
            r"\| ([a-z -]+) \| ([\d.]+) % of (\d+) \| ([\d.]+) % of \d+ \|", line
        ):
            found[row[1]] = (int(row[3]), float(row[2]), float(row[4]))
    rows = []
    for what, kinds in SHARES.items():
        parts = [found[kind] for kind in kinds]
        count = sum(part[0] for part in parts)
        shares = (sum(part[0] * part[i] for part in parts) / count for i in (1, 2))
        rows.append((what.format(count), *(f"{share:.1f} %" for share in shares)))
    return rows


def graphs_on_disk(precision: str) -> str:
    graphs = Bundle.open(default_model()).manifest.graphs
    return f"{sum(graphs[name][precision].bytes for name in GENERATING) / 1e6:.1f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="fresh processes (default: 7)")
    runs = parser.parse_args().runs
    imports = []
    for _ in range(runs + 1):
        nothing = seconds_of("-c", "pass")
        imports.append(seconds_of("-c", "import edge_audio") - nothing)
    results: dict[str, list[tuple[float, dict]]] = {precision: [] for precision in PRECISIONS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(runs + 1):
            for precision in PRECISIONS:
                results[precision].append(clip(precision, folder))
    counted = [results[precision][1:] for precision in PRECISIONS]
    rows = [
        ("pocket model, 4 seconds of audio", *PRECISIONS),
        ("---",) * 3,
        ("graphs on disk", *map(graphs_on_disk, PRECISIONS)),
        (
            "loading and generating, with guidance",
            *(spread([report["total"] for _, report in clips]) for clips in counted),
        ),
        (
            "the whole process, Python's start included",
            *(spread([wall for wall, _ in clips]) for clips in counted),
        ),
        *adherence(),
    ]
    print("\n".join(f"| {' | '.join(row)} |" for row in rows))
    here = device.describe()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES[:2])
    print(
        f"\nMedian and range of {runs} fresh processes on {here.cores} cores of {here.model}"
        f" ({', '.join(here.features)}), 2 threads, Python {platform.python_version()}, {versions};"
        f" {datetime.date.today()}; made by\n`benchmarks/first_sound.py`. The runtime with all it"
        f" needs takes {installed_bytes() / 1e6:.0f} MB of disk, `import edge_audio`"
        f" {statistics.median(imports[1:]):.2f} s. The shares\nstand in"
        " [its card](models/pocket/MODEL_CARD.md)."
    )


if __name__ == "__main__":
    main()
