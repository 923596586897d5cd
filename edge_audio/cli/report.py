"""`edge-audio report`."""

from __future__ import annotations

import argparse
import sys

from edge_audio.cli.options import Commands, add_json, add_model, add_threads
from edge_audio.cli.progress import Line
from edge_audio.cli.result import print_result


def add_report(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "report",
        help="this computer and model, to paste where help is asked for",
        description=(
            "This computer, what is installed, the model, and what a short clip takes, as a table"
            " to paste where help is asked for. Nothing private is in it: no host, user, folder,"
            " value of a variable, or prompt."
        ),
    )
    parser.set_defaults(run=report)
    add_model(parser)
    parser.add_argument(
        "--precision",
        metavar="P",
        help="int8, or dit=int8,decoder=f16 (default: what suits this CPU)",
    )
    add_threads(parser)
    add_json(parser)


def report(arguments: argparse.Namespace) -> None:
    """`edge-audio report`"""
    from edge_audio.evaluate import field_report

    with Line(sys.stderr.isatty() and not arguments.json) as say:
        say("making two clips of a second")
        found = field_report.collect(arguments.model, arguments.precision, arguments.threads)
    if arguments.json:
        print_result(found)
    else:
        print(field_report.markdown(found))
