"""The `openai` package, its base URL changed."""

import base64
import io
import json

import numpy as np
import pytest
import soundfile
from serve.serving import serving

pytestmark = pytest.mark.clients
REASON = "the openai package is not here; make test-clients installs it"
KEY = "a key of sixteen characters"
SHORT = {"input": "a bell", "model": "tts-1", "voice": "alloy"}
OURS = {"seconds": 0.4, "seed": 3, "steps": 4}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("data"), api_keys=(KEY,)) as client:
        client.headers["Authorization"] = f"Bearer {KEY}"
        yield client


@pytest.fixture(scope="module")
def client(server):
    package = pytest.importorskip("openai", reason=REASON)
    return package.OpenAI(api_key=KEY, base_url=f"{server.base_url}/v1", max_retries=0)


@pytest.fixture(scope="module")
def samples(server):
    """Of the native interface, 16-bit."""
    body = {"prompt": "a bell", **OURS}
    wav = server.post("/v1/generate", json=body).content
    return soundfile.read(io.BytesIO(wav), dtype="int16")[0]


@pytest.mark.parametrize(
    ("format", "kind"), [("mp3", "MP3"), ("opus", "OGG"), ("flac", "FLAC"), ("wav", "WAV")]
)
def test_create(client, format, kind, samples):
    answer = client.audio.speech.create(**SHORT, response_format=format, extra_body=OURS)
    told = soundfile.info(io.BytesIO(answer.content))
    assert told.format == kind and abs(told.duration - 0.4) < 0.06
    if format in ("flac", "wav"):
        heard, _ = soundfile.read(io.BytesIO(answer.content), dtype="int16")
        assert np.array_equal(heard, samples)
    assert "tts-1 is not here; pocket made it" in answer.response.headers["x-edge-audio-notes"]


def test_pcm_is_as_theirs(client):
    answer = client.audio.speech.create(**SHORT, response_format="pcm", extra_body=OURS)
    assert len(answer.content) == 2 * round(0.4 * 24000)


def test_with_streaming_response(client, tmp_path, samples):
    speech = client.audio.speech.with_streaming_response
    with speech.create(**SHORT, response_format="wav", extra_body=OURS) as answer:
        answer.stream_to_file(tmp_path / "bell.wav")
    heard, rate = soundfile.read(tmp_path / "bell.wav", dtype="int16")
    assert rate == 16000 and np.array_equal(heard, samples)


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_events(client, format, samples):
    speech = client.audio.speech.with_streaming_response
    asked = {**SHORT, "response_format": format, "stream_format": "sse"}
    with speech.create(**asked, extra_body=OURS) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
    assert events[-1]["type"] == "speech.audio.done" and "usage" in events[-1]
    sound = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert np.array_equal(soundfile.read(io.BytesIO(sound), dtype="int16")[0], samples)


def test_what_is_too_long_is_clamped_and_said(client):
    answer = client.audio.speech.create(
        **SHORT, speed=2.0, instructions="softly", extra_body={"seconds": 60, "steps": 2}
    )
    notes = answer.response.headers["x-edge-audio-notes"]
    assert "seconds 60 was set to 4.096" in notes
    assert "speed was ignored" in notes and "instructions was ignored" in notes


def test_models(client):
    [model] = client.models.list().data
    assert (model.id, model.object, model.owned_by) == ("pocket", "model", "edge-audio")
    assert client.models.retrieve("pocket").id == "pocket"


def test_errors(client, server):
    import openai

    with pytest.raises(openai.UnprocessableEntityError) as told:
        client.audio.speech.create(**SHORT, response_format="aac")
    assert told.value.param == "response_format" and told.value.type == "invalid_request_error"
    with pytest.raises(openai.UnprocessableEntityError) as told:
        client.audio.speech.create(**{**SHORT, "model": "nobody's"})
    assert told.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody's")
    other = openai.OpenAI(api_key="another", base_url=f"{server.base_url}/v1", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        other.audio.speech.create(**SHORT)
