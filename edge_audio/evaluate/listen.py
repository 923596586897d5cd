"""`diagnose --listen`: one prompt and one seed in six configurations, so that one look tells
settings from model.

If the settings are at fault, some of these sound right; if all of them are noise, the model is.
"""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_audio.audio.clip import Clip
from edge_audio.bundle.manifest import Manifest
from edge_audio.errors import EdgeAudioWarning
from edge_audio.evaluate import metrics
from edge_audio.evaluate.probe import Probe
from edge_audio.evaluate.prompts import ANY, ANY_IDS, Prompt
from edge_audio.evaluate.trace import Trace
from edge_audio.listening import measures
from edge_audio.pipeline import Pipeline
from edge_audio.request import Request

SHEET = "spectrograms.png"


@dataclass(frozen=True)
class Sound:
    """One configuration, and what can be measured of it. Levels in dBFS."""

    name: str
    file: str
    prompt: str
    sampler: str
    steps: int
    cfg_scale: float
    latents_std: float
    peak_dbfs: float
    rms_dbfs: float
    clipped: float
    #: 0 for a tone, 0.56 for white noise
    flatness: float
    #: share of the energy in three narrow lines
    line_share: float


def configurations(manifest: Manifest, prompt: str) -> list[tuple[str, Request]]:
    """The five that people try when a model gives noise, and the model's own."""
    best = manifest.defaults
    simple = (ANY if manifest.prompt.tokenizer else ANY_IDS)[2].text
    own: dict[str, Any] = {
        "sampler": best.sampler,
        "steps": best.steps,
        "cfg_scale": best.cfg_scale,
    }
    return [
        ("cfg 7, 30 Euler steps", Request(prompt, sampler="euler", steps=30, cfg_scale=7.0)),
        ("cfg 1, 50 Euler steps", Request(prompt, sampler="euler", steps=50, cfg_scale=1.0)),
        ("cfg 3, 50 Euler steps", Request(prompt, sampler="euler", steps=50, cfg_scale=3.0)),
        ("cfg 7, 30 RK4 steps", Request(prompt, sampler="rk4", steps=30, cfg_scale=7.0)),
        ("a simple prompt", Request(simple, **own)),
        ("the model's own", Request(prompt, **own)),
    ]


def listen(
    pipeline: Pipeline,
    prompt: str | None,
    seed: int,
    out: Path,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Write a WAV of each configuration and SHEET into the new folder `out`; what was measured,
    ready for JSON.
    """
    manifest = pipeline.bundle.manifest
    prompt = prompt or (ANY if manifest.prompt.tokenizer else ANY_IDS)[1].text
    probe = Probe(pipeline, [Prompt(prompt)], [seed], {})
    made: list[tuple[Clip, Sound]] = []
    out.mkdir(parents=True)
    for number, (name, asked) in enumerate(configurations(manifest, prompt), 1):
        say(f"listening: {name}")
        assert asked.prompt is not None  # every configuration has one
        trace = probe.trace(
            Prompt(asked.prompt).request(
                pipeline.bundle,
                seed,
                sampler=asked.sampler,
                steps=asked.steps,
                cfg_scale=asked.cfg_scale,
                limiter=False,
            )
        )
        file = f"{number}-{re.sub(r'[^a-z0-9]+', '-', name.lower())}.wav"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EdgeAudioWarning)  # of peaks: the table has them
            trace.clip.save(out / file)
        made.append((trace.clip, _sound(name, file, asked.prompt, trace)))
    _sheet([(sound.name, clip) for clip, sound in made], out / SHEET)
    return {
        "folder": str(out),
        "sheet": SHEET,
        "seed": seed,
        "sounds": [dataclasses.asdict(sound) for _, sound in made],
    }


def _sound(name: str, file: str, prompt: str, trace: Trace) -> Sound:
    settings, clip, levels = trace.settings, trace.clip, trace.clip.levels()
    return Sound(
        name=name,
        file=file,
        prompt=prompt,
        sampler=settings.sampler,
        steps=settings.steps,
        cfg_scale=settings.cfg_scale,
        latents_std=float(trace.latents.std()),
        peak_dbfs=levels.peak_dbfs,
        rms_dbfs=levels.rms_dbfs,
        clipped=levels.clipped,
        flatness=metrics.flatness(clip.samples),
        line_share=measures.line_share(clip.samples.mean(axis=1)),
    )


def table(heard: dict[str, Any]) -> str:
    """For a terminal."""
    rows = [("", "latents", "peak", "rms", "clipped", "flatness", "lines")]
    rows += [
        (
            sound["name"],
            f"{sound['latents_std']:.2f}",
            f"{sound['peak_dbfs']:.1f} dBFS",
            f"{sound['rms_dbfs']:.1f} dBFS",
            f"{100 * sound['clipped']:.2f} %",
            f"{sound['flatness']:.2f}",
            f"{sound['line_share']:.2f}",
        )
        for sound in heard["sounds"]
    ]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:])),
            ]
        )
        for row in rows
    ]
    return "\n".join(
        [
            *lines,
            (
                f"{heard['folder']}: a WAV of each, and {heard['sheet']}. Noise in all six: the"
                " model is wrong, not the settings."
            ),
        ]
    )


def _sheet(clips: list[tuple[str, Clip]], path: Path) -> None:
    """Log-mel spectrograms on one scale, two in a row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure, rate = Figure(figsize=(10, 9), layout="constrained"), clips[0][1].sample_rate
    FigureCanvasAgg(figure)
    mels = [metrics.log_mel(clip.samples, rate) for _, clip in clips]
    top, marks = (
        max(mel.max() for mel in mels),
        [hz for hz in (200, 500, 1000, 2000, 4000, 8000, 16000) if hz < rate / 2],
    )
    for axes, (name, clip), mel in zip(figure.subplots(-(-len(clips) // 2), 2).flat, clips, mels):
        shown = axes.imshow(
            mel.T,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=top - metrics.FLOOR,
            vmax=top,
            extent=(0, clip.seconds, -0.5, mel.shape[1] - 0.5),
        )
        axes.set_yticks(
            [metrics.mel_band(hz, rate) for hz in marks], [f"{hz / 1000:g}" for hz in marks]
        )
        axes.set(title=name, xlabel="seconds", ylabel="kHz")
    figure.colorbar(shown, ax=figure.axes, label="dB")
    figure.savefig(path, dpi=100)
