"""The second sound world, which no model has learnt yet: 32 kHz, stereo, 1 to 6 seconds.

Its sounds are those of the first world, some renamed or made anew; instruments that the soundfont
plays; recorded sounds; and effects with pitch and length. `packages` says what has to be installed.

Every clip stands at the level of its family while it sounds, and what falls below SILENT after the
event is silence.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import FAMILIES as FIRST_FAMILIES
from . import effects, kits, orchestra, recorded, scenes, voices
from .played import TOUCH, WAY
from .synthesis import Rng, samples
from .world import Attributes, Family
from .worlds import World

RATE = 32_000  # Hz
CLIP_SAMPLES = 196_608  # 6.144 s: three times a power of two
PEAK = 0.89  # of full scale, -1 dBFS, at most
LOWEST = -29.0  # dBFS of RMS while it sounds
HARDEST = TOUCH["loud"].numbers["level_db"]  # dB that a loud hit adds to the level of its family
FRAME = 0.02  # s
SOUNDING = 20.0  # dB below the loudest frame; what is louder sounds
SILENT = 10 ** (-62 / 20)  # RMS of a frame
FADE = 0.03  # s
# Sounds of each caption, which differ in what it leaves open. A model learns what comes again; the
# phase of what never does is as hard to learn as noise.
TAKES = 6
# Of these, no two are alike: they are noise.
_NOISES = {"rain", "waves", "wind", "fire", "thunder", "stream", "noise", "applause"}

# Played instruments take these names; the synthesised ones that stay are called what they are.
_REPLACED = {"mallet", "organ", "flute", "bass"}
# How far apart the channels' noises are.
_WIDE = {
    "pad": 0.5,
    "rain": 0.7,
    "waves": 0.6,
    "wind": 0.5,
    "fire": 0.5,
    "thunder": 0.4,
    "stream": 0.6,
    "noise": 0.6,
    "engine": 0.3,
}
# dBFS of RMS while it sounds, where -18 is too loud for what it is, or too soft
_LEVELS = {
    "tone": -20.0,
    "sweep": -20.0,
    "noise": -22.0,
    "vinyl": -26.0,
    "rain": -22.0,
    "wind": -22.0,
    "fire": -22.0,
    "stream": -22.0,
    "clock": -22.0,
    "footsteps": -20.0,
    "explosion": -15.0,
    "thunder": -17.0,
    "gun": -16.0,
    "cinematic": -16.0,
}


def _renamed(family: Family, names: tuple[str, ...], *pairs: tuple[str, str]) -> Family:
    """The family with other names, and other words in all its templates."""

    def other(templates: tuple[str, ...]) -> tuple[str, ...]:
        for old, new in pairs:
            templates = tuple(template.replace(old, new) for template in templates)
        return tuple(dict.fromkeys(templates))

    return replace(
        family,
        names=names,
        phrasings=other(family.phrasings),
        held_out=other(family.held_out),
        casual=other(family.casual),
    )


def _from_first() -> dict[str, Family]:
    kept = {name: kind for name, kind in FIRST_FAMILIES.items() if name not in _REPLACED}
    kept["pluck"] = _renamed(
        kept["pluck"],
        ("a plucked string", "a synth pluck", "a pluck"),
        ("acoustic guitar", "synth pluck"),
        ("guitar string", "synth string"),
        ("guitar", "synth pluck"),
        ("pluck pluck", "pluck"),
    )
    kept["chord"] = _renamed(
        kept["chord"], ("a chord", "a held chord", "a sustained chord"), ("organ", "synth")
    )
    kept["cuckoo"] = replace(kept["cuckoo"], names=("a cuckoo", "a cuckoo clock", "a cuckoo bird"))
    for name, synthesise in voices.RENAMED.items():
        kept[name] = replace(kept[name], synthesise=synthesise)
    for name in ("sweep", "arpeggio"):
        kept[name] = replace(kept[name], slots=kept[name].slots | {"direction": WAY})
    return kept


def _put_together() -> dict[str, Family]:
    families = (
        _from_first()
        | voices.FAMILIES
        | effects.FAMILIES
        | scenes.FAMILIES
        | kits.FAMILIES
        | orchestra.FAMILIES
        | recorded.FAMILIES
    )
    return {
        name: replace(
            kind,
            width=_WIDE.get(name, kind.width),
            level=_LEVELS.get(name, kind.level),
            takes=0 if name in _NOISES else TAKES,
        )
        for name, kind in families.items()
    }


def frames(audio: np.ndarray, rate: int = RATE) -> np.ndarray:
    """RMS of every FRAME of [count, channels], over all channels."""
    size = round(FRAME * rate)
    power = np.pad((audio**2).mean(axis=1), (0, -len(audio) % size))
    level: np.ndarray = np.sqrt(power.reshape(-1, size).mean(axis=1))
    return level


def sounding_dbfs(audio: np.ndarray, rate: int = RATE) -> float:
    """RMS in dBFS of the frames that are not SOUNDING below the loudest."""
    level = frames(audio, rate)
    loud = level[level >= level.max() * 10 ** (-SOUNDING / 20)]
    return float(20 * np.log10(np.sqrt(np.mean(loud**2)) + 1e-12))


def _finish(audio: np.ndarray, kind: Family, attributes: Attributes, rng: Rng) -> np.ndarray:
    """Set the level, fade the end out, and cut off what nobody hears after it."""
    level = kind.level + rng.uniform(-1.5, 1.5) - sounding_dbfs(audio)
    touch = attributes.get("level_db", 0.0)
    loudest = 20 * np.log10(PEAK / np.abs(audio).max())
    # What is hit softly is softer than the same hit loudly, even where the peak holds that down.
    gain = min(level, loudest - HARDEST) + touch
    audio = audio * 10 ** (max(gain, min(LOWEST - sounding_dbfs(audio), loudest)) / 20)
    heard = np.flatnonzero(frames(audio) > SILENT)
    end = min(len(audio), int((heard[-1] + 1) * samples(FRAME)))
    fade = min(end, samples(FADE))
    audio[end - fade : end] *= np.cos(np.linspace(0, np.pi / 2, fade))[:, None] ** 2
    audio[end:] = 0
    return audio


SECOND = World(
    name="second",
    families=_put_together(),
    finish=_finish,
    sample_rate=RATE,
    channels=2,
    clip_samples=CLIP_SAMPLES,
    full_seconds=4.0,
    full_share=0.4,
    longest_seconds=6.0,
)
