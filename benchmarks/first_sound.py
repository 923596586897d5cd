"""What a newcomer pays: installed bytes, import time, and a clip of the pocket model from a cold
process.

    .venv/bin/python benchmarks/first_sound.py

Run it on an idle machine, with the Python of a plain `pip install .`. Prints markdown. Every figure
comes from fresh processes: one warm-up, then `RUNS` of them, f16 and int8 in turn so that a
drifting machine touches both alike.
"""

from __future__ import annotations

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

from edge_audio.system import device

RUNS = 7
PACKAGES = ("ai-edge-litert", "numpy", "sentencepiece", "soundfile")
PRECISIONS = ("f16", "int8")


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
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def main() -> None:
    here = device.describe()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    print(
        f"{here.model}, {here.cores} cores, {' '.join(here.features)}; Python"
        f" {platform.python_version()}, {versions}; 2 threads; median (range) of {RUNS} fresh"
        " processes\n"
    )
    nothing, imports = [], []
    for _ in range(RUNS + 1):
        nothing.append(seconds_of("-c", "pass"))
        imports.append(seconds_of("-c", "import edge_audio") - nothing[-1])
    results: dict[str, list[tuple[float, dict]]] = {precision: [] for precision in PRECISIONS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(RUNS + 1):
            for precision in PRECISIONS:
                results[precision].append(clip(precision, folder))
    print("| | |\n| --- | --- |")
    print(f"| runtime dependencies on disk | {installed_bytes() / 1e6:.0f} MB |")
    print(f"| `import edge_audio` | {spread(imports[1:])} s |")
    for precision, runs in results.items():
        runs = runs[1:]
        stages = {
            stage: spread(
                [
                    sum(v for k, v in report["timings"].items() if k.startswith(stage))
                    for _, report in runs
                ]
            )
            for stage in ("condition", "sample", "decode")
        }
        print(
            f"| 4 s of audio, {precision}: loading, generating, whole process |"
            f" {spread([report['total'] for _, report in runs])} s of"
            f" {spread([wall for wall, _ in runs])} s; "
            + ", ".join(f"{stage} {value}" for stage, value in stages.items())
            + " |"
        )


if __name__ == "__main__":
    main()
