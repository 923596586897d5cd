"""Runs as their users meet them: what comes out, what goes on after a stop, what is refused."""

import functools
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import datasets
import pytest
import soundfile
import webdataset
from processes import uncounted
from systems import posix

from edge_audio import Clip
from edge_audio.batch import crew
from edge_audio.system import processes

ROOT = Path(__file__).parents[3]
LIST = ["prompt,seconds", "rain,1", "a train,0.5", "a bell,1.5", "rain,1"]


def files(folder):
    """Name -> hash of what readers see of a run's folder."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).iterdir())
        if path.is_file()
    }


def metadata(folder):
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


def test_a_list_becomes_sounds_with_metadata(batch, tmp_path):
    code, out, errors = batch(LIST, "--variations", 2)
    assert code == 0 and errors == "" and "4 rows, 8 sounds" in out
    rows = metadata(tmp_path / "out")
    assert [row["prompt"] for row in rows] == [
        p for p in ("rain", "a train", "a bell", "rain") for _ in "12"
    ]
    assert len({row["seed"] for row in rows}) == len({row["sha256"] for row in rows}) == 8
    for row in rows:
        path = tmp_path / "out" / row["file_name"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]
        assert soundfile.info(path).duration == row["seconds"]
        assert Clip.recipe_of(path)["seed"] == row["seed"]
        assert json.loads(row["settings"])["seconds"] == row["seconds"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "8 of 8 sounds" in page and rows[0]["file_name"] in page


def test_a_finished_run_does_nothing_and_a_changed_row_is_made_anew(batch, tmp_path):
    batch(LIST)
    before = files(tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.flac")}
    assert "nothing to do" in batch(LIST)[1]
    assert files(tmp_path / "out") == before
    changed = [*LIST[:3], "a bell,1.25", *LIST[4:]]
    assert "1 to be made" in batch(changed)[1]
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.flac")}
    assert len(after) == 4 and len(set(after.items()) & set(times.items())) == 3
    assert batch(changed, out=tmp_path / "new")[0] == 0
    assert files(tmp_path / "new") == files(tmp_path / "out")


def test_neither_order_nor_workers_change_a_sound(batch, tmp_path):
    batch(LIST)
    batch([LIST[0], *LIST[:0:-1]], "--workers", 3, out=tmp_path / "other")
    sounds = [files(tmp_path / folder).items() for folder in ("out", "other")]
    assert {name for name, _ in sounds[0] ^ sounds[1]} == {"metadata.jsonl", "report.html"}


def test_shards_of_a_run_make_it_together(batch, tmp_path):
    batch(LIST, "--variations", 3)
    code, out, _ = batch(LIST, "--variations", 3, "--shard", "1/2", out=tmp_path / "parts")
    assert code == 0 and "6 sounds of other shards" in out
    assert not (tmp_path / "parts" / "metadata.jsonl").exists()
    batch(LIST, "--variations", 3, "--shard", "2/2", out=tmp_path / "parts")
    assert files(tmp_path / "parts") == files(tmp_path / "out")


def start(toy_bundle, listed, out):
    command = [sys.executable, "-m", "edge_audio.cli", "batch", listed, "--out", out, "--quiet"]
    more = ["--model", toy_bundle, "--workers", "2", "--threads", "1"]
    environment = {**uncounted(), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([*map(str, command + more)], env=environment)


def wait_for(found, process=None):
    until = time.monotonic() + 60
    while not found():
        assert time.monotonic() < until and (process is None or process.poll() is None)
        time.sleep(0.01)


@posix
@pytest.mark.parametrize("kind", ["run", "worker"])
def test_what_is_killed_goes_on_to_the_same(toy_bundle, tmp_path, kind):
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(f"rain number {i}" for i in range(60)))
    whole = start(toy_bundle, listed, tmp_path / "whole")
    out = tmp_path / "out"
    run = start(toy_bundle, listed, out)
    wait_for(lambda: len(list(out.glob("*.flac"))) > 3, run)
    if kind == "run":
        run.kill()
        run.wait()
        journal = out / ".edge-audio" / "journal.jsonl"
        with journal.open("a") as file:  # what a kill in the middle of a write may leave
            file.write('{"unit": "half')
        assert not (out / "metadata.jsonl").exists()
        run = start(toy_bundle, listed, out)
    else:
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
    assert run.wait(60) == 0 and whole.wait(60) == 0
    assert files(out) == files(tmp_path / "whole")
    assert len(metadata(out)) == 60


def test_a_row_that_kills_its_workers_is_named_and_the_rest_made(batch, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(
        "import os, edge_audio.batch.make as make\n"
        "usual = make.Maker.make\n"
        "def deadly(self, unit):\n"
        "    os._exit(9) if unit.ask['prompt'] == 'a bell' else None\n"
        "    return usual(self, unit)\n"
        "make.Maker.make = deadly\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    code, out, _ = batch(LIST)
    assert code == 1 and "1 failed" in out
    assert len(metadata(tmp_path / "out")) == 3
    failures = (tmp_path / "out" / ".edge-audio" / "failures.csv").read_text()
    assert "4,1,a bell,its worker died twice (exit code 9)" in failures
    assert "died twice" in (tmp_path / "out" / "report.html").read_text()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert batch(LIST)[0] == 0 and len(metadata(tmp_path / "out")) == 4


@pytest.mark.parametrize(
    ("lines", "options", "said"),
    [
        (["text,secs", "rain,1"], [], "give a column prompt (its columns: text, secs)"),
        (["prompt,second", "rain,1"], [], "did you mean seconds"),
        (["prompt,file_name", "rain,../rain"], [], "row 2: file_name '../rain' has a path in it"),
        (["prompt,file_name", "rain,a", "hail,A"], [], "row 3: file_name A is another row's"),
        (["prompt,file_name", "rain,metadata"], [], "is taken by the run's own files"),
        (["prompt,file_name", "rain,a.mp3"], [], "has another extension than .flac"),
        (["prompt,seconds", "rain,1", "rain,9000"], [], "row 3: seconds 9000 is more than"),
        (["prompt,family", "rain,dragon"], [], "family 'dragon' has no check"),
        (["prompt,init", "rain,none.wav"], [], "none.wav cannot be read as sound"),
        (["seconds", "1"], [], "there is no prompt"),
        (["prompt", "a {note}"], [], "give its values with --attribute"),
        (["prompt", "rain"], ["--shard", "3/2"], "shard '3/2' is none"),
        (["prompt", "rain"], ["--keep-passing", "1000"], "use 100 or less"),
    ],
)
def test_what_cannot_be_made_is_told_before_anything_is(batch, tmp_path, lines, options, said):
    code, _, errors = batch(lines, *options)
    assert code in (1, 2) and said in errors
    assert not list((tmp_path / "out").glob("*.flac"))


def test_a_wrong_column_is_told_once(batch):
    code, _, errors = batch(["prompt,secnds", "rain,1", "hail,2", "a bell,3"])
    assert code == 1 and errors.count("\n") == errors.count("did you mean seconds?") == 1
    assert "list.csv: column 'secnds' is unknown" in errors
    rows = [{"prompt": "rain", "secnds": 1}, {"text": "hail"}, {"prompt": "a bell", "lable": 1}]
    code, _, errors = batch(map(json.dumps, rows * 3), "--dry-run", name="list.jsonl")
    assert code == 1 and [line.split(";")[0] for line in errors.splitlines()] == [
        "row 1: column 'secnds' is unknown",
        "row 2: there is no prompt",
        "row 3: column 'lable' is unknown",
        "and 6 rows more",
        "error: 9 rows cannot be made",
    ]


def test_bad_rows_are_skipped_on_request(batch, tmp_path):
    lines = ["prompt,seconds", "rain,1", "rain,9000", "a bell,1"]
    code, _, errors = batch(lines, "--skip-bad")
    assert code == 0 and "row 3: seconds 9000" in errors
    assert [row["prompt"] for row in metadata(tmp_path / "out")] == ["rain", "a bell"]


def test_folders_that_are_not_this_runs(batch, tmp_path):
    batch(LIST)
    assert "made with another format" in batch(LIST, "--format", "wav")[2]
    assert "made with another seed" in batch(LIST, "--seed", 2)[2]
    assert "holds the sounds of another list" in batch(["prompt", "hail"])[2]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    assert "holds other files, such as notes.txt" in batch(LIST, out=tmp_path / "full")[2]


def test_a_disk_that_is_full_stops_the_run_which_goes_on_later(batch, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(
        "import errno, os, edge_audio.batch.place as place\n"
        "usual = os.replace\n"
        "def replace(source, target):\n"
        "    if str(target).endswith('.flac') and 'bell' in str(target):\n"
        "        raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "    usual(source, target)\n"
        "place.os.replace = replace\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    code, _, errors = batch(LIST)
    assert code == 1 and "No space left on device); free some space" in errors
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert batch(LIST)[0] == 0 and len(metadata(tmp_path / "out")) == 4
    assert not list((tmp_path / "out" / ".edge-audio" / "writing").iterdir())


def test_a_dry_run_leaves_nothing(batch, tmp_path):
    code, out, _ = batch(LIST, "--dry-run")
    assert code == 0 and "4 rows, 4 sounds" in out and "by one sound of" in out
    assert not (tmp_path / "out").exists()


def test_one_of_a_kind(batch):
    _, out, _ = batch(["prompt,seconds", "rain,1"], "--dry-run")
    assert "1 row, 1 sound, 0.00 hours, about 179 bytes of flac; 1 to be made" in out
    assert "error: 1 row cannot be made" in batch(["prompt,seconds", "rain,9000"])[2]


def test_what_is_refused_claims_no_folder(batch, tmp_path):
    out, bad = tmp_path / "out", ["prompt,seconds", "rain,9000"]
    for lines in (bad, ["prompt,secnds", "rain,1"]):
        assert batch(lines, "--dry-run")[0] == batch(lines)[0] == 1 and not out.exists()
    out.mkdir()
    assert batch(bad)[0] == 1 and out.exists()
    assert batch(["prompt", "rain"], "--format", "wav", "--seed", 5)[0] == 0
    assert len(list(out.glob("*.wav"))) == 1


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="datasets 3 has no pickle for Python 3.14")
@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_datasets_reads_a_folder(batch, tmp_path, kind):
    lines = ["prompt,label", *(f"a {word} train test,{word}" for word in ("slow", "fast"))]
    assert batch(lines, "--metadata", kind, "--carry", "label")[0] == 0
    loaded = datasets.load_dataset(
        "audiofolder", data_dir=str(tmp_path / "out"), cache_dir=str(tmp_path / "cache")
    )
    assert list(loaded) == ["train"]
    table = loaded["train"].cast_column("audio", datasets.Audio(decode=False))
    assert sorted(table["label"]) == ["fast", "slow"] and len(table["sha256"]) == 2
    for row in table:
        path = Path(row["audio"]["path"])
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]


def test_webdataset_reads_shards(batch, tmp_path):
    lines = ["prompt", *(f"rain {i}" for i in range(5))]
    assert batch(lines, "--webdataset", 2)[0] == 0
    before = files(tmp_path / "out")
    assert [name for name in before if name.endswith(".tar")] == [
        f"sounds-{number:06}.tar" for number in range(3)
    ]
    assert not list((tmp_path / "out" / ".edge-audio" / "sounds").iterdir())
    urls = sorted(map(str, (tmp_path / "out").glob("*.tar")))
    rows = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert [json.loads(row["json"])["prompt"] for row in rows] == lines[1:]
    for row in rows:
        assert hashlib.sha256(row["flac"]).hexdigest() == json.loads(row["json"])["sha256"]
    assert "nothing to do" in batch(lines, "--webdataset", 2)[1]
    assert files(tmp_path / "out") == before
    changed = [*lines[:4], "hail", lines[5]]
    assert "1 to be made" in batch(changed, "--webdataset", 2)[1]
    after = files(tmp_path / "out")
    assert [name for name in after if after[name] != before[name]] == [
        "report.html",
        "sounds-000001.tar",
    ]


@pytest.mark.parametrize("format", ["mp3", "ogg", "opus"])
def test_files_of_every_format_are_the_same_each_time(batch, tmp_path, format):
    options = ("--format", format, "--rate", 16000, "--normalize", -20)
    for folder in ("one", "two"):
        assert batch(LIST, *options, out=tmp_path / folder)[0] == 0
    assert files(tmp_path / "one") == files(tmp_path / "two")
    path = next((tmp_path / "one").glob(f"*.{format}"))
    assert soundfile.info(path).samplerate == 16000 and len(soundfile.read(path)[0])


def test_keeping_what_passes(batch, tmp_path):
    """The toy model makes nothing that passes: every take is made, and the first one is kept."""
    lines = ["prompt,family,attributes", 'a bell,bell,"{""note"": ""A4""}"', "hail,,"]
    batch(lines, out=tmp_path / "first")
    code, out, _ = batch(lines, "--keep-passing", 3)
    assert code == 0 and "1 of them can be heard; up to 3 takes" in out
    bell, hail = metadata(tmp_path / "out")
    assert (bell["passed"], bell["attempts"], bell["family"]) == (False, 3, "bell")
    assert "440.0 Hz" in bell["expected"] or "too short" in bell["measured"]
    assert (hail["passed"], hail["attempts"]) == (None, 1)
    assert bell["sha256"] == metadata(tmp_path / "first")[0]["sha256"]
    assert "0 of the 1 sounds" in (tmp_path / "out" / "report.html").read_text()


def test_workers_that_are_heard_through_sockets(batch, tmp_path, monkeypatch):
    """As on Windows, where only sockets can be waited for."""
    sockets = functools.partial(processes.selectable, are_pipes=False)
    monkeypatch.setattr(crew, "selectable", sockets)
    assert batch(LIST, "--workers", 2, "--variations", 2)[0] == 0
    assert len(metadata(tmp_path / "out")) == 8


@posix
def test_two_runs_do_not_write_one_folder(toy_bundle, batch, tmp_path):
    import fcntl

    batch(LIST)
    with (tmp_path / "out" / ".edge-audio" / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "another run is at work" in batch(LIST)[2]
