"""Sound of any length, edited by a model that makes a few seconds: window by window, each of which
is an ordinary session that keeps what is around.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np

from edge_audio.audio.source import Source
from edge_audio.bundle.manifest import Manifest
from edge_audio.model.model import Model
from edge_audio.sampling.samplers import Noise
from edge_audio.session import Block, Event, Session, Watch
from edge_audio.settings import Settings

#: of the model's length: what a window keeps of the sound beside what it makes, if there is as
#: much; and what it makes but leaves to the next one, since it sounds like an end
CONTEXT, TAIL = 3 / 8, 1 / 8


@dataclass(frozen=True)
class Window:
    """Frames [start, stop) of a sound, of which those in [begin, end) are made."""

    start: int
    stop: int
    begin: int
    end: int


def plan(frames: int, regions: list[tuple[int, int]], longest: int, step: int) -> list[Window]:
    """Windows of at most `longest` frames, a multiple of `step`, that make the regions of a sound
    of `frames`, in the order in which they must run.

    A region is made from its beginning on; one that begins the sound from its end, which is all
    that is known. It begins where a latent of `step` frames does, so that no latent is half known.
    """
    windows = []
    for begin, end in regions:
        backwards = begin < step and end < frames
        windows += list((_backwards if backwards else _forwards)(frames, begin, end, longest, step))
    return windows


def windows_of(settings: Settings, manifest: Manifest) -> list[Window]:
    """The windows that a model makes of settings that are windowed."""
    step = manifest.latent.downsampling
    longest = manifest.latent.length * step
    return plan(settings.frames(manifest), settings.regions(manifest), longest, step)


def _forwards(frames: int, begin: int, end: int, longest: int, step: int) -> Iterator[Window]:
    context, tail = (round(longest * share / step) * step for share in (CONTEXT, TAIL))
    while True:
        room = longest - (end - begin)
        if room >= min(begin, context) + min(frames - end, context):  # the last: half to each side
            after = min(frames - end, room - min(begin, room // 2))
            before = min(begin, room - after) // step * step
            yield Window(begin - before, end + after, begin, end)
            return
        start = begin - min(begin, context) // step * step
        stop = start + longest
        yield Window(start, stop, begin, min(end, stop))
        if stop - tail >= end:
            return
        begin = stop - tail


def _backwards(frames: int, begin: int, end: int, longest: int, step: int) -> Iterator[Window]:
    context, tail = (round(longest * share / step) * step for share in (CONTEXT, TAIL))
    while end > longest - min(frames - end, context):
        stop = end + min(frames - end, context)
        yield Window(stop - longest, stop, max(begin, stop - longest), end)
        end = stop - longest + tail
    yield Window(0, min(frames, longest), begin, end)


class WindowedSession(Session):
    """The making of a clip that `Settings.is_windowed`: a sound with regions made anew, of any
    length. Has no `latents`: each window has its own.
    """

    def __iter__(self) -> Generator[Event, None, None]:
        settings, manifest = self.settings, self.model.manifest
        frames, windows = settings.frames(manifest), windows_of(settings, manifest)
        sound = self._known(frames)
        # reached: up to which frame the clip was given out
        reached = 0
        for index, window in enumerate(windows):
            part = self._part(window, sound)
            blocks = []
            for event in part:
                if isinstance(event, Block):
                    blocks.append(event.samples)
                else:
                    yield event
            sound[window.start : window.stop] = np.concatenate(blocks)
            self._remember(part)
            settled = min([one.begin for one in windows[index + 1 :]], default=frames)
            if settled > reached:
                yield Block(sound[reached:settled].copy(), frames - settled)
                reached = settled

    def _known(self, frames: int) -> np.ndarray:
        """The sound, float32 [frames, channels]: where it is still to be made, the mirrored one, so
        that latents beside it do not hear a silence that will not be there.
        """
        manifest, settings = self.model.manifest, self.settings
        assert settings.init is not None  # nothing else has regions
        before = round(settings.extend_before * manifest.sample_rate)
        given = settings.init.at(manifest.sample_rate, manifest.channels, frames - before)
        after = frames - before - len(given)
        around = [(before, after), (0, 0)]
        if settings.extend or settings.extend_before:
            return np.pad(given, around, mode="symmetric")
        return np.pad(given, around)

    def _part(self, window: Window, sound: np.ndarray) -> Session:
        rate = self.model.manifest.sample_rate
        samples = sound[window.start : window.stop]
        region = ((window.begin - window.start) / rate, (window.end - window.start) / rate)
        settings = dataclasses.replace(
            self.settings,
            seconds=len(samples) / rate,
            init=Source("window", "", rate, samples),
            replace=(region,),
            extend=0.0,
            extend_before=0.0,
        )
        return Session(self.model, settings, self.noise, self.watch)

    def _remember(self, part: Session) -> None:
        """What a part noted and took, as the clip's."""
        known = {note.text for note in self.notes}
        self.notes += [note for note in part.notes if note.text not in known]
        for name, seconds in part.timings.items():
            self.timings[name] = self.timings.get(name, 0.0) + seconds


def session_for(
    model: Model, settings: Settings, noise: Noise | None = None, watch: Watch | None = None
) -> Session:
    """The session that makes a clip of these settings."""
    kind = WindowedSession if settings.is_windowed(model.manifest) else Session
    return kind(model, settings, noise, watch)
