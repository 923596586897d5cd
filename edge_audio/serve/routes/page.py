"""The page and its modules: files of this package, listed once, so that no path of a client's
touches the file system.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

from anyio.to_thread import run_sync
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from edge_audio.serve.refusal import not_found

router = APIRouter(include_in_schema=False)
FOLDER = Path(str(files("edge_audio.serve") / "page"))
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_FILES = {
    path.relative_to(FOLDER).as_posix(): path
    for path in (FOLDER.rglob("*") if FOLDER.is_dir() else ())
    if path.is_file() and path.suffix in _TYPES
}


@router.api_route("/", methods=["GET", "HEAD"])
async def index(request: Request) -> Response:
    """The page."""
    return await _file(request, "index.html")


@router.api_route("/favicon.ico", methods=["GET", "HEAD"])
async def icon(request: Request) -> Response:
    """The page's picture."""
    return await _file(request, "icon.svg")


@router.api_route("/page/{name:path}", methods=["GET", "HEAD"])
async def module(request: Request, name: str) -> Response:
    """A file of the page."""
    return await _file(request, name)


async def _file(request: Request, name: str) -> Response:
    path = _FILES.get(name)
    if path is None:
        raise not_found("page")
    data = await run_sync(path.read_bytes)
    etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(data, 200, headers, _TYPES[path.suffix])
