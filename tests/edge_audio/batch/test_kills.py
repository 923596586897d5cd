"""kill -9 at twenty random moments, of a run, of a worker, or of both: what comes out is, byte for
byte, what comes out of a run that nobody disturbed.
"""

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import uncounted

ROOT = Path(__file__).parents[3]
KILLS, SEED, SOUNDS = 20, 1, 60
#: a sound takes so long that most kills meet work
SLOWLY = """
import time, edge_audio.batch.make as make
usual = make.Maker.make
def slowly(self, unit):
    time.sleep(0.03)
    return usual(self, unit)
make.Maker.make = slowly
"""
WAYS = {"folder": (), "shards": ("--webdataset", "16")}


def start(toy_bundle, folder, name, way):
    command = [sys.executable, "-m", "edge_audio.cli", "batch", folder / "list.txt", "--quiet"]
    command += ["--out", folder / name, "--model", toy_bundle, "--workers", 2, "--threads", 1]
    environment = {**uncounted(), "PYTHONPATH": f"{folder}:{ROOT}"}
    return subprocess.Popen([*map(str, command), *WAYS[way]], env=environment)


def files(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.is_file()
    }


def made(out):
    """Lines of the journal."""
    path = out / ".edge-audio" / "journal.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait(rng, run, out):
    """Until some more sounds are there, or for a while from wherever it is; whether it goes on."""
    until = time.monotonic() + 60
    wanted = made(out) + rng.randint(1, 12) if rng.random() < 0.75 else 0
    while made(out) < wanted and run.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.005)
    time.sleep(rng.uniform(0, 0.1 if wanted else 1.0))
    return run.poll() is None


def kill(rng, run):
    """Some of its processes; whether the run itself is among them."""
    kind = rng.choice(["run", "worker", "both"])
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    victims = [] if kind == "run" or not children else [int(rng.choice(children))]
    victims += [] if kind == "worker" else [run.pid]
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(victims), run.pid in victims


@pytest.mark.slow
def test_twenty_kills(toy_bundle, tmp_path):
    rng, kills, number = random.Random(SEED), 0, 0
    (tmp_path / "sitecustomize.py").write_text(SLOWLY)
    (tmp_path / "list.txt").write_text("".join(f"rain number {i}\n" for i in range(SOUNDS)))
    for way in WAYS:
        assert start(toy_bundle, tmp_path, way, way).wait(120) == 0
    while kills < KILLS:
        way, name = list(WAYS)[number % 2], f"out{number}"
        out, number = tmp_path / name, number + 1
        run = start(toy_bundle, tmp_path, name, way)
        while kills < KILLS and wait(rng, run, out):
            count, is_over = kill(rng, run)
            kills += count > 0
            if is_over:
                run.wait()
                run = start(toy_bundle, tmp_path, name, way)
        # a sound whose worker was killed twice is named as failed, and made by the next run
        if run.wait(120):
            assert start(toy_bundle, tmp_path, name, way).wait(120) == 0
        assert files(out) == files(tmp_path / way)
