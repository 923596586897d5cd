"""Stability's `POST /v2beta/audio/stable-audio-2/text-to-audio`, `audio-to-audio` and `inpaint`."""

from __future__ import annotations

import base64
import json
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge_audio.audio.source import Source
from edge_audio.serve.answers import sound_answer
from edge_audio.serve.audio import check_format
from edge_audio.serve.dialects.shapes import STABILITY
from edge_audio.serve.dialects.wish import Spoken, Wish, fulfilled, renamed
from edge_audio.serve.refusal import Refused
from edge_audio.serve.uploads import parsed, read_form

router = APIRouter(include_in_schema=False)
_PATH = f"{STABILITY}audio/stable-audio-2/"
#: how their models' names begin
_THEIRS = ("stable-audio-2",)
_FORMATS = ("mp3", "wav")
#: of their inpainting, in seconds
_MASK = 30.0, 190.0
#: least strength: their 0 is the sound itself, which needs no model
_LEAST_STRENGTH = 0.01
_NAMES = {
    "init": "audio",
    "seconds": "duration",
    "replace": "mask_start",
    "format": "output_format",
}

Number = Annotated[float, Field(allow_inf_nan=False)]


class Form(Spoken):
    """The form, but for the sound."""

    prompt: Annotated[str, Field(min_length=1, max_length=10_000)]
    model: str | None = None
    duration: Annotated[Number, Field(gt=0)] | None = None
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] | None = None
    steps: Annotated[int, Field(ge=1)] | None = None
    cfg_scale: Annotated[Number, Field(ge=0)] | None = None
    output_format: str = "mp3"
    strength: Annotated[Number, Field(ge=0, le=1)] | None = None
    mask_start: Annotated[Number, Field(ge=0)] = _MASK[0]
    mask_end: Annotated[Number, Field(ge=0)] = _MASK[1]


@router.post(f"{_PATH}text-to-audio")
async def text_to_audio(request: Request) -> Response:
    """A clip of the prompt."""
    return await _answer(request, needs_audio=False)


@router.post(f"{_PATH}audio-to-audio")
async def audio_to_audio(request: Request) -> Response:
    """A clip that starts from another sound. strength 0 would be that sound, 1 none of it."""
    return await _answer(request)


@router.post(f"{_PATH}inpaint")
async def inpaint(request: Request) -> Response:
    """A sound of which the seconds from mask_start to mask_end are made anew."""
    return await _answer(request, is_masked=True)


async def _answer(request: Request, needs_audio: bool = True, is_masked: bool = False) -> Response:
    try:
        with request.app.state.uploads.receiving():
            form = await read_form(request)
        spoken = parsed(json.dumps(_fields(form)), Form)
        check_format(spoken.output_format, _FORMATS)
        wish = Wish(request.app.state.studio, spoken.model, _THEIRS)
        wish.ignore(spoken)
        _settle(wish, spoken)
        if needs_audio:
            source = await _audio(request, form)
            (_mask if is_masked else _start)(wish, spoken, source)
        job = await fulfilled(request, wish, spoken.prompt)
        headers = {**wish.headers(job), "finish-reason": "SUCCESS", "seed": str(job.settings.seed)}
        answer = await sound_answer(request, job.id, 0, spoken.output_format, headers)
    except Refused as error:
        # a field that is wrong is 400 there
        status = 400 if error.status == 422 else error.status
        problem = renamed(error, _NAMES)
        raise Refused(status, error.code, str(error), problem.field, error.headers) from None
    if not request.headers.get("accept", "").lower().startswith("application/json"):
        return answer
    sound = base64.b64encode(bytes(answer.body)).decode()
    body = {"audio": sound, "finish_reason": "SUCCESS", "seed": job.settings.seed}
    return JSONResponse(body, headers=headers)


def _fields(form: FormData) -> dict[str, str]:
    """Its texts; files are none, such as the empty one by which clients ask for a form."""
    return {name: value for name, value in form.items() if isinstance(value, str)}


def _settle(wish: Wish, spoken: Form) -> None:
    wish.set_seconds("duration", spoken.duration)
    wish.set_steps("steps", spoken.steps)
    if spoken.cfg_scale is not None:
        wish.settings["cfg_scale"] = spoken.cfg_scale
    if spoken.seed:  # 0 is a random one there
        wish.settings["seed"] = spoken.seed


async def _audio(request: Request, form: FormData) -> Source:
    file = form.get("audio")
    if not isinstance(file, UploadFile):
        raise Refused(400, "audio", "audio: the form has no sound file of that name", "audio")
    found: Source = await request.app.state.uploads.source(file)
    return found


def _start(wish: Wish, spoken: Form, source: Source) -> None:
    if "seconds" not in wish.settings:
        wish.set_seconds("the sound's length", source.seconds)
    strength = 1.0 if spoken.strength is None else spoken.strength
    wish.settings["strength"] = wish.clamp("strength", strength, _LEAST_STRENGTH, 1.0)
    wish.settings["init"] = source


def _mask(wish: Wish, spoken: Form, source: Source) -> None:
    if spoken.strength is not None:
        wish.notes.append("strength was ignored")
    seconds = wish.settings.get("seconds", source.seconds)
    end = wish.clamp("mask_end", spoken.mask_end, 0.0, seconds)
    if spoken.mask_start >= end:
        raise Refused(
            400,
            "invalid",
            f"mask_start {spoken.mask_start:g} is not before mask_end {end:g}, within the sound of"
            f" {seconds:g} seconds",
            "mask_start",
        )
    wish.settings["replace"] = ((spoken.mask_start, end),)
    wish.settings["init"] = source
