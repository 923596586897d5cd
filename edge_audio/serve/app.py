"""The web application: routes in front of a `Studio`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from anyio.to_thread import run_sync
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse

from edge_audio.errors import EdgeAudioError
from edge_audio.serve.answers import ERROR_SCHEMA
from edge_audio.serve.audio import Encoder, formats
from edge_audio.serve.config import ServeConfig
from edge_audio.serve.dialects.routes import ROUTERS
from edge_audio.serve.dialects.shapes import answer_body
from edge_audio.serve.dialects.wish import NOTES
from edge_audio.serve.refusal import Refused
from edge_audio.serve.routes import docs, health, jobs, models, page
from edge_audio.serve.safety import Guard, Keys
from edge_audio.serve.schema import Change, JobOrder, Login
from edge_audio.serve.studio import Studio
from edge_audio.serve.uploads import Uploads
from edge_audio.version import __version__

_CODES = {404: "not_found", 405: "method", 415: "media_type"}


def create_app(config: ServeConfig) -> FastAPI:
    """The application of a server that is configured so. `app.state.studio` does the work; it is
    closed when the server stops.

    EdgeAudioError if the model or the history's folder cannot be used.
    """
    studio, keys = Studio(config), Keys(config.api_keys)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await run_sync(_ready, studio)
        async with contextlib.AsyncExitStack() as stack:
            if (listening := app.state.wyoming) is not None:
                from edge_audio.serve.dialects.wyoming import wyoming  # of an extra

                await stack.enter_async_context(wyoming(studio, app.state.encoder, listening))
            yield
        await run_sync(studio.close)

    app = FastAPI(
        title="edge-audio", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.state.studio, app.state.keys = studio, keys
    app.state.encoder, app.state.uploads = Encoder(), Uploads(config)
    app.state.wyoming = None  # a socket, if one was bound
    for router in (*(r.router for r in (jobs, models, health, docs, page)), *ROUTERS):
        app.include_router(router)
    app.add_exception_handler(EdgeAudioError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    if config.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=config.cors,
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "xi-api-key", "Last-Event-ID"],
            expose_headers=["X-Job-Id", "X-Seed", "Location", "Retry-After", NOTES],
        )
    app.add_middleware(Guard, config=config, keys=keys, metrics=studio.metrics)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _ready(studio: Studio) -> None:
    """What the page asks first is at hand: no visitor waits for libsndfile to be loaded, or for the
    models' words to be read.
    """
    formats()
    studio.describe_models()


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's, with the bodies that it does not read itself."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
        named = schema.setdefault("components", {}).setdefault("schemas", {})
        for model in (JobOrder, Change, Login):
            own = model.model_json_schema(ref_template="#/components/schemas/{model}")
            named.update(own.pop("$defs", {}))
            named[model.__name__] = own
        named["Error"] = ERROR_SCHEMA
        app.openapi_schema = schema
    return app.openapi_schema


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, EdgeAudioError)
    refusal = Refused.of(error)
    request.app.state.studio.metrics.refused(refusal.code)
    return JSONResponse(answer_body(request.url.path, refusal), refusal.status, refusal.headers)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """A path or query that is not as described."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where, *rest = [str(part)[:100] for part in first["loc"]]
    if where == "path":
        return await _refused(request, Refused(404, "not_found", "there is no such thing"))
    field = rest[0] if rest else None
    return await _refused(request, Refused(422, "invalid", f"{field}: {first['msg']}", field))


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "invalid")
    message = str(error.detail)[:300]
    headers = dict(error.headers or {})
    return await _refused(request, Refused(error.status_code, code, message, None, headers))
