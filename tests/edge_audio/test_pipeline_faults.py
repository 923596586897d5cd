"""A pipeline when something goes wrong: cancelled runs, damaged graphs, too little memory. Graphs
are freed, and what is said is one line.
"""

import dataclasses
import shutil
import sys

import numpy as np
import pytest
import toy

from edge_audio import Cancelled, EdgeAudioError, EdgeAudioWarning, Pipeline
from edge_audio.bundle.store import file_entry
from edge_audio.system.device import Memory
from edge_audio.system.graph import Graph


@pytest.fixture
def pipe(toy_bundle):
    return Pipeline.load(toy_bundle, precision="f32", threads=1)


@pytest.mark.parametrize("memory", ["free", "all", "fit", 10_000])
@pytest.mark.parametrize(
    "at",
    [
        ("condition", 0),
        ("condition", 1),
        ("sample", 0),
        ("sample", 2),
        ("decode", 0),
        ("decode", 1),
    ],
)
def test_cancelling_leaves_a_clean_state(toy_bundle, at, memory):
    with Pipeline.load(toy_bundle, "f32", 1, memory=memory) as pipe:
        with pytest.raises(Cancelled, match=f"cancelled in stage {at[0]} after step {at[1]}"):
            toy.generate(pipe, progress=lambda p: (p.stage, p.step) != at)
        with pytest.raises(ZeroDivisionError):
            toy.generate(pipe, progress=lambda p: 1 / 0 if (p.stage, p.step) == at else None)
        assert np.array_equal(
            toy.generate(pipe).samples, toy.generate(Pipeline.load(toy_bundle, "f32", 1)).samples
        )


@pytest.fixture
def open_graphs(monkeypatch):
    """Names of the graphs that are open, and of all that were opened."""
    now, ever = [], []
    load, close = Graph.__init__, Graph.close

    def counted_load(self, path, *more):
        load(self, path, *more)
        now.append(path.name)
        ever.append(path.name)

    def counted_close(self):
        now.remove(self.path.name)
        close(self)

    monkeypatch.setattr(Graph, "__init__", counted_load)
    monkeypatch.setattr(Graph, "close", counted_close)
    return now, ever


def test_each_graph_is_freed_after_its_stage(pipe, open_graphs):
    now, ever = open_graphs
    most = []
    toy.generate(pipe, progress=lambda p: most.append(len(now)))
    assert (
        now == []
        and max(most) == 1
        and ever == ["conditioners.f32.tflite", "dit.f32.tflite", "decoder.f32.tflite"]
    )
    next(stream := pipe.stream("rain"))
    assert now == ["decoder.f32.tflite"]
    stream.close()
    assert now == []


def test_kept_graphs_are_opened_once(toy_bundle, open_graphs):
    now, ever = open_graphs
    with Pipeline.load(toy_bundle, memory="all") as pipe:
        first, second = toy.generate(pipe), toy.generate(pipe)
        assert len(ever) == len(now) == 3
    assert now == [] and np.array_equal(first.samples, second.samples)


@pytest.mark.parametrize(
    "component, signature, output",
    [
        ("conditioners", "condition", "global_cond"),
        ("dit", "denoise", "v"),
        ("decoder", "tail", "audio"),
    ],
)
def test_values_that_are_not_numbers(pipe, monkeypatch, component, signature, output):
    run = Graph.__call__

    def broken(self, name, **inputs):
        found = run(self, name, **inputs)
        return {**found, output: found[output] * np.nan} if name == signature else found

    monkeypatch.setattr(Graph, "__call__", broken)
    with pytest.raises(
        EdgeAudioError, match=f"the {component} graph in f32 gave values that are not numbers; try"
    ):
        toy.generate(pipe)


def test_a_graph_in_the_place_of_another(own_bundle):
    shutil.copy(own_bundle / "decoder.f32.tflite", own_bundle / "dit.f32.tflite")
    toy.write_manifest(own_bundle)
    with pytest.raises(
        EdgeAudioError, match="dit.f32.tflite has signatures head, head_8, tail, a dit graph needs"
    ):
        toy.generate(Pipeline.load(own_bundle, "f32"))


def test_a_graph_of_another_size(own_bundle):
    toy.write_manifest(
        own_bundle, latent=dataclasses.replace(toy.manifest(own_bundle).latent, length=32)
    )
    with pytest.raises(
        EdgeAudioError,
        match=r"dit.f32.tflite has x \[1, 16, 4\] in signature denoise, the .* says \[1, 32, 4\]",
    ):
        toy.generate(Pipeline.load(own_bundle, "f32"))


def test_a_damaged_graph_that_the_manifest_vouches_for(own_bundle):
    path = own_bundle / "decoder.f32.tflite"
    path.write_bytes(path.read_bytes()[:1000])
    toy.write_manifest(own_bundle)
    with pytest.raises(
        EdgeAudioError, match="decoder.f32.tflite is not a graph that LiteRT can run"
    ):
        toy.generate(Pipeline.load(own_bundle, "f32"))


def test_a_damaged_tokenizer(own_bundle):
    (own_bundle / "tokenizer.model").write_bytes(b"x" * 100)
    toy.write_manifest(own_bundle)
    assert toy.manifest(own_bundle).prompt.tokenizer == file_entry(own_bundle / "tokenizer.model")
    with pytest.raises(EdgeAudioError, match="tokenizer.model is not a SentencePiece model"):
        toy.generate(Pipeline.load(own_bundle, "f32"))


def test_too_little_memory_is_said_before_it_runs_out(pipe, monkeypatch):
    monkeypatch.setattr("edge_audio.system.device.memory", lambda: Memory(100, 1 << 30))
    with pytest.warns(
        EdgeAudioWarning,
        match=(
            r"dit.f32.tflite needs .* GB of memory and .* free, so it will swap; .*--precision int8"
        ),
    ):
        pipe.generate("rain", seed=1)
    monkeypatch.setattr("edge_audio.system.device.memory", lambda: Memory(100, 1000))
    with pytest.raises(
        EdgeAudioError,
        match=(
            r"conditioners.f32.tflite needs .* GB of memory and .* swap included; .*--precision"
            r" int8"
        ),
    ):
        pipe.generate("a bell", seed=1)


def test_without_litert_it_is_said_what_to_install(pipe, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setattr(
        "edge_audio.system.device.unsupported", lambda: "this Python is a 32-bit program"
    )
    with pytest.raises(
        EdgeAudioError, match="LiteRT cannot be loaded .*; this Python is a 32-bit program"
    ):
        pipe.generate("rain", seed=1)


def test_a_bundle_is_only_read(own_bundle, monkeypatch, tmp_path):
    """As on a read-only file system: nothing in the folder is made, changed or touched."""
    monkeypatch.setenv("EDGE_AUDIO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("edge_audio.system.cache.MINIMUM", 0)
    before = {path: path.stat().st_mtime_ns for path in (own_bundle, *own_bundle.iterdir())}
    toy.generate(Pipeline.load(own_bundle, threads=1))
    assert {path: path.stat().st_mtime_ns for path in (own_bundle, *own_bundle.iterdir())} == before
