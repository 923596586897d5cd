"""What is measured of a model itself, beside its clips: does it end where it was asked to, do its
seeds differ, and what does its autoencoder lose?
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from edge_audio import Clip, Pipeline
from edge_audio.evaluate.metrics import log_mel_distance, snr, spectral_distance
from edge_audio.evaluate.prompts import Prompt
from edge_audio.evaluate.trace import sampled
from edge_audio.listening import check
from edge_audio.session import Session

from .sounds import FAMILIES, FULL_SECONDS, SAMPLE_RATE, make_sound

#: what is asked for where the silence after the end is measured
SHORT_SECONDS = 2.0
DIVERSITY_SEEDS = (1, 2, 3, 4)
#: sounds that are none of the training set
RECONSTRUCTION_SEED = 5151


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


def diversity(pipeline: Pipeline, prompt: Prompt, seeds: Sequence[int] = DIVERSITY_SEEDS) -> float:
    """Mean log-mel distance in dB between clips of one prompt with several seeds; 0 would be always
    the same clip.
    """
    clips = [pipeline.generate(prompt.text, seconds=prompt.seconds, seed=seed) for seed in seeds]
    distances = [
        log_mel_distance(a.samples, b.samples, a.sample_rate)
        for a, b in itertools.combinations(clips, 2)
    ]
    return float(np.mean(distances))


def reconstruction(pipeline: Pipeline) -> dict[str, tuple[float, float, bool]]:
    """What the bundle's encoder and decoder do to a synthesised sound of every family, with no
    diffusion in between.

    family -> SNR in dB, multi-resolution STFT distance (`metrics.spectral_distance`), and whether
    the sound still passes its check.
    """
    losses = {}
    for number, family in enumerate(FAMILIES):
        rng = np.random.default_rng([RECONSTRUCTION_SEED, number])
        sound = make_sound(rng, family, seconds=FULL_SECONDS)
        original = sound.audio[:, None]
        settings = pipeline.settings("", init=Clip(original, SAMPLE_RATE))
        latents = Session(pipeline.model, settings).init_latents()
        decoded = np.concatenate(list(pipeline.decode(settings, latents)))
        losses[family] = (
            snr(decoded, original),
            spectral_distance(decoded, original),
            check(decoded, SAMPLE_RATE, family, sound.attributes).passed,
        )
    return losses
