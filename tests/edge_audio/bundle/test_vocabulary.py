"""What a model says of words that it does not know: a note with its nearest words, never
an error.
"""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import toy

from edge_audio import Bundle, Clip, EdgeAudioError, Pipeline
from edge_audio.bundle.manifest import UsualLevel
from edge_audio.bundle.store import file_entry
from edge_audio.bundle.vocabulary import (
    SoundFamily,
    Vocabulary,
    chosen,
    edit_distance,
    read_vocabulary,
    words_of,
)

WORDS = [
    "a",
    "at",
    "bell",
    "flute",
    "organ",
    "slow",
    "rising",
    "siren",
    "metronome",
    "hi",
    "hat",
    "c#5",
    "a4",
    "110",
    "120",
    "bpm",
    "rain",
    "drum",
    "beat",
]
KNOWN = Vocabulary(
    frozenset(WORDS),
    tuple(
        SoundFamily(name, (f"a {name}",)) for name in ("bell", "siren", "rain", "flute", "organ")
    ),
)


def test_words() -> None:
    assert words_of("A Bell at C#5, please!") == ["a", "bell", "at", "c#5", "please"]
    assert words_of("hi-hat / drum_beat 120bpm C#") == ["hi-hat", "drum", "beat", "120bpm", "c#"]
    assert words_of("日本語 🎹 naïve") == ["日本語", "naïve"] and words_of("") == []


def test_unknown_words() -> None:
    assert KNOWN.unknown("A dog, a DOG and rain") == ["dog", "and"]
    assert (
        KNOWN.unknown("hi-hat at 120 bpm") == []
        and KNOWN.unknown("drum-beat") == []
        and KNOWN.unknown("drum-solo") == ["drum-solo"]
    )


@pytest.mark.parametrize(
    "one, other, distance",
    [
        ("flute", "flute", 0),
        ("flut", "flute", 1),
        ("orgna", "organ", 1),
        ("bel", "bell", 1),
        ("siren", "iron", 2),
        ("", "ab", 2),
    ],
)
def test_edit_distance(one, other, distance) -> None:
    assert edit_distance(one, other, 3) == distance == edit_distance(other, one, 3)


def test_far_words_are_not_measured_to_the_end() -> None:
    assert edit_distance("a" * 500, "b" * 500, 2) == 3


def test_nearest() -> None:
    assert (
        KNOWN.nearest("flut") == ["flute"]
        and KNOWN.nearest("metronom") == ["metronome"]
        and KNOWN.nearest("117") == ["110"]
    )
    assert KNOWN.nearest("cat") == [] and KNOWN.nearest("x") == [] and KNOWN.nearest("piano") == []


def test_note() -> None:
    assert KNOWN.note("a bell", "toy") is None
    assert (
        KNOWN.note("a flut", "toy")
        == "the toy model knows no 'flut' (did you mean flute?); it knows bell, siren, rain,"
        " flute …, "
        "see edge-audio info --prompts"
    )
    assert len(KNOWN.note(" ".join(f"{'z' * 5000}{n}" for n in range(50)), "toy")) < 300


READ = dataclasses.replace(
    KNOWN,
    readings={
        "bell": ("a bell at c#5", "a slow bell", "a bell at a4"),
        "flute": ("a flute at a4",),
        "a flute a": ("a flute at a5",),
        "a siren": (),
        "siren": ("a slow siren",),
    },
    fillers=frozenset({"sound", "of", "please"}),
    articles=frozenset({"a"}),
)


def test_a_name_alone_is_read_as_a_caption_that_the_seed_chooses() -> None:
    assert READ.reading("a bell at a4", 1) == "a bell at a4" and KNOWN.reading("bell", 1) == "bell"
    read = [READ.reading("Sound of BELL please", seed) for seed in range(40)]
    assert set(read) == set(READ.readings["bell"]) and read[3] == READ.reading("bell", 3)
    assert READ.reading("a bell and a dog", 1) == "a bell and a dog"  # "a bell a": not only a name
    assert READ.reading("A bell please", 3) == READ.reading("a dog bell", 3) == read[3]
    assert READ.reading("siren", 1) == "a slow siren" and READ.reading("A siren", 1) == "A siren"
    assert READ.reading("flute a", 1) == "flute a" and READ.reading("a flute a", 1).endswith("a5")
    assert READ.reading("bell barking", 3) == read[3]  # words never met do not count,
    assert READ.reading("bell 117", 3) == "bell 117"  # notes and numbers do
    # the published first outputs of SplitMix64
    assert [chosen(seed, 1 << 64) for seed in (0, 1)] == [0xE220A8397B1DCDAF, 0x910A2DEC89025CC1]


def test_it_is_written_with_every_caption_once(tmp_path) -> None:
    path = tmp_path / "v.json"
    path.write_text(READ.to_json())
    assert read_vocabulary(path) == READ and path.read_text().count("a bell at a4") == 1
    entries = json.loads(path.read_text())
    entries["readings"] = READ.readings  # as older files have it
    del entries["captions"]
    path.write_text(json.dumps(entries))
    assert read_vocabulary(path) == READ


@pytest.fixture
def listing(own_bundle):
    """A copy of the toy bundle that lists what it knows."""
    path = own_bundle / "vocabulary.json"
    path.write_text(KNOWN.to_json())
    return toy.write_manifest(
        own_bundle, vocabulary=file_entry(path), usual_level=UsualLevel(-12.0, -20.0)
    )


def test_a_bundle_lists_what_it_knows(listing, toy_bundle) -> None:
    bundle = Bundle.open(listing)
    assert bundle.vocabulary == KNOWN and bundle.prompts[1] == SoundFamily("siren", ("a siren",))
    assert Bundle.open(toy_bundle).vocabulary is None and Bundle.open(toy_bundle).prompts == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"words": [1], "families": []}',
        '{"words": [], "families": []}',
        "[" * 100_000,
        '{"words": ["a"], "families": [{"name": 3, "prompts": []}]}',
        '{"words": ["a"], "families": [], "captions": ["a"], "readings": {"a": [1]}}',
        '{"words": ["a"], "families": [], "captions": ["a"], "readings": {"a": [-1]}}',
        '{"words": ["a"], "families": [], "captions": ["a"], "readings": {"a": [true]}}',
        '{"words": ["a"], "families": [{"name": "\\u001b[31m", "prompts": ["a"]}]}',
    ],
)
def test_another_file_is_refused(tmp_path, text) -> None:
    (tmp_path / "v.json").write_text(text)
    with pytest.raises(EdgeAudioError, match="no list of what a model knows"):
        read_vocabulary(tmp_path / "v.json")


def notes(pipeline: Pipeline, prompt: str, **settings) -> list[str]:
    return [note.text for note in pipeline.generate(prompt, seed=1, **settings).notes]


def test_generate_notes_unknown_words(listing, toy_bundle) -> None:
    pipeline = Pipeline.load(listing)
    said = notes(pipeline, "a slow flut", negative="piano", cfg_scale=1.5)
    assert [note for note in said if "knows no 'flut' (did you mean flute?)" in note] and [
        note for note in said if "'piano'" in note
    ]
    assert not [
        note
        for note in notes(pipeline, "a slow siren") + notes(Pipeline.load(toy_bundle), "a dog")
        if "knows no" in note
    ]


def test_a_quiet_clip_is_noted(listing) -> None:
    def levels(amplitude: float):
        return Clip(
            np.full((4000, 1), amplitude, np.float32) * np.resize([1, -1], (4000, 1)), 8000
        ).levels()

    usual = UsualLevel(-12.0, -20.0)
    assert levels(0.01).is_quiet(usual) and not levels(0.1).is_quiet(usual)  # -40 and -20 dBFS
    assert not levels(0.0).is_quiet(usual)  # silence is named by another note
    burst = np.zeros((32_000, 1), np.float32)
    burst[8000:10_000] = 0.1
    assert not Clip(burst, 8000).levels().is_quiet(usual)  # short, then silence: as loud as ever
    folder = toy.write_manifest(listing, usual_level=UsualLevel(30.0, 30.0))
    assert any("the clip is quiet" in note for note in notes(Pipeline.load(folder), "a bell"))


def test_the_recipe_says_how_a_name_was_read(listing) -> None:
    path = listing / "vocabulary.json"
    path.write_text(READ.to_json())
    pipe = Pipeline.load(toy.write_manifest(listing, vocabulary=file_entry(path)), "f32")
    clip = pipe.generate("bell", seed=3)
    said = clip.recipe["read_as"]
    assert clip.recipe["prompt"] == "bell" and said == READ.reading("bell", 3)
    assert np.array_equal(clip.samples, pipe.generate(said, seed=3).samples)
    assert "read_as" not in pipe.generate("a slow siren", seed=3).recipe
    done = run("generate", "bell", "--seed", "3", "--model", str(listing), "-o", f"{listing}/b.wav")
    assert f"read as '{said}'" in done.stdout


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "edge_audio.cli", *arguments], capture_output=True, text=True
    )


def test_info_prompts(listing, toy_bundle) -> None:
    shown = run("info", "--prompts", "--model", str(listing))
    assert (
        shown.returncode == 0
        and shown.stdout.splitlines()[0] == "bell   a bell"
        and len(shown.stdout.splitlines()) == 5
    )
    listed = json.loads(run("info", "--prompts", "--json", "--model", str(listing)).stdout)
    assert listed["prompts"][2] == {"name": "rain", "prompts": ["a rain"]}
    assert "brings no list" in run("info", "--prompts", "--model", str(toy_bundle)).stdout


def test_the_command_line_says_so(listing, tmp_path) -> None:
    made = run("generate", "a dog", "--model", str(listing), "-o", str(tmp_path / "dog.wav"))
    assert (
        made.returncode == 0
        and (tmp_path / "dog.wav").exists()
        and "note: the toy model knows no 'dog'" in made.stderr
    )
