"""What to generate: what a person asked for, and the settings of one clip that were made of it."""

from __future__ import annotations

import dataclasses
import math
import reprlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_audio.audio.clip import Clip
from edge_audio.audio.source import Source
from edge_audio.bundle.manifest import Manifest
from edge_audio.errors import EdgeAudioError, UsageError
from edge_audio.sampling.noise import check_seed
from edge_audio.sampling.samplers import SAMPLERS
from edge_audio.sampling.schedule import check_steps
from edge_audio.settings import Settings, has_text

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
    #: sound to start from, or to keep parts of: a Source, a Clip, or a file
    init: Source | Clip | str | Path | None = None
    #: how far to go from it: its noise level at the start, above 0 to 1, which is all noise
    strength: float | None = None
    #: parts of it that are made anew, (begin, end) in seconds; the rest stays
    replace: tuple[tuple[float, float], ...] = ()
    #: parts of it that stay; the rest is made anew
    keep: tuple[tuple[float, float], ...] = ()

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
            if field.name not in ("init", "keep")
        }
        if given["seed"] is None or (given["prompt"] is None and given["ids"] is None):
            raise EdgeAudioError(f"the recipe has no prompt or no seed; {mend}")
        for name, value in given.items():
            fits, wanted = _RECIPE_TYPES[name]
            if value is not None and not fits(value):
                raise EdgeAudioError(f"the recipe's {name} {_shown(value)} is {wanted}; {mend}")
        _check_source(recipe.get("init"), init)
        ids, regions = given["ids"], tuple(map(tuple, given["replace"] or ()))
        return cls(**{**given, "ids": ids and tuple(ids), "replace": regions, "init": init})

    def resolved(self, manifest: Manifest) -> Settings:
        """The settings for this model: every gap filled and everything checked.

        UsageError for what no model could serve, EdgeAudioError for what this one cannot.
        """
        for name in ("fit_length", "limiter"):
            value = getattr(self, name)
            if value is not None and not _is_truth(value):
                raise UsageError(f"{name} {_shown(value)} is neither True nor False")
        best = manifest.defaults
        asked = dataclasses.replace(self, ids=_ids(self.ids))
        _check_text(asked, manifest)
        longest, init = manifest.max_seconds, _source(self, manifest)
        usual = longest if best.seconds is None else min(best.seconds, longest)
        if init is not None:
            usual = min(init.seconds, longest)
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
            init=init,
            strength=1.0 if self.strength is None else float(self.strength),
        )
        settings = dataclasses.replace(settings, replace=_regions(self, settings.seconds))
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


def _source(asked: Request, manifest: Manifest) -> Source | None:
    """The sound to start from; UsageError for what makes no sense without it, EdgeAudioError for a
    bundle that cannot hear it.
    """
    if asked.init is None:
        # a strength of 1 is all noise, which needs no sound
        for name, given in (
            ("strength", asked.strength not in (None, 1.0)),
            ("replace", _is_given(asked.replace)),
            ("keep", _is_given(asked.keep)),
        ):
            if given:
                raise UsageError(f"{name} needs a sound to change; give it with init")
        return None
    if "encoder" not in manifest.graphs:
        raise EdgeAudioError(
            f"model {manifest.name} has no encoder, which a clip to start from needs; export it"
            " again without --without-encoder"
        )
    if not isinstance(asked.init, (Source, Clip, str, Path)):
        raise UsageError(f"init {_shown(asked.init)} is no sound; give a file or a Clip")
    if asked.strength is not None and not (_is_finite(asked.strength) and 0 < asked.strength <= 1):
        raise UsageError(
            f"strength {_shown(asked.strength)} is out of range; use more than 0, at most 1"
        )
    return Source.of(asked.init)


def _regions(asked: Request, seconds: float) -> tuple[tuple[float, float], ...]:
    """What is made anew, ascending; UsageError for regions that cannot be."""
    keeps = _is_given(asked.keep)
    if keeps and _is_given(asked.replace):
        raise UsageError("give either what to replace or what to keep, one of them")
    name, given = ("keep", asked.keep) if keeps else ("replace", asked.replace or ())
    if not _is_list_of_pairs(given):
        raise UsageError(f"{name} {_shown(given)} is no list of regions; give pairs of seconds")
    regions: list[tuple[float, float]] = []
    for begin, end in sorted(map(tuple, given)):
        if not 0 <= begin < end <= seconds + 1e-9:
            raise UsageError(
                f"{name} {begin:g}-{end:g} is no part of {seconds:g} seconds; give the second where"
                " it begins and the one where it ends"
            )
        if regions and begin < regions[-1][1]:
            raise UsageError(f"{name} {begin:g}-{end:g} overlaps the region before it; join them")
        regions.append((float(begin), float(min(end, seconds))))
    if not keeps:
        return tuple(regions)
    edges = [0.0, *(edge for region in regions for edge in region), seconds]
    made = tuple((a, b) for a, b in zip(edges[::2], edges[1::2]) if a < b)
    if not made:
        raise UsageError(f"keep {edges[1]:g}-{edges[-2]:g} is all of it; nothing is left to make")
    return made


def _check_source(entry: Any, given: Source | None) -> None:
    """EdgeAudioError unless a recipe's sound to start from is the given one."""
    if entry is None:
        if given is not None:
            raise EdgeAudioError("the clip was made from no other sound; give none")
        return
    if not isinstance(entry, Mapping) or not isinstance(entry.get("sha256"), str):
        raise EdgeAudioError("the recipe's init names no sound; use one that edge-audio wrote")
    if given is None or given.sha256 != entry["sha256"]:
        found = "" if given is None else f", and {given.name} holds another sound"
        raise EdgeAudioError(
            f"the clip was made from {_shown(entry.get('file'))}{found}; give that with --init"
        )


def _within(name: str, value: Any, most: float | None = None) -> float:
    """A setting that is a number from 0 to `most`."""
    if not _is_finite(value) or value < 0 or (most is not None and value > most):
        limits = "from 0" if most is None else f"from 0 to {most:g}"
        raise UsageError(f"{name} {_shown(value)} is out of range; use a number {limits}")
    return float(value)


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


def _is_given(regions: Any) -> bool:
    return regions is not None and not (_is_sequence(regions) and len(regions) == 0)


def _is_list_of_pairs(value: Any) -> bool:
    return _is_sequence(value) and all(
        _is_sequence(one) and len(one) == 2 and all(map(_is_number, one)) for one in value
    )


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
    "strength": (_is_number, "no number"),
    "replace": (_is_list_of_pairs, "no list of regions"),
}
