"""What `/metrics` tells, in Prometheus' text form. Each server has a registry of its own."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from edge_audio.version import __version__

_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300)


class Metrics:
    """Counters of one server. Safe for several threads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        info = Gauge("edge_audio_info", "this server", ["version"], registry=self.registry)
        info.labels(__version__).set(1)
        self._jobs = self._counter("jobs", "jobs that are over", "model", "state")
        self._refused = self._counter("refused", "requests that were refused", "code")
        self._audio = self._counter("audio_seconds", "seconds of sound that were made", "model")
        self._answers = self._counter("http_requests", "answers", "route", "status")
        self._making = self._histogram("making_seconds", "time to make a clip")
        self._waited = self._histogram("waiting_seconds", "time that a job waited")

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"edge_audio_{name}", what, labels, registry=self.registry)

    def _histogram(self, name: str, what: str) -> Histogram:
        return Histogram(
            f"edge_audio_{name}", what, ["model"], registry=self.registry, buckets=_SECONDS
        )

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """A number that is looked up when it is asked for."""
        Gauge(f"edge_audio_{name}", what, registry=self.registry).set_function(value)

    def made(self, model: str, audio: float, seconds: float) -> None:
        """A clip was made."""
        self._audio.labels(model).inc(audio)
        self._making.labels(model).observe(seconds)

    def waited(self, model: str, seconds: float) -> None:
        """A job's turn came."""
        self._waited.labels(model).observe(seconds)

    def ended(self, model: str, state: str) -> None:
        """A job is over."""
        self._jobs.labels(model, state).inc()

    def refused(self, code: str) -> None:
        """A request was refused."""
        self._refused.labels(code).inc()

    def answered(self, route: str, status: int) -> None:
        """A request was answered. route: its template, of which there are few."""
        self._answers.labels(route, str(status)).inc()

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self.registry)
