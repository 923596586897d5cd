"""The commands and their options."""

from __future__ import annotations

import argparse

from edge_audio import __version__
from edge_audio.cli.evaluate import bench, compare, diagnose
from edge_audio.cli.generate import generate
from edge_audio.cli.info import info, show_cache
from edge_audio.errors import UsageError
from edge_audio.sampling.samplers import SAMPLERS


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise UsageError(f"{message}; see {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="edge-audio", description="Text to sound, offline, on small computers.")
    parser.add_argument("--version", action="version", version=f"edge-audio {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    make = commands.add_parser(
        "generate",
        help="make a sound from a prompt",
        description="Make a sound from a prompt and write it to a file.",
    )
    make.set_defaults(run=generate)
    make.add_argument(
        "prompt", metavar="PROMPT", nargs="?", help='what to hear; "" for anything at all'
    )
    make.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=".wav, .flac or .ogg (default: named after the prompt)",
    )
    _add_model(make)
    make.add_argument(
        "--seconds", metavar="S", type=float, help="duration (default: the model's full length)"
    )
    make.add_argument(
        "--seed", metavar="N", type=int, help="the same seed makes the same sound (default: random)"
    )
    make.add_argument(
        "--steps", metavar="N", type=int, help="sampling steps (default: the model's)"
    )
    make.add_argument(
        "--sampler", metavar="NAME", help=f"{', '.join(SAMPLERS)} (default: the model's)"
    )
    make.add_argument(
        "--cfg", metavar="S", type=float, help="guidance scale, 1 for none (default: the model's)"
    )
    make.add_argument(
        "--negative", metavar="PROMPT", help="what not to hear; needs a guidance scale above 1"
    )
    make.add_argument("--ids", metavar="1,2,3", type=_ids, help="token ids in place of PROMPT")
    make.add_argument(
        "--fit-length",
        action="store_true",
        help=(
            "the shortest latents that hold the seconds: faster, where the model has several"
            " lengths"
        ),
    )
    make.add_argument(
        "--precision",
        metavar="P",
        help="int8, or dit=int8,decoder=f16 (default: what suits this CPU)",
    )
    make.add_argument("--threads", metavar="N", type=int, help="default: what suits this CPU")
    make.add_argument(
        "--fp16",
        choices=("on", "off"),
        help="a float decoder computes in float16 (default: where the CPU can)",
    )
    make.add_argument("--play", action="store_true", help="play it while it is made")
    make.add_argument("--json", action="store_true", help="print one JSON object")
    make.add_argument("--quiet", action="store_true", help="print nothing but warnings and errors")

    measure = commands.add_parser(
        "bench",
        help="what a clip costs on this computer",
        description=(
            "What a clip costs on this computer: time of every stage, loading, memory, by precision"
            " and number of threads. Every row is measured in processes of its own; let the"
            " computer rest meanwhile."
        ),
    )
    measure.set_defaults(run=bench)
    measure.add_argument(
        "prompt", metavar="PROMPT", nargs="?", help="what to make (default: anything)"
    )
    _add_model(measure)
    measure.add_argument(
        "--precision",
        metavar="P",
        action="append",
        help=(
            "f32,int8 or dit=int8,decoder=f32; may be given again (default: all that the model has)"
        ),
    )
    measure.add_argument(
        "--threads",
        metavar="1,2",
        type=_ids,
        help="numbers of threads (default: what suits this CPU)",
    )
    measure.add_argument(
        "--seconds", metavar="S", type=float, help="duration (default: the model's full length)"
    )
    measure.add_argument(
        "--steps", metavar="N", type=int, help="sampling steps (default: the model's)"
    )
    measure.add_argument("--fit-length", action="store_true", help="as in generate")
    measure.add_argument(
        "--repeats", metavar="N", type=int, default=5, help="clips a row (default: 5)"
    )
    measure.add_argument(
        "--format",
        choices=("markdown", "csv", "json"),
        default="markdown",
        help="default: markdown",
    )
    measure.add_argument(
        "-o", "--output", metavar="FILE", help="write the table there rather than print it"
    )
    measure.add_argument(
        "--quiet", action="store_true", help="print nothing but the table, warnings and errors"
    )

    beside = commands.add_parser(
        "compare",
        help="int8 against float: numbers, pictures, and a blind test",
        description=(
            "What smaller precisions cost in sound, and what they save: every stage on the same"
            " noise and the same inputs. Writes a page to read and listen to, with a blind test,"
            " and all numbers as JSON."
        ),
    )
    beside.set_defaults(run=compare)
    beside.add_argument(
        "models",
        metavar="MODEL",
        nargs="*",
        help="folder of a bundle, or several of one checkpoint (default: the pocket model)",
    )
    beside.add_argument(
        "--precisions",
        metavar="P,P",
        action="append",
        help=(
            "the reference first: f32,int8; or dit=int8,decoder=f32, given again for each (default:"
            " all)"
        ),
    )
    beside.add_argument(
        "--prompts",
        metavar="FILE",
        help="a prompt a line (default: those that the model brings, or four)",
    )
    beside.add_argument(
        "--seeds", metavar="N", type=int, default=1, help="clips a prompt (default: 1)"
    )
    beside.add_argument(
        "--out", metavar="DIR", required=True, help="a new folder for report.html and report.json"
    )
    beside.add_argument(
        "--seconds",
        metavar="S",
        type=float,
        help="duration (default: the prompt's, or the model's full length)",
    )
    beside.add_argument(
        "--steps", metavar="N", type=int, help="sampling steps (default: the model's)"
    )
    beside.add_argument("--sampler", metavar="NAME", help="default: the model's")
    beside.add_argument(
        "--cfg", metavar="S", type=float, help="guidance scale (default: the model's)"
    )
    beside.add_argument("--threads", metavar="N", type=int, help="default: what suits this CPU")
    beside.add_argument(
        "--repeats",
        metavar="N",
        type=int,
        default=3,
        help="clips that time and memory are measured with, 0 to leave them out (default: 3)",
    )
    beside.add_argument(
        "--quiet", action="store_true", help="print nothing but warnings and errors"
    )

    find = commands.add_parser(
        "diagnose",
        help="which stage of a model is wrong",
        description=(
            "Looks for the stage that is wrong when a model gives noise, or the same for every"
            " prompt: text, conditioning, transformer, guidance, decoder, weights. Exit code 1 if"
            " something fails. docs/diagnose.md explains every row."
        ),
    )
    find.set_defaults(run=diagnose)
    find.add_argument(
        "model", metavar="MODEL", nargs="?", help="folder of a bundle (default: the pocket model)"
    )
    find.add_argument(
        "--checkpoint",
        metavar="DIR",
        help=(
            "what the bundle was exported from: compare every stage with it, and audit "
            "the weights (needs the exporter)"
        ),
    )
    find.add_argument(
        "--listen",
        metavar="DIR",
        help="a new folder for one prompt in six configurations: sounds, spectrograms, levels",
    )
    find.add_argument(
        "--prompt",
        metavar="PROMPT",
        action="append",
        help="give two that should sound different (default: such)",
    )
    find.add_argument("--seed", metavar="N", type=int, default=1, help="the first one (default: 1)")
    find.add_argument(
        "--seeds", metavar="N", type=int, default=2, help="clips a prompt (default: 2)"
    )
    find.add_argument(
        "--seconds", metavar="S", type=float, help="duration (default: the model's full length)"
    )
    find.add_argument(
        "--steps", metavar="N", type=int, help="sampling steps (default: the model's)"
    )
    find.add_argument("--sampler", metavar="NAME", help="default: the model's")
    find.add_argument(
        "--cfg", metavar="S", type=float, help="guidance scale (default: the model's)"
    )
    find.add_argument(
        "--precision", metavar="P", help="as in generate; f32 shows faults that int8 noise hides"
    )
    find.add_argument("--threads", metavar="N", type=int, help="default: what suits this CPU")
    find.add_argument("--json", action="store_true", help="print one JSON object")
    find.add_argument("--quiet", action="store_true", help="print nothing but warnings and errors")

    keep = commands.add_parser(
        "cache",
        help="what is kept between runs, and how to empty it",
        description=(
            "Where weights are kept as the CPU wants them, so that big models load at once."
        ),
    )
    keep.set_defaults(run=show_cache)
    keep.add_argument(
        "--purge", action="store_true", help="delete all of it; it is made again when needed"
    )

    tell = commands.add_parser(
        "info",
        help="what is in a model, and how this computer would run it",
        description="What is in a model, and how this computer would run it.",
    )
    tell.set_defaults(run=info)
    _add_model(tell)
    tell.add_argument(
        "--prompts", action="store_true", help="what the model can be asked for, with examples"
    )
    tell.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", metavar="DIR", help="folder of a bundle (default: the pocket model)"
    )


def _ids(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is no list of numbers like 118,7,54,1"
        ) from None
