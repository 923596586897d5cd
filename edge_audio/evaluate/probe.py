"""A model under examination."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_audio.audio.clip import Clip
from edge_audio.evaluate import metrics, trace
from edge_audio.evaluate.prompts import Prompt
from edge_audio.evaluate.trace import Trace
from edge_audio.model.tokens import Tokens
from edge_audio.pipeline import Conditioning, Pipeline
from edge_audio.session import Called
from edge_audio.settings import Settings


class Probe:
    """Everything is computed when a symptom first asks for it, and kept for the next."""

    def __init__(
        self,
        pipeline: Pipeline,
        prompts: Sequence[Prompt],
        seeds: Sequence[int],
        settings: dict[str, Any],
    ):
        self.pipeline = pipeline
        self.bundle, self.manifest = pipeline.bundle, pipeline.bundle.manifest
        self.prompts, self.seeds = prompts, seeds
        # what is examined is the model's, peaks and all
        self.settings = {"limiter": False, **settings}
        self._traces: dict[Settings, Trace] = {}
        self._stages: dict[Settings, dict[str, list[Called]]] = {}

    def request(self, prompt: int = 0, seed: int = 0, **settings: Any) -> Settings:
        """Of one of the prompts and one of the seeds."""
        return self.prompts[prompt].request(
            self.bundle, self.seeds[seed], **(self.settings | settings)
        )

    def tokens(self, prompt: int = 0) -> Tokens:
        return self.pipeline.tokens(self.request(prompt))

    @functools.cached_property
    def traces(self) -> list[Trace]:
        """A clip of every prompt and seed, prompt after prompt."""
        return [
            self.trace(self.request(prompt, seed))
            for prompt in range(len(self.prompts))
            for seed in range(len(self.seeds))
        ]

    def trace(self, settings: Settings) -> Trace:
        """The clip of these settings and what it was made of."""
        if settings not in self._traces:
            self._traces[settings] = trace.recorded(self.pipeline, settings)
        return self._traces[settings]

    def stages(self, settings: Settings) -> dict[str, list[Called]]:
        """The calls of every stage while the clip of these settings is made."""
        if settings not in self._stages:
            self._stages[settings] = trace.stages(self.pipeline, settings)
        return self._stages[settings]

    def decoded(self, settings: Settings, latents: np.ndarray) -> Clip:
        """The clip of some latents, its ends faded as a user gets it."""
        return trace.decoded(self.pipeline, settings, latents)

    def whole(self, latents: np.ndarray) -> Clip:
        """The clip of latents to their end, whatever seconds were asked for."""
        latent = self.manifest.latent
        seconds = latents.shape[1] * latent.downsampling / self.manifest.sample_rate
        return self.decoded(dataclasses.replace(self.request(), seconds=seconds), latents)

    def plain(self, recorded: Trace, conditioning: Conditioning) -> list[np.ndarray]:
        """v for other conditioning, without guidance, on every x and t of a trace."""
        return trace.answers(self.pipeline, recorded, conditioning)

    @functools.cached_property
    def mels(self) -> list[np.ndarray]:
        """Log-mel spectrogram of every trace's clip."""
        return [metrics.log_mel(one.clip.samples, one.clip.sample_rate) for one in self.traces]
