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
from edge_audio.cli.progress import Bar
from edge_audio.pipeline import Pipeline


def generate(arguments: argparse.Namespace) -> None:
    """`edge-audio generate`"""
    out = _default_output(arguments.prompt) if arguments.output is None else Path(arguments.output)
    check_writable(out)
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
                progress=bar,
                on_block=playback,
            )
        gain = clip.save(out)
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
    return (
        f"{out}: {clip.seconds:.2f} s of audio in {total:.2f} s ({stages}),"
        f" {clip.seconds / total:.1f} times real time, seed {clip.recipe['seed']}"
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
