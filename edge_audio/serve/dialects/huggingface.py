"""Hugging Face's inference: `{inputs, parameters}` to `/models/{id}`, or to `/` for the model that
is used when none is named.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AliasChoices, Field
from starlette.requests import Request
from starlette.responses import Response

from edge_audio.serve.answers import sound_answer
from edge_audio.serve.audio import TYPES, formats
from edge_audio.serve.dialects.shapes import HUGGINGFACE
from edge_audio.serve.dialects.wish import Spoken, Wish, fulfilled
from edge_audio.serve.refusal import Refused
from edge_audio.serve.uploads import parsed, read_json

router = APIRouter(include_in_schema=False)
#: what their own endpoints answer
_USUAL_FORMAT = "flac"


class Inference(Spoken):
    """The body. Other fields count as parameters, since some clients send them so."""

    inputs: Annotated[str, Field(max_length=10_000)]
    parameters: dict[str, Any] | None = None


class Parameters(Spoken):
    """Settings under the names of diffusers' pipelines and under ours."""

    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None, validation_alias=AliasChoices("seconds", "duration", "audio_end_in_s")
    )
    steps: Annotated[int, Field(ge=1)] | None = Field(
        None, validation_alias=AliasChoices("steps", "num_inference_steps")
    )
    cfg_scale: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(
        None, validation_alias=AliasChoices("cfg_scale", "guidance_scale")
    )
    negative: str | None = Field(None, validation_alias=AliasChoices("negative", "negative_prompt"))
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] | None = None
    sampler: str | None = None
    output_format: str | None = None


@router.post("/")
async def endpoint(request: Request) -> Response:
    """A clip by the model that is used when none is named."""
    return await _answer(request, None)


@router.post(HUGGINGFACE + "{id:path}")
async def inference(request: Request, id: str) -> Response:
    """A clip by a model."""
    return await _answer(request, id)


async def _answer(request: Request, id: str | None) -> Response:
    spoken = await read_json(request, Inference)
    given = {**(spoken.parameters or {}), **(spoken.model_extra or {})}
    asked = parsed(json.dumps(given), Parameters)
    try:
        wish = Wish(request.app.state.studio, id)
    except Refused as error:
        if error.code == "model_not_found":
            raise Refused(404, error.code, str(error), error.field) from None
        raise
    wish.ignore(asked)
    wish.set_seconds("seconds", asked.seconds)
    wish.set_steps("steps", asked.steps)
    for name in ("cfg_scale", "negative", "seed", "sampler"):
        if (value := getattr(asked, name)) is not None:
            wish.settings[name] = value
    format = _format(asked.output_format, request.headers.get("accept", ""))
    job = await fulfilled(request, wish, spoken.inputs)
    return await sound_answer(request, job.id, 0, format, wish.headers(job))


def _format(named: str | None, accepted: str) -> str:
    """That of the parameters, else the first that the client accepts, else theirs."""
    if named is not None:
        if named not in formats():
            known = ", ".join(formats())
            raise Refused(422, "format", f"output_format is none of {known}", "output_format")
        return named
    for entry in accepted.split(","):
        kind = entry.partition(";")[0].strip().lower()
        for format in formats():
            if TYPES[format] == kind:
                return format
    return _USUAL_FORMAT
