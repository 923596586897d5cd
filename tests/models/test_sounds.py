"""The sound world: every clip is well formed, and exactly what its caption says."""

import numpy as np
import pytest

from edge_audio.audio.clip import loudest_dbfs
from models.training.prompts import prompts_of
from models.training.sounds import (
    CLIP_SAMPLES,
    FAMILIES,
    FIRST,
    PRAISE,
    SAMPLE_RATE,
    WRAPPINGS,
    Sound,
    captions_corpus,
    captions_of,
    casual_captions_of,
    make_dataset,
    make_sound,
    praise,
    sound_at,
)
from models.training.sounds.slots import note_hz
from models.training.sounds.synthesis import FIRST_ONSET
from models.training.sounds.world import captions, forms_of, named_slots
from models.training.vocabulary import usual_level, vocabulary

PROMPTS = prompts_of(FIRST)
#: the families in their places
PLACES = """
    tone pluck bell mallet organ flute synth bass chord pad arpeggio sweep siren alarm beeps phone
    laser coin power notification buzz click explosion whoosh kick snare hat clap tom crash beat
    house metronome heartbeat footsteps knock engine clock rain waves wind fire thunder frog cuckoo
    drops stream noise
""".split()


def make(family: str, seed: int = 0, seconds: float = 4.0, **key) -> Sound:
    return make_sound(np.random.default_rng(seed), family, key or None, seconds)


def spectrum_peak(audio: np.ndarray) -> float:
    """Strongest frequency in Hz, to about 0.06 Hz."""
    size = 1 << 18
    return float(
        np.abs(np.fft.rfft(audio * np.hanning(len(audio)), size)).argmax() * SAMPLE_RATE / size
    )


def bare(caption: str) -> str:
    """Without the article at the start."""
    return caption.removeprefix("a ").removeprefix("an ")


def everything_said(family: str, attributes: dict) -> list[str]:
    return captions_of(family, attributes) + casual_captions_of(family, attributes)


@pytest.mark.parametrize("family", FAMILIES)
def test_clips_are_well_formed(family: str) -> None:
    kind = FAMILIES[family]
    for seed in range(4):
        sound = make_sound(np.random.default_rng(seed), family, phrases=3)
        end = round(sound.seconds * SAMPLE_RATE)
        assert sound.audio.shape == (CLIP_SAMPLES,) and sound.audio.dtype == np.float32
        assert np.isfinite(sound.audio).all()
        assert (
            0.15 <= np.abs(sound.audio).max() <= 0.71
        )  # steady sines lowest: they sound as loud as higher peaks
        assert kind.shortest <= sound.seconds <= 4.0
        assert not sound.audio[end:].any()
        assert (
            abs(sound.audio[end - 1]) < 1e-3 and abs(sound.audio[0]) < 1e-3
        )  # no click at either end
        assert abs(sound.audio.mean()) < 3e-3
        assert sound.family == family and len(sound.captions) == 3
        plain = {
            said
            for caption in everything_said(family, sound.attributes)
            for said in (caption, bare(caption))
        }
        praised = {praise(caption, word) for caption in plain for word in PRAISE}
        assert set(sound.captions) <= {
            words.format(said) for words, _ in WRAPPINGS for said in plain | praised
        }


@pytest.mark.parametrize("family", FAMILIES)
def test_phrasings(family: str) -> None:
    """At least five to learn from and two held out, none of these among those; an attribute is
    never named twice.
    """
    kind = FAMILIES[family]
    assert len(set(kind.phrasings)) >= 5 and len(set(kind.held_out)) >= 2
    for attributes in kind.combinations():
        learnt = everything_said(family, attributes)
        assert len(set(captions_of(family, attributes))) >= 5 and not any(
            "{" in caption for caption in learnt
        )
        held_out = {
            caption
            for template in kind.held_out
            for caption in captions(kind, template, attributes)
        }
        assert not {bare(caption) for caption in held_out} & {bare(caption) for caption in learnt}
    assert all(
        len(set(named_slots(template))) == len(named_slots(template))
        for template in kind.phrasings + kind.held_out
    )


def test_families_keep_their_places() -> None:
    """A place picks the seeds of prompts: a family in the middle would change all that follow."""
    assert list(FAMILIES)[: len(PLACES)] == PLACES


def test_held_out_combinations_are_never_trained() -> None:
    for family in FAMILIES.values():
        held_out = family.held_out_combinations()
        assert len(held_out) >= (1 if len(family.combinations()) >= 4 else 0)
        assert not [choice for choice in family.trained_combinations() if choice in held_out]
        for (
            slot,
            values,
        ) in (
            family.slots.items()
        ):  # every single value is learnt, unless it is the whole combination
            assert len(family.slots) == 1 or {
                choice[slot] for choice in family.trained_combinations()
            } == set(values)
    for sound in make_dataset(300, seed=0):
        chosen = {slot: sound.attributes[slot] for slot in FAMILIES[sound.family].slots}
        assert chosen not in FAMILIES[sound.family].held_out_combinations()


def test_every_caption_means_one_thing() -> None:
    meanings: dict[str, set] = {}
    for name, family in FAMILIES.items():
        for attributes in family.combinations():
            for template in family.phrasings + family.casual + family.held_out:
                named = tuple((slot, attributes[slot]) for slot in sorted(named_slots(template)))
                for caption in captions(family, template, attributes):
                    meanings.setdefault(caption, set()).add((name, named))
        for form in (form for spoken in family.names for form in forms_of(spoken)):
            meanings.setdefault(form, set()).add((name, ()))
    assert len(meanings) > 1000
    assert not {caption: meaning for caption, meaning in meanings.items() if len(meaning) > 1}


def test_a_bare_name_means_something_usual() -> None:
    """Names are said of usual values alone, the values that are drawn most; every family has enough
    names, and loud enough sounds.
    """
    for name, family in FAMILIES.items():
        assert len(family.names) >= 3 and family.usual_combinations()
        for attributes in family.trained_combinations():
            usual = all(attributes[slot] in values for slot, values in family.usual.items())
            assert (family.names[0] in casual_captions_of(name, attributes)) == usual
    fast = FAMILIES["beat"].complete({"bpm": 160})
    assert "fast drums" in casual_captions_of("beat", fast) and "drums" not in casual_captions_of(
        "beat", fast
    )
    drawn = [
        sound
        for sound in make_dataset(400, seed=2)
        if sound.family in ("beat", "house", "metronome")
    ]
    usual = [sound.attributes["bpm"] in FAMILIES["beat"].usual["bpm"] for sound in drawn]
    assert 0.5 < np.mean(usual) < 0.9  # 40 % and a share of the rest
    named = [
        caption
        for sound in make_dataset(300, seed=4)
        for caption in sound.captions
        if caption in {form for spoken in FAMILIES[sound.family].names for form in forms_of(spoken)}
    ]
    assert len(named) > 30


def test_forms_of_names() -> None:
    assert forms_of("a bell") == ("a bell", "bell", "bells") and forms_of("rain") == ("rain",)
    assert (
        forms_of("a music box")[-1] == "music boxes"
        and forms_of("a buzz")[-1] == "buzzes"
        and forms_of("a ding")[-1] == "dings"
    )
    assert forms_of("a clock ticking") == ("a clock ticking", "clock ticking")
    assert forms_of("a knock on a door") == ("a knock on a door", "knock on a door")
    assert praise("an organ", "nice") == "a nice organ" and praise("rain", "nice") == "nice rain"


def test_the_vocabulary_knows_what_is_asked_for() -> None:
    known = vocabulary()
    for prompt in PROMPTS.bare_names + PROMPTS.seen:
        assert known.note(prompt.text, "pocket") is None, prompt.text
    assert known.unknown("a dog and a violin") == ["dog", "violin"]
    assert len(known.families) == len(FAMILIES) and all(
        len(family.prompts) >= 3 for family in known.families
    )


def test_names_are_read_as_captions_that_were_learnt() -> None:
    known = vocabulary()
    for prompt in PROMPTS.bare_names:
        kind = FAMILIES[prompt.family]
        learnt = {
            c for chosen in kind.trained_combinations() for c in captions_of(prompt.family, chosen)
        }
        for seed in range(5):
            reading = known.reading(prompt.text, seed)
            assert reading in learnt, (prompt.text, reading)
    for prompt in PROMPTS.seen + PROMPTS.held_out_wording + PROMPTS.held_out_values:
        assert known.reading(prompt.text, 1) == prompt.text  # what says enough stays as it is
    assert len({known.reading("drums", seed) for seed in range(30)}) > 2
    assert known.reading("a minor chord", 1) == "a minor chord"  # "a" is a note there


def test_usual_level() -> None:
    level = usual_level()
    assert -20 < level.median < -12 and level.lowest < level.median
    assert loudest_dbfs(make("click", seed=11).audio, SAMPLE_RATE) > level.lowest - 3


def test_caption_names_the_attribute() -> None:
    assert "C#5" in make("tone", note="C#5").caption
    assert "110 bpm" in make("beat", bpm=110).caption
    learnt = set(captions_corpus())
    assert {
        "an A4 sine wave",
        "a C4 sine wave",
        "a 180 bpm drum loop",
        "a slow low siren",
        "a siren going up and down quickly",
    } <= learnt


def test_reproducible_in_any_order() -> None:
    first, again = list(make_dataset(6, seed=3)), list(make_dataset(6, seed=3))
    for one, other in zip(first, again):
        assert one.caption == other.caption and np.array_equal(one.audio, other.audio)
    assert np.array_equal(sound_at(4, seed=3).audio, first[4].audio)
    assert not np.array_equal(sound_at(4, seed=4).audio, first[4].audio)


def test_every_family_is_drawn() -> None:
    assert {sound.family for sound in make_dataset(600, seed=0)} == set(FAMILIES)


def test_equal_temperament() -> None:
    assert note_hz("A4") == 440.0
    assert note_hz("C4") == pytest.approx(261.626, abs=1e-3)
    assert note_hz("C#5") == pytest.approx(554.365, abs=1e-3)
    assert note_hz("B2") == pytest.approx(123.471, abs=1e-3)


@pytest.mark.parametrize("family", ["tone", "bell", "pluck"])
@pytest.mark.parametrize("note", ["C4", "F#4", "A4", "F#5"])
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
        assert (
            np.abs(audio[max(0, start - 80) : start]).max()
            < 0.01
            < np.abs(audio[start : start + 80]).max()
        )


def test_sweeps_go_the_way_they_are_named() -> None:
    for direction, sign in (("rising", 1), ("falling", -1)):
        audio = make("sweep", direction=direction).audio
        start, end = spectrum_peak(audio[:8000]), spectrum_peak(audio[56_000:63_000])
        assert sign * np.log2(end / start) > 2.5  # octaves


def test_bundled_prompts() -> None:
    assert all(prompt in PROMPTS.seen for prompt in PROMPTS.bundled) and [
        prompt.family for prompt in PROMPTS.bundled
    ] == list(FAMILIES)


def test_evaluation_prompts() -> None:
    """More than two hundred, of every family, and held out are those that say so."""
    assert len(PROMPTS.seen + PROMPTS.held_out_wording + PROMPTS.held_out_values) >= 200
    assert (
        {prompt.family for prompt in PROMPTS.seen}
        == {prompt.family for prompt in PROMPTS.held_out_wording}
        == set(FAMILIES)
    )
    learnt = {
        name: {
            caption
            for chosen in kind.trained_combinations()
            for caption in captions_of(name, chosen)
        }
        for name, kind in FAMILIES.items()
    }
    assert all(prompt.text in learnt[prompt.family] for prompt in PROMPTS.seen)
    assert not any(prompt.text in learnt[prompt.family] for prompt in PROMPTS.held_out_wording)
    for prompt in PROMPTS.held_out_values:
        kind = FAMILIES[prompt.family]
        assert any(
            prompt.attributes.items() <= kind.complete(chosen).items()
            for chosen in kind.held_out_combinations()
        )
