"""Waiting for jobs on the event loop, and noticing that a client hung up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Container, Iterator
from typing import Any

from starlette.requests import Request

from edge_audio.serve.jobs import FAILED, FINAL, Blocks, Job
from edge_audio.serve.refusal import Refused
from edge_audio.serve.studio import Studio

#: what matters to those who wait for sound
HEARD = ("block", "clip", *FINAL)


@contextlib.contextmanager
def following(job: Job, kinds: Container[str] | None = None) -> Iterator[asyncio.Event]:
    """An event that is set whenever something of these kinds (None: anything) happens to a job.
    Clear it, look, then wait.
    """
    woken, loop = asyncio.Event(), asyncio.get_running_loop()

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(woken.set)

    end = job.listen(wake, kinds)
    try:
        yield woken
    finally:
        end()


async def reached(
    studio: Studio,
    job: Job,
    request: Request,
    there: Callable[[], bool],
    owned: bool = True,
) -> None:
    """Wait until `there`; Refused (499, which nobody reads) if the client hangs up before. Then a
    job that the request owns is cancelled.
    """
    await until(studio, job, asyncio.ensure_future(_hung_up(request)), there, owned)


async def until(
    studio: Studio,
    job: Job,
    gone: asyncio.Future[Any],
    there: Callable[[], bool],
    owned: bool = True,
) -> None:
    """The same for a client of any kind: `gone` is done when it has hung up, and is cancelled in
    the end.
    """
    try:
        with following(job, HEARD) as woken:
            while True:
                woken.clear()
                if there():
                    return
                news: asyncio.Future[Any] = asyncio.ensure_future(woken.wait())
                try:
                    await asyncio.wait({news, gone}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    news.cancel()
                if gone.done():
                    raise Refused(499, "hung_up", "the client hung up")
    except BaseException:
        if owned:
            give_up(studio, job)
        raise
    finally:
        gone.cancel()


def has_block(job: Job, clip: int) -> bool:
    """Whether a clip can be heard, or never will be."""
    stream = job.streams.get(clip)
    return job.is_over or len(job.clips) > clip or (stream is not None and bool(stream.blocks))


def failure(job: Job) -> Refused:
    """What is answered when a job that was waited for did not end well."""
    error = job.error or {"code": job.state, "message": f"the job was {job.state}"}
    return Refused(500 if job.state == FAILED else 409, error["code"], error["message"])


async def blocks(job: Job, stream: Blocks) -> AsyncIterator[bytes]:
    """A clip's PCM as it is made. ConnectionAbortedError if it ends early: half a sound must not
    look like a whole one.
    """
    sent, width, left = 0, 2 * stream.channels, stream.frames
    with following(job, HEARD) as woken:
        while left:
            woken.clear()
            over = job.is_over
            for block in stream.blocks[sent:]:
                sent, left = sent + 1, left - len(block) // width
                yield block
            if left and over:
                raise ConnectionAbortedError(f"job {job.id} ended early")
            if left:
                await woken.wait()


def give_up(studio: Studio, job: Job) -> None:
    """Cancel a job for a client that is gone, on a thread, as this writes to the disk."""
    if not job.is_over:
        asyncio.get_running_loop().run_in_executor(None, studio.cancel, job)


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
