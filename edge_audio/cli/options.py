"""Options that several commands have."""

from __future__ import annotations

import argparse
import os
import warnings
from typing import TypeAlias

from edge_audio.errors import EdgeAudioWarning
from edge_audio.system.graph import check_threads

#: what commands are added to; quoted, since argparse's own class takes no brackets at run time
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_model(parser: argparse.ArgumentParser) -> None:
    """`--model DIR`"""
    parser.add_argument(
        "--model", metavar="DIR", help="folder of a bundle (default: the pocket model)"
    )


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers between commas; ArgumentTypeError if it is none."""
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is no list of numbers like 118,7,54,1"
        ) from None


def guidance(text: str) -> float:
    """A guidance scale from 0; ArgumentTypeError if it is below."""
    scale = float(text)
    if scale < 0:
        raise argparse.ArgumentTypeError(
            f"{text} would steer away from the prompt; use 1 for no guidance, 3 to 7 for more, and"
            " --negative for what not to hear"
        )
    return scale


def usable_threads(threads: int | None) -> int | None:
    """The asked number of threads, at most one for every CPU that this process may use; says so
    where that is less. UsageError unless it is a whole number from 1.
    """
    if threads is None:
        return None
    check_threads(threads)
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads <= cpus:
        return threads
    warnings.warn(
        f"{threads} threads are more than the {cpus} CPUs here, which only makes it slower;"
        f" using {cpus}",
        EdgeAudioWarning,
        stacklevel=2,
    )
    return cpus
