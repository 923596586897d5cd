"""How a function becomes a symptom that `diagnose` examines."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from types import ModuleType

from edge_audio.evaluate.diagnosis import Row
from edge_audio.evaluate.probe import Probe
from edge_audio.evaluate.verdict import OK

Symptom = Callable[[Probe], Iterator[Row]]

_registered: list[Symptom] = []


def symptom(function: Symptom) -> Symptom:
    """Decorator: put a function on the list, under its name with spaces for underscores, which
    becomes that of its rows.
    """
    name = function.__name__.replace("_", " ")

    @functools.wraps(function)
    def examine(probe: Probe) -> Iterator[Row]:
        for found in function(probe):
            part = found.symptom
            yield dataclasses.replace(found, symptom=f"{name}: {part}" if part else name)

    _registered.append(examine)
    return examine


def symptoms_of(*stages: ModuleType) -> tuple[Symptom, ...]:
    """Those of some modules, module by module as they were named."""
    return tuple(one for stage in stages for one in _registered if one.__module__ == stage.__name__)


def row(
    level: str,
    measured: str,
    expected: str = "",
    meaning: str = "",
    value: float | None = None,
    part: str = "",
) -> Row:
    """A row of the symptom that yields it. meaning: left out where all is well. part: what of the
    symptom it is about, where there are several rows.
    """
    return Row(
        symptom=part,
        level=level,
        measured=measured,
        expected=expected,
        meaning="" if level == OK else meaning,
        value=value,
    )
