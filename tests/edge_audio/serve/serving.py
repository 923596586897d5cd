"""A real server on loopback, in a thread of the test's process."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from edge_audio.serve.config import ServeConfig
from edge_audio.serve.server import bound, server

#: what pocket was made of; an installed wheel has it not
CHECKPOINT = Path(__file__).parents[3] / "models" / "training" / "checkpoint"
#: a clip of pocket that is made in a tenth of a second
SHORT = {"prompt": "a bell", "seconds": 0.3, "steps": 2, "seed": 3}


@contextlib.contextmanager
def serving(data: Path, **settings) -> Iterator[httpx.Client]:
    """A client of a server of pocket whose history lies in `data`; `client.studio` is its studio
    and `client.port` its port.
    """
    config = ServeConfig(port=0, data=data, **{"drain_seconds": 0, **settings})
    listening = bound(config)
    running = server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
    thread.start()
    port = listening.getsockname()[1]
    try:
        while not running.started:
            assert thread.is_alive()
            time.sleep(0.01)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            client.studio, client.port = running.config.app.state.studio, port
            yield client
    finally:
        running.should_exit = True
        thread.join()
        listening.close()


def order(client: httpx.Client, **changes) -> dict:
    """A job that was just accepted."""
    answer = client.post("/v1/jobs", json={**SHORT, **changes})
    assert answer.status_code == 202, answer.text
    return answer.json()


def ended(client: httpx.Client, job: str) -> dict:
    """A job when it is over."""
    return events(client, job)[-1][1]


def events(client: httpx.Client, job: str, headers: dict | None = None) -> list[tuple[str, dict]]:
    """All that happens to a job: kinds and data; the last one's is the job."""
    return [(kind, data) for _, kind, data in numbered(client, job, headers)]


def numbered(client: httpx.Client, job: str, headers=None) -> list[tuple[int, str, dict]]:
    """The same with ids."""
    found, entry = [], {}
    with client.stream("GET", f"/v1/jobs/{job}/events", headers=headers) as answer:
        assert answer.status_code == 200 and answer.headers["content-type"].startswith(
            "text/event-stream"
        )
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name in ("id", "event", "data"):
                entry[name] = value
            elif not line and entry:
                found.append((int(entry["id"]), entry["event"], json.loads(entry["data"])))
                entry = {}
    return found
