"""`edge-audio models`."""

from __future__ import annotations

import argparse
import dataclasses
import sys

from edge_audio.cli.options import Commands, add_json
from edge_audio.cli.result import print_result
from edge_audio.errors import UsageError
from edge_audio.hub import keeping
from edge_audio.hub.keeping import Kept

_COLUMNS = ("name", "size", "precisions", "source", "licence")


def add_models(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "models",
        help="the models that are kept here: list, verify, rename, remove",
        description=(
            "The models that are kept here, each of which --model takes by its name. They lie in"
            " $EDGE_AUDIO_MODELS, else among the user's data."
        ),
    )
    parser.set_defaults(run=models)
    add_json(parser)
    actions = parser.add_subparsers(metavar="ACTION")
    verify = actions.add_parser("verify", help="read every file of a model; 1 if one is damaged")
    verify.set_defaults(run=verified)
    verify.add_argument("name", metavar="NAME")
    rename = actions.add_parser("rename", help="give a model, and its checkpoint, another name")
    rename.set_defaults(run=renamed)
    rename.add_argument("name", metavar="NAME")
    rename.add_argument("new", metavar="NEW")
    remove = actions.add_parser("remove", help="delete a model, or a NAME.checkpoint")
    remove.set_defaults(run=removed)
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    for action in (verify, rename, remove):
        # the one before the action counts as well
        action.add_argument("--json", action="store_true", default=argparse.SUPPRESS)


def models(arguments: argparse.Namespace) -> None:
    """`edge-audio models`"""
    kept = keeping.all_kept()
    if arguments.json:
        found = [dataclasses.asdict(model) for model in kept]
        print_result({"folder": str(keeping.home()), "models": found})
        return
    rows = [_COLUMNS, *(_row(model) for model in kept)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    for row in rows:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths)).rstrip())
    print(f"in {keeping.home()}")


def verified(arguments: argparse.Namespace) -> None:
    """`edge-audio models verify`"""
    kept = keeping.verify(arguments.name)
    _say(arguments, f"{kept.name}: every file is whole", dataclasses.asdict(kept))


def renamed(arguments: argparse.Namespace) -> None:
    """`edge-audio models rename`"""
    folder = keeping.rename(arguments.name, arguments.new)
    said = {"name": arguments.new, "folder": str(folder)}
    _say(arguments, f"{arguments.name} is {arguments.new} now, in {folder}", said)


def removed(arguments: argparse.Namespace) -> None:
    """`edge-audio models remove`"""
    kept = keeping.find(arguments.name)
    if not arguments.yes:
        if arguments.json or not sys.stdin.isatty():
            raise UsageError("nobody is there to be asked; give --yes to remove it")
        if not _confirmed(f"delete {kept.folder}, {size(kept.bytes)}? [y/N] "):
            print("kept")
            return
    freed = keeping.remove(arguments.name)
    said = {"name": arguments.name, "freed_bytes": freed}
    _say(arguments, f"{arguments.name} is removed, {size(freed)} freed", said)


def size(count: int) -> str:
    """Bytes as people read them."""
    for unit, of in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= of:
            scaled = count / of
            return f"{scaled:.0f} {unit}" if scaled >= 100 else f"{scaled:.3g} {unit}"
    return f"{count} bytes"


def _confirmed(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:  # Ctrl-D
        print()
        return False


def _row(model: Kept) -> tuple[str, ...]:
    what = ", ".join(model.precisions) or model.kind
    return model.name, size(model.bytes), what, model.source or "-", model.license or "-"


def _say(arguments: argparse.Namespace, text: str, entries: dict[str, object]) -> None:
    if arguments.json:
        print_result(entries)
    else:
        print(text)
