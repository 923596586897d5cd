"""What is done to a clip once it was made: channels, silence at its ends, sample rate, loudness."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_audio.audio.clip import Clip, Levels
from edge_audio.audio.loudness import BLOCK, loudness, true_peak
from edge_audio.audio.resample import remixed, resampled
from edge_audio.errors import EdgeAudioError, UsageError
from edge_audio.notes import Note
from edge_audio.values import is_finite, is_whole, shown

#: Hz, and LUFS, that can be asked for
RATES, LOUDNESS = (8000, 192_000), (-60.0, 0.0)
#: dBTP that no normalized clip passes (EBU R 128), also for what a lossy format adds to peaks
CEILING = -1.0

#: Trimming: seconds of a window; dB under the loudest one at which a window counts as silence, at
#: most and at least; and dB above the clip's own hiss that this should be.
WINDOW, DEEPEST, HIGHEST, ABOVE_HISS = 0.01, -60.0, -40.0, 10.0
#: seconds of a loop that are heard beyond its ends where its rate is changed
LOOP_REACH = 0.05
#: seconds that stay before and after what is heard, and are faded
BEFORE, AFTER, FADE_IN, FADE_OUT = 0.01, 0.05, 0.005, 0.03


@dataclass(frozen=True)
class Finish:
    """What is done to a clip after it was made, in the order of the fields; UsageError for what
    cannot be.
    """

    #: one or two
    channels: int | None = None
    #: whether silence at both ends is cut away
    trim: bool = False
    #: sample rate in Hz
    rate: int | None = None
    #: integrated loudness in LUFS (ITU-R BS.1770-4)
    normalize: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.trim, bool):
            raise UsageError(f"trim {shown(self.trim)} is neither True nor False")
        if self.channels is not None and not (is_whole(self.channels) and self.channels in (1, 2)):
            raise UsageError(f"channels {shown(self.channels)} cannot be made; use 1 or 2")
        low, high = RATES
        if self.rate is not None and not (is_whole(self.rate) and low <= self.rate <= high):
            raise UsageError(f"rate {shown(self.rate)} is out of range; use {low} to {high} Hz")
        least, most = LOUDNESS
        target = self.normalize
        if target is not None and not (is_finite(target) and least <= target <= most):
            raise UsageError(
                f"normalize {shown(target)} is out of range; use {least:g} to {most:g} LUFS,"
                " such as -16"
            )

    @classmethod
    def from_recipe(cls, recipe: Mapping[str, Any]) -> Finish:
        """What was done to the clip of a recipe; EdgeAudioError if that is none: it may come from a
        stranger's file.
        """
        entry = recipe.get("finish")
        if entry is None:
            return cls()
        known = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(entry, Mapping) or not known.issuperset(entry):
            raise EdgeAudioError(
                "the recipe's finish is none that this edge-audio knows; use the newest"
            )
        try:
            return cls(**entry)
        except UsageError as error:
            raise EdgeAudioError(f"the recipe's {error}") from None

    @property
    def entries(self) -> dict[str, Any]:
        """What is done at all, ready for JSON; empty if nothing is."""
        return {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if value is not None and value is not False
        }


def finished(clip: Clip, finish: Finish) -> Clip:
    """The clip with all of it done, and that in its recipe and notes. UsageError if it is finished
    already: a recipe tells one finish.
    """
    if not finish.entries:
        return clip
    if clip.recipe.get("finish"):
        raise UsageError("the clip is finished already; finish the one that was generated")
    samples, rate, notes = clip.samples, clip.sample_rate, []
    is_loop = bool(clip.recipe.get("loop"))
    if is_loop and finish.trim:
        raise UsageError("a loop has no ends to trim; leave either trim or loop out")
    if finish.channels is not None:
        samples = remixed(samples, finish.channels)
    if finish.trim:
        samples, said = _trimmed(samples, rate)
        notes += said
    if finish.rate is not None:
        samples, rate = _at_rate(samples, rate, finish.rate, is_loop), finish.rate
    if finish.normalize is not None:
        samples, said = _normalized(samples, rate, finish.normalize)
        notes += said
    return dataclasses.replace(
        clip,
        samples=samples,
        sample_rate=rate,
        recipe={**clip.recipe, "finish": finish.entries},
        notes=(*clip.notes, *notes),
    )


def _at_rate(samples: np.ndarray, rate: int, wanted: int, is_loop: bool) -> np.ndarray:
    """At another sample rate; a loop hears its end before its beginning."""
    if not is_loop:
        return resampled(samples, rate, wanted)
    common = math.gcd(rate, wanted)
    # as much around it as becomes a whole number of samples, and more than the filter hears
    periods = math.ceil(LOOP_REACH * common)
    around, drop = periods * (rate // common), periods * (wanted // common)
    indices = np.arange(-around, len(samples) + around)
    circle = np.take(samples, indices, axis=0, mode="wrap")
    return resampled(circle, rate, wanted)[drop : drop + round(len(samples) * wanted / rate)]


def _trimmed(samples: np.ndarray, rate: int) -> tuple[np.ndarray, list[Note]]:
    """Without the silence at both ends, faded where something was cut."""
    if _decibels(float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))) < Levels.SILENT:
        return samples, [Note("trim", "the clip is silent all through and was not trimmed")]
    first, last = _heard(samples, rate)
    begin = max(0, first - round(BEFORE * rate))
    end = min(len(samples), last + round(AFTER * rate))
    trimmed = samples[begin:end].copy()
    if begin > 0:
        fade = _fade(min(round(FADE_IN * rate), len(trimmed) // 2))
        trimmed[: len(fade)] *= fade
    if end < len(samples):
        fade = _fade(min(round(FADE_OUT * rate), len(trimmed) // 2))
        trimmed[len(trimmed) - len(fade) :] *= fade[::-1]
    return trimmed, []


def _heard(samples: np.ndarray, rate: int) -> tuple[int, int]:
    """First frame that is no silence, and the one after the last.

    Silence is 60 dB under the loudest window, or, where a clip hisses all the time, 10 dB above its
    hiss (of the quietest tenth), but never what is less than 40 dB under the loudest.
    """
    window = max(1, round(WINDOW * rate))
    squares = np.mean(np.square(samples, dtype=np.float64), axis=1)
    powers = np.add.reduceat(squares, np.arange(0, len(squares), window))
    levels = 10 * np.log10(np.maximum(powers / powers.max(), 1e-30))
    hiss = float(np.percentile(levels, 10))
    (heard,) = np.nonzero(levels >= min(max(hiss + ABOVE_HISS, DEEPEST), HIGHEST))
    return int(heard[0]) * window, min((int(heard[-1]) + 1) * window, len(samples))


def _fade(length: int) -> np.ndarray:
    """Half a period of a cosine from 0 to 1, [length, 1]."""
    rise = 0.5 - 0.5 * np.cos(np.pi * np.arange(length) / max(length, 1))
    faded: np.ndarray = rise[:, None].astype(np.float32)
    return faded


def _normalized(samples: np.ndarray, rate: int, target: float) -> tuple[np.ndarray, list[Note]]:
    """At the loudness, or as near to it as the ceiling of the peaks allows. The gain is in
    hundredths of a decibel, so that the last bits of a computer change nothing.
    """
    level = loudness(samples, rate)
    if level is None:
        said = "the clip is silent, below -70 LUFS, and was not normalized"
        return samples, [Note("normalize", said)]
    notes = []
    if len(samples) * 10 < BLOCK * rate:
        said = f"the clip has {len(samples) / rate:.2f} seconds, and loudness needs"
        said += f" {BLOCK / 10:g}; it was measured as if silence followed"
        notes.append(Note("normalize", said))
    gain = round(target - level, 2)
    room = math.floor(100 * (CEILING - _decibels(true_peak(samples)))) / 100
    if gain - room >= 0.05:  # less is none in tenths of a decibel
        said = f"{target:g} LUFS would take peaks to {CEILING + gain - room:+.1f} dBTP; the clip"
        said += f" was set to {level + room:.1f} LUFS, where they reach {CEILING:g}"
        notes.append(Note("normalize", said))
    return samples * np.float32(10 ** (min(gain, room) / 20)), notes


def _decibels(amplitude: float) -> float:
    return 20 * math.log10(max(amplitude, 1e-10))
