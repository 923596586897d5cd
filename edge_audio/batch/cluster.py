"""The same plan on a cluster, through Ray Data (extra `ray`): actors make units, and their records
come back to the run, which keeps the journal.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import secrets
import shutil
import socket
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edge_audio.batch.job import Job, Unit
from edge_audio.batch.make import Maker, where
from edge_audio.batch.place import Place
from edge_audio.batch.plan import Choices, Reader
from edge_audio.batch.run import OnProgress, Run
from edge_audio.batch.worker import answer, made
from edge_audio.bundle.manifest import MANIFEST_NAME, files
from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError, EdgeAudioWarning, first_line
from edge_audio.system import cache, device
from edge_audio.version import __version__

#: units that an actor is given at once, at most: what a node that is lost has to make again
BLOCK = 8
#: CPUs of a cluster that actors on a dataset leave to the tasks that read it, without which it
#: waits for ever; the rows of a plan are in Ray's store, and need none
SPARE = 1


def connect(address: str | None) -> None:
    """Join a cluster, None: start one on this computer, which nobody else can reach;
    EdgeAudioError if there is none.
    """
    if address is None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # on Linux this, too, makes it listen on loopback alone
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    import ray

    host, _, port = (address or "").rpartition(":")
    try:
        if host and port.isdecimal() and "/" not in host:  # Ray itself tries for minutes
            socket.create_connection((host, int(port)), 10).close()
        more: dict[str, Any] = {}
        if address is None:
            more = {"num_cpus": device.cpus(), "include_dashboard": False}
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **more)
    except (OSError, ValueError, RuntimeError, OverflowError) as error:
        raise EdgeAudioError(
            f"there is no Ray cluster at {address} ({first_line(error)}); start one with ray start"
            " --head, or leave the address out"
        ) from None
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    for name in ("ray.data", "ray._private"):
        logging.getLogger(name).setLevel(logging.ERROR)


def on_cluster(
    run: Run, threads: int, workers: int | None, on_progress: OnProgress, gather: bool = False
) -> int:
    """Make all that is pending with actors of so many threads; returns how many failed.

    gather: sounds travel to this computer, rather than be written by the nodes; so they do, too,
    where a node does not see the folder. EdgeAudioError for a cluster that cannot do it.
    """
    pending = [unit.to_json() for unit in run.pending()]
    if not pending:
        return 0
    gather = _check_nodes(run) or gather
    workers = actors(threads, workers, len(pending))
    run.claim()
    done = run.plan.units // run.shard[1] - len(pending)
    answers = _answers(run, pending, threads, workers, gather)
    return run.carry_out(answers, on_progress, done, done + len(pending))


def actors(threads: int, asked: int | None, units: int, spare: int = 0) -> int:
    """How many fit on the nodes beside what is spared for other tasks; EdgeAudioError if more are
    asked for, or none fits.
    """
    import ray

    cpus = [int(node["Resources"].get("CPU", 0)) for node in _nodes()]
    most = sum(each // threads for each in cpus)
    if most * threads > sum(cpus) - spare:
        most -= 1
    if most < 1 or (asked or 0) > most:
        reading = f" and must leave {spare} to the tasks that read, or nothing moves"
        raise EdgeAudioError(
            f"the cluster has {sum(cpus)} CPUs on {len(cpus)} nodes, of which actors of {threads}"
            f" threads can take {max(most, 0) * threads}{reading if spare else ''};"
            f" {'use fewer --threads' if most < 1 else f'use --workers {most}'}, or add a node"
        )
    if ray.available_resources().get("CPU", 0) < threads:
        raise EdgeAudioError(
            f"all {sum(cpus)} CPUs of the cluster are at work for others; wait for them, or add a"
            " node"
        )
    return min(asked or most, units)


def _answers(
    run: Run, pending: list[str], threads: int, workers: int, gather: bool
) -> Iterator[dict[str, Any]]:
    import ray

    size = max(1, min(BLOCK, len(pending) // (4 * workers)))
    rows = ray.data.from_items(
        [{"unit": unit} for unit in pending], override_num_blocks=-(-len(pending) // size)
    )
    batches = rows.map_batches(
        Makers,
        batch_size=size,
        batch_format="pyarrow",
        zero_copy_batch=True,
        num_cpus=threads,
        compute=ray.data.ActorPoolStrategy(size=workers),
        fn_constructor_args=(run.job.to_json(), threads, run.place.url, gather, [_shared(run.job)]),
    )
    try:
        table: Any
        for table in batches.iter_batches(batch_size=None, batch_format="pyarrow"):
            for text, data in zip(table["answer"].to_pylist(), table["data"].to_pylist()):
                found = json.loads(text)
                if "stop" in found:
                    raise EdgeAudioError(found["stop"])
                if gather and "failed" not in found:
                    run.place.write(where(run.job, found), data)
                yield found
    except (ray.exceptions.RayError, OSError) as error:
        raise EdgeAudioError(
            f"the cluster stopped ({_reason(error)}); run the same command again to go on"
        ) from None


class Makers:
    """The actor: opens the model once, and makes batches of units."""

    def __init__(self, job: str, threads: int, place: str, gather: bool, bundle: list[Any]):
        warnings.simplefilter("ignore", EdgeAudioWarning)
        self.job = unpacked(Job.from_json(job), bundle[0])
        self.maker = Maker(self.job, self.job.open(threads), Place(place))
        self.gather = gather

    def __call__(self, batch: Any) -> Any:
        """Table with a column `unit` -> one with `answer` and `data`, which is empty where nodes
        write.
        """
        import pyarrow

        answers, files = [], []
        for text in batch["unit"].to_pylist():
            found, data = self._made(Unit.from_json(text))
            answers.append(json.dumps(found))
            files.append(data)
        return pyarrow.table({"answer": answers, "data": pyarrow.array(files, pyarrow.binary())})

    def _made(self, unit: Unit) -> tuple[dict[str, Any], bytes]:
        if self.gather:
            return made(self.maker, unit)
        try:
            return answer(self.maker, unit), b""
        except EdgeAudioError as error:
            return {"unit": unit.key, "stop": str(error)}, b""


class Rows:
    """The actor of `generated`."""

    def __init__(self, job: str, threads: int, carry: Sequence[str], bundle: list[Any]):
        warnings.simplefilter("ignore", EdgeAudioWarning)
        self.job = unpacked(Job.from_json(job), bundle[0])
        self.choices = Choices(carry=carry)
        self.pipeline = self.job.open(threads)
        self.maker = Maker(self.job, self.pipeline, Place("."))

    def __call__(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        reader = Reader(Path.cwd(), self.pipeline, self.job, self.choices)
        for unit, _ in reader.units(0, {n: v for n, v in row.items() if v is not None}):
            record, data = self.maker.make(unit)
            yield {**row, "sound": data, "record": json.dumps(record)}


def generated(
    dataset: Any,
    job: Job,
    threads: int = 1,
    workers: int | None = None,
    carry: Sequence[str] = (),
) -> Any:
    """A Ray dataset of rows as a list has them -> the same with `sound`, the bytes of a file, and
    `record`, JSON of its seed, levels and so on. Rows that say the same have the same sound.

    carry: columns of one's own. The actors leave a CPU to the tasks that read the dataset.
    """
    import ray

    return dataset.flat_map(
        Rows,
        num_cpus=threads,
        compute=ray.data.ActorPoolStrategy(size=actors(threads, workers, 1 << 30, SPARE)),
        fn_constructor_args=(job.to_json(), threads, tuple(carry), [_shared(job)]),
    )


# The bundle, once a node


def _shared(job: Job) -> Any:
    """The bundle's files in Ray's store, which brings them to each node once."""
    import ray

    bundle = Bundle.open(job.model)
    names = [MANIFEST_NAME, *(entry.file for entry in files(bundle.manifest))]
    return ray.put({name: (bundle.folder / name).read_bytes() for name in names})


def unpacked(job: Job, shared: Any) -> Job:
    """The job with the bundle's folder on this node: where it is here, too, or else a copy."""
    import ray

    if _has(Path(job.model), job.bundle_sha256):
        return job
    folder = (cache.folder() or Path(tempfile.gettempdir())) / "bundles" / job.bundle_sha256
    if not _has(folder, job.bundle_sha256):
        building = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}")
        try:
            building.mkdir(parents=True)
            for name, data in ray.get(shared).items():
                (building / Path(name).name).write_bytes(data)
            building.rename(folder)
        except OSError:
            if not _has(folder, job.bundle_sha256):  # or else another actor was first
                raise
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return dataclasses.replace(job, model=str(folder))


def _has(folder: Path, sha256: str) -> bool:
    try:
        return Bundle.open(folder).sha256 == sha256
    except EdgeAudioError:
        return False


def _nodes() -> list[dict[str, Any]]:
    """Those that are alive."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()
    return [node for node in nodes if node["Alive"]]


def _check_nodes(run: Run) -> bool:
    """Whether sounds must be gathered, since a node does not see their folder; EdgeAudioError for a
    node that has another edge-audio, or none.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    marker, token = run.state / "marker", secrets.token_hex(8)
    marker.write_text(token, encoding="utf-8")
    seen = []
    for node in _nodes():
        on_node = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        task = ray.remote(looked_at).options(num_cpus=0, scheduling_strategy=on_node)
        name = node["NodeManagerAddress"]
        try:
            version, found = ray.get(task.remote(str(marker.resolve())), timeout=60)
        except Exception as error:  # whatever the node's own imports raise
            raise EdgeAudioError(
                f"node {name} cannot run edge-audio ({_reason(error)}); run pip install"
                f" 'edge-audio[ray]=={__version__}' there"
            ) from None
        if version != __version__:
            raise EdgeAudioError(
                f"node {name} has edge-audio {version}, and this is {__version__}, which may sound"
                " otherwise; install the same on all nodes"
            )
        seen.append(found == token)
    marker.unlink()
    return run.place.folder is not None and not all(seen)


def looked_at(marker: str) -> tuple[str, str]:
    """On a node: its version, and what it sees of a file."""
    try:
        return __version__, Path(marker).read_text(encoding="utf-8")
    except OSError:
        return __version__, ""


def _reason(error: BaseException) -> str:
    """The last line that Ray tells of an error of a node: what was raised there."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else first_line(error)
