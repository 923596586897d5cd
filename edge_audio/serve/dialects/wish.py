"""What the dialects have in common: a wish in another service's words, and how it is fulfilled."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from anyio.to_thread import run_sync
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request as HttpRequest

from edge_audio.errors import EdgeAudioError
from edge_audio.request import Request
from edge_audio.serve.following import failure, reached
from edge_audio.serve.jobs import DONE, Job, Order
from edge_audio.serve.models import Entry
from edge_audio.serve.refusal import Refused
from edge_audio.serve.safety import client_of
from edge_audio.serve.studio import Studio

#: the header of an answer that says what was changed of a wish, and what the clip's notes say
NOTES = "X-Edge-Audio-Notes"
#: characters of that header, and of a name in it
_LONGEST, _LONGEST_NAME = 1000, 40


class Spoken(BaseModel):
    """A body in another service's words. Fields that are not described are ignored, and noted."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


class Wish:
    """Settings for the library, and notes on what had to be changed of them."""

    def __init__(self, studio: Studio, name: str | None, theirs: tuple[str, ...] = ()):
        """name: of a model. theirs: how names of the service's own models begin, in whose place
        the default one works. Refused if it is neither of those nor here.
        """
        self.studio, self.notes = studio, list[str]()
        self.settings: dict[str, Any] = {}
        self.entry = self._model(name, theirs)

    def ignore(self, spoken: Spoken, *names: str) -> None:
        """Note what has no meaning here: these fields if they were given, and all unknown ones."""
        given = [name for name in names if getattr(spoken, name) is not None]
        unknown = sorted(spoken.model_extra or ())
        for name in [*given, *unknown]:
            self.notes.append(f"{name[:_LONGEST_NAME]} was ignored")

    def clamp(self, name: str, value: float, least: float, most: float) -> float:
        """The nearest that is possible here, noted if that is another one."""
        possible = min(max(value, least), most)
        if possible != value:
            self.notes.append(f"{name} {value:g} was set to {possible:g}")
        return possible

    def set_seconds(self, name: str, value: float | None) -> None:
        """The duration; None for the model's usual one."""
        if value is not None:
            longest = self.entry.bundle.manifest.max_seconds
            self.settings["seconds"] = self.clamp(name, value, 0.0, longest)

    def set_steps(self, name: str, value: int | None) -> None:
        """The steps; None for the model's usual number."""
        if value is not None:
            most = self.studio.config.max_steps
            self.settings["steps"] = int(self.clamp(name, value, 1, most))

    def request(self, prompt: str) -> Request:
        """As the library wants it; Refused for a setting that this version of it has not."""
        known = {field.name for field in dataclasses.fields(Request)}
        for name in self.settings.keys() - known:
            raise Refused(422, "unsupported", f"{name} is nothing that this version can do", name)
        return Request(prompt, **self.settings)

    def order(self, prompt: str) -> Order:
        """One clip of it."""
        return Order(self.request(prompt), self.entry.id)

    def headers(self, job: Job) -> dict[str, str]:
        """Which job it became, its seed, and the notes."""
        notes = [*self.notes, *(note["text"] for note in job.notes)]
        headers = {"X-Job-Id": job.id, "X-Seed": str(job.settings.seed)}
        if notes:
            line = str(EdgeAudioError("; ".join(notes)))[:_LONGEST]
            headers[NOTES] = line.encode("ascii", "replace").decode()
        return headers

    def _model(self, name: str | None, theirs: tuple[str, ...]) -> Entry:
        models = self.studio.models
        if name is not None and name.startswith(theirs) and theirs:
            found = next((entry for entry in models.all() if entry.id == name), None)
            if found is not None:
                return found
            self.notes.append(f"{name[:_LONGEST_NAME]} is not here; {models.default} made it")
            name = None
        return models.get(name)


async def submitted(request: HttpRequest, wish: Wish, prompt: str) -> Job:
    """The job of a wish, which waits its turn."""
    order = wish.order(prompt)
    return await run_sync(wish.studio.submit, order, client_of(request.scope))


async def fulfilled(request: HttpRequest, wish: Wish, prompt: str) -> Job:
    """The job of a wish when its clip is there. A client that hangs up cancels it; Refused if it
    fails.
    """
    job = await submitted(request, wish, prompt)
    await reached(wish.studio, job, request, lambda: job.is_over)
    if job.state != DONE:
        raise failure(job)
    return job


def renamed(error: Refused, names: Mapping[str, str]) -> Refused:
    """The same refusal with the field's name in the dialect."""
    field = names.get(error.field or "", error.field)
    return Refused(error.status, error.code, str(error), field, error.headers)
