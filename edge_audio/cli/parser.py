"""The commands, each of which adds itself."""

from __future__ import annotations

import argparse

from edge_audio import __version__
from edge_audio.cli.again import add_again
from edge_audio.cli.evaluate import add_bench, add_compare, add_diagnose
from edge_audio.cli.export import add_export
from edge_audio.cli.generate import add_generate
from edge_audio.cli.info import add_cache, add_info
from edge_audio.errors import UsageError


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise UsageError(f"{message}; see {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    """The command line's parser; UsageError for what it does not understand."""
    parser = _Parser(prog="edge-audio", description="Text to sound, offline, on small computers.")
    parser.add_argument("--version", action="version", version=f"edge-audio {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (
        add_generate,
        add_again,
        add_bench,
        add_compare,
        add_diagnose,
        add_cache,
        add_info,
        add_export,
    ):
        add(commands)
    return parser
