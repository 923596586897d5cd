"""The settings of one clip: all that was decided of a request."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from edge_audio.audio.source import Source
from edge_audio.bundle.manifest import Manifest
from edge_audio.notes import Note
from edge_audio.sampling.editing import CROSS_FADE
from edge_audio.sampling.samplers import SAMPLERS, Sigmas
from edge_audio.sampling.schedule import shifted_sigmas

#: The objective of models that were distilled to few steps without guidance (ARC).
POST_TRAINED = "rf_denoiser"


@dataclass(frozen=True)
class Settings:
    """The settings of one clip, all decided and checked against a model (`Request.resolved`)."""

    prompt: str | None
    seconds: float
    seed: int
    steps: int
    sampler: str
    cfg_scale: float
    negative: str | None
    ids: tuple[int, ...] | None
    fit_length: bool
    apg: float = 0.0
    #: None where the model's lengths are fixed
    pad_seconds: float | None = None
    limiter: bool = False
    init: Source | None = None
    strength: float = 1.0
    #: ascending, in seconds
    replace: tuple[tuple[float, float], ...] = ()
    #: seconds made after the end of `init`, and before its beginning
    extend: float = 0.0
    extend_before: float = 0.0
    #: whether its end leads into its beginning
    loop: bool = False

    @property
    def entries(self) -> dict[str, Any]:
        """All of it, ready for JSON; of what it starts from, name and hash."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        ids, init = self.ids, self.init
        return found | {
            "ids": None if ids is None else list(ids),
            "init": None if init is None else {"file": init.name, "sha256": init.sha256},
            "replace": [list(region) for region in self.replace],
        }

    def regions(self, manifest: Manifest) -> list[tuple[int, int]]:
        """What is made anew of `init`, in frames; where it is extended, a cross-fade more."""
        rate, frames = manifest.sample_rate, self.frames(manifest)
        # a frame's own time is that frame's, however it was rounded
        regions = [(int(a * rate + 1e-6), int(b * rate + 1e-6)) for a, b in self.replace]
        seam = round(CROSS_FADE * rate)
        if self.extend_before:
            regions.insert(0, (0, round(self.extend_before * rate) + seam))
        if self.extend:
            regions.append((frames - round(self.extend * rate) - seam, frames))
        return regions

    def is_windowed(self, manifest: Manifest) -> bool:
        """Whether it is made window by window: what is longer than the model makes, and what goes
        on where `init` ends.
        """
        longest = manifest.latent.length * manifest.latent.downsampling
        return bool(self.extend or self.extend_before) or self.frames(manifest) > longest

    @property
    def has_text(self) -> bool:
        """Whether there is a prompt (or ids) to follow."""
        return has_text(self.prompt, self.ids)

    @property
    def is_guided(self) -> bool:
        """Whether guidance has an effect: not at scale 1, nor where both of its branches would be
        the same.
        """
        return self.cfg_scale != 1 and (self.has_text or bool(self.negative))

    def frames(self, manifest: Manifest) -> int:
        """Samples of audio that the clip has."""
        return round(self.seconds * manifest.sample_rate)

    def latents(self, manifest: Manifest) -> int:
        """Length of the latents that it is made of."""
        latent, frames = manifest.latent, self.frames(manifest)
        if latent.padding is not None:
            pad = 0.0 if self.loop else self.pad_seconds or 0.0
            needed = self._latents_for(self.seconds + pad, manifest)
            needed += -needed % latent.padding.multiple
            return min(max(needed, manifest.tiling.tile), latent.length)
        fitting = latent.lengths if self.fit_length else (latent.length,)
        return next(length for length in fitting if length * latent.downsampling >= frames)

    def valid(self, manifest: Manifest) -> int:
        """How many of those latents count: the others only make up the length."""
        length = self.latents(manifest)
        if manifest.latent.padding is None or self.loop:
            return length
        pad = int((self.pad_seconds or 0.0) * manifest.sample_rate / manifest.latent.downsampling)
        return min(self._latents_for(self.seconds, manifest) + pad, length)

    def seconds_told(self, manifest: Manifest) -> float:
        """The seconds that the model is told: a loop's are those of all its latents, for it has no
        end.
        """
        if not self.loop:
            return self.seconds
        made = self.latents(manifest) * manifest.latent.downsampling / manifest.sample_rate
        return min(made, manifest.seconds.max)

    def _latents_for(self, seconds: float, manifest: Manifest) -> int:
        return math.ceil(int(seconds * manifest.sample_rate) / manifest.latent.downsampling)

    def sigmas(self, manifest: Manifest) -> Sigmas:
        """The noise levels, from the strength to 0: the model's own, or else the sampler's."""
        if (schedule := manifest.schedule) is not None:
            return shifted_sigmas(self.steps, schedule.start, schedule.end, self.strength)
        return SAMPLERS[self.sampler].schedule(self.steps, self.strength)

    def advice(self, manifest: Manifest) -> list[Note]:
        """What this model cannot do well of it, each with what it was made for."""
        best, low, high = manifest.defaults, manifest.seconds.min, manifest.seconds.max
        post_trained = manifest.objective == POST_TRAINED
        recommended = (
            f"this model was made for {best.sampler}, {best.steps} steps, cfg {best.cfg_scale:g}"
        )
        unguided = not self.is_guided and self.cfg_scale != 1
        without = f" and without cfg {self.cfg_scale:g}" if unguided else ""
        told = self.seconds_told(manifest)
        outside = not low <= told <= high and told != manifest.max_seconds
        outside = outside and not self.is_windowed(manifest)
        advice = {
            "prompt": f"the prompt is empty; generating without one{without}"
            if not self.has_text
            else "",
            "negative": "the negative prompt has no effect at cfg 1; use cfg 3 to 7 with a model"
            " made for it"
            if self.negative and self.cfg_scale == 1
            else "",
            "cfg": f"cfg {self.cfg_scale:g} overdrives a post-trained model; {recommended}"
            if post_trained and self.is_guided and self.cfg_scale > 2
            else "",
            "sampler": f"euler with {self.steps} steps is not what a post-trained model can use;"
            f" {recommended}"
            if post_trained and self.sampler == "euler" and self.steps >= 30
            else "",
            "fit_length": self._use_of_fit_length(manifest),
            "init": self._fit_of_init(),
            "seconds": f"{self.seconds:g} seconds is outside what the model was trained on; it will"
            f" hear {min(max(self.seconds, low), high):g}, use {low:g} to {high:g}"
            if outside
            else "",
        }
        return [Note(kind, text) for kind, text in advice.items() if text]

    def _use_of_fit_length(self, manifest: Manifest) -> str:
        if not self.fit_length or manifest.latent.shorter:
            return ""
        if manifest.latent.padding is not None:
            return "this model makes each length on its own latents, so fit_length changes nothing"
        return (
            "this model was exported with one latent length, so fit_length changes nothing; export"
            " it with --latent-lengths"
        )

    def _fit_of_init(self) -> str:
        """How the sound to start from was brought to the seconds, unless it has them."""
        given = self.seconds - self.extend - self.extend_before
        if self.init is None or abs(self.init.seconds - given) < 1e-3:
            return ""
        what = "cut" if self.init.seconds > self.seconds else "followed by silence"
        return (
            f"{self.init.name} has {self.init.seconds:.2f} seconds and was {what} to make"
            f" {self.seconds:.2f}"
        )


def has_text(prompt: str | None, ids: tuple[int, ...] | None) -> bool:
    """Whether there is a prompt (or ids) to follow."""
    return bool(ids) if prompt is None else bool(prompt.strip())
