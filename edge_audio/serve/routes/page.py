"""The page and its modules: files of this package, read, packed and hashed when the server starts,
so that no path of a client's touches the file system and no visit waits for it.
"""

from __future__ import annotations

import gzip
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

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


class _File(NamedTuple):
    """A file of the page, the same packed, and what names this version of it."""

    data: bytes
    packed: bytes
    etag: str
    media_type: str


def _read(path: Path) -> _File:
    data = path.read_bytes()
    etag = f'W/"{hashlib.sha256(data).hexdigest()[:32]}"'
    return _File(data, gzip.compress(data, mtime=0), etag, _TYPES[path.suffix])


_FILES = {
    path.relative_to(FOLDER).as_posix(): _read(path)
    for path in (FOLDER.rglob("*") if FOLDER.is_dir() else ())
    if path.is_file() and path.suffix in _TYPES
}


@router.api_route("/", methods=["GET", "HEAD"])
async def index(request: Request) -> Response:
    """The page."""
    return _answer(request, "index.html")


@router.api_route("/favicon.ico", methods=["GET", "HEAD"])
async def icon(request: Request) -> Response:
    """The page's picture."""
    return _answer(request, "icon.svg")


@router.api_route("/page/{name:path}", methods=["GET", "HEAD"])
async def module(request: Request, name: str) -> Response:
    """A file of the page."""
    return _answer(request, name)


def _answer(request: Request, name: str) -> Response:
    file = _FILES.get(name)
    if file is None:
        raise not_found("page")
    headers = {"ETag": file.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    data = file.data
    if "gzip" in request.headers.get("accept-encoding", ""):
        data, headers["Content-Encoding"] = file.packed, "gzip"
    return Response(data, 200, headers, file.media_type)
