"""When playing may begin, and that what is played is what came.

The players themselves are in test_cli.py.
"""

import threading

import numpy as np
import pytest

from edge_audio.audio import play
from edge_audio.errors import EdgeAudioError


class Sink:
    def __init__(self, *settings):
        self.settings, self.heard, self.closed = settings, [], False

    def write(self, block):
        self.heard.append(block)

    def close(self):
        self.closed = True

    def stop(self):
        self.stopped = True


@pytest.fixture
def sinks(monkeypatch):
    made = []
    monkeypatch.setattr(play, "_Pipe", lambda *settings: made.append(Sink(*settings)) or made[-1])
    return made


@pytest.mark.parametrize(
    "ready, total, made, elapsed, expected",
    [
        (1, 10, 0, 0, False),  # one block is there: nobody knows how fast the next ones come
        (2, 10, 1, 0.5, True),  # twice as fast as playing
        (2, 10, 1, 1.0, True),
        (2, 10, 1, 2.0, False),  # half as fast: five and a half seconds must be there to begin with
        (5.4, 10, 4.4, 8.8, False),
        (5.5, 10, 4.5, 9.0, True),
        (10, 10, 0, 0, True),  # all of it
    ],
)
def test_may_begin(ready, total, made, elapsed, expected):
    assert play.may_begin(ready, total, made, elapsed) is expected


def test_playing_never_runs_dry_when_begun_so():
    """Simulated: blocks of a second, slower than playing.

    A moment earlier would have been too early.
    """
    total, block_time = 20, 1.7
    times = [block_time * n for n in range(total)]  # block n is ready then
    begin = next(times[n] for n in range(total) if play.may_begin(n + 1, total, n, times[n]))
    assert all(times[n] <= begin + n for n in range(total))
    assert not all(times[n] <= begin - block_time + n for n in range(total))


def test_blocks_arrive_in_order_and_clipped(sinks):
    playback = play.Playback(64, 1, "aplay")
    blocks = [np.full((4, 1), value, np.float32) for value in (0.5, -3.0, 0.1)]
    for left, block in zip((8, 4, 0), blocks):
        playback(block, left)
    playback.finish()
    assert sinks[0].settings == ("aplay", 64, 1) and sinks[0].closed
    assert (
        np.concatenate(sinks[0].heard)[:, 0].tolist()
        == [0.5] * 4 + [-1.0] * 4 + [np.float32(0.1)] * 4
    )


def test_a_sink_that_breaks_is_told_at_the_end(sinks, monkeypatch):
    def broken(self, block):
        raise OSError("no such device")

    monkeypatch.setattr(Sink, "write", broken)
    playback = play.Playback(64, 1, "aplay")
    playback(np.zeros((4, 1), np.float32), 4)
    playback(np.zeros((4, 1), np.float32), 0)
    with pytest.raises(
        EdgeAudioError, match=r"aplay could not play it \(no such device\); check the sound output"
    ):
        playback.finish()


class SlowToOpen(Sink):
    """Not open before `opened` is set; `opening` says that it is about to be."""

    opening, opened = threading.Event(), threading.Event()

    def __init__(self, *settings):
        super().__init__(*settings)
        self.opening.set()
        self.opened.wait(5)


def test_stop_before_the_sink_is_open_plays_nothing(monkeypatch):
    made = []
    monkeypatch.setattr(
        play, "_Pipe", lambda *settings: made.append(SlowToOpen(*settings)) or made[-1]
    )
    playback = play.Playback(64, 1, "aplay")
    for left in (8, 4, 0):
        playback(np.zeros((4, 1), np.float32), left)
    assert SlowToOpen.opening.wait(5)
    threading.Timer(0.1, SlowToOpen.opened.set).start()
    playback.stop()
    playback._thread.join(5)
    assert not playback._thread.is_alive() and made[0].heard == [] and made[0].stopped


def test_stop_drops_what_is_queued(sinks, monkeypatch):
    """The first block is being played when it comes."""
    playing, silent = threading.Event(), threading.Event()

    def write(self, block):
        self.heard.append(block)
        playing.set()
        silent.wait(5)

    monkeypatch.setattr(Sink, "write", write)
    monkeypatch.setattr(Sink, "stop", lambda self: silent.set())
    playback = play.Playback(64, 1, "aplay")
    for left in (8, 4, 0):
        playback(np.zeros((4, 1), np.float32), left)
    assert playing.wait(5)
    playback.stop()
    playback._thread.join(5)
    assert len(sinks[0].heard) == 1 and not sinks[0].closed


def test_stop_without_a_sound():
    playback = play.Playback(64, 1, "aplay")
    playback.stop()
    playback._thread.join(5)
    assert not playback._thread.is_alive()
