"""What stands before every route: hosts, origins, keys, bodies that are too long or too slow, and
the headers of every answer. Plain ASGI, so that a client that hangs up is noticed behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import ipaddress
import json
import logging
import socket
import time
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_audio.errors import EdgeAudioError
from edge_audio.serve.config import ServeConfig
from edge_audio.serve.dialects.shapes import answer_body
from edge_audio.serve.metrics import Metrics
from edge_audio.serve.refusal import Refused

_log = logging.getLogger("edge_audio.serve")
COOKIE = "edge_audio_key"
#: bytes of a body that is no upload
JSON_BYTES = 256 << 10
#: a client may take so many seconds to read a part of an answer
SEND_SECONDS = 60.0
#: times as long as JSON may an upload take to arrive
_PATIENCE = 4
#: what is read of a body that is refused, so that the client reads why
_LINGER_SECONDS, _LINGER_BYTES = 1.0, 64 << 20
#: requests at once
_MOST_REQUESTS = 512
#: what needs no key: the page, which asks for it, and what proxies ask
_PUBLIC = ("/", "/health", "/favicon.ico")
_LOGIN = "/v1/login"
_PUBLIC_FOLDER = "/page/"
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
        " media-src 'self' blob:; connect-src 'self'; worker-src 'self' blob:; object-src 'none';"
        " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Keys:
    """The keys that open the server; comparing takes the same time wherever they differ."""

    def __init__(self, keys: Iterable[str]):
        self._keys = [key.encode() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def number(self, given: str | None) -> int | None:
        """Which key this is, None for none of them."""
        return self._among(given, [_digest(key) for key in self._keys], _digest)

    def number_of_token(self, given: str | None) -> int | None:
        """Which key a cookie was made of, None for none of them."""
        tokens = [_digest(_token(key)) for key in self._keys]
        return self._among(given, tokens, _digest)

    def token(self, number: int) -> str:
        """The cookie of a key, from which the key does not follow."""
        return _token(self._keys[number]).decode()

    @staticmethod
    def _among(given: str | None, digests: list[bytes], digest: Any) -> int | None:
        if given is None:
            return None
        shown, found = digest(given.encode(errors="surrogateescape")), None
        for number, wanted in enumerate(digests):
            if hmac.compare_digest(shown, wanted):
                found = number
        return found


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


def _token(key: bytes) -> bytes:
    return hmac.new(key, b"edge-audio cookie", hashlib.sha256).hexdigest().encode()


class Guard:
    """Lets through what may come in, and dresses what goes out."""

    def __init__(self, app: ASGIApp, config: ServeConfig, keys: Keys, metrics: Metrics):
        self._app, self._config, self._keys, self._metrics = app, config, keys, metrics
        self._busy = 0
        own = socket.gethostname().lower()
        self._hosts = {"localhost", own, f"{own}.local", config.host.lower()}
        self._hosts |= {host.lower() for host in config.allowed_hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            self._busy += 1
            try:
                await _Exchange(self, scope, receive, send).run()
            finally:
                self._busy -= 1
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request, if it may come in; Refused if not."""
        headers = Headers(scope=scope)
        self._check_host(headers)
        if self._busy > _MOST_REQUESTS and scope["path"] != "/health":
            raise Refused(503, "busy", "too many requests at once", None, {"Retry-After": "2"})
        if scope["method"] not in _SAFE_METHODS:
            self._check_origin(headers)
        if not (scope["method"] == "OPTIONS" and "origin" in headers):  # CORS asks without a key
            self._check_key(scope, headers)
        await self._app(scope, receive, send)

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """A request was answered."""
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.answered(route, status)
        path = str(EdgeAudioError(scope["path"][:200]))
        address = (scope.get("client") or ("-",))[0]
        _log.info("%s %s %s %d %.0f ms", address, scope["method"], path, status, 1000 * seconds)

    def refused(self, refusal: Refused) -> None:
        """A request was refused."""
        self._metrics.refused(refusal.code)

    def most_bytes(self, headers: Headers) -> int:
        """Of a request's body."""
        upload = headers.get("content-type", "").startswith("multipart/")
        return JSON_BYTES + (self._config.upload_bytes if upload else 0)

    @property
    def body_seconds(self) -> float:
        """That a body may take to arrive."""
        return self._config.body_seconds

    def _check_host(self, headers: Headers) -> None:
        """A page whose name was made to point here (DNS rebinding) calls the server by that name:
        an IP address, which is no name, or one that this server knows by.
        """
        given = headers.getlist("host")
        if len(given) != 1 or not self._is_known(_host_of(given[0])):
            raise Refused(
                403,
                "host",
                "the server is not known by that name; start it with --allow-host NAME",
            )

    def _is_known(self, host: str) -> bool:
        if host in self._hosts:
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True

    def _check_origin(self, headers: Headers) -> None:
        """Other pages may not change anything (CSRF), unless they were named."""
        origin = headers.get("origin")
        if origin is None:
            if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
                raise Refused(403, "origin", "another page may not do that")
        elif origin not in self._config.cors and (
            not origin.startswith(("http://", "https://"))
            or _without_port(origin) != _without_port(f"//{headers['host']}")
        ):
            raise Refused(
                403, "origin", "another page may not do that; start the server with --cors ORIGIN"
            )

    def _check_key(self, scope: Scope, headers: Headers) -> None:
        scope["edge_audio_key"] = None
        if not self._keys:
            return
        number = self._keys.number(_shown_key(headers))
        if number is None:
            number = self._keys.number_of_token(_cookie(headers))
        if number is None and not _is_public(scope["method"], scope["path"]):
            raise Refused(
                401,
                "unauthorized",
                "the key is missing or wrong; send it as Authorization: Bearer KEY or xi-api-key",
                None,
                {"WWW-Authenticate": "Bearer"},
            )
        scope["edge_audio_key"] = number


class _Exchange:
    """One request and its answer."""

    def __init__(self, guard: Guard, scope: Scope, receive: Receive, send: Send):
        self._guard, self._scope = guard, scope
        self._receive, self._send = receive, send
        self._headers = Headers(scope=scope)
        self._most = guard.most_bytes(self._headers)
        self._seconds = guard.body_seconds * (1 if self._most == JSON_BYTES else _PATIENCE)
        self._due = time.monotonic() + self._seconds
        self._got, self._status = 0, 0
        length = self._headers.get("content-length", "0")
        self._is_whole = length == "0" and "transfer-encoding" not in self._headers

    async def run(self) -> None:
        """Serve it; whatever happens, it is answered."""
        start = time.monotonic()
        try:
            length = self._headers.get("content-length", "0")
            if not length.isascii() or not length.isdigit() or len(length) > 18:
                raise Refused(400, "invalid", "its Content-Length is no number")
            if int(length) > self._most:
                raise self._too_large()
            await self._guard.serve(self._scope, self.receive, self.send)
        except Refused as refusal:
            await self._answer(refusal)
        except (OSError, asyncio.TimeoutError):
            _log.info("a client hung up, or would not read")
        except Exception:
            _log.exception("%s %s", self._scope["method"], self._scope["path"][:200])
            await self._answer(Refused(500, "internal", "the server failed; its log says more"))
        self._guard.count(self._scope, self._status, time.monotonic() - start)

    async def receive(self) -> Message:
        """The body, in bounds of bytes and time; then, that the client hung up."""
        if self._is_whole:
            return await self._receive()
        left = max(0.0, self._due - time.monotonic())
        try:
            message = await asyncio.wait_for(self._receive(), left)
        except asyncio.TimeoutError:
            raise Refused(
                408, "timeout", f"the body did not arrive within {self._seconds:g} s"
            ) from None
        self._got += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        if self._got > self._most:
            raise self._too_large()
        return message

    async def send(self, message: Message) -> None:
        """An answer, with the headers that all have."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
            if not self._is_whole:  # nobody reads what is still to come
                headers["connection"] = "close"
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if is_last and not self._is_whole:
            await asyncio.wait_for(self._send({**message, "more_body": True}), SEND_SECONDS)
            await self._linger()
            message = {"type": "http.response.body"}
        await asyncio.wait_for(self._send(message), SEND_SECONDS)

    async def _linger(self) -> None:
        """Read on for a while: a connection that is closed on a client that still sends is reset,
        and the answer lost with it.
        """
        self._due = min(self._due, time.monotonic() + _LINGER_SECONDS)
        self._most = self._got + _LINGER_BYTES
        with contextlib.suppress(Refused):
            while not self._is_whole and (await self.receive())["type"] != "http.disconnect":
                pass
        self._is_whole = True

    async def _answer(self, refusal: Refused) -> None:
        self._guard.refused(refusal)
        if self._status:  # it has begun to answer; the connection is closed half-way
            raise ConnectionAbortedError(str(refusal))
        body = json.dumps(answer_body(self._scope["path"], refusal)).encode()
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            **refusal.headers,
        }
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": raw})
        empty = self._scope["method"] == "HEAD"
        await self.send({"type": "http.response.body", "body": b"" if empty else body})

    def _too_large(self) -> Refused:
        return Refused(413, "too_large", f"a body has at most {self._most} bytes here")


def _is_public(method: str, path: str) -> bool:
    """Whether everybody may do that: look at the page, and show a key."""
    if method not in _SAFE_METHODS:
        return path == _LOGIN
    return path in _PUBLIC or path.startswith(_PUBLIC_FOLDER)


def client_of(scope: Scope) -> str:
    """Who asks, for a fair queue: a key at an address."""
    return f"{scope.get('edge_audio_key')}@{(scope.get('client') or ('',))[0]}"


def _host_of(host: str) -> str:
    """Of "name:port"; "" for what is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _without_port(origin: str) -> tuple[str, int | None]:
    """Host and port of an origin; those of http and https are none: a proxy may end TLS."""
    try:
        parts = urlsplit(origin)
        return parts.hostname or "", None if parts.port in (80, 443) else parts.port
    except ValueError:
        return "", -1


def _shown_key(headers: Headers) -> str | None:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("xi-api-key")


def _cookie(headers: Headers) -> str | None:
    try:
        found = SimpleCookie(headers.get("cookie", "")[:4096]).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value
