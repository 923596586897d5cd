"""`edge-audio bench`, `compare` and `diagnose`."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from pathlib import Path

from edge_audio.cli.options import (
    Commands,
    add_json,
    add_model,
    add_quiet,
    add_sampling,
    add_seconds,
    add_steps,
    add_threads,
    numbers,
)
from edge_audio.cli.progress import Line
from edge_audio.cli.result import print_result
from edge_audio.errors import EdgeAudioError, UsageError
from edge_audio.request import Request


def add_bench(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "bench",
        help="what a clip costs on this computer",
        description=(
            "What a clip costs on this computer: time of every stage, loading, memory, by precision"
            " and number of threads. Every row is measured in processes of its own; let the"
            " computer rest meanwhile."
        ),
    )
    parser.set_defaults(run=bench)
    parser.add_argument(
        "prompt", metavar="PROMPT", nargs="?", help="what to make (default: anything)"
    )
    add_model(parser)
    parser.add_argument(
        "--precision",
        metavar="P",
        action="append",
        help=(
            "f32,int8 or dit=int8,decoder=f32; may be given again (default: all that the model has)"
        ),
    )
    parser.add_argument(
        "--threads",
        metavar="1,2",
        type=numbers,
        help="numbers of threads (default: what suits this CPU)",
    )
    add_seconds(parser)
    add_steps(parser)
    parser.add_argument(
        "--fit-length", action=argparse.BooleanOptionalAction, help="as in generate"
    )
    parser.add_argument(
        "--repeats", metavar="N", type=int, default=5, help="clips a row (default: 5)"
    )
    parser.add_argument(
        "--format",
        choices=("markdown", "csv", "json"),
        help="default: markdown",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write the table there rather than print it"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the table as one JSON object, of an error too"
    )
    add_quiet(parser, "print nothing but the table, warnings and errors")


def bench(arguments: argparse.Namespace) -> None:
    """`edge-audio bench`"""
    from edge_audio.evaluate.bench import bench as measure
    from edge_audio.evaluate.benchmark import formatted

    if arguments.json and arguments.output is None and arguments.format not in (None, "json"):
        raise UsageError(f"--json prints JSON and --format {arguments.format} none; leave one out")
    if arguments.repeats < 1:
        raise UsageError(f"repeats {arguments.repeats} measure nothing; use 1 or more")
    if arguments.output is not None:
        _check_text_file(Path(arguments.output))
    request = Request(
        arguments.prompt,
        seconds=arguments.seconds,
        steps=arguments.steps,
        fit_length=arguments.fit_length,
    )
    benchmark = measure(
        arguments.model,
        _specs(arguments.precision),
        arguments.threads,
        request,
        arguments.repeats,
        say=lambda line: None if arguments.quiet else print(f"measuring {line}", file=sys.stderr),
    )
    text = formatted(benchmark, arguments.format or ("json" if arguments.json else "markdown"))
    if arguments.output is not None:
        Path(arguments.output).write_text(text, encoding="utf-8")
    if arguments.json:
        print_result(dataclasses.asdict(benchmark))
    elif arguments.output is None:
        print(text, end="")


def add_compare(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "compare",
        help="int8 against float: numbers, pictures, and a blind test",
        description=(
            "What smaller precisions cost in sound, and what they save: every stage on the same"
            " noise and the same inputs. Writes a page to read and listen to, with a blind test,"
            " and all numbers as JSON."
        ),
    )
    parser.set_defaults(run=compare)
    parser.add_argument(
        "models",
        metavar="MODEL",
        nargs="*",
        help="name or folder of a model, or several of one checkpoint (default: the pocket model)",
    )
    parser.add_argument(
        "--precisions",
        metavar="P,P",
        action="append",
        help=(
            "the reference first: f32,int8; or dit=int8,decoder=f32, given again for each (default:"
            " all)"
        ),
    )
    parser.add_argument(
        "--prompts",
        metavar="FILE",
        help="a prompt a line (default: those that the model brings, or four)",
    )
    parser.add_argument(
        "--seeds", metavar="N", type=int, default=1, help="clips a prompt (default: 1)"
    )
    parser.add_argument(
        "--out", metavar="DIR", required=True, help="a new folder for report.html and report.json"
    )
    add_seconds(parser, default="the prompt's, or the model's full length")
    add_sampling(parser)
    add_threads(parser)
    parser.add_argument(
        "--repeats",
        metavar="N",
        type=int,
        default=3,
        help="clips that time and memory are measured with, 0 to leave them out (default: 3)",
    )
    add_json(parser)
    add_quiet(parser)


def compare(arguments: argparse.Namespace) -> None:
    """`edge-audio compare`"""
    from edge_audio.evaluate import needs

    needs.packages("compare", "eval", needs.EVAL)
    from edge_audio.evaluate import report
    from edge_audio.evaluate.compare import compare as measure
    from edge_audio.evaluate.prompts import read
    from edge_audio.evaluate.summary import terminal

    out = Path(arguments.out)
    needs.new_folder(out)
    if arguments.repeats < 0:
        raise UsageError(
            f"repeats {arguments.repeats} measure nothing; use 1 or more, or 0 to leave time and"
            " memory out"
        )
    with Line(sys.stderr.isatty() and not (arguments.quiet or arguments.json)) as say:
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
    if arguments.json:
        print_result({"page": str(out / report.PAGE), **found.as_json()})
    elif not arguments.quiet:
        print(terminal(found))
        print(
            f"\n{out / report.PAGE}: open it in a browser to see and to hear; {report.NUMBERS}"
            " beside it has every number"
        )


def add_diagnose(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "diagnose",
        help="which stage of a model is wrong",
        description=(
            "Looks for the stage that is wrong when a model gives noise, or the same for every"
            " prompt: text, conditioning, transformer, guidance, decoder, weights. Exit code 1 if"
            " something fails. docs/diagnose.md explains every row."
        ),
    )
    parser.set_defaults(run=diagnose)
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs="?",
        help="name or folder of a model (default: the pocket model)",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="DIR",
        help=(
            "what the bundle was exported from: compare every stage with it, and audit "
            "the weights (needs the exporter)"
        ),
    )
    parser.add_argument(
        "--listen",
        metavar="DIR",
        help="a new folder for one prompt in six configurations: sounds, spectrograms, levels",
    )
    parser.add_argument(
        "--prompt",
        metavar="PROMPT",
        action="append",
        help="give two that should sound different (default: such)",
    )
    parser.add_argument(
        "--seed", metavar="N", type=int, default=1, help="the first one (default: 1)"
    )
    parser.add_argument(
        "--seeds", metavar="N", type=int, default=2, help="clips a prompt (default: 2)"
    )
    add_seconds(parser)
    add_sampling(parser)
    parser.add_argument(
        "--precision", metavar="P", help="as in generate; f32 shows faults that int8 noise hides"
    )
    add_threads(parser)
    add_json(parser)
    add_quiet(parser, "print nothing but errors; the exit code tells")


def diagnose(arguments: argparse.Namespace) -> int:
    """`edge-audio diagnose`: 0 if nothing failed, 1 if something did."""
    from edge_audio.evaluate import needs

    needs.packages("diagnose", "eval", needs.EVAL)
    from edge_audio.evaluate import diagnose as engine
    from edge_audio.evaluate.diagnosis import table
    from edge_audio.evaluate.prompts import Prompt

    out = None if arguments.listen is None else Path(arguments.listen)
    if out is not None:
        needs.new_folder(out)
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
        found = engine.diagnose(
            pipe, given, arguments.seeds, say=say, first_seed=arguments.seed, **settings
        )
        heard = None
        if out is not None:
            from edge_audio.evaluate import listen

            heard = listen.listen(pipe, given[0].text if given else None, arguments.seed, out, say)
    if arguments.json:
        print_result(found.as_json() | ({"listen": heard} if heard else {}))
    elif not arguments.quiet:
        print(table(found) + (f"\n\n{listen.table(heard)}" if heard else ""))
    return 1 if found.failed else 0


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
        path.open("a", encoding="utf-8").close()
    except OSError as error:
        raise EdgeAudioError(
            f"{path} cannot be written ({error.strerror}); choose another file"
        ) from None
    if not existed:
        path.unlink()
