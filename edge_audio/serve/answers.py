"""Answers that several routes give, and how they are described in `/openapi.json`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from anyio.to_thread import run_sync
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from edge_audio.audio.finish import Finish
from edge_audio.serve.audio import TYPES, Encoder, Sound, part, wav_header
from edge_audio.serve.following import blocks, give_up
from edge_audio.serve.jobs import Blocks, Job
from edge_audio.serve.refusal import not_found
from edge_audio.serve.schema import JobOrder
from edge_audio.serve.studio import Studio
from edge_audio.values import file_stem, words_of

PCM = "audio/pcm"
NOTHING = Finish()
AUDIO = (*TYPES.values(), PCM)
EVENTS, TEXT = "text/event-stream", "text/plain"
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_KINDS = {EVENTS: {"schema": {}}, TEXT: {"schema": {"type": "string"}}}
ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "field"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "field": {"type": ["string", "null"]},
            },
        }
    },
}
_REF = "#/components/schemas/{}"


async def sound_answer(
    request: Request,
    job: str,
    clip: int,
    format: str,
    headers: Mapping[str, str] | None = None,
    finish: Finish = NOTHING,
    quality: float | None = None,
) -> Response:
    """A clip of the history, finished and encoded on a thread: all of it or the range that was
    asked for. Refused if it is not there.
    """
    studio: Studio = request.app.state.studio
    encoder: Encoder = request.app.state.encoder

    def find() -> tuple[Sound, dict[str, Any]]:
        path, found = studio.history.path(job, clip), studio.history.get(job)
        entry = found and next((c for c in found[0]["clips"] if c["index"] == clip), None)
        if path is None or not entry:
            raise not_found("clip")
        if format == "pcm" and not finish.entries:
            return encoder.samples(path), entry["recipe"]
        sound = encoder.encoded(path, entry["recipe"], format, finish, quality)
        return sound, entry["recipe"]

    sound, recipe = await run_sync(find)
    data, etag = sound.data, sound.etag
    more = {
        "Content-Disposition": disposition(recipe, format),
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Cache-Control": "private, no-cache",
        **(headers or {}),
    }
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=more)
    fits = request.headers.get("if-range", etag) == etag
    wanted = part(request.headers.get("range"), len(data)) if fits else None
    media_type, status = TYPES.get(format, f"audio/{format}"), 200
    if wanted is not None:
        more["Content-Range"] = f"bytes {wanted[0]}-{wanted[1] - 1}/{len(data)}"
        data, status = data[slice(*wanted)], 206
    return Response(data, status, more, media_type)


def disposition(recipe: Mapping[str, Any], extension: str) -> str:
    """The name under which a clip is downloaded, as RFC 6266 has it: the prompt's words and the
    seed, "rain-on-a-roof-7.wav". Letters and digits of any language, nothing that a file system
    minds; in ASCII as well, for clients that read no other.
    """
    words = words_of(recipe.get("prompt"))

    def named(words: list[str]) -> str:
        return f"{file_stem(words)}-{recipe.get('seed', 0)}.{extension}"

    plain, full = named([word for word in words if word.isascii()]), named(words)
    other = "" if full == plain else f"; filename*=UTF-8''{quote(full)}"
    return f'inline; filename="{plain}"{other}'


def stream_answer(
    studio: Studio,
    job: Job,
    stream: Blocks,
    format: str,
    headers: Mapping[str, str] | None = None,
    owned: bool = False,
) -> Response:
    """A clip while it is made, as `wav` or `pcm`. owned: the job is cancelled when the client hangs
    up.
    """
    head = b"" if format == "pcm" else head_of(stream)
    size = len(head) + 2 * stream.frames * stream.channels

    async def body() -> AsyncIterator[bytes]:
        try:
            yield head
            async for block in blocks(job, stream):
                yield block
        finally:
            if owned and not stream.is_whole:
                give_up(studio, job)

    more = {"Content-Length": str(size), **(headers or {})}
    return StreamingResponse(body(), 200, more, PCM if format == "pcm" else TYPES["wav"])


def head_of(stream: Blocks) -> bytes:
    """The WAV header of a clip that is being made."""
    return wav_header(stream.frames, stream.sample_rate, stream.channels)


def order_body() -> dict[str, Any]:
    """The body of an order, in OpenAPI's words."""
    form = {
        "type": "object",
        "required": ["job"],
        "properties": {
            "job": {"$ref": _REF.format(JobOrder.__name__)},
            "init": {"type": "string", "format": "binary"},
        },
    }
    json_body = {"schema": {"$ref": _REF.format(JobOrder.__name__)}}
    form_body = {"schema": form, "encoding": {"job": {"contentType": "application/json"}}}
    content = {"application/json": json_body, "multipart/form-data": form_body}
    return {"required": True, "content": content}


def described(
    summary: str,
    body: type[BaseModel] | dict[str, Any] | None = None,
    kinds: Iterable[str] = (),
) -> dict[str, Any]:
    """What a route's decorator is told for `/openapi.json`. kinds: media types of its answers, if
    they are no JSON.
    """
    error = {
        "description": "what is wrong, and what to do",
        "content": {"application/json": {"schema": {"$ref": _REF.format("Error")}}},
    }
    responses: dict[int | str, Any] = {"default": error, "4XX": error, "503": error}
    if kinds:
        content = {kind: _KINDS.get(kind, _BINARY) for kind in kinds}
        responses[200] = {"description": "OK", "content": content}
    if kinds is AUDIO:
        responses[206] = {**responses[200], "description": "a range of it"}
    extra: dict[str, Any] = {}
    if isinstance(body, dict):
        extra = {"requestBody": body}
    elif body is not None:
        content = {"application/json": {"schema": {"$ref": _REF.format(body.__name__)}}}
        extra = {"requestBody": {"required": True, "content": content}}
    return {"summary": summary, "responses": responses, "openapi_extra": extra}
