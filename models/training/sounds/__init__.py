"""The sound world of the pocket model: named, clear sounds with captions, made on the fly.

A tiny model can only learn a small world well. So each family here is simple, free of clutter, and
exactly what its caption says: a note has exactly its equal-tempered frequency, a beat exactly its
tempo. What the caption does not mention (level, phase, timbre) varies a little, so that the model
learns to ignore it.

`synthesis` holds the building blocks, `world` what a family is, `slots` what several families have
in common that can be asked for, `worlds` how clips are drawn and put into words, and each other
file a group of families. `second` is another world, which no model has learnt yet; `by_name` finds
either.

    >>> sound = make_sound(np.random.default_rng(0), "tone", {"note": "A4"})
    >>> sound.audio.shape, sound.attributes
    ((65536,), {'note': 'A4', 'hz': 440.0})
"""

from __future__ import annotations

import numpy as np

from edge_audio.errors import EdgeAudioError

from . import chords, drums, everyday, games, instruments, nature, signals
from .synthesis import Rng, release
from .world import Attributes, Family
from .worlds import PRAISE, WRAPPINGS, Sound, World, praise

__all__ = [
    "CLIP_SAMPLES",
    "FAMILIES",
    "FIRST",
    "FULL_SECONDS",
    "PRAISE",
    "SAMPLE_RATE",
    "WORLDS",
    "WRAPPINGS",
    "Sound",
    "World",
    "by_name",
    "captions_corpus",
    "captions_of",
    "casual_captions_of",
    "complete_attributes",
    "make_dataset",
    "make_sound",
    "praise",
    "say",
    "sound_at",
    "world_at",
]

SAMPLE_RATE = 16_000  # Hz
CLIP_SAMPLES = 65_536  # 4.096 s: a power of two, so that it divides evenly into latent frames
FULL_SECONDS = 4.0  # the length asked for most often
FADE_OUT = 0.02  # s; ends every sound, so that it does not click
PEAK = 0.56  # of full scale, at most; with +-2 dB of level around it no clip goes above 0.71
# of the loudest tenth of a second: a steady sine is held down to the loudness of the rest
LOUDEST_RMS = 0.18

# In this order for good, new ones last: the place of a family picks the seeds of its prompts.
FAMILIES: dict[str, Family] = (
    instruments.FAMILIES
    | chords.FAMILIES
    | signals.FAMILIES
    | games.FAMILIES
    | drums.FAMILIES
    | everyday.FAMILIES
    | nature.FAMILIES
)


def _finish(audio: np.ndarray, kind: Family, attributes: Attributes, rng: Rng) -> np.ndarray:
    """Set the level, and fade the end out."""
    tenth = SAMPLE_RATE // 10
    loudest = np.sqrt(
        max(np.mean(piece**2) for piece in np.split(audio, range(tenth, len(audio), tenth)))
    )
    scale = min(PEAK / np.abs(audio).max(), LOUDEST_RMS / loudest)
    return release(audio * (scale * 10 ** (rng.uniform(-2, 2) / 20)), FADE_OUT)


FIRST = World(
    name="first",
    families=FAMILIES,
    finish=_finish,
    sample_rate=SAMPLE_RATE,
    channels=1,
    clip_samples=CLIP_SAMPLES,
    full_seconds=FULL_SECONDS,
    full_share=0.6,
    longest_seconds=FULL_SECONDS,
)
# What the pocket model learns from; of the second world, ask `by_name("second")`.
complete_attributes = FIRST.complete_attributes
captions_of = FIRST.captions_of
casual_captions_of = FIRST.casual_captions_of
say = FIRST.say
make_sound = FIRST.make_sound
sound_at = FIRST.sound_at
make_dataset = FIRST.make_dataset
captions_corpus = FIRST.captions_corpus

WORLDS = ("first", "second")


def by_name(name: str) -> World:
    """One of WORLDS."""
    if name == FIRST.name:
        return FIRST
    if name not in WORLDS:
        raise ValueError(f"there is no sound world {name!r}; choose one of {', '.join(WORLDS)}")
    from .second import SECOND  # here, since it is made of the families above

    return SECOND


def world_at(sample_rate: int) -> World:
    """The world that a bundle of this sample rate in Hz has learnt."""
    for world in map(by_name, WORLDS):
        if world.sample_rate == sample_rate:
            return world
    raise EdgeAudioError(f"no sound world has {sample_rate} Hz: give a bundle of the pocket model")
