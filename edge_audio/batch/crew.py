"""Workers at work: started, fed, watched, and started again when they die."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any

from edge_audio.batch.job import Job, Unit
from edge_audio.errors import EdgeAudioError, first_line
from edge_audio.system.processes import apart, selectable

#: units that a worker is given before it has answered: one is made, one waits
AHEAD = 2
#: deaths that a unit may cause
DEATHS = 2
#: A worker hangs that takes so many times longer for its work than any took before, and at least
#: so many seconds; while it starts, or before anything was made, so many.
SLOWER, LEAST, UNKNOWN = 30.0, 120.0, 3600.0


class Crew:
    """So many worker processes, of so many threads each."""

    def __init__(self, job: Job, place: str, workers: int, threads: int, memory: str | int = "all"):
        self.threads = threads
        self._head = {"job": job.to_json(), "place": place, "threads": threads, "memory": memory}
        self._selector = selectors.DefaultSelector()
        self._workers: list[_Worker] = []
        self._again: deque[Unit] = deque()
        self._deaths = Counter[str]()
        self._still_births = 0
        self._takes = max(1, job.attempts)
        #: seconds that a unit of work took, at most
        self._slowest = 0.0
        #: bytes of a worker, at most
        self.memory = 0
        try:
            for _ in range(workers):
                self._start()
        except BaseException:  # of a crew that nobody has, nobody would end those that are there
            self.__exit__()
            raise

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self._workers:
            worker.end()
        self._selector.close()

    def answers(
        self, units: Iterator[Unit], is_over: Callable[[], bool] = lambda: False
    ) -> Iterator[dict[str, Any]]:
        """A record of every unit, as they come; of one that killed its workers, too.

        is_over: whether no more units are taken. EdgeAudioError if workers
        cannot work.
        """
        while True:
            for worker in self._workers:
                while len(worker.units) < AHEAD and (unit := self._next(units, is_over)):
                    self._give(worker, unit)
            if not any(worker.units for worker in self._workers) and not self._again:
                return
            heard = [key.data for key, _ in self._selector.select(1.0)]
            for worker in heard:
                yield from self._heard(worker)
            for worker in [each for each in self._workers if each not in heard]:
                if worker.units and worker.waited() > self._patience(worker):
                    yield from self._buried(worker, f"no answer for {worker.waited():.0f} s")

    def _next(self, units: Iterator[Unit], is_over: Callable[[], bool]) -> Unit | None:
        if self._again:
            return self._again.popleft()
        if is_over():
            return None
        return next(units, None)

    def _patience(self, worker: _Worker) -> float:
        """Seconds after which a worker that says nothing hangs."""
        if worker.was_silent or not self._slowest:
            return UNKNOWN
        return max(LEAST, SLOWER * self._takes * self._slowest * worker.units[0].work)

    def _give(self, worker: _Worker, unit: Unit) -> None:
        if not worker.units:
            worker.since = time.monotonic()
        worker.units.append(unit)
        worker.tell(unit.to_json())  # if it is dead, that is found when it is read

    def _heard(self, worker: _Worker) -> Iterator[dict[str, Any]]:
        lines = worker.lines()
        if lines is None:
            yield from self._buried(worker)
            return
        for line in lines:
            answer = json.loads(line)
            if "stop" in answer:
                raise EdgeAudioError(answer["stop"])
            self._still_births = 0
            waited, worker.since = worker.waited(), time.monotonic()
            if "ready" in answer:
                continue
            self.memory = max(self.memory, answer.pop("memory", 0))
            self._slowest = max(self._slowest, waited / worker.units.popleft().work)
            yield answer

    def _buried(self, worker: _Worker, hung: str = "") -> Iterator[dict[str, Any]]:
        """Another one takes the place of a worker that died, or hung, and its units are tried
        again.
        """
        self._selector.unregister(worker.out)
        self._workers.remove(worker)
        reason = worker.end(now=bool(hung))
        reason = hung or reason
        if worker.units:
            guilty = worker.units.popleft()
            self._deaths[guilty.key] += 1
            if self._deaths[guilty.key] >= DEATHS:
                yield {"unit": guilty.key, "failed": f"its worker died twice ({reason})"}
            else:
                self._again.append(guilty)
        self._again.extend(worker.units)
        if worker.was_silent:
            self._still_births += 1
        if self._still_births >= 3:
            raise EdgeAudioError(
                f"workers die as they start ({reason}); try fewer with --workers, or --precision"
                " int8"
            )
        self._start()

    def _start(self) -> None:
        try:
            worker = _Worker(self._head)
        except OSError as error:
            raise EdgeAudioError(
                f"no worker can be started ({error.strerror or first_line(error)}); try fewer with"
                " --workers"
            ) from None
        self._workers.append(worker)
        self._selector.register(worker.out, selectors.EVENT_READ, worker)


class _Worker:
    """A process, what it was given and has not answered, and what it says."""

    def __init__(self, head: dict[str, Any]):
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (until the process ends)
        threads = str(head["threads"])
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-m", "edge_audio.batch.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            **apart(),  # Ctrl-C is the run's affair
        )
        assert self.process.stdin and self.process.stdout  # they are pipes
        self._in, self.out = self.process.stdin, selectable(self.process.stdout)
        self.units: deque[Unit] = deque()
        #: when it was given something to do, or last answered
        self.since = time.monotonic()
        self.was_silent = True
        self._said = b""
        self.tell(json.dumps(head))

    def tell(self, line: str) -> None:
        with contextlib.suppress(OSError):  # it is dead, which is found out when it is read
            self._in.write(line.encode() + b"\n")
            self._in.flush()

    def waited(self) -> float:
        """Seconds that nothing was heard of it."""
        return time.monotonic() - self.since

    def lines(self) -> list[bytes] | None:
        """What it said since; None if it is dead."""
        data = self.out.read(1 << 20)
        if data == b"":
            return None
        self.was_silent = False
        *lines, self._said = (self._said + (data or b"")).split(b"\n")
        return lines

    def end(self, now: bool = False) -> str:
        """Let it end at once; returns why it did, if it did by itself."""
        code = self.process.poll()
        if code is None:
            try:  # its output ends a moment before it does
                code = self.process.wait(0.2 if self.units and not now else 0)
            except subprocess.TimeoutExpired:
                self.process.kill()
                code = self.process.wait()
        for stream in (self._in, self.out):
            with contextlib.suppress(OSError):
                stream.close()
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 2000))
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        self._errors.close()
        return f"signal {-code}" if code < 0 else (said[-1][:200] if said else f"exit code {code}")
