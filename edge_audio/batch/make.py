"""One unit made: generated, judged, finished, written, and told as a record. What every worker
runs, on this computer or on a cluster's.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import io
import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_audio.audio.clip import Clip
from edge_audio.audio.finish import Finish, finished
from edge_audio.batch.job import Job, Lora, Unit
from edge_audio.batch.journal import Record
from edge_audio.batch.ogg import with_serial
from edge_audio.batch.place import STATE, Place
from edge_audio.errors import EdgeAudioWarning
from edge_audio.evaluate.metrics import FLOOR, mel_filters
from edge_audio.evaluate.metrics import MEL_WINDOW as WINDOW
from edge_audio.pipeline import Pipeline

if TYPE_CHECKING:
    from edge_audio.batch.wanted import Wanted
    from edge_audio.listening import Verdict

#: steps in time and bands of the picture by which near-duplicates are found
PICTURE = (16, 16)
#: folder of the state where sounds wait for their shard
STAGED = f"{STATE}/sounds"


class Maker:
    """Makes units, one after the other. The model stays open with the styles of the last one."""

    def __init__(self, job: Job, pipeline: Pipeline, place: Place):
        self.job, self.pipeline, self.place = job, pipeline, place
        self.lora = job.lora
        self.finish = Finish(**job.finish)

    def make(self, unit: Unit) -> tuple[Record, bytes]:
        """The record of a unit and the bytes of its file; EdgeAudioError if it cannot be made."""
        self._restyle(self.job.lora if unit.lora is None else unit.lora)
        clip, verdict, attempts = self._chosen(unit)
        if verdict is None and unit.wanted is not None:
            verdict = _heard(clip, unit.wanted)
        picture = pictured(clip)
        # which tells how it was computed and not what: it may differ from run to run
        recipe = {name: value for name, value in clip.recipe.items() if name != "threads"}
        clip = finished(dataclasses.replace(clip, recipe=recipe), self.finish)
        stream = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EdgeAudioWarning)  # the record tells the gain
            clip.save(stream, format=self.job.format, quality=self.job.quality)
        data = stream.getvalue()
        if data.startswith(b"OggS"):
            data = with_serial(data, int(unit.id[:8], 16))
        levels = {
            name: round(value, 4) for name, value in dataclasses.asdict(clip.levels()).items()
        }
        record = {
            "unit": unit.key,
            "file": f"{unit.stem}{self.job.extension}",
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "seed": clip.recipe["seed"],
            "seconds": round(clip.seconds, 6),
            "sample_rate": clip.sample_rate,
            "channels": clip.samples.shape[1],
            "levels": levels,
            "gain": clip.gain,
            "notes": [note.text for note in clip.notes],
            "attempts": attempts,
            "passed": None if verdict is None else verdict.passed,
            "measured": None if verdict is None else verdict.measured,
            "expected": None if verdict is None else verdict.expected,
            "settings": settings_of(recipe),
            "picture": picture,
        }
        return record, data

    def write(self, record: Record, data: bytes) -> None:
        """Put a unit's file into its place; OSError as the system has it."""
        self.place.write(where(self.job, record), data)

    def _restyle(self, lora: Lora) -> None:
        """Open the model with other styles, if it does not have them."""
        if lora != self.lora:
            job = dataclasses.replace(self.job, lora=lora)
            restyled = job.open(self.pipeline.threads, self.pipeline.model.memory)
            self.pipeline.close()
            self.pipeline, self.lora = restyled, lora

    def _chosen(self, unit: Unit) -> tuple[Clip, Verdict | None, int]:
        """The first take that passes, else the first of all; and how many were made."""
        first: tuple[Clip, Verdict] | None = None
        for attempt in range(max(1, self.job.attempts)):
            clip = self.pipeline.generate(**{**unit.ask, "seed": unit.seed(self.job.seed, attempt)})
            if not self.job.attempts or unit.wanted is None:
                return clip, None, 1
            verdict = _heard(clip, unit.wanted)
            if verdict.passed:
                return clip, verdict, attempt + 1
            first = first or (clip, verdict)
        assert first is not None  # there was an attempt
        return *first, self.job.attempts


def _heard(clip: Clip, wanted: Wanted) -> Verdict:
    from edge_audio.listening import check  # most of what a worker would import at its start

    return check(clip.samples, clip.sample_rate, *wanted)


def where(job: Job, record: Record) -> str:
    """A unit's file, relative to the run's place."""
    return f"{STAGED}/{record['file']}" if job.shard_size else str(record["file"])


def settings_of(recipe: dict[str, Any]) -> dict[str, Any]:
    """What of a recipe is not the same for all of a run, or told elsewhere in a record."""
    same = ("edge_audio", "model", "bundle_sha256", "precision", "half", "gain", "prompt", "seed")
    return {
        name: value
        for name, value in recipe.items()
        if name not in same and value not in (None, [], False)
    }


def pictured(clip: Clip) -> str:
    """A small log-mel spectrogram, base64 of uint8 PICTURE: half decibels above 80 dB below the
    loudest, whatever the length and the level of a clip.

    Half as many windows as `log_mel` has, in float32: a tenth of its time, and as near to those of
    the same sound shifted, filtered or in noise, and as far from those of other takes.
    """
    import scipy.fft

    steps, bands = PICTURE
    mono = np.pad(clip.samples.mean(axis=1, dtype=np.float32), WINDOW // 2)
    count = steps * max(8, math.ceil(2 * len(mono) / WINDOW / steps))
    starts = np.linspace(0, len(mono) - WINDOW, count).astype(int)
    windows = np.lib.stride_tricks.sliding_window_view(mono, WINDOW)[starts]
    hann, filters = _filters(clip.sample_rate)
    power = np.abs(scipy.fft.rfft(windows * hann)) ** 2 @ filters
    mel = 10 * np.log10(np.maximum(power, 1e-12))
    mel = np.maximum(mel - mel.max(), -FLOOR)
    pooled = mel.reshape(steps, count // steps, bands, -1).mean(axis=(1, 3))
    values = np.clip(np.rint(2 * (pooled + FLOOR)), 0, 255).astype(np.uint8)
    return base64.b64encode(values.tobytes()).decode()


@functools.lru_cache
def _filters(sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """A window, and what makes its spectrum's power that of mel bands: float32."""
    hann = np.hanning(WINDOW + 1)[:-1]
    filters = mel_filters(sample_rate).T / hann.sum() ** 2
    return hann.astype(np.float32), filters.astype(np.float32)
