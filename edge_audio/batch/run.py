"""A run: a plan made, checked and carried out, here or on a cluster, from where it was left."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from edge_audio.batch import write
from edge_audio.batch.crew import Crew
from edge_audio.batch.job import Job, Unit
from edge_audio.batch.journal import Journal
from edge_audio.batch.make import where
from edge_audio.batch.place import STATE, Place
from edge_audio.batch.plan import Choices, Plan, check_room, make_plan
from edge_audio.errors import EdgeAudioError, UsageError
from edge_audio.pipeline import Pipeline
from edge_audio.system import cache, device, processes

#: seconds for which a number of workers is measured, and clips of each worker that it needs
MEASURED, CLIPS = 4.0, 3
#: how much faster fewer workers of more threads must be
BETTER = 1.05
#: share of the free memory that workers may take, unless a budget says it
SHARE = 0.7

#: of a run's state: what its sounds are made with
JOB = "job.json"

Records = Iterator[dict[str, Any]]
#: called with the units that are done of all, and those that failed
OnProgress = Callable[[int, int, int], None]


@dataclass
class Force:
    """What does the work. None: chosen by measurement on this computer."""

    workers: int | None = None
    threads: int | None = None
    #: bytes that all workers may have together
    budget: int | None = None
    #: what was measured: (workers, threads) -> clips a second
    rates: dict[tuple[int, int], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("workers", "threads", "budget"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} {value} can do nothing; use 1 or more")

    def options(self, units: int) -> list[tuple[int, int]]:
        """(workers, threads) to choose from, those first that are restarted least in the end."""
        cpus = device.cpus()
        threads = [self.threads] if self.threads else [2**n for n in range(5) if 2**n <= cpus]
        found = [(self.workers or max(1, cpus // t), t) for t in threads]
        found = [(min(workers, units), t) for workers, t in found]
        return found[::-1] if units >= 50 * cpus else found[:1]


@dataclass
class Run:
    """A folder on the way from a list to its sounds."""

    plan: Plan
    job: Job
    place: Place
    state: Path
    journal: Journal
    #: which units are this process's: (number from 1, of how many)
    shard: tuple[int, int] = (1, 1)
    packed: dict[str, int] = field(default_factory=dict)

    def is_mine(self, number: int) -> bool:
        """Whether a unit, by its number in the plan, is this shard's."""
        return number % self.shard[1] == self.shard[0] - 1

    def pending(self) -> Iterator[Unit]:
        """The units of this shard that are to be made."""
        recorded = self.journal.records(unit.key for unit in self.plan)
        for number, (unit, record) in enumerate(zip(self.plan, recorded)):
            if self.is_mine(number) and not self._is_done(record):
                yield unit

    def missing(self) -> int:
        """Units of all shards that have no record at all."""
        return sum(unit.key not in self.journal for unit in self.plan)

    def claim(self) -> None:
        """Work begins: from now on the place holds the sounds of this job alone."""
        text = json.dumps(self.job.identity, indent=1, sort_keys=True)
        write.save_text(self.state / JOB, text)

    def _is_done(self, record: dict[str, Any] | None) -> bool:
        if record is None or "failed" in record:
            return False
        if self.place.folder is None:
            return True
        size = self.packed.get(record["file"]) if self.job.shard_size else None
        return record["bytes"] in (size, self.place.size(where(self.job, record)))

    def _check_arrived(self, record: dict[str, Any]) -> None:
        """EdgeAudioError if this process does not find what another wrote to the place."""
        if self.place.size(where(self.job, record)) != record["bytes"]:
            raise EdgeAudioError(
                f"{self.place.name} has not what was written there, as if each process had its own;"
                " name a place that all share"
            )

    def carry_out(self, answers: Records, on_progress: OnProgress, done: int, total: int) -> int:
        """Record what comes; returns how many failed."""
        failed, is_checked = 0, self.place.folder is not None
        for answer in answers:
            if not is_checked and "failed" not in answer:
                self._check_arrived(answer)
                is_checked = True
            self.journal.add(answer)
            failed += "failed" in answer
            done += 1
            on_progress(done, total, failed)
        return failed


@contextlib.contextmanager
def opened(
    listed: Path,
    out: str,
    pipeline: Pipeline,
    job: Job,
    choices: Choices,
    shard: tuple[int, int] = (1, 1),
) -> Iterator[Run]:
    """A run whose plan is made and that nobody else carries out at the same time; EdgeAudioError if
    `out` holds something else. A folder that it makes is taken away again unless work began there.
    """
    place = Place(out)
    if job.shard_size and place.folder is None:
        raise UsageError(f"shards of WebDataset are made in a folder; {out} is none")
    state, name = _state(place), "" if shard == (1, 1) else f"{shard[0]}-of-{shard[1]}"
    _check_same(place, state, job)
    is_new = place.folder is not None and not place.folder.exists()
    place.make()
    (state / "sounds").mkdir(parents=True, exist_ok=True)
    lock = _locked(state / f"lock{name and '-'}{name}", place)
    # after the lock is given back, since Windows deletes no file that is open
    with contextlib.ExitStack() as at_end, lock, Journal(state, name) as journal:
        if is_new:
            at_end.callback(_discard_unclaimed, place, state)
        plan = make_plan(listed, state / f"plan{name and '-'}{name}.jsonl", pipeline, job, choices)
        if len(journal) and plan.units and not any(unit.key in journal for unit in plan):
            raise EdgeAudioError(
                f"{place.name} holds the sounds of another list; name a new folder for {listed}"
            )
        if place.folder is not None:
            if shard == (1, 1):
                for folder in (place.folder, state, state / "writing"):
                    for left in folder.glob("*.part"):
                        left.unlink(missing_ok=True)
            check_room(plan, place.folder, min(1.0, len(journal) / max(1, plan.units)))
        packed = write.packed(place.folder) if job.shard_size and place.folder else {}
        yield Run(plan, job, place, state, journal, shard, packed)


def local(run: Run, force: Force, on_progress: OnProgress) -> int:
    """Make all that is pending with workers on this computer; returns how many failed.

    EdgeAudioError for a budget that not even one worker fits into.
    """
    count = sum(1 for _ in run.pending())
    if not count:
        return 0
    run.claim()
    units, done = run.pending(), run.plan.units // run.shard[1] - count
    total, failed = done + count, 0
    options = force.options(count)

    def made(workers: int, threads: int, memory: str, answers: Callable[[Crew], Records]) -> int:
        """What a crew answers is recorded; returns the bytes of a worker."""
        nonlocal done, failed
        crew = crews.hired(workers, threads, memory)
        answered = _counted(answers(crew), box := [0])
        failed += run.carry_out(answered, on_progress, done, total)
        done += box[0]
        return crew.memory

    most, memory = 1 << 30, "all"
    with _Crews(run) as crews:
        if force.budget is not None:
            for memory in ("all", "free"):  # one sound tells what a worker needs
                needed = made(1, options[0][1], memory, lambda crew: crew.answers(islice(units, 1)))
                if most := _fitting(needed, force.budget):
                    break
            else:
                raise EdgeAudioError(
                    f"a worker needs {needed / 1e6:.0f} MB, and the memory budget is"
                    f" {force.budget / 1e6:.0f} MB; give more, or shorter sounds"
                )
        for option in options if len(options) > 1 else ():
            if most < 1:
                break
            workers, threads = min(option[0], most), option[1]
            measured = functools.partial(_measured, units, workers, force, option)
            needed = made(workers, threads, memory, measured)
            if force.budget is None:
                most = _fitting(needed, None, workers)
        workers, threads = _best(force.rates) or options[0]
        if most < 1:
            most, memory = 1, "free"
        if done < total:
            made(min(workers, most), threads, memory, lambda crew: crew.answers(units))
    return failed


class _Crews:
    """The crew at work: one at a time, which stays as long as the same is wanted."""

    def __init__(self, run: Run):
        self.run = run
        self.crew: Crew | None = None
        self.what: tuple[int, int, str] | None = None

    def __enter__(self) -> _Crews:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.crew:
            self.crew.__exit__(*exception)

    def hired(self, *what: Any) -> Crew:
        """So many workers of so many threads, and what stays in their memory."""
        if self.crew is None or what != self.what:
            self.__exit__()
            self.crew, self.what = Crew(self.run.job, self.run.place.url, *what), what
        return self.crew


def _measured(
    units: Iterator[Unit], workers: int, force: Force, option: tuple[int, int], crew: Crew
) -> Records:
    """Answers, and how many came a second once all workers were there: the work of a measurement is
    kept like any other.
    """
    begin, count, until = 0.0, 0, [float("inf")]
    answers = crew.answers(units, lambda: time.monotonic() > until[0])
    for number, answer in enumerate(answers):
        yield answer
        now = time.monotonic()
        if number + 1 == workers:
            begin, until[0] = now, max(now + MEASURED, now)
        elif number >= workers and now <= until[0]:
            count, last = count + 1, now
            force.rates[option] = count / (last - begin)


def _counted(answers: Records, box: list[int]) -> Records:
    for answer in answers:
        box[0] += 1
        yield answer


def _best(rates: dict[tuple[int, int], float]) -> tuple[int, int] | None:
    """The fastest; of nearly equal ones that with the most workers."""
    if not rates:
        return None
    fastest = max(rates.values())
    return max(option for option, rate in rates.items() if rate * BETTER >= fastest)


def _fitting(memory: int, budget: int | None, at_work: int = 0) -> int:
    """Workers of so many bytes that fit into the budget, or else into their share of what is free
    and what those at work already have. Of workers that told nothing, since they died or the system
    does not say, one fits into any budget.
    """
    if not memory:
        return 1 << 30 if budget is None else 1
    if budget is not None:
        return budget // memory
    free = device.memory().available
    return int(SHARE * (free + at_work * memory)) // memory if free else 1 << 30


def parse_shard(text: str) -> tuple[int, int]:
    """ "2/8"; UsageError for what is none."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"shard {text[:20]!r} is none; write it as 1/8 to 8/8")
    return int(match[1]), int(match[2])


def _state(place: Place) -> Path:
    """Where a run keeps its plan and its journal: in its folder, or, of a place that is no folder,
    in the cache of the user.
    """
    if place.folder is not None:
        return place.folder / STATE
    folder = cache.folder()
    if folder is None:
        raise EdgeAudioError(
            f"the journal of {place.name} is kept in the cache folder, and there is none; set"
            f" ${cache.VARIABLE} to a folder"
        )
    return folder / "batch" / hashlib.sha256(place.url.encode()).hexdigest()[:16]


def _check_same(place: Place, state: Path, job: Job) -> None:
    """EdgeAudioError if what is there was made otherwise, or is not a run's."""
    path, folder = state / JOB, place.folder
    if not path.exists():
        others = [name for name in os.listdir(folder) if name != STATE] if _is_dir(folder) else []
        if others:
            raise EdgeAudioError(
                f"{folder} holds other files, such as {others[0]}; name a new folder"
            )
        if folder is not None and folder.exists() and not folder.is_dir():
            raise EdgeAudioError(f"{folder} is a file; name a new folder")
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise EdgeAudioError(f"{path} is damaged; name a new folder") from None
    now = json.loads(json.dumps(job.identity))
    differing = [name for name in now if before.get(name) != now[name]]
    if differing:
        name = differing[0]
        raise EdgeAudioError(
            f"{place.name} was made with another {name.replace('_', ' ')}"
            f" ({str(before.get(name))[:60]}, now {str(now[name])[:60]}); give the same, or name a"
            " new folder"
        )


def _discard_unclaimed(place: Place, state: Path) -> None:
    if place.folder is not None and not (state / JOB).exists():
        shutil.rmtree(place.folder, ignore_errors=True)


def _is_dir(folder: Path | None) -> bool:
    return folder is not None and folder.is_dir()


@contextlib.contextmanager
def _locked(path: Path, place: Place) -> Iterator[None]:
    """EdgeAudioError if another run is at work there; a run that was killed holds no lock."""
    with path.open("a", encoding="utf-8") as file:
        try:
            processes.lock(file.fileno())
        except OSError:
            raise EdgeAudioError(
                f"another run is at work in {place.name}; wait for it, or stop it"
            ) from None
        yield
