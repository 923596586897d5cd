"""Options of `edge-audio generate` that change a sound, or make a loop."""

from __future__ import annotations

import argparse
from typing import Any

from edge_audio.cli.options import region


def add_edit(parser: argparse.ArgumentParser) -> None:
    """`--init`, `--strength`, `--replace`, `--keep`, `--extend`, `--extend-before`, `--loop`,
    `--bars` and `--bpm`
    """
    group = parser.add_argument_group(
        "change a sound, or make a loop", "docs/editing.md shows each of them"
    )
    group.add_argument("--init", metavar="FILE", help="start from this sound, or keep parts of it")
    group.add_argument(
        "--strength",
        metavar="S",
        type=float,
        help="how far to go from it, above 0 to 1 (default: 1, all the way)",
    )
    for name, what in (
        ("replace", "make these seconds of it anew, such as 4-7; again for more of them"),
        ("keep", "keep these seconds of it, and make the rest anew"),
    ):
        group.add_argument(
            f"--{name}", metavar="A-B", type=region, action="append", default=[], help=what
        )
    group.add_argument(
        "--extend", metavar="S", type=float, help="go on after its end, for so many seconds"
    )
    group.add_argument(
        "--extend-before", metavar="S", type=float, help="begin so many seconds before it"
    )
    group.add_argument(
        "--loop",
        action="store_true",
        default=None,
        help="a clip whose end leads into its beginning",
    )
    group.add_argument(
        "--bars",
        metavar="N",
        type=float,
        help="in place of --seconds: bars of four beats, at --bpm",
    )
    group.add_argument("--bpm", metavar="N", type=float, help="beats a minute of --bars")


def edit_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What they say, as `Pipeline.generate` takes it; None for what was not given."""
    names = "init strength replace keep extend extend_before loop bars bpm".split()
    given = {name: getattr(arguments, name) for name in names}
    return {name: None if value == [] else value for name, value in given.items()}
