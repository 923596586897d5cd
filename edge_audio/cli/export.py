"""`edge-audio export`: the exporter's own command line, which is read only when it is asked for."""

from __future__ import annotations

import argparse

from edge_audio.cli.options import Commands


def export(arguments: argparse.Namespace) -> None:
    """`edge-audio export`"""
    from edge_audio.exporter import command

    command.run(arguments.arguments, "edge-audio export")


def add_export(commands: Commands) -> None:
    """Add the command to those of the parser."""
    # No argument begins with "\0": all of them, --help too, go on to the exporter's parser.
    make = commands.add_parser(
        "export",
        help="make a bundle of a checkpoint, on a workstation",
        add_help=False,
        prefix_chars="\0",
    )
    make.set_defaults(run=export)
    make.add_argument("arguments", nargs=argparse.REMAINDER)
