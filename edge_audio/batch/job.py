"""What all rows of a run have in common, and what one worker is given: a unit, a row's take."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_audio.audio.finish import Finish
from edge_audio.audio.sound_file import FORMATS, check_quality, format_for
from edge_audio.bundle.store import file_sha256
from edge_audio.errors import UsageError
from edge_audio.model.model import FIT
from edge_audio.pipeline import Pipeline
from edge_audio.values import is_whole, shown
from edge_audio.version import __version__

#: styles, in the order in which they act: (file, strength)
Lora = tuple[tuple[str, float], ...]
#: takes that are made of a row until one passes
MOST_ATTEMPTS = 100


@dataclass(frozen=True)
class Job:
    """The settings of a run that change what comes out: all that a folder's sounds share."""

    #: folder of the bundle; where it lies changes nothing, which it is does
    model: str
    bundle_sha256: str
    precision: dict[str, str]
    half: bool
    #: of rows that name none of their own
    lora: Lora = ()
    seed: int = 0
    format: str = "flac"
    quality: float | None = None
    finish: dict[str, Any] = field(default_factory=dict)
    #: takes until one sounds as asked; 0: all are kept, unjudged
    attempts: int = 0
    #: sounds of a shard of WebDataset; 0: a folder
    shard_size: int = 0
    edge_audio: str = __version__

    @classmethod
    def of(cls, pipeline: Pipeline, **settings: Any) -> Job:
        """For an opened model; UsageError for what cannot be."""
        job = cls(
            model=str(pipeline.bundle.folder.resolve()),
            bundle_sha256=pipeline.bundle.sha256,
            precision=dict(pipeline.precision),
            half=pipeline.half,
            **settings,
        )
        for name, value in (("keep-passing", job.attempts), ("shard-size", job.shard_size)):
            if not is_whole(value) or value < 0:
                raise UsageError(f"{name} {shown(value)} is no count; use a whole number")
        if job.attempts > MOST_ATTEMPTS:
            raise UsageError(
                f"keep-passing {job.attempts} is too much; use {MOST_ATTEMPTS} or less"
            )
        format = format_for(f".{job.format}", job.format, "has no known format", dot="")
        if job.quality is not None:
            check_quality(job.quality, format, f".{job.format}")
        return dataclasses.replace(job, finish=Finish(**job.finish).entries)

    @property
    def identity(self) -> dict[str, Any]:
        """What has to be the same for a run to go on in a folder."""
        entries = dataclasses.asdict(self)
        del entries["model"]
        entries["lora"] = [[Path(file).name, file_sha256(file), by] for file, by in self.lora]
        return entries

    @property
    def extension(self) -> str:
        """Of its files."""
        return f".{self.format}"

    def open(self, threads: int | None, memory: str | int = FIT) -> Pipeline:
        """The model as this job has it."""
        return Pipeline.load(self.model, self.precision, threads, self.half, memory, lora=self.lora)

    def bytes_of(self, samples: float, rate: int) -> float:
        """Of files of so many samples at a rate, about."""
        share = 0.15 if FORMATS[self.extension].is_lossy else 0.7 if self.format == "flac" else 1.0
        written = float(self.finish.get("rate", rate))
        return samples * share * 2 * written / rate

    def to_json(self) -> str:
        """As a worker reads it."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Inverse of `to_json`."""
        entries = json.loads(text)
        return cls(**{**entries, "lora": _styles(entries["lora"])})


@dataclass(frozen=True)
class Unit:
    """One sound to be made: a take of a row. Its seed and its name come from what the row says, and
    from nothing else, so that it is the same wherever and whenever it is made.
    """

    #: line or row of the list
    row: int
    #: hash of what the row says, and which of the rows is meant that say the same
    id: str
    take: int
    takes: int
    #: settings of a `Request`, ready for JSON
    ask: dict[str, Any]
    #: without its extension
    name: str
    #: what it should be heard as: family and attributes
    wanted: tuple[str, dict[str, Any]] | None = None
    #: columns that only go to the metadata
    carried: dict[str, Any] = field(default_factory=dict)
    #: evaluations of the transformer times latents: what it costs, relative to others
    work: float = 1.0
    #: its own styles; None: those of the job
    lora: Lora | None = None

    @property
    def key(self) -> str:
        """Of this unit among all."""
        return f"{self.id}-{self.take}"

    @property
    def stem(self) -> str:
        """Of its file's name."""
        return self.stem_of(self.take)

    def stem_of(self, take: int) -> str:
        """The same of another take."""
        return f"{self.name}-{take}" if self.takes > 1 else self.name

    def seed(self, of_job: int, attempt: int) -> int:
        """Of an attempt, from 0: the row's own, which following takes count on from, else a hash's
        31 bits.
        """
        given = self.ask.get("seed")
        if given is not None and attempt == 0:
            return int(given) + self.take - 1
        text = f"{of_job} {self.id} {self.take} {attempt}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1

    def to_json(self) -> str:
        """One line."""
        return json.dumps(vars(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Unit:
        """Inverse of `to_json`."""
        entries = json.loads(text)
        wanted, lora = entries["wanted"], entries["lora"]
        more = {"wanted": wanted and (wanted[0], wanted[1]), "lora": lora and _styles(lora)}
        return cls(**{**entries, **more})


def _styles(entries: list[list[Any]]) -> Lora:
    return tuple((file, by) for file, by in entries)
