"""Styles by name, from the folder of the server's owner."""

import shutil

import pytest
from adapters import random_adapter
from references import DATA
from serve.serving import CHECKPOINT, SHORT, ended, order, serving

from edge_audio import EdgeAudioError, Pipeline
from edge_audio.serve.config import ServeConfig
from edge_audio.serve.studio import Studio
from edge_audio.system import cache

NAME = "vinyl.safetensors"


@pytest.fixture(scope="module")
def styles(tmp_path_factory):
    """One for pocket, the same again, one for another model, one that is damaged, and no style."""
    folder = tmp_path_factory.mktemp("owner") / "styles"
    folder.mkdir()
    random_adapter(folder / NAME, CHECKPOINT)
    shutil.copyfile(folder / NAME, folder / "worn.safetensors")
    shutil.copyfile(folder / NAME, folder.parent / "outside.safetensors")
    shutil.copyfile(DATA / "sa3tiny0" / "adapter_lora.safetensors", folder / "other.safetensors")
    (folder / "damaged.safetensors").write_bytes((folder / NAME).read_bytes()[:1000])
    (folder / "notes.txt").write_text("mine")
    return folder


@pytest.fixture(scope="module")
def client(tmp_path_factory, styles):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(cache.VARIABLE, str(tmp_path_factory.mktemp("cache")))
        with serving(tmp_path_factory.mktemp("data"), styles=styles) as client:
            yield client


def sound(client, job):
    return client.get(f"/v1/jobs/{job['id']}/audio", params={"format": "flac"}).content


def test_a_clip_in_a_style_is_the_librarys(client, styles, tmp_path):
    [model] = client.get("/v1/models").json()["data"]
    assert model["styles"] == [NAME, "worn.safetensors"]
    plain = ended(client, order(client)["id"])
    styled = ended(client, order(client, lora=[{"name": NAME, "strength": 0.5}])["id"])
    with Pipeline.load(lora=[(styles / NAME, 0.5)]) as pipe:
        pipe.generate(**SHORT).save(tmp_path / "x.flac")
    assert sound(client, styled) == (tmp_path / "x.flac").read_bytes() != sound(client, plain)
    assert styled["request"]["lora"] == [{"name": NAME, "strength": 0.5}]
    assert styled["command"].endswith(f"--lora {NAME}=0.5")
    recipe = styled["clips"][0]["recipe"]["lora"]
    assert [(style["name"], style["strength"]) for style in recipe] == [(NAME, 0.5)]
    again = ended(client, order(client)["id"])  # the next one has no style any more
    assert sound(client, again) == sound(client, plain)


@pytest.mark.parametrize(
    "name",
    [
        *("../outside.safetensors", "/etc/passwd", "other.safetensors", "damaged.safetensors"),
        *("notes.txt", ".", "", "none.safetensors"),
    ],
)
def test_other_names_are_refused(client, styles, name):
    for given in (name, str(styles / name)):
        answer = client.post("/v1/jobs", json={**SHORT, "lora": [{"name": given}]})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["field"]) == (
            *(422, "style_not_found", "lora"),
        )
        assert str(styles) not in answer.text


@pytest.mark.parametrize(
    "lora",
    [
        [{"name": NAME}, {"name": NAME}],
        [{"name": NAME}, {"name": "worn.safetensors"}],
        [{"name": NAME, "strength": 1e9}],
        [{"name": NAME, "path": "x"}],
        [{"name": NAME}] * 9,
        NAME,
    ],
)
def test_what_cannot_be_is_refused(client, lora):
    answer = client.post("/v1/jobs", json={**SHORT, "lora": lora})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")
    assert answer.json()["error"]["field"].startswith("lora")


def test_a_style_that_vanishes_fails_its_jobs_and_nothing_else(client, styles):
    path = styles / "soon.safetensors"
    random_adapter(path, CHECKPOINT, size=0.1)
    client.studio.styles.of(client.studio.models.get(None).bundle)
    blocking = order(client, seconds=4, steps=60)
    job = order(client, lora=[{"name": path.name}])
    path.unlink()
    ended(client, blocking["id"])
    failed = ended(client, job["id"])
    assert failed["state"] == "failed" and str(styles) not in str(failed)
    assert ended(client, order(client)["id"])["state"] == "done"


def test_a_folder_that_is_none_is_told_at_the_start(tmp_path):
    with pytest.raises(EdgeAudioError, match="no folder; name one of adapters with --styles"):
        Studio(ServeConfig(data=tmp_path, styles=tmp_path / "stlyes"))


def test_without_a_folder_there_are_none(tmp_path):
    with serving(tmp_path) as client:
        assert client.get("/v1/models").json()["data"][0]["styles"] == []
        assert client.post("/v1/jobs", json={**SHORT, "lora": [{"name": NAME}]}).status_code == 422
