"""One .tflite file and its named signatures."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .bundle import SIGNATURES
from .errors import EdgeAudioError, UsageError, first_line

_MEND = "copy the bundle again or export the model again"


class Graph:
    """A graph on XNNPACK through `Interpreter` (`CompiledModel` needs LSE atomics, which a Raspberry Pi 4 lacks).

    >>> with Graph("dit.int8.tflite", threads=4) as dit:
    ...     v = dit("denoise", x=x, t=t, **projected)["v"]
    """

    def __init__(self, path: str | Path, threads: int = 1):
        """Load `path`; EdgeAudioError if it is not a graph."""
        from ai_edge_litert.interpreter import Interpreter
        self.path = Path(path)
        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
            with _without_chatter():
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise EdgeAudioError(f"{path} is not a graph that LiteRT can run ({first_line(error)}); {_MEND}") from None
        self._runners = {name: self._interpreter.get_signature_runner(name)
                         for name in self._interpreter.get_signature_list()}
        self._inputs = {name: _specs(runner.get_input_details()) for name, runner in self._runners.items()}
        self._outputs = {name: _specs(runner.get_output_details()) for name, runner in self._runners.items()}

    def __enter__(self) -> "Graph":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        """Free the graph's memory. Arrays that it returned stay valid: they are copies."""
        self._runners, self._interpreter = {}, None

    def check(self, component: str) -> "Graph":
        """Return self if the graph has the signatures of `component` (bundle.SIGNATURES), else EdgeAudioError."""
        for signature, (inputs, outputs) in SIGNATURES[component].items():
            if signature not in self._inputs:
                raise EdgeAudioError(f"{self.path} has signatures {_listed(self._inputs)}, a {component} graph needs "
                                     f"{_listed(SIGNATURES[component])}; {_MEND}")
            for kind, needed, found in (("inputs", inputs, self._inputs), ("outputs", outputs, self._outputs)):
                if not set(needed) <= set(found[signature]):
                    raise EdgeAudioError(f"{self.path} has {kind} {_listed(found[signature])} in signature "
                                         f"{signature}, a {component} graph needs {_listed(needed)}; {_MEND}")
        return self

    def shape(self, signature: str, tensor: str) -> tuple[int, ...]:
        """Shape of an input or output of a signature."""
        return self._spec(signature, tensor)[0]

    def dtype(self, signature: str, tensor: str) -> np.dtype:
        """Type of an input or output of a signature."""
        return self._spec(signature, tensor)[1]

    def __call__(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Run a signature; EdgeAudioError for an input that is missing, unknown, or of another shape or type."""
        if self._interpreter is None:
            raise EdgeAudioError(f"{self.path} is closed; open it again")
        self._check_inputs(signature, inputs)
        try:
            return self._runners[signature](**inputs)
        except (ValueError, RuntimeError) as error:
            raise EdgeAudioError(f"{self.path} failed in signature {signature} ({first_line(error)}); {_MEND}") from None

    def _check_inputs(self, signature: str, inputs: dict[str, np.ndarray]) -> None:
        if signature not in self._inputs:
            raise EdgeAudioError(f"{self.path} has no signature {signature}, it has {_listed(self._inputs)}; {_MEND}")
        expected = self._inputs[signature]
        if inputs.keys() != expected.keys():
            raise EdgeAudioError(f"signature {signature} of {self.path} takes {_listed(expected)}, "
                                 f"not {_listed(inputs)}; {_MEND}")
        for name, value in inputs.items():
            shape, dtype = expected[name]
            if value.shape != shape or value.dtype != dtype:
                raise EdgeAudioError(f"input {name} of signature {signature} of {self.path} is {dtype} {list(shape)}, "
                                     f"not {value.dtype} {list(value.shape)}; {_MEND}")

    def _spec(self, signature: str, tensor: str) -> tuple[tuple[int, ...], np.dtype]:
        specs = {**self._inputs.get(signature, {}), **self._outputs.get(signature, {})}
        if tensor not in specs:
            raise EdgeAudioError(f"{self.path} has no tensor {tensor} in a signature {signature}; {_MEND}")
        return specs[tensor]


def check_threads(threads: int) -> None:
    """UsageError unless `threads` is a whole number from 1."""
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise UsageError(f"threads {threads} cannot run anything; use a whole number from 1")


def _specs(details: dict[str, dict]) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    return {name: (tuple(int(n) for n in detail["shape"]), np.dtype(detail["dtype"]))
            for name, detail in details.items()}


def _listed(names) -> str:
    return ", ".join(sorted(names)) or "none"


_chatter_over = False


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Drop the INFO line that LiteRT writes to stderr once a process; everything else is passed on.

    LiteRT offers no switch for it, so the file descriptor is held for the one call that writes the line.
    """
    global _chatter_over
    if _chatter_over:
        yield
        return
    _chatter_over = True
    try:
        sys.stderr.flush()
        stderr = os.dup(2)
    except (OSError, AttributeError, ValueError):  # no stderr at all: nothing to keep clean
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            for line in held:
                if not line.startswith(b"INFO:"):
                    os.write(2, line)
