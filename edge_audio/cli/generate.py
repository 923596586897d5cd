"""`edge-audio generate`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
from pathlib import Path

from edge_audio.audio.clip import Clip, check_writable
from edge_audio.audio.play import Playback
from edge_audio.cli.options import add_model, numbers
from edge_audio.cli.progress import Bar
from edge_audio.pipeline import Pipeline
from edge_audio.sampling.replay import check_array_file, replayed, write_array
from edge_audio.sampling.samplers import SAMPLERS


def add_generate(commands: argparse._SubParsersAction) -> None:
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
        help=".wav, .flac or .ogg (default: named after the prompt)",
    )
    add_model(parser)
    parser.add_argument(
        "--seconds", metavar="S", type=float, help="duration (default: the model's full length)"
    )
    parser.add_argument(
        "--seed", metavar="N", type=int, help="the same seed makes the same sound (default: random)"
    )
    parser.add_argument(
        "--steps", metavar="N", type=int, help="sampling steps (default: the model's)"
    )
    parser.add_argument(
        "--sampler", metavar="NAME", help=f"{', '.join(SAMPLERS)} (default: the model's)"
    )
    parser.add_argument(
        "--cfg", metavar="S", type=float, help="guidance scale, 1 for none (default: the model's)"
    )
    parser.add_argument(
        "--negative", metavar="PROMPT", help="what not to hear; needs a guidance scale above 1"
    )
    parser.add_argument("--ids", metavar="1,2,3", type=numbers, help="token ids in place of PROMPT")
    parser.add_argument(
        "--fit-length",
        action="store_true",
        help=(
            "the shortest latents that hold the seconds: faster, where the model has several"
            " lengths"
        ),
    )
    parser.add_argument(
        "--precision",
        metavar="P",
        help="int8, or dit=int8,decoder=f16 (default: what suits this CPU)",
    )
    parser.add_argument("--threads", metavar="N", type=int, help="default: what suits this CPU")
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
    parser.add_argument("--play", action="store_true", help="play it while it is made")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--quiet", action="store_true", help="print nothing but warnings and errors"
    )


def generate(arguments: argparse.Namespace) -> None:
    """`edge-audio generate`"""
    out = _default_output(arguments.prompt) if arguments.output is None else Path(arguments.output)
    check_writable(out)
    if arguments.latents:
        check_array_file(Path(arguments.latents))
    pipeline = Pipeline.load(
        arguments.model,
        arguments.precision,
        arguments.threads,
        half=None if arguments.fp16 is None else arguments.fp16 == "on",
    )
    manifest = pipeline.bundle.manifest
    playback = Playback(manifest.sample_rate, manifest.channels) if arguments.play else None
    bar = Bar(sys.stderr.isatty() and not (arguments.quiet or arguments.json))
    try:
        with bar:
            clip = pipeline.generate(
                arguments.prompt,
                seconds=arguments.seconds,
                seed=arguments.seed,
                steps=arguments.steps,
                sampler=arguments.sampler,
                cfg_scale=arguments.cfg,
                negative=arguments.negative,
                ids=arguments.ids,
                fit_length=arguments.fit_length,
                noise=replayed(arguments.noise) if arguments.noise else None,
                progress=bar,
                on_block=playback,
            )
        for note in clip.notes:
            print(f"note: {note}", file=sys.stderr)
        gain = clip.save(out)
        if arguments.latents:
            write_array(Path(arguments.latents), clip.latents[0])
        if arguments.json:
            print(json.dumps(_report(clip, out, gain)))
        elif not arguments.quiet:
            print(_summary(clip, out))
        if playback:
            playback.finish()
    except BaseException:
        if playback:
            playback.stop()
        raise


def _default_output(prompt: str | None) -> Path:
    """The prompt as a file name in the current folder; a number is added rather than an existing
    file replaced.
    """
    slug = "-".join(re.findall(r"\w+", (prompt or "").lower()))[:48].strip("-_") or "clip"
    names = (f"{slug}.wav" if n == 1 else f"{slug}-{n}.wav" for n in range(1, 1_000_000))
    return next(path for path in map(Path, names) if not path.exists())


def _summary(clip: Clip, out: Path) -> str:
    stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in _stages(clip).items())
    total = sum(clip.timings.values())
    read_as = f", read as '{clip.recipe['read_as']}'" if "read_as" in clip.recipe else ""
    return (
        f"{out}: {clip.seconds:.2f} s of audio in {total:.2f} s ({stages}),"
        f" {clip.seconds / total:.1f} times real time, seed {clip.recipe['seed']}{read_as}"
    )


def _report(clip: Clip, out: Path, gain: float) -> dict:
    total = sum(clip.timings.values())
    return {
        "file": str(out),
        "seconds": clip.seconds,
        "frames": len(clip.samples),
        "sample_rate": clip.sample_rate,
        "channels": clip.samples.shape[1],
        "total": total,
        "times_real_time": clip.seconds / total,
        "timings": clip.timings,
        "levels": dataclasses.asdict(clip.levels()),
        "recipe": {**clip.recipe, "gain": gain},
    }


def _stages(clip: Clip) -> dict[str, float]:
    """Seconds a stage, loading included."""
    totals: dict[str, float] = {}
    for name, seconds in clip.timings.items():
        stage = name.rpartition("_")[0]
        totals[stage] = totals.get(stage, 0.0) + seconds
    return totals
