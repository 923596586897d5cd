"""`edge-audio mcp`."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge_audio.cli.options import Commands, add_model, add_threads
from edge_audio.evaluate import needs
from edge_audio.model.model import FIT
from edge_audio.pipeline import Pipeline


def add_mcp(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "mcp",
        help="tools for assistants (Model Context Protocol)",
        description=(
            "Tools for assistants that speak the Model Context Protocol, over standard input and"
            " output: text_to_sound_effects, edit_sound, list_sounds (docs/clients.md)."
        ),
    )
    parser.set_defaults(run=mcp)
    parser.add_argument(
        "--folder",
        metavar="DIR",
        type=Path,
        required=True,
        help="where sounds are read and written, and nowhere else",
    )
    add_model(parser)
    parser.add_argument("--precision", metavar="P", help="int8, or dit=int8,decoder=f16")
    add_threads(parser)


def mcp(arguments: argparse.Namespace) -> None:
    """`edge-audio mcp`"""
    needs.packages("edge-audio mcp", "mcp", ("mcp",))
    from edge_audio.mcp.server import create_server

    with Pipeline.load(
        arguments.model, arguments.precision, arguments.threads, memory=FIT
    ) as pipeline:
        create_server(pipeline, arguments.folder).run("stdio")
