"""ElevenLabs' sound effects: `POST /v1/sound-generation`."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from edge_audio.audio.finish import Finish
from edge_audio.serve.answers import sound_answer
from edge_audio.serve.audio import RAW
from edge_audio.serve.dialects.shapes import ELEVENLABS
from edge_audio.serve.dialects.wish import Spoken, Wish, fulfilled, renamed
from edge_audio.serve.refusal import Refused
from edge_audio.serve.uploads import read_json

router = APIRouter(include_in_schema=False)
#: how their models' names begin
_THEIRS = ("eleven_",)
#: CODEC_RATE, of lossy ones CODEC_RATE_KBPS
_FORMATS = frozenset(
    [f"mp3_44100_{kbps}" for kbps in (32, 64, 96, 128, 192)]
    + [f"opus_48000_{kbps}" for kbps in (32, 64, 96, 128, 192)]
    + [f"{kind}_{hz}" for kind in ("pcm", "wav") for hz in (8000, 16000, 22050, 24000, 32000)]
    + [f"{kind}_{hz}" for kind in ("pcm", "wav") for hz in (44100, 48000)]
    + ["mp3_22050_32", "mp3_24000_48", "ulaw_8000", "alaw_8000"]
)
_USUAL_FORMAT = "mp3_44100_128"
#: their default influence, at which guidance is the model's own
_USUAL_INFLUENCE = 0.3
#: the bit rates between which libsndfile's quality goes, and the least quality that it takes
_KBPS = {"mp3": (32, 320), "opus": (6, 256)}
_NAMES = {
    "prompt": "text",
    "seconds": "duration_seconds",
    "cfg_scale": "prompt_influence",
    "model": "model_id",
    "format": "output_format",
}


class SoundGeneration(Spoken):
    """The body."""

    text: Annotated[str, Field(min_length=1)]
    duration_seconds: Annotated[float, Field(ge=0.5, le=30, allow_inf_nan=False)] | None = None
    prompt_influence: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    loop: bool | None = None
    model_id: str | None = None
    #: ours: the same seed makes the same sound
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] | None = None


@router.post(ELEVENLABS)
async def sound_generation(
    request: Request, output_format: Annotated[str, Query()] = _USUAL_FORMAT
) -> Response:
    """A clip of the text. Samples without a header (pcm, ulaw, alaw) have one channel."""
    if output_format not in _FORMATS:
        known = ", ".join(sorted(_FORMATS))
        raise Refused(422, "format", f"output_format is none of {known}", "output_format")
    spoken = await read_json(request, SoundGeneration)
    try:
        wish = Wish(request.app.state.studio, spoken.model_id, _THEIRS)
        wish.ignore(spoken)
        wish.set_seconds("duration_seconds", spoken.duration_seconds)
        if spoken.prompt_influence is not None:
            usual = wish.entry.bundle.manifest.defaults.cfg_scale
            wish.settings["cfg_scale"] = guidance(spoken.prompt_influence, usual)
        if spoken.loop:
            wish.settings["loop"] = True
        if spoken.seed is not None:
            wish.settings["seed"] = spoken.seed
        job = await fulfilled(request, wish, spoken.text)
        kind, finish, quality = finish_of(output_format)
        return await sound_answer(request, job.id, 0, kind, wish.headers(job), finish, quality)
    except Refused as error:
        raise renamed(error, _NAMES) from None


def guidance(influence: float, usual: float) -> float:
    """The guidance scale for a prompt_influence from 0 to 1: what the model's own adds to 1 is left
    out at 0, there at 0.3, which is their default, and doubled at 1; linear between.
    """
    if influence <= _USUAL_INFLUENCE:
        share = influence / _USUAL_INFLUENCE
    else:
        share = 1 + (influence - _USUAL_INFLUENCE) / (1 - _USUAL_INFLUENCE)
    return round(1 + (usual - 1) * share, 6)


def finish_of(output_format: str) -> tuple[str, Finish, float | None]:
    """Format, rate and channels, and the quality that comes nearest to a bit rate."""
    kind, *numbers = re.split("_", output_format)
    finish = Finish(rate=int(numbers[0]), channels=1 if kind in RAW else None)
    if len(numbers) == 1:
        return kind, finish, None
    least, most = _KBPS[kind]
    return kind, finish, (int(numbers[1]) - least) / (most - least)
