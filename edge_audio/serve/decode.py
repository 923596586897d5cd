"""A stranger's sound file is decoded in a process of its own, with bounds on its memory and time:
what a damaged file does to a decoder ends that process, and no server.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from edge_audio.audio.source import Source
from edge_audio.errors import EdgeAudioError
from edge_audio.serve.refusal import Refused

#: what the process may take
_BYTES, _SECONDS = 1 << 30, 20
#: of this process's environment, what it is given: without the second, Windows starts no Python
_VARIABLES = "PATH", "SYSTEMROOT"
#: sample rates of sound files
_RATES = 1000, 192_000


def decoded(path: Path, most_seconds: float) -> Source:
    """What a file holds; Refused if that is no sound, or too much."""
    command = [sys.executable, "-m", "edge_audio.serve.decode", str(path), str(most_seconds)]
    paths = [os.path.abspath(entry) for entry in sys.path]
    environment = {
        **{name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "PYTHONPATH": os.pathsep.join(paths),
        "OPENBLAS_NUM_THREADS": "1",
    }
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=2 * _SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise _no_sound("decoding it takes too long") from None
    head, _, samples = done.stdout.partition(b"\n")
    if done.returncode or not head:
        raise _no_sound("it is damaged")
    told = json.loads(head)
    if "error" in told:
        raise _no_sound(told["error"])
    return Source(
        told["name"],
        told["sha256"],
        told["sample_rate"],
        np.frombuffer(samples, np.float32).reshape(-1, told["channels"]),
    )


def _no_sound(why: str) -> Refused:
    return Refused(422, "audio", f"the file cannot be used as sound: {why}", "init")


def main(path: str, most_seconds: str) -> None:
    """In the other process: one line of JSON, then float32 [frames, channels]."""
    _bounded()
    told: dict[str, object]
    samples = b""
    try:
        _check(path, float(most_seconds))
        source = Source.of(path)
        told = {
            "name": source.name,
            "sha256": source.sha256,
            "sample_rate": source.sample_rate,
            "channels": source.samples.shape[1],
        }
        samples = np.ascontiguousarray(source.samples, np.float32).tobytes()
    except EdgeAudioError as error:
        told = {"error": str(error).replace(path, "it")}
    except MemoryError:
        told = {"error": "it is too large"}
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n" + samples)


def _check(path: str, most_seconds: float) -> None:
    """EdgeAudioError for what is too long, before it is decoded."""
    import soundfile

    try:
        info = soundfile.info(path)
    except (OSError, RuntimeError, TypeError):
        return  # the reader says why
    if not _RATES[0] <= info.samplerate <= _RATES[1]:
        raise EdgeAudioError(
            f"its sample rate is {info.samplerate}; use {_RATES[0]} to {_RATES[1]}"
        )
    if info.frames > most_seconds * info.samplerate:
        seconds = info.frames / info.samplerate
        raise EdgeAudioError(f"it has {seconds:.0f} seconds; use at most {most_seconds:g}")


def _bounded() -> None:
    """Bounds on this process, where the system has them."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(*sys.argv[1:3])
