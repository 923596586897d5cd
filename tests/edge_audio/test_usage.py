"""What is refused, and what is advised, when a pipeline is asked for something."""

import math
import re
import warnings

import pytest
import toy

from edge_audio import EdgeAudioError, Pipeline, Request, UsageError
from edge_audio.bundle.manifest import Latent


@pytest.fixture
def pipe(toy_bundle):
    return Pipeline.load(toy_bundle, precision="f32", threads=1)


@pytest.mark.parametrize("recipe", [{}, {"prompt": "rain"}, {"seed": 3}])
def test_what_is_no_recipe(recipe):
    with pytest.raises(EdgeAudioError, match="has no prompt or no seed"):
        Request.from_recipe(recipe)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"steps": 0}, "steps 0 makes no sound; use a whole number from 1"),
        ({"steps": 2.5}, "steps 2.5"),
        ({"cfg_scale": math.nan}, "cfg nan is not a finite number; use 1"),
        ({"cfg_scale": math.inf}, "cfg inf is not a finite number"),
        ({"seconds": 0}, "seconds 0 is no duration; use more than 0, at most 2"),
        ({"seconds": -1.0}, "seconds -1.0 is no duration"),
        ({"seconds": math.nan}, "seconds nan is no duration"),
        ({"seconds": math.inf}, "seconds inf is no duration"),
        ({"seconds": 0.001}, "seconds 0.001 is shorter than one sample; use at least 0.015625"),
        ({"sampler": "heun"}, "sampler 'heun' is unknown; use one of pingpong, euler, dpmpp, rk4"),
        ({"seed": -1}, "seed -1 is not usable; choose"),
        ({"seed": 2**63}, "seed 9223372036854775808 is not usable"),
        ({"prompt": None}, "give either a prompt or ids"),
        ({"ids": [1]}, "give either a prompt or ids"),
        ({"prompt": None, "ids": [-1]}, "ids must be whole numbers from 0"),
        ({"prompt": "\udcff"}, "no text; write it in UTF-8"),
    ],
)
def test_wrong_usage(pipe, settings, message):
    with pytest.raises(UsageError, match=message):
        pipe.generate(**{"prompt": "rain", **settings})


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"seconds": 2.01}, "seconds 2.01 is more than model toy can make; use at most 2"),
        ({"prompt": None, "ids": range(9)}, "9 ids are more than model toy reads; give at most 8"),
        ({"prompt": None, "ids": [10**6]}, "conditioners.f32.tflite failed in signature condition"),
    ],
)
def test_what_this_model_cannot(pipe, settings, message):
    with pytest.raises(EdgeAudioError, match=message) as raised:
        pipe.generate(**{"prompt": "rain", **settings})
    assert not isinstance(raised.value, UsageError)
    toy.generate(pipe)


def test_unknown_settings_are_refused(pipe):
    with pytest.raises(UsageError, match="setting 'cfg' is unknown; did you mean cfg_scale?"):
        pipe.generate("rain", cfg=3)
    with pytest.raises(UsageError, match="prompt 5 is no text"):
        pipe.generate(5)


@pytest.mark.parametrize(
    "settings", [{"prompt": "rain"}, {"prompt": None, "ids": [5, 1], "negative": "wind"}]
)
def test_a_bundle_without_tokenizer_needs_ids(ids_bundle, settings):
    with pytest.raises(
        EdgeAudioError,
        match="model toy has no tokenizer and cannot read .*; (give token ids|export)",
    ):
        Pipeline.load(ids_bundle).generate(**settings)


@pytest.mark.parametrize("threads", [0, -1, 1.5])
def test_wrong_threads(toy_bundle, threads):
    with pytest.raises(
        UsageError, match=f"threads {threads} cannot run anything; use a whole number from 1"
    ):
        Pipeline.load(toy_bundle, threads=threads)


@pytest.mark.parametrize(
    "settings, messages",
    [
        ({}, []),
        ({"cfg_scale": 2.0}, []),
        ({"prompt": ""}, ["the prompt is empty; generating without one"]),
        (
            {"prompt": "  ", "cfg_scale": 4},
            ["the prompt is empty; generating without one and without cfg 4"],
        ),
        (
            {"prompt": "rain on a roof " * 700},
            ["the prompt has .* tokens and was cut to the 8 that .*; shorten it"],
        ),
        (
            {"cfg_scale": 7},
            [
                "cfg 7 overdrives a post-trained model; this model was made for pingpong, 4 steps,"
                " cfg 1"
            ],
        ),
        (
            {"sampler": "euler", "steps": 30},
            ["euler with 30 steps .*; this model was made for pingpong, 4 steps, cfg 1"],
        ),
        ({"sampler": "euler", "steps": 29}, []),
        (
            {"seconds": 1.9},
            [
                "1.9 seconds is outside what the model was trained on; it will hear 1.5, use 0.25"
                " to 1.5"
            ],
        ),
        ({"seconds": 0.1}, ["0.1 seconds is outside .* it will hear 0.25"]),
        ({"negative": "wind"}, ["the negative prompt has no effect at cfg 1"]),
        (
            {"negative": "wind " * 99, "cfg_scale": 2},
            ["the negative prompt has .* tokens and was cut to the 8"],
        ),
    ],
)
def test_advice_is_given_once(pipe, settings, messages):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clip = pipe.generate(**{"prompt": "rain", **settings})
    assert len(clip.notes) == len(messages) and len(clip.samples)
    for note, message in zip(clip.notes, messages):
        assert re.search(message, note.text)


def test_other_objectives_want_guidance(own_bundle):
    toy.write_manifest(own_bundle, objective="rectified_flow")
    pipe = Pipeline.load(own_bundle)
    assert pipe.generate("rain", cfg_scale=7, sampler="euler", steps=30).notes == ()


def test_fit_length_without_lengths_says_so(own_bundle):
    toy.write_manifest(own_bundle, latent=Latent(toy.LENGTH, toy.CHANNELS, toy.DOWNSAMPLING))
    pipe = Pipeline.load(own_bundle, threads=1)
    clip = pipe.generate("rain", seed=1, seconds=0.5, fit_length=True)
    assert [note.kind for note in clip.notes] == ["fit_length"]
    assert re.search("exported with one latent length, .*--latent-lengths", str(clip.notes[0]))
