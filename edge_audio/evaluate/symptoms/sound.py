"""What the clips sound like."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edge_audio import listening
from edge_audio.evaluate import metrics
from edge_audio.evaluate.diagnosis import Row
from edge_audio.evaluate.probe import Probe
from edge_audio.evaluate.prompts import of_bundle
from edge_audio.evaluate.symptoms.registry import row, symptom
from edge_audio.evaluate.verdict import FAIL, OK, WARN
from edge_audio.listening import measures


@symptom
def level(probe: Probe) -> Iterator[Row]:
    """Peak, clipping, offset, and values that are no numbers, over all clips."""
    found = [trace.clip.levels() for trace in probe.traces]
    said = (
        f"peak {max(one.peak_dbfs for one in found):.1f} dBFS,"
        f" {100 * max(one.clipped for one in found):.2f} % clipped, offset"
        f" {max(abs(one.dc) for one in found):.3f}"
    )
    notes = [note for one in found for note in one.symptoms()]
    notes += (
        ["the sound has a constant offset: a bias is wrong"]
        if max(abs(one.dc) for one in found) > 0.1
        else []
    )
    silent = all(one.rms_dbfs < one.SILENT for one in found)
    yield row(
        FAIL if silent else WARN if notes else OK,
        said,
        "audible, not clipping, no offset",
        "; ".join(dict.fromkeys(notes)) + ".",
    )


@symptom
def character(probe: Probe) -> Iterator[Row]:
    """Whether all that comes out is noise that never changes: a radio between stations."""
    flat = [metrics.flatness(trace.clip.samples) for trace in probe.traces]
    moved = [metrics.movement(mel) for mel in probe.mels]
    lines = [measures.line_share(trace.clip.samples.mean(axis=1)) for trace in probe.traces]
    kinds = [
        "noise" if f > 0.2 else "tonal" if share > 0.5 else "mixed" for f, share in zip(flat, lines)
    ]
    radio = all(kind == "noise" and m < 8 for kind, m in zip(kinds, moved))
    yield row(
        WARN if radio else OK,
        f"{', '.join(kinds)}; flatness {min(flat):.2f} to {max(flat):.2f}, movement"
        f" {min(moved):.0f} to {max(moved):.0f} dB",
        "not steady noise for every prompt",
        "Every prompt gives steady noise. Run --listen to rule out the settings, and --checkpoint"
        " to find the stage.",
        min(flat),
    )


@symptom
def prompts_and_seeds(probe: Probe) -> Iterator[Row]:
    """Two prompts, and two seeds, differ in sound and not only in samples."""
    count = len(probe.seeds)
    by_prompt = float(np.mean([_apart(probe.mels[i], probe.mels[count + i]) for i in range(count)]))
    by_seed = float(
        np.mean(
            [
                _apart(probe.mels[p * count], probe.mels[p * count + i])
                for p in range(len(probe.prompts))
                for i in range(1, count)
            ]
        )
    )
    samples = [trace.clip.samples for trace in probe.traces]
    twins = any(
        np.array_equal(samples[p * count], samples[p * count + 1])
        for p in range(len(probe.prompts))
    )
    yield row(
        WARN if by_prompt < max(2.0, by_seed) else OK,
        f"prompts differ by {by_prompt:.1f} dB, seeds by {by_seed:.1f} dB",
        "prompts by more than seeds",
        "What is asked for makes less of a difference than chance. With prompts that should sound "
        "different, the model does not follow them.",
        by_prompt,
    )
    yield row(
        FAIL if twins else OK,
        "the same samples" if twins else "other samples",
        "other samples",
        "Another seed must make another clip: the noise does not reach the sampler.",
        part="seeds",
    )


@symptom
def sounds_as_asked(probe: Probe) -> Iterator[Row]:
    """Where the bundle says how its prompts should sound: whether they do."""
    known = (
        [prompt for prompt in of_bundle(probe.bundle) if prompt.family in listening.CHECKS]
        if probe.manifest.checks
        else []
    )
    if not known:
        yield row(OK, "the bundle brings no prompts to judge by")
        return
    some = [known[i] for i in sorted({round(i) for i in np.linspace(0, len(known) - 1, 12)})]
    passed = 0
    for number, prompt in enumerate(some):
        clip = probe.trace(
            prompt.request(probe.bundle, probe.seeds[0] + number, **probe.settings)
        ).clip
        passed += listening.check(
            clip.samples, clip.sample_rate, prompt.family, prompt.attributes
        ).passed
    share = passed / len(some)
    yield row(
        FAIL if share < 0.8 else OK,
        f"{passed} of {len(some)} clips",
        "80 % or more",
        "The model does not do what it was made for. Export it again, and compare with"
        " --checkpoint.",
        share,
    )


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    """Difference of two log-mel spectrograms in what is there on average, and how it moves: dB."""
    return float(
        np.sqrt(np.mean((a.mean(axis=0) - b.mean(axis=0)) ** 2))
        + np.abs(a.std(axis=0) - b.std(axis=0)).mean()
    )
