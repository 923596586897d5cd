"""One .tflite file and its named signatures."""

from __future__ import annotations

import atexit
import contextlib
import functools
import math
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge_audio.errors import EdgeAudioError, first_line
from edge_audio.system import chatter, device, tables

_MEND = "copy the bundle again or export the model again"
_making_environment = threading.Lock()


class Graph:
    """A graph on XNNPACK.

    >>> with Graph("dit.int8.tflite", threads=4) as dit:
    ...     v = dit("denoise", x=x, t=t, **projected)["v"]

    It runs through `Interpreter`, which works everywhere, or, given a file for its packed weights
    (`cache.packed_weights`), through `CompiledModel`, which maps them into memory and shares them
    between signatures.

    Any thread may use it; it runs one call at a time, and the others wait.
    """

    def __init__(
        self,
        path: str | Path,
        threads: int = 1,
        packed_weights: Path | None = None,
        half: bool = False,
    ):
        """Load `path`; EdgeAudioError if it is not a graph, or if LiteRT cannot be loaded at all.

        half: compute what is float32 in float16, on CPUs that do that as fast as they move it
        (`device.recommended_half`).
        """
        self.path = Path(path)
        self._running = threading.Lock()
        threads = device.usable_threads(threads)
        try:
            tables.check(self.path)
            with chatter.dropped(_is_chatter):
                self._engine: _Interpreted | _Compiled | None = (
                    _Interpreted(self.path, threads)
                    if packed_weights is None and not half
                    else _Compiled(self.path, threads, packed_weights, half)
                )
        except ImportError as error:
            raise EdgeAudioError(
                f"LiteRT cannot be loaded ({first_line(error)}); "
                f"{device.unsupported() or 'install edge-audio again in a new virtual environment'}"
            ) from None
        except MemoryError:
            raise EdgeAudioError(
                f"{path} needs more memory than there is; free some or try --precision int8"
            ) from None
        except (OSError, ValueError, RuntimeError, TypeError) as error:
            raise EdgeAudioError(
                f"{path} is not a graph that LiteRT can run here ({first_line(error)}); free some"
                f" memory or try --precision int8 if it may have run out, else {_MEND}"
            ) from None
        self._inputs, self._outputs = self._engine.inputs, self._engine.outputs

    def __enter__(self) -> Graph:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the graph's memory, after a call that is under way; again is harmless. Arrays that
        it returned stay valid: they are copies.
        """
        with self._running:
            self._engine = None

    @property
    def signatures(self) -> list[str]:
        """Names of what the graph can run."""
        return list(self._inputs)

    def inputs(self, signature: str) -> list[str]:
        """Names of what a signature reads."""
        return list(self._inputs[signature])

    def outputs(self, signature: str) -> list[str]:
        """Names of what a signature gives."""
        return list(self._outputs[signature])

    def shape(self, signature: str, tensor: str) -> tuple[int, ...]:
        """Shape of an input or output of a signature."""
        return self._spec(signature, tensor)[0]

    def dtype(self, signature: str, tensor: str) -> np.dtype:
        """Type of an input or output of a signature."""
        return self._spec(signature, tensor)[1]

    def __call__(self, signature: str, /, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Run a signature; EdgeAudioError for an input that is missing, unknown, of another shape
        or type, or out of range.
        """
        return self._run(signature, inputs)

    def resized(
        self,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, tuple[int, ...]],
    ) -> dict[str, np.ndarray]:
        """Run a signature on inputs of other lengths than it has. outputs: the shapes of what it
        then gives; all of them, as far as they depend on a length.
        """
        return self._run(signature, inputs, outputs)

    def _run(
        self,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, tuple[int, ...]] | None = None,
    ) -> dict[str, np.ndarray]:
        with self._running:
            if self._engine is None:
                raise EdgeAudioError(f"{self.path} is closed; open it again")
            self._check_names(signature, inputs)
            try:
                if outputs is not None:
                    self._resize(signature, inputs, outputs)
                self._check_inputs(signature, inputs)
                found = self._engine.run(signature, inputs)
            except (ValueError, RuntimeError) as error:
                raise EdgeAudioError(
                    f"{self.path} failed in signature {signature} ({first_line(error)}); check that"
                    f" its inputs {_listed(inputs)} are in range, as ids are in the vocabulary, or"
                    " free some memory"
                ) from None
            for name, shape in (outputs or {}).items():
                if found[name].shape != shape:
                    raise EdgeAudioError(
                        f"signature {signature} of {self.path} gave {name}"
                        f" {list(found[name].shape)}, not {list(shape)}; {_MEND}"
                    )
            return found

    def _resize(
        self,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, tuple[int, ...]],
    ) -> None:
        """Bring a signature to these lengths, unless it has them."""
        assert self._engine is not None
        reads, gives = self._inputs[signature], self._outputs[signature]
        for name, value in inputs.items():
            shape, dtype = reads[name]
            if value.shape != shape and value.ndim == len(shape):
                self._engine.resize(signature, name, value.shape)
                reads[name] = value.shape, dtype
        for name, shape in outputs.items():
            if name not in gives:
                raise ValueError(f"it gives no {name}")
            gives[name] = shape, gives[name][1]

    def _check_names(self, signature: str, inputs: Mapping[str, np.ndarray]) -> None:
        if signature not in self._inputs:
            raise EdgeAudioError(
                f"{self.path} has no signature {signature}, it has {_listed(self._inputs)}; {_MEND}"
            )
        expected = self._inputs[signature]
        if inputs.keys() != expected.keys():
            raise EdgeAudioError(
                f"signature {signature} of {self.path} takes {_listed(expected)}, "
                f"not {_listed(inputs)}; {_MEND}"
            )

    def _check_inputs(self, signature: str, inputs: Mapping[str, np.ndarray]) -> None:
        for name, value in inputs.items():
            shape, dtype = self._inputs[signature][name]
            if value.shape != shape or value.dtype != dtype:
                raise EdgeAudioError(
                    f"input {name} of signature {signature} of {self.path} is {dtype}"
                    f" {list(shape)}, not {value.dtype} {list(value.shape)}; {_MEND}"
                )

    def _spec(self, signature: str, tensor: str) -> tuple[tuple[int, ...], np.dtype]:
        specs = {**self._inputs.get(signature, {}), **self._outputs.get(signature, {})}
        if tensor not in specs:
            raise EdgeAudioError(
                f"{self.path} has no tensor {tensor} in a signature {signature}; {_MEND}"
            )
        return specs[tensor]


#: signature -> name -> (shape, dtype)
Specs = dict[str, dict[str, tuple[tuple[int, ...], np.dtype]]]


class _Interpreted:
    """A graph in LiteRT's `Interpreter`."""

    def __init__(self, path: Path, threads: int):
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
        self._interpreter.allocate_tensors()
        self._runners = {
            name: self._interpreter.get_signature_runner(name)
            for name in self._interpreter.get_signature_list()
        }
        self.inputs: Specs = {
            name: _specs(runner.get_input_details()) for name, runner in self._runners.items()
        }
        self.outputs: Specs = {
            name: _specs(runner.get_output_details()) for name, runner in self._runners.items()
        }

    def resize(self, signature: str, name: str, shape: tuple[int, ...]) -> None:
        """A runner takes whatever shapes it is given."""

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs: dict[str, np.ndarray] = self._runners[signature](**inputs)
        return outputs


class _Compiled:
    """A graph in LiteRT's `CompiledModel`, its packed weights in a file if one is named. Buffers
    are made when a signature is first run.
    """

    #: XNNPACK's flag in LiteRT's delegate
    FORCE_FP16 = 4

    def __init__(self, path: Path, threads: int, packed_weights: Path | None, half: bool):
        from ai_edge_litert.compiled_model import CompiledModel, CpuOptions, Options
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        # CompiledModel believes every offset in a file; Interpreter checks them all, in about 1 ms.
        Interpreter(
            model_path=str(path),
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        options = Options(
            cpu_options=CpuOptions(
                num_threads=threads,
                xnnpack_weight_cache_path=str(packed_weights or ""),
                xnnpack_flags=self.FORCE_FP16 if half else None,
            )
        )
        self._model = CompiledModel.from_file(
            str(path), environment=_environment(), options=options
        )
        signatures = self._model.get_signature_list()
        self.inputs: Specs = {
            name: _specs(self._model.get_input_tensor_details(name)) for name in signatures
        }
        self.outputs: Specs = {
            name: _specs(self._model.get_output_tensor_details(name)) for name in signatures
        }
        self._buffers: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}

    def resize(self, signature: str, name: str, shape: tuple[int, ...]) -> None:
        self._buffers.pop(signature, None)  # made anew in the new sizes
        self._model.resize_input_tensor_by_name(signature, name, list(shape), strict=False)

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        first = signature not in self._buffers
        with chatter.dropped(_is_chatter) if first else contextlib.nullcontext():
            if first:
                self._buffers[signature] = (
                    {
                        name: self._model.create_input_buffer_by_name(signature, name)
                        for name in self.inputs[signature]
                    },
                    {
                        name: self._model.create_output_buffer_by_name(signature, name)
                        for name in self.outputs[signature]
                    },
                )
            given, made = self._buffers[signature]
            for name, value in inputs.items():
                given[name].write(value)
        self._model.run_by_name(signature, given, made)
        return {
            name: made[name].read(math.prod(shape), dtype).reshape(shape)
            for name, (shape, dtype) in self.outputs[signature].items()
        }


def _environment() -> Any:
    """The one of the process, made once even if several threads ask at once."""
    with _making_environment:
        return _new_environment()


@functools.cache
def _new_environment() -> Any:
    """An environment, without the accelerators and compilers that LiteRT would look for:
    everything runs on the CPU.
    """
    from ai_edge_litert.environment import Environment, EnvironmentOptions

    atexit.register(chatter.drop_for_good)  # it has something to say even after Python has ended
    nowhere = str(Path(__file__).parent / "no-accelerators")  # must not exist
    return Environment.create(
        options=EnvironmentOptions(
            runtime_path=nowhere, compiler_plugin_path=nowhere, dispatch_library_path=nowhere
        )
    )


def _specs(details: dict[str, dict[str, Any]]) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    return {
        name: (tuple(int(n) for n in detail["shape"]), np.dtype(detail["dtype"]))
        for name, detail in details.items()
    }


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _is_chatter(line: bytes) -> bool:
    """Whether LiteRT wrote the line; its errors reach the caller as exceptions."""
    return not line.strip() or line.startswith((b"INFO:", b"WARNING:", b"ERROR:"))
