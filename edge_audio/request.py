"""What to generate: what a person asked for, and the settings of one clip that were made of it."""

from __future__ import annotations

import dataclasses
import math
import reprlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_audio.bundle.manifest import Manifest
from edge_audio.errors import EdgeAudioError, UsageError
from edge_audio.notes import Note
from edge_audio.sampling.noise import check_seed
from edge_audio.sampling.samplers import SAMPLERS, Sigmas
from edge_audio.sampling.schedule import check_steps, shifted_sigmas

#: The objective of models that were distilled to few steps without guidance (ARC).
POST_TRAINED = "rf_denoiser"
#: more than any model was made for; a recipe that asks for more wants to keep a computer busy
MOST_STEPS = 10_000


@dataclass(frozen=True)
class Request:
    """What a person asks for. None leaves a setting to the model (seed: a random one).

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
    #: how much of what guidance adds along its own direction is taken away, 0 to 1
    apg: float | None = None
    #: seconds that the transformer makes beyond those asked for, of models that make any length
    pad_seconds: float | None = None
    #: whether peaks above full scale are turned down while the clip is made
    limiter: bool | None = None

    @classmethod
    def from_recipe(cls, recipe: Mapping[str, Any]) -> Request:
        """The request that a clip's recipe stands for (`Clip.recipe_of`); EdgeAudioError if it is
        not a recipe: it may come from a stranger's file.
        """
        mend = "use one that edge-audio wrote"
        if not isinstance(recipe, Mapping):
            raise EdgeAudioError(f"the recipe is no mapping; {mend}")
        given = {
            field.name: recipe.get(field.name, field.default) for field in dataclasses.fields(cls)
        }
        if given["seed"] is None or (given["prompt"] is None and given["ids"] is None):
            raise EdgeAudioError(f"the recipe has no prompt or no seed; {mend}")
        for name, value in given.items():
            fits, wanted = _RECIPE_TYPES[name]
            if value is not None and not fits(value):
                raise EdgeAudioError(f"the recipe's {name} {_shown(value)} is {wanted}; {mend}")
        return cls(**{**given, "ids": None if given["ids"] is None else tuple(given["ids"])})

    def resolved(self, manifest: Manifest) -> Settings:
        """The settings for this model: every gap filled and everything checked.

        UsageError for what no model could serve, EdgeAudioError for what this one cannot.
        """
        best = manifest.defaults
        asked = dataclasses.replace(self, ids=_ids(self.ids))
        _check_text(asked, manifest)
        longest = manifest.max_seconds
        usual = longest if best.seconds is None else min(best.seconds, longest)
        _check_seconds(usual if self.seconds is None else self.seconds, manifest)
        padding = manifest.latent.padding
        settings = Settings(
            prompt=self.prompt,
            # plain Python numbers: numpy's are no JSON
            seconds=float(usual if self.seconds is None else self.seconds),
            seed=secrets.randbits(31) if self.seed is None else self.seed,
            steps=best.steps if self.steps is None else self.steps,
            sampler=best.sampler if self.sampler is None else self.sampler,
            cfg_scale=best.cfg_scale if self.cfg_scale is None else self.cfg_scale,
            negative=self.negative,
            ids=asked.ids,
            fit_length=bool(self.fit_length),
            apg=_within("apg", best.apg if self.apg is None else self.apg, 1.0),
            pad_seconds=None
            if padding is None
            else _within(
                "pad_seconds", padding.seconds if self.pad_seconds is None else self.pad_seconds
            ),
            limiter=bool(best.limiter if self.limiter is None else self.limiter),
        )
        for name in ("fit_length", "limiter"):
            value = getattr(self, name)
            if value is not None and not _is_truth(value):
                raise UsageError(f"{name} {_shown(value)} is neither True nor False")
        if not isinstance(settings.sampler, str) or settings.sampler not in SAMPLERS:
            raise UsageError(
                f"sampler {_shown(settings.sampler)} is unknown; use one of {', '.join(SAMPLERS)}"
            )
        check_steps(settings.steps)
        if settings.steps > MOST_STEPS:
            raise UsageError(
                f"steps {settings.steps} would take too long; use at most {MOST_STEPS}"
            )
        check_seed(settings.seed)
        check_cfg_scale(settings.cfg_scale)
        return dataclasses.replace(
            settings,
            seed=int(settings.seed),
            steps=int(settings.steps),
            cfg_scale=float(settings.cfg_scale),
        )


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

    @property
    def has_text(self) -> bool:
        """Whether there is a prompt (or ids) to follow."""
        return _has_text(self)

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
            needed = self._latents_for(self.seconds + (self.pad_seconds or 0.0), manifest)
            needed += -needed % latent.padding.multiple
            return min(max(needed, manifest.tiling.tile), latent.length)
        fitting = latent.lengths if self.fit_length else (latent.length,)
        return next(length for length in fitting if length * latent.downsampling >= frames)

    def valid(self, manifest: Manifest) -> int:
        """How many of those latents count: the others only make up the length."""
        length = self.latents(manifest)
        if manifest.latent.padding is None:
            return length
        pad = int((self.pad_seconds or 0.0) * manifest.sample_rate / manifest.latent.downsampling)
        return min(self._latents_for(self.seconds, manifest) + pad, length)

    def _latents_for(self, seconds: float, manifest: Manifest) -> int:
        return math.ceil(int(seconds * manifest.sample_rate) / manifest.latent.downsampling)

    def sigmas(self, manifest: Manifest, strength: float = 1.0) -> Sigmas:
        """The noise levels, from `strength` to 0: the model's own, or else the sampler's."""
        if (schedule := manifest.schedule) is not None:
            return shifted_sigmas(self.steps, schedule.start, schedule.end, strength)
        return SAMPLERS[self.sampler].schedule(self.steps, strength)

    def advice(self, manifest: Manifest) -> list[Note]:
        """What this model cannot do well of it, each with what it was made for."""
        best, low, high = manifest.defaults, manifest.seconds.min, manifest.seconds.max
        post_trained = manifest.objective == POST_TRAINED
        recommended = (
            f"this model was made for {best.sampler}, {best.steps} steps, cfg {best.cfg_scale:g}"
        )
        unguided = not self.is_guided and self.cfg_scale != 1
        without = f" and without cfg {self.cfg_scale:g}" if unguided else ""
        outside = not low <= self.seconds <= high and self.seconds != manifest.max_seconds
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
            "fit_length": "this model was exported with one latent length, so fit_length changes"
            " nothing; export it with --latent-lengths"
            if self.fit_length and not manifest.latent.shorter
            else "",
            "seconds": f"{self.seconds:g} seconds is outside what the model was trained on; it will"
            f" hear {min(max(self.seconds, low), high):g}, use {low:g} to {high:g}"
            if outside
            else "",
        }
        return [Note(kind, text) for kind, text in advice.items() if text]


def _within(name: str, value: Any, most: float | None = None) -> float:
    """A setting that is a number from 0 to `most`."""
    if not _is_finite(value) or value < 0 or (most is not None and value > most):
        limits = "from 0" if most is None else f"from 0 to {most:g}"
        raise UsageError(f"{name} {_shown(value)} is out of range; use a number {limits}")
    return float(value)


def _has_text(asked: Request | Settings) -> bool:
    return bool(asked.ids) if asked.prompt is None else bool(asked.prompt.strip())


def _check_text(asked: Request, manifest: Manifest) -> None:
    for what, text in (("prompt", asked.prompt), ("negative", asked.negative)):
        if text is not None and not isinstance(text, str):
            raise UsageError(
                f"{what} {_shown(text)} is no text; give a string, such as 'a slow siren'"
            )
    if (asked.prompt is None) == (asked.ids is None):
        raise UsageError(
            "give either a prompt or ids, one of them; an empty prompt generates without one"
        )
    ids, longest = asked.ids or (), manifest.prompt.max_length
    text = asked.prompt if _has_text(asked) and asked.ids is None else asked.negative
    if text and manifest.prompt.tokenizer is None:
        raise EdgeAudioError(
            f"model {manifest.name} has no tokenizer and cannot read {text[:40]!r}; "
            "give token ids, or export it again with --tokenizer FILE"
        )
    size = manifest.prompt.vocabulary_size
    if size is not None and any(i >= size for i in ids):
        raise EdgeAudioError(
            f"id {max(ids)} is none of model {manifest.name}'s; its ids are below {size}"
        )
    if len(ids) > longest:
        raise EdgeAudioError(
            f"{len(ids)} ids are more than model {manifest.name} reads; give at most {longest}"
        )


def _check_seconds(seconds: Any, manifest: Manifest) -> None:
    if not _is_finite(seconds) or seconds <= 0:
        raise UsageError(
            f"seconds {_shown(seconds)} is no duration;"
            f" use more than 0, at most {manifest.max_seconds:g}"
        )
    frames = round(seconds * manifest.sample_rate)
    if frames < 1:
        raise UsageError(
            f"seconds {seconds} is shorter than one sample; "
            f"use at least {1 / manifest.sample_rate:g}"
        )
    if frames > manifest.latent.length * manifest.latent.downsampling:
        raise EdgeAudioError(
            f"seconds {seconds:g} is more than model {manifest.name} can make; "
            f"use at most {manifest.max_seconds:g}"
        )


def check_cfg_scale(scale: Any) -> None:
    """UsageError unless `scale` is a finite number from 0."""
    if not _is_finite(scale):
        raise UsageError(
            f"cfg {_shown(scale)} is not a finite number; use 1 for no guidance, 3 to 7 for more"
        )
    if scale < 0:
        raise UsageError(
            f"cfg {_shown(scale)} would steer away from the prompt; use 1 for no guidance, 3 to 7"
            " for more, and a negative prompt for what not to hear"
        )


def _ids(given: Any) -> tuple[int, ...] | None:
    if given is None:
        return None
    if not _is_sequence(given) or any(not _is_whole(i) or not 0 <= i < 2**31 for i in given):
        raise UsageError(
            "ids must be whole numbers from 0; give them as the tokenizer of the model does"
        )
    return tuple(map(int, given))


def _is_sequence(value: Any) -> bool:
    return isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (str, bytes))


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    try:
        return _is_number(value) and math.isfinite(value)
    except OverflowError:  # an int that no float can hold
        return False


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_truth(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


def _is_list_of_whole(value: Any) -> bool:
    return _is_sequence(value) and all(map(_is_whole, value))


def _shown(value: Any) -> str:
    """A value in an error's one line: short, and without control characters."""
    if isinstance(value, (float, np.number)):
        return str(value)
    try:
        return reprlib.repr(value)
    except ValueError:  # Python writes no int of thousands of digits
        return type(value).__name__


#: setting -> whether a value of a recipe fits, and what it is otherwise
_RECIPE_TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "prompt": (_is_text, "no text"),
    "negative": (_is_text, "no text"),
    "sampler": (_is_text, "no text"),
    "seconds": (_is_number, "no number"),
    "cfg_scale": (_is_number, "no number"),
    "seed": (_is_whole, "no whole number"),
    "steps": (_is_whole, "no whole number"),
    "ids": (_is_list_of_whole, "no list of whole numbers"),
    "fit_length": (_is_truth, "neither true nor false"),
    "apg": (_is_number, "no number"),
    "pad_seconds": (_is_number, "no number"),
    "limiter": (_is_truth, "neither true nor false"),
}
