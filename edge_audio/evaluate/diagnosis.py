"""What `diagnose` found: its rows, as JSON and as a table."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from dataclasses import dataclass, field
from typing import Any

from edge_audio.evaluate.verdict import FAIL, OK, WARN

#: width of that column on a terminal
MEASURED = 46


@dataclass(frozen=True)
class Row:
    """What was measured, what it should be, and, unless that is so, what it means and what
    to try.
    """

    symptom: str
    level: str
    measured: str
    expected: str
    meaning: str = ""
    value: float | None = None

    @property
    def shown(self) -> str:
        """The level as the table has it: a FAIL must not be overlooked."""
        return self.level.upper() if self.level == FAIL else self.level


@dataclass(frozen=True)
class Diagnosis:
    """All rows, in the order of the stages."""

    edge_audio: str
    model: str
    bundle_sha256: str
    precision: dict[str, str]
    prompts: list[str]
    seeds: list[int]
    rows: list[Row] = field(default_factory=list)
    #: with a checkpoint: the first stage that is not the reference's, None if all are
    departs: str | None = None

    @property
    def failed(self) -> bool:
        return any(row.level == FAIL for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """Ready for json.dumps: numbers that are none become null."""
        found = dataclasses.asdict(self)
        for row in found["rows"]:
            if row["value"] is not None:
                row["value"] = float(f"{row['value']:.5g}") if math.isfinite(row["value"]) else None
        return {**found, "failed": self.failed}


def table(diagnosis: Diagnosis, width: int = 100) -> str:
    """For a terminal: a line a row, and below it, where something is wrong, what it means."""
    names = max(len(row.symptom) for row in diagnosis.rows)
    chosen = ", ".join(f"{name}={precision}" for name, precision in diagnosis.precision.items())
    lines = [
        f"{diagnosis.model}, {chosen}",
        f"      {'symptom':{names}}  {'measured':{MEASURED}}  expected",
    ]
    for row in diagnosis.rows:
        lines.append(
            f"{row.shown:4}  {row.symptom:{names}}  {row.measured:{MEASURED}} "
            f" {row.expected}".rstrip()
        )
        if row.meaning:
            lines += _wrapped(row.meaning, width, " " * 6)
    counts = {
        level: sum(row.level == level for row in diagnosis.rows) for level in (OK, WARN, FAIL)
    }
    lines.append(", ".join(f"{count} {level}" for level, count in counts.items()))
    if diagnosis.departs:
        lines.append(f"first stage that is not the checkpoint's: {diagnosis.departs}")
    return "\n".join(lines)


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent)
