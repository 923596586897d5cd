"""Wyoming, by which Home Assistant finds voices: JSON lines over TCP. Each model is a voice, whose
text is a prompt. The protocol has no keys; what a connection may send is bounded here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

from anyio.to_thread import run_sync
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, Eventable, async_write_event
from wyoming.info import Attribution, Describe, Info, TtsProgram, TtsVoice
from wyoming.ping import Ping, Pong
from wyoming.tts import Synthesize

from edge_audio.errors import EdgeAudioError
from edge_audio.serve.audio import Encoder
from edge_audio.serve.dialects.wish import Wish
from edge_audio.serve.following import blocks, failure, give_up, has_block, until
from edge_audio.serve.jobs import Job
from edge_audio.serve.refusal import Refused, not_found
from edge_audio.serve.safety import SEND_SECONDS
from edge_audio.serve.studio import Studio
from edge_audio.version import __version__

_log = logging.getLogger("edge_audio.serve")
#: connections at once, seconds that one may be quiet, and events that may wait in one
_MOST_CONNECTIONS, _IDLE, _MOST_EVENTS = 64, 300.0, 8
#: bytes of an event's line, of its data, of its payload, which nothing here needs
_MOST_BYTES = 64 << 10
#: frames of a chunk
_CHUNK = 2048
_WIDTH = 2


@contextlib.asynccontextmanager
async def wyoming(
    studio: Studio, encoder: Encoder, listening: socket.socket
) -> AsyncIterator[None]:
    """Serves clients of a listening socket, as long as the context lasts."""
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(connections) >= _MOST_CONNECTIONS:
            writer.close()
            return
        connections.add(task)
        try:
            await _Connection(studio, encoder, reader, writer).run()
        finally:
            connections.discard(task)
            writer.close()

    server = await asyncio.start_server(connected, sock=listening, limit=_MOST_BYTES)
    try:
        yield
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


class _Connection:
    def __init__(
        self,
        studio: Studio,
        encoder: Encoder,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ):
        self._studio, self._encoder = studio, encoder
        self._reader, self._writer = reader, writer
        self._client = f"wyoming@{(writer.get_extra_info('peername') or ('',))[0]}"
        self._arrived: asyncio.Queue[Event] = asyncio.Queue(_MOST_EVENTS)

    async def run(self) -> None:
        """Answer event after event, until the client hangs up or says what is none."""
        gone = asyncio.ensure_future(self._receive())
        try:
            while (event := await self._next(gone)) is not None:
                if not await self._answered(event, gone):
                    return
        except (OSError, asyncio.TimeoutError):
            _log.info("%s hung up, or would not read", self._client)
        except Exception:
            _log.exception("%s", self._client)
        finally:
            gone.cancel()

    async def _receive(self) -> None:
        """Keep what arrives; returns when nothing more will."""
        with contextlib.suppress(OSError, EOFError, ValueError, RecursionError):
            while True:
                event = await asyncio.wait_for(_read_event(self._reader), _IDLE)
                await self._arrived.put(event)

    async def _next(self, gone: asyncio.Future[None]) -> Event | None:
        coming: asyncio.Future[Event] = asyncio.ensure_future(self._arrived.get())
        waiting: set[asyncio.Future[Any]] = {coming, gone}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return coming.result() if coming.done() else None
        finally:
            coming.cancel()

    async def _answered(self, event: Event, gone: asyncio.Future[None]) -> bool:
        """Answer it, and say whether the connection goes on. What is unknown is passed over."""
        if Describe.is_type(event.type):
            await self._send(await run_sync(_info, self._studio))
        elif Ping.is_type(event.type):
            await self._send(Pong(text=Ping.from_event(event).text))
        elif Synthesize.is_type(event.type):
            try:
                await self._synthesize(event, gone)
            except EdgeAudioError as error:
                refusal = Refused.of(error)
                _log.info("%s synthesize: %s", self._client, refusal.code)
                # Home Assistant waits for the end of the sound or of the connection
                await self._send(Error(text=str(refusal), code=refusal.code))
                return False
        return True

    async def _synthesize(self, event: Event, gone: asyncio.Future[None]) -> None:
        text, voice = event.data.get("text"), event.data.get("voice") or {}
        name = voice.get("name") if isinstance(voice, dict) else None
        if not isinstance(text, str) or not (name is None or isinstance(name, str)):
            raise Refused(
                422, "invalid", "synthesize needs a text, and a voice with a name or none"
            )
        studio, wish = self._studio, Wish(self._studio, name)
        job = await run_sync(studio.submit, wish.order(text), self._client)
        # the shield, since the connection goes on after this job
        await until(studio, job, asyncio.shield(gone), lambda: has_block(job, 0))
        manifest = wish.entry.bundle.manifest
        await self._send(AudioStart(manifest.sample_rate, _WIDTH, manifest.channels))
        async for samples in self._sound(job):
            size = _CHUNK * _WIDTH * manifest.channels
            for place in range(0, len(samples), size):
                chunk = samples[place : place + size]
                await self._send(AudioChunk(manifest.sample_rate, _WIDTH, manifest.channels, chunk))
        await self._send(AudioStop())
        _log.info("%s synthesize: job %s", self._client, job.id)

    async def _sound(self, job: Job) -> AsyncIterator[bytes]:
        """Samples while they are made, or of the finished clip."""
        if (stream := job.streams.get(0)) is not None:
            try:
                async for block in blocks(job, stream):
                    yield block
            finally:
                if not stream.is_whole:
                    give_up(self._studio, job)
            return
        if not job.clips:
            raise failure(job)
        path = self._studio.history.path(job.id, 0)
        if path is None:
            raise not_found("clip")
        yield (await run_sync(self._encoder.samples, path)).data

    async def _send(self, event: Eventable) -> None:
        await asyncio.wait_for(async_write_event(event.event(), self._writer), SEND_SECONDS)


async def _read_event(reader: asyncio.StreamReader) -> Event:
    """The next event. EOFError at the end, ValueError for what is none or is too large: the
    package's own reader believes any length.
    """
    line = await reader.readline()
    if not line:
        raise EOFError
    head = json.loads(line)
    if not isinstance(head, dict) or not isinstance(head.get("type"), str):
        raise ValueError("no event")
    data, more = head.get("data") or {}, {}
    if size := _size(head, "data_length"):
        more = json.loads(await reader.readexactly(size))
    if size := _size(head, "payload_length"):
        await reader.readexactly(size)
    if not isinstance(data, dict) or not isinstance(more, dict):
        raise ValueError("no data")
    return Event(head["type"], {**data, **more})


def _size(head: dict[str, object], name: str) -> int:
    size = head.get(name) or 0
    if not isinstance(size, int) or not 0 <= size <= _MOST_BYTES:
        raise ValueError(name)
    return size


def _info(studio: Studio) -> Info:
    """Who we are: a program with a voice a model."""
    ours = Attribution("edge-audio", "")
    voices = [
        TtsVoice(
            name=entry.id,
            attribution=ours,
            installed=True,
            description=f"sounds by {entry.id}: the text is a prompt",
            version=__version__,
            languages=["en"],
        )
        for entry in studio.models.all()
    ]
    program = TtsProgram(
        name="edge-audio",
        attribution=ours,
        installed=True,
        description="sounds, not speech: the text is a prompt",
        version=__version__,
        voices=voices,
    )
    return Info(tts=[program])
