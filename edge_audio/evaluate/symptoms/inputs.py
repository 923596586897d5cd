"""Whether the graphs listen to what they are given."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edge_audio.evaluate.diagnosis import Row
from edge_audio.evaluate.probe import Probe
from edge_audio.evaluate.symptoms.measure import LITTLE, NOTHING, change, db, scalar
from edge_audio.evaluate.symptoms.registry import row, symptom
from edge_audio.evaluate.verdict import FAIL, OK, WARN
from edge_audio.sampling.noise import NoiseStream
from edge_audio.system.graph import Graph

Arrays = dict[str, np.ndarray]


@symptom
def inputs_change_outputs(probe: Probe) -> Iterator[Row]:
    """Every input of every graph changes its output; an export that drops one looks fine and is
    wrong.
    """
    for component, effects in _effects(probe).items():
        inert = sorted(name for name, effect in effects.items() if effect < NOTHING)
        weak = sorted(name for name, effect in effects.items() if NOTHING <= effect < LITTLE)
        least = min(effects, key=effects.__getitem__)
        said = f"{len(effects)} inputs, least {least} {db(effects[least])}"
        yield row(
            FAIL if inert else WARN if weak else OK,
            said,
            "every one changes the output",
            f"Without {'effect' if inert else 'much effect'}: {', '.join(inert or weak)}. "
            + _INERT.get(_kind((inert or weak or [""])[0]), "The export lost it on the way."),
            effects[least],
            component,
        )


_INERT = {
    "global": (
        "The model cannot hear the seconds: the global condition was dropped, or passed in place of"
        " a mask."
    ),
    "cross": (
        "The model cannot hear the prompt in that block: cross-attention has zero weights, or was"
        " skipped."
    ),
    "attention_mask": "The text encoder reads its padding.",
}


def _kind(name: str) -> str:
    return name.split(".")[-1].partition("_")[0] if "mask" not in name else "attention_mask"


def _effects(probe: Probe) -> dict[str, dict[str, float]]:
    """component -> SIGNATURE.INPUT -> dB by which the output changes with another value there."""
    conditioners, given, others = _effects_in_conditioners(probe)
    return {
        "conditioners": conditioners,
        "dit": _effects_in_transformer(probe, given, others),
        "decoder": _effects_in_decoder(probe),
    }


def _effects_in_conditioners(probe: Probe) -> tuple[dict[str, float], Arrays, Arrays]:
    """The effects; what the graph gives for the first clip; and what could stand in its place: the
    other prompt's embeddings, the global condition of half the seconds.
    """
    first, other = probe.tokens(0), probe.tokens(1)
    seconds = probe.traces[0].settings.seconds
    shorter = first.mask.copy()
    shorter[0, max(1, int(first.mask.sum()) - 1) :] = 0
    inputs = {
        "input_ids": first.ids,
        "attention_mask": first.mask,
        "seconds_total": scalar(seconds),
    }
    half = {"seconds_total": scalar(seconds / 2)}
    replacements = {
        "input_ids": np.where(first.mask == 1, other.ids, first.ids).astype(np.int32),
        "attention_mask": shorter,
        **half,
    }
    with probe.pipeline.graph("conditioners") as graph:
        given, effects = _exchanged(graph, "condition", inputs, replacements)
        halved = graph("condition", **(inputs | half))
        changed = graph(
            "condition", **(inputs | {"input_ids": other.ids, "attention_mask": other.mask})
        )
    names = ("cross_attn_cond", "global_cond")
    return (
        effects,
        {name: given[name] for name in names},
        {"cross_attn_cond": changed["cross_attn_cond"], "global_cond": halved["global_cond"]},
    )


def _effects_in_transformer(probe: Probe, given: Arrays, others: Arrays) -> dict[str, float]:
    """In the middle of the first clip's way."""
    calls = probe.traces[0].calls
    x, t, _ = calls[len(calls) // 2]
    denoise = probe.manifest.latent.signature("denoise", x.shape[1])
    with probe.pipeline.graph("dit") as graph:
        projected, effects = _exchanged(graph, "project", given, others)
        swapped = graph("project", **others)
        inputs = projected | {"x": x, "t": scalar(t)}
        replacements = swapped | {"x": _noise(x), "t": scalar(0.9 * t + 0.01)}
        _, more = _exchanged(graph, denoise, inputs, replacements)
    return effects | more


def _effects_in_decoder(probe: Probe) -> dict[str, float]:
    latents, tile = probe.traces[0].latents, probe.manifest.tiling.tile
    head = probe.manifest.latent.signature("head", latents.shape[1])
    with probe.pipeline.graph("decoder") as graph:
        found, effects = _exchanged(graph, head, {"latents": latents}, {"latents": _noise(latents)})
        features = found["features"]
        inputs, replacements = features[:, :tile], features[:, -tile:] + 1
        _, more = _exchanged(graph, "tail", {"features": inputs}, {"features": replacements})
    return effects | more


def _exchanged(
    graph: Graph, signature: str, inputs: Arrays, replacements: Arrays
) -> tuple[Arrays, dict[str, float]]:
    """What a signature gives; and SIGNATURE.INPUT -> dB by which that changes when one input is
    exchanged.
    """
    before = graph(signature, **inputs)
    effects = {}
    for name, value in replacements.items():
        after = graph(signature, **(inputs | {name: value}))
        effects[f"{signature}.{name}"] = max(change(after[key], before[key]) for key in before)
    return before, effects


def _noise(like: np.ndarray) -> np.ndarray:
    return NoiseStream(99).normal(like.shape)
