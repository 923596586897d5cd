"""What TensorFlow's C++ side prints: nothing on the terminal, all of it when something fails."""

import ctypes
import os
import sys

import pytest

from export.quiet import quiet_stderr

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="another name of C's stderr")


def say(text):
    """Write to C's stderr, as C++ code does."""
    libc = ctypes.CDLL(None)
    libc.fputs(text, ctypes.c_void_p(ctypes.c_void_p.in_dll(libc, "stderr").value))


def test_quiet_while_all_goes_well(capfd):
    with quiet_stderr():
        say(b"Restoring SavedModel bundle.\n")
        os.write(2, b"another thread\n")
    say(b"after\n")
    assert capfd.readouterr().err == "another thread\nafter\n"


def test_all_of_it_after_a_failure(capfd):
    with pytest.raises(KeyError), quiet_stderr():
        say(b"loc(unknown): error\n")
        raise KeyError
    assert capfd.readouterr().err == "loc(unknown): error\n"
