"""`edge-audio batch`."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_audio.cli.finish import add_finish
from edge_audio.cli.models import size as size_of
from edge_audio.cli.options import (
    Commands,
    add_json,
    add_lora,
    add_model,
    add_quiet,
    add_sampling,
    add_seconds,
    add_threads,
)
from edge_audio.cli.result import print_result
from edge_audio.errors import EdgeAudioError, UsageError
from edge_audio.values import counted

if TYPE_CHECKING:
    from edge_audio.batch.plan import Choices, Plan
    from edge_audio.batch.run import OnProgress, Run

PACKAGES = ("scipy", "jinja2", "pyarrow", "tqdm", "fsspec")
#: sounds of a shard, unless it is said
SHARD = 1000
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def add_batch(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "batch",
        help="make a list of sounds, on this computer or a cluster",
        description="Make the sounds of a list, with all that data sets need beside them. A run"
        " that was stopped goes on when the same command is run again. docs/batch.md shows more.",
    )
    parser.set_defaults(run=batch)
    parser.add_argument(
        "list",
        metavar="LIST",
        help=".csv, .jsonl or .parquet with a column prompt and settings of generate as further"
        " ones, or .txt with a prompt a line",
    )
    parser.add_argument(
        "--out", metavar="DIR", required=True, help="a folder, or what fsspec knows, such as s3://"
    )
    parser.add_argument("--dry-run", action="store_true", help="show the plan and end")
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out rows that cannot be made"
    )
    _add_rows(parser)
    add_model(parser)
    add_lora(parser)
    parser.add_argument("--precision", metavar="P", help="as in generate")
    add_seconds(parser)
    add_sampling(parser)
    parser.add_argument("--negative", metavar="PROMPT", help="as in generate")
    _add_output(parser)
    _add_force(parser)
    add_json(parser)
    add_quiet(parser)


def _add_rows(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("rows")
    group.add_argument(
        "--variations", metavar="N", type=int, default=1, help="sounds of each row (default: 1)"
    )
    group.add_argument(
        "--attribute",
        metavar="NAME=A,B",
        action="append",
        default=[],
        help="the values of {NAME} in prompts; 60..180:20 is a range",
    )
    group.add_argument(
        "--sample", metavar="N", type=int, help="draw N prompts of each template, not all"
    )
    group.add_argument(
        "--seed", metavar="N", type=int, default=0, help="another one makes other sounds"
    )
    group.add_argument(
        "--carry",
        metavar="COLUMN",
        action="append",
        default=[],
        help="a column of your own, which only goes to the metadata",
    )
    group.add_argument(
        "--keep-passing",
        metavar="N",
        type=int,
        default=0,
        help="make up to N takes of a sound until one is heard as what was asked for",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    add_finish(parser)
    parser.set_defaults(format="flac")
    parser.add_argument(
        "--metadata", choices=("jsonl", "csv", "parquet"), default="jsonl", help="default: jsonl"
    )
    parser.add_argument(
        "--webdataset",
        metavar="N",
        type=int,
        nargs="?",
        const=SHARD,
        default=0,
        help=f"shards of N sounds, .tar as WebDataset reads them (default: {SHARD})",
    )
    parser.add_argument("--no-report", action="store_true", help="write no report.html")


def _add_force(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("who does the work")
    group.add_argument(
        "--workers", metavar="N", type=int, help="processes (default: as measured on the way)"
    )
    add_threads(parser)
    group.add_argument(
        "--memory-budget", metavar="4G", type=size, help="for all workers (default: 70 %% of free)"
    )
    group.add_argument(
        "--ray",
        metavar="ADDRESS",
        nargs="?",
        const="local",
        help="on a Ray cluster (default: one that is started on this computer)",
    )
    group.add_argument(
        "--gather", action="store_true", help="with --ray: sounds travel here, nodes write nothing"
    )
    group.add_argument("--shard", metavar="I/N", default="1/1", help="make the I-th of N parts")


def batch(arguments: argparse.Namespace) -> int:
    """`edge-audio batch`: 0 if every sound was made, 1 if some failed."""
    from edge_audio.evaluate import needs

    needs.packages("batch", "batch", PACKAGES)
    if arguments.ray:
        needs.packages("batch --ray", "ray", ("ray",))
    from edge_audio.batch import run as runs
    from edge_audio.batch import write
    from edge_audio.batch.job import Job
    from edge_audio.pipeline import Pipeline

    shard, force = runs.parse_shard(arguments.shard), _force(arguments)
    pipeline = Pipeline.load(
        arguments.model, arguments.precision, arguments.threads, lora=arguments.lora
    )
    job = Job.of(
        pipeline,
        lora=tuple((str(file), by) for file, by in arguments.lora),
        seed=arguments.seed,
        format=arguments.format,
        quality=arguments.quality,
        finish=_finish(arguments),
        attempts=arguments.keep_passing,
        shard_size=arguments.webdataset,
    )
    with runs.opened(
        Path(arguments.list), arguments.out, pipeline, job, _choices(arguments), shard
    ) as run:
        _tell_bad(run.plan, arguments.skip_bad)
        say = _silent if arguments.quiet else _say_beside if arguments.json else print
        pending = sum(1 for _ in run.pending())
        say(described(run, pending))
        result = {"out": run.place.name, "rows": run.plan.rows, "sounds": run.plan.units}
        result |= {"bad_rows": run.plan.bad_rows, "pending": pending}
        if arguments.dry_run:
            say(_estimate(run, pending))
            if arguments.json:
                print_result(result)
            return 0
        start = time.perf_counter()
        with _bar(arguments.quiet) as on_progress:
            if arguments.ray:
                failed = _on_ray(run, arguments, on_progress)
            else:
                failed = runs.local(run, force, on_progress)
        taken = time.perf_counter() - start
        run.journal.read()
        missing = run.missing()
        result |= {"made": pending - failed, "failed": failed, "missing": missing, "total": taken}
        if missing:
            if arguments.json:
                print_result(result)
            say(f"{counted(missing, 'sound')} of other shards still to be made; the last finishes")
            return 1 if failed else 0
        write.finish(run, arguments.metadata)
        if not arguments.no_report:
            from edge_audio.batch import report

            report.write(run)
        say(_summary(run, force.rates, pending, failed, taken))
        if arguments.json:
            print_result(result)
        return 1 if any(True for _ in write.failures(run)) else 0


def _on_ray(run: Run, arguments: argparse.Namespace, on_progress: OnProgress) -> int:
    from edge_audio.batch import cluster

    cluster.connect(None if arguments.ray == "local" else arguments.ray)
    threads = arguments.threads or 1
    return cluster.on_cluster(run, threads, arguments.workers, on_progress, arguments.gather)


def described(run: Run, pending: int) -> str:
    """The plan, for people."""
    plan, job = run.plan, run.job
    lines = [
        f"{counted(plan.rows, 'row')}, {counted(plan.units, 'sound')},"
        f" {plan.seconds / 3600:.2f} hours, about {size_of(round(plan.bytes))} of {job.format};"
        f" {pending} to be made",
    ]
    if job.attempts:
        lines.append(f"{plan.judged} of them can be heard; up to {job.attempts} takes of each")
    if plan.splits:
        lines.append(
            f"{counted(plan.splits, 'name')} with a word such as train or test, in which datasets"
            " sees a split: rename them, or load with data_files"
        )
    return "\n".join(lines)


def _tell_bad(plan: Plan, skip: bool) -> None:
    for row, reason in plan.bad:
        print(f"row {row}: {reason}", file=sys.stderr)
    more = plan.bad_rows - len(plan.bad)
    if more:
        print(f"and {counted(more, 'row')} more", file=sys.stderr)
    if plan.bad_rows and not skip:
        raise EdgeAudioError(
            f"{counted(plan.bad_rows, 'row')} cannot be made; mend the list, or give --skip-bad"
        )
    if not plan.units:
        raise EdgeAudioError("no row can be made; mend the list")


def _estimate(run: Run, pending: int) -> str:
    """What the time will be, by one sound made here and thrown away."""
    from edge_audio.system import device

    unit = next(run.pending(), None)
    if unit is None:
        return "nothing is left to do"
    with run.job.open(1) as one:
        for _ in range(2):  # the first one loads
            start = time.perf_counter()
            one.generate(**{**unit.ask, "seed": unit.seed(run.job.seed, 0)})
            taken = time.perf_counter() - start
    share = pending / max(1, run.plan.units) / device.cpus()
    seconds = run.plan.work / unit.work * taken * share
    return f"about {_duration(seconds)} on {device.cpus()} CPUs, by one sound of {taken:.2f} s"


def _summary(run: Run, rates: Any, pending: int, failed: int, taken: float) -> str:
    place = run.place.name
    if not pending:
        return f"{place}: complete, nothing to do"
    found = f"{place}: {counted(pending - failed, 'sound')} in {_duration(taken)}"
    found += f", {(pending - failed) / taken:.1f} a second"
    for (workers, threads), rate in sorted(rates.items()):
        force = f"{counted(workers, 'worker')} x {counted(threads, 'thread')}"
        found += f"\n  measured {force}: {rate:.1f} a second"
    if failed:
        found += f"\n{failed} failed, see {run.state / 'failures.csv'}; run it again to try again"
    return found


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _force(arguments: argparse.Namespace) -> Any:
    from edge_audio.batch.run import Force

    return Force(arguments.workers, arguments.threads, arguments.memory_budget)


def _finish(arguments: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(arguments, name) for name in "channels trim rate normalize".split()}
    return {name: value for name, value in given.items() if value is not None}


def _choices(arguments: argparse.Namespace) -> Choices:
    from edge_audio.batch.plan import Choices
    from edge_audio.batch.templates import values_of

    attributes = {}
    for text in arguments.attribute:
        name, sign, values = text.partition("=")
        if not sign or not name.isidentifier():
            raise UsageError(f"attribute {text[:40]!r} is none; write it like note=A3,B3,C4")
        attributes[name] = tuple(values_of(values))
    if arguments.sample is not None and arguments.sample < 1:
        raise UsageError(f"sample {arguments.sample} draws nothing; use 1 or more")
    settings = {name: getattr(arguments, name) for name in "seconds steps sampler negative".split()}
    settings["cfg_scale"] = arguments.cfg
    return Choices(
        {name: value for name, value in settings.items() if value is not None},
        arguments.variations,
        attributes,
        arguments.sample,
        tuple(arguments.carry),
    )


def size(text: str) -> int:
    """Bytes, as 4G or 500M; ArgumentTypeError if it is none."""
    number = text.upper().removesuffix("B")
    unit = number[-1:] if number[-1:] in ("K", "M", "G") else ""
    try:
        return int(float(number.removesuffix(unit)) * _UNITS[unit])
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text[:20]!r} is no size; write it as 4G or 500M"
        ) from None


@contextlib.contextmanager
def _bar(quiet: bool) -> Iterator[OnProgress]:
    """Rate and time left, on a terminal."""
    import tqdm

    with tqdm.tqdm(unit="sound", disable=True if quiet else None, smoothing=0.05) as bar:

        def show(done: int, total: int, failed: int) -> None:
            if bar.total != total:
                bar.total, bar.initial, bar.n = total, done - 1, done - 1
            if failed:
                bar.set_postfix(failed=failed, refresh=False)
            bar.update(done - bar.n)

        yield show


def _silent(text: str) -> None:
    """With --quiet."""


def _say_beside(text: str) -> None:
    """With --json, which has standard output for itself."""
    print(text, file=sys.stderr)
