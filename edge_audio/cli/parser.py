"""The commands, each of which adds itself."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NoReturn

from edge_audio import __version__
from edge_audio.cli import configuration
from edge_audio.cli.again import add_again
from edge_audio.cli.batch import add_batch
from edge_audio.cli.completion import add_completion
from edge_audio.cli.evaluate import add_bench, add_compare, add_diagnose
from edge_audio.cli.export import add_export
from edge_audio.cli.finish import joined
from edge_audio.cli.generate import add_generate
from edge_audio.cli.hub import add_pull, add_push_to, add_upload
from edge_audio.cli.info import add_cache, add_info
from edge_audio.cli.mcp import add_mcp
from edge_audio.cli.models import add_models
from edge_audio.cli.report import add_report
from edge_audio.cli.serve import add_serve
from edge_audio.errors import UsageError


class _Parser(argparse.ArgumentParser):
    #: by name; of the whole command line's parser alone
    commands: Mapping[str, argparse.ArgumentParser] = MappingProxyType({})

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")

    def parse_args(  # type: ignore[override]  # of argparse's overloads, the one that is used here
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        given = joined(sys.argv[1:] if args is None else args)
        file, environment = configuration.Configuration(), dict[str, str]()
        # who asks for help may have come for what is wrong with the file
        if given and given[0] in self.commands and not _HELP.intersection(given):
            file = configuration.read()
            environment = configuration.apply(self.commands, given[0], file)
        arguments, left = self.parse_known_args(given, namespace)
        configuration.settle(arguments)
        arguments.configuration, arguments.environment = file, environment
        prompt = getattr(arguments, "prompt", None)
        if left and isinstance(prompt, str) and not any(word.startswith("-") for word in left):
            command = shlex.join(["edge-audio", *_quoted(given, [prompt, *left])])
            raise UsageError(f"the prompt is several words; put it in quotes: {command}")
        if left:
            parser = self.commands.get(given[0], self)
            parser.error(f"unrecognized arguments: {' '.join(left)}")
        return arguments


_HELP = frozenset(("-h", "--help"))


def _quoted(given: list[str], words: list[str]) -> list[str]:
    """The arguments with these words as one, after the command's name if they stand apart."""
    for place in range(1, len(given)):
        end = place + len(words)
        if given[place:end] == words:
            return [*given[:place], " ".join(words), *given[end:]]
    return [given[0], " ".join(words)]


def parser() -> argparse.ArgumentParser:
    """The command line's parser; UsageError for what it does not understand."""
    top = _Parser(prog="edge-audio", description="Text to sound, offline, on small computers.")
    parser: argparse.ArgumentParser = top
    parser.add_argument("--version", action="version", version=f"edge-audio {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (
        add_generate,
        add_again,
        add_serve,
        add_mcp,
        add_batch,
        add_bench,
        add_compare,
        add_diagnose,
        add_cache,
        add_info,
        add_report,
        add_models,
        add_pull,
        add_push_to,
        add_upload,
        add_export,
        add_completion,
    ):
        add(commands)
    top.commands = commands.choices
    return parser
