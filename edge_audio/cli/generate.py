"""`edge-audio generate`."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import secrets
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from edge_audio.audio.clip import Clip, check_writable
from edge_audio.audio.finish import finished
from edge_audio.audio.play import Playback
from edge_audio.audio.sound_file import FORMATS
from edge_audio.cli.edit import add_edit, edit_of
from edge_audio.cli.finish import (
    DEFAULT,
    STDOUT,
    add_finish,
    check_output,
    write_to_stdout,
)
from edge_audio.cli.options import (
    Commands,
    add_json,
    add_lora,
    add_model,
    add_quiet,
    add_sampling,
    add_seconds,
    add_threads,
    numbers,
    refuse_overwriting,
)
from edge_audio.cli.progress import Bar
from edge_audio.cli.recipe import Base, add_from, base_of
from edge_audio.cli.result import notes_of, print_result
from edge_audio.errors import EdgeAudioError, EdgeAudioWarning, UsageError
from edge_audio.model.model import FIT, FREE
from edge_audio.notes import Note
from edge_audio.pipeline import Pipeline
from edge_audio.sampling.replay import check_array_file, replayed, write_array
from edge_audio.values import file_stem, words_of


def add_generate(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "generate",
        help="make a sound from a prompt",
        description="Make a sound from a prompt and write it to a file.",
    )
    parser.set_defaults(run=generate)
    parser.add_argument(
        "prompt", metavar="PROMPT", nargs="?", help='what to hear; "" for anything at all'
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=f"{', '.join(FORMATS)}; - for standard output (default: named after the prompt)",
    )
    add_model(parser)
    add_seconds(parser)
    parser.add_argument(
        "--seed", metavar="N", type=int, help="the same seed makes the same sound (default: random)"
    )
    add_sampling(parser)
    parser.add_argument(
        "--negative", metavar="PROMPT", help="what not to hear; needs a guidance scale above 1"
    )
    parser.add_argument("--ids", metavar="1,2,3", type=numbers, help="token ids in place of PROMPT")
    parser.add_argument(
        "--fit-length",
        action=argparse.BooleanOptionalAction,
        help=(
            "the shortest latents that hold the seconds: faster, where the model has several"
            " lengths (default: the model's)"
        ),
    )
    parser.add_argument(
        "--pad-seconds",
        metavar="S",
        type=float,
        help="seconds made beyond those asked for, by models that make any length (default: the"
        " model's, 6 for Stable Audio 3)",
    )
    parser.add_argument(
        "--apg",
        metavar="X",
        type=float,
        help="share of guidance along the sound itself that is left out, 0 to 1 (default: the"
        " model's)",
    )
    parser.add_argument(
        "--limiter",
        choices=("on", "off"),
        help="turn peaks above full scale down as the clip is made, rather than the whole clip when"
        " it is saved (default: the model's)",
    )
    parser.add_argument(
        "--precision",
        metavar="P",
        help="int8, or dit=int8,decoder=f16 (default: what suits this CPU)",
    )
    add_threads(parser)
    parser.add_argument(
        "--fp16",
        choices=("on", "off"),
        help="a float decoder computes in float16 (default: where the CPU can)",
    )
    parser.add_argument(
        "--noise",
        metavar="DRAWS.npy",
        help="noise in place of the seed's: float32 [n, T, C], in the order of the draws",
    )
    parser.add_argument(
        "--latents", metavar="OUT.npy", help="write the latents too: float32 [T, C]"
    )
    add_edit(parser)
    add_lora(parser)
    parser.add_argument(
        "--variations",
        metavar="N",
        type=int,
        default=1,
        help="so many clips, of seeds that follow each other, in numbered files",
    )
    add_from(parser)
    add_finish(parser)
    parser.add_argument("--play", action="store_true", help="play it while it is made")
    add_json(parser)
    add_quiet(parser, "print nothing but warnings and errors; the file keeps its notes")


def generate(arguments: argparse.Namespace) -> None:
    """`edge-audio generate`"""
    base = base_of(arguments)
    out, named = _output(arguments, base.request.prompt)
    check_output(arguments, out.suffix, named)
    if arguments.output != STDOUT:
        check_writable(out)
    for written in (out if named else None, arguments.latents):
        styles = (path for path, _ in arguments.lora)
        refuse_overwriting(written, arguments.init, arguments.noise, arguments.source, *styles)
    if arguments.latents:
        check_array_file(Path(arguments.latents))
    count = arguments.variations
    _refuse_variations(count, arguments)
    with Bar(sys.stderr.isatty() and not (arguments.quiet or arguments.json)) as bar:
        pipeline = Pipeline.load(
            arguments.model,
            arguments.precision or base.precision,
            arguments.threads,
            half=base.half if arguments.fp16 is None else _switch(arguments.fp16),
            memory=FREE if count == 1 else FIT,
            lora=arguments.lora,
            progress=bar,
        )
    first = base.request.seed if arguments.seed is None else arguments.seed
    if first is None and count > 1:
        first = secrets.randbits(31)
    start, said = time.perf_counter(), set[str]()
    made = []
    for number in range(count):
        place = out.with_stem(f"{out.stem}-{number + 1}") if named and count > 1 else out
        seed = None if first is None else first + number
        made.append(_make(pipeline, arguments, base, seed, place, named, said))
    taken = time.perf_counter() - start
    if arguments.json:
        print_result(made[0] if count == 1 else {"clips": made, "total": taken})
    elif count > 1 and not arguments.quiet:
        print(f"{count} variations in {taken:.2f} s, seeds {first} to {first + count - 1}")


def _refuse_variations(count: int, arguments: argparse.Namespace) -> None:
    if count < 1:
        raise UsageError(f"variations {count} make no clip; use 1 or more")
    for name in ("noise", "latents"):
        if count > 1 and getattr(arguments, name):
            raise UsageError(f"--{name} is one clip's; leave it out, or --variations")


def _make(
    pipeline: Pipeline,
    arguments: argparse.Namespace,
    base: Base,
    seed: int | None,
    out: Path,
    named: bool,
    said: set[str],
) -> dict[str, Any]:
    """One clip, written and told; notes that were `said` of an earlier one are not repeated.
    Returns what --json says of it.
    """
    manifest = pipeline.bundle.manifest
    playback = Playback(manifest.sample_rate, manifest.channels) if arguments.play else None
    bar = Bar(sys.stderr.isatty() and not (arguments.quiet or arguments.json))
    try:
        asked = _asked(arguments, seed)
        if arguments.latents and pipeline.settings(base.request, **asked).is_windowed(manifest):
            raise UsageError("a clip that is made in windows has no latents; leave --latents out")
        with bar:
            clip = pipeline.generate(
                base.request,
                **asked,
                noise=replayed(arguments.noise) if arguments.noise else None,
                progress=bar,
                on_block=playback,
            )
        clip = finished(clip, base.finish)
        if not arguments.quiet:
            for note in (*base.notes, *clip.notes):
                if note.text not in said:
                    print(f"note: {note}", file=sys.stderr)
                said.add(note.text)
        if arguments.output == STDOUT:
            write_to_stdout(clip, out.suffix[1:], arguments.quality)
        elif named:
            clip.save(out, quality=arguments.quality)
        else:
            out = _save_beside(clip, out, arguments.quality)
        if arguments.latents:
            assert clip.latents is not None  # what has none was refused above
            write_array(Path(arguments.latents), clip.latents[0])
        report = _report(clip, out, base.notes) if arguments.json else {}
        if not (arguments.json or arguments.quiet):
            is_sent = arguments.output == STDOUT
            said_on = sys.stderr if is_sent else sys.stdout
            print(_summary(clip, "standard output" if is_sent else out), file=said_on)
        if playback:
            _finish(playback)
    except BaseException:
        if playback:
            playback.stop()
        raise
    return report


def _asked(arguments: argparse.Namespace, seed: int | None) -> dict[str, Any]:
    """The settings that were given beside prompt and recipe, as `Pipeline.generate` takes them."""
    same = "seconds steps sampler negative apg pad_seconds".split()
    return {
        **{name: getattr(arguments, name) for name in same},
        "seed": seed,
        "cfg_scale": arguments.cfg,
        "fit_length": arguments.fit_length,
        "limiter": _switch(arguments.limiter),
        **edit_of(arguments),
    }


def _switch(given: str | None) -> bool | None:
    """What "on", "off" or nothing says."""
    return None if given is None else given == "on"


def _output(arguments: argparse.Namespace, prompt: str | None) -> tuple[Path, bool]:
    """Where the clip goes, and whether the caller named that file: else the prompt does, in the
    folder that was given or the current one.
    """
    given, format = arguments.output or "", arguments.format or DEFAULT
    if given == STDOUT:
        return Path(f"clip.{format}"), False
    if given and not given.endswith(("/", os.sep)) and not os.path.isdir(given):
        return Path(given), True
    return Path(given) / f"{file_stem(words_of(prompt))}.{format}", False


def _save_beside(clip: Clip, path: Path, quality: float | None) -> Path:
    """Save under a name that nothing has, with a number if need be; returns it.

    An empty file takes the name first, so that of several processes each finds another one.
    """
    for n in itertools.count(1):
        out = path if n == 1 else path.with_stem(f"{path.stem}-{n}")
        try:
            out.touch(exist_ok=False)
            break
        except FileExistsError:
            continue
    try:
        clip.save(out, quality=quality)
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    return out


def _finish(playback: Playback) -> None:
    """Hear the rest; a clip that is made and saved is no failure, so a bad player is a warning."""
    try:
        playback.finish()
    except EdgeAudioError as error:
        warnings.warn(str(error), EdgeAudioWarning, stacklevel=2)


def _summary(clip: Clip, out: Path | str) -> str:
    stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in _stages(clip).items())
    total = sum(clip.timings.values())
    read_as = f", read as '{clip.recipe['read_as']}'" if "read_as" in clip.recipe else ""
    return (
        f"{out}: {clip.seconds:.2f} s of audio in {total:.2f} s ({stages}),"
        f" {clip.seconds / total:.1f} times real time, seed {clip.recipe['seed']}{read_as}"
    )


def _report(clip: Clip, out: Path, before: tuple[Note, ...]) -> dict[str, Any]:
    import soundfile

    total, held = sum(clip.timings.values()), soundfile.info(out)
    return {
        "file": str(out),
        "seconds": clip.seconds,
        "frames": held.frames,
        "sample_rate": held.samplerate,
        "channels": held.channels,
        "total": total,
        "times_real_time": clip.seconds / total,
        "timings": clip.timings,
        "levels": dataclasses.asdict(clip.levels()),
        "notes": notes_of([*before, *clip.notes]),
        "recipe": Clip.recipe_of(out),
    }


def _stages(clip: Clip) -> dict[str, float]:
    """Seconds a stage, loading included."""
    totals: dict[str, float] = {}
    for name, seconds in clip.timings.items():
        stage = name.rpartition("_")[0]
        totals[stage] = totals.get(stage, 0.0) + seconds
    return totals
