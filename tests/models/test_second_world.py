"""The second sound world: what its captions say, and, where the Debian packages are installed, what
its clips are.
"""

import numpy as np
import pytest

from edge_audio.errors import EdgeAudioError
from edge_audio.listening import check, checks_of
from models.training.sounds import FIRST, by_name, kits, orchestra, packages, recorded
from models.training.sounds.second import PEAK, SECOND, TAKES, frames, sounding_dbfs
from models.training.sounds.synthesis import studio
from models.training.sounds.world import captions, forms_of, named_slots, without_article
from models.training.sounds.worlds import World

MISSING = packages.missing()
needs_packages = pytest.mark.skipif(bool(MISSING), reason="; ".join(MISSING) or "here")
FAMILIES = SECOND.families
# Of each way of making sounds, one or two; the whole world takes a minute.
SOME = "laser explosion bell rain applause".split()
PLAYED = "piano strings guitar_chord flute_scale harp_arpeggio snare beat".split()
RECORDED = "tabla cinematic".split()


def every_caption(name: str, attributes: dict) -> list[str]:
    return SECOND.captions_of(name, attributes) + SECOND.casual_captions_of(name, attributes)


def some_combinations(name: str) -> list[dict]:
    every = FAMILIES[name].combinations()
    return every[:: max(1, len(every) // 3)]


def test_worlds_by_name() -> None:
    assert by_name("first") is FIRST and by_name("second") is SECOND
    with pytest.raises(ValueError, match="choose one of first, second"):
        by_name("third")


def test_there_are_enough_families() -> None:
    instruments = [name for name, kind in orchestra.FAMILIES.items() if "note" in kind.slots]
    assert len(FAMILIES) >= 90 and len(instruments) >= 40
    assert len(FIRST.families) == 48


@pytest.mark.parametrize("name", FAMILIES)
def test_wordings(name: str) -> None:
    kind = FAMILIES[name]
    assert len(set(kind.phrasings)) >= 5 and len(set(kind.held_out)) >= 2 and len(kind.names) >= 3
    assert kind.usual_combinations()
    # a name is read as a phrasing that says everything
    assert any(set(named_slots(template)) == set(kind.slots) for template in kind.phrasings)
    for attributes in some_combinations(name):
        learnt = {without_article(caption) for caption in every_caption(name, attributes)}
        held_out = {
            without_article(caption)
            for template in kind.held_out
            for caption in captions(kind, template, attributes)
        }
        assert held_out and not held_out & learnt


def test_every_caption_means_one_thing() -> None:
    """Of no caption can it be doubted which family is meant, nor which values."""
    meanings: dict[str, set] = {}
    for name, kind in FAMILIES.items():
        for attributes in some_combinations(name):
            for template in kind.phrasings + kind.casual + kind.held_out:
                named = tuple((slot, attributes[slot]) for slot in sorted(named_slots(template)))
                for caption in captions(kind, template, attributes):
                    meanings.setdefault(caption, set()).add((name, named))
        for form in (form for spoken in kind.names for form in forms_of(spoken)):
            meanings.setdefault(form, set()).add((name, ()))
    assert len(meanings) > 2000
    assert not {caption: meaning for caption, meaning in meanings.items() if len(meaning) > 1}


def test_no_note_of_an_instrument_is_held_out() -> None:
    """Only combinations are: what was never heard softly was heard loudly."""
    for name, kind in orchestra.FAMILIES.items():
        trained = kind.trained_combinations()
        assert kind.held_out_combinations(), name
        for slot, values in kind.slots.items():
            assert {choice[slot] for choice in trained} == set(values), (name, slot)


def test_pitch_and_length_of_effects_can_be_asked_for() -> None:
    chosen = FAMILIES["laser"].complete({"shots": "one", "register": "high", "length": "short"})
    said = every_caption("laser", chosen)
    assert "a short high laser zap" in said and "a high laser" in said
    assert not any("low" in caption.split() or "long" in caption.split() for caption in said)


def test_every_family_has_a_check() -> None:
    assert set(checks_of("second")) == set(FAMILIES)
    assert "piano" not in checks_of("first")


@needs_packages
@pytest.mark.parametrize("name", SOME + PLAYED + RECORDED)
def test_clips_are_well_formed(name: str) -> None:
    sound = SECOND.make_sound(np.random.default_rng(1), name, seconds=4.0)
    audio = sound.audio
    assert audio.shape == (196_608, 2) and audio.dtype == np.float32 and np.isfinite(audio).all()
    assert np.abs(audio).max() <= PEAK + 1e-3
    assert np.abs(audio[0]).max() < 1e-3 and not audio[128_000:].any()
    assert np.abs(audio.mean(axis=0)).max() < 3e-3
    with studio(SECOND.sample_rate):
        assert -30 < sounding_dbfs(audio.astype(float)) < -12
        # what follows an event is silence
        level = frames(audio[:128_000].astype(float))
    heard = np.flatnonzero(level > 1e-3)
    assert not (level[heard[-1] + 2 :] > 1e-3).any()
    again = SECOND.make_sound(np.random.default_rng(1), name, seconds=4.0)
    assert again.captions == sound.captions and np.array_equal(again.audio, audio)


@needs_packages
def test_the_same_notes_give_the_same_samples_whatever_was_played_before() -> None:
    first = SECOND.make_sound(np.random.default_rng(3), "piano", seconds=2.0).audio
    for name in ("strings", "beat", "organ_chord"):
        SECOND.make_sound(np.random.default_rng(4), name, seconds=2.0)
    second = SECOND.make_sound(np.random.default_rng(3), "piano", seconds=2.0).audio
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    "world, name, attributes, different",
    [
        (SECOND, "laser", {"shots": "one", "register": "high", "length": "long"}, TAKES),
        (SECOND, "tone", {"note": "A4"}, 1),
        (SECOND, "rain", {"amount": "heavy"}, 40),
        (FIRST, "tone", {"note": "A4"}, 40),
    ],
)
def test_what_a_caption_leaves_open_comes_in_takes(
    world: World, name: str, attributes: dict, different: int
) -> None:
    """Of a tone, whose phase alone is open, there is one; noises of the second world are all new,
    as is everything in the first.
    """
    ways: list[np.ndarray] = []
    for draw in range(40):
        rng = np.random.default_rng([1, draw])
        audio = world.make_sound(rng, name, attributes, 1.0).audio[:4000]
        audio = audio / np.abs(audio).max()  # each is at its own level
        if not any(np.allclose(audio, way, atol=1e-3) for way in ways):
            ways.append(audio)
    assert len(ways) == different


@needs_packages
def test_what_is_wide_differs_between_the_channels() -> None:
    rain = SECOND.make_sound(np.random.default_rng(0), "rain", seconds=2.0).audio[:64_000]
    tone = SECOND.make_sound(np.random.default_rng(0), "tone", seconds=2.0).audio[:64_000]
    assert 0.3 < np.corrcoef(rain.T)[0, 1] < 0.9
    assert np.array_equal(tone[:, 0], tone[:, 1])


@needs_packages
def test_soft_is_softer_than_loud() -> None:
    for name in ("piano", "trumpet", "cowbell"):
        levels = {}
        for touch in ("soft", "loud"):
            sound = SECOND.make_sound(np.random.default_rng(2), name, {"touch": touch}, 3.0)
            with studio(SECOND.sample_rate):
                levels[touch] = sounding_dbfs(sound.audio.astype(float))
        assert levels["loud"] - levels["soft"] > 4


@needs_packages
def test_notes_are_what_they_are_called() -> None:
    for name, note, wrong in (("piano", "A4", "A#4"), ("cello", "G3", "F#3")):
        sound = SECOND.make_sound(np.random.default_rng(5), name, {"note": note}, 4.0)
        kind = FAMILIES[name]
        for asked in (note, wrong):
            chosen = {slot: sound.attributes[slot] for slot in kind.slots}
            attributes = kind.complete(chosen | {"note": asked})
            heard = check(sound.audio, SECOND.sample_rate, name, attributes, "second")
            assert heard.passed == (asked == note), heard


@needs_packages
def test_checks_tell_families_apart() -> None:
    names = ("piano", "trumpet", "snare", "laser", "choir")
    for index, name in enumerate(names):
        sound = SECOND.make_sound(np.random.default_rng(11), name, seconds=4.0)
        rate, other = SECOND.sample_rate, names[index - 1]
        assert check(sound.audio, rate, name, sound.attributes, "second").passed, name
        assert not check(sound.audio, rate, other, {}, "second").passed, (name, other)


@needs_packages
def test_the_copyright_files_say_what_sources_says() -> None:
    assert packages.soundfont_is_mit()
    listed = packages.cc0_samples()
    assert len(listed) >= 130 and "perc_bell" in listed
    assert "glitch_robot1" not in listed  # shipped, but not listed one by one
    for name in kits.RECORDED | recorded.RECORDED:
        assert name in listed and not name.startswith(recorded.LEFT_OUT)


@needs_packages
@pytest.mark.parametrize("name", ["loop_amen", "vinyl_scratch", "glitch_robot1"])
def test_other_samples_are_refused(name: str) -> None:
    with pytest.raises(EdgeAudioError, match=f"does not list {name} as CC0"):
        recorded.load(name)


def test_a_missing_package_is_named(tmp_path, monkeypatch) -> None:
    gone = packages.Package("fluid-soundfont-gm", tmp_path / "FluidR3_GM.sf2")
    with pytest.raises(EdgeAudioError, match="apt-get install fluid-soundfont-gm"):
        gone.require()
    monkeypatch.setattr(packages, "SOUNDFONT", gone)
    assert "apt-get install fluid-soundfont-gm" in packages.missing()
