"""The search for one component's forms: measure all groups, choose, build, measure again."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_audio.errors import EdgeAudioError
from edge_audio.evaluate.layers import operations
from edge_audio.model.contract import SAMPLE
from edge_audio.system.graph import Graph

from ..quantize import Statistics, quantize, statistics
from .choice import Group, choose, grouped
from .recipe import NAME, Recipe
from .recording import THREADS, NotingGraph, Recording

#: forms a layer may have, from small to exact
MENU = ("int4-gptq", "int8", "int8-hadamard", "int8-weights", "f16")
#: the same for a large graph: what GPTQ must know of 460 million weights took more than 20 GB
LARGE_MENU = ("int4", *MENU[1:])
#: dB above the target for what runs before or after the sampling, since its errors come on top of
#: those of the transformer
MARGIN = 5.0
#: dB more than asked for on the recording, for prompts that are not on it
RESERVE = 1.0
#: bytes of a graph in float32 above which layers of neighbouring blocks are measured together, and
#: not in forms that are of no use
SINGLE = 100e6
#: shares of the error that is allowed: a layer that adds less in int8 needs nothing dearer, and may
#: have 4 bits, which cost some 15 dB
NEGLIGIBLE, SMALL = 1 / 300, 1 / 30
ROUNDS = 8

#: group -> form -> error of every recorded output
Table = dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Tried:
    """A choice that was built and measured."""

    layers: dict[str, str]
    bytes: int
    #: error power over signal power of the worst output
    worst: float


class Search:
    """The forms of one component's layers."""

    def __init__(
        self,
        component: str,
        base: Path,
        recording: Recording,
        target: float,
        say: Callable[[str], None],
    ):
        """base: the graph to start from, beside which the table of sensitivities is kept. target:
        dB that the whole is to have.
        """
        self.component, self._base, self._recording, self._say = component, base, recording, say
        samples = recording.contract.phase(component) == SAMPLE
        self.target = target if samples else target + MARGIN
        self._size = base.stat().st_size
        graph = NotingGraph(recording.bundle.graph_path(component, "f32"))
        with graph:
            self._expected = list(recording.replay(component, graph))
        # A decoder's last layers have few weights and take most of its time; elsewhere all run on
        # much the same rows, and bytes are what counts.
        runs = {signature: len(calls) for signature, calls in graph.calls.items()}
        timed = runs if recording.decodes(component) else {}
        self._groups = grouped(operations(base), self._is_large, timed)
        self._table_path = base.parent / f"{component}.sensitivity.json"

    @property
    def _is_large(self) -> bool:
        return self._size > SINGLE

    @property
    def _menu(self) -> tuple[str, ...]:
        return LARGE_MENU if self._is_large else MENU

    @property
    def output(self) -> str:
        """What was measured, as STAGE.VALUE; of a decoder, its audio as a whole."""
        value = self._recording.output(self.component)
        whole = self._recording.decodes(self.component)
        return f"{'decode' if whole else self._recording.contract.gives[value]}.{value}"

    def quantized(self, layers: Mapping[str, str]) -> bytes:
        """The graph with its layers stored like that."""
        informed = any("gptq" in method for method in layers.values())
        return quantize(self._base, layers, self._statistics if informed else None)

    def errors(self, layers: Mapping[str, str]) -> np.ndarray:
        """Error power over signal power of every recorded output, with the layers stored
        like that.
        """
        with tempfile.TemporaryDirectory(dir=self._base.parent) as folder:
            path = Path(folder) / "candidate.tflite"
            path.write_bytes(self.quantized(layers))
            with Graph(path, THREADS) as graph:
                replayed = self._recording.replay(self.component, graph)
                return np.array(
                    [
                        np.sum(np.square(actual - expected, dtype=np.float64))
                        / np.sum(np.square(expected, dtype=np.float64))
                        for outputs, wanted in zip(replayed, self._expected)
                        for actual, expected in zip(outputs, wanted)
                    ]
                )

    def run(self) -> Recipe:
        """The smallest graph found that reaches the target; EdgeAudioError if none does."""
        floor = self.errors({})
        table = self._sensitivities(floor)
        wanted = _power(self.target + RESERVE)
        found = self._candidates(floor, self._completed(table, floor), wanted)
        closest = min(tried.worst for tried in found)
        if closest > _power(self.target):
            raise EdgeAudioError(
                f"{self.component} cannot reach {self.target:g} dB (best {_decibels(closest):.1f}"
                " dB); give a lower --target-snr, or export f16"
            )
        enough = [tried for tried in found if tried.worst <= max(wanted, closest)]
        best = min(enough, key=lambda tried: tried.bytes)
        rows = [
            {
                "layers": list(group.layers),
                "bytes_f32": group.bytes,
                "chosen": best.layers[group.layers[0]],
                "snr": {
                    method: round(_decibels(float(error.max())), 1)
                    for method, error in table[name].items()
                },
            }
            for name, group in self._groups.items()
        ]
        return Recipe(
            component=self.component,
            layers=best.layers,
            target_snr=self.target,
            measured_snr=_decibels(best.worst),
            bytes=best.bytes,
            bytes_f32=self._size,
            table=rows,
        )

    def applied(self, recipe: Recipe) -> Recipe:
        """The same choice on these weights, measured; EdgeAudioError if the layers are others."""
        here = {layer for group in self._groups.values() for layer in group.layers}
        if set(recipe.layers) != here:
            other = sorted(set(recipe.layers) ^ here)[0]
            raise EdgeAudioError(
                f"the recipe for {self.component} is made for another model (layer {other}); "
                "leave out --recipe to measure this one"
            )
        measured = _decibels(float(self.errors(recipe.layers).max()))
        if measured < self.target:
            self._say(
                f"warning: with this recipe {self.component} has {measured:.1f} dB, not"
                f" {self.target:g}; leave out --recipe to measure anew"
            )
        return Recipe(
            component=self.component,
            layers=recipe.layers,
            target_snr=self.target,
            measured_snr=measured,
            bytes=len(self.quantized(recipe.layers)),
            bytes_f32=self._size,
            table=recipe.table,
        )

    def _candidates(self, floor: np.ndarray, table: Table, wanted: float) -> list[Tried]:
        """What is chosen for budgets on both sides of the one whose graph just has `wanted`."""
        budget = wanted
        fits, fails = 0.0, math.inf  # budgets whose graph reaches the target, and whose does not
        tried: dict[tuple[tuple[str, str], ...], Tried] = {}
        for _ in range(ROUNDS):
            layers = self._chosen(floor, table, budget)
            key = tuple(layers.items())
            if key not in tried:
                tried[key] = self._tried(layers)
            elif fits and fails < math.inf:
                break
            worst = tried[key].worst
            if worst <= wanted:
                fits = max(fits, budget)
            else:
                fails = min(fails, budget)
            # Without a graph on each side of the target, go as far as the last one missed it, and
            # at least far enough for another choice.
            step = wanted / worst
            if fits and fails < math.inf:
                budget = math.sqrt(fits * fails)
            else:
                budget *= max(step, 1.2) if fits else min(step, 0.8)
        return list(tried.values())

    def _chosen(self, floor: np.ndarray, table: Table, budget: float) -> dict[str, str]:
        chosen = choose(self._groups, table, floor, budget)
        return {
            layer: method
            for group, method in chosen.items()
            for layer in self._groups[group].layers
        }

    def _tried(self, layers: dict[str, str]) -> Tried:
        tried = Tried(layers, len(self.quantized(layers)), float(self.errors(layers).max()))
        self._say(
            f"{self.component}.{NAME}: {tried.bytes / 1e6:.2f} MB, {_decibels(tried.worst):.1f} dB"
            " on the recording"
        )
        return tried

    def _sensitivities(self, floor: np.ndarray) -> Table:
        """What every group alone costs in every form that may be of use.

        Kept in a file row by row, so that an interrupted export goes on.
        """
        key = self._key()
        known: dict[str, dict[str, list[float]]] = {}
        if self._table_path.exists():
            found = json.loads(self._table_path.read_text(encoding="utf-8"))
            known = found["rows"] if found.get("key") == key else {}
        for number, (name, group) in enumerate(self._groups.items(), 1):
            if name in known:
                continue
            known[name] = {
                form: error.tolist() for form, error in self._measured(group, floor).items()
            }
            self._table_path.write_text(json.dumps({"key": key, "rows": known}))
            worst = "  ".join(
                f"{form} {_decibels(max(error)):.0f}" for form, error in known[name].items()
            )
            self._say(
                f"{self.component} {number}/{len(self._groups)} {name}:"
                f" {worst or 'stays float32'} dB"
            )
        return {
            name: {form: np.array(error) for form, error in known[name].items()}
            for name in self._groups
        }

    def _measured(self, group: Group, floor: np.ndarray) -> dict[str, np.ndarray]:
        """Form -> error with this group alone stored so. A large graph takes tens of seconds a
        form, so there the error of int8 decides which others are tried.
        """
        forms = [form for form in self._menu if group.suits(form)]
        found: dict[str, np.ndarray] = {}
        if self._is_large and "int8" in forms:
            found["int8"] = self.errors(dict.fromkeys(group.layers, "int8"))
            share = float((found["int8"] - floor).max()) / _power(self.target)
            useful = {"int4"} if share < SMALL else set()
            useful |= {"int8-hadamard", "int8-weights"} if share > NEGLIGIBLE else set()
            forms = [form for form in forms if form in useful]
        return found | {form: self.errors(dict.fromkeys(group.layers, form)) for form in forms}

    def _completed(self, table: Table, floor: np.ndarray) -> Table:
        """The same with f16 where it was not tried: what it adds is far below any target."""
        return {
            name: ({"f16": floor} if self._groups[name].suits("f16") else {}) | errors
            for name, errors in table.items()
        }

    def _key(self) -> str:
        """Changes with whatever the sensitivities depend on."""
        latents = [clip.latents.tobytes() for clip in self._recording.clips]
        told = repr((self._menu, self.target, list(self._groups))).encode()
        parts = [self._base.read_bytes(), told, *latents]
        return hashlib.sha256(b"".join(parts)).hexdigest()

    @functools.cached_property
    def _statistics(self) -> Statistics:
        """What GPTQ must know, of the recorded calls."""
        graph = NotingGraph(self._base)
        with graph:
            for _ in self._recording.replay(self.component, graph):
                pass
        return statistics(self._base, graph.calls)


def _power(decibels: float) -> float:
    """Error power over signal power."""
    return float(10 ** (-decibels / 10))


def _decibels(power: float) -> float:
    """How far error power over signal power lies below 1."""
    return -10 * math.log10(max(power, 1e-20))
