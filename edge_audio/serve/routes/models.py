"""`/v1/models`, `/v1/info` and `/v1/login`."""

from __future__ import annotations

import functools
from typing import Annotated

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge_audio.sampling.samplers import SAMPLERS
from edge_audio.serve.answers import described
from edge_audio.serve.audio import formats
from edge_audio.serve.refusal import Refused
from edge_audio.serve.safety import COOKIE, Keys
from edge_audio.serve.schema import LONGEST_PROMPT, Login
from edge_audio.serve.studio import MOST_VARIATIONS
from edge_audio.serve.uploads import read_json
from edge_audio.version import __version__

router = APIRouter(tags=["models"])
#: seconds that a browser keeps the cookie of a key
_COOKIE_SECONDS = 30 * 24 * 3600


@functools.cache
def _loads() -> CapacityLimiter:
    """Loading waits for jobs: it must not take the threads of other requests."""
    return CapacityLimiter(2)


@router.get("/v1/models", **described("List the models"))
async def models(request: Request) -> JSONResponse:
    """The models that are here, with what each can be asked for; the default one first."""
    found = await run_sync(request.app.state.studio.describe_models)
    return JSONResponse({"object": "list", "data": found})


@router.post("/v1/models/{id}/load", **described("Load a model"))
async def load(
    request: Request, id: Annotated[str, Path(min_length=1, max_length=200)]
) -> JSONResponse:
    """Bring a model into memory, so that its first clip does not wait for that."""
    return JSONResponse(await run_sync(request.app.state.studio.load, id, limiter=_loads()))


@router.get("/v1/info", **described("Show what the server does"))
async def info(request: Request) -> JSONResponse:
    """Version, formats, samplers and limits."""
    studio = request.app.state.studio
    config = studio.config
    limits = {
        "max_waiting": config.max_waiting,
        "client_waiting": config.share,
        "upload_bytes": config.upload_bytes,
        "upload_seconds": config.upload_seconds,
        "prompt_characters": LONGEST_PROMPT,
        "variations": MOST_VARIATIONS,
        "steps": config.max_steps,
        "seconds": config.max_seconds,
        "history_jobs": config.history_jobs,
        "history_bytes": config.history_bytes,
    }
    return JSONResponse(
        {
            "version": __version__,
            "formats": formats(),
            "samplers": list(SAMPLERS),
            "limits": limits,
            "auth": bool(config.api_keys),
        }
    )


@router.post("/v1/login", status_code=204, **described("Keep a key in a cookie", Login))
async def login(request: Request) -> Response:
    """Sets a cookie for the page, from which the key does not follow."""
    keys: Keys = request.app.state.keys
    given = (await read_json(request, Login)).key
    answer = Response(status_code=204)
    if not keys:
        return answer
    number = keys.number(given)
    if number is None:
        raise Refused(401, "unauthorized", "that is not the key", "key")
    answer.set_cookie(
        COOKIE,
        keys.token(number),
        max_age=_COOKIE_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer
