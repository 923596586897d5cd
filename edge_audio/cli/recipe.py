"""A clip's recipe as the command line uses it: to make the clip again, or another one from it."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from edge_audio.audio.clip import Clip
from edge_audio.audio.finish import Finish
from edge_audio.audio.source import Source
from edge_audio.bundle.store import Bundle
from edge_audio.cli.finish import finish_of
from edge_audio.errors import EdgeAudioError, printable
from edge_audio.notes import Note
from edge_audio.pipeline import default_model
from edge_audio.request import Request
from edge_audio.system import device


def add_from(parser: argparse.ArgumentParser) -> None:
    """`--from FILE`"""
    parser.add_argument(
        "--from",
        dest="source",
        metavar="FILE",
        help="take prompt and settings of the recipe in this clip; what is given beside it counts"
        " more",
    )


@dataclasses.dataclass(frozen=True)
class Base:
    """What a clip is made from: a request that flags override, and what goes with it."""

    request: Request
    finish: Finish
    precision: dict[str, str] | None = None
    half: bool | None = None
    notes: tuple[Note, ...] = ()


def base_of(arguments: argparse.Namespace) -> Base:
    """The recipe that `--from` names, or nothing, with the prompt or ids and the finish that were
    given.
    """
    given = Request(arguments.prompt, ids=arguments.ids)
    if arguments.source is None:
        return Base(given, finish_of(arguments, Finish()))
    recipe, notes = Clip.recipe_of(arguments.source), []
    # another sound to start from is one more setting that is given
    held = recipe if arguments.init is None else {**recipe, "init": None}
    request = Request.from_recipe(held)
    if given.prompt is not None or given.ids is not None:
        request = dataclasses.replace(request, prompt=given.prompt, ids=given.ids)
    if arguments.keep or arguments.replace:
        request = dataclasses.replace(request, replace=())
    lengths = (arguments.extend, arguments.extend_before, arguments.bars, arguments.bpm)
    if request.extend or request.extend_before or any(lengths):  # which say how long it will be
        request = dataclasses.replace(request, seconds=None)
    was = recipe.get("init")
    other = None if arguments.init is None else Source.of(arguments.init).sha256
    if other and isinstance(was, dict) and other != was.get("sha256"):
        said = f"{arguments.source} was made from another sound than {arguments.init}"
        notes.append(Note("from", said))
    if recipe.get("lora") and not arguments.lora:
        said = f"{arguments.source} was made with styles; give them with --lora"
        notes.append(Note("from", said))
    if recipe.get("noise") is not None and not arguments.noise:
        said = f"{arguments.source} was made of noise that was given; its seed makes another sound"
        notes.append(Note("from", said))
    finish = finish_of(arguments, Finish.from_recipe(recipe))
    if Bundle.open(arguments.model or default_model()).sha256 != recipe.get("bundle_sha256"):
        said = f"{arguments.source} was made by another model, {model_name(recipe)}"
        return Base(request, finish, notes=(*notes, Note("from", said)))
    precision = precision_of(recipe, arguments.source)
    return Base(request, finish, precision, runs_half(recipe), tuple(notes))


def precision_of(recipe: dict[str, Any], path: str) -> dict[str, str] | None:
    """What the recipe says, None for a recipe of a time when it said nothing."""
    precision = recipe.get("precision")
    if not isinstance(precision, (dict, type(None))):
        raise EdgeAudioError(
            f"{path} has a recipe whose precision is none; name a file that edge-audio wrote"
        )
    return precision


def runs_half(recipe: dict[str, Any]) -> bool:
    """Whether the decoder ran in float16, and can here."""
    return recipe.get("half") is True and device.runs_compiled_model(device.describe())


def model_name(recipe: dict[str, Any]) -> str:
    """The model of a recipe, with the beginning of its hash."""
    return printable(f"{recipe.get('model')} ({str(recipe.get('bundle_sha256'))[:12]})")
