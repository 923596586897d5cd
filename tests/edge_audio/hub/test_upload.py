"""A bundle is published with its card, and comes back the same."""

import json

import pytest
from hub_server import Answer

from edge_audio.hub.source import Source

STATED = ("--license", "stability-terms (https://example.org/terms)", "--source", "maker/source")


def test_there_and_back(hub, small_bundle, models, run) -> None:
    (small_bundle / "LICENSE.md").write_text("terms")
    done = run("upload", "rain", "user/rain-int8", *STATED)
    assert done.code == 0, done.err
    repo = hub.repos["user/rain-int8"]
    assert repo.private and f"{hub.endpoint}/user/rain-int8/commit/{repo.head}" in done.out
    files = repo.commits[repo.head]
    assert set(files) == {path.name for path in small_bundle.iterdir()} | {"README.md"}
    card = files["README.md"].decode()
    front, body = card.removeprefix("---\n").split("\n---\n")
    assert front.splitlines() == [
        "license: other",
        'license_name: "stability-terms"',
        'license_link: "https://example.org/terms"',
        'base_model: "maker/source"',
        "library_name: edge-audio",
        "pipeline_tag: text-to-audio",
        "tags: [edge-audio, litert, tflite, text-to-audio]",
    ]
    assert "edge-audio pull user/rain-int8" in body and "| dit | f32 | " in body
    assert run("pull", "user/rain-int8", "--json").json["bundle"] == str(models / "rain-int8")
    assert run("models", "verify", "rain-int8").code == 0


def test_what_was_pulled_knows_its_source_and_licence(hub, small_bundle, run) -> None:
    Source("maker/source", "0" * 40, "apache-2.0").write(small_bundle)
    done = run("upload", "rain", "user/rain", "--public", "--json")
    assert done.code == 0, done.err
    assert (done.json["license"], done.json["source"]) == ("apache-2.0", "maker/source")
    repo = hub.repos["user/rain"]
    assert not repo.private
    assert repo.commits[repo.head]["README.md"].startswith(b"---\nlicense: apache-2.0\n")
    assert "source.json" not in repo.commits[repo.head]
    assert run("upload", "rain", "user/rain", "--public").code == 0  # nothing has changed


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (STATED[2:], 2, "states no licence; read what its source allows, and state it"),
        (STATED[:2], 2, "is not known what toy was made of; state it with --source"),
        ((*STATED[:2], "--source", 'a"b\nc'), 2, "is not a line of plain text"),
    ],
)
def test_nothing_goes_out_without_licence_and_source(
    hub, small_bundle, run, arguments, code, said
) -> None:
    path = small_bundle / "manifest.json"
    manifest = {**json.loads(path.read_text()), "name": "toy"}
    manifest["license"] = "see the source checkpoint"
    path.write_text(json.dumps(manifest))
    refused = run("upload", "rain", "user/rain", *arguments)
    assert refused.code == code and said in refused.err, refused.err
    assert not hub.requests


def test_a_public_repository_is_not_filled_by_mistake(hub, small_bundle, run) -> None:
    hub.add("user/rain", {})
    refused = run("upload", "rain", "user/rain", *STATED)
    assert refused.code == 1 and "is there and public; give --public" in refused.err
    assert list(hub.repos["user/rain"].commits.values()) == [{}]
    hub.repos["user/rain"].private = True
    refused = run("upload", "rain", "user/rain", *STATED, "--public")
    assert refused.code == 1 and "is there and private; make it public" in refused.err
    assert list(hub.repos["user/rain"].commits.values()) == [{}]


@pytest.mark.parametrize(
    ("token", "repository", "code", "said"),
    [
        ("", "user/rain", 1, "an upload needs a token that writes"),
        ("hf_other", "user/rain", 1, "access|token"),
        (None, "rain", 2, "is no repository; write USER/NAME"),
    ],
)
def test_who_may_not(hub, small_bundle, run, monkeypatch, token, repository, code, said) -> None:
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    refused = run("upload", "rain", repository, *STATED)
    assert refused.code == code and any(part in refused.err for part in said.split("|"))
    assert refused.err.count("\n") == 1


def test_a_server_that_fails(hub, small_bundle, run, monkeypatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.fault = lambda method, path: Answer(503) if "/commit/" in path else None
    refused = run("upload", "rain", "user/rain", *STATED)
    assert refused.code == 1 and "fails with 503" in refused.err


def test_a_damaged_bundle_stays_here(hub, small_bundle, run) -> None:
    (small_bundle / "dit.f32.tflite").write_bytes(b"")
    refused = run("upload", "rain", "user/rain", *STATED)
    assert refused.code == 1 and "dit.f32.tflite has 0 bytes" in refused.err
    assert not hub.requests
