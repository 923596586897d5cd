"""Sound files of strangers: they are decoded in a process of their own, within bounds."""

import io
import json
import random

import numpy as np
import pytest
import soundfile
from serve.serving import SHORT, ended, order, serving

from edge_audio.serve.decode import decoded
from edge_audio.serve.refusal import Refused

FORMATS = {"wav": ("WAV", "PCM_16"), "flac": ("FLAC", "PCM_16"), "ogg": ("OGG", "VORBIS")}
FORMATS["mp3"] = ("MP3", "MPEG_LAYER_III")


def sound(form: str, seconds: float = 0.5, rate: int = 16000, channels: int = 1) -> bytes:
    """A file of noise."""
    container, subtype = FORMATS[form]
    if container not in soundfile.available_formats():
        pytest.skip(f"this libsndfile writes no {form}")
    stream, noise = io.BytesIO(), np.random.default_rng(5).uniform(-0.5, 0.5, (4000, channels))
    samples = np.resize(noise, (round(seconds * rate), channels))
    soundfile.write(stream, samples, rate, subtype, format=container)
    return stream.getvalue()


def post(client, data: bytes, job: dict | None = None, name: str = "sound"):
    """An order with a file."""
    form = {"job": (None, json.dumps(job or SHORT), "application/json"), "init": (name, data)}
    return client.post("/v1/jobs", files=form)


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    """A server that takes half a megabyte and two seconds of sound."""
    settings = {"upload_bytes": 512 << 10, "upload_seconds": 2.0}
    with serving(tmp_path_factory.mktemp("data"), **settings) as client:
        yield client


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_is_decoded_as_the_library_does(form, tmp_path):
    path = tmp_path / f"sound.{form}"
    path.write_bytes(sound(form, channels=2))
    found = decoded(path, 2.0)
    wanted, rate = soundfile.read(path, dtype="float32", always_2d=True)
    assert np.array_equal(found.samples, wanted) and found.sample_rate == rate


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (b"", 422, "cannot be used as sound"),
        (b"RIFF", 422, "cannot be used as sound"),
        (b"\0" * 70000, 422, "cannot be used as sound"),
        (sound("wav", 2.5), 422, "use at most 2"),
        (sound("wav", 0.0), 422, "no samples"),
        (sound("wav", 0.1, channels=3), 422, "3 channels"),
        (sound("wav", 0.001, rate=400_000), 422, "sample rate is 400000"),
        (sound("wav", 1.9, rate=150_000), 413, "at most 524288 bytes"),
        (b"\0" * 2_000_000, 413, "at most"),
    ],
    ids=["nothing", "head", "zeros", "long", "empty", "three", "rate", "large", "larger"],
)
def test_what_is_no_sound_is_one_clear_error(patient, data, status, said):
    answer = post(patient, data)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"]["message"] and "/tmp" not in answer.text
    assert "\n" not in answer.json()["error"]["message"]


def test_a_flac_of_silence_that_unpacks_to_gigabytes_is_refused(tmp_path):
    """A megabyte of FLAC can hold a day of silence."""
    path = tmp_path / "bomb.flac"
    with soundfile.SoundFile(path, "w", 48000, 2, format="FLAC") as file:
        for _ in range(90):
            file.write(np.zeros((480000, 2), np.int16))
    assert path.stat().st_size < 2_000_000
    with pytest.raises(Refused, match="900 seconds"):
        decoded(path, 120)


def test_a_decoder_that_crashes_ends_no_server(tmp_path, monkeypatch):
    from edge_audio.serve import decode

    path = tmp_path / "sound.wav"
    path.write_bytes(sound("wav"))
    crash = tmp_path / "crash" / "soundfile.py"
    crash.parent.mkdir()
    crash.write_text("import os; os.abort()")
    monkeypatch.syspath_prepend(crash.parent)
    with pytest.raises(Refused, match="it is damaged"):
        decode.decoded(path, 2.0)


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"job": (None, "{}")}, 422),
        ({"job": ("file.json", b"{}")}, 422),
        ({"init": ("a.wav", b"RIFF")}, 422),
        ({"job": (None, json.dumps(SHORT)), "init": (None, "no file")}, 422),
        ({"job": (None, json.dumps(SHORT)), "more": (None, "?")}, 422),
        ([("job", (None, json.dumps(SHORT)))] * 2, 422),
        ([("init", ("a", b"RIFF"))] * 3, 400),
    ],
)
def test_forms_that_are_none(client, form, status):
    answer = client.post("/v1/jobs", files=form)
    assert answer.status_code == status and answer.json()["error"]["message"]


def test_a_form_without_its_boundary(client):
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        answer = client.post("/v1/jobs", content=b"--y\r\n", headers={"Content-Type": kind})
        assert answer.status_code in (400, 422) and answer.json()["error"]["code"]


def test_a_model_without_an_encoder_says_so(client):
    job = ended(client, order(client)["id"])["id"]
    answers = [
        client.post("/v1/jobs", json={**SHORT, "init": {"job": job}}),
        post(client, sound("wav")),
    ]
    if "init" in client.get("/v1/models").json()["data"][0]["can"]:
        assert [answer.status_code for answer in answers] == [202, 202]
    else:
        for answer in answers:
            assert answer.status_code == 422 and "no encoder" in answer.json()["error"]["message"]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, cut out, doubled or cut off; mostly in the headers."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 50))):
        place = rng.randrange(min(len(changed), rng.choice((64, 512, len(changed)))))
        kind = rng.randrange(5)
        if kind == 0:
            changed[place] = rng.randrange(256)
        elif kind == 1:
            changed[place : place + 4] = rng.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"))
        elif kind == 2:
            del changed[place : place + rng.randrange(1, 64)]
        elif kind == 3:
            changed[place:place] = changed[place : place + rng.randrange(1, 64)]
        elif place > 4:
            del changed[place:]
        if not changed:
            return b""
    return bytes(changed)


@pytest.mark.slow
def test_a_thousand_damaged_files(tmp_path):
    rng, whole = random.Random(7), [sound(form) for form in FORMATS]
    with serving(tmp_path) as client:
        for n in range(1000):
            answer = post(client, mutated(whole[n % len(whole)], rng))
            assert answer.status_code in (202, 422), (n, answer.text)
            if answer.status_code == 202:
                client.delete(f"/v1/jobs/{answer.json()['id']}")
        assert client.get("/health").json()["status"] == "ok"
