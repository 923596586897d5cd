"""Every command as its users run it, on any system: what is installed makes, checks and serves
sounds in an empty folder. Needs the extras batch and serve.

python .ci/smoke.py
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

#: Windows sends Ctrl-C to no process of another group; Ctrl-Break it does
GROUP = subprocess.CREATE_NEW_PROCESS_GROUP if sys.platform == "win32" else 0
INTERRUPT = signal.CTRL_BREAK_EVENT if sys.platform == "win32" else signal.SIGINT


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "edge_audio.cli", *arguments]


def run(folder: Path, *arguments: str, code: int = 0) -> str:
    """What a command prints; AssertionError with all it said for another exit code."""
    done = subprocess.run(
        command(*arguments), cwd=folder, capture_output=True, text=True, encoding="utf-8"
    )
    print(f"edge-audio {' '.join(arguments)}: {done.returncode}", flush=True)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def run_json(folder: Path, *arguments: str, code: int = 0) -> Any:
    """The one JSON object that a command prints with --json."""
    return json.loads(run(folder, *arguments, "--json", code=code))


def serve(folder: Path) -> None:
    """The server starts, makes a sound, refuses a wrong order, and ends when it is asked to."""
    server = subprocess.Popen(
        command("serve", "--port", "0", "--data", str(folder / "history"), "--quiet"),
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        creationflags=GROUP,
    )
    try:
        assert server.stdout is not None
        address = server.stdout.readline().split()[-1]
        order = json.dumps({"prompt": "a bell", "seconds": 1, "seed": 7}).encode()
        request = urllib.request.Request(
            f"{address}v1/generate", order, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            sound = answer.read()
        assert sound[:4] == b"RIFF", sound[:100]
        print(f"edge-audio serve: {len(sound)} bytes of sound", flush=True)
        server.send_signal(INTERRUPT)
        server.wait(60)
    finally:
        server.kill()
        server.wait()


def main() -> None:
    os.environ["PYTHONIOENCODING"] = "utf-8"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        made = run_json(folder, "generate", "a bell", "--seconds", "1", "--seed", "7")
        assert made["file"] == "a-bell.wav" and made["frames"] == made["sample_rate"], made
        assert run_json(folder, "again", "a-bell.wav")["identical"] is True
        run_json(folder, "generate", "a bell", "--steps", "0", code=2)
        run_json(folder, "again", "none.wav", code=1)
        for ending in ("flac", "ogg", "mp3", "opus"):
            run(folder, "generate", "rain", "--seconds", "1", "-o", f"é {ending}.{ending}")
        run_json(folder, "info")
        run_json(folder, "cache")
        run_json(folder, "report")
        run(folder, "bench", "--seconds", "1", "--repeats", "1", "--precision", "int8")
        (folder / "list.txt").write_text("rain\na bell\nslow beeps\n", encoding="utf-8")
        work = ("batch", "list.txt", "--out", "sounds", "--seconds", "1", "--no-report")
        assert run_json(folder, *work, "--workers", "2", "--threads", "1")["made"] == 3
        assert run_json(folder, *work)["made"] == 0
        serve(folder)
    print("every command does what it should")


if __name__ == "__main__":
    main()
