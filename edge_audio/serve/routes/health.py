"""`/health` for proxies and `/metrics` for Prometheus."""

from __future__ import annotations

from anyio.to_thread import run_sync
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge_audio.serve.answers import TEXT, described

router = APIRouter(tags=["health"])


@router.get("/health", **described("Ask whether it works"))
@router.head("/health", include_in_schema=False)
async def health(request: Request) -> JSONResponse:
    """200, or 503 once the server takes no more orders since it is about to stop."""
    studio = request.app.state.studio
    state = "draining" if studio.is_draining else "ok"
    return JSONResponse(
        {"status": state, "waiting": studio.waiting}, 503 if studio.is_draining else 200
    )


@router.get("/metrics", **described("Show numbers for Prometheus", kinds=[TEXT]))
async def metrics(request: Request) -> Response:
    """Prometheus' text form."""
    text = await run_sync(request.app.state.studio.metrics.text)
    return Response(text, media_type=f"{TEXT}; version=0.0.4; charset=utf-8")
