"""The job service without HTTP: orders come in, wait their turn, become clips in the history."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from typing import Any

from edge_audio.audio.source import Source
from edge_audio.bundle.precision import recommended
from edge_audio.errors import EdgeAudioError
from edge_audio.sampling.noise import check_seed
from edge_audio.serve.config import ServeConfig, data_folder
from edge_audio.serve.fair import FairQueue
from edge_audio.serve.history import History
from edge_audio.serve.jobs import CANCELLED, FAILED, LOST, Job, Order
from edge_audio.serve.metrics import Metrics
from edge_audio.serve.models import Entry, Models, describe, public
from edge_audio.serve.refusal import Refused, not_found
from edge_audio.serve.styles import Styles
from edge_audio.serve.worker import Worker, end
from edge_audio.settings import Settings
from edge_audio.system import device

_log = logging.getLogger("edge_audio.serve")
#: clips of a job
MOST_VARIATIONS = 16
#: bytes of the sounds that waiting and running jobs start from
_MOST_SOUND = 256 << 20
#: jobs that are over and of which it is still known how they were made
_RECENT = 32
#: seconds that a job is thought to take before any was made
_GUESS = 2.0


class Studio:
    """Makes what clients order, one job a model at a time. Safe for several threads.

    >>> studio = Studio(ServeConfig())
    >>> job = studio.submit(Order(Request("a slow siren", seconds=4)), client="kitchen")
    """

    def __init__(self, config: ServeConfig):
        """EdgeAudioError if the model or the history's folder cannot be used."""
        self.config, self.metrics, self.models = config, Metrics(), Models(config)
        self.styles = Styles(config.styles)
        folder = config.data or data_folder()
        self.history = History(folder, config.history_jobs, config.history_bytes)
        self._changed = threading.Condition()
        self._queues: dict[str, FairQueue] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._workers: dict[str, Worker] = {}
        self._live: dict[str, Job] = {}
        self._recent: OrderedDict[str, Job] = OrderedDict()
        self._usual_seconds = _GUESS
        self._is_draining = self._is_closed = False
        watch = self.metrics.watch
        watch("jobs_waiting", "jobs that wait", lambda: self.waiting)
        watch("jobs_live", "jobs that wait or run", lambda: len(self._live))
        watch("history_jobs", "jobs in the history", self.history.count)
        watch("history_bytes", "bytes of clips in the history", lambda: self.history.bytes)

    @property
    def waiting(self) -> int:
        """Jobs that wait."""
        return sum(map(len, list(self._queues.values())))

    @property
    def is_draining(self) -> bool:
        """Whether it takes no more orders, since it will stop."""
        return self._is_draining

    def submit(self, order: Order, client: str) -> Job:
        """Accept an order; the job waits its turn.

        client: who ordered; clients take turns. Refused if the queue is full or the order cannot be
        served, EdgeAudioError or UsageError as the library says.
        """
        entry = self.models.get(order.model)
        try:
            settings = self._settled(order, entry)
        except EdgeAudioError as error:
            refusal = Refused.of(error)
            text = public(error, entry)
            raise Refused(refusal.status, refusal.code, text, refusal.field) from None
        job = Job(order, settings, entry.id, client, Job.new_id(self.config.replica))
        with self._changed:
            self.check_room(client)
            self._check_sound(settings)
            # counted before the row is written, so that no other takes its place
            queue = self._queues.setdefault(entry.id, FairQueue())
            self.history.begin(job)
            self._live[job.id] = job
            queue.put(job)
            self._number(queue)
            self._employ(entry)
            self._changed.notify_all()
        if self.config.log_prompts:
            _log.info("job %s: %s", job.id, EdgeAudioError(repr(settings.prompt)))
        return job

    def check_room(self, client: str) -> None:
        """Refused if the queue is full, for everybody or for this client."""
        waiting, most = self.waiting, self.config.max_waiting
        mine = sum(queue.of(client) for queue in list(self._queues.values()))
        if self._is_draining:
            raise Refused(
                503, "draining", "the server is about to stop", None, {"Retry-After": "5"}
            )
        if waiting < most and mine < self.config.share:
            return
        seconds = max(1, round(self._usual_seconds))
        whose = "the queue is full" if waiting >= most else "you have too many jobs waiting"
        raise Refused(
            503,
            "queue_full",
            f"{whose}; try again in {seconds} s",
            None,
            {"Retry-After": str(seconds)},
        )

    def live(self, job: str) -> Job | None:
        """A job that waits or runs, or None."""
        return self._live.get(job)

    def told(self, job: str) -> Job | None:
        """A job all of whose events are known: one that waits, runs, or was over a moment ago."""
        return self._live.get(job) or self._recent.get(job)

    def view(self, job: str) -> dict[str, Any]:
        """A job as clients see it; Refused if there is none."""
        if (live := self._live.get(job)) is not None and not live.is_over:
            return live.view()
        if (found := self.history.get(job)) is None:
            raise not_found("job")
        return found[0]

    def cancel(self, job: Job) -> None:
        """End a job: at once if it waits, within a step if it runs."""
        with self._changed:
            job.stop()
            queue = self._queues.get(job.model)
            waited = queue is not None and queue.remove(job)
            if waited and queue is not None:
                self._number(queue)
        if waited:
            self._over(job, CANCELLED)

    def remove(self, job: str) -> None:
        """Cancel a job that is not over, delete one that is; Refused if there is none."""
        if (live := self._live.get(job)) is not None and not live.is_over:
            self.cancel(live)
        elif not self.history.remove(job):
            raise not_found("job")
        else:
            with self._changed:
                self._live.pop(job, None)
                self._recent.pop(job, None)

    def favour(self, job: str, favourite: bool) -> dict[str, Any]:
        """Keep a job whatever the limits say; returns it. Refused if there is none."""
        if not self.history.favour(job, favourite):
            raise not_found("job")
        if (live := self._live.get(job)) is not None:
            live.favourite = favourite
        return self.view(job)

    def source(self, job: str, clip: int) -> Source:
        """A clip of the history as a sound to start from; Refused if there is none."""
        path = self.history.path(job, clip)
        if path is None:
            raise Refused(422, "not_found", "there is no such clip to start from", "init")
        try:
            return Source.of(path)
        except EdgeAudioError:  # it was deleted just now
            raise Refused(422, "not_found", "that clip is gone", "init") from None

    def describe_models(self) -> list[dict[str, Any]]:
        """The models as clients see them."""
        return [self._described(entry, self._is_loaded(entry.id)) for entry in self.models.all()]

    def load(self, name: str) -> dict[str, Any]:
        """Bring a model into memory; returns it as clients see it."""
        entry = self.models.get(name)
        with self._changed:
            self._employ(entry)
            worker = self._workers[entry.id]
        worker.load(entry)
        return self._described(entry, worker.is_loaded)

    def _described(self, entry: Entry, loaded: bool) -> dict[str, Any]:
        styles = self.styles.of(entry.bundle)
        return describe(entry, entry.id == self.models.default, loaded, styles)

    def drain(self, seconds: float) -> bool:
        """Take no more orders, and wait so long for those that were taken; whether all ended."""
        self._is_draining = True
        with self._changed:
            return self._changed.wait_for(lambda: not self._live, seconds)

    def close(self) -> None:
        """Stop: what waits or runs is lost, and says so in the history."""
        self._is_draining = True
        with self._changed:
            self._is_closed = True
            waiting = [job for queue in self._queues.values() for job in queue]
            self._queues.clear()
            for job in self._live.values():
                job.stop(LOST)
            threads = list(self._threads.values())
            self._changed.notify_all()
        for job in waiting:
            self._over(job, LOST)
        for thread in threads:
            thread.join()
        self.history.close()

    def _settled(self, order: Order, entry: Entry) -> Settings:
        """The order's settings, all decided; what no worker could serve is refused here."""
        if not 1 <= order.variations <= MOST_VARIATIONS:
            raise Refused(
                422, "invalid", f"variations is not within 1 to {MOST_VARIATIONS}", "variations"
            )
        settings = order.request.resolved(entry.bundle.manifest)
        check_seed(settings.seed + order.variations - 1)
        self.styles.chosen(entry.bundle, [name for name, _ in order.lora])
        entry.bundle.choose(order.precision, recommended(device.describe()).preferred)
        for name in ("steps", "seconds"):
            asked, most = getattr(settings, name), getattr(self.config, f"max_{name}")
            if asked > most:
                text = f"{name} {asked:g} take too long here; use at most {most:g}"
                raise Refused(422, "invalid", text, name)
        return settings

    def _check_sound(self, settings: Settings) -> None:
        """Refused if the sounds that jobs start from would fill the memory."""
        held = [job.settings.init for job in self._live.values()]
        total = sum(sound.samples.nbytes for sound in (*held, settings.init) if sound is not None)
        if settings.init is not None and total > _MOST_SOUND:
            text = "the sounds that jobs wait with fill the memory; try again soon"
            raise Refused(503, "queue_full", text, "init", {"Retry-After": "5"})

    def _number(self, queue: FairQueue) -> None:
        """Tell those who wait how many are before them."""
        for position, job in enumerate(queue):
            job.move(position)

    def _is_loaded(self, model: str) -> bool:
        worker = self._workers.get(model)
        return worker is not None and worker.is_loaded

    def _employ(self, entry: Entry) -> None:
        """See that a model has a worker and its thread."""
        if entry.id not in self._workers:
            self._workers[entry.id] = Worker(self.config, self.history, self.metrics, self.styles)
        if entry.id not in self._threads:
            thread = threading.Thread(
                target=self._work, args=(entry.id,), name=f"studio {entry.id}", daemon=True
            )
            self._threads[entry.id] = thread
            thread.start()

    def _work(self, model: str) -> None:
        """One model's thread: job after job; after an idle time the model leaves memory, and the
        thread ends with it.
        """
        worker = self._workers[model]
        while (job := self._next(model)) is not None:
            self.metrics.waited(model, time.time() - job.created)
            start = time.monotonic()
            try:
                worker.run(job, self.models.get(job.order.model))
            except EdgeAudioError as problem:  # the model's folder has vanished
                code = problem.code if isinstance(problem, Refused) else "failed"
                error = {"code": code, "message": str(problem)}
                end(job, FAILED, self.history, self.metrics, error)
            self._usual_seconds += 0.3 * (time.monotonic() - start - self._usual_seconds)
            self._forget(job)
        worker.unload()

    def _next(self, model: str) -> Job | None:
        """The next job; None when there was none for the idle time, or never will be."""
        with self._changed:
            limit = time.monotonic() + self.config.idle_seconds
            while not self._is_closed:
                queue = self._queues.get(model)
                job = queue.take() if queue else None
                if job is not None and queue is not None:
                    self._number(queue)
                    return job
                left = limit - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            del self._threads[model]  # under the lock: the next order employs another one
            return None

    def _over(self, job: Job, state: str) -> None:
        """A job that never ran is over."""
        end(job, state, self.history, self.metrics)
        self._forget(job)

    def _forget(self, job: Job) -> None:
        with self._changed:
            job.drop_sound()
            if self._live.pop(job.id, None) is not None:  # else it was deleted just now
                self._recent[job.id] = job
            while len(self._recent) > _RECENT:
                self._recent.popitem(last=False)
            self._changed.notify_all()
