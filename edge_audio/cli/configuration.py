"""The configuration file: what an option is where neither a flag nor the environment says it.

A table for each command holds its options by their long names; `ABOVE` and `SHARED` stand above the
tables. docs/configuration.md is for those who write one.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from edge_audio.audio.sound_file import FORMATS
from edge_audio.bundle import places
from edge_audio.errors import EdgeAudioError, EdgeAudioWarning, UsageError
from edge_audio.model.model import MODEL_VARIABLE
from edge_audio.serve.config import DATA_VARIABLE, KEY_VARIABLE
from edge_audio.system import cache, folders
from edge_audio.values import shown

VARIABLE = "EDGE_AUDIO_CONFIG"
#: as its value: no file is read
OFF = "off"
#: above the tables: what they are in the environment, which counts more
ABOVE = {
    "model": MODEL_VARIABLE,
    "models": places.VARIABLE,
    "cache": cache.VARIABLE,
    "data": DATA_VARIABLE,
}
#: above the tables as well: options of every command that has them
SHARED = ("precision", "threads", "quiet")
#: the command that looks at all tables
CHECKING = "info"
#: options that the environment can give, by their names in a namespace
_VARIABLES = {"model": MODEL_VARIABLE, "data": DATA_VARIABLE, "api_key": KEY_VARIABLE}
#: what a recipe says, of a clip that is made from it
_OF_A_RECIPE = (
    "ids seconds seed steps sampler cfg negative fit_length pad_seconds apg limiter precision"
    " fp16 init strength replace keep extend extend_before loop bars bpm trim normalize rate"
    " channels lora"
).split()
#: an option that takes any text
_TEXT = argparse.Action([], "text")
#: a flag, and the options that say the same in another way
_LEFT_TO = {
    "source": _OF_A_RECIPE,
    "init": ["seconds"],
    "extend": ["seconds"],
    "extend_before": ["seconds"],
    "bars": ["seconds"],
    "seconds": ["bars", "bpm"],
}


@dataclass(frozen=True)
class Configuration:
    """What was read, and from where; nothing if there is no file."""

    path: Path | None = None
    entries: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _FromFile:
    """An option's default while flags are parsed, so that it is seen which were given."""

    value: Any
    default: Any

    def __copy__(self) -> list[Any]:
        """argparse appends to a copy of the default: a flag begins a list of its own."""
        return []


def path() -> Path | None:
    """The file that is read if it is there; None if that was switched off, or for a user without a
    home.
    """
    named = os.environ.get(VARIABLE)
    if named == OFF:
        return None
    if named:
        return folders.expanded(named)
    folder = folders.user_folder(folders.CONFIGURATION)
    return folder and folder / "config.toml"


def read() -> Configuration:
    """The file's contents; UsageError if it is none, or is not there although it was named."""
    place = path()
    # os.path, which takes a folder that is another user's for one without a file
    if place is None or not (os.environ.get(VARIABLE) or os.path.exists(place)):
        return Configuration()
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError:
            raise UsageError(
                f"{place} cannot be read: Python 3.10 has no TOML; pip install tomli, or set"
                f" {VARIABLE}={OFF}"
            ) from None
    try:
        with place.open("rb") as file:
            return Configuration(place, tomllib.load(file))
    except OSError as error:
        raise UsageError(
            f"{place} cannot be read ({error.strerror}); mend it, or set {VARIABLE}={OFF}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place} is no TOML: {error}; mend it there") from None


def apply(
    parsers: Mapping[str, argparse.ArgumentParser], command: str, configuration: Configuration
) -> dict[str, str]:
    """Make the file's entries defaults of the command's options, to be settled once its flags are
    parsed; of every command's for CHECKING, so that it finds what is wrong in any table.

    Returns what belongs into the environment. Warns of what nothing is called so; UsageError for a
    value that its option cannot have.
    """
    environment: dict[str, str] = {}
    shared: dict[str, Any] = {}
    tables: dict[str, dict[str, Any]] = {}
    for name, value in configuration.entries.items():
        where = _Where(configuration, None, name)
        if name in ABOVE:
            environment[ABOVE[name]] = _one(_TEXT, value, where)
        elif name in SHARED:
            shared[name] = value
        elif name not in parsers:
            where.warn([*ABOVE, *SHARED, *parsers])
        elif not isinstance(value, dict):
            where.refuse(value, f"no table; write [{name}] above what is this command's")
        else:
            tables[name] = value
    for name in parsers if command == CHECKING else [command]:
        _apply_table(parsers[name], name, shared, tables.get(name, {}), configuration)
    return environment


def _apply_table(
    parser: argparse.ArgumentParser,
    command: str,
    shared: dict[str, Any],
    table: dict[str, Any],
    configuration: Configuration,
) -> None:
    options = _options(parser)
    if not options:  # the exporter's parser has those of export
        return
    for name, value in shared.items():
        if name in options and name not in table:
            _set(parser, options[name], value, _Where(configuration, None, name))
    for name, value in table.items():
        where = _Where(configuration, command, name)
        if (option := options.get(name.replace("_", "-"))) is None:
            where.warn(options)
        else:
            _set(parser, option, value, where)


def settle(arguments: argparse.Namespace) -> None:
    """Give options that no flag named what the file has for them, unless another flag decides."""
    held = {name: one for name, one in vars(arguments).items() if isinstance(one, _FromFile)}
    given = {name for name, one in vars(arguments).items() if name not in held and one}
    left = {name for flag, names in _LEFT_TO.items() if flag in given for name in names}
    left |= _left_to_output(arguments)
    arguments.decided = {name: one.value for name, one in held.items() if name not in left}
    for name, one in held.items():
        setattr(arguments, name, one.default if name in left else one.value)


@contextlib.contextmanager
def in_force(arguments: argparse.Namespace) -> Iterator[None]:
    """While a command runs, the environment has what the file says and nobody else did, and errors
    of what the file decided say that it did.
    """
    missing = {
        name: value
        for name, value in getattr(arguments, "environment", {}).items()
        if not os.environ.get(name)
    }
    os.environ.update(missing)
    above = {name: missing[variable] for name, variable in ABOVE.items() if variable in missing}
    try:
        yield
    except EdgeAudioError as error:
        told = str(error)
        about = [
            name.replace("_", "-")
            for name, value in {**above, **getattr(arguments, "decided", {})}.items()
            if name in told or (isinstance(value, str) and value in told)
        ]
        if about:
            file = arguments.configuration.path
            error.args = (f"{told} ({' and '.join(about)} of {file})",)
        raise
    finally:
        for name in missing:
            os.environ.pop(name, None)


@dataclass(frozen=True)
class _Where:
    """An entry, for messages."""

    configuration: Configuration
    table: str | None
    name: str

    def __str__(self) -> str:
        table = "" if self.table is None else f"[{self.table}] "
        return f"{self.configuration.path}: {table}{self.name}"

    def refuse(self, value: Any, why: str) -> NoReturn:
        raise UsageError(f"{self} = {shown(value)} is {why}")

    def warn(self, names: Iterable[str]) -> None:
        near = difflib.get_close_matches(self.name.replace("_", "-"), list(names), 1)
        advice = f"did you mean {near[0]}?" if near else "see edge-audio --help"
        if not near and self.table:
            advice = f"see edge-audio {self.table} --help"
        warnings.warn(f"{self} is unknown; {advice}", EdgeAudioWarning, stacklevel=2)


def _options(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """A command's options by their long names, without what is no setting."""
    return {
        next(name for name in action.option_strings if name.startswith("--"))[2:]: action
        for action in parser._actions
        if action.option_strings and action.default is not argparse.SUPPRESS
    }


def _set(
    parser: argparse.ArgumentParser, option: argparse.Action, value: Any, where: _Where
) -> None:
    if os.environ.get(_VARIABLES.get(option.dest, "")):
        return
    given = _value(option, value, where)
    option.required = False
    parser.set_defaults(**{option.dest: _FromFile(given, option.default)})


def _value(option: argparse.Action, value: Any, where: _Where) -> Any:
    """The value as a flag would give it."""
    if option.nargs == 0:
        if not isinstance(value, bool):
            where.refuse(value, "neither true nor false")
        return value if option.const is None or value is False else option.const
    if isinstance(option, argparse._AppendAction):
        return [_one(option, one, where) for one in (value if isinstance(value, list) else [value])]
    if option.nargs == "?" and isinstance(value, bool):
        return option.const if value else option.default
    return _one(option, value, where)


def _one(option: argparse.Action, value: Any, where: _Where) -> Any:
    if isinstance(value, bool) and option.choices == ("on", "off"):
        value = "on" if value else "off"
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if option.type in (int, float):
        if not is_number or (option.type is int and isinstance(value, float)):
            where.refuse(value, "no whole number" if option.type is int else "no number")
        try:
            return option.type(value)
        except OverflowError:
            where.refuse(value, "too large a number")
    if not (isinstance(value, str) or is_number):
        where.refuse(value, "neither text nor a number")
    if "\0" in str(value):
        where.refuse(value, "no text that a variable or a file's name can have")
    # a shell expands this in a flag
    text = os.path.expanduser(value) if str(value).startswith("~/") else str(value)
    if option.choices is not None and text not in option.choices:
        where.refuse(value, f"none of {', '.join(map(str, option.choices))}")
    convert: Callable[[str], Any] = option.type if callable(option.type) else str
    try:
        return convert(text)
    except (argparse.ArgumentTypeError, ValueError, UsageError) as error:
        raise UsageError(f"{where}: {error}") from None


def _left_to_output(arguments: argparse.Namespace) -> set[str]:
    """What stands in the name of a sound's file: its format, and that it has no quality."""
    output = getattr(arguments, "output", None)
    if not hasattr(arguments, "quality") or not isinstance(output, str):
        return set()
    format = FORMATS.get(Path(output).suffix.lower())
    if format is None:
        return set()
    return {"format"} if format.is_lossy else {"format", "quality"}
