"""Clips that a bundle made and `edge_audio.listening` checked, and what can be counted of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edge_audio import Clip, Pipeline
from edge_audio.evaluate.prompts import Prompt
from edge_audio.listening import Verdict, check

from .sounds import world_at
from .sounds.second import sounding_dbfs

#: dBFS that the loudest quarter of a second of a clip should reach, whatever the name
AUDIBLE = -30.0
#: dBFS of RMS that a clip should have while it sounds
LEVELS = (-30.0, -12.0)
#: of full scale: what the first or last sample may be, and an offset
CLICK = 0.02


@dataclass(frozen=True)
class CheckedClip:
    """One prompt with one seed, the clip that came of it, and the verdict of its family's check."""

    prompt: Prompt
    seed: int
    clip: Clip
    verdict: Verdict


def checked_clips(
    pipeline: Pipeline, prompts: Sequence[Prompt], seeds: Sequence[int] = (1,), **settings
) -> Iterator[CheckedClip]:
    """Generate and check every prompt with every seed; `settings` go to `Pipeline.generate`."""
    world = world_at(pipeline.bundle.manifest.sample_rate).name
    for seed in seeds:
        for prompt in prompts:
            clip = pipeline.generate(prompt.text, seconds=prompt.seconds, seed=seed, **settings)
            verdict = check(clip.samples, clip.sample_rate, prompt.family, prompt.attributes, world)
            yield CheckedClip(prompt, seed, clip, verdict)


def adherence(clips: Sequence[CheckedClip]) -> float:
    """Share of clips that sound as asked, 0..1."""
    return sum(checked.verdict.passed for checked in clips) / len(clips)


def audible(clips: Sequence[CheckedClip]) -> float:
    """Share of clips whose loudest quarter of a second is above AUDIBLE, 0..1."""
    return sum(checked.clip.levels().loudest_dbfs > AUDIBLE for checked in clips) / len(clips)


def well_levelled(checked: CheckedClip) -> bool:
    """Whether the clip has one of LEVELS while it sounds."""
    level = sounding_dbfs(checked.clip.samples, checked.clip.sample_rate)
    return LEVELS[0] <= level <= LEVELS[1]


def by_family(clips: Sequence[CheckedClip]) -> dict[str, tuple[int, int]]:
    """Family -> clips that passed, clips that were asked for."""
    counts: dict[str, tuple[int, int]] = {}
    for checked in clips:
        passed, asked = counts.get(checked.prompt.family, (0, 0))
        counts[checked.prompt.family] = passed + checked.verdict.passed, asked + 1
    return counts


def faults(clip: Clip) -> list[str]:
    """What no clip should have, whatever was asked for."""
    samples, levels = clip.samples, clip.levels()
    first, last = np.abs(samples[0]).max(), np.abs(samples[-1]).max()
    named = []
    if first > CLICK:
        named.append(f"starts with a click ({first:.3f})")
    if last > CLICK:
        named.append(f"ends with a click ({last:.3f})")
    if abs(levels.dc) > CLICK:
        named.append(f"offset {levels.dc:.3f}")
    if levels.clipped:
        named.append(f"{100 * levels.clipped:.2f} % clipped")
    return named


def table(clips: Sequence[CheckedClip]) -> str:
    """A line per clip, then passed and asked per family."""
    lines = []
    for checked in clips:
        passed, verdict = checked.verdict.passed, checked.verdict
        line = (
            f"{'ok  ' if passed else 'FAIL'} {checked.prompt.text:34} seed {checked.seed} "
            f" {verdict.measured}"
        )
        lines.append(line if passed else f"{line}   [wanted {verdict.expected}]")
    for family, (passed, asked) in by_family(clips).items():
        lines.append(f"{family:12} {passed} of {asked}")
    return "\n".join(lines)
