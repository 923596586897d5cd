"""What no client of the dialects sends: refused in their shapes, and never the server's fault."""

import json

import pytest
from serve.serving import serving

KEY = "a key of sixteen characters"
JSON_ROUTES = {
    "/v1/sound-generation": ("text", "detail"),
    "/v1/audio/speech": ("input", "error"),
    "/models/pocket": ("inputs", "error"),
    "/": ("inputs", "error"),
}
FORMS = [f"/v2beta/audio/stable-audio-2/{way}" for way in ("text-to-audio", "inpaint")]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("data"), api_keys=(KEY,)) as client:
        client.headers["Authorization"] = f"Bearer {KEY}"
        yield client


def wrong_bodies(field):
    """Bodies that cannot be, of a route whose prompt is in this field."""
    return [
        *(b"", b"{", b"null", b"[]", b"3", b"[" * 20_000, b"\xff\xfe", b'{"a": "\\ud800"}'),
        *(json.dumps({field: value}).encode() for value in (None, 3, [], {}, ["a"])),
        b'{"%s": "\\ud800"}' % field.encode(),
        b'{"%s": "x", "seed": -1}' % field.encode(),
        b'{"%s": "x", "seed": 1e400}' % field.encode(),
        b'{"%s": "x", "seed": NaN}' % field.encode(),
        b'{"%s": "x", "seed": "seven"}' % field.encode(),
    ]


@pytest.mark.parametrize("path", JSON_ROUTES)
def test_bodies(server, path):
    field, key = JSON_ROUTES[path]
    for body in wrong_bodies(field):
        answer = server.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422 and next(iter(answer.json())) == key, (body, answer.text)
    answer = server.post(path, content=b"{}", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415 and key in answer.json()
    big = json.dumps({field: "x" * 300_000})
    answer = server.post(path, content=big, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413 and key in answer.json()


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"prompt": ""},
        {"prompt": "x", "seed": "-1"},
        {"prompt": "x", "duration": "inf"},
        {"prompt": "x", "steps": "1e9"},
        {"prompt": "x", "cfg_scale": "-1"},
        {"prompt": "x", "output_format": "flac"},
        {"prompt": "x", "mask_start": "nan"},
    ],
)
def test_forms(server, path, fields):
    answer = server.post(path, data=fields, files={"audio": b"no sound"})
    assert answer.status_code == 400 and answer.json()["name"] == "bad_request", answer.text


@pytest.mark.parametrize("path", [*JSON_ROUTES, *FORMS])
def test_a_key_is_needed(server, path):
    answer = server.post(path, json={}, headers={"Authorization": "Bearer another"})
    assert answer.status_code == 401 and "key is missing or wrong" in answer.text


def test_the_page_needs_none(server):
    answer = server.get("/", headers={"Authorization": ""})
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")


def test_names_in_notes_are_one_printable_line(server):
    odd = {"a\r\nSet-Cookie: b=c": 1, "\u0000\u001b[2J": 2, "ü" * 5000: 3}
    body = {"text": "a bell", "duration_seconds": 0.5, **odd}
    answer = server.post("/v1/sound-generation", json=body)
    notes = answer.headers["x-edge-audio-notes"]
    assert answer.status_code == 200 and "set-cookie" not in answer.headers
    assert notes.isascii() and notes.isprintable() and len(notes) <= 1000
    assert notes.count("was ignored") == 3


def test_a_full_queue_is_told_in_their_shape(tmp_path):
    with serving(tmp_path, max_waiting=1) as client:
        long = {"prompt": "a bell", "steps": 250}
        running = client.post("/v1/jobs", json=long).json()["id"]
        while client.get(f"/v1/jobs/{running}").json()["state"] == "queued":
            pass
        waiting = client.post("/v1/jobs", json=long).json()["id"]
        told = [client.post(path, json={JSON_ROUTES[path][0]: "x"}) for path in JSON_ROUTES]
        for job in (waiting, running):
            client.delete(f"/v1/jobs/{job}")
    for answer, (_, key) in zip(told, JSON_ROUTES.values()):
        assert answer.status_code == 503 and answer.headers["retry-after"].isdigit()
        assert key in answer.json() and "queue is full" in answer.text
