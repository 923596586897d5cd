"""Mixed precision by measurement: how much each layer hurts in each form, then the smallest graph
that reaches a target.

The float32 graphs make a few clips, and what their stages were given on the way is recorded
(`recording`). Then one layer at a time is quantized, and the recording replayed: error power
relative to the signal, for every recorded output. Errors of layers that know nothing of each other
add up, so the choice is a knapsack (`choice`). What is chosen is then built and measured as a whole
(`search`); as long as it misses the target, the budget shrinks by what is missing. The outcome is
kept as a `recipe`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_audio.bundle.manifest import GENERATING, GraphEntry, Manifest
from edge_audio.bundle.store import Bundle, file_entry
from edge_audio.errors import EdgeAudioError
from edge_audio.evaluate.prompts import ANY, ANY_IDS, Prompt, read

from .choice import Group, choose
from .recipe import NAME, TARGET, Recipe, file_name, recipes
from .recording import evenly, record
from .search import SINGLE, Search

__all__ = [
    "BASE",
    "NAME",
    "TARGET",
    "Group",
    "Recipe",
    "choose",
    "make",
    "validate",
]

#: a graph in float32, but for the tables that are stored otherwise in small precisions
BASE = "base"
CLIPS = 12
#: of a large model, of which a clip takes long
FEW = 4
#: seconds of a recorded clip of a model that makes any length
SHORT = 2.0
SEED = 20_240


def validate(target: float, prompts: Path | None, recipe: Path | None) -> None:
    """EdgeAudioError for a target that no graph could have, or a file that cannot be used."""
    if not 1 <= target <= 60:
        raise EdgeAudioError(
            f"target SNR {target:g} dB is out of reach; give 1 to 60, such as {TARGET:g}"
        )
    if prompts is not None:
        read(prompts)
    if recipe is not None:
        recipes(recipe)


def make(
    folder: Path,
    target: float,
    prompts: Sequence[Prompt],
    recipe: Path | None,
    say: Callable[[str], None],
) -> dict[str, GraphEntry]:
    """Component -> its mixed graph, written to `folder`, where a bundle in float32 lies beside the
    graphs to start from.

    prompts: CLIPS of them are recorded (FEW of a large model), evenly taken; empty for some that
    any model understands. recipe: apply this one (a file, for its component, or a folder with one
    for each) rather than measure.
    """
    bundle = Bundle.open(folder)
    prompts = prompts or (ANY if bundle.manifest.prompt.tokenizer else ANY_IDS)
    is_large = any(bundle.manifest.graphs[name]["f32"].bytes > SINGLE for name in GENERATING)
    some = [prompts[index] for index in evenly(len(prompts), FEW if is_large else CLIPS)]
    say(f"mixed: recording what float32 does for {len(some)} prompts")
    short = _shortest(bundle.manifest)
    recording = record(
        bundle,
        [prompt.request(bundle, SEED + number, **short) for number, prompt in enumerate(some)],
    )
    given = recipes(recipe) if recipe else {}
    made = {}
    for component in recording.components:
        base = folder / f"{component}.{BASE}.tflite"
        base = base if base.exists() else folder / f"{component}.f32.tflite"
        search = Search(component, base, recording, target, say)
        found = search.applied(given[component]) if component in given else search.run()
        made[component] = _written(folder, search, found)
    return made


def _shortest(manifest: Manifest) -> dict[str, Any]:
    """Settings of short clips, where a model makes them: what rounding costs does not depend on
    their length.
    """
    latent = manifest.latent
    if latent.padding is not None:
        return {"seconds": SHORT, "pad_seconds": 0}
    if not latent.shorter:
        return {}
    seconds = latent.shorter[0] * latent.downsampling / manifest.sample_rate
    return {"seconds": seconds, "fit_length": True}


def _written(folder: Path, search: Search, recipe: Recipe) -> GraphEntry:
    """A recipe's graph and the recipe itself, as files of a bundle."""
    path, beside = (
        folder / f"{recipe.component}.{NAME}.tflite",
        folder / file_name(recipe.component),
    )
    path.write_bytes(search.quantized(recipe.layers))
    beside.write_text(recipe.to_json())
    return GraphEntry(
        **vars(file_entry(path)),
        fidelity={search.output: round(float(recipe.measured_snr or np.nan), 2)},
        recipe=file_entry(beside),
    )
