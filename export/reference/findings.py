"""What the comparison with a checkpoint found, as rows of `diagnose`."""

from __future__ import annotations

import dataclasses
import math

from edge_audio.evaluate.diagnose import Say
from edge_audio.evaluate.diagnosis import Row
from edge_audio.evaluate.probe import Probe
from edge_audio.evaluate.verdict import FAIL, OK, WARN

from .audit import stored_weights, tensors
from .family import Family
from .model import FloatModel
from .source import Source
from .walk import Group, walk


def compare(probe: Probe, source: Source, say: Say) -> tuple[list[Row], str | None]:
    """Every stage, then the weights; and the name of the first value that departs."""
    model = FloatModel(probe.bundle, source, probe.pipeline.precision, say)
    rows = _other_files(probe, source)
    groups = list(walk(probe, model, say))
    say("weights")
    audit: list[Row] = []
    suspicious: dict[str, str] = {}
    for component in model.precision:
        found, wrong = stored_weights(component, model)
        audit.append(found)
        suspicious |= wrong
    departs = None
    for group in groups:
        row, wrong_value = _judged(group, departs is None, suspicious, source.family)
        rows.append(row)
        departs = departs or wrong_value
    return [*rows, *tensors(model), *audit], departs


def _other_files(probe: Probe, source: Source) -> list[Row]:
    """A row if the files are others than those that the bundle was made of."""
    if probe.manifest.source_sha256 == source.checkpoint.sha256:
        return []
    return [
        Row(
            symptom="checkpoint",
            level=WARN,
            measured="other files than the manifest names",
            expected="those that the bundle was exported from",
            meaning="Another version of the weights, or converted ones. What follows compares with"
            " the files given here.",
        )
    ]


def _judged(
    group: Group, is_first: bool, suspicious: dict[str, str], family: Family
) -> tuple[Row, str | None]:
    """A group's row, and the value in it that departs, if one does. is_first: nothing before it
    departs; what departs later may do so only because of the first.
    """
    wrong = next((value for value in group.values if value.departs), None)
    least = wrong or min(group.values, key=lambda value: value.snr - value.limit)
    expected = (
        f"{least.limit:.0f} dB or more"
        if math.isfinite(least.limit)
        else "another clip is no fault in this precision"
    )
    row = Row(
        symptom=f"stage {group.title}",
        level=OK,
        measured=f"{len(group.values)} values, least {least.name} {least.snr:.0f} dB",
        expected=expected,
        value=least.snr,
    )
    if wrong is None:
        return row, None
    departing = dataclasses.replace(
        row,
        level=FAIL if is_first else WARN,
        measured=f"{wrong.name} departs: {wrong.difference}",
        meaning=_reason(wrong.name, suspicious, family) if is_first else "",
    )
    return departing, wrong.name


def _reason(name: str, suspicious: dict[str, str], family: Family) -> str:
    """Why a value departs that is the first to do so."""
    first = "The first stage that departs; all before it is right."
    if name in family.ends:
        return f"{first} {family.ends[name]}"
    if name in suspicious:
        return f"{first} Its weights: {suspicious[name]}."
    between = next((what for part, what in family.before.items() if part in name), None)
    if between is None:
        return first
    return f"{first} Its weights are the checkpoint's, so the fault lies in {between}."
