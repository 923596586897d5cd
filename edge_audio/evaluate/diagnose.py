"""`edge-audio diagnose`: which stage of a model is wrong, from a pair of prompts and a few seeds.

A probe makes the clips once and keeps what went through the graphs; the symptoms look at it, each
at one thing. With a checkpoint at hand, `export.reference` adds rows that compare every stage with
the float reference.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge_audio import __version__
from edge_audio.bundle.manifest import GENERATING
from edge_audio.errors import EdgeAudioError, EdgeAudioWarning, UsageError
from edge_audio.evaluate.diagnosis import Diagnosis, Row
from edge_audio.evaluate.probe import Probe
from edge_audio.evaluate.prompts import ANY, ANY_IDS, Prompt
from edge_audio.evaluate.symptoms import SYMPTOMS, Symptom
from edge_audio.evaluate.verdict import FAIL
from edge_audio.pipeline import Pipeline

Say = Callable[[str], None]


def diagnose(
    pipeline: Pipeline,
    prompts: Sequence[Prompt] = (),
    seeds: int = 2,
    symptoms: Sequence[Symptom] = SYMPTOMS,
    say: Say = lambda line: None,
    first_seed: int = 1,
    checkpoint: Path | None = None,
    **settings: Any,
) -> Diagnosis:
    """Examine all symptoms. settings: of Request, for all clips; default, the model's own.

    prompts: two or more that should sound different; default, some that any model understands.
    checkpoint: folder of the official checkpoint that the bundle should be equal to. Whatever a
    symptom stumbles over becomes its FAIL.
    """
    manifest = pipeline.bundle.manifest
    prompts = list(prompts or (ANY if manifest.prompt.tokenizer else ANY_IDS)[:2])
    if len(prompts) < 2 or len({prompt.text for prompt in prompts}) < len(prompts):
        raise UsageError(
            "one prompt tells nothing about what prompts change; give two different ones, or none"
        )
    if seeds < 2:
        raise UsageError(f"seeds {seeds} cannot be compared; use 2 or more")
    probe = Probe(
        pipeline,
        prompts,
        range(first_seed, first_seed + seeds),
        {k: v for k, v in settings.items() if v is not None},
    )
    probe.request()  # settings that no model could have are the caller's error, no finding
    against = _reference(checkpoint) if checkpoint is not None else None
    departs = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdgeAudioWarning)
        rows = [row for examine in symptoms for row in _examined(examine, probe, say)]
        if against is not None:
            stages, departs = against(probe, say)
            rows += stages
    return Diagnosis(
        edge_audio=__version__,
        model=manifest.name,
        bundle_sha256=pipeline.bundle.sha256,
        precision=dict(pipeline.precision),
        prompts=[prompt.text for prompt in prompts],
        seeds=list(probe.seeds),
        rows=rows,
        departs=departs,
    )


def _examined(examine: Symptom, probe: Probe, say: Say) -> list[Row]:
    """The rows of a symptom; what it stumbles over is a row too."""
    name = examine.__name__.replace("_", " ")
    say(name)
    rows: list[Row] = []
    try:
        rows.extend(examine(probe))
    except EdgeAudioError as error:
        rows.append(
            Row(
                symptom=name,
                level=FAIL,
                measured="could not be measured",
                expected="",
                meaning=f"{error}",
            )
        )
    return rows


def _reference(folder: Path) -> Callable[[Probe, Say], tuple[list[Row], str | None]]:
    """The exporter's side of it, for this checkpoint; it needs the extra `export`."""
    try:
        from edge_audio.exporter import reference
    except ImportError as error:
        raise EdgeAudioError(
            f"--checkpoint needs the exporter ({error}); run pip install 'edge-audio[export,eval]'"
        ) from None
    return reference.open(folder)


def load(model: str | Path | None, precision: str | None, threads: int | None) -> Pipeline:
    """A pipeline whose graphs stay open, as examinations want it; files that are damaged are found
    here.
    """
    pipeline = Pipeline.load(model, precision, threads, memory="all")
    for component in GENERATING:
        pipeline.bundle.graph_path(component, pipeline.precision[component])
    return pipeline
