"""What `edge-audio batch` brings over a loop in one process, and what its plan costs: `python
benchmarks/batch.py`. Ways take turns, so that what else the computer does meets all of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from edge_audio.system import device

#: of a clip
SECONDS = 4
LOOP = """
import sys, time
from pathlib import Path
from edge_audio import Pipeline
pipe = Pipeline.load(memory="all")
prompts = Path(sys.argv[1]).read_text().splitlines()
start = time.perf_counter()
for number, prompt in enumerate(prompts):
    clip = pipe.generate(prompt, seconds=int(sys.argv[3]), seed=number)
    clip.save(f"{sys.argv[2]}/{number}.flac")
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
    run.claim()
    answers = ({"unit": unit.key, "failed": "not made"} for unit in run.pending())
    run.carry_out(answers, lambda done, total, failed: None, 0, run.plan.units)
    run.journal.read()
print(taken, peak_memory() / 1e6)
"""


#: sound of which the cost is projected, hours
HOURS = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=100, help="a round (default: 100)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ray", action="store_true", help="through local Ray, too (extra ray)")
    parser.add_argument("--price", type=float, default=1.0, help="of an hour of a CPU (default: 1)")
    options = parser.parse_args()
    ways: dict[str, tuple[object, ...]] = {"batch": ()}
    if options.ray:
        ways["ray"] = ("--ray", "--threads", 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rates: dict[str, list[float]] = {way: [] for way in ("loop", *ways)}
        starts: dict[str, list[float]] = {way: [] for way in ways}
        listed = folder / "list.txt"
        listed.write_text("".join(f"a slow siren {i}\n" for i in range(options.clips)))
        for number in range(options.rounds):
            (folder / f"loop{number}").mkdir()
            found = python("-c", LOOP, listed, folder / f"loop{number}", SECONDS)
            rates["loop"].append(float(found))
            for way, more in ways.items():
                start, taken = batch(listed, folder / f"{way}{number}", *more)
                starts[way].append(start)
                rates[way].append(options.clips / taken)
            print(json.dumps({"clips a second": rates, "seconds to the first": starts}), flush=True)
        project(statistics.median(rates["batch"]), options.price)
        for rows in (100, 100_000):
            listed.write_text("".join(f"a slow siren {i}\n" for i in range(rows)))
            taken, memory = map(float, python("-c", MEMORY, listed, folder / f"plan{rows}").split())
            print(f"{rows} rows: planned in {taken:.1f} s, peak {memory:.0f} MB")


def batch(listed: Path, out: Path, *more: object) -> tuple[float, float]:
    """Seconds to the first sound, and of a whole run, start, metadata and report included."""
    command = ["batch", listed, "--out", out, "--seconds", SECONDS, "--quiet", *more]
    start, first = time.perf_counter(), 0.0
    words = [sys.executable, "-m", "edge_audio.cli", *map(str, command)]
    with subprocess.Popen(words) as run:
        while run.poll() is None:
            if not first and any(out.glob("*.flac")):
                first = time.perf_counter() - start
            time.sleep(0.05)
    if run.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {run.returncode}")
    return first, time.perf_counter() - start


def project(rate: float, price: float) -> None:
    """What HOURS of sound would take and cost at a rate of clips a second."""
    cpus = device.cpus()
    hours = HOURS * 3600 / SECONDS / rate / 3600
    print(
        f"projected: {HOURS} hours of sound are {hours:.1f} hours of this computer,"
        f" {hours * cpus:.0f} of a CPU, {hours * cpus * price:.2f} at {price:g} each"
    )


def python(*arguments: object) -> str:
    """What a program prints."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
