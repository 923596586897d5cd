"""A job on its way: what was ordered, what has happened, and who listens."""

from __future__ import annotations

import dataclasses
import secrets
import shlex
import threading
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from edge_audio.audio.sound_file import pcm16
from edge_audio.request import Request
from edge_audio.settings import Settings

QUEUED, RUNNING, DONE = "queued", "running", "done"
FAILED, CANCELLED, LOST = "failed", "cancelled", "lost"
#: states that nothing follows
FINAL = (DONE, FAILED, CANCELLED, LOST)


@dataclass(frozen=True)
class Order:
    """What a client wants: clips of a request, of seeds that follow each other."""

    request: Request
    model: str | None = None
    variations: int = 1
    precision: str | None = None
    #: names and strengths, in the order in which they act
    lora: tuple[tuple[str, float], ...] = ()
    #: the clip that `request.init` was read from, {"job", "clip"}, if it was one of the history
    origin: Mapping[str, Any] | None = None


class Event(NamedTuple):
    """Something that happened to a job; ids count from 0."""

    id: int
    kind: str
    data: dict[str, Any]


class Blocks:
    """A clip's audio while it is made: 16-bit little-endian PCM, block by block."""

    def __init__(self, frames: int, sample_rate: int, channels: int):
        self.frames, self.sample_rate, self.channels = frames, sample_rate, channels
        self.blocks: list[bytes] = []
        self._left = frames

    @property
    def is_whole(self) -> bool:
        """Whether nothing more will come."""
        return self._left <= 0

    def add(self, samples: np.ndarray) -> None:
        """A block of float32 [frames, channels], rounded as in a file. Peaks above full scale are
        cut: how far to turn a clip down is known only when it is whole.
        """
        self.blocks.append(pcm16(samples).astype("<i2").tobytes())
        self._left -= len(samples)


@dataclass(eq=False)
class Job:
    """A job that waits or runs, and for those who hold it, one that has ended. Safe for several
    threads.
    """

    order: Order
    settings: Settings
    model: str
    client: str
    id: str
    created: float = field(default_factory=time.time)
    state: str = QUEUED
    position: int | None = None
    finished: float | None = None
    started: float | None = None
    progress: dict[str, Any] | None = None
    clips: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, str]] = field(default_factory=list)
    error: dict[str, str] | None = None
    favourite: bool = False

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._events: list[Event] = []
        self._listeners: list[tuple[Callable[[], None], Container[str] | None]] = []
        self._stopped_as: str | None = None
        #: what was asked for, the seed filled in, ready for JSON
        self.asked = _asked(self.order, self.settings)
        #: of the clip that is being made, by its index
        self.streams: dict[int, Blocks] = {}

    @staticmethod
    def new_id(replica: str = "") -> str:
        """An id that nobody guesses."""
        return f"{replica}-{secrets.token_hex(10)}" if replica else secrets.token_hex(10)

    @property
    def is_over(self) -> bool:
        """Whether nothing will happen any more."""
        return self.state in FINAL

    @property
    def is_stopping(self) -> bool:
        """Whether it was cancelled, be it running still."""
        return self._stopped_as is not None

    @property
    def stopped_as(self) -> str:
        """The state that it ends in after it was stopped."""
        return self._stopped_as or CANCELLED

    def stop(self, state: str = CANCELLED) -> None:
        """Ask the one that runs it to end at the next step."""
        self._stopped_as = self._stopped_as or state

    def emit(self, kind: str, data: dict[str, Any]) -> Event:
        """Something has happened: keep it, and wake those who listen."""
        with self._lock:
            event = Event(len(self._events), kind, data)
            self._events.append(event)
            listeners = list(self._listeners)
        for wake, kinds in listeners:
            if kinds is None or kind in kinds:
                wake()
        return event

    def listen(
        self, wake: Callable[[], None], kinds: Container[str] | None = None
    ) -> Callable[[], None]:
        """`wake` is called, on any thread, after something of these kinds (None: anything) has
        happened; returns what ends it.
        """
        entry = wake, kinds
        with self._lock:
            self._listeners.append(entry)

        def end() -> None:
            with self._lock:
                self._listeners.remove(entry)

        return end

    @property
    def next_event(self) -> int:
        """The id of what will happen next; one thread at a time emits."""
        return len(self._events)

    def events_after(self, last: int = -1) -> list[Event]:
        """What has happened since the event of that id."""
        with self._lock:
            return self._events[last + 1 :]

    def move(self, position: int) -> None:
        """It has so many jobs before it now."""
        if position != self.position:
            self.position = position
            self.emit("queued", {"position": position})

    def view(self) -> dict[str, Any]:
        """As clients see it, ready for JSON."""
        return {
            "id": self.id,
            "state": self.state,
            "position": self.position if self.state == QUEUED else None,
            "model": self.model,
            "created": self.created,
            "finished": self.finished,
            "request": self.asked,
            "progress": self.progress if self.state == RUNNING else None,
            "clips": list(self.clips),
            "notes": list(self.notes),
            "error": self.error,
            "favourite": self.favourite,
            "command": command(self.asked, self.model),
        }

    def drop_sound(self) -> None:
        """Forget the samples that it was made from."""
        self.order = dataclasses.replace(self.order, request=Request())
        self.settings = dataclasses.replace(self.settings, init=None)


def _asked(order: Order, settings: Settings) -> dict[str, Any]:
    """Fields of `Request` that say something."""
    given: dict[str, Any] = {}
    for entry in dataclasses.fields(Request):
        value = getattr(order.request, entry.name)
        if entry.name != "init" and value != entry.default:
            given[entry.name] = value
    if settings.init is not None:
        given["init"] = dict(order.origin or {"file": settings.init.name})
    for name in ("model", "precision"):
        if getattr(order, name) is not None:
            given[name] = getattr(order, name)
    if order.lora:
        given["lora"] = [{"name": name, "strength": strength} for name, strength in order.lora]
    if order.variations > 1:
        given["variations"] = order.variations
    return {**_plain(given), "seed": settings.seed}


def _plain(value: Any) -> Any:
    """Tuples as lists: JSON has no others."""
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, (tuple, list)) else value


#: the command line's names of settings that have another one there
_FLAGS = {"cfg_scale": "--cfg"}


def command(asked: Mapping[str, Any], model: str, seed: int | None = None) -> str:
    """The command line that makes it again. seed: of one clip of several."""
    words = ["edge-audio", "generate"]
    if "prompt" in asked:
        words.append(asked["prompt"])
    given = {**asked, "model": model}
    if seed is not None:
        given = {name: value for name, value in given.items() if name != "variations"}
        given["seed"] = seed
    for name, value in given.items():
        flag = _FLAGS.get(name, f"--{name.replace('_', '-')}")
        if name == "prompt" or (name == "model" and value == "pocket"):
            continue
        if name == "limiter":
            words += [flag, "on" if value else "off"]
        elif value is True:
            words.append(flag)
        elif name in ("replace", "keep"):
            for begin, end in value:
                words += [flag, f"{_number(begin)}-{_number(end)}"]
        elif name == "lora":
            for style in value:
                words += [flag, f"{style['name']}={_number(style['strength'])}"]
        elif name == "ids":
            words += [flag, ",".join(map(str, value))]
        elif name == "init":
            words += [
                flag,
                value["file"] if "file" in value else clip_name(value["job"], value["clip"]),
            ]
        elif value is not False:
            words += [flag, _number(value)]
    return shlex.join(words)


def _number(value: Any) -> str:
    """As people write it: 4 and not 4.0."""
    return str(value).removesuffix(".0")


def clip_name(job: str, index: int, extension: str = "flac") -> str:
    """The file that holds a clip, here and where it was downloaded."""
    return f"{job}-{index}.{extension}"
