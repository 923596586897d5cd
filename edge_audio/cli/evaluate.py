"""`edge-audio bench`, `compare` and `diagnose`."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

from edge_audio.cli.progress import Line
from edge_audio.errors import EdgeAudioError, UsageError
from edge_audio.request import Request
from edge_audio.system.graph import check_threads


def bench(arguments: argparse.Namespace) -> None:
    """`edge-audio bench`"""
    from edge_audio.evaluate import bench as module

    if arguments.repeats < 1:
        raise UsageError(f"repeats {arguments.repeats} measure nothing; use 1 or more")
    for threads in arguments.threads or ():
        check_threads(threads)
    if arguments.output is not None:
        _check_text_file(Path(arguments.output))
    request = Request(
        arguments.prompt,
        seconds=arguments.seconds,
        steps=arguments.steps,
        fit_length=arguments.fit_length,
    )
    report = module.bench(
        arguments.model,
        _specs(arguments.precision),
        arguments.threads,
        request,
        arguments.repeats,
        say=lambda line: None if arguments.quiet else print(f"measuring {line}", file=sys.stderr),
    )
    text = module.formatted(report, arguments.format)
    if arguments.output is None:
        print(text, end="")
    else:
        Path(arguments.output).write_text(text)


def compare(arguments: argparse.Namespace) -> None:
    """`edge-audio compare`"""
    from edge_audio.evaluate import needs

    needs.packages("compare", "eval", needs.EVAL)
    from edge_audio.evaluate import report
    from edge_audio.evaluate.compare import compare as measure
    from edge_audio.evaluate.prompts import read

    out = Path(arguments.out)
    needs.new_folder(out)
    if arguments.threads is not None:
        check_threads(arguments.threads)
    if arguments.repeats < 0:
        raise UsageError(
            f"repeats {arguments.repeats} measure nothing; use 1 or more, or 0 to leave time and"
            " memory out"
        )
    with Line(sys.stderr.isatty() and not arguments.quiet) as say:
        found = measure(
            arguments.models,
            _specs(arguments.precisions),
            read(Path(arguments.prompts)) if arguments.prompts else None,
            arguments.seeds,
            arguments.threads,
            arguments.repeats,
            say,
            seconds=arguments.seconds,
            steps=arguments.steps,
            sampler=arguments.sampler,
            cfg_scale=arguments.cfg,
        )
    report.write(found, out, shlex.join(["edge-audio", *sys.argv[1:]]))
    if not arguments.quiet:
        print(report.terminal(found))
        print(
            f"\n{out / report.PAGE}: open it in a browser to see and to hear; {report.NUMBERS}"
            " beside it has every number"
        )


def diagnose(arguments: argparse.Namespace) -> None:
    """`edge-audio diagnose`"""
    from edge_audio.evaluate import needs

    needs.packages("diagnose", "eval", needs.EVAL)
    from edge_audio.evaluate import diagnose as engine
    from edge_audio.evaluate.prompts import Prompt

    out = None if arguments.listen is None else Path(arguments.listen)
    if out is not None:
        needs.new_folder(out)
    if arguments.threads is not None:
        check_threads(arguments.threads)
    given = [Prompt(text) for text in arguments.prompt or ()]
    settings = {
        "seconds": arguments.seconds,
        "steps": arguments.steps,
        "sampler": arguments.sampler,
        "cfg_scale": arguments.cfg,
    }
    quiet = arguments.quiet or arguments.json
    with (
        Line(sys.stderr.isatty() and not quiet) as say,
        engine.load(arguments.model, arguments.precision, arguments.threads) as pipe,
    ):
        if arguments.checkpoint is not None:
            needs.packages("diagnose --checkpoint", "export", needs.EXPORT)
            settings["checkpoint"] = Path(arguments.checkpoint)
        report = engine.diagnose(
            pipe, given, arguments.seeds, say=say, first_seed=arguments.seed, **settings
        )
        heard = None
        if out is not None:
            from edge_audio.evaluate import listen

            heard = listen.listen(pipe, given[0].text if given else None, arguments.seed, out, say)
    if arguments.json:
        print(json.dumps(report.as_json() | ({"listen": heard} if heard else {})))
    elif not arguments.quiet:
        print(engine.table(report) + (f"\n\n{listen.table(heard)}" if heard else ""))
    if report.failed:
        raise Found


class Found(Exception):
    """The command did its work, and what it looked at is not as it should be."""


def _specs(given: list[str] | None) -> list[str]:
    """`--precisions f32,int8` or `--precisions dit=int8,decoder=f32`, which may be given again."""
    return [
        spec.strip()
        for text in given or ()
        for spec in ([text] if "=" in text else text.split(","))
        if spec.strip()
    ]


def _check_text_file(path: Path) -> None:
    existed = path.exists()
    try:
        path.open("a").close()
    except OSError as error:
        raise EdgeAudioError(
            f"{path} cannot be written ({error.strerror}); choose another file"
        ) from None
    if not existed:
        path.unlink()
