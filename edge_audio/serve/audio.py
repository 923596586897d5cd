"""Bytes of sound for answers: a clip in a format, a WAV header ahead of its samples, parts of a
body.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from edge_audio.audio.finish import Finish, finished
from edge_audio.audio.sound_file import FORMATS, pcm16
from edge_audio.errors import EdgeAudioError, UsageError, first_line
from edge_audio.serve.history import kept, read_clip
from edge_audio.serve.refusal import Refused

TYPES = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg; codecs=opus",
}
#: samples without a header that tells what they are, and libsndfile's names of those
RAW = {"pcm": "PCM_16", "ulaw": "ULAW", "alaw": "ALAW"}
#: what a clip can be heard as while it is made
STREAMED = ("wav", "pcm")
#: bytes of encoded clips that are kept for the next range of them
_KEPT = 4 << 20
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def formats() -> list[str]:
    """What clips can be had in here."""
    return [name for name in TYPES if f".{name}" in FORMATS]


def check_format(name: str, among: Sequence[str] | None = None) -> None:
    """Refused unless clips can be had in this format. among: all that there are."""
    among = formats() if among is None else among
    if name not in among:
        raise Refused(
            422, "format", f"there is no such format here; use one of {', '.join(among)}", "format"
        )


@dataclass(frozen=True)
class Sound:
    """An encoded clip."""

    data: bytes
    etag: str


class Encoder:
    """Encodes clips of the history, and keeps the last ones. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[tuple[Any, ...], Sound] = OrderedDict()

    @staticmethod
    def samples(path: Path) -> Sound:
        """Its 16-bit little-endian PCM, and a tag for it; Refused if it is gone."""
        import soundfile

        def read() -> bytes:
            return bytes(soundfile.read(path, dtype="int16")[0].astype("<i2").tobytes())

        return _sound(read, path)

    def encoded(
        self,
        path: Path,
        recipe: dict[str, Any],
        format: str,
        finish: Finish,
        quality: float | None = None,
    ) -> Sound:
        """The clip of a FLAC file in a format, finished; Refused if this system cannot write it,
        UsageError for a finish that this clip cannot have. format: also one of RAW.
        """
        if format == "flac" and not finish.entries:  # as it lies there
            return _sound(path.read_bytes, path)
        key = (path.name, format, finish, quality)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        sound = _sound(lambda: _encoded(path, recipe, format, finish, quality), path)
        with self._lock:
            self._kept[key] = sound
            while len(self._kept) > 1 and sum(len(s.data) for s in self._kept.values()) > _KEPT:
                self._kept.popitem(last=False)
        return sound


def _sound(made: Callable[[], bytes], path: Path) -> Sound:
    """What a function makes of a clip's file; Refused if that is gone, or cannot be made."""
    try:
        data = made()
    except (OSError, RuntimeError) as error:  # libsndfile's are the latter
        if path.exists():
            raise Refused(422, "format", first_line(error), "format") from None
        raise _gone() from None
    except UsageError:
        raise
    except EdgeAudioError as error:
        raise Refused(422, "format", str(error), "format") from None
    return Sound(data, _tag(data))


def _tag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:32]}"'


def _gone() -> Refused:
    return Refused(404, "not_found", "the clip was deleted meanwhile")


def _encoded(
    path: Path, recipe: dict[str, Any], format: str, finish: Finish, quality: float | None
) -> bytes:
    stream, clip = io.BytesIO(), finished(read_clip(path, recipe), finish)
    if format in RAW:
        import soundfile

        clip, subtype = kept(clip), RAW[format]
        samples = pcm16(clip.samples) if format == "pcm" else clip.samples
        soundfile.write(stream, samples, clip.sample_rate, subtype, "LITTLE", "RAW")
    else:
        clip = kept(clip.at_rate_of(FORMATS[f".{format}"]))
        clip.save(stream, format=format, quality=quality)
    return stream.getvalue()


def wav_header(frames: int, sample_rate: int, channels: int) -> bytes:
    """44 bytes ahead of so many frames of 16-bit PCM."""
    size, width = frames * channels * 2, channels * 2
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, channels, sample_rate),
        *(sample_rate * width, width, 16, b"data", size),
    )


def part(header: str | None, size: int) -> tuple[int, int] | None:
    """(begin, end) that a Range header asks for, None for all of it; Refused (416) for what is
    beyond the end. Several parts at once are answered with all, as RFC 9110 allows.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found.groups()
    if max(len(first), len(last)) > 18:
        raise _beyond(size)
    begin = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if begin >= size or begin >= end:
        if first and last and int(last) < int(first):
            return None  # not a range at all
        raise _beyond(size)
    return begin, end


def _beyond(size: int) -> Refused:
    return Refused(
        416, "range", f"there are only {size} bytes", None, {"Content-Range": f"bytes */{size}"}
    )
