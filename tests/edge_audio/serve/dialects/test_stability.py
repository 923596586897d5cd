"""Stability's interface, called as their documentation's examples do, with `requests`."""

import base64
import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from serve.serving import serving

from edge_audio.bundle.store import Bundle
from edge_audio.model.model import default_model

requests = pytest.importorskip("requests", reason="the requests package is not here")
pytestmark = pytest.mark.clients
KEY = "a key of sixteen characters"
MODEL = Path(os.environ.get("EDGE_AUDIO_MODEL") or default_model())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("data"), api_keys=(KEY,), model=MODEL) as client:
        client.headers["Authorization"] = f"Bearer {KEY}"
        yield client


@pytest.fixture
def with_encoder():
    if "encoder" not in Bundle.open(MODEL).manifest.graphs:
        pytest.skip(f"the model in {MODEL.name} has no encoder, which sounds to start from need")


def posted(server, way, data, accept="audio/*", audio=None, key=KEY):
    return requests.post(
        f"{server.base_url}/v2beta/audio/stable-audio-2/{way}",
        headers={"authorization": f"Bearer {key}", "accept": accept},
        files={"none": ""} if audio is None else {"audio": audio},
        data=data,
        timeout=60,
    )


def sound(seconds=1.0, rate=22050):
    stream = io.BytesIO()
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    soundfile.write(stream, wave, rate, format="WAV")
    stream.seek(0)
    return stream


def test_text_to_audio(server):
    data = {"prompt": "a bell", "output_format": "mp3", "duration": 20, "steps": 4}
    answer = posted(server, "text-to-audio", {**data, "model": "stable-audio-2.5"})
    assert answer.status_code == 200 and answer.headers["content-type"] == "audio/mpeg"
    told = soundfile.info(io.BytesIO(answer.content))
    assert told.format == "MP3" and abs(told.duration - 4.096) < 0.1
    assert "duration 20 was set to 4.096" in answer.headers["x-edge-audio-notes"]
    assert answer.headers["finish-reason"] == "SUCCESS" and answer.headers["seed"].isdigit()


def test_as_json(server):
    data = {"prompt": "a bell", "output_format": "wav", "duration": 1, "seed": 3, "cfg_scale": 2}
    answer = posted(server, "text-to-audio", data, "application/json").json()
    assert answer["seed"] == 3 and answer["finish_reason"] == "SUCCESS"
    native = {"prompt": "a bell", "seconds": 1, "seed": 3, "cfg_scale": 2}
    expected = server.post("/v1/generate", json=native).content
    heard, wanted = (
        soundfile.read(io.BytesIO(wav), dtype="int16")[0]
        for wav in (base64.b64decode(answer["audio"]), expected)
    )
    assert np.array_equal(heard, wanted)


def test_seed_0_is_a_random_one(server):
    data = {"prompt": "a bell", "duration": 0.3, "steps": 2, "seed": 0}
    seeds = {posted(server, "text-to-audio", data).headers["seed"] for _ in range(2)}
    assert len(seeds) == 2


def test_audio_to_audio(server, with_encoder):
    data = {"prompt": "a bell", "output_format": "wav", "strength": 0.4, "steps": 4, "seed": 5}
    answer = posted(server, "audio-to-audio", data, audio=sound())
    assert answer.status_code == 200, answer.text
    assert soundfile.info(io.BytesIO(answer.content)).duration == 1.0
    job = server.get(f"/v1/jobs/{answer.headers['x-job-id']}").json()
    assert job["request"]["strength"] == 0.4 and "init" in job["request"]
    answer = posted(server, "audio-to-audio", {**data, "strength": 0}, audio=sound(6))
    notes = answer.headers["x-edge-audio-notes"]
    assert "strength 0 was set to 0.01" in notes
    assert "the sound's length 6 was set to 4.096" in notes


def test_inpaint(server, with_encoder):
    data = {"prompt": "a bell", "output_format": "wav", "mask_start": 1, "mask_end": 190}
    answer = posted(server, "inpaint", {**data, "steps": 4}, audio=sound(2, 16000))
    assert answer.status_code == 200, answer.text
    assert "mask_end 190 was set to 2" in answer.headers["x-edge-audio-notes"]
    heard, rate = soundfile.read(io.BytesIO(answer.content))
    before = soundfile.read(sound(2, 16000))[0]
    kept = slice(0, round(0.9 * rate))
    assert np.abs(heard[kept] - before[kept]).mean() < np.abs(heard[rate:] - before[rate:]).mean()


@pytest.mark.parametrize(
    ("way", "data", "audio", "status", "said"),
    [
        ("text-to-audio", {"prompt": ""}, False, 400, "prompt"),
        ("text-to-audio", {"prompt": "x", "duration": "nan"}, False, 400, "duration"),
        ("text-to-audio", {"prompt": "x", "output_format": "aac"}, False, 400, "mp3, wav"),
        ("text-to-audio", {"prompt": "x", "model": "nobody's"}, False, 400, "no model"),
        ("audio-to-audio", {"prompt": "x"}, False, 400, "audio"),
        ("inpaint", {"prompt": "x"}, True, 400, "mask_start 30"),
    ],
)
def test_errors(server, way, data, audio, status, said):
    answer = posted(server, way, data, audio=sound() if audio else None)
    told = answer.json()
    assert answer.status_code == status and set(told) == {"id", "name", "errors"}
    assert told["name"] == "bad_request" and said in told["errors"][0]


def test_a_model_without_encoder_and_a_wrong_key(server):
    if "encoder" not in Bundle.open(MODEL).manifest.graphs:
        told = posted(server, "audio-to-audio", {"prompt": "x"}, audio=sound()).json()
        assert "has no encoder" in told["errors"][0]
    answer = posted(server, "text-to-audio", {"prompt": "x"}, key="another")
    assert answer.status_code == 401 and answer.json()["name"] == "unauthorized"
