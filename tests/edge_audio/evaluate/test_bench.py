"""`edge-audio bench` on the pocket bundle: what it reports adds up, in every format."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_audio import EdgeAudioError, UsageError
from edge_audio.bundle.store import Bundle
from edge_audio.evaluate import bench
from edge_audio.evaluate.benchmark import Benchmark, Cost, Spread, formatted

ROOT = Path(__file__).parents[3]
POCKET = ROOT / "models" / "pocket"


def run(*arguments, **more):
    return subprocess.run(
        [sys.executable, "-m", "edge_audio.cli", "bench", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **more},
    )


@pytest.fixture(scope="module")
def told():
    done = run(
        "--model",
        POCKET,
        "--precision",
        "int8",
        "--precision",
        "dit=int8,decoder=f16",
        "--threads",
        "1,2",
        "--seconds",
        "1",
        "--steps",
        "4",
        "--repeats",
        "2",
        "--format",
        "json",
    )
    assert done.returncode == 0, done.stderr
    assert (
        done.stderr.splitlines()[0] == "measuring int8, 1 threads" and done.stderr.count("\n") == 4
    )
    return json.loads(done.stdout)


def test_a_row_for_every_precision_and_number_of_threads(told):
    assert [(row["precision"], row["threads"]) for row in told["rows"]] == [
        ("int8", 1),
        ("dit=int8,decoder=f16", 1),
        ("int8", 2),
        ("dit=int8,decoder=f16", 2),
    ]
    assert told["model"] == "pocket" and told["repeats"] == 2 and told["request"]["steps"] == 4
    assert {
        "cpu",
        "cores",
        "features",
        "python",
        "ai-edge-litert",
        "numpy",
        "system",
        "date",
    } <= set(told["machine"])


def test_the_stages_add_up(told):
    for row in told["rows"]:
        parts = (
            row["condition"]["mean"]
            + row["sample"]["mean"]
            + row["decode"]["mean"]
            + row["load_warm"]["mean"]
        )
        assert parts == pytest.approx(row["total"]["mean"], rel=0.2, abs=0.01)
        assert 0 < 4 * row["step"]["mean"] < 1.5 * row["sample"]["mean"]
        assert (
            0
            < row["first_block"]["mean"]
            <= 1.2 * (row["decode"]["mean"] + row["load_warm"]["mean"])
        )
        assert row["seconds"] == 1 and row["load_cold"] > 0 and row["gemm_share"] > 0


def test_memory_is_that_of_a_whole_process(told):
    """The interpreter, numpy and LiteRT alone take tens of megabytes; the graphs of this model a
    few more.
    """
    for row in told["rows"]:
        assert 20e6 < row["peak"] < 300e6 and 20e6 < row["peak_cold"] < 300e6


@pytest.fixture
def benchmark():
    some = Spread(0.5, 0.01)
    row = Cost(
        precision="int8",
        threads=2,
        seconds=4.0,
        condition=some,
        step=some,
        sample=some,
        decode=some,
        first_block=some,
        total=Spread(2.0, 0.1),
        load_cold=0.3,
        load_warm=some,
        peak_cold=60_000_000,
        peak=50_000_000,
        gemm_share=0.931,
    )
    request = {
        "seconds": 4.0,
        "sampler": "euler",
        "steps": 16,
        "cfg_scale": 2.5,
        "fit_length": False,
    }
    machine = {
        "cpu": "Test CPU",
        "cores": 2,
        "features": ["avx2"],
        "memory": 4 << 30,
        "system": "Linux",
        "python": "3.11",
        "edge-audio": "0.1",
        "ai-edge-litert": "2.3",
        "numpy": "2",
        "date": "2026-01-01",
    }
    return Benchmark(
        model="pocket",
        bundle_sha256="0" * 64,
        request=request,
        repeats=5,
        machine=machine,
        rows=[row],
    )


def test_markdown(benchmark):
    lines = formatted(benchmark, "markdown").splitlines()
    assert lines[0].startswith(
        "pocket, 4 s of audio, euler, 16 steps, cfg 2.5; seconds, mean ± deviation of 5 clips"
    )
    head, cells = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in (lines[2], lines[4])
    )
    found = dict(zip(head, cells))
    assert (
        found["whole clip"] == "2.000 ± 0.100"
        and found["× real time"] == "2.0"
        and found["of GEMM peak"] == "93 %"
    )
    assert found["peak memory"] == "50 MB (60 cold)" and len(head) == len(cells)
    assert (
        lines[-1]
        == "Test CPU, 2 cores (avx2), 4 GiB; Linux; Python 3.11, edge-audio 0.1, ai-edge-litert"
        " 2.3, numpy 2; 2026-01-01"
    )


def test_csv(benchmark):
    (row,) = csv.DictReader(io.StringIO(formatted(benchmark, "csv")))
    assert (row["precision"], row["threads"], row["total_mean"], row["peak"]) == (
        "int8",
        "2",
        "2.0",
        "50000000",
    )
    assert (row["cpu"], row["numpy"], row["sampler"], row["times_real_time"]) == (
        "Test CPU",
        "2",
        "euler",
        "2.0",
    )


def test_json(benchmark):
    assert json.loads(formatted(benchmark, "json"))["rows"][0]["decode"] == {
        "mean": 0.5,
        "deviation": 0.01,
    }


def test_spread():
    assert Spread.of([1.0]) == Spread(1.0, 0.0) and Spread.of(iter([1.0, 3.0])) == Spread(
        2.0, pytest.approx(2**0.5)
    )


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["--precision", "int4"], 1, "has no conditioners in int4; it has f16, int8"),
        (["--precision", "int9"], 2, "precision 'int9' is not understood"),
        (["--threads", "0"], 2, "threads 0 cannot run anything"),
        (["--threads", "two"], 2, "is no list of numbers"),
        (["--repeats", "0"], 2, "repeats 0 measure nothing"),
        (["--seconds", "99"], 1, "seconds 99 is more than model pocket"),
        (["--steps", "0"], 2, "steps 0 makes no sound"),
        (["--model", "/nowhere"], 1, "no bundle at /nowhere"),
        (["-o", "/nowhere/table.md", "--repeats", "1"], 1, "/nowhere/table.md cannot be written"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_measured(arguments, code, message):
    done = run("--quiet", *arguments)
    assert done.returncode == code and done.stdout == "" and done.stderr.startswith("error: "), (
        done.stderr
    )
    assert message in done.stderr and done.stderr.count("\n") == 1


def test_a_row_that_fails_is_named():
    with pytest.raises(
        EdgeAudioError,
        match="measuring int8 with 1 threads failed: .*; see whether `edge-audio generate`",
    ):
        bench.run_child("clips", {"precision": "int8"}, 1)
    with pytest.raises(UsageError):
        bench.bench(POCKET, ["f3"], [1])


def test_modules_in_the_working_directory_are_left_alone(tmp_path, monkeypatch):
    (tmp_path / "statistics.py").write_text("open('executed', 'w')")
    monkeypatch.chdir(tmp_path)
    assert bench.run_child("gemm", {}, 1)["flops"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["statistics.py"]


def test_what_a_child_explains_is_not_explained_again(tmp_path):
    job = {"model": str(tmp_path), "precision": "int8", "threads": 1, "request": {"ids": None}}
    with pytest.raises(EdgeAudioError) as caught:
        bench.run_child("clips", job, 1)
    with pytest.raises(EdgeAudioError) as itself:
        Bundle.open(tmp_path)
    assert str(caught.value) == f"measuring int8 with 1 threads failed: {itself.value}"


def test_ids_that_any_vocabulary_has():
    assert bench.IDS[-1] == 1 and max(bench.IDS) < 8
