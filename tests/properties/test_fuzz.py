"""A few of the damaged bundles of `make fuzz`, and the files that made LiteRT end the process."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import fuzz
import pytest

from edge_audio.errors import EdgeAudioError
from edge_audio.system import device, tables
from edge_audio.system.graph import Graph

ROOT = Path(__file__).parents[2]
COMPILED = device.runs_compiled_model(device.describe())


def changed(folder: Path, name: str, changes: dict[int, int]) -> Path:
    data = bytearray((fuzz.SOURCE / name).read_bytes())
    for place, value in changes.items():
        data[place] = value
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    "name, changes, message",
    [
        ("dit.f32.tflite", {14: 0, 16: 0}, "it has no subgraphs, operators or buffers"),
        ("conditioners.f32.tflite", {16: 0, 18: 0}, "it has no subgraphs, operators or buffers"),
        ("decoder.f32.tflite", {182: 20, 2696: 113}, "a signature is subgraph 6 of 3"),
        ("decoder.f32.tflite", {2252: 1, 2831: 4, 2951: 4}, "a signature is subgraph 1 of 1"),
        ("decoder.f32.tflite", {4: 0}, "it does not say that it is one"),
        ("decoder.f32.tflite", {3: 255}, "a table points outside of it"),
    ],
)
def test_what_litert_does_not_survive(tmp_path, name, changes, message, compiled) -> None:
    if compiled and not COMPILED:
        pytest.skip("no CompiledModel here")
    packed = tmp_path / "packed" if compiled else None
    with pytest.raises(EdgeAudioError, match=rf"is not a graph .*\({message}\)"):
        Graph(changed(tmp_path, name, changes), 1, packed)


@pytest.mark.parametrize("name", fuzz.GRAPHS)
def test_sound_tables(name) -> None:
    tables.check(fuzz.SOURCE / name)


def test_tables_without_end(monkeypatch) -> None:
    """Tables that point to each other could keep a reader busy."""
    monkeypatch.setattr(tables, "MOST_NUMBERS", 50)
    with pytest.raises(ValueError, match="it has more tables than a graph can have"):
        tables.check(fuzz.SOURCE / "dit.f32.tflite")


@pytest.mark.skipif(os.name != "posix", reason="no fork")
def test_damaged_bundles_end_in_one_line(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, fuzz.__file__, "--most", "60", "--kept", str(tmp_path / "kept")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "60 damaged bundles, seed 1" in done.stdout and "FAILED" not in done.stdout


def test_a_failure_is_kept_and_made_again(tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.setattr(fuzz, "use", lambda folder, compiled: fuzz.TRACEBACK)
    assert fuzz.fuzz(1, 60, 2, tmp_path) == 2
    told = capfd.readouterr().out
    kept = tmp_path / "1-2"
    assert f"--reproduce {kept}" in told and (kept / "manifest.json").is_file()
    assert fuzz.is_failure("vouched", -14) and not fuzz.is_failure("vouched", -11)
    assert fuzz.is_failure("hash", fuzz.RAN) and fuzz.is_failure("manifest", -11)


def test_a_sound_bundle_makes_a_clip(tmp_path) -> None:
    shutil.copytree(fuzz.SOURCE, tmp_path / "bundle")
    assert fuzz.in_a_process(tmp_path / "bundle", False) == fuzz.RAN
