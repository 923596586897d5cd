"""What Windows and macOS have otherwise, put in the place of what is here."""

import errno
import io
import os
import selectors
import socket
import subprocess
import sys
import types

import numpy as np
import pytest
import soundfile
from systems import posix

from edge_audio import EdgeAudioError
from edge_audio.audio import play
from edge_audio.cli import main as cli
from edge_audio.evaluate import bench_tasks
from edge_audio.serve import config, decode, server
from edge_audio.system import cache, device, processes


def test_a_pipe_that_is_waited_for_through_a_socket():
    code = "import sys, time; print('one', flush=True); sys.stdin.read(1); print('two' * 100_000)"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    read = b""
    out = processes.selectable(process.stdout, are_pipes=False)
    with out, selectors.DefaultSelector() as selector:
        selector.register(out, selectors.EVENT_READ)
        while selector.select(20):
            piece = out.read(1 << 20)
            read += piece
            if read == b"one\n":
                assert out.read(1 << 20) is None  # nothing yet, and no end
                process.stdin.close()
            if not piece:
                break
    assert process.wait() == 0 and read == b"one\n" + b"two" * 100_000 + b"\n"


class Msvcrt(types.ModuleType):
    """A byte of a file is held by whoever asks first."""

    LK_NBLCK = 2

    def __init__(self):
        super().__init__("msvcrt")
        self.held = set()

    def locking(self, descriptor, mode, count):
        place = (os.fstat(descriptor).st_ino, os.lseek(descriptor, 0, os.SEEK_CUR), count)
        if place in self.held:
            raise PermissionError(errno.EACCES, "Permission denied")
        self.held.add(place)


def test_a_file_is_held_by_windows_means(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", Msvcrt())
    path = tmp_path / "lock"
    with path.open("a+") as one, path.open("a+") as other:
        processes.lock(one.fileno())
        one.write("12")
        one.flush()
        with pytest.raises(BlockingIOError):
            processes.lock(other.fileno())
        other.seek(0)
        assert other.read() == "12" and path.stat().st_size == 2


def test_ctrl_c_does_not_reach_workers(monkeypatch):
    assert processes.apart() == {"start_new_session": True}
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 512, raising=False)
    assert processes.apart() == {"creationflags": 512}


def test_folders_of_a_windows_user(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.delenv(cache.VARIABLE, raising=False)
    monkeypatch.delenv(config.DATA_VARIABLE, raising=False)
    assert cache.folder() == tmp_path / "edge-audio" / "cache"
    assert config.data_folder() == tmp_path / "edge-audio" / "data"


def test_a_decoder_gets_what_starts_python_on_windows_and_no_more(tmp_path, monkeypatch):
    given = {}

    def run(command, env, **more):
        given.update(env)
        return subprocess.CompletedProcess(command, 1, b"")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("SYSTEMROOT", "C:\\Windows")
    monkeypatch.setenv("EDGE_AUDIO_API_KEY", "secret")
    with pytest.raises(EdgeAudioError):
        decode.decoded(tmp_path / "sound.wav", 1.0)
    assert given["SYSTEMROOT"] == "C:\\Windows" and "secret" not in given.values()


def test_a_port_is_this_servers_alone(monkeypatch):
    """SO_KEEPALIVE in the place of Windows' option, which Linux does not have."""
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_KEEPALIVE, raising=False)
    with server.bound_at("127.0.0.1", 0) as listening:
        assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert not listening.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)


def test_memory_that_a_system_does_not_tell(monkeypatch):
    monkeypatch.setattr(bench_tasks.Path, "read_text", lambda *_, **__: "")
    assert bench_tasks.peak_memory() > 0  # by the module resource, as on macOS
    monkeypatch.setitem(sys.modules, "resource", None)
    assert bench_tasks.peak_memory() == 0


@pytest.mark.parametrize("machine", ["x86_64", "i386"])
def test_macs_without_litert(machine):
    assert "Apple silicon" in device.why_unsupported("Darwin", machine, 64, ("", ""))


def test_windows_and_litert():
    assert device.why_unsupported("Windows", "AMD64", 64, ("", "")) is None
    assert "Python for x64" in device.why_unsupported("Windows", "ARM64", 64, ("", ""))


def test_what_an_encoding_lacks_is_printed_as_a_question_mark(monkeypatch):
    """A pipe of Windows has the code page's 256 characters."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert cli.main(["info", "--prompts"]) == 0
    out.flush()
    assert b"a tone ? a sine wave" in out.buffer.getvalue()


def test_a_reader_that_left_is_no_failure(monkeypatch):
    class Pipe(io.StringIO):
        def write(self, text):
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "name", "nt")
    monkeypatch.setattr(sys, "stdout", Pipe())
    assert cli._is_nobody_reading(OSError(errno.EINVAL, "Invalid argument"))
    assert not cli._is_nobody_reading(OSError(errno.EINVAL, "Invalid argument", "clip.wav"))
    assert not cli._is_nobody_reading(OSError(errno.ENOSPC, "No space left on device"))


@pytest.fixture
def afplay(tmp_path, monkeypatch):
    """A player of whole files, which does as its test says."""

    def fake(script):
        player = tmp_path / "afplay"
        player.write_text(f"#!/bin/sh\n{script}\n")
        player.chmod(0o755)
        monkeypatch.setitem(play.FILES, "afplay", (str(player),))

    return fake


def blocks():
    return [np.full((32, 1), value, np.float32) for value in (0.5, -0.25)]


@posix
def test_a_player_of_files_plays_the_whole_clip(afplay, tmp_path):
    afplay(f'cp "$1" {tmp_path}/heard.wav')
    playback = play.Playback(64, 1, "afplay")
    for left, block in zip((32, 0), blocks()):
        playback(block, left)
    playback.finish()
    heard, rate = soundfile.read(tmp_path / "heard.wav", always_2d=True)
    assert rate == 64
    np.testing.assert_allclose(heard, np.concatenate(blocks()), atol=2**-15)


@posix
def test_a_player_of_files_that_fails_is_told(afplay):
    afplay("echo no output device >&2; exit 1")
    playback = play.Playback(64, 1, "afplay")
    playback(blocks()[0], 0)
    with pytest.raises(EdgeAudioError, match="afplay could not play it .no output device"):
        playback.finish()


@posix
def test_a_player_of_files_falls_silent(afplay, tmp_path):
    afplay(f"touch {tmp_path}/playing; exec sleep 60")
    playback = play.Playback(64, 1, "afplay")
    playback(blocks()[0], 0)
    playback._queue.put(None)
    while not (tmp_path / "playing").exists():
        assert playback._thread.is_alive()
    playback.stop()
    playback._thread.join(20)
    assert not playback._thread.is_alive() and playback._error is None


def test_which_player_is_found(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    monkeypatch.setattr(play.shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "platform", "win32")
    assert play.find_player() == "winsound"
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(play.shutil, "which", lambda name: name == "afplay" or None)
    assert play.find_player() == "afplay"
