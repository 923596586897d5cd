"""A folder of one's own sounds as a training set: audio files, and what each of them is called.

Captions stand in `captions.csv` (a line `file,caption` each, with or without such a heading) or in
a text file beside the sound (`bark.wav`, `bark.txt`). What cannot be used is named with its reason,
and the rest is used.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from math import gcd
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from edge_audio.errors import EdgeAudioError, first_line

from .data import Clips, Sounds, as_int16, tokenize
from .design import Design

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff")
CAPTIONS = "captions.csv"
#: seconds of a file; longer ones are recordings of many sounds, which one caption does not describe
LONGEST = 60.0
#: peak below which there is nothing to learn
SILENT = 1e-3
#: what every sound is brought to, as the model has learnt them
PEAK = 0.56

Say = Callable[[str], None]


def read_folder(design: Design, folder: Path, tokenizer: Path, say: Say) -> Clips:
    """All sounds that can be used, at the model's rate and with its channels, cut to the length of
    a clip.

    `say` gets a line for every file that is left out, or not used as it is. EdgeAudioError if
    nothing is left.
    """
    if not folder.is_dir():
        raise EdgeAudioError(f"{folder} is not a folder; give one with sounds and {CAPTIONS}")
    rate, longest = design.world.sample_rate, design.world.clip_samples
    known, audio, captions, seconds = _captions(folder, say), [], [], []
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
        name = str(path.relative_to(folder))
        try:
            caption = _caption(path, known.pop(name, None))
            samples = _samples(path, design)
        except ValueError as reason:
            say(f"{name}: left out, {reason}")
            continue
        if len(samples) > longest:
            say(
                f"{name}: has {len(samples) / rate:.1f} s, only the first {longest / rate:.1f} are"
                " used"
            )
        length = min(len(samples), longest)
        heard = samples[:length] * (PEAK / np.abs(samples[:length]).max())
        audio.append(as_int16(heard, length / rate, rate))
        captions.append((caption,))
        seconds.append(length / rate)
    for name in known:
        say(f"{name}: named in {CAPTIONS}, but there is no such sound")
    if not audio:
        raise EdgeAudioError(
            f"{folder} has no sound that can be used; put sounds there ({', '.join(SUFFIXES)}),"
            f" each with a caption in {CAPTIONS} or in a .txt beside it"
        )
    ids, mask = tokenize(tokenizer, captions, design.max_tokens)
    for (caption,) in dict.fromkeys(captions):
        if tokenize(tokenizer, [(caption,)], design.max_tokens)[1].all():
            say(
                f"caption {caption[:40]!r} is as long as the model reads, or longer; what is beyond"
                " is cut"
            )
    return Clips(Sounds.of(audio), captions, ids, mask, np.array(seconds))


def _captions(folder: Path, say: Say) -> dict[str, str]:
    """File -> caption, as CAPTIONS has it."""
    path, found = folder / CAPTIONS, {}
    if not path.exists():
        return found
    try:
        rows = list(csv.reader(path.read_text("utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EdgeAudioError(
            f"{path} cannot be read ({first_line(error)}); save it as UTF-8, a line `file,caption`"
            " each"
        ) from None
    for number, row in enumerate(rows, 1):
        if not row or [cell.strip().lower() for cell in row[:2]] == ["file", "caption"]:
            continue
        if len(row) < 2:
            say(f"{CAPTIONS}, line {number}: has no caption, write file,caption")
        else:
            found[row[0].strip()] = ",".join(row[1:]).strip()
    return found


def _caption(path: Path, listed: str | None) -> str:
    """ValueError says why there is none."""
    beside = path.with_suffix(".txt")
    if listed is None and beside.exists():
        try:
            listed = " ".join(beside.read_text("utf-8-sig").split())
        except (OSError, UnicodeDecodeError):
            raise ValueError(f"{beside.name} is not UTF-8 text") from None
    if not listed:
        raise ValueError(
            "its caption is empty"
            if listed == ""
            else f"it has no caption in {CAPTIONS}, and no {beside.name}"
        )
    return listed


def _samples(path: Path, design: Design) -> np.ndarray:
    """At the model's rate and with its channels, float64 [samples, channels]; ValueError says why
    not.
    """
    wanted, longest = design.world.sample_rate, design.world.clip_samples
    try:
        samples, rate = soundfile.read(path, always_2d=True)
    except (RuntimeError, OSError) as error:
        raise ValueError(f"it cannot be read ({first_line(error)})") from None
    if len(samples) / rate > LONGEST:
        raise ValueError(
            f"it has {len(samples) / rate:.0f} s; cut it into single sounds of at most {LONGEST:g}"
        )
    if samples.shape[1] != design.world.channels:
        mono = samples.mean(axis=1, keepdims=True)
        samples = np.repeat(mono, design.world.channels, axis=1)
    if rate != wanted and len(samples):
        divisor = gcd(rate, wanted)
        samples = resample_poly(samples, wanted // divisor, rate // divisor)
    if not np.isfinite(samples).all():
        raise ValueError("it has samples that are not numbers")
    if len(samples) == 0 or np.abs(samples[:longest]).max() < SILENT:
        raise ValueError(
            "it is silent" if len(samples) <= longest else "it begins with silence; cut that off"
        )
    return samples
