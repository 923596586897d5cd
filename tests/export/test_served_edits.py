"""Clips that a server makes from others: a model with an encoder has to be exported first."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_audio import Pipeline
from edge_audio.audio.source import Source

sys.path.append(str(Path(__file__).parents[1] / "edge_audio"))
from serve.serving import ended, serving

SHORT = {"prompt": "", "steps": 2, "seed": 3, "precision": "f32"}


@pytest.fixture(scope="module")
def client(tiny0, tmp_path_factory):
    """Of a server of a model that can start from sounds."""
    with serving(tmp_path_factory.mktemp("data"), model=tiny0[2]) as client:
        yield client


@pytest.fixture(scope="module")
def pipe(tiny0):
    """The same model in the library."""
    with Pipeline.load(tiny0[2], "f32", memory="all") as pipe:
        yield pipe


def made(client, order: dict, **more) -> dict:
    """A job that is over."""
    form = {"job": (None, json.dumps({**SHORT, **order}), "application/json"), **more}
    answer = client.post("/v1/jobs", files=form)
    assert answer.status_code == 202, answer.text
    job = ended(client, answer.json()["id"])
    assert job["state"] == "done", job["error"]
    return job


def flac(client, job: dict) -> bytes:
    return client.get(f"/v1/jobs/{job['id']}/audio", params={"format": "flac"}).content


def saved(clip) -> bytes:
    stream = io.BytesIO()
    clip.save(stream, format="flac")
    return stream.getvalue()


def samples(data: bytes) -> np.ndarray:
    return soundfile.read(io.BytesIO(data), dtype="int16")[0]


def test_an_upload_is_what_a_clip_starts_from(client, pipe, tmp_path):
    rate = pipe.bundle.manifest.sample_rate
    path = tmp_path / "street.wav"
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, (rate // 40, 1))
    soundfile.write(path, noise, rate)
    job = made(client, {"strength": 0.5}, init=("../../a street.wav", path.read_bytes()))
    assert job["request"]["init"] == {"file": "a street.wav"}
    wanted = pipe.generate("", init=path, strength=0.5, steps=2, seed=3)
    assert np.array_equal(samples(flac(client, job)), samples(saved(wanted)))
    recipe = job["clips"][0]["recipe"]
    assert recipe["init"]["sha256"] == Source.of(path).sha256  # so that `again --init` finds it
    assert "--strength 0.5" in job["command"] and "--init 'a street.wav'" in job["command"]


def test_an_earlier_clip_is_what_a_clip_starts_from(client, pipe, tmp_path):
    first = made(client, {})
    seconds = first["clips"][0]["seconds"]
    half = round(seconds / 2, 4)
    init = {"job": first["id"], "clip": 0}
    job = made(client, {"replace": [[0, half]], "init": init, "seed": 4})
    assert job["request"]["init"] == init and job["request"]["replace"] == [[0, half]]
    path = tmp_path / f"{first['id']}-0.flac"
    path.write_bytes(flac(client, first))
    assert f"--init {path.name}" in job["command"]  # as it is called when it is downloaded
    wanted = pipe.generate("", init=path, replace=[(0, half)], steps=2, seed=4)
    assert np.array_equal(samples(flac(client, job)), samples(saved(wanted)))


def test_what_the_model_can_do_is_told_and_done(client):
    [model] = client.get("/v1/models").json()["data"]
    assert {"init", "replace", "keep", "extend", "extend_before", "loop"} == set(model["can"])
    first = made(client, {"seconds": 0.02})
    init = {"job": first["id"]}
    longer = made(client, {"extend": 0.02, "init": init})
    assert longer["clips"][0]["seconds"] == pytest.approx(0.04, abs=1e-3)
    loop = made(client, {"loop": True})
    assert loop["clips"][0]["recipe"]["loop"] is True and "--loop" in loop["command"]
    for wrong in ({"extend": 1e9, "init": init}, {"loop": True, "init": init}):
        answer = client.post("/v1/jobs", json={**SHORT, **wrong})
        assert answer.status_code == 422 and answer.json()["error"]["code"] == "invalid"
