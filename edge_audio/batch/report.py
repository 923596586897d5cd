"""A run as a page that needs nothing but a browser: how many came out, what failed and why, what
sounds as asked, which sounds are nearly the same, how loud they are, and some to listen to.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from edge_audio.batch import write as outputs
from edge_audio.batch.make import PICTURE
from edge_audio.batch.run import Run

PAGE = "report.html"
#: sounds to listen to, failures, and pairs of near-duplicates on the page
PLAYERS, SHOWN, PAIRS = 24, 100, 50
#: sounds that are compared with each other; of more, so many are taken evenly
COMPARED = 20_000
#: dB of log-mel distance below which two sounds are nearly the same: takes of one prompt of the
#: pocket model differ by 5 (median)
NEAR = 1.5
#: rows of a block of the matrix of distances
BLOCK = 1024
LEVELS = np.arange(-60.0, 1.0, 6.0)


@dataclass
class Report:
    """What the page tells."""

    model: str
    format: str
    rows: int
    units: int
    made: int = 0
    seconds: float = 0.0
    judged: int = 0
    passed: int = 0
    attempts: int = 0
    scaled: int = 0
    #: family -> (passed, judged)
    families: dict[str, tuple[int, int]] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, int, str, str]] = field(default_factory=list)
    failed: int = 0
    #: (dBFS from, to, sounds), of the loudest quarter of a second
    levels: list[tuple[float, float, int]] = field(default_factory=list)
    players: list[dict[str, Any]] = field(default_factory=list)
    #: (distance in dB, file, file)
    pairs: list[tuple[float, str, str]] = field(default_factory=list)
    near: int = 0
    compared: int = 0


def write(run: Run) -> None:
    """The page in the place of the sounds, which it plays."""
    import jinja2

    template = resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    page = environment.from_string(template).render(
        report=report(run), is_folder=not run.job.shard_size, near=NEAR
    )
    run.place.write(PAGE, page.encode())


def report(run: Run) -> Report:
    """What there is to tell of a run; memory grows by 256 bytes a sound that is compared."""
    found = Report(Path(run.job.model).name, run.job.format, run.plan.rows, run.plan.units)
    loudest = Counter[int]()
    every = max(1, -(-run.plan.units // COMPARED))
    play = max(1, -(-run.plan.units // PLAYERS))
    names: list[str] = []
    pictures: list[np.ndarray] = []
    for number, (unit, record) in enumerate(_made(run)):
        found.made += 1
        found.seconds += record["seconds"]
        found.attempts += record["attempts"]
        found.scaled += record["gain"] < 1
        found.notes.update(set(record["notes"]))
        if len(found.notes) > SHOWN * 10:
            found.notes = Counter(dict(found.notes.most_common(SHOWN)))
        loudest[int(np.digitize(record["levels"]["loudest_dbfs"], LEVELS))] += 1
        if record["passed"] is not None and unit.wanted:
            passed, judged = found.families.get(unit.wanted[0], (0, 0))
            found.families[unit.wanted[0]] = passed + record["passed"], judged + 1
        if number % play == 0:
            found.players.append({"prompt": unit.ask.get("prompt"), **record})
        if number % every == 0:
            names.append(record["file"])
            pictures.append(np.frombuffer(base64.b64decode(record["picture"]), np.uint8))
    found.judged = sum(judged for _, judged in found.families.values())
    found.passed = sum(passed for passed, _ in found.families.values())
    found.levels = [
        (LEVELS[max(0, i - 1)], LEVELS[min(i, len(LEVELS) - 1)], loudest[i])
        for i in range(len(LEVELS) + 1)
    ]
    for failure in outputs.failures(run):
        found.failed += 1
        if len(found.failures) < SHOWN:
            found.failures.append(failure)
    found.near, found.pairs = near_duplicates(names, pictures)
    found.compared = len(names)
    return found


def near_duplicates(
    names: list[str], pictures: list[np.ndarray]
) -> tuple[int, list[tuple[float, str, str]]]:
    """How many pairs are nearer than NEAR, and the nearest: root mean square differences of the
    small log-mel spectrograms, in dB.
    """
    if not pictures:
        return 0, []
    size = PICTURE[0] * PICTURE[1]
    table = np.stack(pictures)
    squares = np.sum(table.astype(np.float32) ** 2, axis=1)
    count, pairs = 0, list[tuple[float, str, str]]()
    for begin in range(0, len(table), BLOCK):
        block = table[begin : begin + BLOCK].astype(np.float32)
        for other in range(begin, len(table), BLOCK):
            against = table[other : other + BLOCK].astype(np.float32)
            products = block @ against.T
            power = squares[begin : begin + BLOCK, None] + squares[None, other : other + BLOCK]
            distances = np.sqrt(np.maximum(power - 2 * products, 0) / size) / 2  # half dB
            for i, j in zip(*np.nonzero(distances < NEAR)):
                if begin + i < other + j:
                    count += 1
                    distance = round(float(distances[i, j]), 3)
                    pairs.append((distance, names[begin + i], names[other + j]))
            pairs = sorted(pairs)[:PAIRS]
    return count, pairs


def _made(run: Run) -> Iterator[tuple[Any, dict[str, Any]]]:
    records = run.journal.records(unit.key for unit in run.plan)
    for unit, record in zip(run.plan, records):
        if record is not None and "failed" not in record:
            yield unit, record
