"""Peak memory of `edge-audio pull` of a checkpoint of 2.3 GB, from a server on this computer.

The weights are zeros: no memory on the server's side, the same bytes on the wire.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hub_files import CHECKPOINT, T5, checkpoint_files, t5_files
from hub_server import TOKEN, Hub, Zeros, sha256

WEIGHTS = 2_270_384_940  # of stable-audio-3-small
CUTS = 20
SCRIPT = "benchmarks/pull_memory.py"


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
            subprocess.run(command, env=environment, check=True)
        arrived = folder / "tiny.checkpoint" / "model.safetensors"
        assert arrived.stat().st_size == WEIGHTS and not hub.cuts[digest]
        used = sum(p.lstat().st_blocks * 512 for p in folder.rglob("*") if p.is_file())
    finally:
        shutil.rmtree(folder)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kB here
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    version = importlib.metadata.version("huggingface_hub")
    print(f"| {WEIGHTS / 1e9:.2f} GB, the connection cut {CUTS} times | measured | goal |")
    print("| --- | --- | --- |")
    print(f"| peak memory of `pull` before the export | {peak / 1e6:.0f} MB | ≤ 150 MB |")
    print(f"| bytes sent twice | {hub.served[digest] - WEIGHTS} | none beyond one chunk |")
    print(f"| on disk | {used / 1e9:.2f} GB | no more than said |")
    print(f"\nhuggingface_hub {version}, {datetime.date.today()}; made by `{SCRIPT}`.")


if __name__ == "__main__":
    main()
