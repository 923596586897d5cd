"""OpenAI's speech, whose input is a prompt here: `POST /v1/audio/speech`, `GET /v1/models/{id}`
(the list of models is the server's own).
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterable
from typing import Annotated, Any, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from edge_audio.audio.finish import Finish
from edge_audio.serve.answers import EVENTS, head_of, sound_answer, stream_answer
from edge_audio.serve.audio import check_format, formats
from edge_audio.serve.dialects.shapes import OPENAI
from edge_audio.serve.dialects.wish import Spoken, Wish, fulfilled, renamed, submitted
from edge_audio.serve.following import blocks, failure, give_up, has_block, reached
from edge_audio.serve.jobs import Blocks, Job
from edge_audio.serve.refusal import Refused, not_found
from edge_audio.serve.uploads import read_json

router = APIRouter(include_in_schema=False)
#: how their models' names begin
_THEIRS = ("tts-", "gpt-")
#: what their pcm is
_PCM = Finish(rate=24_000, channels=1)
#: bytes of an event
_PIECE = 16 << 10
_NAMES = {"prompt": "input", "format": "response_format"}


class Speech(Spoken):
    """The body; seconds, seed, steps and cfg_scale are ours (`extra_body`)."""

    input: Annotated[str, Field(min_length=1, max_length=4096)]
    model: str | None = None
    voice: Any = None
    instructions: str | None = None
    response_format: Annotated[str, Field(max_length=8)] = "mp3"
    speed: float | None = None
    stream_format: Literal["sse", "audio"] = "audio"
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] | None = None
    steps: Annotated[int, Field(ge=1)] | None = None
    cfg_scale: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


@router.post(f"{OPENAI}speech")
async def speech(request: Request) -> Response:
    """A clip of the input: as bytes, or as events. WAV comes while it is made."""
    spoken = await read_json(request, Speech)
    try:
        check_format(spoken.response_format, [*formats(), "pcm"])
        return await _answer(request, spoken)
    except Refused as error:
        raise renamed(error, _NAMES) from None


@router.get("/v1/models/{id:path}")
async def model(request: Request, id: str) -> JSONResponse:
    """One of the models."""
    found = await run_sync(request.app.state.studio.describe_models)
    for entry in found:
        if entry["id"] == id:
            return JSONResponse(entry)
    raise not_found("model")


def _wish(request: Request, spoken: Speech) -> Wish:
    wish = Wish(request.app.state.studio, spoken.model, _THEIRS)
    wish.ignore(spoken, "instructions")
    if spoken.speed not in (None, 1.0):
        wish.notes.append("speed was ignored")
    wish.set_seconds("seconds", spoken.seconds)
    wish.set_steps("steps", spoken.steps)
    for name in ("seed", "cfg_scale"):
        if (value := getattr(spoken, name)) is not None:
            wish.settings[name] = value
    return wish


async def _answer(request: Request, spoken: Speech) -> Response:
    wish, format = _wish(request, spoken), spoken.response_format
    is_told = spoken.stream_format == "sse"
    if format == "wav":
        job = await submitted(request, wish, spoken.input)
        await reached(wish.studio, job, request, lambda: has_block(job, 0))
        headers, stream = wish.headers(job), job.streams.get(0)
        if stream is None and not job.clips:
            raise failure(job)
        if stream is not None and is_told:
            return StreamingResponse(_live(wish, job, stream), headers=headers, media_type=EVENTS)
        if stream is not None:
            return stream_answer(wish.studio, job, stream, format, headers, owned=True)
    else:
        job = await fulfilled(request, wish, spoken.input)
    finish = _PCM if format == "pcm" else Finish()
    answer = await sound_answer(request, job.id, 0, format, wish.headers(job), finish)
    if not is_told:
        return answer
    told = b"".join(map(_delta, _pieces(bytes(answer.body)))) + _done()
    return Response(told, headers=wish.headers(job), media_type=EVENTS)


async def _live(wish: Wish, job: Job, stream: Blocks) -> AsyncIterator[bytes]:
    """Events of a clip that is being made."""
    try:
        yield _delta(head_of(stream))
        async for block in blocks(job, stream):
            yield _delta(block)
        yield _done()
    finally:
        if not stream.is_whole:
            give_up(wish.studio, job)


def _pieces(data: bytes) -> Iterable[bytes]:
    return (data[place : place + _PIECE] for place in range(0, len(data), _PIECE))


def _delta(data: bytes) -> bytes:
    return _event("speech.audio.delta", audio=base64.b64encode(data).decode())


def _done() -> bytes:
    """The end; nobody counts tokens here."""
    return _event(
        "speech.audio.done", usage={"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    )


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()
