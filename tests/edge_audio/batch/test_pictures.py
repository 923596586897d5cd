"""Near-duplicates are found by small pictures of sounds."""

import base64

import numpy as np
import pytest

from edge_audio import Clip
from edge_audio.batch.make import PICTURE, pictured
from edge_audio.batch.report import near_duplicates

RATE = 16000


def rising(seconds, low=300, high=3000, rate=RATE):
    """A tone that rises and fades, in a little noise."""
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * (low * time + (high - low) * time**2 / (2 * seconds))
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(time))
    return ((np.sin(phase) + noise) * np.exp(-2 * time / seconds))[:, None].astype(np.float32)


def picture(samples, rate=RATE):
    return np.frombuffer(base64.b64decode(pictured(Clip(samples, rate, {}, {}))), np.uint8)


@pytest.mark.parametrize("seconds", [4, 47])
def test_the_same_sound_is_near_and_another_is_not(seconds):
    sound = rising(seconds)
    noise = 0.0003 * np.random.default_rng(1).standard_normal(sound.shape).astype(np.float32)
    sounds = {
        "sound": sound,
        "quieter": 0.5 * sound,
        "later": np.roll(sound, RATE // 100, axis=0),
        "in noise": sound + noise,
        "stereo": np.concatenate([sound, sound], axis=1),
        "higher": rising(seconds, 600, 6000),
        "falling": sound[::-1],
    }
    count, pairs = near_duplicates(list(sounds), [picture(samples) for samples in sounds.values()])
    same = ("sound", "quieter", "later", "in noise", "stereo")
    assert {frozenset(pair[1:]) for pair in pairs} == {
        frozenset((a, b)) for a in same for b in same if a != b
    }
    assert count == len(pairs) == 10


def test_every_clip_has_a_picture():
    for length in (1, 500, 1024, 5000):
        assert picture(np.ones((length, 1), np.float32)).shape == (PICTURE[0] * PICTURE[1],)
