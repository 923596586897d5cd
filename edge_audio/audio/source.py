"""Audio that a clip is made from: a file of anybody's, at any rate, as a model wants it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from edge_audio.audio.clip import Clip
from edge_audio.bundle.store import file_sha256
from edge_audio.errors import EdgeAudioError, first_line

#: seconds and channels of a file that is read
LONGEST, MOST_CHANNELS = 1200.0, 2
#: Resampling: zero crossings of the sinc on either side, the share of the band that passes, the
#: shape of the window (Kaiser), and outputs at a time.
ZEROS, ROLLOFF, BETA, BLOCK = 32, 0.95, 10.0, 1 << 13


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
        if samples.shape[1] > channels:
            samples = samples.mean(axis=1, keepdims=True)
        samples = resampled(samples, self.sample_rate, sample_rate)[:frames]
        return np.repeat(samples, channels, axis=1) if samples.shape[1] < channels else samples


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


def resampled(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """float32 [n, channels] at another sample rate: a windowed sinc, phase by phase (Smith &
    Gossett 1984).
    """
    if rate == wanted:
        return samples
    common = math.gcd(rate, wanted)
    up, down = wanted // common, rate // common
    narrow = min(1.0, up / down)
    half = math.ceil(ZEROS / narrow)
    taps = np.arange(1 - half, half + 1)
    windows = sliding_window_view(np.pad(samples, [(half, half), (0, 0)]), 2 * half, axis=0)
    out = np.empty((math.ceil(len(samples) * up / down), samples.shape[1]), np.float32)
    for begin in range(0, len(out), BLOCK):
        places = np.arange(begin, min(begin + BLOCK, len(out))) * down
        whole, phase = np.divmod(places, up)
        phases, which = np.unique(phase, return_inverse=True)
        weights = _sinc(taps[None] - phases[:, None] / up, ROLLOFF * narrow, half)[which]
        found = windows[whole + 1]
        out[begin : begin + len(places)] = np.einsum("nct,nt->nc", found, weights)
    return out


def _sinc(x: np.ndarray, cutoff: float, half: int) -> np.ndarray:
    """Low-pass weights at distances `x` in samples, each row adding up to one."""
    window = np.i0(BETA * np.sqrt(np.clip(1 - (x / half) ** 2, 0, None)))
    weights = np.sinc(cutoff * x) * window
    normal: np.ndarray = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normal
