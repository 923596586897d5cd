"""The same plan on a Ray cluster of two nodes on this computer, `ray start` twice on loopback."""

import contextlib
import hashlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import uncounted

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.ray

ROOT = Path(__file__).parents[3]
#: Ray asks for a token by itself since 2.60; this one is the tests' own
ENVIRONMENT = {
    **uncounted(),
    "PYTHONPATH": str(ROOT),
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}
#: a sound takes so long that a node is killed in the middle of the run
SLOW = """
import time, edge_audio.batch.make as make
usual = make.Maker.make
def slowly(self, unit):
    time.sleep(0.3)
    return usual(self, unit)
make.Maker.make = slowly
"""


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def descendants(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [*descendants(int(child)), int(child)]
    return found


def kill(process):
    """A node as a power cut ends it: all its processes at once."""
    for pid in [*descendants(process.pid), process.pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def cluster(tmp_path):
    """(address, start a node) of a cluster whose head has two CPUs; it ends with the test."""
    port, started = free_port(), []
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "sitecustomize.py").write_text(SLOW)
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{tmp_path / 'slow'}:{ROOT}"}

    def start(*options, cpus=2, **more):
        command = [Path(sys.executable).parent / "ray", "start", "--block", f"--num-cpus={cpus}"]
        command += ["--node-ip-address=127.0.0.1"]
        process = subprocess.Popen(
            [*map(str, command), *options, "--object-store-memory=100000000"],
            env={**environment, **more},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        started.append(process)
        return process

    address = f"127.0.0.1:{port}"
    temporary = f"/tmp/ray-{port}"  # a socket's path is short
    start("--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={temporary}")
    wait_for_nodes(address, 1)
    yield address, lambda **more: start(f"--address={address}", **more)
    for process in reversed(started):
        kill(process)


def wait_for_nodes(address, count):
    look = f"import ray; ray.init('{address}', log_to_driver=False, logging_level=40);"
    look += f"assert sum(node['Alive'] for node in ray.nodes()) >= {count}"
    for _ in range(20):
        with contextlib.suppress(subprocess.SubprocessError):
            command = [sys.executable, "-c", look]
            subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=20, check=True)
            return
        time.sleep(1)
    raise AssertionError(f"{count} nodes did not come up")


def start_run(listed, out, toy_bundle, *options):
    command = [sys.executable, "-m", "edge_audio.cli", "batch", listed, "--out", out, "--quiet"]
    return subprocess.Popen(
        [*map(str, [*command, "--model", toy_bundle, "--threads", 1, *options])],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )


def files(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).iterdir())
        if path.is_file()
    }


def test_a_node_that_is_killed_loses_nothing_and_makes_nothing_twice(cluster, toy_bundle, tmp_path):
    address, start_node = cluster
    listed, out = tmp_path / "list.txt", tmp_path / "out"
    listed.write_text("\n".join(f"rain number {i}" for i in range(120)))
    whole = start_run(listed, tmp_path / "whole", toy_bundle, "--workers", 2)
    assert whole.wait(120) == 0
    node = start_node()
    wait_for_nodes(address, 2)
    run = start_run(listed, out, toy_bundle, "--ray", address)
    until = time.monotonic() + 100
    while len(list(out.glob("*.flac"))) < 25:
        assert time.monotonic() < until and run.poll() is None, run.stderr.read()
        time.sleep(0.05)
    kill(node)
    assert len(list(out.glob("*.flac"))) < 120
    assert run.wait(200) == 0, run.stderr.read()
    assert files(out) == files(tmp_path / "whole")
    journal = (out / ".edge-audio" / "journal.jsonl").read_text().splitlines()
    assert len(journal) == 120


def test_gathered_sounds_are_the_same(cluster, toy_bundle, tmp_path):
    address, _ = cluster
    listed = tmp_path / "list.txt"
    listed.write_text("rain\nhail\nsnow\n")
    for out, options in (("whole", ["--workers", 1]), ("out", ["--ray", address, "--gather"])):
        run = start_run(listed, tmp_path / out, toy_bundle, *options)
        assert run.wait(120) == 0, run.stderr.read()
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_actors_that_would_take_every_cpu_are_refused_before_anything_starts(
    cluster, toy_bundle, tmp_path
):
    address, _ = cluster
    listed = tmp_path / "list.txt"
    listed.write_text("rain\n")
    run = start_run(listed, tmp_path / "out", toy_bundle, "--ray", address, "--workers", 2)
    assert run.wait(60) == 1
    assert "2 CPUs on 1 nodes" in (said := run.stderr.read()) and "use --workers 1" in said


def test_a_node_with_another_edge_audio_is_named(cluster, toy_bundle, tmp_path):
    address, start_node = cluster
    other = tmp_path / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text(
        "import edge_audio.batch.cluster as cluster\ncluster.__version__ = '0.0.1'\n"
    )
    start_node(PYTHONPATH=f"{other}:{ROOT}")
    wait_for_nodes(address, 2)
    listed = tmp_path / "list.txt"
    listed.write_text("rain\n")
    run = start_run(listed, tmp_path / "out", toy_bundle, "--ray", address)
    assert run.wait(60) == 1
    assert "has edge-audio 0.0.1, and this is" in run.stderr.read()


def test_an_address_where_nobody_is(toy_bundle, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("rain\n")
    run = start_run(listed, tmp_path / "out", toy_bundle, "--ray", f"127.0.0.1:{free_port()}")
    assert run.wait(120) == 1 and "there is no Ray cluster at" in run.stderr.read()
