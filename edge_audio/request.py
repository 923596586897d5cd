"""What to generate: what a person asked for, and the settings of one clip that were made of it."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_audio.audio.source import Source
from edge_audio.bundle.manifest import Manifest
from edge_audio.edits import Edit, check_source
from edge_audio.errors import EdgeAudioError, UsageError
from edge_audio.sampling.noise import check_seed
from edge_audio.sampling.samplers import SAMPLERS
from edge_audio.sampling.schedule import check_steps
from edge_audio.settings import Settings, has_text
from edge_audio.values import (
    is_finite,
    is_list_of_pairs,
    is_list_of_whole,
    is_number,
    is_sequence,
    is_text,
    is_truth,
    is_whole,
    shown,
)

#: more than any model was made for; a recipe that asks for more wants to keep a computer busy
MOST_STEPS = 10_000


@dataclass(frozen=True)
class Request(Edit):
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
    fit_length: bool | None = None
    #: how much of what guidance adds along its own direction is taken away, 0 to 1
    apg: float | None = None
    #: seconds that the transformer makes beyond those asked for, of models that make any length
    pad_seconds: float | None = None
    #: whether peaks above full scale are turned down while the clip is made
    limiter: bool | None = None

    @classmethod
    def of(cls, settings: Settings) -> Request:
        """The request that comes to these settings."""
        return cls(**{f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)})

    @classmethod
    def from_recipe(cls, recipe: Mapping[str, Any], init: Source | None = None) -> Request:
        """The request that a clip's recipe stands for (`Clip.recipe_of`); EdgeAudioError if it is
        not a recipe: it may come from a stranger's file. init: what the clip was made from, if it
        was.
        """
        mend = "use one that edge-audio wrote"
        if not isinstance(recipe, Mapping):
            raise EdgeAudioError(f"the recipe is no mapping; {mend}")
        given = {
            field.name: recipe.get(field.name, field.default)
            for field in dataclasses.fields(cls)
            if field.name not in ("init", "keep", "bars", "bpm")
        }
        if given["seed"] is None or (given["prompt"] is None and given["ids"] is None):
            raise EdgeAudioError(f"the recipe has no prompt or no seed; {mend}")
        for name, value in given.items():
            fits, wanted = _RECIPE_TYPES[name]
            if value is not None and not fits(value):
                raise EdgeAudioError(f"the recipe's {name} {shown(value)} is {wanted}; {mend}")
        check_source(recipe.get("init"), init)
        ids, regions = given["ids"], tuple(map(tuple, given["replace"] or ()))
        return cls(**{**given, "ids": ids and tuple(ids), "replace": regions, "init": init})

    def resolved(self, manifest: Manifest) -> Settings:
        """The settings for this model: every gap filled and everything checked.

        UsageError for what no model could serve, EdgeAudioError for what this one cannot.
        """
        for name in ("fit_length", "limiter", "loop"):
            value = getattr(self, name)
            if value is not None and not is_truth(value):
                raise UsageError(f"{name} {shown(value)} is neither True nor False")
        best = manifest.defaults
        asked = dataclasses.replace(self, ids=_ids(self.ids))
        _check_text(asked, manifest)
        init, padding = self.source(manifest), manifest.latent.padding
        seconds = self.length(self.seconds, init, manifest)
        settings = Settings(
            prompt=self.prompt,
            # plain Python numbers: numpy's are no JSON
            seconds=float(seconds),
            seed=secrets.randbits(31) if self.seed is None else self.seed,
            steps=best.steps if self.steps is None else self.steps,
            sampler=best.sampler if self.sampler is None else self.sampler,
            cfg_scale=best.cfg_scale if self.cfg_scale is None else self.cfg_scale,
            negative=self.negative,
            ids=asked.ids,
            fit_length=bool(best.fit_length if self.fit_length is None else self.fit_length),
            apg=_within("apg", best.apg if self.apg is None else self.apg, 1.0),
            pad_seconds=None
            if padding is None
            else _within(
                "pad_seconds", padding.seconds if self.pad_seconds is None else self.pad_seconds
            ),
            limiter=bool(best.limiter if self.limiter is None else self.limiter),
            init=init,
            strength=1.0 if self.strength is None else float(self.strength),
            extend=float(self.extend or 0),
            extend_before=float(self.extend_before or 0),
            loop=bool(self.loop),
        )
        settings = dataclasses.replace(settings, replace=self.regions(settings.seconds))
        if not isinstance(settings.sampler, str) or settings.sampler not in SAMPLERS:
            raise UsageError(
                f"sampler {shown(settings.sampler)} is unknown; use one of {', '.join(SAMPLERS)}"
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


def _within(name: str, value: Any, most: float | None = None) -> float:
    """A setting that is a number from 0 to `most`."""
    if not is_finite(value) or value < 0 or (most is not None and value > most):
        limits = "from 0" if most is None else f"from 0 to {most:g}"
        raise UsageError(f"{name} {shown(value)} is out of range; use a number {limits}")
    return float(value)


def _check_text(asked: Request, manifest: Manifest) -> None:
    for what, text in (("prompt", asked.prompt), ("negative", asked.negative)):
        if text is not None and not isinstance(text, str):
            raise UsageError(
                f"{what} {shown(text)} is no text; give a string, such as 'a slow siren'"
            )
    if (asked.prompt is None) == (asked.ids is None):
        raise UsageError(
            "give either a prompt or ids, one of them; an empty prompt generates without one"
        )
    ids, longest = asked.ids or (), manifest.prompt.max_length
    text = (
        asked.prompt if has_text(asked.prompt, asked.ids) and asked.ids is None else asked.negative
    )
    if text and manifest.prompt.tokenizer is None:
        mend = "export it again with --tokenizer FILE"
        raise EdgeAudioError(
            f"model {manifest.name} has no tokenizer and cannot read {text[:40]!r};"
            f" {mend if text == asked.negative else f'give token ids, or {mend}'}"
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


def check_cfg_scale(scale: Any) -> None:
    """UsageError unless `scale` is a finite number from 0."""
    if not is_finite(scale):
        raise UsageError(
            f"cfg {shown(scale)} is not a finite number; use 1 for no guidance, 3 to 7 for more"
        )
    if scale < 0:
        raise UsageError(
            f"cfg {shown(scale)} would steer away from the prompt; use 1 for no guidance, 3 to 7"
            " for more, and a negative prompt for what not to hear"
        )


def _ids(given: Any) -> tuple[int, ...] | None:
    if given is None:
        return None
    if not is_sequence(given) or any(not is_whole(i) or not 0 <= i < 2**31 for i in given):
        raise UsageError(
            "ids must be whole numbers from 0; give them as the tokenizer of the model does"
        )
    return tuple(map(int, given))


#: setting -> whether a value of a recipe fits, and what it is otherwise
_RECIPE_TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "prompt": (is_text, "no text"),
    "negative": (is_text, "no text"),
    "sampler": (is_text, "no text"),
    "seconds": (is_number, "no number"),
    "cfg_scale": (is_number, "no number"),
    "seed": (is_whole, "no whole number"),
    "steps": (is_whole, "no whole number"),
    "ids": (is_list_of_whole, "no list of whole numbers"),
    "fit_length": (is_truth, "neither true nor false"),
    "apg": (is_number, "no number"),
    "pad_seconds": (is_number, "no number"),
    "limiter": (is_truth, "neither true nor false"),
    "strength": (is_number, "no number"),
    "replace": (is_list_of_pairs, "no list of regions"),
    "extend": (is_number, "no number"),
    "extend_before": (is_number, "no number"),
    "loop": (is_truth, "neither true nor false"),
}
