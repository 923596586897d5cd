"""`/v1/jobs`: order, follow, hear, change, cancel; and `/v1/generate`, all of it in one request."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from edge_audio.audio.finish import LOUDNESS, RATES, Finish
from edge_audio.serve.answers import (
    AUDIO,
    EVENTS,
    described,
    order_body,
    sound_answer,
    stream_answer,
)
from edge_audio.serve.audio import STREAMED, check_format
from edge_audio.serve.following import failure, following, has_block, reached
from edge_audio.serve.jobs import DONE, FINAL, Event, Job, Order
from edge_audio.serve.refusal import Refused, not_found
from edge_audio.serve.safety import client_of
from edge_audio.serve.schema import ID, Change, JobOrder
from edge_audio.serve.studio import MOST_VARIATIONS, Studio
from edge_audio.serve.uploads import parsed, read_form, read_json

router = APIRouter(tags=["jobs"])
JobId = Annotated[str, Path(pattern=ID)]
#: seconds after which a quiet stream of events says that it is still there
_STILL_THERE = 15.0


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Listing(_Query):
    """Which jobs."""

    query: Annotated[str, Field(max_length=400)] = ""
    favourite: bool | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    before: Annotated[str, Field(pattern=ID)] | None = None


class ClipQuery(_Query):
    """Which clip, and as what."""

    clip: Annotated[int, Field(ge=0, lt=MOST_VARIATIONS)] = 0
    format: Annotated[str, Field(max_length=8)] = "wav"
    channels: Annotated[int, Field(ge=1, le=2)] | None = None
    trim: bool = False
    rate: Annotated[int, Field(ge=RATES[0], le=RATES[1])] | None = None
    #: LUFS
    normalize: (
        Annotated[float, Field(ge=LOUDNESS[0], le=LOUDNESS[1], allow_inf_nan=False)] | None
    ) = None


class StreamQuery(_Query):
    """Which clip, and as what, while it is made."""

    clip: Annotated[int, Field(ge=0, lt=MOST_VARIATIONS)] = 0
    format: Literal["wav", "pcm"] = "wav"


class GenerateQuery(_Query):
    """As what."""

    format: Annotated[str, Field(max_length=8)] = "wav"
    stream: bool = False


@router.post("/v1/jobs", status_code=202, **described("Order clips", order_body()))
async def order(request: Request) -> JSONResponse:
    """Order clips: JSON, or a form with that JSON as `job` and a sound file as `init`. The answer
    comes at once; follow it by its events.
    """
    job = await ordered(request)
    return JSONResponse(job.view(), 202, headers={"Location": f"/v1/jobs/{job.id}"})


@router.post("/v1/generate", **described("Make a clip", order_body(), kinds=AUDIO))
async def generate(request: Request, query: Annotated[GenerateQuery, Query()]) -> Response:
    """Make a clip and answer with its sound: whole, or while it is made (`stream`, as `wav`). Who
    hangs up cancels it. `X-Job-Id` names the job, which stays in the history.
    """
    studio: Studio = request.app.state.studio
    check_format(query.format, STREAMED if query.stream else None)
    job = await ordered(request)
    headers = {"X-Job-Id": job.id, "X-Seed": str(job.settings.seed)}
    if query.stream:
        await reached(studio, job, request, lambda: has_block(job, 0))
        if stream := job.streams.get(0):
            return stream_answer(studio, job, stream, query.format, headers, owned=True)
    else:
        await reached(studio, job, request, lambda: job.is_over)
    if job.state != DONE and not (query.stream and job.clips):
        raise failure(job)
    return await sound_answer(request, job.id, 0, query.format, headers)


@router.get("/v1/jobs", **described("List the history"))
async def listing(request: Request, query: Annotated[Listing, Query()]) -> JSONResponse:
    """The newest first; what waits or runs is among them, with its progress."""
    studio: Studio = request.app.state.studio
    jobs, more = await run_sync(
        studio.history.page, query.query, query.favourite, query.limit, query.before or ""
    )
    return JSONResponse({"jobs": [_current(studio, job) for job in jobs], "more": more})


@router.get("/v1/jobs/{id}", **described("Show a job"))
async def show(request: Request, id: JobId) -> JSONResponse:
    """A job as it is now."""
    return JSONResponse(await run_sync(request.app.state.studio.view, id))


@router.patch("/v1/jobs/{id}", **described("Change a job", Change))
async def change(request: Request, id: JobId) -> JSONResponse:
    """A favourite stays whatever the limits of the history say."""
    wanted = await read_json(request, Change)
    return JSONResponse(await run_sync(request.app.state.studio.favour, id, wanted.favourite))


@router.delete("/v1/jobs/{id}", status_code=204, **described("Cancel or delete a job"))
async def remove(request: Request, id: JobId) -> Response:
    """Cancels what waits or runs, within one step; deletes what is over, and its clips."""
    await run_sync(request.app.state.studio.remove, id)
    return Response(status_code=204)


@router.get("/v1/jobs/{id}/events", **described("Follow a job", kinds=[EVENTS]))
async def events(request: Request, id: JobId) -> StreamingResponse:
    """Server-sent events from the beginning, or after `Last-Event-ID`: queued, stage, step, block,
    clip, and at the end one of done, failed, cancelled.
    """
    studio: Studio = request.app.state.studio
    given = request.headers.get("last-event-id", "")
    last = int(given) if re.fullmatch(r"[0-9]{1,9}", given) else -1
    job = studio.told(id)
    if job is not None:
        told = _live_events(job, last)
    else:
        found = await run_sync(studio.history.get, id)
        if found is None:
            raise not_found("job")
        told = _kept_events(*found, last)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(told, media_type=EVENTS, headers=headers)


@router.get("/v1/jobs/{id}/audio", **described("Download a clip", kinds=AUDIO))
@router.head("/v1/jobs/{id}/audio", include_in_schema=False)
async def audio(request: Request, id: JobId, query: Annotated[ClipQuery, Query()]) -> Response:
    """A clip as a file in any format of `/v1/info`, whole or a range of it: as it is, or with
    other channels, without silence at its ends, at another rate, at a loudness in LUFS.
    """
    check_format(query.format)
    finish = Finish(query.channels, query.trim, query.rate, query.normalize)
    return await sound_answer(request, id, query.clip, query.format, finish=finish)


@router.get("/v1/jobs/{id}/stream", **described("Hear a clip", kinds=AUDIO))
async def stream(request: Request, id: JobId, query: Annotated[StreamQuery, Query()]) -> Response:
    """A clip while it is made: 16-bit little-endian samples, behind a WAV header or without."""
    studio: Studio = request.app.state.studio
    if (job := studio.live(id)) is not None:
        if query.clip >= job.order.variations:
            raise not_found("clip")
        await reached(studio, job, request, lambda: has_block(job, query.clip), owned=False)
        if (blocks := job.streams.get(query.clip)) is not None and blocks.blocks:
            return stream_answer(studio, job, blocks, query.format)
        if query.clip >= len(job.clips):
            raise failure(job)
    return await sound_answer(request, id, query.clip, query.format)


async def ordered(request: Request) -> Job:
    """The job of a request's body."""
    studio: Studio = request.app.state.studio
    studio.check_room(client_of(request.scope))  # before anything is read
    wanted, upload = await _read(request)
    asked = wanted.request()
    origin = None
    if upload is not None:
        asked = dataclasses.replace(asked, init=await request.app.state.uploads.source(upload))
    elif wanted.init is not None:
        origin = {"job": wanted.init.job, "clip": wanted.init.clip}
        source = await run_sync(studio.source, wanted.init.job, wanted.init.clip)
        asked = dataclasses.replace(asked, init=source)
    wish = Order(asked, wanted.model, wanted.variations, wanted.precision, wanted.styles(), origin)
    return await run_sync(studio.submit, wish, client_of(request.scope))


async def _read(request: Request) -> tuple[JobOrder, UploadFile | None]:
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await read_json(request, JobOrder), None
    with request.app.state.uploads.receiving():
        form = await read_form(request)
    if set(form) - {"job", "init"} or len(form.multi_items()) != len(form):
        raise Refused(422, "invalid", "a form has one part `job` and one `init`, nothing else")
    text, file = form.get("job"), form.get("init")
    if not isinstance(text, str):
        raise Refused(422, "invalid", "the form has no part `job` with the JSON", "job")
    wanted = parsed(text, JobOrder)
    if file is not None and not isinstance(file, UploadFile):
        raise Refused(422, "invalid", "the part `init` is no file", "init")
    if file is not None and wanted.init is not None:
        raise Refused(422, "invalid", "give either a file or an earlier clip as init", "init")
    return wanted, file


def _current(studio: Studio, kept: dict[str, Any]) -> dict[str, Any]:
    """A job of a list, with the state and progress that it has now."""
    live = studio.live(kept["id"])
    if live is None:
        return kept
    now = live.view()
    return {**now, "clips": kept["clips"]}


async def _live_events(job: Job, last: int) -> AsyncIterator[bytes]:
    with following(job) as woken:
        while True:
            woken.clear()
            for event in job.events_after(last):
                yield _line(event)
                last = event.id
                if event.kind in FINAL:
                    return
            try:
                await asyncio.wait_for(woken.wait(), _STILL_THERE)
            except asyncio.TimeoutError:
                yield b": still here\n\n"


async def _kept_events(
    job: dict[str, Any], clips: dict[int, int], final: int, last: int
) -> AsyncIterator[bytes]:
    """What is left to tell of a job that is over: its clips, and how it ended."""
    told = [Event(clips[clip["index"]], "clip", clip) for clip in job["clips"]]
    for event in [*told, Event(max(final, last + 1), job["state"], job)]:
        if event.id > last:
            yield _line(event)


def _line(event: Event) -> bytes:
    return f"id: {event.id}\nevent: {event.kind}\ndata: {json.dumps(event.data)}\n\n".encode()
