"""The queue, the workers and what becomes of jobs, without HTTP and with it."""

import shutil
import threading
import time

import pytest
from serve.serving import SHORT, ended, order, serving

from edge_audio import Request
from edge_audio.model.model import default_model
from edge_audio.serve.config import ServeConfig
from edge_audio.serve.jobs import Order
from edge_audio.serve.refusal import Refused
from edge_audio.serve.studio import Studio

LONG = {**SHORT, "seconds": 4, "steps": 250}


@pytest.fixture
def studio(tmp_path):
    """A studio that has eight places, of which a client gets six."""
    studio = Studio(ServeConfig(data=tmp_path, max_waiting=8))
    yield studio
    studio.close()


def wait_for(condition):
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


def over(studio, job):
    wait_for(lambda: job.is_over and studio.live(job.id) is None)
    return job.state


def test_clients_take_turns(studio):
    first = studio.submit(Order(Request(**LONG)), "greedy")
    wait_for(lambda: first.state == "running")
    greedy = [studio.submit(Order(Request(**SHORT)), "greedy") for _ in range(3)]
    modest = [studio.submit(Order(Request(**SHORT)), name) for name in ("a", "b")]
    assert [job.position for job in greedy + modest] == [0, 3, 4, 1, 2]
    studio.cancel(first)
    for job in greedy + modest:
        assert over(studio, job) == "done"
    by_turn = sorted(greedy + modest, key=lambda job: job.started)
    assert by_turn == [greedy[0], *modest, *greedy[1:]]


def test_the_queue_is_bounded_and_no_client_fills_it(studio):
    studio.submit(Order(Request(**LONG)), "greedy")
    wait_for(lambda: studio.waiting == 0)
    for _ in range(6):
        studio.submit(Order(Request(**SHORT)), "greedy")
    with pytest.raises(Refused, match="too many jobs waiting") as refused:
        studio.submit(Order(Request(**SHORT)), "greedy")
    assert refused.value.status == 503 and int(refused.value.headers["Retry-After"]) >= 1
    for client in ("a", "b"):
        studio.submit(Order(Request(**SHORT)), client)
    with pytest.raises(Refused, match="the queue is full"):
        studio.submit(Order(Request(**SHORT)), "c")


def test_what_waits_is_cancelled_at_once(studio):
    studio.submit(Order(Request(**LONG)), "a")
    wait_for(lambda: studio.waiting == 0)
    waiting = [studio.submit(Order(Request(**SHORT)), "a") for _ in range(2)]
    studio.cancel(waiting[0])
    assert waiting[0].state == "cancelled" and waiting[1].position == 0
    moved = [
        event.data["position"] for event in waiting[1].events_after() if event.kind == "queued"
    ]
    assert moved == [1, 0]


def test_variations_share_what_the_prompt_made(studio):
    request = Request(**{**SHORT, "prompt": "metal bell C4"})  # which every seed reads alike
    job = studio.submit(Order(request, variations=3), "a")
    assert over(studio, job) == "done"
    model = studio._workers["pocket"]._pipeline.model
    runs = [key for key in model._remembered if key[0].startswith("condition")]
    assert len(runs) == 1


def test_an_idle_model_leaves_memory_and_comes_back(tmp_path):
    before = threading.active_count()
    studio = Studio(ServeConfig(data=tmp_path, idle_seconds=0.05))
    try:
        for _ in range(2):
            job = studio.submit(Order(Request(**SHORT)), "a")
            assert over(studio, job) == "done"
            wait_for(lambda: not studio._is_loaded("pocket"))
            wait_for(lambda: threading.active_count() == before)
    finally:
        studio.close()


def test_what_was_not_made_is_lost_when_it_stops(tmp_path):
    studio = Studio(ServeConfig(data=tmp_path))
    jobs = [studio.submit(Order(Request(**LONG)), "a") for _ in range(2)]
    wait_for(lambda: jobs[0].state == "running")
    studio.close()
    assert [job.state for job in jobs] == ["lost", "lost"]
    again = Studio(ServeConfig(data=tmp_path))
    try:
        assert [again.view(job.id)["state"] for job in jobs] == ["lost", "lost"]
    finally:
        again.close()


def test_draining_takes_no_more_and_ends_what_it_has(tmp_path):
    with serving(tmp_path) as client:
        job = order(client, steps=20)["id"]
        assert client.studio.drain(30)
        assert client.get(f"/v1/jobs/{job}").json()["state"] == "done"
        refused = client.post("/v1/jobs", json=SHORT)
        assert refused.status_code == 503 and refused.json()["error"]["code"] == "draining"
        assert client.get("/health").status_code == 503


def test_models_of_a_folder(tmp_path):
    folder = tmp_path / "models"
    shutil.copytree(default_model(), folder / "one")
    with serving(tmp_path / "data", models=folder) as client:
        found = client.get("/v1/models").json()["data"]
        assert [(m["id"], m["default"], m["loaded"]) for m in found] == [
            ("pocket", True, False),
            ("pocket-one", False, False),
        ]
        assert (
            found[0]["words"]["bell"] and found[0]["examples"] and "int8" in found[0]["precisions"]
        )
        assert client.post("/v1/models/pocket-one/load").json()["loaded"]
        job = ended(client, order(client, model="pocket-one", precision="int8")["id"])
        assert job["state"] == "done" and "--model pocket-one" in job["command"]
        assert job["clips"][0]["recipe"]["precision"]["dit"] == "int8"
        shutil.rmtree(folder / "one")
        answer = client.post("/v1/jobs", json={**SHORT, "model": "pocket-one"})
        assert answer.json()["error"]["code"] == "model_not_found"
        assert len(client.get("/v1/models").json()["data"]) == 1


def test_a_model_that_vanishes_fails_jobs_and_nothing_else(tmp_path):
    """Be it gone when a job is ordered, or when its turn comes."""
    folder = tmp_path / "mine"
    shutil.copytree(default_model(), folder)
    with serving(tmp_path / "data", model=folder, memory="free") as client:
        first = order(client, **{**LONG, "steps": 60})["id"]
        second = order(client)["id"]
        shutil.move(folder, tmp_path / "elsewhere")
        assert ended(client, first)["state"] in ("done", "failed")
        failed = ended(client, second)
        assert failed["state"] == "failed" and failed["error"]["code"] == "model_unavailable"
        assert str(tmp_path) not in str(failed)
        answer = client.post("/v1/jobs", json=SHORT)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unavailable")
        assert client.get("/health").status_code == 200
        shutil.move(tmp_path / "elsewhere", folder)
        assert ended(client, order(client)["id"])["state"] == "done"


def test_a_damaged_graph_fails_the_job_with_a_reason(tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(default_model(), folder)
    for graph in folder.glob("decoder.*.tflite"):
        graph.write_bytes(b"\0" * graph.stat().st_size)
    with serving(tmp_path / "data", model=folder) as client:
        failed = ended(client, order(client)["id"])
        assert failed["state"] == "failed" and "another sha256" in failed["error"]["message"]
        assert str(tmp_path) not in str(failed)
        waited = client.post("/v1/generate", json=SHORT)
        assert waited.status_code == 500 and waited.json()["error"]["code"] == "failed"


def test_metrics_count(client):
    ended(client, order(client)["id"])
    text = client.get("/metrics").text
    assert 'edge_audio_jobs_total{model="pocket",state="done"} 1.0' in text
    assert 'route="/v1/jobs/{id}/events"' in text and "edge_audio_jobs_waiting 0.0" in text
