"""The evaluation in figures, and as the tables of a model card."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from edge_audio import EdgeAudioError

from .checked import (
    AUDIBLE,
    LEVELS,
    CheckedClip,
    adherence,
    audible,
    by_family,
    faults,
    well_levelled,
)
from .probes import SHORT_SECONDS
from .prompts import NAMES

MARKS = ("<!-- evaluation -->", "<!-- end of evaluation -->")

# precision -> kind of prompt -> its clips
CheckedKinds = Mapping[str, Mapping[str, Sequence[CheckedClip]]]


def figures_of(precisions: CheckedKinds) -> dict:
    """What `evaluation.json` keeps of the clips: by precision, then by kind of prompt."""
    return {precision: _figures_of_one(kinds) for precision, kinds in precisions.items()}


def _figures_of_one(kinds: Mapping[str, Sequence[CheckedClip]]) -> dict:
    figures: dict = {
        kind: {
            "adherence": round(adherence(clips), 4),
            "clips": len(clips),
            "audible": round(audible(clips), 4),
            "level": round(float(np.mean([well_levelled(checked) for checked in clips])), 4),
            "families": by_family(clips),
        }
        for kind, clips in kinds.items()
    }
    figures["faults"] = [
        f"{checked.prompt.text}: {fault}"
        for clips in kinds.values()
        for checked in clips
        for fault in faults(checked.clip)
    ]
    return figures


def markdown(figures: dict, command: str) -> str:
    """The tables of MODEL_CARD.md, and what the other measurements say."""
    precisions = [
        name for name, part in figures.items() if isinstance(part, dict) and "seen" in part
    ]
    lines = [*_kinds_table(figures, precisions), "", *_families_table(figures, precisions)]
    for sentence in _sentences(figures, precisions[0]):
        lines += ["", sentence]
    return "\n".join([*lines, "", f"Made with `{command}`."]) + "\n"


def _kinds(figures: dict, precisions: list[str]) -> list[str]:
    return [kind for kind in figures[precisions[0]] if kind != "faults"]


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _rule(columns: int) -> str:
    return "|" + " --- |" * columns


def _kinds_table(figures: dict, precisions: list[str]) -> list[str]:
    lines = [_row("prompts", *precisions), _rule(1 + len(precisions))]
    for kind in _kinds(figures, precisions):
        parts = (figures[p][kind] for p in precisions)
        shares = (f"{100 * part['adherence']:.1f} % of {part['clips']}" for part in parts)
        lines.append(_row(kind, *shares))
    loud_enough = (f"{100 * figures[p][NAMES]['audible']:.1f} %" for p in precisions)
    faulty = (str(len(figures[p]["faults"])) for p in precisions)
    level = (f"{100 * figures[p][NAMES]['level']:.1f} %" for p in precisions)
    return [
        *lines,
        _row("bare names between {:g} and {:g} dBFS while they sound".format(*LEVELS), *level),
        _row(f"bare names with a quarter of a second above {AUDIBLE:g} dBFS", *loud_enough),
        _row("clips with a click, an offset or clipping", *faulty),
    ]


def _families_table(figures: dict, precisions: list[str]) -> list[str]:
    kinds = _kinds(figures, precisions)
    columns = [(precision, kind) for precision in precisions for kind in kinds]
    lines = [_row("family", *(f"{kind}, {p}" for p, kind in columns)), _rule(1 + len(columns))]
    for family in figures[precisions[0]]["seen"]["families"]:
        counts = (figures[p][kind]["families"].get(family) for p, kind in columns)
        cells = ("" if count is None else f"{count[0]}/{count[1]}" for count in counts)
        lines.append(_row(family, *cells))
    return lines


def _sentences(figures: dict, precision: str) -> Iterable[str]:
    """What is there beside the tables; any of it may be missing."""
    if judge := figures.get("judge"):
        yield (
            "A second judge, a classifier that sees only log-mel spectrograms and is right"
            f" about {100 * judge['on synthesised']:.1f} % of synthesised sounds, hears the"
            f" asked family in {100 * judge['on generated']:.1f} % of the {precision} clips."
        )
    if "diversity" in figures:
        yield (
            f"Over seeds, clips of one prompt differ by {figures['diversity']['clips']:.1f} dB of"
            f" log-mel, {figures['diversity']['ratio']:.2f} times what sounds of the family differ"
            " by (medians of the families). Asked for"
            f" {SHORT_SECONDS:g} s, the model itself falls to {figures['overrun']['median']:.0f} dB"
            f" after them (median; worst {figures['overrun']['worst']:.0f} dB)."
        )
    if floor := figures.get("floor"):
        yield (
            f"Where sounds fall silent, clips fall to {floor['median']:.0f} dBFS (median of"
            f" {floor['clips']})."
        )
    if likeness := figures.get("likeness"):
        yield (
            f"Their log-mel frames are {likeness['clips']:.0f} dB² (Fréchet) from those of sounds"
            f" of the same prompts; {likeness['round trip']:.0f} dB² is what the autoencoder alone"
            " makes of other such sounds."
        )
    if losses := figures.get("reconstruction"):
        ratios, distances, mels, passed = zip(*losses.values())
        yield (
            "The autoencoder alone, one synthesised sound of each family: SNR"
            f" {np.median(ratios):.1f} dB, log-mel distance {np.median(mels):.1f} dB,"
            f" multi-resolution STFT distance {np.median(distances):.2f} (medians);"
            f" {sum(passed)} of {len(losses)} pass their check."
        )


def put_into_card(card: Path, text: str) -> None:
    """Replace what stands between the marks of a model card."""
    before, after = MARKS
    written, count = re.subn(
        f"{before}.*{after}",
        lambda _: f"{before}\n{text}{after}",
        card.read_text(encoding="utf-8"),
        flags=re.S,
    )
    if count != 1:
        raise EdgeAudioError(
            f"{card} has no place for the results; put the lines {before} and {after} there"
        )
    card.write_text(written, encoding="utf-8")
