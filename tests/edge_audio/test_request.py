"""What may be asked for: by a program, by a recipe that a stranger wrote, on so many CPUs."""

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest

from edge_audio import EdgeAudioError, EdgeAudioWarning, Request, UsageError
from edge_audio.bundle.manifest import Manifest
from edge_audio.system import device
from edge_audio.system.graph import Graph

SCHEMA1 = Path(__file__).parents[1] / "data" / "schema1"
MANIFEST = Manifest.from_json((SCHEMA1 / "manifest.json").read_text())
RECIPE = {
    "edge_audio": "0.1.0",
    "prompt": "rain",
    "seconds": 1,
    "seed": 7,
    "steps": 4,
    "sampler": "pingpong",
    "cfg_scale": 1,
    "negative": None,
    "ids": None,
    "fit_length": False,
}


def test_a_recipe_goes_through_json() -> None:
    settings = Request.from_recipe(json.loads(json.dumps(RECIPE))).resolved(MANIFEST)
    assert Request.from_recipe(vars(settings)).resolved(MANIFEST) == settings
    of_ids = {**RECIPE, "prompt": None, "ids": [5, 6, 1]}
    assert Request.from_recipe(json.loads(json.dumps(of_ids))).ids == (5, 6, 1)


def test_an_old_recipe_lacks_what_was_added_later() -> None:
    assert Request.from_recipe({"prompt": "rain", "seed": 7}) == Request("rain", seed=7)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"prompt": 7}, "prompt 7 is no text"),
        ({"prompt": ["rain"]}, r"prompt \['rain'\] is no text"),
        ({"negative": {"a": 1}}, "negative {'a': 1} is no text"),
        ({"sampler": ["euler"]}, r"sampler \['euler'\] is no text"),
        ({"sampler": 3}, "sampler 3 is no text"),
        ({"seconds": "long"}, "seconds 'long' is no number"),
        ({"seconds": [1]}, r"seconds \[1\] is no number"),
        ({"seconds": True}, "seconds True is no number"),
        ({"cfg_scale": "7"}, "cfg_scale '7' is no number"),
        ({"steps": "8"}, "steps '8' is no whole number"),
        ({"steps": 8.0}, "steps 8.0 is no whole number"),
        ({"seed": "x" * 9000}, "seed 'xxxx.*' is no whole number"),
        ({"seed": "\x1b[31m\n"}, r"seed '\\x1b\[31m\\n' is no whole number"),
        ({"fit_length": "no"}, "fit_length 'no' is neither true nor false"),
        ({"prompt": None, "ids": 5}, "ids 5 is no list of whole numbers"),
        ({"prompt": None, "ids": "123"}, "ids '123' is no list of whole numbers"),
        ({"prompt": None, "ids": {"1": 2}}, "ids {'1': 2} is no list of whole numbers"),
        ({"prompt": None, "ids": [1, "2"]}, r"ids \[1, '2'\] is no list of whole numbers"),
        ({"prompt": None, "ids": [[1]]}, r"ids \[\[1\]\] is no list of whole numbers"),
    ],
)
def test_a_recipe_of_wrong_types_is_refused_in_one_line(changed, message) -> None:
    with pytest.raises(EdgeAudioError, match=f"the recipe's {message}; use one that") as refused:
        Request.from_recipe({**RECIPE, **changed})
    assert len(str(refused.value)) < 200 and str(refused.value).isprintable()


@pytest.mark.parametrize("recipe", [None, [], "rain", 7])
def test_what_is_no_mapping_is_no_recipe(recipe) -> None:
    with pytest.raises(EdgeAudioError, match="the recipe is no mapping; use one that edge-audio"):
        Request.from_recipe(recipe)


@pytest.mark.parametrize(
    "asked, message",
    [
        ({"cfg_scale": -3}, "cfg -3 would steer away from the prompt; use 1 for no guidance"),
        ({"cfg_scale": -1e-9}, "cfg -1e-09 would steer away"),
        ({"cfg_scale": np.float32("nan")}, "cfg nan is not a finite number"),
        ({"cfg_scale": -math.inf}, "cfg -inf is not a finite number"),
        ({"cfg_scale": 10**400}, r"cfg 1000+\.\.\.0+ is not a finite number"),
        ({"cfg_scale": np.complex64(1)}, "is not a finite number"),
        ({"cfg_scale": "7"}, "cfg '7' is not a finite number"),
        ({"seconds": 10**400}, r"seconds 1000+\.\.\.0+ is no duration"),
        ({"seconds": 10**5000}, "seconds .*int.* is no duration"),
        ({"seconds": "1\n2"}, r"seconds '1\\n2' is no duration"),
        ({"steps": 10_001}, "steps 10001 would take too long; use at most 10000"),
        ({"sampler": ["euler"]}, r"sampler \['euler'\] is unknown"),
        ({"sampler": 3}, "sampler 3 is unknown"),
        ({"fit_length": "no"}, "fit_length 'no' is neither True nor False"),
        ({"prompt": None, "ids": 5}, "ids must be whole numbers from 0"),
        ({"prompt": None, "ids": "123"}, "ids must be whole numbers from 0"),
        ({"prompt": None, "ids": np.ones((2, 2), int)}, "ids must be whole numbers from 0"),
    ],
)
def test_what_no_model_could_serve(asked, message) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        Request(**{"prompt": "rain", **asked}).resolved(MANIFEST)
    assert str(refused.value).isprintable()


def test_guidance_may_be_weak() -> None:
    assert Request("rain", cfg_scale=0).resolved(MANIFEST).cfg_scale == 0


def test_numbers_and_ids_of_numpy_are_numbers_and_ids() -> None:
    asked = Request(
        ids=np.array([5, 6, 1]), seconds=np.float32(1), steps=np.int64(4), seed=np.uint8(3)
    )
    settings = asked.resolved(MANIFEST)
    assert settings.ids == (5, 6, 1) and settings.has_text
    json.dumps(vars(settings))


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2", math.nan])
def test_a_number_of_threads_that_cannot_run(threads) -> None:
    with pytest.raises(UsageError, match=f"threads {threads} cannot run anything; use a whole"):
        device.usable_threads(threads)
    with pytest.raises(UsageError, match=f"threads {threads} cannot run anything; use a whole"):
        Graph(SCHEMA1 / "dit.f32.tflite", threads)


def test_more_threads_than_cpus_are_as_many_as_cpus(monkeypatch) -> None:
    monkeypatch.setattr(device, "cpus", lambda: 2)
    message = "99 threads are more than the 2 CPUs here, which only makes it slower; using 2"
    with pytest.warns(EdgeAudioWarning, match=message):
        assert device.usable_threads(99) == 2
    with pytest.warns(EdgeAudioWarning, match=message):
        Graph(SCHEMA1 / "dit.f32.tflite", 99).close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [device.usable_threads(n) for n in (1, 2, np.int64(2))] == [1, 2, 2]
