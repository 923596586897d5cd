"""How forms are chosen: every group of layers starts in its cheapest form, and the one that removes
most error for its bytes is improved until the sum fits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from edge_audio.evaluate.layers import Operation

from ..quantize import KEEP, METHODS, suitable

#: neighbouring blocks whose layers of one kind are measured together, in a large graph
NEIGHBOURS = 10
#: what numbers the blocks, in the name of a layer
BLOCKS = ("layers", "block", "transformers")
#: how much more an output that is worse counts
EMPHASIS = 4

#: group -> form -> error of every output, with that group alone stored so
Errors = Mapping[str, Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Group:
    """Layers that are stored alike."""

    layers: tuple[str, ...]
    operations: tuple[Operation, ...]
    #: rows of inputs that a layer is multiplied with, where time counts rather than bytes
    rows: float = 1.0

    @property
    def count(self) -> int:
        """Weights. Several signatures may run a layer; they share them."""
        first = {op.layer: op.subgraph for op in reversed(self.operations)}
        return sum(math.prod(op.shape) for op in self.operations if op.subgraph == first[op.layer])

    @property
    def bytes(self) -> int:
        return 4 * self.count

    def suits(self, form: str) -> bool:
        """Whether every operation can be stored like that, without falling back to something
        simpler.
        """
        return all(suitable(form, operation) == form for operation in self.operations)

    def cost(self, form: str) -> float:
        """Bytes in the file plus bytes in memory: what a form that computes in float32 saves on
        disk, it spends again. Times the rows: arithmetic in float32 takes some three times as long.
        """
        bits = 0 if form == KEEP else METHODS[form].bits + METHODS[form].loaded
        return self.rows * self.count * bits / 8


def grouped(
    found: Iterable[Operation], together: bool, runs: Mapping[str, int] = MappingProxyType({})
) -> dict[str, Group]:
    """Name -> group: each layer alone, or `together` those of one kind and size in neighbouring
    blocks. runs: signature -> how often it runs, where time counts.
    """
    operations = list(found)
    sizes: dict[str, set[tuple[int, ...]]] = {}
    for operation in operations:
        sizes.setdefault(_kind(operation.layer), set()).add(operation.shape)
    members: dict[str, list[Operation]] = {}
    for operation in operations:
        kind = _kind(operation.layer)
        name = kind if together and len(sizes[kind]) == 1 else operation.layer
        members.setdefault(name, []).append(operation)
    return {
        name: Group(tuple(dict.fromkeys(op.layer for op in ops)), tuple(ops), _rows(ops, runs))
        for name, ops in members.items()
    }


def _rows(operations: Iterable[Operation], runs: Mapping[str, int]) -> float:
    """Of one layer of a group, in all runs; 1 if nobody counted them."""
    if not runs:
        return 1.0
    # of a layer's parts, which run on the same rows, one
    rows = {(op.layer, op.signature): op.rows * runs.get(op.signature, 0) for op in operations}
    return sum(rows.values()) / len({layer for layer, _ in rows})


def _kind(layer: str) -> str:
    """A layer's name with the number of its innermost block as a range of neighbours."""
    parts = layer.split(".")
    for index, part in reversed(list(enumerate(parts[:-2]))):
        if index and parts[index - 1] in BLOCKS and part.isdigit():
            first = int(part) // NEIGHBOURS * NEIGHBOURS
            blocks = f"{first}-{first + NEIGHBOURS - 1}"
            return ".".join([*parts[:index], blocks, *parts[index + 1 :]])
    return layer


def choose(
    groups: Mapping[str, Group], errors: Errors, floor: np.ndarray, budget: float
) -> dict[str, str]:
    """Group -> form, cheap, such that no output's summed error passes `budget`.

    floor: error of every output with all groups as they are.
    """
    choice = _Choice(groups, errors, floor)
    while choice.total().max() > budget:
        if not choice.improve():
            break  # nothing is left to improve: what is built will be measured, and found wanting
    choice.save(budget)
    return choice.chosen


class _Choice:
    """Forms under way."""

    def __init__(self, groups: Mapping[str, Group], errors: Errors, floor: np.ndarray):
        self._groups, self._floor = groups, floor
        #: group -> its forms, from cheap to dear
        self._forms = {
            name: sorted(errors[name], key=groups[name].cost) or [KEEP] for name in groups
        }
        #: group -> form -> what it adds to the floor
        self._extra = {
            name: {KEEP: np.zeros_like(floor)}
            | {form: np.maximum(error - floor, 0) for form, error in errors[name].items()}
            for name in groups
        }
        self.chosen = {name: forms[0] for name, forms in self._forms.items()}

    def total(self) -> np.ndarray:
        """Error of every output."""
        return self._floor + sum(self._extra[name][form] for name, form in self.chosen.items())

    def improve(self) -> bool:
        """Give the group a dearer form that removes most error for its bytes; False if none removes
        any.
        """
        now = self.total()
        weight = (now / now.max()) ** EMPHASIS  # mostly the outputs that are worst
        steps = [
            (self._gain(name, form, weight), name, form)
            for name, forms in self._forms.items()
            # only towards the exact end of a list, so that this comes to an end
            for form in forms[forms.index(self.chosen[name]) + 1 :]
        ]
        gain, name, form = max(steps, default=(0.0, "", ""))
        if gain <= 0:
            return False
        self.chosen[name] = form
        return True

    def save(self, budget: float) -> None:
        """Go back to cheaper forms where the sum allows it, largest groups first: the greedy way
        may have overshot.
        """
        for name in sorted(self._groups, key=lambda name: -self._groups[name].count):
            forms, extra = self._forms[name], self._extra[name]
            for form in forms[: forms.index(self.chosen[name])]:
                if (self.total() - extra[self.chosen[name]] + extra[form]).max() <= budget:
                    self.chosen[name] = form
                    break

    def _gain(self, name: str, form: str, weight: np.ndarray) -> float:
        """Error that a form removes, for every byte more."""
        group, extra, chosen = self._groups[name], self._extra[name], self.chosen[name]
        removed = float((extra[chosen] - extra[form]) @ weight)
        return removed / max(group.cost(form) - group.cost(chosen), 1)
