"""The page and its modules: files of this package, read once, so that no path of a client's touches
the file system and none waits for it.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
from importlib.resources import files
from pathlib import Path

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
    if name not in _FILES:
        raise not_found("page")
    data, packed, etag = _held(name)
    headers = {"ETag": etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        data, headers["Content-Encoding"] = packed, "gzip"
    return Response(data, 200, headers, _TYPES[_FILES[name].suffix])


@functools.cache
def _held(name: str) -> tuple[bytes, bytes, str]:
    """A file of the page, the same packed, and what names this version of it."""
    data = _FILES[name].read_bytes()
    return data, gzip.compress(data, mtime=0), f'W/"{hashlib.sha256(data).hexdigest()[:32]}"'
