"""Packed weights between runs: used when intact, made again when not, and never in the way."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import toy

from edge_audio import Bundle, EdgeAudioError, EdgeAudioWarning, Pipeline
from edge_audio.bundle.store import file_sha256
from edge_audio.system import cache, device
from edge_audio.system.device import Device
from edge_audio.system.graph import Graph

ROOT = Path(__file__).parents[3]
LATENTS = np.linspace(-1, 1, toy.LENGTH * toy.CHANNELS, dtype=np.float32).reshape(
    1, toy.LENGTH, toy.CHANNELS
)
pytestmark = pytest.mark.skipif(
    not device.runs_compiled_model(device.describe()), reason="no CompiledModel here"
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An own cache folder that takes graphs of any size."""
    folder = tmp_path / "cache"
    monkeypatch.setenv(cache.VARIABLE, str(folder))
    monkeypatch.setattr(cache, "MINIMUM", 0)
    return folder


def features(path, sha256="a" * 64):
    """What the decoder's head gives, through the cache."""
    with cache.packed_weights(path, sha256) as packed, Graph(path, 1, packed) as graph:
        return graph("head", latents=LATENTS)["features"]


def entries(place):
    return sorted(place.glob("*.weights"))


@pytest.fixture
def decoder(own_bundle):
    return own_bundle / "decoder.f32.tflite"


@pytest.fixture
def expected(decoder):
    with Graph(decoder) as graph:
        return graph("head", latents=LATENTS)["features"]


def test_made_once_then_used(place, decoder, expected):
    np.testing.assert_allclose(features(decoder), expected, atol=1e-6)
    (entry,) = entries(place)
    before = entry.stat()
    with cache.packed_weights(decoder, "a" * 64) as packed:
        assert packed == entry
    np.testing.assert_allclose(features(decoder), expected, atol=1e-6)
    assert entry.stat().st_mtime_ns == before.st_mtime_ns and not list(place.glob("*.building"))


def test_every_signature_and_repeated_runs(place, own_bundle):
    path = own_bundle / "decoder.f32.tflite"
    with (
        cache.packed_weights(path, "b" * 64) as packed,
        Graph(path, 2, packed) as graph,
        Graph(path) as other,
    ):
        for _ in range(2):
            for signature in ("head", "tail", f"head_{toy.SHORT}"):
                (name,) = {"head": ["latents"], "tail": ["features"]}[signature.partition("_")[0]]
                value = (
                    np.random.default_rng(0)
                    .standard_normal(graph.shape(signature, name))
                    .astype(np.float32)
                )
                for key, array in other(signature, **{name: value}).items():
                    np.testing.assert_allclose(
                        graph(signature, **{name: value})[key], array, atol=1e-6
                    )


def flip(entry):
    data = bytearray(entry.read_bytes())
    data[len(data) // 2] ^= 255
    entry.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        lambda entry: entry.write_bytes(b""),
        lambda entry: entry.write_bytes(entry.read_bytes()[:-100]),
        lambda entry: entry.write_bytes(os.urandom(5000)),
        lambda entry: entry.with_suffix(".json").write_text("{"),
        lambda entry: entry.with_suffix(".json").unlink(),
        lambda entry: entry.unlink(),
    ],
)
def test_a_damaged_entry_is_made_again(place, decoder, expected, damage):
    features(decoder)
    (entry,) = entries(place)
    damage(entry)
    np.testing.assert_allclose(features(decoder), expected, atol=1e-6)
    with cache.packed_weights(decoder, "a" * 64) as packed:
        assert packed == entry


def test_an_entry_of_another_graph_is_not_taken(place, own_bundle, decoder, expected):
    features(decoder)
    (entry,) = entries(place)
    other = own_bundle / "dit.f32.tflite"
    with cache.packed_weights(other, "c" * 64) as packed, Graph(other, 1, packed):
        pass
    (foreign,) = set(entries(place)) - {entry}
    for suffix in (".weights", ".json"):
        shutil.copy(foreign.with_suffix(suffix), entry.with_suffix(suffix))
    np.testing.assert_allclose(features(decoder), expected, atol=1e-6)


def test_new_contents_replace_the_old_entry(place, decoder):
    features(decoder, "a" * 64)
    features(decoder, "d" * 64)
    assert len(entries(place)) == 1 and len(list(place.glob("*.json"))) == 1


def test_a_failed_load_leaves_nothing(place, decoder):
    decoder.write_bytes(decoder.read_bytes()[:200])
    with pytest.raises(EdgeAudioError, match="is not a graph that LiteRT can run"):
        features(decoder)
    assert not list(place.iterdir())


def test_what_a_killed_process_left_is_swept(place, decoder):
    place.mkdir()
    for name, age in (("old", 7200), ("new", 60)):
        path = place / f"{'0' * 32}.{1 if name == 'old' else 2}-01234567.building"
        path.touch()
        os.utime(path, (time.time() - age,) * 2)
    features(decoder)
    assert [path.name[33] for path in place.glob("*.building")] == ["2"]


SCRIPT = """
import sys, resource, warnings
from edge_audio import Pipeline
from edge_audio.system import cache
cache.MINIMUM = 0
if len(sys.argv) > 2: resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
clip = Pipeline.load(sys.argv[1], threads=1, precision="f32").generate("rain", seed=1)
print(repr(float(abs(clip.samples).sum())))
"""


def start(folder, *more):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, folder, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_processes_that_build_the_same_entries(place, own_bundle):
    done = [
        (process, *process.communicate(timeout=60))
        for process in [start(own_bundle) for _ in range(3)]
    ]
    assert {process.returncode for process, _, _ in done} == {0}, done
    assert len({out for _, out, _ in done}) == 1 and len(entries(place)) == 3
    assert not list(place.glob("*.building"))
    final = start(own_bundle)
    assert final.communicate(timeout=60) == (done[0][1], "")


def test_no_room_for_the_entry(place, own_bundle):
    """A limit on the size of files stands for a disk that is full, which LiteRT itself would not
    survive.
    """
    process = start(own_bundle, "300000")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and float(out) > 0
    assert (
        "has no room for the packed weights" in err
        and not entries(place)
        and not list(place.glob("*.building"))
    )


def test_a_folder_that_cannot_be_made(monkeypatch, place, own_bundle, decoder, expected):
    monkeypatch.setenv(cache.VARIABLE, "/dev/null/cache")
    with pytest.warns(
        EdgeAudioWarning,
        match="cannot be written; every start .* another folder in .EDGE_AUDIO_CACHE",
    ):
        np.testing.assert_allclose(features(decoder), expected, atol=1e-6)


def test_off_small_or_unsafe_means_no_cache(place, decoder, monkeypatch):
    def packed():
        with cache.packed_weights(decoder, "a" * 64) as path:
            return path

    monkeypatch.setattr(cache, "MINIMUM", 1 << 40)
    assert packed() is None
    monkeypatch.setattr(cache, "MINIMUM", 0)
    with monkeypatch.context() as unsafe:
        unsafe.setattr(device, "describe", lambda: Device("aarch64", "Raspberry Pi 4", 4, 0, ()))
        assert packed() is None and "CompiledModel" in cache.why_not()
    monkeypatch.setenv(cache.VARIABLE, "off")
    assert (
        packed() is None
        and cache.why_not() == "switched off by $EDGE_AUDIO_CACHE"
        and cache.size() == cache.purge() == 0
    )


def test_the_folder_and_its_files_are_the_users_alone(place, decoder):
    previous = os.umask(0o002)
    try:
        features(decoder)
        cache.remember_verified(decoder, "a" * 64)
    finally:
        os.umask(previous)
    assert place.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in place.iterdir()} == {0}
    assert len(list(place.iterdir())) == 3


def make_writable(path, monkeypatch):
    path.chmod(path.stat().st_mode | 0o020)


def give_away(path, monkeypatch):
    inode, stat = path.stat().st_ino, Path.stat

    def others(self, **options):
        status = stat(self, **options)
        if status.st_ino != inode:
            return status
        return os.stat_result([*status[:4], os.geteuid() + 1, *status[5:]])

    monkeypatch.setattr(Path, "stat", others)


@pytest.mark.parametrize("open_up", [make_writable, give_away])
def test_a_folder_that_others_can_write_is_not_used(place, decoder, monkeypatch, open_up):
    features(decoder)
    cache.remember_verified(decoder, "a" * 64)
    assert cache.is_verified(decoder, "a" * 64)
    open_up(place, monkeypatch)
    with (
        pytest.warns(EdgeAudioWarning, match="belongs to another user, or others may write to it"),
        cache.packed_weights(decoder, "a" * 64) as packed,
    ):
        assert packed is None
    assert "chmod go-w" in cache.why_not() and not cache.is_verified(decoder, "a" * 64)


@pytest.mark.parametrize("open_up", [make_writable, give_away])
@pytest.mark.parametrize("suffix", [".weights", ".json"])
def test_an_entry_that_others_can_write_is_made_again(place, decoder, monkeypatch, suffix, open_up):
    features(decoder)
    (entry,) = entries(place)
    with monkeypatch.context() as patch:
        open_up(entry.with_suffix(suffix), patch)
        with cache.packed_weights(decoder, "a" * 64) as packed:
            assert packed != entry


def test_a_record_that_others_can_write_is_not_believed(place, decoder):
    cache.remember_verified(decoder, "a" * 64)
    (record,) = place.iterdir()
    record.chmod(0o666)
    assert not cache.is_verified(decoder, "a" * 64)


def test_no_home(decoder, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    for name in (cache.VARIABLE, "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cache, "MINIMUM", 0)
    monkeypatch.setattr(Path, "home", no_home)
    assert cache.folder() is None and "no home directory" in cache.why_not()
    assert cache.size() == cache.purge() == 0
    cache.remember_verified(decoder, "a" * 64)
    assert not cache.is_verified(decoder, "a" * 64)
    with cache.packed_weights(decoder, "a" * 64) as packed:
        assert packed is None
    monkeypatch.setenv(cache.VARIABLE, "~nobody-of-this-name/cache")
    assert cache.folder() is None and "name a folder in $EDGE_AUDIO_CACHE" in cache.why_not()
    monkeypatch.undo()
    monkeypatch.setenv(cache.VARIABLE, "~/here")
    assert cache.folder() == Path.home() / "here"


def test_the_room_is_held_until_litert_writes(place, decoder):
    with cache.packed_weights(decoder, "a" * 64) as packed:
        if hasattr(os, "posix_fallocate"):
            assert packed.stat().st_blocks * 512 >= decoder.stat().st_size
    assert not list(place.iterdir())  # nothing was written, so nothing is kept


def test_files_that_others_are_building_have_their_room(place, decoder, monkeypatch):
    room = decoder.stat().st_size * 2 + (1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(room, 0, room))
    with cache.packed_weights(decoder, "a" * 64) as packed:
        assert packed
        with (
            pytest.warns(EdgeAudioWarning, match="has no room"),
            cache.packed_weights(decoder, "b" * 64) as second,
        ):
            assert second is None


def test_purge_takes_only_what_is_ours(place, decoder):
    features(decoder)
    (place / "notes.json").write_text("mine")
    assert cache.size() > 0 and cache.purge() > 0 == cache.size()
    assert [path.name for path in place.iterdir()] == ["notes.json"]


def test_a_file_is_hashed_again_only_when_it_was_touched(place, own_bundle, monkeypatch):
    hashed = []
    monkeypatch.setattr(
        "edge_audio.bundle.store.file_sha256",
        lambda path: hashed.append(path.name) or file_sha256(path),
    )

    def check():
        hashed.clear()
        Bundle.open(own_bundle).graph_path("dit", "f32")
        return hashed

    assert check() == ["dit.f32.tflite"] and check() == []
    path = own_bundle / "dit.f32.tflite"
    data, status = path.read_bytes(), path.stat()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # even with its old date
    with pytest.raises(EdgeAudioError, match="has another sha256"):
        check()


def test_the_pipeline_sounds_the_same_with_it(place, own_bundle, monkeypatch):
    with_cache = Pipeline.load(own_bundle, threads=1).generate("rain", seed=5)
    monkeypatch.setenv(cache.VARIABLE, "off")
    without = Pipeline.load(own_bundle, threads=1).generate("rain", seed=5)
    np.testing.assert_allclose(with_cache.samples, without.samples, atol=1e-6)
    assert len(entries(place)) == 3


def test_command_line(place, own_bundle, decoder):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "edge_audio.cli", *arguments],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        ).stdout

    features(decoder)
    told = json.loads(run("info", "--model", str(own_bundle), "--json"))["cache"]
    assert told == {"folder": str(place), "bytes": cache.size(), "why_not": None}
    assert f"{place}, 0." in run("cache") and str(place) in run("info", "--model", str(own_bundle))
    assert "MB freed" in run("cache", "--purge") and cache.size() == 0
