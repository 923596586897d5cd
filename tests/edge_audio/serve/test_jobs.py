"""Jobs over HTTP, with a real server of the pocket model."""

import io
import time
import wave

import numpy as np
import pytest
import soundfile
from serve.serving import SHORT, ended, events, numbered, order

from edge_audio import Clip, Pipeline
from edge_audio.cli.main import main


@pytest.fixture(scope="module")
def library():
    """SHORT as the library makes it."""
    with Pipeline.load() as pipe:
        return pipe.generate(**SHORT)


def test_a_job_is_the_librarys_clip(client, library, tmp_path, capsys):
    job = ended(client, order(client)["id"])
    assert job["state"] == "done" and job["progress"] is None and job["error"] is None
    [clip] = job["clips"]
    assert (clip["seed"], clip["frames"], clip["sample_rate"], clip["channels"]) == (
        *(3, 4800, 16000, 1),
    )
    assert len(clip["peaks"]) == 400 and clip["recipe"]["prompt"] == "a bell"
    assert clip["command"] == ("edge-audio generate 'a bell' --seconds 0.3 --seed 3 --steps 2")
    library.save(tmp_path / "library.flac")
    kept = client.get(f"/v1/jobs/{job['id']}/audio", params={"format": "flac"})
    assert kept.content == (tmp_path / "library.flac").read_bytes()
    assert kept.headers["content-disposition"] == 'inline; filename="a-bell-3.flac"'
    (tmp_path / "clip.wav").write_bytes(client.get(f"/v1/jobs/{job['id']}/audio").content)
    both = [
        soundfile.read(tmp_path / name, dtype="int16")[0] for name in ("library.flac", "clip.wav")
    ]
    assert np.array_equal(*both)
    assert Clip.recipe_of(tmp_path / "clip.wav") == library.saved_recipe
    library.save(tmp_path / "library.wav")
    assert (tmp_path / "library.wav").read_bytes() == (tmp_path / "clip.wav").read_bytes()
    assert (
        main(["again", str(tmp_path / "clip.wav")]) == 0 and "identical" in capsys.readouterr().out
    )
    assert main(["again", str(tmp_path / "library.wav")]) == 0


@pytest.mark.parametrize(
    "prompt, plain, full",
    [
        ("Rain, on a  roof!", "rain-on-a-roof-3.wav", None),
        ("../../etc/passwd\r\nX: y", "etc-passwd-x-y-3.wav", None),
        ("Glöckchen 鐘 bell", "bell-3.wav", "gl%C3%B6ckchen-%E9%90%98-bell-3.wav"),
        ('"; !', "clip-3.wav", None),
        ("drum " * 40, "drum-" * 9 + "3.wav", None),
    ],
)
def test_downloads_are_named_by_prompt_and_seed(client, prompt, plain, full):
    job = ended(client, order(client, prompt=prompt, seconds=0.05)["id"])
    named = client.get(f"/v1/jobs/{job['id']}/audio").headers["content-disposition"]
    more = f"; filename*=UTF-8''{full}" if full else ""
    assert named == f'inline; filename="{plain}"{more}'


def test_events_tell_all_of_it_also_to_those_who_come_late(client):
    job = order(client)["id"]
    told = numbered(client, job)
    kinds = [kind for _, kind, _ in told]
    assert [number for number, _, _ in told] == list(range(len(told)))
    assert kinds[0] == "queued" and kinds[-2:] == ["clip", "done"]
    stages = [data["stage"] for _, kind, data in told if kind == "stage"]
    assert stages == ["condition", "sample", "decode", "encode"]
    steps = [data["step"] for _, kind, data in told if kind == "step" and data["stage"] == "sample"]
    assert steps == [1, 2]
    blocks = [data for _, kind, data in told if kind == "block"]
    assert sum(block["frames"] for block in blocks) == 4800 and blocks[-1]["left"] == 0
    assert numbered(client, job) == told
    while client.studio.live(job):
        time.sleep(0.01)
    client.studio._recent.clear()  # as after many more jobs, or another start
    assert numbered(client, job) == told[-2:]  # its clips, and how it ended
    assert numbered(client, job, {"Last-Event-ID": str(told[-2][0])}) == told[-1:]
    # a client that lost its connection after all was told still learns how it ended
    assert [kind for kind, _ in events(client, job, {"Last-Event-ID": "999"})] == ["done"]


def test_a_stream_is_the_clip(client, library):
    heard = client.post("/v1/generate", params={"stream": True}, json=SHORT)
    with wave.open(io.BytesIO(heard.content)) as sound:
        assert (sound.getnframes(), sound.getframerate(), sound.getnchannels()) == (4800, 16000, 1)
        samples = np.frombuffer(sound.readframes(4800), "<i2")
    wanted = io.BytesIO()
    library.save(wanted, format="flac")
    wanted.seek(0)
    assert np.array_equal(samples, soundfile.read(wanted, dtype="int16")[0])
    job = heard.headers["x-job-id"]
    pcm = client.get(f"/v1/jobs/{job}/stream", params={"format": "pcm"})
    assert pcm.content == samples.tobytes()


def test_variations_have_seeds_that_follow_each_other(client, library):
    job = ended(client, order(client, seed=2, variations=2)["id"])
    assert [clip["seed"] for clip in job["clips"]] == [2, 3]
    assert job["clips"][1]["command"].count("--seed 3") == 1
    wanted = io.BytesIO()
    library.save(wanted, format="flac")
    found = client.get(f"/v1/jobs/{job['id']}/audio", params={"clip": 1, "format": "flac"})
    assert found.content == wanted.getvalue()


def test_a_running_job_is_cancelled_within_a_step(client):
    job = order(client, steps=250, seconds=4)["id"]
    while client.get(f"/v1/jobs/{job}").json()["state"] == "queued":
        time.sleep(0.005)
    assert client.delete(f"/v1/jobs/{job}").status_code == 204
    told = events(client, job)
    assert told[-1][0] == "cancelled" and told[-1][1]["state"] == "cancelled"
    assert not any(kind == "block" for kind, _ in told)
    assert client.delete(f"/v1/jobs/{job}").status_code == 204  # it is over: deleted
    assert client.get(f"/v1/jobs/{job}").status_code == 404


def test_ranges_and_tags(client):
    job = ended(client, order(client)["id"])["id"]
    url = f"/v1/jobs/{job}/audio"
    whole = client.get(url)
    some = client.get(url, headers={"Range": "bytes=100-199"})
    assert some.status_code == 206 and some.content == whole.content[100:200]
    assert some.headers["content-range"] == f"bytes 100-199/{len(whole.content)}"
    assert client.get(url, headers={"Range": "bytes=-10"}).content == whole.content[-10:]
    beyond = client.get(url, headers={"Range": "bytes=9999999-"})
    assert beyond.status_code == 416 and beyond.json()["error"]["code"] == "range"
    tag = {"If-None-Match": whole.headers["etag"]}
    assert client.get(url, headers=tag).status_code == 304
    head = client.head(url)
    assert head.status_code == 200 and not head.content
    assert head.headers["content-length"] == str(len(whole.content))


def test_every_format_and_what_is_done_to_a_clip(client, library, tmp_path):
    job = ended(client, order(client)["id"])["id"]
    url = f"/v1/jobs/{job}/audio"
    formats = client.get("/v1/info").json()["formats"]
    assert {"wav", "flac", "ogg"} <= set(formats)
    for form in formats:
        answer = client.get(url, params={"format": form})
        assert answer.status_code == 200, answer.text
        assert soundfile.info(io.BytesIO(answer.content)).duration == pytest.approx(0.3, abs=0.06)
    more = {"rate": 8000, "channels": 2, "normalize": -30, "format": "flac"}
    changed = client.get(url, params=more)
    path = tmp_path / "changed.flac"
    path.write_bytes(changed.content)
    found = soundfile.info(path)
    assert (found.samplerate, found.channels, found.frames) == (8000, 2, 2400)
    told = {"rate": 8000, "channels": 2, "normalize": -30.0}
    assert Clip.recipe_of(path)["finish"] == told
    for wrong in ({"rate": 1}, {"normalize": "nan"}, {"channels": 3}, {"trim": "?"}):
        answer = client.get(url, params=wrong)
        assert answer.status_code == 422 and answer.json()["error"]["field"] == next(iter(wrong))


def test_history_is_searched_paged_and_marked(client):
    first = ended(client, order(client, prompt="a tin 100% drum")["id"])["id"]
    second = ended(client, order(client, prompt="a tin whistle")["id"])["id"]
    found = client.get("/v1/jobs", params={"query": "TIN"}).json()
    assert [job["id"] for job in found["jobs"]] == [second, first] and not found["more"]
    assert "peaks" not in found["jobs"][0]["clips"][0]
    page = client.get("/v1/jobs", params={"query": "tin", "limit": 1}).json()
    assert [job["id"] for job in page["jobs"]] == [second] and page["more"]
    rest = client.get("/v1/jobs", params={"query": "tin", "before": second}).json()
    assert [job["id"] for job in rest["jobs"]] == [first]
    assert client.get("/v1/jobs", params={"query": "0%"}).json()["jobs"][0]["id"] == first
    assert client.patch(f"/v1/jobs/{first}", json={"favourite": True}).json()["favourite"]
    liked = client.get("/v1/jobs", params={"favourite": True}).json()["jobs"]
    assert [job["id"] for job in liked] == [first]
