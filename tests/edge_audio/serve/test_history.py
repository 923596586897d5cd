"""History: limits, and what is left after a process was killed."""

import io
import itertools
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from processes import uncounted
from serve.serving import SHORT, ended, order, serving
from systems import posix

from edge_audio import Clip, EdgeAudioError, EdgeAudioWarning
from edge_audio.audio.finish import Finish
from edge_audio.serve.audio import Encoder
from edge_audio.serve.history import History, kept


def files(data: Path) -> set[str]:
    return {path.name for path in (data / "clips").iterdir()}


def test_the_oldest_make_room_and_favourites_stay(tmp_path):
    with serving(tmp_path, history_jobs=3) as client:
        jobs = [ended(client, order(client)["id"])["id"] for _ in range(3)]
        client.patch(f"/v1/jobs/{jobs[0]}", json={"favourite": True})
        jobs += [ended(client, order(client)["id"])["id"] for _ in range(2)]
        kept = [job["id"] for job in client.get("/v1/jobs").json()["jobs"]]
        assert kept == [jobs[4], jobs[3], jobs[0]]
        assert files(tmp_path) == {f"{job}-0.flac" for job in kept}
        assert client.get(f"/v1/jobs/{jobs[1]}/audio").status_code == 404
        assert client.get(f"/v1/jobs/{jobs[0]}/audio").status_code == 200


def test_bytes_are_bounded(tmp_path):
    with serving(tmp_path) as client:
        jobs = [ended(client, order(client)["id"])["id"] for _ in range(3)]
        client.studio.history.most_bytes = client.studio.history.bytes
        jobs.append(ended(client, order(client)["id"])["id"])
        kept = [job["id"] for job in client.get("/v1/jobs").json()["jobs"]]
        assert kept == jobs[:0:-1]
        sizes = sum(path.stat().st_size for path in (tmp_path / "clips").iterdir())
        assert client.studio.history.bytes == sizes


def test_it_is_all_there_after_another_start(tmp_path):
    with serving(tmp_path) as client:
        job = ended(client, order(client, variations=2)["id"])
        sound = client.get(f"/v1/jobs/{job['id']}/audio").content
    with serving(tmp_path) as client:
        assert client.get(f"/v1/jobs/{job['id']}").json() == job
        assert client.get(f"/v1/jobs/{job['id']}/audio").content == sound
        assert client.delete(f"/v1/jobs/{job['id']}").status_code == 204
        assert not files(tmp_path) and client.studio.history.bytes == 0


def test_half_files_and_those_of_nobody_are_removed(tmp_path):
    with serving(tmp_path) as client:
        whole, short, gone = (ended(client, order(client)["id"])["id"] for _ in range(3))
    clips = tmp_path / "clips"
    (clips / f"{whole}-1.flac.part").write_bytes(b"fLaC")
    (clips / "00000000000000000000-0.flac").write_bytes(b"fLaC")
    (clips / f"{short}-0.flac").write_bytes(b"fLaC")  # the disk lost power
    (clips / f"{gone}-0.flac").unlink()
    with serving(tmp_path) as client:
        assert files(tmp_path) == {f"{whole}-0.flac"}
        for job, count in ((whole, 1), (short, 0), (gone, 0)):
            assert len(client.get(f"/v1/jobs/{job}").json()["clips"]) == count
            assert client.get(f"/v1/jobs/{job}/audio").status_code == (200 if count else 404)


def test_a_history_of_another_version_is_refused_whole(tmp_path):
    with sqlite3.connect(tmp_path / "history.db") as base:
        base.execute("PRAGMA user_version = 99")
    base.close()
    with pytest.raises(EdgeAudioError, match="version 99, this reads 1"):
        History(tmp_path, 10, 1 << 20)


def test_a_full_disk_fails_the_job_and_leaves_nothing(tmp_path, monkeypatch):
    def full(self, file, **more):
        file.write(b"fLaC")
        raise OSError(28, "No space left on device")

    with serving(tmp_path) as client:
        with monkeypatch.context() as patch:
            patch.setattr(Clip, "save", full)
            failed = ended(client, order(client)["id"])
        assert failed["state"] == "failed" and "No space left" in failed["error"]["message"]
        assert not files(tmp_path)
        assert ended(client, order(client)["id"])["state"] == "done"


def test_peaks_above_full_scale_are_turned_down_without_a_warning(tmp_path):
    """Byte for byte as the library does, which warns; also where another rate is needed."""
    loud = Clip(1.5 * np.sin(np.arange(4410) / 9, dtype=np.float32)[:, None], 44100, {"seed": 1})
    with pytest.warns(EdgeAudioWarning, match="peak 1.50"):
        loud.save(tmp_path / "library.flac")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with open(tmp_path / "kept.flac", "wb") as file:
            kept(loud).save(file, format="flac")
        opus = Encoder().encoded(tmp_path / "kept.flac", loud.saved_recipe, "opus", Finish())
    assert (tmp_path / "kept.flac").read_bytes() == (tmp_path / "library.flac").read_bytes()
    assert soundfile.info(io.BytesIO(opus.data)).samplerate == 48000


def started(data: Path, *flags: str) -> subprocess.Popen:
    """The real command, which says where it listens."""
    command = [sys.executable, "-m", "edge_audio.cli", "serve", "--port", "0", "--data", str(data)]
    return subprocess.Popen(
        [*command, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=uncounted(),
    )


@posix
def test_at_sigterm_jobs_end_and_so_does_the_server(tmp_path):
    with started(tmp_path, "--drain-seconds", "60") as process:
        address = process.stdout.readline().split()[-1]
        with httpx.Client(base_url=address, timeout=60) as client:
            jobs = [order(client, steps=30)["id"] for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    with serving(tmp_path) as client:
        assert {client.get(f"/v1/jobs/{job}").json()["state"] for job in jobs} == {"done"}


def killed_in_mid_job(data: Path, delay: float) -> set[str]:
    """Ids of jobs that were done before a server was killed with others under way."""
    with started(data) as process:
        try:
            address = process.stdout.readline().split()[-1]
            with httpx.Client(base_url=address, timeout=60) as client:
                for _ in range(2):
                    order(client)
                order(client, seconds=4, variations=16)
                time.sleep(delay)
                done = client.get("/v1/jobs", params={"limit": 200}).json()["jobs"]
        finally:
            process.send_signal(signal.SIGKILL)
    return {job["id"] for job in done if job["state"] == "done"}


def check_whole(data: Path, done: set[str]) -> None:
    """A history that survived: every clip plays, no file is nobody's, nothing is under way."""
    with serving(data) as client:
        seen, before, names = set(), {}, set()
        for _ in itertools.count():
            page = client.get("/v1/jobs", params=before).json()
            for job in page["jobs"]:
                assert job["state"] in ("done", "lost"), job
                assert (job["state"] == "lost") == bool(job["error"])
                for clip in job["clips"]:
                    url = f"/v1/jobs/{job['id']}/audio"
                    answer = client.get(url, params={"clip": clip["index"], "format": "wav"})
                    assert answer.status_code == 200 and len(answer.content) > 2 * clip["frames"]
                    names.add(f"{job['id']}-{clip['index']}.flac")
                seen |= {job["id"]} if job["state"] == "done" else set()
            if not page["more"]:
                break
            before = {"before": page["jobs"][-1]["id"]}
        assert done <= seen and files(data) == names


def test_kill_in_mid_job(tmp_path):
    done = killed_in_mid_job(tmp_path, 0.8)
    check_whole(tmp_path, done)
    with serving(tmp_path) as client:
        assert ended(client, order(client, **SHORT)["id"])["state"] == "done"


@pytest.mark.slow
def test_kill_at_many_moments(tmp_path):
    done = set()
    for n in range(10):
        done |= killed_in_mid_job(tmp_path, 0.1 + 0.13 * n)
        check_whole(tmp_path, done)
