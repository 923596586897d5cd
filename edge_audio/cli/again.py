"""`edge-audio again`."""

from __future__ import annotations

import argparse
import io
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from edge_audio import __version__
from edge_audio.audio.clip import Clip, check_writable
from edge_audio.audio.finish import Finish, finished
from edge_audio.audio.sound_file import FORMATS, extension_of
from edge_audio.audio.source import Source
from edge_audio.bundle.store import Bundle
from edge_audio.cli.options import Commands, add_json, add_model, refuse_overwriting
from edge_audio.cli.progress import Bar
from edge_audio.cli.recipe import model_name, precision_of, runs_half
from edge_audio.cli.result import print_result
from edge_audio.errors import EdgeAudioError, printable
from edge_audio.lora.reading import read_adapter
from edge_audio.pipeline import Pipeline, default_model
from edge_audio.request import Request
from edge_audio.sampling.replay import replayed

#: precisions whose arithmetic is float32 to the last step
_FLOAT = ("f32", "f16")


def add_again(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "again",
        help="make a clip again from the recipe in its file",
        description=(
            "Make a clip again from the recipe in its file, and tell whether it is the same."
            " Exit code 0 if every sample is, 1 if not."
        ),
    )
    parser.set_defaults(run=again)
    parser.add_argument("file", metavar="FILE", help="what edge-audio generate wrote")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="keep the new clip there (default: keep none)"
    )
    parser.add_argument(
        "--noise",
        metavar="DRAWS.npy",
        help="the noise that the clip was made of (generate --noise)",
    )
    parser.add_argument("--init", metavar="FILE", help="the sound that the clip was made from")
    parser.add_argument(
        "--lora",
        metavar="FILE",
        action="append",
        default=[],
        help="a style that the clip was made with, again for more of them",
    )
    add_model(parser)
    add_json(parser)


def again(arguments: argparse.Namespace) -> int:
    """`edge-audio again`: 0 if the new clip is the old one, 1 if not."""
    recipe = Clip.recipe_of(arguments.file)
    init = None if arguments.init is None else Source.of(arguments.init)
    request, finish = Request.from_recipe(recipe, init), Finish.from_recipe(recipe)
    if recipe.get("noise") is not None and not arguments.noise:
        raise EdgeAudioError(
            f"{arguments.file} was made of noise that was given, and not of a seed; give the same"
            " with --noise"
        )
    if recipe.get("noise") is None and arguments.noise:
        raise EdgeAudioError(f"{arguments.file} was made of a seed; leave --noise out")
    if arguments.output is not None:
        check_writable(arguments.output)
        refuse_overwriting(arguments.output, arguments.file, arguments.init)
    noise = replayed(arguments.noise) if arguments.noise else None
    lora = _styles_of(recipe, arguments.lora, arguments.file)
    folder, precision = arguments.model or default_model(), precision_of(recipe, arguments.file)
    is_other = Bundle.open(folder).sha256 != recipe.get("bundle_sha256")
    start = time.perf_counter()
    try:
        pipeline = Pipeline.load(folder, precision, half=runs_half(recipe), lora=lora)
        with Bar(sys.stderr.isatty() and not arguments.json) as bar:
            clip = pipeline.generate(request, noise=noise, progress=bar)
        clip = finished(clip, finish)
    except EdgeAudioError as error:
        if not is_other:
            raise
        raise EdgeAudioError(
            f"{arguments.file} was made by {model_name(recipe)}, name that one's folder with"
            f" --model; with this one: {error}"
        ) from None
    quality = _quality_of(recipe, arguments.file)
    if arguments.output is not None:
        is_lossy = FORMATS[Path(arguments.output).suffix.lower()].is_lossy
        clip.save(arguments.output, quality=quality if is_lossy else None)
    difference = _difference(clip, Path(arguments.file), quality)
    seconds = time.perf_counter() - start
    reasons = _reasons(recipe, clip, Path(arguments.file), bool(difference))
    if arguments.json:
        print_result(
            {
                "file": arguments.file,
                "identical": difference is None,
                "difference": difference,
                "reasons": reasons,
                "output": arguments.output,
                "total": seconds,
            }
        )
    else:
        print(f"{arguments.file}: {difference or 'identical'}, made again in {seconds:.2f} s")
        for reason in reasons:
            print(f"  {reason}")
    return 1 if difference else 0


def _quality_of(recipe: dict[str, Any], path: str) -> float | None:
    """What a lossy format was told, None if nothing."""
    quality = recipe.get("quality")
    if quality is not None and (not isinstance(quality, (int, float)) or not 0 <= quality <= 1):
        raise EdgeAudioError(
            f"{path} has a recipe whose quality is none; name a file that edge-audio wrote"
        )
    return quality


def _styles_of(
    recipe: dict[str, Any], given: list[str], path: str
) -> list[tuple[str | Path, float]]:
    """The styles that the recipe names, at its strengths, found by their hashes among those that
    were given; EdgeAudioError unless these are exactly the recipe's.
    """
    try:
        wanted = [
            (str(entry["sha256"]), ascii(str(entry["name"]))[:100], float(entry["strength"]))
            for entry in recipe.get("lora") or ()
        ]
    except (TypeError, KeyError, ValueError):
        raise EdgeAudioError(
            f"{path} has a recipe whose styles are none; name a file that edge-audio wrote"
        ) from None
    here = {read_adapter(Path(file)).sha256: file for file in given}
    for sha256, name, _ in wanted:
        if sha256 not in here:
            raise EdgeAudioError(
                f"{path} was made with the style {name} (sha256 {ascii(sha256)[1:13]}); give"
                f" {'that very file' if given else 'it'} with --lora"
            )
    for sha256, file in here.items():
        if sha256 not in [hash for hash, _, _ in wanted]:
            raise EdgeAudioError(f"{path} was made without {file}; leave it out")
    return [(here[sha256], strength) for sha256, _, strength in wanted]


def _difference(clip: Clip, path: Path, quality: float | None) -> str | None:
    """How a clip differs from what a file holds, None if each sample is the same. It is written in
    the format of the file first, into memory.
    """
    import soundfile

    held, copy = soundfile.info(path), io.BytesIO()
    format = extension_of(held.format, held.subtype)[1:]
    is_lossy = bool(format) and FORMATS[f".{format}"].is_lossy
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it was scaled down, as the file was
        clip.save(copy, held.subtype, format or held.format.lower(), quality if is_lossy else None)
    copy.seek(0)
    now = soundfile.info(copy)
    if (held.frames, held.channels, held.samplerate) != (now.frames, now.channels, now.samplerate):
        return (
            f"not identical ({held.frames} samples of {held.channels} channels at"
            f" {held.samplerate} Hz, now {now.frames} of {now.channels} at {now.samplerate} Hz)"
        )
    copy.seek(0)
    old, new = (soundfile.read(file, always_2d=True)[0] for file in (path, copy))
    if np.array_equal(old, new):
        return None
    error = 20 * np.log10(np.max(np.abs(old - new)))
    return f"not identical (samples differ by up to {error:.1f} dBFS)"


def _reasons(recipe: dict[str, Any], clip: Clip, path: Path, differs: bool) -> list[str]:
    """What was not as it was when the file was made, and what may differ besides if it differs."""
    reasons = []
    if recipe.get("bundle_sha256") != clip.recipe["bundle_sha256"]:
        reasons.append(
            f"the model is another one: {model_name(clip.recipe)}, the file was made by"
            f" {model_name(recipe)}; name that one's folder with --model"
        )
    if recipe.get("edge_audio") != __version__:
        reasons.append(f"made by edge-audio {recipe.get('edge_audio')}, this is {__version__}")
    if bool(recipe.get("half")) != clip.recipe["half"]:
        reasons.append("made with a decoder in fp16, which this CPU cannot run")
    suffix = path.suffix.lower()
    if suffix in FORMATS and FORMATS[suffix].is_lossy:
        reasons.append(
            f"an {suffix} file is lossy: what it holds was compared, which depends on the encoder's"
            " version, too"
        )
    if differs:
        inexact = clip.recipe["half"] or set(clip.recipe["precision"].values()) - set(_FLOAT)
        reasons.append(
            "another CPU or LiteRT rounds otherwise: "
            + ("int8 and fp16 by far more than float32" if inexact else "float32 in its last bits")
            + "; if both are the same, the file may have been changed"
        )
    return [printable(reason) for reason in reasons]
