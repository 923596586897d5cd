"""`python -m export` as a user runs it, and what the graphs it writes must be."""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from references import DATA
from delegation import delegation

from edge_audio.bundle import GENERATING, SIGNATURES, Bundle
from edge_audio.decoder import decode
from edge_audio.errors import EdgeAudioError
from edge_audio.graph import Graph
from edge_audio.pipeline import Pipeline
from export.autoencoder import Decoder, receptive_radius
from export.bundle import Options, _publish, export
from export.checkpoint import read_checkpoint
from export.config import read_config
from export.convert import example_inputs, fidelity, refuse_inert_inputs

ROOT = Path(__file__).parents[2]
MINIMUM_SNR = {"f32": 110, "f16": 50, "int8": 25}


@pytest.fixture(scope="module")
def bundle(tiny0):
    return Bundle.open(tiny0[2])


def run_export(*arguments):
    return subprocess.run([sys.executable, "-m", "export", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=300)


@pytest.mark.parametrize("precision", MINIMUM_SNR)
def test_fidelity_is_measured_and_good(bundle, precision):
    for component, entries in bundle.manifest.graphs.items():
        measured = entries[precision].fidelity
        assert {name.split(".")[0] for name in measured} == set(SIGNATURES[component])
        assert min(measured.values()) > MINIMUM_SNR[precision], (component, measured)


@pytest.mark.parametrize("precision", MINIMUM_SNR)
@pytest.mark.parametrize("component", SIGNATURES)
def test_one_xnnpack_delegate_and_nothing_outside(bundle, component, precision, tmp_path):
    for signature, (partitions, outside) in delegation(bundle.graph_path(component, precision), tmp_path).items():
        if component != "conditioners":
            assert (partitions, outside) == (1, []), signature
            continue
        # float16: the gather's table is widened once, when the graph is loaded
        allowed = ["CAST", "GATHER"] + ["DEQUANTIZE"] * (precision == "f16")
        assert partitions <= (2 if precision == "f16" else 1) and sorted(outside) == sorted(allowed)


@pytest.mark.parametrize("precision", MINIMUM_SNR)
@pytest.mark.parametrize("component", SIGNATURES)
def test_every_input_changes_an_output(bundle, tiny0, component, precision):
    with Graph(bundle.graph_path(component, precision), threads=1) as graph:
        refuse_inert_inputs(tiny0[1][component], graph)


def test_an_ignored_input_is_refused(tiny0):
    """The sixth way to radio noise: a graph that takes global_cond and does not use it."""
    class Deaf:
        path = "deaf.tflite"

        def __call__(self, signature, **inputs):
            inputs = {**inputs, "global_cond": np.zeros_like(inputs["global_cond"])} if "global_cond" in inputs else inputs
            function = tiny0[1]["dit"].signatures()[signature][0]
            return {name: value.numpy() for name, value in function(**{k: tf.constant(v) for k, v in inputs.items()}).items()}

    with pytest.raises(EdgeAudioError, match="input global_cond of project changes no output"):
        refuse_inert_inputs(tiny0[1]["dit"], Deaf())


def test_a_graph_with_nan_is_refused(tiny0):
    class Broken:
        path = "broken.tflite"

        def __call__(self, signature, **inputs):
            return {"mean": np.full((1, 32, 8), np.nan), "stdev": np.zeros((1, 32, 8))}

    with pytest.raises(EdgeAudioError, match="NaN"):
        fidelity(tiny0[1]["encoder"], Broken())


def test_example_inputs_chain_the_signatures(tiny0):
    inputs = example_inputs(tiny0[1]["dit"])
    assert set(inputs["denoise"]) >= {"x", "t", "global_embed", "cross_k_00", "cross_v_01"}


def test_int8_is_small(bundle):
    sizes = {p: sum(bundle.manifest.graphs[c][p].bytes for c in GENERATING) for p in ("f32", "f16", "int8")}
    assert sizes["f16"] < 0.65 * sizes["f32"] and sizes["int8"] < sizes["f16"]


def test_manifest_tells_the_model(bundle):
    manifest = bundle.manifest
    assert (manifest.sample_rate, manifest.channels, manifest.objective) == (16000, 2, "rf_denoiser")
    assert (manifest.defaults.sampler, manifest.defaults.steps, manifest.defaults.cfg_scale) == ("pingpong", 8, 1.0)
    assert manifest.prompt.max_length == 16 and manifest.prompt.tokenizer is None
    assert manifest.max_seconds == 1024 / 16000


def test_exported_bundle_generates(bundle):
    pipe = Pipeline.load(bundle.folder, precision="f32", threads=1)
    one, other = (pipe.generate(ids=ids, seed=3) for ids in ((5, 9, 1), (7, 40, 22, 1)))
    assert one.samples.shape == (1024, 2) and not np.array_equal(one.samples, other.samples)


def test_tiled_equals_whole(bundle):
    """Windows of the tail against one window over everything, in TensorFlow, on the reference weights."""
    source = DATA / "tiny0"
    decoders = {tile: Decoder(read_checkpoint(source), read_config(source), tile) for tile in (7, 14, 32)}
    latents = np.random.default_rng(0).standard_normal((1, 32, 8)).astype(np.float32)

    def run(decoder):
        def graph(signature, **inputs):
            outputs = getattr(decoder, signature)(**{name: tf.constant(value) for name, value in inputs.items()})
            return {name: value.numpy() for name, value in outputs.items()}

        return list(decode(graph, dataclasses.replace(bundle.manifest, tiling=decoder.tiling), latents, 1024))

    (whole,) = run(decoders[32])
    for tile in (7, 14):
        blocks = run(decoders[tile])
        assert len(blocks) > 1 and decoders[tile].tiling.overlap > 0
        assert np.abs(np.concatenate(blocks) - whole).max() < 1e-5


def test_receptive_radius_of_the_full_model():
    """Its last three stages (strides 4, 4, 2) see 15 of 64 frames a latent to each side: one latent of overlap."""
    assert receptive_radius((4, 4, 2)) == 15


def test_command_line(tmp_path):
    done = run_export(DATA / "tiny0", tmp_path / "out", "--precision", "int8", "--name", "toy", "--steps", "4")
    assert done.returncode == 0, done.stderr
    assert "tensors used: DiT 60 · autoencoder 225 · number conditioner 3 · T5 19" in done.stdout
    assert "warning: no SentencePiece model" in done.stderr and "--tokenizer" in done.stderr
    bundle = Bundle.open(tmp_path / "out")
    assert bundle.manifest.name == "toy" and bundle.manifest.defaults.steps == 4
    assert {bundle.precisions(component) for component in SIGNATURES} == {("int8",)}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


@pytest.mark.parametrize("arguments, message", [
    (["nowhere", "out"], "model_config.json is missing"),
    ([DATA / "tiny0", "/proc/nowhere/out"], "choose another folder"),
    ([DATA / "tiny0", "out", "--steps", "0"], "steps 0 makes no sound"),
    ([DATA / "tiny0", "out", "--precision", "int9"], "precision 'int9' cannot be exported"),
    ([DATA / "tiny0", "out", "--tokenizer", DATA / "tiny0" / "golden.npz"], "is no SentencePiece model"),
])
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, arguments, message):
    done = run_export(arguments[0], tmp_path / arguments[1], *arguments[2:])
    assert done.returncode == 1 and not list(tmp_path.iterdir())
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and message in lines[0] and "Traceback" not in done.stderr


def test_a_folder_of_other_things_is_not_touched(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(EdgeAudioError, match="is not empty and holds no bundle"):
        export(DATA / "tiny0", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_failure_keeps_the_old_bundle(tiny0, tmp_path):
    out = shutil.copytree(tiny0[2], tmp_path / "out")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    broken = shutil.copytree(DATA / "tiny0", tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no")
    with pytest.raises(EdgeAudioError):
        export(broken, out, say=lambda line: None)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize("fail_at", [2, 8])
def test_failure_while_moving_brings_the_old_bundle_back(tmp_path, monkeypatch, fail_at):
    """The disk gives up while the old files go (2) and while the new ones come (8)."""
    names = [*(f"{c}.f32.tflite" for c in GENERATING), "manifest.json", "tokenizer.model"]
    for folder in ("staging", "out"):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_text(folder)
    calls, replace = [], Path.replace

    def failing(self, target):
        calls.append(self)
        if len(calls) == fail_at:
            raise OSError("no space left")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError):
        _publish(tmp_path / "staging", tmp_path / "out", tmp_path / "old")
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == dict.fromkeys(names, "out")


def test_tokenizer_is_found_and_checked(tmp_path):
    import sentencepiece

    from export import bundle as module

    def train(path, vocab_size, **ids):
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["a dog barks", "rain on a roof", "the sea at night"] * 5), model_prefix=str(path),
            vocab_size=vocab_size, hard_vocab_limit=False, minloglevel=2, **ids)

    train(tmp_path / "good", 40, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    train(tmp_path / "other", 40)
    find = module._find_tokenizer
    assert find(tmp_path, tmp_path / "good.model", 128) == tmp_path / "good.model"
    with pytest.raises(EdgeAudioError, match="pad id -1"):
        find(tmp_path, tmp_path / "other.model", 128)
    with pytest.raises(EdgeAudioError, match="the text encoder knows 10"):
        find(tmp_path, tmp_path / "good.model", 10)
    shutil.copyfile(tmp_path / "good.model", tmp_path / "spiece.model")
    assert find(tmp_path, None, 128) == tmp_path / "spiece.model"
