"""Sound files as bytes: which formats can be written here, and the comment that each holds.

To add a format: an entry in FORMATS, if libsndfile writes it and keeps a long comment in it.
"""

from __future__ import annotations

import inspect
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from edge_audio.errors import EdgeAudioError, UsageError

#: Bytes of a comment that are written, and read from a file that anybody may have written.
MAX_COMMENT = 1 << 16
#: Frames a write: libsndfile's Vorbis encoder overflows the stack on very long ones.
_BLOCK = 1 << 16


@dataclass(frozen=True)
class Format:
    """container, subtype: libsndfile's names, of what is written unless another one is asked for.
    rates: ascending, in Hz, where not all can be held. swallowed: seconds at the end that
    libsndfile does not write, so that silence must take its place.
    """

    container: str
    subtype: str
    is_lossy: bool = False
    rates: tuple[int, ...] = ()
    swallowed: float = 0.0

    def rate_for(self, rate: int) -> int:
        """The rate itself where the format has it, else the next that holds all of it, or the
        highest.
        """
        if not self.rates or rate in self.rates:
            return rate
        return next((held for held in self.rates if held > rate), self.rates[-1])

    @property
    def is_supported(self) -> bool:
        """Whether the libsndfile that is here writes it."""
        import soundfile

        return (
            self.container in soundfile.available_formats()
            and self.subtype in soundfile.available_subtypes(self.container)
        )


#: by extension
FORMATS = {
    ".wav": Format("WAV", "PCM_16"),
    ".flac": Format("FLAC", "PCM_16"),
    ".ogg": Format("OGG", "VORBIS", is_lossy=True),
    ".mp3": Format(
        "MP3",
        "MPEG_LAYER_III",
        is_lossy=True,
        rates=(8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    ),
    # libsndfile 1.2 drops what the encoder looks ahead, 312 samples at 48 kHz: a loud end came
    # out with an error as large as itself.
    ".opus": Format(
        "OGG",
        "OPUS",
        is_lossy=True,
        rates=(8000, 12000, 16000, 24000, 48000),
        swallowed=312 / 48000,
    ),
}


def writable() -> list[str]:
    """Extensions that can be written here."""
    return [extension for extension, format in FORMATS.items() if format.is_supported]


def format_for(extension: str, where: str, problem: str, dot: str = ".") -> Format:
    """The format of an extension; UsageError that lists what can be written if there is none,
    EdgeAudioError if it cannot be written here. problem: what is wrong with an unknown one. dot:
    what is listed before each.
    """
    format = FORMATS.get(extension.lower())
    if format is not None and format.is_supported:
        return format
    error: type[EdgeAudioError] = UsageError
    if format is not None:
        import soundfile

        error = EdgeAudioError
        problem = (
            f"cannot be written by the libsndfile {soundfile.__libsndfile_version__} that is here"
        )
    listed = ", ".join(dot + extension[1:] for extension in writable())
    raise error(f"{where} {problem}; use one of {listed}")


def extension_of(container: str, subtype: str) -> str:
    """The extension of what libsndfile calls so; "" if it is none of FORMATS."""
    for extension, format in FORMATS.items():
        if format.container == container and (subtype == format.subtype or not format.is_lossy):
            return extension
    return ""


def pcm16(samples: np.ndarray) -> np.ndarray:
    """Full scale ±1 as int16, rounded to the nearest; what is beyond is cut.

    libsndfile does so for .flac files and rounds down for .wav, so that the same clip would differ
    by a bit.
    """
    whole: np.ndarray = np.clip(np.rint(samples * np.float32(32768)), -32768, 32767)
    return whole.astype(np.int16)


def encoded(
    samples: np.ndarray,
    sample_rate: int,
    format: Format,
    subtype: str | None,
    comment: str,
    quality: float | None,
    where: str,
) -> bytes:
    """The whole file of [n, channels] with a comment. It is made in memory, where libsndfile
    cannot fail half-way. quality: as in `Clip.save`.
    """
    import soundfile

    stream = io.BytesIO()
    samples = np.pad(samples, [(0, round(format.swallowed * sample_rate)), (0, 0)])
    subtype = subtype or format.subtype
    if subtype == "PCM_16":
        samples = pcm16(samples)
    with soundfile.SoundFile(
        stream,
        "w",
        sample_rate,
        samples.shape[1],
        subtype,
        format=format.container,
        **_compression(quality, format, where),
    ) as sound:
        sound.comment, sound.software = comment, "edge-audio"
        for start in range(0, len(samples), _BLOCK):
            sound.write(samples[start : start + _BLOCK])
    # libsndfile reports neither a header that no longer fits nor a comment that is too long.
    stream.seek(0)
    try:
        is_kept = len(comment) <= MAX_COMMENT and comment_of(stream) == comment
    except RuntimeError:  # an .opus file with too long a header, which nothing can read
        is_kept = False
    if not is_kept:
        raise EdgeAudioError(f"{where} cannot hold a recipe this long; shorten the prompt")
    return stream.getvalue()


def check_quality(quality: float, format: Format, where: str) -> None:
    """UsageError unless this is a quality that the format can have."""
    if not isinstance(quality, (int, float)) or not 0 <= quality <= 1:
        raise UsageError(f"quality {str(quality)[:40]} is out of range; use 0 to 1, the best")
    if not format.is_lossy:
        lossy = ", ".join(name for name, other in FORMATS.items() if other.is_lossy)
        raise UsageError(f"{where} loses nothing and has no quality to choose; that is for {lossy}")


def _compression(quality: float | None, format: Format, where: str) -> dict[str, float]:
    if quality is None:
        return {}
    check_quality(quality, format, where)
    import soundfile

    if "compression_level" not in inspect.signature(soundfile.SoundFile).parameters:
        raise EdgeAudioError(
            f"soundfile {soundfile.__version__} cannot set a quality; leave it out, or"
            " pip install 'soundfile>=0.13'"
        )
    # libsndfile takes no MP3 of level 1
    return {"compression_level": min(1 - quality, 0.999)}


def comment_of(file: BinaryIO) -> str:
    """The comment of a sound file, "" if there is none; ValueError if it is longer than
    MAX_COMMENT.
    """
    import soundfile

    with soundfile.SoundFile(file) as sound:
        comment: str = sound.comment
    # libsndfile writes a long comment into a .wav, but skips those above 2 kB when it reads.
    comment = comment or _riff_comment(file)
    if len(comment) > MAX_COMMENT:
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
                # one byte more than a comment has tells that it is none
                held = file.read(min(length, MAX_COMMENT + 1))
                return held.rstrip(b"\0").decode(errors="replace")
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
