"""What processes need of a system where Windows has it otherwise."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from types import ModuleType
from typing import IO, Any, cast

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

#: where a lock of Windows lies: such a lock keeps others from reading what it covers
_FAR = 1 << 30
#: bytes that are passed on at a time
_PIECE = 1 << 16


def apart() -> dict[str, Any]:
    """Arguments of `subprocess.Popen` for a process that Ctrl-C does not reach."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def lock(descriptor: int) -> None:
    """Hold a file until it is closed; BlockingIOError if another process does, another OSError
    where files cannot be held, as on some network file systems.
    """
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    import msvcrt

    place = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.lseek(descriptor, _FAR, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]  # Windows'
    except PermissionError as error:
        raise BlockingIOError(*error.args) from None
    finally:
        os.lseek(descriptor, place, os.SEEK_SET)


def selectable(pipe: IO[bytes], are_pipes: bool = sys.platform != "win32") -> IO[bytes]:
    """A pipe that is read, as `selectors` can wait for it: itself without blocking; on Windows,
    where only sockets can be waited for, a socket that a thread copies it into.
    """
    if are_pipes:
        os.set_blocking(pipe.fileno(), False)
        return pipe
    here, there = socket.socketpair()
    here.setblocking(False)
    threading.Thread(target=_copy, args=(pipe, there), daemon=True).start()
    with here:  # the file keeps it open
        return cast(IO[bytes], here.makefile("rb", buffering=0))


def _copy(pipe: IO[bytes], out: socket.socket) -> None:
    """All of a pipe into a socket, until either ends."""
    with out:
        try:
            while piece := os.read(pipe.fileno(), _PIECE):
                out.sendall(piece)
        except (OSError, ValueError):  # ValueError: the pipe was closed
            pass
