"""The transformer on its way: what steers it, and where its latents end."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from edge_audio.evaluate.diagnosis import Row
from edge_audio.evaluate.probe import Probe
from edge_audio.evaluate.symptoms.measure import NOTHING, by_limits, change, db, rms
from edge_audio.evaluate.symptoms.registry import row, symptom
from edge_audio.evaluate.verdict import OK, WARN
from edge_audio.settings import POST_TRAINED


@symptom
def cross_attention(probe: Probe) -> Iterator[Row]:
    """How much of v is the prompt's doing, step by step: against another prompt on the same x and
    t.
    """
    trace, other = probe.traces[0], probe.pipeline.condition(probe.request(1))
    kept = probe.manifest.guidance.kept
    swapped = trace.conditioning.told(
        **{name: value for name, value in other.prompt.items() if name not in kept}
    )
    pairs = zip(probe.plain(trace, swapped), probe.plain(trace, trace.conditioning))
    effects = [change(*pair) for pair in pairs]
    yield row(
        by_limits(max(effects), NOTHING, -40),
        f"another prompt changes v by {db(min(effects))} to {db(max(effects))}",
        "more than -40 dB on some step",
        "The transformer does not listen to the prompt: look at to_cond_embed, to_kv and to_out.",
        max(effects),
    )


@symptom
def global_condition(probe: Probe) -> Iterator[Row]:
    """How much of v is the seconds' doing, and whether the sound ends when it should."""
    trace = probe.traces[0]
    half = dataclasses.replace(trace.settings, seconds=trace.settings.seconds / 2)
    shorter = probe.pipeline.condition(half)
    swapped = trace.conditioning.told(
        **{name: shorter.prompt[name] for name in probe.manifest.guidance.kept}
    )
    effect = max(
        change(*pair)
        for pair in zip(probe.plain(trace, swapped), probe.plain(trace, trace.conditioning))
    )
    yield row(
        by_limits(effect, NOTHING, -60),
        f"half the seconds change v by {db(effect)}",
        "more than -60 dB",
        "The transformer ignores the global condition: an export that passes it in place of a mask"
        " does that.",
        effect,
    )
    whole = probe.whole(probe.trace(half).latents)
    end = half.frames(probe.manifest)
    level = rms(whole.samples[end + len(whole.samples) // 16 :]) - rms(whole.samples[:end])
    yield row(
        OK if level < -20 else WARN,
        f"after the asked end {db(level)}",
        "below -20 dB",
        "Models that were trained on padded clips fall silent there; this one did not for this"
        " prompt.",
        level,
        "silence",
    )


@symptom
def guidance(probe: Probe) -> Iterator[Row]:
    """The size of c − u, and what a larger scale does to the latents' spread and to clipping."""
    trace = probe.traces[0]
    told = trace.conditioning
    zeros = told.told(
        **{name: np.zeros_like(told.prompt[name]) for name in probe.manifest.guidance.zeroed}
    )
    effects = [
        change(*pair)
        for pair in zip(probe.plain(trace, zeros), probe.plain(trace, trace.conditioning))
    ]
    yield row(
        by_limits(max(effects), NOTHING, -40),
        f"c - u is {db(min(effects))} to {db(max(effects))} of v",
        "more than -40 dB on some step",
        "Guidance has nothing to work with: both branches are given the same.",
        max(effects),
    )
    own = probe.request().cfg_scale
    made = {scale: probe.trace(probe.request(cfg_scale=scale)) for scale in sorted({1.0, own, 7.0})}
    spread = {scale: float(one.latents.std()) for scale, one in made.items()}
    clipped = {scale: one.clip.levels().clipped for scale, one in made.items()}
    said = ", ".join(
        f"cfg {scale:g}: std {spread[scale]:.2f}, {100 * clipped[scale]:.1f} % clipped"
        for scale in made
    )
    grown = spread[own] / max(spread[1.0], 0.8)
    yield row(
        WARN if grown > 1.6 or clipped[own] > 0.02 else OK,
        said,
        f"std at cfg {own:g} at most 1.6 times that at 1, or 1.3",
        f"cfg {own:g} overdrives this model. {_recommended(probe)}",
        grown,
        "scale",
    )


@symptom
def settings(probe: Probe) -> Iterator[Row]:
    """Sampler, steps and scale against the model's objective."""
    request, objective = probe.request(), probe.manifest.objective
    notes = [note.text for note in request.advice(probe.manifest)]
    if objective == POST_TRAINED and probe.manifest.defaults.cfg_scale > 2:
        notes.append(
            "the manifest's own default scale is for models that are not post-trained; use"
            " ping-pong, 8 steps, cfg 1"
        )
    if objective != POST_TRAINED and request.sampler == "pingpong":
        notes.append("ping-pong is for post-trained models; use euler or dpmpp")
    yield row(
        WARN if notes else OK,
        f"{request.sampler}, {request.steps} steps, cfg {request.cfg_scale:g} for {objective}",
        "settings of that objective",
        "; ".join(notes) + ".",
    )


@symptom
def latents(probe: Probe) -> Iterator[Row]:
    """The spread of what the sampler ends with, over all clips."""
    spreads = [float(trace.latents.std()) for trace in probe.traces]
    low, high = min(spreads), max(spreads)
    yield row(
        OK if low > 0.2 and high < 2 else WARN,
        f"std {low:.2f} to {high:.2f}",
        "0.2 to 2",
        "Latents of a sound model have a spread near 1. Less: v is too small or t is not what the"
        " model thinks; more: guidance or too many steps.",
        high,
    )


def _recommended(probe: Probe) -> str:
    best = probe.manifest.defaults
    return f"The model was made for {best.sampler}, {best.steps} steps, cfg {best.cfg_scale:g}."
