"""The folder in which an export makes its graphs, one by one; an interrupted one goes on there."""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import importlib.metadata
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import tensorflow as tf

from edge_audio.bundle.manifest import GraphEntry
from edge_audio.bundle.store import Bundle, file_entry
from edge_audio.errors import EdgeAudioError
from edge_audio.evaluate.layers import operations
from edge_audio.lora import adapter, folded, reading
from edge_audio.system.graph import Graph

from . import mixed
from .convert import Examples, convert, examples, fidelity, flops, refuse_inert_inputs, save_modules
from .publish import staging_folder
from .quantize import methods_for, quantize

NOTE = ".entry.json"


class Staging:
    """The folder beside the bundle in which graphs are made; each has a note of what it was made
    from.
    """

    def __init__(
        self,
        out: Path,
        origin: str,
        sources: Iterable[str],
        say: Callable[[str], None],
        own: Mapping[str, str] = MappingProxyType({}),
    ):
        """origin: what all graphs depend on, and `sources`, the files that make them. own:
        component -> what its graphs depend on besides.
        """
        self.folder, self._out, self._say = staging_folder(out), out, say
        self._standing, self._own = _standing_graphs(out), own
        digest = hashlib.sha256(
            f"{origin} {tf.__version__} {importlib.metadata.version('ai-edge-quantizer')}".encode()
        )
        files = [Path(__file__).parent / name for name in sources]
        for file in (*files, *map(Path, (adapter.__file__, folded.__file__, reading.__file__))):
            digest.update(file.read_bytes())
        self._origin = digest.hexdigest()
        self.folder.mkdir(exist_ok=True)

    def make(
        self, name: str, builder: Callable[[], tf.Module], precisions: Iterable[str]
    ) -> dict[str, GraphEntry]:
        """The graphs of the component that `builder` makes; those that are there already are taken,
        the others made.
        """
        found = {precision: self._found(name, precision) for precision in precisions}
        entries = {precision: entry for precision, entry in found.items() if entry is not None}
        missing = [precision for precision in found if precision not in entries]
        for precision in sorted(entries):
            self._say(f"{entries[precision].file}: kept, nothing that it is made from has changed")
        if missing:
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                self._say(f"{name}: computing what its graphs must give")
                component = builder()
                expected, counted = examples(component), flops(component)
                floats = self._floats(component, missing, entries.get("f32"), Path(folder))
                del component  # at full size it is gigabytes, and conversion needs more
                gc.collect()
                for precision in missing:
                    entries[precision] = self._make(
                        name, precision, floats[precision](), expected, counted
                    )
        return {precision: entries[precision] for precision in precisions}

    def _floats(
        self, component: tf.Module, precisions: list[str], standing: GraphEntry | None, folder: Path
    ) -> dict[str, Callable[[], Path]]:
        """Precision -> function that gives the float32 graph to make it of, converted when it is
        first needed.
        """
        if standing is not None and not hasattr(component, "store"):
            return dict.fromkeys(precisions, lambda: self.folder / standing.file)

        @functools.cache
        def converted(saved: Path) -> Path:
            graph = saved.with_suffix(".tflite")
            graph.write_bytes(convert(saved))
            shutil.rmtree(saved)
            return graph

        saved = save_modules(component, folder, precisions)
        return {
            precision: functools.partial(converted, saved[precision]) for precision in precisions
        }

    def keep_what_is_done(self) -> None:
        """After a failure: finished graphs stay for the next try, anything else goes."""
        if any(self.folder.glob(f"*{NOTE}")):
            self._say(
                f"warning: finished graphs are kept in {self.folder}; run the same export again to"
                " go on from there"
            )
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _make(
        self,
        name: str,
        precision: str,
        graph: Path,
        expected: Examples,
        counted: dict[str, int],
    ) -> GraphEntry:
        """One graph of its float32 form."""
        start = time.perf_counter()
        path = self.folder / f"{name}.{precision}.tflite"
        path.with_suffix(NOTE).unlink(missing_ok=True)
        self._say(f"{path.name}: {'converting' if precision == 'f32' else 'quantizing'}")
        if precision in ("f32", mixed.BASE):
            shutil.copyfile(graph, path)
        else:
            path.write_bytes(
                quantize(
                    graph,
                    methods_for(precision, (operation.layer for operation in operations(graph))),
                )
            )
        with Graph(path, threads=2) as made:
            measured = fidelity(expected, made)
            refuse_inert_inputs(expected, made)
        entry = GraphEntry(
            **vars(file_entry(path)),
            fidelity=measured,
            flops=dict(counted),
            made_from=self._made_from(name, precision),
        )
        path.with_suffix(NOTE).write_text(json.dumps(vars(entry)))
        worst = min(measured, key=measured.__getitem__)
        self._say(
            f"{path.name}: {entry.bytes / 1e6:.1f} MB in {time.perf_counter() - start:.0f} s,"
            f" {worst} at {measured[worst]:.0f} dB of the float function"
        )
        return entry

    def _found(self, name: str, precision: str) -> GraphEntry | None:
        """A graph that an interrupted export or the standing bundle has, if it would come out the
        same.
        """
        candidates = [(self._out, self._standing.get(name, {}).get(precision))]
        with contextlib.suppress(OSError, ValueError, TypeError):
            note = self.folder / f"{name}.{precision}{NOTE}"
            candidates.append(
                (self.folder, GraphEntry(**json.loads(note.read_text(encoding="utf-8"))))
            )
        kept, made_from = (
            self.folder / f"{name}.{precision}.tflite",
            self._made_from(name, precision),
        )
        for place, entry in candidates:
            # a manifest may name any file, one outside its folder too; an export writes this one
            if entry and entry.made_from == made_from and entry.file == kept.name:
                path = place / kept.name
                if path.is_file() and file_entry(path).sha256 == entry.sha256:
                    if path != kept:
                        kept.unlink(missing_ok=True)
                        shutil.copyfile(path, kept)
                    return entry
        return None

    def _made_from(self, name: str, precision: str) -> str:
        own = f" {self._own[name]}" if self._own.get(name) else ""
        return hashlib.sha256(f"{self._origin} {name} {precision}{own}".encode()).hexdigest()


def _standing_graphs(out: Path) -> dict[str, dict[str, GraphEntry]]:
    """What the bundle in `out` has; nothing if there is none that can be read."""
    try:
        return Bundle.open(out).manifest.graphs
    except EdgeAudioError:
        return {}
