"""`huggingface_hub`'s InferenceClient, its model a URL."""

import io

import numpy as np
import pytest
import soundfile
from serve.serving import serving

pytestmark = pytest.mark.clients
REASON = "the huggingface_hub package is not here; make test-clients installs it"
KEY = "a key of sixteen characters"
OURS = {"seconds": 0.4, "seed": 3, "num_inference_steps": 4}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("data"), api_keys=(KEY,)) as client:
        client.headers["Authorization"] = f"Bearer {KEY}"
        yield client


@pytest.fixture(scope="module")
def hub():
    return pytest.importorskip("huggingface_hub", reason=REASON)


@pytest.mark.parametrize("path", ["", "/", "/models/pocket"])
def test_text_to_speech(server, hub, path):
    url = str(server.base_url).rstrip("/") + path
    data = hub.InferenceClient(model=url, token=KEY).text_to_speech("a bell", extra_body=OURS)
    heard, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    native = server.post(
        "/v1/generate", json={"prompt": "a bell", "seconds": 0.4, "seed": 3, "steps": 4}
    )
    samples, _ = soundfile.read(io.BytesIO(native.content), dtype="int16")
    assert rate == 16000 and data[:4] == b"fLaC" and np.array_equal(heard, samples)


def test_the_format_is_the_accepted_one(server, hub):
    url = f"{server.base_url}/models/pocket"
    client = hub.InferenceClient(model=url, token=KEY, headers={"Accept": "audio/wav"})
    assert client.text_to_speech("a bell", extra_body=OURS)[:4] == b"RIFF"
    ours = {**OURS, "output_format": "mp3"}
    data = client.text_to_speech("a bell", temperature=0.5, extra_body=ours)
    assert soundfile.info(io.BytesIO(data)).format == "MP3"


@pytest.mark.parametrize(
    ("path", "key", "parameters", "status", "said"),
    [
        ("/models/nobody/s", KEY, {}, 404, "no model of that name"),
        ("/models/pocket", KEY, {"seconds": -1}, 422, "seconds"),
        ("/models/pocket", KEY, {"output_format": "aac"}, 422, "output_format"),
        ("/models/pocket", "another", {}, 401, "the key is missing or wrong"),
        ("", "another", {}, 401, "the key is missing or wrong"),
    ],
)
def test_errors(server, hub, path, key, parameters, status, said):
    from huggingface_hub.errors import HfHubHTTPError

    client = hub.InferenceClient(model=f"{server.base_url}{path}".rstrip("/"), token=key)
    with pytest.raises(HfHubHTTPError) as told:
        client.text_to_speech("a bell", extra_body=parameters)
    assert told.value.response.status_code == status
    assert said in told.value.response.json()["error"]
