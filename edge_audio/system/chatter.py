"""What LiteRT and TensorFlow print to C's `stderr`, kept off the terminal.

Their Python packages offer no switch for all of it. So the C library's variable `stderr` points to
a stream in memory meanwhile. File descriptor 2 is left alone: what Python, other threads and the
system write to it arrives. Where that variable cannot be had (Windows), the chatter is printed.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import threading
from collections.abc import Callable, Iterator

_lock = threading.Lock()
_holders = 0


@contextlib.contextmanager
def dropped(is_chatter: Callable[[bytes], bool]) -> Iterator[None]:
    """Drop the lines for which `is_chatter` that C code writes to `stderr` inside the `with`.

    It may be entered by several threads at once; the last one to leave writes the other lines to
    file descriptor 2.
    """
    _hold()
    try:
        yield
    finally:
        for line in _release():
            if not is_chatter(line):
                with contextlib.suppress(OSError):  # closed: there is nobody to tell
                    os.write(2, line)


def drop_for_good() -> None:
    """Drop all that C code writes to `stderr` from now on; for the end of the process."""
    _hold()


def _hold() -> None:
    global _holders
    with _lock:
        _holders += 1
        if _holders == 1 and (stream := _stream()):
            stream.take()


def _release() -> list[bytes]:
    """The lines that were held, if nobody else holds them any longer."""
    global _holders
    with _lock:
        _holders -= 1
        stream = _stream()
        return stream.give_back() if stream and not _holders else []


@functools.cache
def _stream() -> _Stream | None:
    """The only one of the process; None where there can be none. Call it with the lock held."""
    try:
        return _Stream(ctypes.CDLL(None))
    except (AttributeError, OSError, TypeError, ValueError):
        return None


class _Stream:
    """A C stream in memory that can stand in for `stderr`. It is never closed: a thread may just
    have read the variable and be about to write.
    """

    def __init__(self, libc: ctypes.CDLL):
        self._variable = _variable(libc)
        self._libc = libc
        libc.open_memstream.restype = ctypes.c_void_p
        libc.fflush.argtypes = libc.rewind.argtypes = (ctypes.c_void_p,)
        self._text, self._size = ctypes.c_void_p(), ctypes.c_size_t()
        self._held = libc.open_memstream(ctypes.byref(self._text), ctypes.byref(self._size))
        if not self._held:
            raise OSError("no memory for a stream")

    def take(self) -> None:
        self._stderr = self._variable.value
        self._variable.value = self._held

    def give_back(self) -> list[bytes]:
        """Restore `stderr` and return the lines that were written meanwhile."""
        self._variable.value = self._stderr
        self._libc.fflush(self._held)  # which updates text and size
        text = ctypes.string_at(self._text, self._size.value)
        self._libc.rewind(self._held)
        return text.splitlines(keepends=True)


def _variable(libc: ctypes.CDLL) -> ctypes.c_void_p:
    """C's `stderr`, which macOS calls __stderrp; ValueError where there is none."""
    try:
        return ctypes.c_void_p.in_dll(libc, "stderr")
    except ValueError:
        return ctypes.c_void_p.in_dll(libc, "__stderrp")
