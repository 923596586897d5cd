"""From numbers to words: what a comparison found, and whether a precision is good enough."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_audio.evaluate.comparison import Candidate, Layer

OK, WARN, FAIL = "ok", "warn", "fail"
#: dB on the worst step; above the first, clips stay those of the reference or become others of the
#: same kind
V_GOOD, V_POOR = 25.0, 15.0
#: dB of conditioners and decoder on the same inputs: the mean that is good, the worst clip that may
#: pass
STAGE_GOOD, STAGE_POOR = 30.0, 10.0
ADHERENCE_LOSS = 0.03
#: LU that clips may differ by on average
LOUDER = 1.0
#: A layer's output may be this much larger or smaller than the reference's, before its scales are
#: taken to be wrong.
GAIN_OFF = 0.25
#: dB below which a layer is taken to be broken, if none before it is
LAYER_POOR = 8.0


@dataclass(frozen=True)
class Finding:
    """One sentence, and how bad it is: `ok`, `warn` or `fail`."""

    level: str
    text: str


def judge(
    candidate: Candidate, reference: Candidate, spread: dict[str, float]
) -> tuple[list[Finding], str]:
    """What is to be said about a candidate, the worst first, and the verdict in one sentence."""
    found = [
        _broken_layer(candidate.layers),
        _velocity(candidate),
        _stage("conditioners", candidate.cross_attn_cond_snr + candidate.global_cond_snr),
        _stage("decoder", candidate.decoder_snr),
        _adherence(candidate, reference),
        _levels(candidate, reference),
        _sameness(candidate),
        _distribution(candidate, spread),
    ]
    findings = sorted(
        filter(None, found), key=lambda finding: (FAIL, WARN, OK).index(finding.level)
    )
    saved = f"{100 * candidate.bytes / reference.bytes:.0f} % of the bytes"
    levels = {finding.level for finding in findings}
    if FAIL in levels:
        return findings, f"Not usable: {findings[0].text}."
    if WARN in levels:
        return findings, f"Usable with care, at {saved}: {findings[0].text}."
    return findings, f"Good enough, at {saved}."


def _broken_layer(layers: list[Layer]) -> Finding | None:
    """The first layer, in the order of execution, whose output has the wrong scale, or nothing to
    do with the reference's.
    """
    if not layers:
        return None
    for layer in layers:
        if abs(layer.gain - 1) > GAIN_OFF or layer.snr < LAYER_POOR:
            return Finding(
                FAIL,
                f"layer {layer.name} of the {_spoken(layer.component)} is the first that departs:"
                f" it gives {layer.gain:.2f} times what it should ({layer.snr:.0f} dB)",
            )
    worst = min(layers, key=lambda layer: layer.snr)
    return Finding(
        OK,
        f"all {len(layers)} layers follow the reference, the noisiest, {worst.name}, at"
        f" {worst.snr:.0f} dB",
    )


def _velocity(candidate: Candidate) -> Finding | None:
    if not candidate.v_snr:
        return None
    worst, mean = (
        min(map(min, candidate.v_snr)),
        statistics.fmean(map(statistics.fmean, candidate.v_snr)),
    )
    text = (
        f"the transformer follows v at {worst:.1f} dB on the worst step, {mean:.1f} dB on average"
    )
    return Finding(OK if worst >= V_GOOD else WARN if worst >= V_POOR else FAIL, text)


def _stage(name: str, values: list[float]) -> Finding | None:
    if not values:
        return None
    worst, mean = min(values), statistics.fmean(values)
    level = FAIL if worst < STAGE_POOR else OK if mean >= STAGE_GOOD else WARN
    noisy = (
        ", a noise floor that can be heard in quiet places"
        if name == "decoder" and level != OK
        else ""
    )
    return Finding(
        level, f"{_spoken(name)}: {mean:.1f} dB on the same input, {worst:.1f} dB at worst{noisy}"
    )


def _adherence(candidate: Candidate, reference: Candidate) -> Finding | None:
    if candidate.adherence is None or reference.adherence is None:
        return None
    lost = reference.adherence - candidate.adherence
    level = OK if lost <= ADHERENCE_LOSS else WARN if lost <= 3 * ADHERENCE_LOSS else FAIL
    return Finding(
        level,
        f"{100 * candidate.adherence:.1f} % of clips sound as asked,"
        f" {100 * reference.adherence:.1f} % of the reference's",
    )


def _levels(candidate: Candidate, reference: Candidate) -> Finding | None:
    pairs = [(a.loudness, b.loudness) for a, b in zip(candidate.sounds, reference.sounds)]
    silenced = sum(a is None and b is not None for a, b in pairs)
    if silenced:
        return Finding(FAIL, f"{silenced} clips are silent that are not in the reference")
    known = [a - b for a, b in pairs if a is not None and b is not None]
    clipped = max(sound.clipped for sound in candidate.sounds) - max(
        sound.clipped for sound in reference.sounds
    )
    if not known:
        return None
    mean = statistics.fmean(known)
    level = OK if abs(mean) <= LOUDER and clipped <= 0.001 else WARN
    return Finding(
        level,
        f"loudness {mean:+.1f} LU on average"
        + (f", {100 * clipped:.1f} % more of the samples clip" if clipped > 0.001 else ""),
    )


def _sameness(candidate: Candidate) -> Finding | None:
    kinds = [sound.kind for sound in candidate.sounds]
    same = kinds.count("same")
    return Finding(
        OK,
        f"{same} of {len(kinds)} clips are the same sound as the reference's"
        + (", the others different ones, as another seed would give" if same < len(kinds) else ""),
    )


def _distribution(candidate: Candidate, spread: dict[str, float]) -> Finding | None:
    if candidate.frechet is None:
        return None
    level = OK if candidate.frechet <= 2 * spread["frechet"] else WARN
    return Finding(
        level,
        f"over all clips, the spectra differ by {candidate.frechet:.1f} dB² (Fréchet), other seeds"
        f" by {spread['frechet']:.1f}",
    )


def _spoken(component: str) -> str:
    return "transformer" if component == "dit" else component
