"""Ctrl-C is answered with one line, whenever it comes."""

import subprocess
import sys
from pathlib import Path

import pytest
from processes import uncounted
from systems import posix

ROOT = Path(__file__).parents[3]

#: sends SIGINT to itself when the module named first is about to be imported
PROGRAM = """
import os, signal, sys

class Interrupt:
    @staticmethod
    def find_spec(name, path, target=None):
        if name == module:
            sys.meta_path.remove(Interrupt)
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
module = sys.argv.pop(1)
sys.meta_path.insert(0, Interrupt)
from edge_audio.cli.main import main
sys.exit(main())
"""


@posix
@pytest.mark.parametrize(
    "module",
    [
        "edge_audio.cli.parser",
        "edge_audio.cli.evaluate",
        "edge_audio.cli.generate",
        "edge_audio.cli.progress",
        "numpy",
        "datetime",  # asked for by NumPy's C code, which makes an ImportError of the interrupt
    ],
)
def test_an_interrupt_during_the_imports(tmp_path, module):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, module, "generate", "rain"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**uncounted(), "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")
