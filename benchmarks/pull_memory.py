"""Peak memory of `edge-audio pull` of a checkpoint of 2.3 GB, from a server on this computer.

    PYTHONPATH=.:tests python benchmarks/pull_memory.py

The weights are zeros: no memory on the server's side, the same bytes on the wire.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hub_files import CHECKPOINT, T5, checkpoint_files, t5_files
from hub_server import TOKEN, Hub, Zeros, sha256

WEIGHTS = 2_270_384_940  # of stable-audio-3-small
CUTS = 20


def main() -> None:
    hub, weights = Hub(), Zeros(WEIGHTS)
    hub.add(CHECKPOINT, {**checkpoint_files(), "model.safetensors": weights}, gate="open")
    hub.add(T5, t5_files())
    digest = sha256(weights)
    hub.cuts[digest] = [WEIGHTS // (CUTS + 1)] * CUTS
    folder = Path(tempfile.mkdtemp())
    command = [sys.executable, "-m", "edge_audio.cli", "pull", CHECKPOINT, "--no-export", "--quiet"]
    try:
        with hub.running():
            environment = hub.environment(HF_TOKEN=TOKEN, EDGE_AUDIO_MODELS=str(folder))
            start = time.perf_counter()
            subprocess.run(command, env=environment, check=True)
            seconds = time.perf_counter() - start
        arrived = folder / "tiny.checkpoint" / "model.safetensors"
        assert arrived.stat().st_size == WEIGHTS and not hub.cuts[digest]
        used = sum(p.lstat().st_blocks * 512 for p in folder.rglob("*") if p.is_file())
    finally:
        shutil.rmtree(folder)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (
        1 if os.uname()[0] == "Darwin" else 1024
    )
    print(f"{WEIGHTS / 1e9:.2f} GB in {seconds:.0f} s, cut {CUTS} times")
    print(f"peak memory of the process {peak:.0f} MiB")
    print(f"served {hub.served[digest] - WEIGHTS} bytes twice; {used / 1e9:.2f} GB on disk")


if __name__ == "__main__":
    main()
