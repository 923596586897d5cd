"""The JSON of `/v1`: what is not described here is refused."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from edge_audio.request import Request
from edge_audio.sampling.noise import MAX_SEED
from edge_audio.sampling.samplers import SAMPLERS
from edge_audio.serve.refusal import Refused
from edge_audio.serve.studio import MOST_VARIATIONS
from edge_audio.serve.styles import LONGEST_STYLE

#: characters of a prompt, which models cut to some hundred tokens anyway
LONGEST_PROMPT = 4000
#: the regions of one request
MOST_REGIONS = 32
#: styles of one request, and how strong one may be
MOST_LORA, MOST_STRENGTH = 8, 10.0
ID = r"^([a-z0-9]{1,16}-)?[0-9a-f]{20}$"

Text = Annotated[str, Field(max_length=LONGEST_PROMPT)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Region = Annotated[list[Number], Field(min_length=2, max_length=2)]
Regions = Annotated[list[Region], Field(max_length=MOST_REGIONS)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ClipOf(_Strict):
    """A clip of an earlier job."""

    job: Annotated[str, Field(pattern=ID)]
    clip: Annotated[int, Field(ge=0, lt=MOST_VARIATIONS)] = 0


class StyleOf(_Strict):
    """A style, as strong as it was trained or otherwise."""

    name: Annotated[str, Field(max_length=LONGEST_STYLE)]
    strength: Annotated[Number, Field(ge=-MOST_STRENGTH, le=MOST_STRENGTH)] = 1.0


class JobOrder(_Strict):
    """What to make. Settings that are left out are the model's."""

    prompt: Text = Field(description="what to hear; empty for anything at all")
    model: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="one of /v1/models"
    )
    seconds: Annotated[Number, Field(gt=0, le=600)] | None = Field(
        None, description="duration; at most the model's"
    )
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = Field(
        None, description="the same seed makes the same sound; by itself, a random one"
    )
    steps: Annotated[int, Field(ge=1)] | None = None
    sampler: Annotated[str, Field(json_schema_extra={"enum": list(SAMPLERS)})] | None = None
    cfg_scale: Annotated[Number, Field(ge=0, le=100)] | None = Field(
        None, description="guidance scale, 1 for none"
    )
    negative: Text | None = Field(None, description="what not to hear; needs a cfg_scale above 1")
    apg: Annotated[Number, Field(ge=0, le=1)] | None = Field(
        None, description="share of guidance along the sound itself that is left out"
    )
    pad_seconds: Annotated[Number, Field(ge=0)] | None = Field(
        None, description="seconds made beyond those asked for, by models that make any length"
    )
    limiter: bool | None = Field(None, description="turn peaks down as the clip is made")
    precision: Annotated[str, Field(max_length=100)] | None = Field(
        None, description="such as int8, or dit=int8,decoder=f16"
    )
    lora: Annotated[list[StyleOf], Field(max_length=MOST_LORA)] | None = Field(
        None, description="styles of /v1/models, one after the other"
    )
    strength: Annotated[Number, Field(gt=0, le=1)] | None = Field(
        None, description="how far to go from init"
    )
    replace: Regions | None = Field(None, description="seconds of init that are made anew")
    keep: Regions | None = Field(None, description="seconds of init that stay")
    extend: Annotated[Number, Field(gt=0)] | None = Field(
        None, description="seconds to go on after init"
    )
    extend_before: Annotated[Number, Field(gt=0)] | None = Field(
        None, description="seconds to begin before init"
    )
    loop: bool | None = Field(None, description="the end runs into the beginning")
    bars: Annotated[Number, Field(gt=0)] | None = Field(
        None, description="length in bars, with bpm"
    )
    bpm: Annotated[Number, Field(gt=0)] | None = None
    variations: Annotated[int, Field(ge=1, le=MOST_VARIATIONS)] = Field(
        1, description="so many clips, of seeds that follow each other"
    )
    init: ClipOf | None = Field(None, description="start from this clip, or keep parts of it")

    def styles(self) -> tuple[tuple[str, float], ...]:
        """Names and strengths."""
        return tuple((style.name, style.strength) for style in self.lora or ())

    def request(self) -> Request:
        """As the library wants it, but for the sound to start from; Refused for what this version
        of it does not do.
        """
        known = {entry.name for entry in dataclasses.fields(Request)}
        given = self.model_dump(
            exclude_none=True, exclude={"model", "variations", "precision", "init", "lora"}
        )
        for name in given:
            if name not in known and given[name] is not False:
                raise Refused(
                    422, "unsupported", f"{name} is nothing that this version can do", name
                )
        return Request(**{name: _hashable(v) for name, v in given.items() if name in known})


class Change(_Strict):
    """What can be changed of a job."""

    favourite: bool


class Login(_Strict):
    """A key, for the cookie of the page."""

    key: Annotated[str, Field(max_length=1000)]


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value
