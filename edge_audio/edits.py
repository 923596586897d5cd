"""What a person asks to be done with a sound that is there, and that a clip has no end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_audio.audio.clip import Clip
from edge_audio.audio.source import LONGEST, Source
from edge_audio.bundle.manifest import Manifest
from edge_audio.errors import EdgeAudioError, UsageError
from edge_audio.values import is_finite, is_given, is_list_of_pairs, shown

BEATS_A_BAR = 4


@dataclass(frozen=True, kw_only=True)
class Edit:
    """The part of a `Request` that is about another sound, or about the clip's ends."""

    #: sound to start from, or to keep parts of: a Source, a Clip, or a file
    init: Source | Clip | str | Path | None = None
    #: how far to go from it: its noise level at the start, above 0 to 1, which is all noise
    strength: float | None = None
    #: parts of it that are made anew, (begin, end) in seconds; the rest stays
    replace: tuple[tuple[float, float], ...] = ()
    #: parts of it that stay; the rest is made anew
    keep: tuple[tuple[float, float], ...] = ()
    #: seconds to go on after its end, and to begin before its beginning
    extend: float | None = None
    extend_before: float | None = None
    #: whether the clip's end leads into its beginning
    loop: bool | None = None
    #: in place of seconds: so many bars of four beats, and beats a minute
    bars: float | None = None
    bpm: float | None = None

    def source(self, manifest: Manifest) -> Source | None:
        """The sound to start from; UsageError for what makes no sense without it or with it,
        EdgeAudioError for a bundle that cannot hear it.
        """
        for name, value in self._extension.items():
            if value is not None and not (is_finite(value) and 0 <= value <= LONGEST):
                raise UsageError(
                    f"{name} {shown(value)} is no duration; use 0 to {LONGEST:g} seconds"
                )
        # a strength of 1 is all noise, which needs no sound
        asked = {
            "strength": self.strength not in (None, 1.0),
            "replace": is_given(self.replace),
            "keep": is_given(self.keep),
        }
        if self.init is None:
            for name, given in {**asked, "extend": self._is_extended}.items():
                if given:
                    raise UsageError(f"{name} needs a sound to change; give it with init")
            return None
        if self.loop:
            raise UsageError("a loop is made of a prompt alone; leave either loop or init out")
        if self._is_extended and any(asked.values()):
            name = next(name for name, given in asked.items() if given)
            raise UsageError(f"extend keeps all of a sound; leave either extend or {name} out")
        if "encoder" not in manifest.graphs:
            raise EdgeAudioError(
                f"model {manifest.name} has no encoder, which a clip to start from needs; export it"
                " again without --without-encoder"
            )
        if not isinstance(self.init, (Source, Clip, str, Path)):
            raise UsageError(f"init {shown(self.init)} is no sound; give a file or a Clip")
        if self.strength is not None and not (is_finite(self.strength) and 0 < self.strength <= 1):
            raise UsageError(
                f"strength {shown(self.strength)} is out of range; use more than 0, at most 1"
            )
        return Source.of(self.init)

    def length(self, seconds: Any, init: Source | None, manifest: Manifest) -> float:
        """How many seconds the clip has, `seconds` those asked for if any; EdgeAudioError if the
        model cannot make them.
        """
        longest = manifest.max_seconds
        has_regions = is_given(self.replace) or is_given(self.keep)
        if self.bars is not None or self.bpm is not None:
            if seconds is not None:
                raise UsageError("bars and bpm make the seconds; leave either out")
            seconds = self._seconds_of_bars()
        if init is not None and self._is_extended:
            total = init.seconds + sum(filter(None, self._extension.values()))
            if seconds is not None and abs(seconds - total) > 1e-6:
                raise UsageError("extend says how long the clip will be; leave seconds out")
            seconds, longest = total, LONGEST
        elif init is not None and has_regions:
            seconds, longest = init.seconds if seconds is None else seconds, LONGEST
        elif seconds is None:
            usual = longest if manifest.defaults.seconds is None else manifest.defaults.seconds
            seconds = min(usual if init is None else init.seconds, longest)
        if self.bars is not None and seconds > longest + 0.5 / manifest.sample_rate:
            raise EdgeAudioError(
                f"bars {self.bars:g} at bpm {self.bpm:g} are {seconds:g} seconds, and model"
                f" {manifest.name} can make {longest:g}; use fewer bars, or a higher bpm"
            )
        _check_seconds(seconds, longest, manifest)
        return float(seconds)

    def regions(self, seconds: float) -> tuple[tuple[float, float], ...]:
        """What is made anew, ascending; UsageError for regions that cannot be."""
        keeps = is_given(self.keep)
        if keeps and is_given(self.replace):
            raise UsageError("give either what to replace or what to keep, one of them")
        name, given = ("keep", self.keep) if keeps else ("replace", self.replace or ())
        if not is_list_of_pairs(given):
            raise UsageError(f"{name} {shown(given)} is no list of regions; give pairs of seconds")
        regions: list[tuple[float, float]] = []
        for begin, end in sorted(map(tuple, given)):
            if not 0 <= begin < end <= seconds + 1e-9:
                raise UsageError(
                    f"{name} {begin:g}-{end:g} is no part of {seconds:g} seconds; give the second"
                    " where it begins and the one where it ends"
                )
            if regions and begin < regions[-1][1]:
                raise UsageError(
                    f"{name} {begin:g}-{end:g} overlaps the region before it; join them"
                )
            regions.append((float(begin), float(min(end, seconds))))
        if not keeps:
            return tuple(regions)
        edges = [0.0, *(edge for region in regions for edge in region), seconds]
        made = tuple((a, b) for a, b in zip(edges[::2], edges[1::2]) if a < b)
        if not made:
            raise UsageError(
                f"keep {edges[1]:g}-{edges[-2]:g} is all of it; nothing is left to make"
            )
        return made

    @property
    def _extension(self) -> dict[str, float | None]:
        return {"extend": self.extend, "extend_before": self.extend_before}

    @property
    def _is_extended(self) -> bool:
        return bool(self.extend or self.extend_before)

    def _seconds_of_bars(self) -> float:
        for name, value in (("bars", self.bars), ("bpm", self.bpm)):
            if value is None:
                raise UsageError(f"bars and bpm belong together; {name} is missing")
            if not is_finite(value) or value <= 0:
                raise UsageError(f"{name} {shown(value)} is out of range; use a number above 0")
        assert self.bars is not None and self.bpm is not None  # said above
        return float(self.bars) * BEATS_A_BAR * 60 / self.bpm


def check_source(entry: Any, given: Source | None) -> None:
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
            f"the clip was made from {shown(entry.get('file'))}{found}; give that with --init"
        )


def _check_seconds(seconds: Any, longest: float, manifest: Manifest) -> None:
    if not is_finite(seconds) or seconds <= 0:
        raise UsageError(
            f"seconds {shown(seconds)} is no duration; use more than 0, at most {longest:g}"
        )
    frames, most = round(seconds * manifest.sample_rate), round(longest * manifest.sample_rate)
    if frames < 1:
        raise UsageError(
            f"seconds {seconds} is shorter than one sample; "
            f"use at least {1 / manifest.sample_rate:g}"
        )
    if frames > most:
        raise EdgeAudioError(
            f"seconds {seconds:g} is more than model {manifest.name} can make; "
            f"use at most {longest:g}"
        )
