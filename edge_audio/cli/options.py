"""Options that several commands have."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeAlias

from edge_audio.errors import UsageError
from edge_audio.lora.reading import argument
from edge_audio.sampling.samplers import SAMPLERS

#: what commands are added to; quoted, since argparse's own class takes no brackets at run time
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_model(parser: argparse.ArgumentParser) -> None:
    """`--model MODEL`"""
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help=(
            "name of a model that is kept (edge-audio models), or folder of a bundle (default: the"
            " pocket model)"
        ),
    )


def add_seconds(parser: argparse.ArgumentParser, default: str = "the model's full length") -> None:
    """`--seconds S`. default: what the help says of it."""
    parser.add_argument("--seconds", metavar="S", type=float, help=f"duration (default: {default})")


def add_steps(parser: argparse.ArgumentParser) -> None:
    """`--steps N`"""
    parser.add_argument(
        "--steps", metavar="N", type=int, help="sampling steps (default: the model's)"
    )


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """`--steps N`, `--sampler NAME` and `--cfg S`"""
    add_steps(parser)
    parser.add_argument(
        "--sampler", metavar="NAME", help=f"{', '.join(SAMPLERS)} (default: the model's)"
    )
    parser.add_argument(
        "--cfg",
        metavar="S",
        type=float,
        help="guidance scale, 1 for none (default: the model's)",
    )


def add_lora(parser: argparse.ArgumentParser) -> None:
    """`--lora FILE[=STRENGTH]`"""
    parser.add_argument(
        "--lora",
        type=argument,
        action="append",
        default=[],
        metavar="FILE[=STRENGTH]",
        help=(
            "merge a style into the weights: a .safetensors adapter, or a folder of PEFT; 1 is what"
            " it was trained at, and several act one after the other (default strength: 1)"
        ),
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    """`--threads N`"""
    parser.add_argument("--threads", metavar="N", type=int, help="default: what suits this CPU")


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`"""
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object, of an error too"
    )


def add_quiet(
    parser: argparse.ArgumentParser, shown: str = "print nothing but warnings and errors"
) -> None:
    """`--quiet`. shown: what the help says of it."""
    parser.add_argument("--quiet", action="store_true", help=shown)


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers between commas; ArgumentTypeError if it is none."""
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is no list of numbers like 118,7,54,1"
        ) from None


def refuse_overwriting(output: str | Path | None, *inputs: str | Path | None) -> None:
    """UsageError where a file would be written over one that it is made from."""
    for given in inputs:
        if output is None or given is None or not Path(output).exists():
            continue
        if Path(given).exists() and Path(output).samefile(given):
            raise UsageError(f"{output} would be written over {given}, which it is made from")


def region(text: str) -> tuple[float, float]:
    """Seconds from and to; ArgumentTypeError if they are none."""
    begin, _, end = text.partition("-")
    try:
        return float(begin), float(end)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is no part of a sound; write where it begins and ends, such as 4-7"
        ) from None
