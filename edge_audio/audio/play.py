"""Blocks of audio -> the loudspeaker, while the rest is still being decoded."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable

import numpy as np

from edge_audio.errors import EdgeAudioError, first_line
from edge_audio.system.processes import apart

#: programs that play raw float32 from standard input, with their arguments; the Python package
#: sounddevice comes first
PIPES = {
    "paplay": ("--raw", "--format=float32le", "--rate={rate}", "--channels={channels}"),
    "aplay": ("-q", "-t", "raw", "-f", "FLOAT_LE", "-r", "{rate}", "-c", "{channels}"),
}
#: programs that play a .wav file, which comes with macOS and as a module of Python on Windows: for
#: them the clip has to be whole
FILES = {
    "afplay": ("afplay",),
    "winsound": (
        sys.executable,
        "-c",
        "import sys, winsound; winsound.PlaySound(sys.argv[1], winsound.SND_FILENAME)",
    ),
}


def find_player() -> str:
    """The first way to play that is here; EdgeAudioError if there is none."""
    try:
        import sounddevice  # noqa: F401

        return "sounddevice"
    except (ImportError, OSError):  # OSError: it is here, and PortAudio is not
        pass
    for name in (*PIPES, "afplay"):
        if shutil.which(name):
            return name
    if sys.platform == "win32":
        return "winsound"
    raise EdgeAudioError(
        "nothing here can play sound; install paplay, aplay or the Python package sounddevice, "
        "or leave out --play"
    )


class Playback:
    """Takes blocks float32 [n, channels] as they come and plays them in a thread of its own.

    It begins as soon as what is still to come will be there in time, judged by how fast blocks
    come: at once where decoding is faster than playing, later on slower computers, so that the
    sound never breaks off.
    """

    def __init__(self, sample_rate: int, channels: int, player: str | None = None):
        self._rate, self._channels = sample_rate, channels
        self._player = player or find_player()
        self._sink: _Pipe | _File | _Speaker | None = None
        self._queue: queue.SimpleQueue[np.ndarray | None] = queue.SimpleQueue()
        self._held: list[np.ndarray] = []
        self._first = self._received = 0  # frames
        self._since = 0.0
        self._error: Exception | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()

    def __call__(self, block: np.ndarray, left: int) -> None:
        """Take the next block, after which `left` frames are to come; returns at once."""
        if not self._received:
            self._since, self._first = time.monotonic(), len(block)
        self._held.append(np.clip(block, -1.0, 1.0))
        self._received += len(block)
        if may_begin(
            self._received / self._rate,
            (self._received + left) / self._rate,
            (self._received - self._first) / self._rate,
            time.monotonic() - self._since,
        ):
            self._release()

    def finish(self) -> None:
        """Wait until everything was heard; EdgeAudioError if it could not be."""
        self._release()
        self._queue.put(None)
        self._thread.join()
        if self._error:
            raise EdgeAudioError(
                f"the clip is made, but {self._player} could not play it "
                f"({first_line(self._error)}); check the sound output"
            )

    def stop(self) -> None:
        """Fall silent at once, whatever is still queued."""
        self._stopped.set()
        if self._sink:
            self._sink.stop()
        self._queue.put(None)
        self._thread.join(1.0)  # a sink that was just being opened is stopped by the thread

    def _release(self) -> None:
        for block in self._held:
            self._queue.put(block)
        self._held.clear()

    def _play(self) -> None:
        """An error is kept for `finish`: whatever the sound system throws, the clip itself must not
        be lost.
        """
        while (block := self._queue.get()) is not None and not self._stopped.is_set():
            if self._error is None:
                self._try(lambda: self._write(block))
        if self._stopped.is_set():
            if self._sink:
                self._try(self._sink.stop)
        elif self._error is None and self._sink:
            self._try(self._sink.close)

    def _write(self, block: np.ndarray) -> None:
        sink = self._opened()
        if not self._stopped.is_set():  # `stop` may have come before there was a sink
            sink.write(block)

    def _opened(self) -> _Pipe | _File | _Speaker:
        if self._sink is None:
            kind = _Pipe if self._player in PIPES else _File
            self._sink = (
                _Speaker(self._rate, self._channels)
                if self._player == "sounddevice"
                else kind(self._player, self._rate, self._channels)
            )
        return self._sink

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            self._error = error


def may_begin(ready: float, total: float, made: float, elapsed: float) -> bool:
    """Whether playing can begin now without running dry, all in seconds: of audio that is ready, of
    the clip in all, of audio that was `made` after the first block, in `elapsed` seconds.

    At r = made / elapsed below 1, the last block comes (total − ready) / r from now and must be
    there when all before it has been played, total − block from now: ready ≥ total − r · (total −
    block).
    """
    if ready >= total:
        return True
    speed = min(1.0, made / max(elapsed, 1e-6))
    return made > 0 and ready >= total - speed * (total - (ready - made))


class _Pipe:
    """A program that reads raw float32 from its standard input."""

    def __init__(self, name: str, sample_rate: int, channels: int):
        arguments = [part.format(rate=sample_rate, channels=channels) for part in PIPES[name]]
        # a file, since a pipe that nobody reads blocks who fills it
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115
        # a session of its own: Ctrl-C reaches only us, who then stop it
        self._process = subprocess.Popen(
            [name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._complaints,
            **apart(),
        )
        assert self._process.stdin is not None  # it was asked for
        self._input = self._process.stdin

    def write(self, block: np.ndarray) -> None:
        try:
            self._input.write(block.astype("<f4").tobytes())
        except BrokenPipeError:
            raise OSError(self._reason()) from None

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):  # its exit code tells
            self._input.close()
        if self._process.wait():
            raise OSError(self._reason())

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _reason(self) -> str:
        """The last line of what the program complained of, else its exit code."""
        code = self._process.wait()
        self._complaints.seek(max(0, self._complaints.seek(0, os.SEEK_END) - 4096))
        lines = self._complaints.read().decode(errors="replace").split("\n")
        said = [" ".join(line.split()) for line in lines if line.strip()]
        return said[-1][:200] if said else f"exit code {code}"


class _File:
    """A program that plays a file: it is heard when the clip is whole."""

    def __init__(self, name: str, sample_rate: int, channels: int):
        self._command, self._rate = FILES[name], sample_rate
        self._blocks: list[np.ndarray] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def write(self, block: np.ndarray) -> None:
        self._blocks.append(block)

    def close(self) -> None:
        import soundfile

        with tempfile.TemporaryDirectory(prefix="edge-audio-") as folder:
            path = os.path.join(folder, "clip.wav")
            soundfile.write(path, np.concatenate(self._blocks), self._rate, subtype="PCM_16")
            self._process = subprocess.Popen(
                [*self._command, path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                **apart(),
            )
            if self._stopped:
                self._process.kill()
            said = self._process.communicate()[1].decode(errors="replace").split("\n")
        if self._process.returncode and not self._stopped:
            lines = [" ".join(line.split()) for line in said if line.strip()]
            raise OSError(lines[-1][:200] if lines else f"exit code {self._process.returncode}")

    def stop(self) -> None:
        self._stopped = True
        if self._process:
            self._process.kill()


class _Speaker:
    """The Python package sounddevice."""

    def __init__(self, sample_rate: int, channels: int):
        import sounddevice

        self._stream = sounddevice.OutputStream(
            samplerate=sample_rate, channels=channels, dtype="float32"
        )
        self._stream.start()

    def write(self, block: np.ndarray) -> None:
        self._stream.write(np.ascontiguousarray(block, np.float32))

    def close(self) -> None:
        self._stream.stop()
        self._stream.close()

    def stop(self) -> None:
        self._stream.abort()
