"""What one model's thread does: it opens the model, and makes the clips of job after job."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import gc
import logging
import sys
import threading
import time
from typing import Any

import numpy as np

from edge_audio.audio.clip import Clip
from edge_audio.bundle.precision import recommended
from edge_audio.errors import EdgeAudioError
from edge_audio.pipeline import Cancelled, Pipeline
from edge_audio.serve.config import ServeConfig
from edge_audio.serve.history import History
from edge_audio.serve.jobs import DONE, FAILED, RUNNING, Blocks, Job, command
from edge_audio.serve.metrics import Metrics
from edge_audio.serve.models import Entry, public
from edge_audio.serve.styles import Styles
from edge_audio.session import Progress
from edge_audio.system import device

_log = logging.getLogger("edge_audio.serve")
#: columns of the waveform that clients draw
PEAKS = 400
#: the stage in which a clip is written
ENCODE = "encode"


class Worker:
    """A model at work. `run` and `load` may be called by several threads, and take turns."""

    def __init__(self, config: ServeConfig, history: History, metrics: Metrics, styles: Styles):
        self._config, self._history, self._metrics = config, history, metrics
        self._styles = styles
        self._turn = threading.Lock()
        self._pipeline: Pipeline | None = None
        #: the bundle, precisions and styles of that
        self._opened: tuple[object, ...] | None = None

    @property
    def is_loaded(self) -> bool:
        """Whether the model is open."""
        return self._pipeline is not None

    def load(self, entry: Entry) -> None:
        """Open the model and all of its graphs, as far as the budget keeps them."""
        with self._turn, self._open(entry).model.lease() as lease:
            for component in self._open(entry).precision:
                lease.graph(component)

    def unload(self) -> None:
        """Leave memory."""
        with self._turn:
            if self._pipeline is not None:
                self._pipeline.close()
            self._pipeline = self._opened = None
            gc.collect()
            _give_back()

    def run(self, job: Job, entry: Entry) -> None:
        """Make a job's clips. Whatever happens, it is over then, and the next one works."""
        error: dict[str, str] | None = None
        state = DONE
        job.state, job.position, job.started = RUNNING, None, time.time()
        try:
            with self._turn:
                pipeline = self._open(entry, job)
                for index in range(job.order.variations):
                    self._make(job, index, pipeline)
        except Cancelled:
            state = job.stopped_as
        except EdgeAudioError as problem:
            state, error = (
                FAILED,
                {"code": "failed", "message": self._styles.public(public(problem, entry))},
            )
        except MemoryError:
            text = "there is not enough memory for it; ask for fewer seconds, or try again later"
            state, error = FAILED, {"code": "out_of_memory", "message": text}
        except Exception:
            _log.exception("job %s", job.id)
            text = "the server failed at it; its log says more"
            state, error = FAILED, {"code": "internal", "message": text}
        end(job, state, self._history, self._metrics, error)

    def _open(self, entry: Entry, job: Job | None = None) -> Pipeline:
        """The model in the precision and with the styles that a job wants; another one leaves
        memory first.
        """
        precision = (job and job.order.precision) or self._config.precision
        chosen = entry.bundle.choose(precision, recommended(device.describe()).preferred)
        named = job.order.lora if job else ()
        styles = self._styles.chosen(entry.bundle, [name for name, _ in named])
        lora = [(style, strength) for style, (_, strength) in zip(styles, named)]
        hashes = tuple((style.adapter.sha256, strength) for style, strength in lora)
        wanted = entry.bundle.sha256, tuple(chosen.items()), hashes

        def on_progress(progress: Progress) -> bool:
            if job is not None:
                _show(job, 0, progress.stage, progress.step, progress.steps)
            return job is None or not job.is_stopping

        if self._pipeline is None or self._opened != wanted:
            if self._pipeline is not None:
                self._pipeline.close()
                self._pipeline = self._opened = None
            self._pipeline = Pipeline.load(
                entry.bundle.folder,
                chosen,
                self._config.threads,
                memory=self._config.memory,
                lora=[(style.path, strength) for style, strength in lora],
                progress=on_progress,
            )
            self._opened = wanted
        return self._pipeline

    def _make(self, job: Job, index: int, pipeline: Pipeline) -> None:
        manifest = pipeline.bundle.manifest
        settings = dataclasses.replace(job.settings, seed=job.settings.seed + index)
        frames = settings.frames(manifest)
        stream = Blocks(frames, manifest.sample_rate, manifest.channels)
        job.streams[index] = stream

        def on_progress(progress: Progress) -> bool:
            _show(job, index, progress.stage, progress.step, progress.steps)
            return not job.is_stopping

        def on_block(samples: np.ndarray, left: int) -> None:
            stream.add(samples)
            job.emit("block", {"clip": index, "frames": len(samples), "left": left})

        if job.is_stopping:
            raise Cancelled("cancelled")
        start = time.perf_counter()
        clip = pipeline.generate(settings, progress=on_progress, on_block=on_block)
        self._metrics.made(job.model, clip.seconds, time.perf_counter() - start)
        self._keep(job, index, clip)

    def _keep(self, job: Job, index: int, clip: Clip) -> None:
        _show(job, index, ENCODE, 0, 1)
        entry = describe(clip, index, job)
        # the event after the next says that the clip is there
        self._history.add(job, index, clip, entry, job.next_event + 1)
        _show(job, index, ENCODE, 1, 1)
        job.clips.append(entry)
        job.notes += [note for note in entry["notes"] if note not in job.notes]
        job.emit("clip", entry)
        job.streams.pop(index, None)


def end(
    job: Job,
    state: str,
    history: History,
    metrics: Metrics,
    error: dict[str, str] | None = None,
) -> None:
    """A job is over: its row says so first, then those who listen are told."""
    job.finished, job.error, job.progress = time.time(), error, None
    metrics.ended(job.model, state)
    try:
        history.end(job, state, job.next_event)
    except EdgeAudioError as problem:
        _log.error("job %s: %s", job.id, problem)
    job.state = state
    job.emit(state, job.view())
    job.streams.clear()


def describe(clip: Clip, index: int, job: Job) -> dict[str, Any]:
    """A clip as clients see it, ready for JSON."""
    seed = clip.recipe["seed"]
    return {
        "index": index,
        "seed": seed,
        "seconds": clip.seconds,
        "frames": len(clip.samples),
        "sample_rate": clip.sample_rate,
        "channels": clip.samples.shape[1],
        "levels": dataclasses.asdict(clip.levels()),
        "notes": [dataclasses.asdict(note) for note in clip.notes],
        "recipe": clip.saved_recipe,
        "command": command(job.asked, job.model, seed),
        "peaks": peaks(clip.samples),
    }


def peaks(samples: np.ndarray, count: int = PEAKS) -> list[list[float]]:
    """The least and the largest sample of each of `count` parts of [frames, channels]."""
    low, high = samples.min(axis=1), samples.max(axis=1)
    count = min(count, len(low))
    starts = np.linspace(0, len(low), count, endpoint=False).astype(int)
    both = np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)
    return [[round(float(a), 4), round(float(b), 4)] for a, b in zip(*both)]


def _show(job: Job, index: int, stage: str, step: int, steps: int) -> None:
    job.progress = {"clip": index, "stage": stage, "step": step, "steps": steps}
    begun = {"clip": index, "stage": stage, "steps": steps}
    if step == 0:
        job.emit("stage", begun)
    else:
        job.emit("step", {**begun, "step": step})


def _give_back() -> None:
    """glibc keeps freed memory for itself; ask it to hand it to the system."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
