"""A finished piece of audio: its levels, and how it is written to a file that says how it
was made.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import secrets
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from edge_audio.audio.resample import resampled
from edge_audio.audio.sound_file import FORMATS, Format, comment_of, encoded, format_for
from edge_audio.bundle.manifest import UsualLevel
from edge_audio.errors import EdgeAudioError, EdgeAudioWarning, first_line
from edge_audio.notes import Note

#: What a clip that would clip is scaled to.
SAFE_PEAK = 0.999
#: A sample that large counts as clipped.
CLIPPED = 0.999


@dataclass(frozen=True)
class Levels:
    """Loudness of a clip: dB relative to full scale (silence: -200), the largest mean of a channel,
    the share of clipped samples.

    `loudest_dbfs` is the RMS level of the loudest quarter of a second.
    """

    peak_dbfs: float
    rms_dbfs: float
    loudest_dbfs: float
    dc: float
    clipped: float

    SILENT: ClassVar[float] = -70.0
    QUIET: ClassVar[float] = 4.0
    #: dBFS of RMS that nobody hears; dB below a model's softest sound; a share of clipped samples
    #: that no sound should have
    OVERDRIVEN: ClassVar[float] = 0.01

    def symptoms(self) -> list[str]:
        """What is wrong with a clip of these levels, whatever was asked for; empty for most."""
        notes = []
        if self.rms_dbfs < self.SILENT:
            notes.append(f"the clip is silent ({self.rms_dbfs:.0f} dBFS)")
        if self.clipped > self.OVERDRIVEN:
            notes.append(f"{100 * self.clipped:.1f} % of the samples are beyond full scale")
        return notes

    def is_quiet(self, usual: UsualLevel) -> bool:
        """Whether this is much softer than any sound of a model, and no silence that `symptoms`
        would name.
        """
        return self.rms_dbfs >= self.SILENT and self.loudest_dbfs < usual.lowest - self.QUIET


@dataclass(frozen=True, eq=False)
class Clip:
    """Audio, float32 [frames, channels], full scale ±1, with the recipe it was made by.

    Clips are equal if samples, rate and recipe are, however long they took; samples can be written
    to, so a clip has no hash.

    `timings` holds seconds: `condition_load`, `condition_run`, `sample_load`, ... of the stages
    that made it.
    """

    samples: np.ndarray
    sample_rate: int
    recipe: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    #: what a person should know of it
    notes: tuple[Note, ...] = ()
    #: float32 [1, T, C]: what the decoder was given
    latents: np.ndarray | None = field(default=None, repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Clip):
            return NotImplemented
        return (self.sample_rate, self.recipe) == (
            other.sample_rate,
            other.recipe,
        ) and np.array_equal(self.samples, other.samples)

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.samples) / self.sample_rate

    @property
    def peak(self) -> float:
        """Largest absolute sample; above 1.0 it would clip."""
        return float(np.max(np.abs(self.samples), initial=0.0))

    @property
    def gain(self) -> float:
        """What `save` multiplies the samples by: 1.0, or less if the peak passes 1.0."""
        return 1.0 if self.peak <= 1.0 else SAFE_PEAK / self.peak

    @property
    def saved_recipe(self) -> dict[str, Any]:
        """What `save` writes into the file: the recipe with the gain, and the notes if there are
        any, so that who finds the file later is told as well.
        """
        notes = {"notes": [note.text for note in self.notes]} if self.notes else {}
        return {**self.recipe, "gain": self.gain, **notes}

    def levels(self) -> Levels:
        """Peak, RMS, DC and clipping."""
        samples = self.samples.astype(np.float64) if len(self.samples) else np.zeros((1, 1))
        return Levels(
            _dbfs(self.peak),
            _dbfs(math.sqrt(np.mean(samples**2))),
            loudest_dbfs(samples, self.sample_rate),
            float(np.max(np.abs(samples.mean(0)))),
            float(np.mean(np.abs(samples) >= CLIPPED)),
        )

    def save(
        self,
        file: str | Path | BinaryIO,
        subtype: str | None = None,
        format: str | None = None,
        quality: float | None = None,
    ) -> float:
        """Write .wav, .flac, .ogg, .mp3 or .opus with the recipe in its comment, and return the
        gain that was applied.

        Samples never clip silently: a peak above 1.0 is scaled down to 0.999, which is warned about
        and recorded. So is a rate that the format does not have, and that the next takes the place
        of. The file appears whole or not at all.

        Args:
            file: a path whose extension says the format, or a binary file for which `format`
                ("wav", "flac", "ogg", "mp3", "opus") says it.
            subtype: libsndfile's name of the sample format (default 16-bit; "PCM_24", "FLOAT" for
                .wav).
            quality: of .ogg, .mp3 and .opus, 0 to 1, the best (default: libsndfile's).

        Raises:
            UsageError: a quality that this format cannot have.
            EdgeAudioError: the file cannot be written, or the format not here.
        """
        write: Callable[[bytes], object]
        if isinstance(file, (str, os.PathLike)):
            path = Path(file)
            if format is not None:
                raise EdgeAudioError(f"{path} says its format by its extension; leave out format")
            check_writable(path)
            where, write = str(path), functools.partial(_replace, path)
            kind = FORMATS[path.suffix.lower()]
        else:
            where, write = f"the {format or 'no format'} file", file.write
            kind = format_for(f".{format}", where, "has no known format", dot="")
        if not math.isfinite(self.peak):
            raise EdgeAudioError(
                f"the clip for {where} has samples that are not numbers; generate it again"
            )
        clip = self.at_rate_of(kind)
        if clip is not self:
            _warn(
                f"{where} cannot hold {self.sample_rate} Hz; resampled to {clip.sample_rate} Hz",
            )
        gain = clip.gain
        if gain < 1.0:
            _warn(
                f"peak {clip.peak:.2f} is above 1.0; scaled down by {-_dbfs(gain):.1f} dB so that"
                f" {where} does not clip"
            )
        recipe = clip.saved_recipe | ({} if quality is None else {"quality": quality})
        samples = clip.samples if gain == 1.0 else clip.samples * np.float32(gain)
        try:
            comment = json.dumps(recipe)
            write(encoded(samples, clip.sample_rate, kind, subtype, comment, quality, where))
        except (OSError, RuntimeError, ValueError, AssertionError, TypeError) as error:
            reason = str(error) or "short write"
            raise EdgeAudioError(
                f"{where} cannot be written ({reason}); free some space or name another file"
            ) from None
        return gain

    def at_rate_of(self, format: Format) -> Clip:
        """This clip, or where the format has not its rate, the same at the next that it has."""
        rate = format.rate_for(self.sample_rate)
        if rate == self.sample_rate:
            return self
        samples = resampled(self.samples, self.sample_rate, rate)
        return dataclasses.replace(self, samples=samples, sample_rate=rate)

    @staticmethod
    def recipe_of(path: str | Path) -> dict[str, Any]:
        """The recipe inside a file that `save` wrote; EdgeAudioError if there is none."""
        try:
            with open(path, "rb") as file:
                recipe = json.loads(comment_of(file))
        except (OSError, RuntimeError, ValueError) as error:
            raise EdgeAudioError(
                f"{path} tells no recipe ({_why_unread(error)}); name a file that edge-audio wrote"
            ) from None
        if not isinstance(recipe, dict):
            raise EdgeAudioError(
                f"{path} tells no recipe (another comment); name a file that edge-audio wrote"
            )
        return recipe


def _why_unread(error: OSError | RuntimeError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError):
        return error.strerror or first_line(error)
    if isinstance(error, ValueError):
        return "no recipe in it"
    # libsndfile's; the whole message begins with the Python object that was read
    return str(getattr(error, "error_string", "no sound file")).rstrip(".")


def _warn(message: str) -> None:
    """A warning of `save`, at the line that called it."""
    warnings.warn(message, EdgeAudioWarning, stacklevel=3)


def loudest_dbfs(samples: np.ndarray, sample_rate: int) -> float:
    """RMS level in dBFS of the loudest quarter of a second of [frames] or [frames, channels]: of
    sounds that are mostly silence, too.
    """
    power = np.mean(samples.reshape(len(samples), -1) ** 2, axis=1)
    window = max(1, min(len(power), sample_rate // 4))
    sums = np.concatenate([[0.0], np.cumsum(power)])
    return _dbfs(math.sqrt(max(0.0, np.max(sums[window:] - sums[:-window])) / window))


def check_writable(path: str | Path) -> None:
    """EdgeAudioError unless a sound file can be written at `path`; nothing is left behind."""
    path = Path(path)
    format_for(path.suffix, str(path), "has no known sound file extension")
    temporary = _temporary(path)
    try:
        if path.is_dir():
            raise EdgeAudioError(f"{path} is a folder; name a file in it")
        temporary.touch(exist_ok=False)
        temporary.unlink()
    except OSError as error:
        raise EdgeAudioError(
            f"{path} cannot be written ({error.strerror}); choose another folder"
        ) from None


def _replace(path: Path, data: bytes) -> None:
    """The file appears whole or not at all."""
    temporary = _temporary(path)
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".edge-audio-{secrets.token_hex(4)}{path.suffix.lower()}")


def _dbfs(amplitude: float) -> float:
    return 20 * math.log10(max(amplitude, 1e-10))
