"""Notes played by FluidSynth from the General MIDI soundfont of Debian, in stereo.

The same notes give the same samples, whatever was played before: each time by a new synthesiser,
which has no voices of before, in float and without dither, whole blocks at a time. Making one takes
a millisecond, since they share the soundfont.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ctypes import CDLL, POINTER, c_float, c_int, c_void_p
from ctypes.util import find_library
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_audio.errors import EdgeAudioError

from .packages import SOUNDFONT
from .synthesis import sample_rate

BLOCK = 64  # samples; FluidSynth begins and ends notes between these
DRUM_CHANNEL = 9
DRUM_BANK = 128

Preset = tuple[int, int]  # bank, program


@dataclass(frozen=True)
class Note:
    """A key that is held: start and length in seconds, MIDI key number, velocity 1 to 127."""

    start: float
    seconds: float
    key: int
    velocity: int


def key_of(hz: float) -> int:
    """MIDI key number of an equal-tempered frequency in Hz."""
    return round(69 + 12 * np.log2(hz / 440))


def play(preset: Preset, notes: Sequence[Note], count: int, cents: float = 0.0) -> np.ndarray:
    """Float32 [count, 2], dry; `cents` detunes all of it."""
    channel = DRUM_CHANNEL if preset[0] == DRUM_BANK else 0
    blocks = -(-count // BLOCK)
    events: list[tuple[int, int, Note]] = []
    for note in notes:
        begin = round(note.start * sample_rate() / BLOCK)
        end = max(begin + 1, round((note.start + note.seconds) * sample_rate() / BLOCK))
        events += [(begin, 1, note), (end, 0, note)]
    events = sorted((event for event in events if event[0] < blocks), key=lambda event: event[:2])
    pieces, at = [], 0
    with _player(sample_rate()) as (player, font):
        if player.program_select(channel, font, *preset):
            raise EdgeAudioError(f"{SOUNDFONT.used} has no preset {preset}")
        player.pitch_bend(channel, round(cents / 200 * 8191))  # 200 cents to each side
        for block, on, note in events:
            pieces.append(_render(player, block - at))
            at = block
            if on:
                player.noteon(channel, note.key, note.velocity)
            else:
                player.noteoff(channel, note.key)
        pieces.append(_render(player, blocks - at))
    return np.concatenate(pieces)[:count]


def _fluidsynth() -> Any:
    """The module; EdgeAudioError says what to install."""
    try:
        import fluidsynth
    except ImportError as error:
        raise EdgeAudioError(
            f"FluidSynth cannot be used ({error}); apt-get install libfluidsynth3, and pip install"
            " pyfluidsynth"
        ) from None
    return fluidsynth


def _new_player(rate: int) -> Any:
    player = _fluidsynth().Synth(gain=0.5, samplerate=float(rate), channels=16)
    for effect in ("chorus", "reverb"):
        player.setting(f"synth.{effect}.active", 0)
    return player


@functools.cache
def _library() -> Any:
    """Functions of FluidSynth that the Python package does not have. It writes 16 bits only, with a
    dither that goes on from call to call, and loads the soundfont anew for each synthesiser.
    """
    library = CDLL(find_library("fluidsynth"))
    library.fluid_synth_get_sfont_by_id.argtypes = [c_void_p, c_int]
    library.fluid_synth_get_sfont_by_id.restype = c_void_p
    for name in ("fluid_synth_add_sfont", "fluid_synth_remove_sfont"):
        getattr(library, name).argtypes = [c_void_p, c_void_p]
    buffer = [POINTER(c_float), c_int, c_int]
    library.fluid_synth_write_float.argtypes = [c_void_p, c_int, *buffer, *buffer]
    library.fluid_set_log_function(2, None, None)  # warnings: channels that nobody plays on
    return library


@functools.cache
def _font() -> tuple[Any, int]:
    """A player that holds the soundfont, which takes half a second to load, and its address."""
    path = SOUNDFONT.require()
    holder = _new_player(sample_rate())
    number = holder.sfload(str(path))
    return holder, _library().fluid_synth_get_sfont_by_id(holder.synth, number)


@contextmanager
def _player(rate: int) -> Iterator[tuple[Any, int]]:
    """A new player, and its number of the soundfont."""
    _, font = _font()
    player = _new_player(rate)
    number = _library().fluid_synth_add_sfont(player.synth, font)
    try:
        yield player, number
    finally:
        player.all_sounds_off(-1)
        _library().fluid_synth_remove_sfont(player.synth, font)
        player.delete()


def _render(player: Any, blocks: int) -> np.ndarray:
    """Float32 [blocks * BLOCK, 2]."""
    samples = np.zeros((blocks * BLOCK, 2), np.float32)
    if blocks:
        at = samples.ctypes.data_as(POINTER(c_float))
        _library().fluid_synth_write_float(player.synth, len(samples), at, 0, 2, at, 1, 2)
    return samples
