"""The same plan on a Ray cluster of two nodes on this computer, `ray start` twice on loopback."""

import contextlib
import dataclasses
import hashlib
import json
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
#: all of it on loopback, and a node that is gone is missed soon; Ray asks for a token by itself
#: since 2.60, and this one is the tests' own
ENVIRONMENT = {
    **uncounted(),
    "PYTHONPATH": str(ROOT),
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_health_check_period_ms": "1000",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}
#: `ray start`, which by itself takes the computer's address in place of 127.0.0.1, and with the
#: variable above refuses a second node
NODE = """
import ray._private.ray_constants, ray._private.services as services, ray.scripts.scripts as scripts
ray._private.ray_constants.ENABLE_RAY_CLUSTER = True
services.get_node_ip_address = lambda address=None: "127.0.0.1"
scripts.main()
"""
#: what a node's sitecustomize.py does in those of its processes that run tasks and actors
IN_WORKERS = """
import sys
if any("default_worker" in word for word in sys.orig_argv):
    {}
"""
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


@dataclasses.dataclass
class Cluster:
    """`ray start` on loopback: a head of two CPUs, and further nodes."""

    folder: Path
    started: list = dataclasses.field(default_factory=list)

    def __post_init__(self):
        self.address = f"127.0.0.1:{(port := free_port())}"
        (self.folder / "sitecustomize.py").write_text(IN_WORKERS.format(SLOW))
        temporary = f"--temp-dir=/tmp/ray-{port}"  # a socket's path is short
        self.start("--head", f"--port={port}", "--include-dashboard=false", temporary)
        self.wait_for_nodes(1)

    def start(self, *options, code=NODE, **environment):
        """A node of two CPUs, as its process."""
        command = [sys.executable, "-c", code, "start", "--block", "--num-cpus=2"]
        process = subprocess.Popen(
            [*command, "--node-ip-address=127.0.0.1", "--object-store-memory=100000000", *options],
            env={**ENVIRONMENT, "PYTHONPATH": f"{self.folder}:{ROOT}", **environment},
            stdout=(self.folder / f"node{len(self.started)}.txt").open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    @contextlib.contextmanager
    def node(self, **environment):
        """A second node, which is gone afterwards."""
        process = self.start(f"--address={self.address}", **environment)
        self.wait_for_nodes(2)
        yield process
        kill(process)
        self.wait_for_nodes(1)

    def wait_for_nodes(self, count):
        """Until so many are alive."""
        look = (
            f"import ray, time; ray.init('{self.address}', log_to_driver=False, logging_level=40)"
        )
        look += f"\nwhile sum(node['Alive'] for node in ray.nodes()) != {count}: time.sleep(0.2)"
        for _ in range(4):
            with contextlib.suppress(subprocess.SubprocessError):
                run = [sys.executable, "-c", look]
                subprocess.run(run, env=ENVIRONMENT, capture_output=True, timeout=90, check=True)
                return
        said = (self.folder / f"node{len(self.started) - 1}.txt").read_text()
        raise AssertionError(f"there are not {count} nodes: {said}")

    def stop(self):
        """As a power cut does."""
        for process in reversed(self.started):
            kill(process)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    running = Cluster(tmp_path_factory.mktemp("cluster"))
    yield running
    running.stop()


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


#: 127.0.0.1, the same as an IPv6 address, and ::1, as /proc/net has them
LOOPBACK = {
    "0100007F",
    "0000000000000000FFFF00000100007F",
    "00000000000000000000000001000000",
}


def listening(process):
    """The addresses that a node's processes listen at."""
    sockets = set()
    for pid in [*descendants(process.pid), process.pid]:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                sockets.add(os.readlink(link))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            address, state, inode = (line.split()[index] for index in (1, 3, 9))
            if state == "0A" and f"socket:[{inode}]" in sockets:
                found.add(address.split(":")[0])
    return found


def test_a_node_that_is_killed_loses_nothing_and_makes_nothing_twice(cluster, toy_bundle, tmp_path):
    listed, out = tmp_path / "list.txt", tmp_path / "out"
    listed.write_text("\n".join(f"rain number {i}" for i in range(120)))
    whole = start_run(listed, tmp_path / "whole", toy_bundle, "--workers", 2)
    assert whole.wait(120) == 0
    with cluster.node() as node:
        # nobody beyond this computer is let in
        loopback = {
            "0100007F",
            "0000000000000000FFFF00000100007F",
            "00000000000000000000000001000000",
        }
        assert listening(node) and listening(node) | listening(cluster.started[0]) <= loopback
        assert whole.wait(120) == 0
        run = start_run(listed, out, toy_bundle, "--ray", cluster.address)
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


#: a node that sees neither the run's folder nor the bundle's
FAR = """
    import edge_audio.batch.cluster as cluster
    usual = cluster._has
    cluster._has = lambda folder, sha256: "cache" in folder.parts and usual(folder, sha256)
    cluster.looked_at = lambda marker: (cluster.__version__, "")
"""


def test_to_a_node_that_sees_no_folder_the_bundle_travels_and_sounds_travel_back(
    cluster, toy_bundle, tmp_path
):
    listed, cache = tmp_path / "list.txt", tmp_path / "cache"
    listed.write_text("\n".join(f"rain number {i}" for i in range(24)))
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "sitecustomize.py").write_text(IN_WORKERS.format(FAR))
    with cluster.node(PYTHONPATH=f"{tmp_path / 'far'}:{ROOT}", EDGE_AUDIO_CACHE=str(cache)):
        for out, options in (("whole", ["--workers", 1]), ("out", ["--ray", cluster.address])):
            run = start_run(listed, tmp_path / out, toy_bundle, *options)
            assert run.wait(120) == 0, run.stderr.read()
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert len(list(cache.glob("bundles/*"))) == 1


GENERATED = """
import json, sys
import ray
from edge_audio import Pipeline
from edge_audio.batch.cluster import generated
from edge_audio.batch.job import Job
ray.init(sys.argv[1], log_to_driver=False, logging_level=40)
rows = ray.data.read_json(sys.argv[2])
made = generated(rows, Job.of(Pipeline.load(sys.argv[3])), carry=['label'])
for row in made.iter_rows():
    name = json.loads(row["record"])["file"]
    open(f"{sys.argv[4]}/{name}", "wb").write(row["sound"])
    print(row["label"], row["prompt"])
"""


def test_rows_of_a_dataset_of_ones_own(cluster, toy_bundle, tmp_path):
    """Beside actors on it there is room for the tasks that read it; sounds are those of a list."""
    listed, out = tmp_path / "list.jsonl", tmp_path / "out"
    rows = [{"prompt": p, "seconds": 1.0, "label": i} for i, p in enumerate(["rain", "hail"])]
    listed.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out.mkdir()
    command = [sys.executable, "-c", GENERATED, cluster.address, listed, toy_bundle, out]
    done = subprocess.run(
        list(map(str, command)), env=ENVIRONMENT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split("\n")[:2]) == ["0 rain", "1 hail"]
    run = start_run(listed, tmp_path / "whole", toy_bundle, "--workers", 1, "--carry", "label")
    assert run.wait(120) == 0, run.stderr.read()
    sounds = {name: digest for name, digest in files(tmp_path / "whole").items() if "flac" in name}
    assert files(out) == sounds


def refused(cluster, toy_bundle, tmp_path, *options):
    """What a run says that is refused before anything is made."""
    listed = tmp_path / "list.txt"
    listed.write_text("rain\n")
    run = start_run(listed, tmp_path / "out", toy_bundle, "--ray", cluster.address, *options)
    assert run.wait(120) == 1
    assert not list((tmp_path / "out").glob("*.flac"))
    return run.stderr.read()


def test_more_actors_than_cpus_are_refused_before_anything_starts(cluster, toy_bundle, tmp_path):
    said = refused(cluster, toy_bundle, tmp_path, "--workers", 3)
    assert "2 CPUs on 1 nodes" in said and "use --workers 2" in said


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import edge_audio.batch.cluster as c; c.__version__ = '0.0.1'", "0.0.1, and this is"),
        ("import sys; sys.modules['edge_audio'] = None", "cannot run edge-audio (ModuleNotFound"),
    ],
)
def test_a_node_with_another_edge_audio_or_none_is_named(cluster, toy_bundle, tmp_path, code, said):
    other = tmp_path / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text(IN_WORKERS.format(code))
    with cluster.node(PYTHONPATH=f"{other}:{ROOT}"):
        assert said in refused(cluster, toy_bundle, tmp_path)


def test_an_address_where_nobody_is(toy_bundle, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("rain\n")
    run = start_run(listed, tmp_path / "out", toy_bundle, "--ray", f"127.0.0.1:{free_port()}")
    assert run.wait(120) == 1 and "there is no Ray cluster at" in run.stderr.read()
