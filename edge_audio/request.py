"""What to generate: the settings of one clip, filled in and checked against a model before anything
runs.
"""

from __future__ import annotations

import dataclasses
import math
import secrets
from dataclasses import dataclass

import numpy as np

from edge_audio.bundle.store import Manifest
from edge_audio.errors import EdgeAudioError, UsageError
from edge_audio.sampling.noise import check_seed
from edge_audio.sampling.samplers import SAMPLERS
from edge_audio.sampling.schedule import check_steps

#: The objective of models that were distilled to few steps without guidance (ARC).
POST_TRAINED = "rf_denoiser"


@dataclass(frozen=True)
class Request:
    """What to generate. None leaves a setting to the model (seconds: its full length; seed: a
    random one).

    ids: token ids in place of a prompt, used as they are (end with the end-of-sequence id, 1);
    bundles without a tokenizer take nothing else. An empty prompt or empty ids generate
    unconditionally.
    """

    prompt: str | None = None
    seconds: float | None = None
    seed: int | None = None
    steps: int | None = None
    sampler: str | None = None
    cfg_scale: float | None = None
    negative: str | None = None
    ids: tuple[int, ...] | None = None
    #: run on the shortest latents that hold the asked seconds, where the bundle has several
    #: lengths: faster, another sound
    fit_length: bool = False

    @classmethod
    def from_recipe(cls, recipe: dict) -> Request:
        """The request that a clip's recipe stands for (`Clip.recipe_of`); EdgeAudioError if it is
        not a recipe.
        """
        fields = {
            field.name: recipe.get(field.name, field.default) for field in dataclasses.fields(cls)
        }
        if fields["seed"] is None or (fields["prompt"] is None and fields["ids"] is None):
            raise EdgeAudioError(
                "the recipe has no prompt or no seed; use one that edge-audio wrote"
            )
        return cls(**{**fields, "ids": None if fields["ids"] is None else tuple(fields["ids"])})

    def resolved(self, manifest: Manifest) -> Request:
        """The same request with every setting filled in and checked.

        UsageError for what no model could serve, EdgeAudioError for what this one cannot.
        """
        defaults = manifest.defaults
        full = dataclasses.replace(
            self,
            seconds=manifest.max_seconds if self.seconds is None else self.seconds,
            seed=secrets.randbits(31) if self.seed is None else self.seed,
            steps=defaults.steps if self.steps is None else self.steps,
            sampler=defaults.sampler if self.sampler is None else self.sampler,
            cfg_scale=defaults.cfg_scale if self.cfg_scale is None else self.cfg_scale,
            ids=None if self.ids is None else tuple(self.ids),
        )
        full._check_settings()
        full._check_text(manifest)
        full._check_seconds(manifest)
        # Plain Python numbers: numpy's are no JSON.
        return dataclasses.replace(
            full,
            seconds=float(full.seconds),
            seed=int(full.seed),
            steps=int(full.steps),
            cfg_scale=float(full.cfg_scale),
            ids=full.ids and tuple(map(int, full.ids)),
        )

    def frames(self, manifest: Manifest) -> int:
        """Samples of audio that a resolved request asks for."""
        return round(self.seconds * manifest.sample_rate)

    def latents(self, manifest: Manifest) -> int:
        """Length of the latents that a resolved request runs on."""
        latent, frames = manifest.latent, self.frames(manifest)
        fitting = latent.lengths if self.fit_length else (latent.length,)
        return next(length for length in fitting if length * latent.downsampling >= frames)

    def advice(self, manifest: Manifest) -> list[str]:
        """What a resolved request asks of this model that it cannot do well, each with what it was
        made for.
        """
        notes, best, low, high = [], manifest.defaults, manifest.seconds.min, manifest.seconds.max
        recommended = (
            f"this model was made for {best.sampler}, {best.steps} steps, cfg {best.cfg_scale:g}"
        )
        if not self.has_text:
            without = (
                ""
                if self.is_guided or self.cfg_scale == 1
                else f" and without cfg {self.cfg_scale:g}"
            )
            notes.append(f"the prompt is empty; generating without one{without}")
        if self.negative and self.cfg_scale == 1:
            notes.append(
                "the negative prompt has no effect at cfg 1; use cfg 3 to 7 with a model made"
                " for it"
            )
        if manifest.objective == POST_TRAINED and self.is_guided and self.cfg_scale > 2:
            notes.append(f"cfg {self.cfg_scale:g} overdrives a post-trained model; {recommended}")
        if manifest.objective == POST_TRAINED and self.sampler == "euler" and self.steps >= 30:
            notes.append(
                f"euler with {self.steps} steps is not what a post-trained model can use;"
                f" {recommended}"
            )
        if self.fit_length and not manifest.latent.shorter:
            notes.append(
                "this model was exported with one latent length, so fit_length changes nothing; "
                "export it with --latent-lengths"
            )
        if not low <= self.seconds <= high and self.seconds != manifest.max_seconds:
            notes.append(
                f"{self.seconds:g} seconds is outside what the model was trained on; "
                f"it will hear {min(max(self.seconds, low), high):g}, use {low:g} to {high:g}"
            )
        return notes

    @property
    def has_text(self) -> bool:
        """Whether there is a prompt (or ids) to follow."""
        return bool(self.ids) if self.prompt is None else bool(self.prompt.strip())

    @property
    def is_guided(self) -> bool:
        """Whether guidance has an effect: not at scale 1, nor where both of its branches would be
        the same.
        """
        return self.cfg_scale != 1 and (self.has_text or bool(self.negative))

    def _check_settings(self) -> None:
        if self.sampler not in SAMPLERS:
            raise UsageError(
                f"sampler {self.sampler!r} is unknown; use one of {', '.join(SAMPLERS)}"
            )
        check_steps(self.steps)
        check_seed(self.seed)
        if not _is_finite(self.cfg_scale):
            raise UsageError(
                f"cfg {self.cfg_scale} is not a finite number; use 1 for no guidance, 3 to 7 for"
                " more"
            )

    def _check_text(self, manifest: Manifest) -> None:
        if (self.prompt is None) == (self.ids is None):
            raise UsageError(
                "give either a prompt or ids, one of them; an empty prompt generates without one"
            )
        text = self.prompt if self.has_text and self.ids is None else self.negative
        if text and manifest.prompt.tokenizer is None:
            raise EdgeAudioError(
                f"model {manifest.name} has no tokenizer and cannot read {text[:40]!r}; "
                "give token ids, or export it again with --tokenizer FILE"
            )
        if any(not _is_whole(i) or not 0 <= i < 2**31 for i in self.ids or ()):
            raise UsageError(
                "ids must be whole numbers from 0; give them as the tokenizer of the model does"
            )
        if len(self.ids or ()) > manifest.prompt.max_length:
            raise EdgeAudioError(
                f"{len(self.ids)} ids are more than model {manifest.name} reads; "
                f"give at most {manifest.prompt.max_length}"
            )

    def _check_seconds(self, manifest: Manifest) -> None:
        if not _is_finite(self.seconds) or self.seconds <= 0:
            raise UsageError(
                f"seconds {self.seconds} is no duration; "
                f"use more than 0, at most {manifest.max_seconds:g}"
            )
        if self.frames(manifest) < 1:
            raise UsageError(
                f"seconds {self.seconds} is shorter than one sample; "
                f"use at least {1 / manifest.sample_rate:g}"
            )
        if self.frames(manifest) > manifest.latent.length * manifest.latent.downsampling:
            raise EdgeAudioError(
                f"seconds {self.seconds:g} is more than model {manifest.name} can make; "
                f"use at most {manifest.max_seconds:g}"
            )


def _is_whole(value) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _is_finite(value) -> bool:
    return (
        isinstance(value, (int, float, np.number))
        and not isinstance(value, bool)
        and math.isfinite(value)
    )
