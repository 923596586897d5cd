"""What `edge-audio batch` brings over a loop in one process, and what its plan costs: `python
benchmarks/batch.py`. Ways take turns, so that what else the computer does meets all of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LOOP = """
import sys, time
from pathlib import Path
from edge_audio import Pipeline
pipe = Pipeline.load(memory="all")
prompts = Path(sys.argv[1]).read_text().splitlines()
start = time.perf_counter()
for number, prompt in enumerate(prompts):
    pipe.generate(prompt, seconds=4, seed=number).save(f"{sys.argv[2]}/{number}.flac")
print(len(prompts) / (time.perf_counter() - start))
"""
MEMORY = """
import sys, time
from pathlib import Path
from edge_audio import Pipeline
from edge_audio.batch import run as runs
from edge_audio.batch.job import Job
from edge_audio.batch.plan import Choices
from edge_audio.evaluate.bench_tasks import peak_memory
pipe = Pipeline.load()
start = time.perf_counter()
with runs.opened(Path(sys.argv[1]), sys.argv[2], pipe, Job.of(pipe), Choices()) as run:
    taken = time.perf_counter() - start
    answers = ({"unit": unit.key, "failed": "not made"} for unit in run.pending())
    run.carry_out(answers, lambda done, total, failed: None, 0, run.plan.units)
    run.journal.read()
print(taken, peak_memory() / 1e6)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=100, help="a round (default: 100)")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rates: dict[str, list[float]] = {"loop": [], "batch": []}
        listed = folder / "list.txt"
        listed.write_text("".join(f"a slow siren {i}\n" for i in range(options.clips)))
        for number in range(options.rounds):
            (folder / f"loop{number}").mkdir()
            found = python("-c", LOOP, listed, folder / f"loop{number}")
            rates["loop"].append(float(found))
            rates["batch"].append(batch(listed, folder / f"batch{number}", options.clips))
            print(json.dumps(rates), flush=True)
        for rows in (100, 100_000):
            listed.write_text("".join(f"a slow siren {i}\n" for i in range(rows)))
            taken, memory = map(float, python("-c", MEMORY, listed, folder / f"plan{rows}").split())
            print(f"{rows} rows: planned in {taken:.1f} s, peak {memory:.0f} MB")


def batch(listed: Path, out: Path, clips: int) -> float:
    """Clips a second of a whole run, start, metadata and report included."""
    start = time.perf_counter()
    python("-m", "edge_audio.cli", "batch", listed, "--out", out, "--seconds", 4, "--quiet")
    return clips / (time.perf_counter() - start)


def python(*arguments: object) -> str:
    """What a program prints."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
