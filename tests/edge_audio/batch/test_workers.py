"""Workers that hang, die, cannot start or have to fit into a budget, and a full disk."""

import errno
import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_audio.batch import crew, journal, run
from edge_audio.cli.main import main
from edge_audio.errors import EdgeAudioError
from edge_audio.system import device

ROOT = Path(__file__).parents[3]
LIST = ["prompt", "rain", "a bell", "hail", "snow"]


def prompts(out):
    rows = (out / "metadata.jsonl").read_text().splitlines()
    return [json.loads(row)["prompt"] for row in rows]


@pytest.mark.slow
def test_a_worker_that_hangs_is_treated_as_dead(batch, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(
        "import time, edge_audio.batch.make as make\n"
        "usual = make.Maker.make\n"
        "def slowly(self, unit):\n"
        "    time.sleep(1000) if unit.ask['prompt'] == 'a bell' else None\n"
        "    return usual(self, unit)\n"
        "make.Maker.make = slowly\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    monkeypatch.setattr(crew, "LEAST", 1.0)
    monkeypatch.setattr(crew, "SLOWER", 3.0)
    code, out, _ = batch(LIST)
    assert code == 1 and "1 failed" in out
    assert prompts(tmp_path / "out") == ["rain", "hail", "snow"]
    failures = (tmp_path / "out" / ".edge-audio" / "failures.csv").read_text()
    assert "3,1,a bell,its worker died twice (no answer for" in failures


@pytest.fixture
def crews(monkeypatch):
    """The numbers of workers of all crews; each worker says that it needs 100 MB."""
    found = []

    class Counted(crew.Crew):
        memory = property(lambda self: 100_000_000, lambda self, told: None)

        def __init__(self, job, place, workers, *more):
            found.append(workers)
            super().__init__(job, place, workers, *more)

    monkeypatch.setattr(run, "Crew", Counted)
    return found


def test_a_budget_bounds_workers(batch, tmp_path, crews):
    assert batch(LIST, "--workers", 4, "--memory-budget", "250M")[0] == 0
    assert crews == [1, 2] and prompts(tmp_path / "out") == LIST[1:]


def test_a_budget_that_no_worker_fits_into(batch, tmp_path, crews):
    code, _, errors = batch(LIST, "--memory-budget", "50M")
    assert code == 1 and "a worker needs 100 MB, and the memory budget is 52 MB" in errors
    assert batch(LIST, "--memory-budget", "1G")[0] == 0 and prompts(tmp_path / "out") == LIST[1:]


def test_a_worker_that_died_tells_no_budget(batch, tmp_path, crews, monkeypatch):
    monkeypatch.setattr(run.Crew, "memory", property(lambda self: 0, lambda self, told: None))
    assert batch(LIST, "--workers", 4, "--memory-budget", "1G")[0] == 0
    assert crews == [1], "how many fit is not known, so no more are hired"


def test_of_a_crew_that_cannot_start_nobody_stays(batch, monkeypatch):
    started, usual = [], subprocess.Popen

    def popen(*arguments, **options):
        if len(started) == 2:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        started.append(usual(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(crew.subprocess, "Popen", popen)
    code, _, errors = batch(LIST, "--workers", 3)
    assert code == 1 and "no worker can be started (Resource temporarily" in errors
    assert len(started) == 2 and all(process.poll() is not None for process in started)


@pytest.mark.parametrize("is_short", [True, False])
def test_a_full_disk_leaves_no_half_line(tmp_path, monkeypatch, is_short):
    usual = os.write

    def write(descriptor, data):
        if not is_short:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return usual(descriptor, data[:5])

    with journal.Journal(tmp_path) as records:
        records.add({"unit": "1"})
        with monkeypatch.context() as patch:
            patch.setattr(journal.os, "write", write)
            with pytest.raises(EdgeAudioError, match="cannot be written .*o space left"):
                records.add({"unit": "2"})
        assert "2" not in records
        records.add({"unit": "3"})
        assert list(records.records(iter("13"))) == [{"unit": "1"}, {"unit": "3"}]
    assert records.path.read_text() == '{"unit":"1"}\n{"unit":"3"}\n'


@pytest.mark.parametrize(("free", "most"), [(2 << 30, 4), (1200 << 20, 1), (300 << 20, 1)])
def test_free_memory_bounds_workers_that_are_measured(monkeypatch, free, most):
    """A worker takes 600 MB of what was free before: no crew is larger than fits, and none empty,
    which would say that workers need nothing.
    """
    crews, unit = [], 600 << 20

    class Fake:
        def __init__(self, job, place, workers, threads, memory="all"):
            self.workers, self.memory = workers, unit
            crews.append(self)

        def __exit__(self, *exception):
            self.workers = 0

        def answers(self, units, is_over=lambda: False):
            hired.append(self.workers)
            for key in units if self.workers else ():
                yield {"unit": key}
                if is_over():
                    return

    def memory():
        return SimpleNamespace(available=free - unit * sum(each.workers for each in crews))

    class FakeRun(run.Run):
        def pending(self):
            return iter(range(200))

        def claim(self):
            pass

        def carry_out(self, answers, *_):
            return sum("failed" in answer for answer in answers)

    hired: list[int] = []
    monkeypatch.setattr(run, "Crew", Fake)
    monkeypatch.setattr(run, "MEASURED", 0.0)
    monkeypatch.setattr(run.device, "memory", memory)
    monkeypatch.setattr(run.device, "cpus", lambda: 4)
    place = SimpleNamespace(url="", folder=None)
    run.local(FakeRun(SimpleNamespace(units=200), None, place, None, None), run.Force(), print)
    assert len(hired) > 1 and min(hired) == 1 and max(hired) <= most


@pytest.mark.slow
def test_workers_and_threads_are_measured_by_sounds_that_are_kept(
    toy_bundle, tmp_path, crews, monkeypatch, capsys
):
    monkeypatch.setattr(device, "cpus", lambda: 2)
    monkeypatch.setattr(run, "MEASURED", 0.1)
    monkeypatch.setattr(run, "BETTER", 1e9)  # the most workers win, who were measured last
    listed, out = tmp_path / "list.txt", tmp_path / "out"
    listed.write_text("".join(f"rain number {i}\n" for i in range(100)))
    given = ["batch", listed, "--out", out, "--model", toy_bundle, "--seconds", 0.1]
    assert main([str(word) for word in given]) == 0
    said = capsys.readouterr().out
    assert "measured 1 worker x 2 threads" in said and "measured 2 workers x 1 thread:" in said
    assert crews == [1, 2], "those who were measured last are still at work"
    assert len(prompts(out)) == 100
