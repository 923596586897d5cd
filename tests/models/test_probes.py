"""What is measured of a model itself tells a good one from a bad one."""

from pathlib import Path

import numpy as np
import pytest

from edge_audio import Clip, Pipeline
from edge_audio.errors import EdgeAudioError
from edge_audio.evaluate.prompts import Prompt
from models.training.checked import LEVELS, CheckedClip, well_levelled
from models.training.design import of_model
from models.training.probes import floors, heard_of, likeness, softest, sound_like
from models.training.sounds import FIRST, world_at

POCKET = Path(__file__).parents[2] / "models" / "pocket"
RATE = FIRST.sample_rate
CLICK = Prompt("a click", FIRST.full_seconds, "click")
RAIN = Prompt("rain", FIRST.full_seconds, "rain")


def checked(prompt: Prompt, samples: np.ndarray) -> CheckedClip:
    return CheckedClip(prompt, 1, Clip(samples.astype("float32"), RATE), None)


def noise(dbfs: float, seconds: float = 2.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    return 10 ** (dbfs / 20) * rng.standard_normal((round(seconds * RATE), 1))


def test_sounds_of_a_prompt_are_always_the_same_and_differ_by_seed():
    one, same, other = (heard_of(sound_like(RAIN, seed, FIRST), FIRST) for seed in (1, 1, 2))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    assert one.shape[1] == 1


def test_the_softest_tenth_is_what_lies_below_a_sound():
    hum = noise(-50)
    hum[: RATE // 10] += noise(-10)[: RATE // 10]
    assert softest(hum, RATE) == pytest.approx(-50, abs=1)


def test_a_floor_is_that_of_sounds_that_fall_silent():
    clips = [checked(CLICK, noise(-70)), checked(RAIN, noise(-20)), checked(CLICK, noise(-45))]
    assert floors(clips, FIRST) == pytest.approx([-70, -45], abs=1)


def test_sounds_are_liker_their_own_kind_than_noise_is():
    pipeline = Pipeline.load(POCKET, "int8", memory="all")
    sounds = [
        checked(prompt, heard_of(sound_like(prompt, 100 + seed, FIRST), FIRST))
        for prompt in (CLICK, RAIN)
        for seed in range(2)
    ]
    hisses = [checked(prompt, noise(-20)) for prompt in (CLICK, CLICK, RAIN, RAIN)]
    (near, coded), (far, again) = (likeness(clips, pipeline, FIRST) for clips in (sounds, hisses))
    assert near < far / 2 and coded == again < far


@pytest.mark.parametrize(("dbfs", "expected"), [(-35, False), (-20, True), (-8, False)])
def test_levels_have_bounds(dbfs, expected):
    assert well_levelled(checked(RAIN, noise(dbfs))) is expected, LEVELS


def test_strangers_are_refused():
    with pytest.raises(EdgeAudioError, match="the sizes of no pocket model"):
        of_model({"model_type": "diffusion_cond"})
    with pytest.raises(EdgeAudioError, match="no sound world has 8000 Hz"):
        world_at(8000)
