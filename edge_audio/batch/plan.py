"""The plan of a run: every row of a list read, completed and checked before the first sound is
made, and written to disk, where the run reads it one row at a time.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_audio.audio.source import Source
from edge_audio.batch.columns import (
    ALIASES,
    OF_LISTS,
    PROMPTS,
    SETTINGS,
    ColumnError,
    check_columns,
    no_prompt,
    value_of,
)
from edge_audio.batch.job import Job, Unit
from edge_audio.batch.rows import HEADED, read_rows
from edge_audio.batch.styles import Stamp, Styles, stamp
from edge_audio.batch.templates import Attributes, expanded
from edge_audio.batch.wanted import Hearing
from edge_audio.errors import EdgeAudioError, UsageError, first_line
from edge_audio.pipeline import Pipeline
from edge_audio.request import Request
from edge_audio.values import file_stem, is_whole, shown, words_of

#: rows that cannot be made, of which each is told
TOLD = 1000
#: characters of a name that is given
LONGEST_NAME = 120
#: takes of a row
MOST_TAKES = 100_000
#: share of the free disk that a run may fill
ROOM = 0.95
#: words of a file name in which `datasets` sees a split, and then loads no other files
SPLITS = frozenset("train training test testing eval evaluation valid validation val dev".split())
_NAME = re.compile(r"[^\W_][\w .+#'()&=,-]*")


@dataclass(frozen=True)
class Choices:
    """How a list is read, beside what it says.

    settings: of rows that say nothing of them, by their names in `Request`. attributes: values that
    templates name. sample: prompts drawn of each template. carry: columns that only go to the
    metadata.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    variations: int = 1
    attributes: Attributes = field(default_factory=dict)
    sample: int | None = None
    carry: Sequence[str] = ()


@dataclass
class Plan:
    """A plan on disk. bad: (row, what is wrong), the first TOLD of `bad_rows`; of those with the
    same wrong column the first.
    """

    path: Path
    rows: int = 0
    units: int = 0
    seconds: float = 0.0
    bytes: float = 0.0
    work: float = 0.0
    #: units that can be judged
    judged: int = 0
    #: names in which `datasets` would see a split
    splits: int = 0
    bad_rows: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)

    def __iter__(self) -> Iterator[Unit]:
        """Its units, in the order of the list."""
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                unit = Unit.from_json(line)
                for take in range(1, unit.takes + 1):
                    yield unit if take == 1 else dataclasses.replace(unit, take=take)

    def _count(self, unit: Unit, seconds: float) -> None:
        self.rows += 1
        self.units += unit.takes
        self.seconds += unit.takes * seconds
        self.work += unit.takes * unit.work
        self.judged += unit.takes * (unit.wanted is not None)
        self.splits += not SPLITS.isdisjoint(re.split(r"[-._ 0-9]", unit.name))


def make_plan(listed: Path, path: Path, pipeline: Pipeline, job: Job, choices: Choices) -> Plan:
    """Read and check a list, and write the plan to `path`.

    EdgeAudioError for a list that cannot be read, or whose header names a column that means
    nothing; rows that cannot be made are told by the plan.
    """
    needed = () if PROMPTS.intersection(choices.settings) else PROMPTS
    columns_told = set[str]()
    plan, reader = Plan(path), Reader(listed.parent, pipeline, job, choices)
    with path.open("w", encoding="utf-8") as file:
        for number, cells in read_rows(listed, needed):
            try:
                for unit, seconds in reader.units(number, cells):
                    file.write(unit.to_json() + "\n")
                    plan._count(unit, seconds)
            except EdgeAudioError as error:
                said = str(error)
                if isinstance(error, ColumnError) and listed.suffix.lower() in HEADED:
                    raise EdgeAudioError(f"{listed}: {said}") from None
                plan.bad_rows += 1
                if len(plan.bad) < TOLD and said not in columns_told:
                    plan.bad.append((number, said))
                if isinstance(error, ColumnError):
                    columns_told.add(said)
    manifest = pipeline.bundle.manifest
    frames = plan.seconds * manifest.sample_rate * manifest.channels
    plan.bytes = job.bytes_of(frames, manifest.sample_rate)
    return plan


def check_room(plan: Plan, folder: Path, made: float = 0.0) -> None:
    """EdgeAudioError if what is left to make does not fit on the disk; `made` is the share that is
    there.
    """
    needed, free = plan.bytes * (1 - made), shutil.disk_usage(folder).free
    if needed > ROOM * free:
        raise EdgeAudioError(
            f"the sounds need about {needed / 1e9:.1f} GB and {folder} has {free / 1e9:.1f} GB"
            " free; free some, or write --format ogg"
        )


class Reader:
    """Reads rows. folder: where the files are that they name.

    It remembers from row to row which rows and names were there, as hashes, so that a hundred
    thousand rows need ten megabytes.
    """

    def __init__(self, folder: Path, pipeline: Pipeline, job: Job, choices: Choices):
        self.folder, self.pipeline, self.job = folder, pipeline, job
        self.choices, self.manifest = choices, pipeline.bundle.manifest
        self.hearing = Hearing(pipeline.bundle)
        self.columns: set[str] = set()
        self.costs: dict[Any, tuple[float, float]] = {}
        self.same, self.names = Counter[int](), set[int]()
        self.styles = Styles(folder, pipeline.bundle)
        unknown = [name for name in choices.settings if name not in SETTINGS]
        check_columns(unknown, ())

    def units(self, row: int, cells: dict[str, Any]) -> Iterator[tuple[Unit, float]]:
        """The first takes of what a row becomes, and the seconds of each."""
        if not self.columns.issuperset(cells):
            self._check_columns(cells)
            self.columns.update(cells)
        carried = {name: cells.pop(name) for name in self.choices.carry if name in cells}
        given = {ALIASES.get(name, name): cell for name, cell in cells.items()}
        values = {name: value_of(name, cell) for name, cell in given.items()}
        of_list = {name: values.pop(name, None) for name in OF_LISTS}
        ask = {**self.choices.settings, **values}
        if ask.get("prompt") is None and ask.get("ids") is None:
            raise UsageError("there is no prompt; give a column prompt")
        if not isinstance(ask.get("prompt"), str) and ask.get("ids") is None:
            raise UsageError(f"prompt {shown(ask['prompt'])} is no text")
        takes = of_list["variations"] or self.choices.variations
        if not is_whole(takes) or not 1 <= takes <= MOST_TAKES:
            raise UsageError(f"variations {shown(takes)} is out of range; use 1 to {MOST_TAKES}")
        template, seed = ask.pop("prompt", None), self.job.seed
        prompts: Iterator[tuple[str | None, dict[str, str]]] = iter([(None, {})])
        if template is not None:
            prompts = expanded(template, self.choices.attributes, self.choices.sample, seed)
        for prompt, attributes in prompts:
            asked = ask if prompt is None else {"prompt": prompt, **ask}
            yield self._unit(row, asked, of_list, attributes, carried, takes)

    def _check_columns(self, cells: dict[str, Any]) -> None:
        """ColumnError for an unknown column, or for what is in place of a prompt."""
        try:
            check_columns(cells, self.choices.carry)
        except ColumnError:
            if PROMPTS.isdisjoint([*cells, *self.choices.settings]):
                raise no_prompt(cells) from None
            raise

    def _unit(
        self,
        row: int,
        ask: dict[str, Any],
        of_list: dict[str, Any],
        attributes: dict[str, str],
        carried: dict[str, Any],
        takes: int,
    ) -> tuple[Unit, float]:
        sources: dict[str, Any] = {}
        lora = None
        if of_list["lora"] is not None:
            lora, sources["lora"] = self.styles.read(of_list["lora"])
        if ask.get("init") is not None:
            path = self.folder / str(ask["init"])
            source = _source(path, stamp(path))
            sources["init"], ask = source.sha256, {**ask, "init": str(path.resolve())}
            seconds, work = self._cost({**ask, "init": source})
        else:
            seconds, work = self._cost_of_text(ask)
        name = self._given_name(of_list["file_name"])
        given = of_list["attributes"] or (attributes if of_list["family"] else None)
        wanted = self.hearing.wanted(ask.get("prompt"), of_list["family"], given)
        said = {**ask, **sources, "": [name, wanted if of_list["family"] else None, carried]}
        text = json.dumps(said, sort_keys=True, default=str, separators=(",", ":"))
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        number = int(digest, 16)
        self.same[number] += 1
        if (twin := self.same[number]) > 1:
            digest = hashlib.sha256(f"{digest} {twin}".encode()).hexdigest()[:16]
        name = name or f"{_slug(ask.get('prompt'))}-{digest[:8]}"
        unit = Unit(row, digest, 1, takes, ask, name, wanted, carried, work, lora)
        self._check_names(unit)
        return unit, seconds

    def _cost_of_text(self, ask: dict[str, Any]) -> tuple[float, float]:
        """The same for rows that differ in their prompts alone, which most do: looked up."""
        prompt = ask.get("prompt")
        rest = tuple((name, value) for name, value in ask.items() if name != "prompt")
        key = prompt if prompt is None else bool(prompt.strip()), repr(rest)
        if key not in self.costs:
            if len(self.costs) > 1000:
                self.costs.clear()
            self.costs[key] = self._cost(ask)
        return self.costs[key]

    def _cost(self, ask: dict[str, Any]) -> tuple[float, float]:
        """Seconds, and work, of a request; UsageError or EdgeAudioError if it cannot be made."""
        try:
            settings = Request(**{"seed": 0, **ask}).resolved(self.manifest)
        except TypeError as error:
            raise UsageError(f"a value is of the wrong kind ({first_line(error)})") from None
        latents = settings.seconds * self.manifest.sample_rate / self.manifest.latent.downsampling
        if not settings.is_windowed(self.manifest):
            latents = settings.latents(self.manifest)
        return settings.seconds, float(settings.steps * latents)

    def _given_name(self, given: Any) -> str | None:
        """A file name of the list, without its extension."""
        if given is None:
            return None
        if not isinstance(given, str) or "/" in given or "\\" in given:
            raise UsageError(f"file_name {shown(given)} has a path in it; give a bare name")
        name = given.removesuffix(self.job.extension)
        if not _NAME.fullmatch(name) or len(name.encode()) > LONGEST_NAME or name.endswith("."):
            raise UsageError(
                f"file_name {shown(given)} is no name for a file; use letters, digits and hyphens"
            )
        if re.search(r"\.(wav|flac|ogg|mp3|opus)$", name, re.IGNORECASE):
            raise UsageError(
                f"file_name {shown(given)} has another extension than {self.job.extension}; leave"
                " it out, or give --format"
            )
        if self.job.shard_size and "." in name:
            raise UsageError(f"file_name {shown(given)} has a dot, where WebDataset splits names")
        return name

    def _check_names(self, unit: Unit) -> None:
        """UsageError for a name that another row has, on file systems without case, too."""
        takes = range(1, unit.takes + 1)
        stems = [unit.stem_of(take).casefold() for take in takes]
        if unit.stem.casefold() in ("metadata", "report"):
            raise UsageError(f"file_name {unit.name} is taken by the run's own files")
        hashes = {hash(stem) for stem in stems}
        if not self.names.isdisjoint(hashes):
            raise UsageError(f"file_name {unit.name} is another row's; names must differ")
        self.names |= hashes


def _slug(prompt: str | None) -> str:
    """What stands for a prompt in a name. None of SPLITS: "a train" is named "a-trains"."""
    words = words_of(prompt)
    return file_stem(f"{word}s" if word.rstrip("0123456789") in SPLITS else word for word in words)


@functools.lru_cache(maxsize=8)
def _source(path: Path, stamped: Stamp) -> Source:
    return Source.of(path)
