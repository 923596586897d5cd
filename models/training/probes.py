"""What is measured of a model itself, beside its clips: does it end where it was asked to, is it
silent where its sounds are, do its seeds differ as sounds do, do its clips as a whole sound like
what it learnt, and what does its autoencoder lose?
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import numpy as np

from edge_audio import Clip, Pipeline
from edge_audio.evaluate.metrics import (
    frechet_distance,
    log_mel,
    log_mel_distance,
    snr,
    spectral_distance,
)
from edge_audio.evaluate.prompts import Prompt
from edge_audio.evaluate.trace import sampled
from edge_audio.listening import check
from edge_audio.session import Session

from .checked import CheckedClip
from .sounds import Sound, World, world_at
from .sounds.second import frames

#: what is asked for where the silence after the end is measured
SHORT_SECONDS = 2.0
#: of each prompt
SEEDS = (1, 2, 3, 4, 5, 6)
#: sounds that are none of the training set
RECONSTRUCTION_SEED, LIKENESS_SEED = 5151, 6161
#: a sound that is softer than this, in dBFS, in a tenth of its frames has silence in it
SILENT = -60.0


def sound_like(prompt: Prompt, seed: int, world: World) -> Sound:
    """What the world makes of a prompt's family and attributes, none of the training set."""
    rng = np.random.default_rng([LIKENESS_SEED, seed])
    return world.make_sound(rng, prompt.family, prompt.attributes, prompt.seconds)


def heard_of(sound: Sound, world: World) -> np.ndarray:
    """The part of a sound that was asked for: [samples, channels]."""
    audio = sound.audio[: round(sound.seconds * world.sample_rate)]
    return audio.reshape(len(audio), -1)


def softest(samples: np.ndarray, rate: int) -> float:
    """The level in dBFS below which a tenth of the frames of [samples, channels] are."""
    return float(20 * np.log10(np.percentile(frames(samples, rate), 10) + 1e-6))


def floors(clips: Sequence[CheckedClip], world: World) -> list[float]:
    """How soft the clips become, in dBFS, whose sounds fall silent: `softest` of each."""
    silent = {}
    for checked in clips:
        if checked.prompt.text not in silent:
            sound = heard_of(sound_like(checked.prompt, 0, world), world)
            silent[checked.prompt.text] = softest(sound, world.sample_rate) < SILENT
    return [
        softest(checked.clip.samples, checked.clip.sample_rate)
        for checked in clips
        if silent[checked.prompt.text]
    ]


def likeness(clips: Sequence[CheckedClip], pipeline: Pipeline, world: World) -> tuple[float, float]:
    """Fréchet distances of log-mel frames in dB² to sounds of the same prompts: of the clips, and
    of other such sounds after a round trip through the bundle's encoder and decoder.
    """
    first, second = (
        [
            heard_of(sound_like(checked.prompt, len(clips) * turn + index, world), world)
            for index, checked in enumerate(clips)
        ]
        for turn in range(2)
    )
    sounds = [log_mel(sound, world.sample_rate) for sound in first]
    coded = [log_mel(round_trip(pipeline, sound), world.sample_rate) for sound in second]
    made = [log_mel(checked.clip.samples, world.sample_rate) for checked in clips]
    return frechet_distance(made, sounds), frechet_distance(coded, sounds)


def overrun(
    pipeline: Pipeline, prompt: Prompt, seconds: float = SHORT_SECONDS, seed: int = 1
) -> float:
    """Level of what the model makes after the asked seconds, in dB relative to the part before;
    clips as they ship are cut there.
    """
    settings = pipeline.settings(prompt.text, seconds=seconds, seed=seed)
    latents = sampled(pipeline, settings).latents
    longer = dataclasses.replace(settings, seconds=prompt.seconds)
    whole = np.concatenate(list(pipeline.decode(longer, latents)))
    end = round(seconds * pipeline.bundle.manifest.sample_rate)
    inside, after = (np.sqrt(np.mean(part**2)) for part in (whole[:end], whole[end + end // 20 :]))
    return float(20 * np.log10((after + 1e-9) / (inside + 1e-9)))


def apart(clips: Sequence[np.ndarray], rate: int) -> float:
    """Median log-mel distance in dB between any two of the clips; 0 would be always the same."""
    pairs = itertools.combinations(clips, 2)
    return float(np.median([log_mel_distance(a, b, rate) for a, b in pairs]))


def diversity(
    pipeline: Pipeline, prompt: Prompt, seeds: Sequence[int] = SEEDS
) -> tuple[float, float]:
    """How far `apart` the clips of one prompt with several seeds are, and as many sounds of the
    world for it.
    """
    world = world_at(pipeline.bundle.manifest.sample_rate)
    clips = [pipeline.generate(prompt.text, seconds=prompt.seconds, seed=seed) for seed in seeds]
    sounds = [heard_of(sound_like(prompt, seed, world), world) for seed in seeds]
    rate = world.sample_rate
    return apart([clip.samples for clip in clips], rate), apart(sounds, rate)


def round_trip(pipeline: Pipeline, samples: np.ndarray) -> np.ndarray:
    """What the bundle's encoder and decoder make of [samples, channels]."""
    clip = Clip(samples, pipeline.bundle.manifest.sample_rate)
    settings = pipeline.settings("", init=clip)
    latents = Session(pipeline.model, settings).init_latents()
    return np.concatenate(list(pipeline.decode(settings, latents)))[: len(samples)]


def reconstruction(pipeline: Pipeline) -> dict[str, tuple[float, float, float, bool]]:
    """`losses` of the bundle's encoder and decoder, with no diffusion in between."""
    world = world_at(pipeline.bundle.manifest.sample_rate)
    return losses(world, lambda samples: round_trip(pipeline, samples))


def losses(
    world: World, coded: Callable[[np.ndarray], np.ndarray]
) -> dict[str, tuple[float, float, float, bool]]:
    """What coding and decoding does to a synthesised sound of every family [samples, channels].

    family -> SNR in dB, multi-resolution STFT distance (`metrics.spectral_distance`), log-mel
    distance in dB, and whether the sound still passes its check.
    """
    found = {}
    for number, family in enumerate(world.families):
        rng = np.random.default_rng([RECONSTRUCTION_SEED, number])
        sound = world.make_sound(rng, family, seconds=world.full_seconds)
        original = heard_of(sound, world)
        decoded, rate = coded(original), world.sample_rate
        found[family] = (
            snr(decoded, original),
            spectral_distance(decoded, original),
            log_mel_distance(decoded, original, rate),
            check(decoded, rate, family, sound.attributes, world.name).passed,
        )
    return found
