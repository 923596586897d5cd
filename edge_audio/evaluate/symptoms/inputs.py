"""Whether the graphs listen to what they are given."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from edge_audio.evaluate.diagnosis import Row
from edge_audio.evaluate.probe import Probe
from edge_audio.evaluate.symptoms.measure import LITTLE, NOTHING, change, db
from edge_audio.evaluate.symptoms.registry import row, symptom
from edge_audio.evaluate.verdict import FAIL, OK, WARN
from edge_audio.sampling.noise import NoiseStream
from edge_audio.settings import Settings


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
            + _why((inert or weak or [""])[0]),
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
    "padding_mask": "Latents that only make up the length count like the others.",
    "modulations": "The model cannot hear the noise level and the seconds: adaLN was dropped.",
}


def _why(name: str) -> str:
    """What it means that STAGE.INPUT has no effect."""
    port = name.split(".")[-1]
    return _INERT.get(port, _INERT.get(port.partition("_")[0], "The export lost it on the way."))


def _effects(probe: Probe) -> dict[str, dict[str, float]]:
    """component -> STAGE.INPUT -> dB by which the stage's outputs change with another value there:
    that of the other prompt's clip, of half the seconds, at another step.
    """
    contract = probe.pipeline.model.contract
    own, others = probe.stages(probe.request()), probe.stages(_other(probe))
    effects: dict[str, dict[str, float]] = {}
    with probe.pipeline.model.lease() as lease:
        for stage, calls in own.items():
            call, other = calls[len(calls) // 2], others[stage][-1]
            for name, value in call.inputs.items():
                changed = {**call.inputs, name: _another(value, other.inputs[name])}
                after = lease.call(stage, changed)
                effects.setdefault(contract.stages[stage].component, {})[f"{stage}.{name}"] = max(
                    change(after[output], before) for output, before in call.outputs.items()
                )
    return effects


def _other(probe: Probe) -> Settings:
    """The second prompt's clip of half the seconds, on as many latents."""
    settings = probe.request(1, len(probe.seeds) - 1)
    half = settings.seconds / 2
    pad = None if settings.pad_seconds is None else settings.pad_seconds + half
    return dataclasses.replace(settings, seconds=half, pad_seconds=pad, fit_length=False)


def _another(value: np.ndarray, other: np.ndarray) -> np.ndarray:
    """What could stand in a value's place: the other clip's; of marks 0 and 1, a quarter of the
    ones gone, or ones where there are none.
    """
    changed: np.ndarray = np.flip(value, axis=-1)
    if np.isin(value, (0, 1)).all():
        ones, changed = np.flatnonzero(value), value.copy()
        changed.flat[ones[-max(1, len(ones) // 4) :]] = 0
        return changed if len(ones) else np.ones_like(value)
    if other.shape == value.shape and not np.array_equal(other, value):
        return other
    if value.dtype == np.float32:
        return _noise(value)
    return np.where(value == 0, 1, 0).astype(value.dtype) if np.all(changed == value) else changed


def _noise(like: np.ndarray) -> np.ndarray:
    return NoiseStream(99).normal(like.shape)
