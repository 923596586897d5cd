"""What `edge-audio serve` costs and withstands: the table of docs/serve.md.

    python benchmarks/serve_load.py            # all of it: five minutes
    python benchmarks/serve_load.py --quick    # small counts, to see that it works

Every server is the real command in a process of its own, on loopback, with the pocket model. Exit
code 1 if a bound does not hold that does not depend on the machine: a lost or wrong clip, a dirty
answer, half a file.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import json
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import soundfile

from edge_audio import Pipeline, __version__
from edge_audio.model.model import FIT
from edge_audio.system import device

#: the clip of the first rows
CLIP = {"prompt": "a slow rising siren", "seconds": 4.0}
#: the clips of the others, small so that many are made
SMALL = {"prompt": "a plucked string at A3", "seconds": 1.0, "steps": 4}
#: seeds that jobs choose among, each of which the library made once
SEEDS = 24


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    address: str
    data: Path

    def client(self) -> httpx.Client:
        """A client of it."""
        return httpx.Client(base_url=self.address, timeout=120)

    @property
    def memory(self) -> float:
        """Resident megabytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(status.split("VmRSS:")[1].split()[0]) / 1000

    @property
    def threads(self) -> int:
        """Of its process."""
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))

    @property
    def files(self) -> int:
        """That it holds open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


@dataclass
class Row:
    """A line of the table; `broken` says what must not be."""

    what: str
    found: str
    broken: list[str] = field(default_factory=list)


@contextlib.contextmanager
def serving(data: Path, *flags: str) -> Iterator[Server]:
    """The real command."""
    command = [sys.executable, "-m", "edge_audio.cli", "serve", "--port", "0", "--quiet"]
    process = subprocess.Popen(
        [*command, "--data", str(data), *flags], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1].rstrip("/")
        yield Server(process, address, data)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def flac(clip: Any) -> bytes:
    """A clip's file."""
    stream = io.BytesIO()
    clip.save(stream, format="flac")
    return stream.getvalue()


def samples(data: bytes) -> bytes:
    """16-bit samples of a file."""
    return bytes(soundfile.read(io.BytesIO(data), dtype="int16")[0].tobytes())


def overhead(folder: Path, repeats: int) -> Row:
    """One clip over HTTP beside the same clip by the library, turn by turn."""
    library, served = list[float](), list[float]()
    with serving(folder) as server, server.client() as client, Pipeline.load(memory=FIT) as pipe:
        for n in range(repeats + 2):
            seed = {"seed": 100 + n}
            start = time.perf_counter()
            wanted = flac(pipe.generate(**CLIP, **seed))
            library.append(time.perf_counter() - start)
            start = time.perf_counter()
            answer = client.post("/v1/generate?format=flac", json={**CLIP, **seed})
            served.append(time.perf_counter() - start)
            assert answer.content == wanted, "the server's clip is not the library's"
    ours, theirs = statistics.median(served[2:]), statistics.median(library[2:])
    return Row(
        f"one 4 s clip, median of {repeats}",
        f"{1000 * ours:.0f} ms, {1000 * theirs:.0f} ms by the library with its file:"
        f" {100 * (ours / theirs - 1):+.1f} %",
    )


def first_byte(folder: Path, repeats: int) -> Row:
    """Request to first byte of sound, beside request to first block in the library."""
    library, served = list[float](), list[float]()
    with serving(folder) as server, server.client() as client, Pipeline.load(memory=FIT) as pipe:
        for n in range(repeats + 2):
            seed = {"seed": 200 + n}
            start = time.perf_counter()
            blocks = pipe.stream(**CLIP, **seed)
            next(blocks)
            library.append(time.perf_counter() - start)
            blocks.close()
            start = time.perf_counter()
            body = {**CLIP, **seed}
            with client.stream("POST", "/v1/generate?stream=true", json=body) as answer:
                got, heard = 0, 0.0
                for piece in answer.iter_raw():
                    got += len(piece)
                    if got > 44 and not heard:  # more than the header
                        heard = time.perf_counter() - start
                served.append(heard)
    ours, theirs = statistics.median(served[2:]), statistics.median(library[2:])
    return Row(
        f"first byte of sound, median of {repeats}",
        f"{1000 * ours:.0f} ms, first block of the library {1000 * theirs:.0f} ms:"
        f" {1000 * (ours - theirs):+.0f} ms",
    )


class Crowd:
    """Clients that order, wait, cancel and hang up."""

    def __init__(self, server: Server, wanted: dict[int, bytes]):
        self.server, self.wanted = server, wanted
        self.counts: Counter[str] = Counter()
        self.broken: list[str] = []
        self._lock = threading.Lock()

    def work(self, jobs: range) -> None:
        """One client's jobs."""
        rng = random.Random(jobs.start)
        with self.server.client() as client:
            for n in jobs:
                kind = "cancel" if n % 8 == 3 else "hang up" if n % 8 == 7 else "make"
                try:
                    outcome = getattr(self, f"_{kind.replace(' ', '_')}")(client, rng)
                except (httpx.HTTPError, AssertionError, KeyError, OSError) as error:
                    outcome = "error"
                    self.broken.append(f"job {n}: {kind}: {type(error).__name__} {error}")
                with self._lock:
                    self.counts[outcome] += 1

    def _make(self, client: httpx.Client, rng: random.Random) -> str:
        seed = rng.randrange(SEEDS)
        job = self._order(client, seed)
        state = _followed(client, job)
        assert state == "done", f"{job} is {state}"
        self._compare(client, job, seed)
        return "made"

    def _cancel(self, client: httpx.Client, rng: random.Random) -> str:
        job = self._order(client, rng.randrange(SEEDS))
        time.sleep(rng.random() * 0.1)
        client.delete(f"/v1/jobs/{job}")
        answer = client.get(f"/v1/jobs/{job}")
        if answer.status_code == 404:
            return "done before it was cancelled, and deleted"
        state = _followed(client, job)
        assert state in ("cancelled", "done"), state
        return "cancelled"

    def _hang_up(self, client: httpx.Client, rng: random.Random) -> str:
        host, _, port = self.server.address.removeprefix("http://").partition(":")
        body = json.dumps({**SMALL, "seed": rng.randrange(SEEDS)}).encode()
        query = rng.choice(("", "?stream=true"))
        head = f"POST /v1/generate{query} HTTP/1.1\r\nHost: {host}\r\n"
        kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head.encode() + kind.encode() + body)
            time.sleep(rng.random() * 0.1)
        return "hung up"

    def _order(self, client: httpx.Client, seed: int) -> str:
        while True:
            answer = client.post("/v1/jobs", json={**SMALL, "seed": seed})
            if answer.status_code == 202:
                return str(answer.json()["id"])
            assert answer.status_code == 503, answer.text
            assert answer.json()["error"]["code"] == "queue_full", answer.text
            self.counts["(503, asked again)"] += 1
            time.sleep(0.05)

    def _compare(self, client: httpx.Client, job: str, seed: int) -> None:
        sound = client.get(f"/v1/jobs/{job}/audio", params={"format": "flac"})
        assert sound.content == self.wanted[seed], f"{job} is not the library's clip"


def _followed(client: httpx.Client, job: str) -> str:
    """The state in which a job's events end."""
    state = "lost"
    with client.stream("GET", f"/v1/jobs/{job}/events") as events:
        for line in events.iter_lines():
            if line.startswith("event: "):
                state = line.removeprefix("event: ")
    return state


def crowd(folder: Path, jobs: int, clients: int) -> Row:
    """Many jobs of many clients, a quarter of which are cancelled or hung up in mid-flight."""
    with Pipeline.load(memory=FIT) as pipe:
        wanted = {seed: flac(pipe.generate(**SMALL, seed=seed)) for seed in range(SEEDS)}
    with serving(folder, "--max-waiting", "16") as server:
        Crowd(server, wanted).work(range(64, 64 + 48))  # what a server grows to in its first minute
        before = server.memory, server.threads, server.files
        many, start = Crowd(server, wanted), time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            shares = [range(1000 * c, 1000 * c + jobs // clients) for c in range(clients)]
            list(pool.map(many.work, shares))
        seconds = time.perf_counter() - start
        with server.client() as client:
            while client.get("/health").json()["waiting"]:
                time.sleep(0.1)
            time.sleep(2)
            states = Counter(
                line.split('state="')[1].split('"')[0]
                for line in client.get("/metrics").text.splitlines()
                if line.startswith("edge_audio_jobs_total")
            )
            live = _gauge(client, "edge_audio_jobs_live")
        parts = list((folder / "clips").glob("*.part"))
        after = server.memory, server.threads, server.files
    broken = many.broken
    broken += [f"{live:g} jobs never ended"] * bool(live) + [f"{len(parts)} half files"] * bool(
        parts
    )
    broken += ["a job failed"] * ("failed" in states)
    told = ", ".join(f"{count} {name}" for name, count in sorted(many.counts.items()))
    return Row(
        f"{sum(map(len, shares))} jobs, {clients} clients, a quarter cancelled or hung up",
        f"{told}; {len(broken)} lost or wrong, {seconds:.0f} s; memory {before[0]:.0f} → "
        f"{after[0]:.0f} MB, threads {before[1]} → {after[1]}, open files {before[2]} → {after[2]}",
        broken,
    )


def _gauge(client: httpx.Client, name: str) -> float:
    text = client.get("/metrics").text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


#: asks for the health in a process of its own, until its input ends; prints milliseconds
WATCH = """
import http.client, json, select, sys, time
connection, took = http.client.HTTPConnection(sys.argv[1]), []
while not select.select([sys.stdin], [], [], 0.01)[0]:
    start = time.perf_counter()
    connection.request("GET", "/health")
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    took.append(1000 * (time.perf_counter() - start))
print(json.dumps(took))
"""


def rush(folder: Path, clients: int) -> Row:
    """All at once on a queue of 16, with somebody who asks for its health all along."""
    answers, broken = Counter[str](), list[str]()
    with serving(folder, "--max-waiting", "16") as server:
        gate = threading.Barrier(clients)
        host = server.address.removeprefix("http://")

        def ask(n: int) -> None:
            connection = http.client.HTTPConnection(host, timeout=120)
            body = json.dumps({**CLIP, "seed": n})
            gate.wait()
            connection.request("POST", "/v1/generate", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            data = answer.read()
            answers[str(answer.status)] += 1
            if answer.status == 200:
                if len(samples(data)) != 2 * 64000:
                    broken.append("a clip is not whole")
            elif answer.status != 503 or not answer.headers["Retry-After"]:
                broken.append(f"{answer.status} {data[:200]!r}")
            connection.close()

        command = [sys.executable, "-c", WATCH, host]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as watch:
            time.sleep(0.5)
            with ThreadPoolExecutor(clients) as pool:
                list(pool.map(ask, range(clients)))
            healths = sorted(json.loads(watch.communicate()[0]))
    told = ", ".join(f"{count} × {status}" for status, count in sorted(answers.items()))
    return Row(
        f"{clients} clients at once on a queue of 16",
        f"{told}, {len(broken)} others; health: median {statistics.median(healths):.1f} ms, 99 % "
        f"{healths[int(0.99 * len(healths))]:.0f} ms, worst {healths[-1]:.0f} ms of {len(healths)}",
        broken,
    )


def kills(folder: Path, times: int) -> Row:
    """SIGKILL in mid-job, again and again on the same history."""
    rng, done, broken, lost = random.Random(1), set[str](), list[str](), set[str]()
    for n in range(times):
        with serving(folder) as server, server.client() as client:
            state = _states(client)
            lost |= {job for job, s in state.items() if s == "lost"}
            broken += [f"{n}: {j} is gone" for j in done if state.get(j) != "done"]
            broken += [f"{n}: {j} is {s}" for j, s in state.items() if s not in ("done", "lost")]
            kept = {f"{j}-0.flac" for j, s in state.items() if s == "done"}
            there = {path.name for path in (folder / "clips").iterdir()}
            broken += [f"{n}: {name} is missing" for name in kept - there]
            broken += [f"{n}: {name} is nobody's or half" for name in there if ".part" in name]
            for job in [j for j, s in state.items() if s == "done"][:5]:
                sound = client.get(f"/v1/jobs/{job}/audio").content
                broken += [f"{n}: {job} does not play"] * (len(samples(sound)) != 2 * 16000)
            done |= {job for job, s in state.items() if s == "done"}
            for seed in range(10):
                client.post("/v1/jobs", json={**SMALL, "seed": seed})
            time.sleep(0.05 + 0.6 * rng.random())
            done |= {job for job, s in _states(client).items() if s == "done"}
            server.process.kill()
            server.process.wait()
    return Row(
        f"kill −9 in mid-job, {times} times",
        f"started again each time; {len(done)} clips done before a kill, all there and whole;"
        f" {len(lost)} unfinished jobs marked lost; {len(broken)} wrong",
        broken,
    )


def _states(client: httpx.Client) -> dict[str, str]:
    states: dict[str, str] = {}
    before: dict[str, str] = {}
    while True:
        page = client.get("/v1/jobs", params={"limit": 200, **before}).json()
        states |= {job["id"]: job["state"] for job in page["jobs"]}
        if not page["more"]:
            return states
        before = {"before": page["jobs"][-1]["id"]}


def main() -> int:
    """The table, on standard output."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small counts")
    parser.add_argument("--only", metavar="NAME", help="one of overhead, first_byte, crowd, …")
    arguments = parser.parse_args()
    small = arguments.quick
    plan = {
        "overhead": lambda folder: overhead(folder, 5 if small else 40),
        "first_byte": lambda folder: first_byte(folder, 5 if small else 40),
        "crowd": lambda folder: crowd(folder, 64 if small else 1008, 8 if small else 16),
        "rush": lambda folder: rush(folder, 30 if small else 100),
        "kills": lambda folder: kills(folder, 3 if small else 50),
    }
    here = device.describe()
    print(
        f"edge-audio {__version__}, pocket, {here.model or here.architecture}, {here.cores} cores\n"
    )
    print("| | measured |\n| --- | --- |")
    broken: list[str] = []
    for name, measure in plan.items():
        if arguments.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="edge-audio-load-") as folder:
                row = measure(Path(folder))
            print(f"| {row.what} | {row.found} |", flush=True)
            broken += row.broken
    for line in broken[:20]:
        print(line, file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
