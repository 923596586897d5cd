"""`edge-audio export`: the exporter's own command line, which is read only when it is asked for."""

from __future__ import annotations

import argparse

from edge_audio.cli import configuration
from edge_audio.cli.options import Commands


def export(arguments: argparse.Namespace) -> None:
    """`edge-audio export`"""
    from edge_audio.exporter import command

    file = arguments.configuration
    others = dict.fromkeys(file.entries, argparse.ArgumentParser())  # whose names were looked at

    def parse(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
        configuration.apply({**others, "export": parser}, "export", file)
        options = parser.parse_args(words)
        configuration.settle(options)
        return options

    command.run(arguments.arguments, "edge-audio export", parse)


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
