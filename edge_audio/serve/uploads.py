"""What a client sends with an order: JSON alone, or with a sound file in a form."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from edge_audio.audio.source import Source
from edge_audio.serve.config import ServeConfig
from edge_audio.serve.decode import decoded
from edge_audio.serve.refusal import Refused
from edge_audio.serve.safety import JSON_BYTES

Schema = TypeVar("Schema", bound=BaseModel)
#: forms that arrive at once: each may fill a temporary file
_MOST_ARRIVING = 8
#: characters of a file's name that a recipe keeps
_LONGEST_NAME = 80


class Uploads:
    """Receives sound files, two at a time being decoded."""

    def __init__(self, config: ServeConfig):
        self._config = config
        self._turns = CapacityLimiter(2)
        self._arriving = 0

    @contextlib.contextmanager
    def receiving(self) -> Iterator[None]:
        """While a form arrives; Refused if too many do."""
        if self._arriving >= _MOST_ARRIVING:
            raise Refused(
                503, "busy", "too many files arrive at once", "init", {"Retry-After": "5"}
            )
        self._arriving += 1
        try:
            yield
        finally:
            self._arriving -= 1

    async def source(self, file: UploadFile) -> Source:
        """The sound of an uploaded file, under its own name; Refused if it is none."""
        if (file.size or 0) > self._config.upload_bytes:
            raise Refused(
                413,
                "too_large",
                f"a sound file has at most {self._config.upload_bytes} bytes here",
                "init",
            )
        return await run_sync(self._decoded, file, limiter=self._turns)

    def _decoded(self, file: UploadFile) -> Source:
        with _copied(file) as path:
            found = decoded(path, self._config.upload_seconds)
        return dataclasses.replace(found, name=_label(file.filename))


async def read_json(request: Request, schema: type[Schema]) -> Schema:
    """The body of a request that has nothing else; Refused if it is not as the schema says."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(
            415, "media_type", "send Content-Type: application/json, or a form with a file"
        )
    return parsed(await request.body(), schema)


async def read_form(request: Request) -> FormData:
    """A multipart form; Refused if it is none."""
    return await request.form(max_files=2, max_fields=100, max_part_size=JSON_BYTES)


def parsed(text: str | bytes, schema: type[Schema]) -> Schema:
    """JSON as a schema says; Refused with the first field that is wrong."""
    try:
        return schema.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    except RecursionError:
        raise Refused(422, "invalid", "the JSON is nested too deeply") from None
    place = ".".join(str(part) for part in first["loc"])[:100] or None
    code = "json" if first["type"] == "json_invalid" else "invalid"
    raise Refused(422, code, f"{place or 'the body'}: {first['msg'][:300]}", place)


@contextlib.contextmanager
def _copied(file: UploadFile) -> Iterator[Path]:
    """An upload in a file of ours, whose name is none of the client's."""
    with tempfile.TemporaryDirectory(prefix="edge-audio-upload-") as folder:
        path = Path(folder) / "sound"
        file.file.seek(0)
        with open(path, "wb") as copy:
            while piece := file.file.read(1 << 20):
                copy.write(piece)
        yield path


def _label(name: str | None) -> str:
    """What a recipe calls an upload: the last part of its name, of printable characters."""
    last = PurePosixPath((name or "").replace("\\", "/")).name
    label = "".join(c for c in last if c.isprintable() and json.dumps(c))[:_LONGEST_NAME]
    return label.encode(errors="replace").decode() or "sound"
