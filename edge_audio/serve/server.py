"""The process: uvicorn with clients that must not dawdle, and an end that lets jobs finish."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
import threading
from types import FrameType

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from edge_audio.serve.app import create_app
from edge_audio.serve.config import ServeConfig
from edge_audio.serve.refusal import Refused

#: seconds that a connection may be idle, and connections that wait to be accepted
_IDLE, _BACKLOG = 15, 256
#: after the jobs are over, connections have so long to end
_GOODBYE = 3


class _Protocol(HttpToolsProtocol):
    """uvicorn's, but headers must arrive within a time: it bounds only what comes between two
    requests.
    """

    _SECONDS = 10.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._due = self.loop.call_later(self._SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._due.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._due.cancel()
        self._due = self.loop.call_later(self._SECONDS, self.transport.close)
        super().on_message_begin()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered in JSON, too."""
        body = json.dumps(Refused(400, "http", msg).body).encode()
        head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
        length = f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(head.encode() + length.encode() + body)
        self.transport.close()

    def on_headers_complete(self) -> None:
        self._due.cancel()
        super().on_headers_complete()


class _Server(uvicorn.Server):
    """Takes no more orders at the first signal, lets jobs end, and stops; at the second at once."""

    def __init__(self, config: uvicorn.Config, drain_seconds: float):
        super().__init__(config)
        self._drain_seconds, self._is_asked = drain_seconds, False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._is_asked:
            super().handle_exit(sig, frame)
            return
        self._is_asked = True
        threading.Thread(target=self._drain, daemon=True, name="drain").start()

    def _drain(self) -> None:
        self.config.app.state.studio.drain(self._drain_seconds)  # type: ignore[union-attr]
        self.should_exit = True


def server(config: ServeConfig, wyoming: socket.socket | None = None) -> uvicorn.Server:
    """A server that is ready to run; EdgeAudioError if it cannot be. wyoming: where clients of that
    protocol wait.
    """
    app = create_app(config)
    app.state.wyoming = wyoming
    return _Server(
        uvicorn.Config(
            app,
            host=config.host,
            port=config.port,
            http=_Protocol,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(config.proxies),
            forwarded_allow_ips=list(config.proxies),
            timeout_keep_alive=_IDLE,
            timeout_graceful_shutdown=_GOODBYE,
        ),
        config.drain_seconds,
    )


def bound(config: ServeConfig) -> socket.socket:
    """The socket that it listens on, where clients wait from now on; OSError if another program
    has it.
    """
    return bound_at(config.host, config.port)


def bound_at(host: str, port: int) -> socket.socket:
    """The same for any address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # the protocol is named, or asyncio leaves Nagle's algorithm on: 40 ms an answer
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # on Windows the usual option lets another program take the same port
    alone = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
    listening.setsockopt(socket.SOL_SOCKET, alone, 1)
    try:
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def run(running: uvicorn.Server, listening: socket.socket) -> None:
    """Serve until a signal says to stop."""
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    sys.setswitchinterval(0.001)  # the loop answers soon while a model's thread is busy in Python
    running.run(sockets=[listening])
