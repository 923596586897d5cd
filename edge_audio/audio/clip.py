"""A finished piece of audio: its levels, and how it is written to a file that says how it
was made.
"""

from __future__ import annotations

import functools
import io
import json
import math
import os
import secrets
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from edge_audio.bundle.manifest import UsualLevel
from edge_audio.errors import EdgeAudioError, EdgeAudioWarning
from edge_audio.notes import Note

#: extension -> libsndfile's format and the subtype that is written unless another one is asked for
FORMATS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}
#: What a clip that would clip is scaled to.
SAFE_PEAK = 0.999
#: A sample that large counts as clipped.
CLIPPED = 0.999
#: Bytes of a recipe that are written, and read from a file that anybody may have written.
MAX_RECIPE = 1 << 16
#: Frames a write: libsndfile's Vorbis encoder overflows the stack on very long ones.
_BLOCK = 1 << 16


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
        self, file: str | Path | BinaryIO, subtype: str | None = None, format: str | None = None
    ) -> float:
        """Write .wav, .flac or .ogg with the recipe in its comment, and return the gain that was
        applied.

        file: a path whose extension says the format, or a binary file for which `format` ("wav",
        "flac", "ogg") says it. subtype: libsndfile's name of the sample format (default 16-bit;
        "PCM_24", "FLOAT" for .wav). Samples never clip silently: a peak above 1.0 is scaled down to
        0.999, which is warned about and recorded. The file appears whole or not at all.
        EdgeAudioError if it cannot be written.
        """
        write: Callable[[bytes], object]
        if isinstance(file, (str, os.PathLike)):
            path = Path(file)
            if format is not None:
                raise EdgeAudioError(f"{path} says its format by its extension; leave out format")
            check_writable(path)
            suffix, where = path.suffix, str(path)
            write = functools.partial(_replace, path)
        else:
            suffix = f".{format or 'no format'}"
            where, write = f"the {suffix[1:]} file", file.write
            if suffix.lower() not in FORMATS:
                raise EdgeAudioError(f"{where} has no known format; use one of wav, flac, ogg")
        gain = self.gain
        if not math.isfinite(self.peak):
            raise EdgeAudioError(
                f"the clip for {where} has samples that are not numbers; generate it again"
            )
        if gain < 1.0:
            warnings.warn(
                f"peak {self.peak:.2f} is above 1.0; scaled down by {-_dbfs(gain):.1f} dB so that"
                f" {where} does not clip",
                EdgeAudioWarning,
                stacklevel=2,
            )
        try:
            write(self._encoded(suffix, subtype, gain, where))
        except (OSError, RuntimeError, ValueError, AssertionError, TypeError) as error:
            reason = str(error) or "short write"
            raise EdgeAudioError(
                f"{where} cannot be written ({reason}); free some space or name another file"
            ) from None
        return gain

    def _encoded(self, suffix: str, subtype: str | None, gain: float, where: str) -> bytes:
        """The whole file. It is made in memory, where libsndfile cannot fail half-way."""
        import soundfile

        kind, default = FORMATS[suffix.lower()]
        comment, stream = json.dumps(self.saved_recipe), io.BytesIO()
        with soundfile.SoundFile(
            stream,
            "w",
            self.sample_rate,
            self.samples.shape[1],
            subtype or default,
            format=kind,
        ) as sound:
            sound.comment, sound.software = comment, "edge-audio"
            for start in range(0, len(self.samples), _BLOCK):
                sound.write(self.samples[start : start + _BLOCK] * np.float32(gain))
        # libsndfile reports neither a header that no longer fits nor a comment that is too long.
        stream.seek(0)
        if len(comment) > MAX_RECIPE or _comment_of(stream) != comment:
            raise EdgeAudioError(f"{where} cannot hold a recipe this long; shorten the prompt")
        return stream.getvalue()

    @staticmethod
    def recipe_of(path: str | Path) -> dict[str, Any]:
        """The recipe inside a file that `save` wrote; EdgeAudioError if there is none."""
        try:
            with open(path, "rb") as file:
                recipe = json.loads(_comment_of(file))
        except (OSError, RuntimeError, ValueError) as error:
            reason = "no recipe in it" if isinstance(error, ValueError) else error
            raise EdgeAudioError(
                f"{path} tells no recipe ({reason}); name a file that edge-audio wrote"
            ) from None
        if not isinstance(recipe, dict):
            raise EdgeAudioError(
                f"{path} tells no recipe (another comment); name a file that edge-audio wrote"
            )
        return recipe


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
    if path.suffix.lower() not in FORMATS:
        raise EdgeAudioError(
            f"{path} has no known sound file extension; use one of {', '.join(FORMATS)}"
        )
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


def _comment_of(file: BinaryIO) -> str:
    """The comment of a sound file, "" if there is none; ValueError if it is too long to be a
    recipe.
    """
    import soundfile

    with soundfile.SoundFile(file) as sound:
        comment = sound.comment
    # libsndfile writes a long comment into a .wav, but skips those above 2 kB when it reads.
    comment = comment or _riff_comment(file)
    if len(comment) > MAX_RECIPE:
        raise ValueError(f"a comment of {len(comment)} characters")
    return comment


def _riff_comment(file: BinaryIO) -> str:
    """The ICMT text of a WAV file, "" if there is none; samples are passed over."""
    file.seek(0)
    if file.read(4) != b"RIFF":
        return ""
    for name, start, size in _chunks(file, 12, math.inf):
        if name != b"LIST" or file.read(4) != b"INFO":
            continue
        for entry, _, length in _chunks(file, start + 4, start + size):
            if entry == b"ICMT":
                # one byte more than a recipe has tells that it is none
                return file.read(min(length, MAX_RECIPE + 1)).rstrip(b"\0").decode(errors="replace")
    return ""


def _chunks(file: BinaryIO, place: int, end: float) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, size) of the RIFF chunks between two places of a file, which stands at the
    start of each.
    """
    while place < end:
        file.seek(place)
        header = file.read(8)
        if len(header) < 8:
            return
        size = int.from_bytes(header[4:], "little")
        yield header[:4], place + 8, size
        place += 8 + size + size % 2


def _dbfs(amplitude: float) -> float:
    return 20 * math.log10(max(amplitude, 1e-10))
