"""The sound world: every clip is well formed, and exactly what its caption says."""

import numpy as np
import pytest

from models.training.prompts import EVALUATION_PROMPTS
from models.training.sounds import (
    CLIP_SAMPLES,
    FAMILIES,
    FIRST_ONSET,
    SAMPLE_RATE,
    Sound,
    captions_corpus,
    captions_of,
    make_dataset,
    make_sound,
    note_hz,
    sound_at,
)


def make(family: str, seed: int = 0, seconds: float = 4.0, **key) -> Sound:
    return make_sound(np.random.default_rng(seed), family, key or None, seconds)


def spectrum_peak(audio: np.ndarray) -> float:
    """Strongest frequency in Hz, to about 0.06 Hz."""
    size = 1 << 18
    return float(np.abs(np.fft.rfft(audio * np.hanning(len(audio)), size)).argmax() * SAMPLE_RATE / size)


@pytest.mark.parametrize("family", FAMILIES)
def test_clips_are_well_formed(family: str) -> None:
    for seed in range(4):
        sound = make_sound(np.random.default_rng(seed), family)
        end = round(sound.seconds * SAMPLE_RATE)
        assert sound.audio.shape == (CLIP_SAMPLES,) and sound.audio.dtype == np.float32
        assert np.isfinite(sound.audio).all()
        assert 0.17 <= np.abs(sound.audio).max() <= 0.8  # steady sines lowest: they sound as loud as higher peaks
        assert FAMILIES[family].shortest <= sound.seconds <= 4.0
        assert not sound.audio[end:].any()
        assert abs(sound.audio[end - 1]) < 1e-3  # faded out: no click at the end
        assert abs(sound.audio[0]) < 1e-3 or family == "waves"
        assert sound.family == family and sound.caption in captions_of(family, sound.attributes)


@pytest.mark.parametrize("family", FAMILIES)
def test_captions(family: str) -> None:
    kind = FAMILIES[family]
    for value in kind.values:
        captions = captions_of(family, kind.describe(value))
        assert len(set(captions)) >= 5
        assert not any("{" in caption for caption in captions)


def test_every_caption_means_one_thing() -> None:
    captions = list(captions_corpus())
    assert len(captions) == len(set(captions)) > 1000


def test_caption_names_the_attribute() -> None:
    assert "C#5" in make("tone", note="C#5").caption
    assert "110 bpm" in make("beat", bpm=110).caption
    captions = set(captions_corpus())
    assert {"an A4 sine wave", "a C4 sine wave", "an 80 bpm drum loop", "a 180 bpm drum loop"} <= captions


def test_reproducible_in_any_order() -> None:
    first, again = list(make_dataset(6, seed=3)), list(make_dataset(6, seed=3))
    for one, other in zip(first, again):
        assert one.caption == other.caption and np.array_equal(one.audio, other.audio)
    assert np.array_equal(sound_at(4, seed=3).audio, first[4].audio)
    assert not np.array_equal(sound_at(4, seed=4).audio, first[4].audio)


def test_every_family_is_drawn() -> None:
    assert {sound.family for sound in make_dataset(250, seed=0)} == set(FAMILIES)


def test_equal_temperament() -> None:
    assert note_hz("A4") == 440.0
    assert note_hz("C4") == pytest.approx(261.626, abs=1e-3)
    assert note_hz("C#5") == pytest.approx(554.365, abs=1e-3)
    assert note_hz("B2") == pytest.approx(123.471, abs=1e-3)


@pytest.mark.parametrize("family", ["tone", "bell", "pluck"])
@pytest.mark.parametrize("note", ["C4", "F#4", "A4", "C6"])
def test_pitch_is_exact(family: str, note: str) -> None:
    sound = make(family, note=note)
    assert sound.attributes["hz"] == note_hz(note)
    assert 1200 * abs(np.log2(spectrum_peak(sound.audio) / note_hz(note))) < 2  # cents


@pytest.mark.parametrize("bpm", [60, 110, 180])
def test_tempo_is_exact(bpm: int) -> None:
    """Each click of a metronome starts exactly where it should: silence before, sound after."""
    audio, beat = make("metronome", bpm=bpm).audio, 60 / bpm
    for number in range(int(3.9 / beat)):
        start = round((FIRST_ONSET + number * beat) * SAMPLE_RATE)
        assert np.abs(audio[max(0, start - 80) : start]).max() < 0.01 < np.abs(audio[start : start + 80]).max()


def test_sweeps_go_the_way_they_are_named() -> None:
    for direction, sign in (("rising", 1), ("falling", -1)):
        audio = make("sweep", direction=direction).audio
        start, end = spectrum_peak(audio[:8000]), spectrum_peak(audio[56_000:63_000])
        assert sign * np.log2(end / start) > 2.5  # octaves


def test_evaluation_prompts() -> None:
    assert len(EVALUATION_PROMPTS) == len({prompt.text for prompt in EVALUATION_PROMPTS}) == 40
    assert len({prompt.family for prompt in EVALUATION_PROMPTS}) >= 14
    for prompt in EVALUATION_PROMPTS:
        kind = FAMILIES[prompt.family]
        value = prompt.attributes.get(kind.key)
        assert prompt.seconds == 4.0 and prompt.attributes == kind.describe(value)
        assert prompt.text in captions_of(prompt.family, prompt.attributes)
