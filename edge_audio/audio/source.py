"""Audio that a clip is made from: a file of anybody's, at any rate, as a model wants it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge_audio.audio.clip import Clip
from edge_audio.audio.resample import remixed, resampled
from edge_audio.bundle.store import file_sha256
from edge_audio.errors import EdgeAudioError, first_line

#: seconds and channels of a file that is read
LONGEST, MOST_CHANNELS = 1200.0, 2


@dataclass(frozen=True)
class Source:
    """Sound to start from, or to keep parts of. Two are the same if their hash is."""

    name: str
    #: of the file, or of a clip's samples
    sha256: str
    sample_rate: int = field(compare=False)
    #: float32 [n, channels]
    samples: np.ndarray = field(repr=False, compare=False)

    @classmethod
    def of(cls, given: Source | Clip | str | Path) -> Source:
        """A source, a clip, or what a file holds; EdgeAudioError if that is no sound that can be
        used.
        """
        if isinstance(given, Source):
            return given
        if isinstance(given, Clip):
            samples = np.ascontiguousarray(given.samples, np.float32)
            return cls(
                "clip", hashlib.sha256(samples.tobytes()).hexdigest(), given.sample_rate, samples
            )
        return _read(Path(given))

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / self.sample_rate

    def at(self, sample_rate: int, channels: int, frames: int | None = None) -> np.ndarray:
        """Its samples at another rate and with one channel or two, float32 [n, channels]: all, or
        the first `frames`.
        """
        samples = self.samples
        if frames is not None:  # and a second more than they are made of, which the filter hears
            samples = samples[: math.ceil((frames / sample_rate + 1) * self.sample_rate)]
        # the fewer channels are resampled
        samples = remixed(samples, min(channels, samples.shape[1]))
        return remixed(resampled(samples, self.sample_rate, sample_rate)[:frames], channels)


def _read(path: Path) -> Source:
    import soundfile

    try:
        info = soundfile.info(path)
        if info.frames > LONGEST * info.samplerate:
            raise EdgeAudioError(
                f"{path} is {info.frames / info.samplerate / 60:.0f} minutes long; cut it to"
                f" {LONGEST / 60:.0f} or less"
            )
        if info.channels > MOST_CHANNELS:
            raise EdgeAudioError(f"{path} has {info.channels} channels; mix it to one or two")
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        sha256 = file_sha256(path)
    except (OSError, RuntimeError, TypeError) as error:
        reason = "there is no such file" if not path.exists() else first_line(error)
        raise EdgeAudioError(
            f"{path} cannot be read as sound ({reason}); give a .wav, .flac, .ogg or .mp3"
        ) from None
    if not len(samples):
        raise EdgeAudioError(f"{path} holds no samples; give a file with sound in it")
    if not np.isfinite(samples).all():
        raise EdgeAudioError(f"{path} holds values that are no numbers; export it anew")
    return Source(path.name, sha256, rate, samples)
