"""Clips that are made from others: what stays is what it was, and recipes make them again."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import soundfile

from edge_audio import Clip, EdgeAudioError, Pipeline, Request, UsageError
from edge_audio.audio.source import Source
from edge_audio.cli import main as cli
from edge_audio.sampling.editing import CROSS_FADE
from edge_audio.session import Session

IDS = (5, 9, 40, 1)


@pytest.fixture(scope="module", params=["tiny0", "tiny3"])
def pipe(request):
    """Of the older family, which was trained to keep nothing, and of the one that was."""
    given = request.getfixturevalue(request.param)
    folder = given[2] if request.param == "tiny0" else given
    with Pipeline.load(folder, "f32", threads=2, memory="all") as pipe:
        yield pipe


@pytest.fixture(scope="module")
def original(pipe, tmp_path_factory):
    """A clip of half the model's length, in a file of 16 bits."""
    seconds = round(pipe.bundle.manifest.max_seconds / 2, 2)
    path = tmp_path_factory.mktemp("original") / "sound.wav"
    pipe.generate(ids=IDS, seconds=seconds, seed=1).save(path)
    return path


def test_outside_of_a_region_are_the_original_samples(pipe, original):
    held, rate = soundfile.read(original, dtype="float32", always_2d=True)
    a, b = (round(part * len(held) / rate, 3) for part in (0.4, 0.7))
    clip = pipe.generate(ids=(7, 8, 1), init=original, replace=[(a, b)], seed=2)
    begin, end = int(a * rate), int(b * rate)
    assert clip.samples.shape == held.shape
    assert np.array_equal(clip.samples[:begin], held[:begin])
    assert np.array_equal(clip.samples[end:], held[end:])
    assert not np.array_equal(clip.samples[begin:end], held[begin:end])
    other = pipe.generate(
        ids=(7, 8, 1), init=original, keep=[(0, a), (b, len(held) / rate)], seed=2
    )
    assert np.array_equal(other.samples, clip.samples)


def test_little_strength_is_the_round_trip_of_the_codec(pipe, original):
    """At the least strength that the schedule has, hardly anything is left of the noise."""
    settings = pipe.settings(ids=IDS, init=original, strength=1.0, seed=2)
    latents = Session(pipe.model, settings).init_latents()
    far = pipe.generate(settings).latents
    near = pipe.generate(ids=IDS, init=original, strength=1e-4, seed=2).latents
    assert np.square(near - latents).mean() < 1e-5 * np.square(latents).mean()
    whole = pipe.generate(ids=IDS, seconds=settings.seconds, seed=2)
    assert np.array_equal(far, whole.latents)  # all the way from it is all the way from anywhere


def test_it_goes_on_for_longer_than_the_model_makes(pipe, original):
    held, rate = soundfile.read(original, dtype="float32", always_2d=True)
    longest, seam = pipe.bundle.manifest.max_seconds, round(CROSS_FADE * rate)
    after, before = round(1.7 * longest, 3), round(1.2 * longest, 3)
    events = []
    clip = pipe.generate(
        ids=IDS,
        init=original,
        extend=after,
        extend_before=before,
        seed=4,
        on_block=lambda block, left: events.append((len(block), left)),
    )
    begin, end = round(before * rate), round(before * rate) + len(held)
    assert len(clip.samples) == round((before + len(held) / rate + after) * rate)
    assert np.array_equal(clip.samples[begin + seam : end - seam], held[seam:-seam])
    made = (clip.samples[:begin], clip.samples[end:])
    assert all(np.abs(part).max() > 0 for part in made) and clip.latents is None
    # it is given out as it settles, in order, and all of it
    assert len(events) > 2 and sum(size for size, _ in events) == len(clip.samples)
    assert [left for _, left in events] == sorted((left for _, left in events), reverse=True)
    again = pipe.generate(Request.from_recipe(clip.recipe, Source.of(original)))
    assert np.array_equal(again.samples, clip.samples) and again.recipe == clip.recipe


def test_a_hole_in_a_sound_longer_than_the_model_makes(pipe, original):
    held, rate = soundfile.read(original, dtype="float32", always_2d=True)
    long = Clip(np.tile(held, (5, 1)), rate)
    a, b = (round(part * len(long.samples) / rate, 3) for part in (0.5, 0.62))
    clip = pipe.generate(ids=(7, 8, 1), init=long, replace=[(0, 0.01), (a, b)], seed=2)
    begin, end = int(a * rate), int(b * rate)
    kept = [slice(int(0.01 * rate), begin), slice(end, None)]
    assert clip.samples.shape == long.samples.shape
    assert all(np.array_equal(clip.samples[part], long.samples[part]) for part in kept)
    assert not np.array_equal(clip.samples[begin:end], long.samples[begin:end])


def test_a_loop_goes_round(pipe):
    """The circle that it is made of begins anywhere, so its end is no place of its own."""
    manifest = pipe.bundle.manifest
    settings = pipe.settings(ids=IDS, seed=3, seconds=manifest.max_seconds / 2, loop=True)
    length = settings.latents(manifest)
    latents = pipe.generate(settings).latents
    circle, turned = (
        np.concatenate(list(pipe.decode(settings, np.roll(latents, -shift, axis=1))))
        for shift in (0, length // 2 // 2 * 2)
    )
    assert len(circle) == length * manifest.latent.downsampling
    shift = length // 2 // 2 * 2 * manifest.latent.downsampling
    np.testing.assert_allclose(np.roll(turned, shift, axis=0), circle, atol=1e-4)
    unpadded = None if settings.pad_seconds is None else 0.0
    straight = pipe.generate(dataclasses.replace(settings, loop=False, pad_seconds=unpadded))
    assert not np.allclose(straight.latents, latents)


def test_a_loop_is_as_long_as_its_bars(pipe):
    rate, longest = pipe.bundle.manifest.sample_rate, pipe.bundle.manifest.max_seconds
    bpm = 4 * 60 / (0.7 * longest)
    clip = pipe.generate(ids=IDS, loop=True, bars=1, bpm=bpm, seed=1)
    assert len(clip.samples) == round(4 * 60 / bpm * rate)
    again = pipe.generate(Request.from_recipe(clip.recipe))
    assert np.array_equal(again.samples, clip.samples)
    for given, message in (
        ({"bars": 1}, "bpm is missing"),
        ({"bpm": 120}, "bars is missing"),
        ({"bars": 0, "bpm": 120}, "bars 0 is out of range"),
        ({"bars": 1, "bpm": bpm, "seconds": 1}, "leave either out"),
    ):
        with pytest.raises(UsageError, match=message):
            pipe.generate(ids=IDS, **given)
    with pytest.raises(EdgeAudioError, match=r"bars 1e\+308 at bpm 120 are inf seconds"):
        pipe.generate(ids=IDS, bars=10**308, bpm=120)


def test_the_recipe_makes_it_again(pipe, original, tmp_path, capsys):
    out, folder = tmp_path / "edit.wav", str(pipe.bundle.folder)
    base = ["--model", folder, "--precision", "f32"]
    made = [
        "generate",
        "--ids",
        "5,9,1",
        "--init",
        str(original),
        "--strength",
        "0.7",
        "--seed",
        "3",
    ]
    end = round(soundfile.info(original).duration / 2, 3)
    assert cli.main([*made, *base, "-o", str(out), "--replace", f"0.01-{end}"]) == 0
    recipe = Clip.recipe_of(out)
    assert recipe["init"]["file"] == "sound.wav" and recipe["replace"] == [[0.01, end]]
    capsys.readouterr()
    assert cli.main(["again", str(out), "--model", folder]) == 1
    assert "the clip was made from 'sound.wav'; give that with --init" in capsys.readouterr().err
    assert cli.main(["again", str(out), "--model", folder, "--init", str(out)]) == 1
    assert "edit.wav holds another sound" in capsys.readouterr().err
    assert cli.main(["again", str(out), "--model", folder, "--init", str(original)]) == 0


@pytest.mark.parametrize(
    "given, message",
    [
        ({"replace": [(0.01, 0.005)]}, "replace 0.01-0.005 is no part of"),
        ({"replace": [(0, 99.0)]}, "replace 0-99 is no part of"),
        ({"replace": [(np.nan, 1)]}, "replace nan-1 is no part of"),
        ({"replace": [(0.0, 0.02), (0.01, 0.03)]}, "replace 0.01-0.03 overlaps the region before"),
        ({"replace": [(0.0, 0.01)], "keep": [(0.02, 0.03)]}, "either what to replace or what to"),
        ({"replace": "4-7"}, "is no list of regions"),
        ({"strength": 0}, "strength 0 is out of range; use more than 0"),
        ({"strength": 1.5}, "strength 1.5 is out of range"),
        ({"init": 7}, "init 7 is no sound"),
        ({"extend": -1}, "extend -1 is no duration"),
        ({"extend_before": float("inf")}, "extend_before inf is no duration"),
        ({"extend": 1, "replace": [(0, 0.01)]}, "leave either extend or replace out"),
        ({"extend": 1, "strength": 0.5}, "leave either extend or strength out"),
        ({"extend": 1, "seconds": 1}, "extend says how long the clip will be"),
        ({"loop": True}, "leave either loop or init out"),
    ],
)
def test_what_cannot_be_asked(pipe, original, given, message):
    with pytest.raises(UsageError, match=message):
        pipe.generate(ids=IDS, **{"init": original, **given})


def test_keeping_all_of_it_is_refused(pipe, original):
    whole = soundfile.info(original).duration
    with pytest.raises(UsageError, match="is all of it; nothing is left to make"):
        pipe.generate(ids=IDS, init=original, keep=[(0, whole)])


def test_the_original_is_not_written_over(pipe, original, capsys):
    before = original.read_bytes()
    made = ["generate", "--ids", "5,9,1", "--model", str(pipe.bundle.folder), "--init"]
    assert cli.main([*made, str(original), "-o", str(original)]) == 2
    assert "would be written over" in capsys.readouterr().err
    assert original.read_bytes() == before


def test_what_needs_a_sound(pipe):
    for given in (
        {"strength": 0.5},
        {"replace": [(0, 1)]},
        {"keep": [(0, 1)]},
        {"extend": 1},
        {"extend_before": 1},
    ):
        with pytest.raises(UsageError, match="needs a sound to change; give it with init"):
            pipe.generate(ids=IDS, **given)


def test_a_bundle_without_an_encoder(pipe, original, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(pipe.bundle.folder, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["graphs"]["encoder"], manifest["stages"]["encode"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(EdgeAudioError, match="has no encoder.*--without-encoder"):
        Pipeline.load(folder).generate(ids=IDS, init=original)


def test_another_length_is_said(pipe, original):
    longer = soundfile.info(original).duration * 1.2
    clip = pipe.generate(ids=IDS, init=original, seconds=longer, strength=0.5, seed=1)
    assert any("was followed by silence to make" in str(note) for note in clip.notes)


def test_a_recipe_that_started_from_a_sound_wants_it_again(pipe, original, tmp_path, capsys):
    good, out = tmp_path / "good.wav", tmp_path / "x.wav"
    pipe.generate(ids=IDS, init=original, strength=0.6, seed=1).save(good)
    made = ["generate", "--model", str(pipe.bundle.folder), "--from", str(good), "-o", str(out)]
    assert cli.main(made) == 1
    assert "was made from 'sound.wav'; give that with --init" in capsys.readouterr().err
    assert cli.main([*made, "--init", str(original)]) == 0
    assert np.array_equal(soundfile.read(out)[0], soundfile.read(good)[0])
    assert cli.main([*made, "--init", str(good), "--seed", "3"]) == 0
    assert "was made from another sound than" in capsys.readouterr().err
    assert Clip.recipe_of(out)["strength"] == 0.6 and Clip.recipe_of(out)["seed"] == 3
