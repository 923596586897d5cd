"""Options for what is done to a clip once it was made, and where it goes."""

from __future__ import annotations

import argparse
import dataclasses
import io
import re
import sys
from collections.abc import Sequence

from edge_audio.audio.clip import Clip
from edge_audio.audio.finish import Finish
from edge_audio.audio.sound_file import FORMATS, check_quality, format_for
from edge_audio.errors import UsageError

#: as an output: the clip goes to standard output
STDOUT = "-"
#: what a clip is written as unless a name or --format says it
DEFAULT = "wav"


def add_finish(parser: argparse.ArgumentParser) -> None:
    """`--trim`, `--normalize`, `--rate`, `--channels`, `--format` and `--quality`"""
    parser.add_argument(
        "--trim",
        action=argparse.BooleanOptionalAction,
        help="cut silence away at both ends",
    )
    parser.add_argument(
        "--normalize",
        metavar="LUFS",
        type=lufs,
        help="bring it to this loudness, such as -16LUFS, as far as that clips nothing",
    )
    parser.add_argument(
        "--rate", metavar="HZ", type=int, help="write this sample rate (default: the model's)"
    )
    parser.add_argument(
        "--channels", metavar="N", type=int, help="write 1 or 2 channels (default: the model's)"
    )
    parser.add_argument(
        "--format",
        choices=[extension[1:] for extension in FORMATS],
        help="with -o -, or where the prompt names the file (default: wav)",
    )
    parser.add_argument(
        "--quality", metavar="Q", type=float, help="of .ogg, .mp3 and .opus, 0 to 1, the best"
    )


def finish_of(arguments: argparse.Namespace, recipe: Finish) -> Finish:
    """What was asked for, and else what a recipe has; UsageError for what cannot be."""
    names = [field.name for field in dataclasses.fields(Finish)]
    given = {name: getattr(arguments, name) for name in names}
    return dataclasses.replace(
        recipe, **{name: value for name, value in given.items() if value is not None}
    )


def check_output(arguments: argparse.Namespace, extension: str, is_named: bool) -> None:
    """UsageError for flags on the output that contradict each other, or an extension that
    no format has; EdgeAudioError for one that cannot be written here.
    """
    output = arguments.output
    if is_named and arguments.format:
        raise UsageError(f"{output} says its format by its extension; leave out --format")
    where = output if is_named else extension
    format = format_for(extension, where, "has no known sound file extension")
    if arguments.quality is not None:
        check_quality(arguments.quality, format, where)
    if output == STDOUT:
        for name, is_given in (
            ("json", arguments.json),
            ("variations", arguments.variations != 1),
        ):
            if is_given:
                raise UsageError(
                    f"-o - gives standard output to one clip, and --{name} wants it too; name a"
                    " file, or leave that out"
                )
        if sys.stdout.isatty():
            raise UsageError(
                "-o - would write sound to a terminal; send it on, such as ... -o - | aplay"
            )


def write_to_stdout(clip: Clip, format: str, quality: float | None) -> None:
    """The whole file; BrokenPipeError if whoever reads has read enough."""
    made = io.BytesIO()
    clip.save(made, format=format, quality=quality)
    sys.stdout.buffer.write(made.getbuffer())
    sys.stdout.buffer.flush()


def lufs(text: str) -> float:
    """A loudness, with its unit or without; ArgumentTypeError if it is none."""
    number = re.sub(r"\s*(lufs|lkfs)$", "", text.strip(), flags=re.IGNORECASE)
    try:
        return float(number)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is no loudness; write it as -16 or -16LUFS"
        ) from None


def joined(words: Sequence[str]) -> list[str]:
    """Arguments, `--normalize -16LUFS` as one: argparse takes its value for an option."""
    found: list[str] = []
    for word in words:
        if found and found[-1] == "--normalize" and re.match(r"-[\d.]", word):
            found[-1] += f"={word}"
        else:
            found.append(word)
    return found
