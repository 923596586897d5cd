"""`edge-audio completion`."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge_audio.cli.options import Commands

#: what each shell calls its file, in `shell/`, which `make shell` writes
SHELLS = {"bash": "edge-audio.bash", "zsh": "_edge-audio", "fish": "edge-audio.fish"}


def add_completion(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "completion",
        help="what a shell completes when Tab is pressed",
        description=(
            "Print what a shell needs to complete commands and options when Tab is pressed."
            " docs/install.md says where each shell looks for it."
        ),
    )
    parser.set_defaults(run=completion)
    parser.add_argument("shell", choices=tuple(SHELLS), help="bash, zsh or fish")


def completion(arguments: argparse.Namespace) -> None:
    """`edge-audio completion`"""
    place = Path(__file__).parent / "shell" / SHELLS[arguments.shell]
    print(place.read_text(encoding="utf-8"), end="")
