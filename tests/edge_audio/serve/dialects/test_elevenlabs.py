"""The `elevenlabs` package, its base URL changed."""

import io

import numpy as np
import pytest
import soundfile
from serve.serving import serving

from edge_audio.serve.dialects.elevenlabs import finish_of, guidance

pytestmark = pytest.mark.clients
REASON = "the elevenlabs package is not here; make test-clients installs it"
KEY = "a key of sixteen characters"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("data"), api_keys=(KEY,)) as client:
        client.headers["xi-api-key"] = KEY
        yield client


@pytest.fixture(scope="module")
def effects(server):
    package = pytest.importorskip("elevenlabs", reason=REASON)
    client = package.ElevenLabs(api_key=KEY, base_url=str(server.base_url))
    return client.text_to_sound_effects


def converted(effects, text="a bell", **settings):
    settings = {"duration_seconds": 0.5, **settings}
    with effects.with_raw_response.convert(text=text, **settings) as answer:
        return answer.headers, b"".join(answer.data)


@pytest.mark.parametrize(
    ("name", "kind", "rate"),
    [
        ("mp3_44100_128", "MP3", 44100),
        ("mp3_22050_32", "MP3", 22050),
        ("opus_48000_64", "OGG", 48000),
        ("wav_24000", "WAV", 24000),
    ],
)
def test_formats_that_say_what_they_are(effects, name, kind, rate):
    data = b"".join(effects.convert(text="a bell", duration_seconds=0.5, output_format=name))
    told = soundfile.info(io.BytesIO(data))
    assert (told.format, told.samplerate) == (kind, rate)
    assert abs(told.duration - 0.5) < 0.06
    assert np.abs(soundfile.read(io.BytesIO(data))[0]).max() > 0.01


def test_samples_without_a_header(effects):
    extra = {"additional_body_parameters": {"seed": 3}}
    _, pcm = converted(effects, output_format="pcm_44100", request_options=extra)
    _, law = converted(effects, output_format="ulaw_8000", request_options=extra)
    _, wav = converted(effects, output_format="wav_44100", request_options=extra)
    assert len(pcm) == 2 * 22050 and len(law) == 4000
    samples, _ = soundfile.read(io.BytesIO(wav), dtype="int16")
    assert np.array_equal(np.frombuffer(pcm, "<i2"), samples)


def test_settings_become_ours(effects, server):
    headers, _ = converted(
        effects, prompt_influence=1.0, model_id="eleven_text_to_sound_v2", duration_seconds=30
    )
    job = server.get(f"/v1/jobs/{headers['x-job-id']}").json()
    assert job["request"]["cfg_scale"] == 4.0 and job["request"]["prompt"] == "a bell"
    assert job["clips"][0]["seconds"] == 4.096
    assert "duration_seconds 30 was set to 4.096" in headers["x-edge-audio-notes"]
    assert "eleven_text_to_sound_v2 is not here; pocket made it" in headers["x-edge-audio-notes"]
    headers, _ = converted(effects, loop=True)
    assert server.get(f"/v1/jobs/{headers['x-job-id']}").json()["request"]["loop"] is True


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"duration_seconds": 31}, ["body", "duration_seconds"]),
        ({"prompt_influence": -0.1}, ["body", "prompt_influence"]),
        ({"output_format": "flac_44100"}, ["query", "output_format"]),
        ({"model_id": "nobody's"}, ["body", "model_id"]),
        ({"text": ""}, ["body", "text"]),
    ],
)
def test_what_is_wrong_is_told_as_they_tell_it(effects, settings, place):
    from elevenlabs.errors import UnprocessableEntityError

    with pytest.raises(UnprocessableEntityError) as told:
        converted(effects, **settings)
    [detail] = told.value.body["detail"]
    assert detail["loc"] == place and detail["msg"] and detail["type"]


def test_a_wrong_key(server):
    package = pytest.importorskip("elevenlabs", reason=REASON)
    from elevenlabs.core.api_error import ApiError

    client = package.ElevenLabs(api_key="another", base_url=str(server.base_url))
    with pytest.raises(ApiError) as told:
        b"".join(client.text_to_sound_effects.convert(text="a bell"))
    assert told.value.status_code == 401
    assert told.value.body["detail"]["status"] == "unauthorized"


def test_guidance():
    assert [guidance(p, 2.5) for p in (0, 0.15, 0.3, 0.65, 1)] == [1, 1.75, 2.5, 3.25, 4]
    assert {guidance(p, 1.0) for p in (0, 0.3, 1)} == {1.0}
    assert finish_of("mp3_44100_320"[:9] + "_128")[2] == pytest.approx((128 - 32) / 288)
