"""A queue that is fair between clients: one job of each in turn, however many one has."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator

from edge_audio.serve.jobs import Job


class FairQueue:
    """Jobs that wait for one model. Not safe for several threads: `Studio` holds a lock."""

    def __init__(self) -> None:
        self._clients: OrderedDict[str, deque[Job]] = OrderedDict()
        self._count = 0  # so that others may look without a lock

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Job]:
        """In the order in which they will be taken, if nothing else comes."""
        waiting = [list(jobs) for jobs in self._clients.values()]
        for turn in range(max(map(len, waiting), default=0)):
            yield from (jobs[turn] for jobs in waiting if turn < len(jobs))

    def of(self, client: str) -> int:
        """How many a client has here."""
        return len(self._clients.get(client, ()))

    def put(self, job: Job) -> None:
        """At the end of its client's own."""
        self._clients.setdefault(job.client, deque()).append(job)
        self._count += 1

    def take(self) -> Job | None:
        """The next one; its client's turn comes again after all others'."""
        if not self._clients:
            return None
        client, jobs = next(iter(self._clients.items()))
        job = jobs.popleft()
        self._count -= 1
        if jobs:
            self._clients.move_to_end(client)
        else:
            del self._clients[client]
        return job

    def remove(self, job: Job) -> bool:
        """Take one out, wherever it stands; False if it is not here."""
        jobs = self._clients.get(job.client)
        if jobs is None or job not in jobs:
            return False
        jobs.remove(job)
        self._count -= 1
        if not jobs:
            del self._clients[job.client]
        return True
