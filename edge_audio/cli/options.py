"""Options that several commands have."""

from __future__ import annotations

import argparse


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
