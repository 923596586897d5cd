"""`python -m export` as a user runs it, and what the graphs it writes must be."""

import dataclasses
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from delegation import delegation
from references import DATA, SHORTER

from edge_audio.bundle.manifest import GENERATING
from edge_audio.bundle.store import Bundle
from edge_audio.cli.main import main
from edge_audio.errors import EdgeAudioError
from edge_audio.model.codec import decode
from edge_audio.pipeline import Pipeline
from edge_audio.system.graph import Graph
from export.autoencoder import Conv, Decoder, receptive_radius
from export.bundle import Options, export
from export.checkpoint import read_checkpoint
from export.config import read_config
from export.convert import examples, fidelity, flops, refuse_inert_inputs
from export.stages import BY_LENGTH, SIGNATURES

ROOT = Path(__file__).parents[2]
MINIMUM_SNR = {"f32": 110, "f16": 50, "int8": 25}


@pytest.fixture(scope="module")
def bundle(tiny0):
    return Bundle.open(tiny0[2])


def signatures(component):
    """Of tiny0, as the tests export it."""
    return {
        *SIGNATURES[component],
        *(
            f"{name}_{length}"
            for name in BY_LENGTH
            if name in SIGNATURES[component]
            for length in SHORTER["tiny0"]
        ),
    }


def run_export(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "export", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=300,
    )


@pytest.mark.parametrize("precision", MINIMUM_SNR)
def test_fidelity_is_measured_and_good(bundle, precision):
    for component, entries in bundle.manifest.graphs.items():
        measured = entries[precision].fidelity
        assert (
            {name.split(".")[0] for name in measured}
            == set(entries[precision].flops)
            == signatures(component)
        )
        assert min(measured.values()) > MINIMUM_SNR[precision], (component, measured)


@pytest.mark.parametrize("precision", MINIMUM_SNR)
@pytest.mark.parametrize("component", SIGNATURES)
def test_one_xnnpack_delegate_and_nothing_outside(bundle, component, precision, tmp_path):
    for signature, (partitions, outside) in delegation(
        bundle.graph_path(component, precision), tmp_path
    ).items():
        if component != "conditioners":
            assert (partitions, outside) == (1, []), signature
            continue
        # the table of words and the mask; unless it is float32, only the rows that were gathered
        # are widened, and scaled
        allowed = ["CAST", "GATHER"] * (1 if precision == "f32" else 2)
        assert partitions <= 1 and sorted(outside) == sorted(allowed)


@pytest.mark.parametrize("precision", MINIMUM_SNR)
@pytest.mark.parametrize("component", SIGNATURES)
def test_every_input_changes_an_output(bundle, tiny0, component, precision):
    with Graph(bundle.graph_path(component, precision), threads=1) as graph:
        refuse_inert_inputs(examples(tiny0[1][component]), graph)


def test_an_ignored_input_is_refused(tiny0):
    """The sixth way to radio noise: a graph that takes global_cond and does not use it."""

    class Deaf:
        path = "deaf.tflite"

        def __call__(self, signature, **inputs):
            inputs = (
                {**inputs, "global_cond": np.zeros_like(inputs["global_cond"])}
                if "global_cond" in inputs
                else inputs
            )
            function = tiny0[1]["dit"].signatures()[signature][0]
            return {
                name: value.numpy()
                for name, value in function(
                    **{k: tf.constant(v) for k, v in inputs.items()}
                ).items()
            }

    with pytest.raises(EdgeAudioError, match="input global_cond of project changes no output"):
        refuse_inert_inputs(examples(tiny0[1]["dit"]), Deaf())


def test_a_graph_with_nan_is_refused(tiny0):
    class Broken:
        path = "broken.tflite"

        def __call__(self, signature, **inputs):
            return {"mean": np.full((1, 32, 8), np.nan), "stdev": np.zeros((1, 32, 8))}

    with pytest.raises(EdgeAudioError, match="NaN"):
        fidelity(examples(tiny0[1]["encoder"]), Broken())


def test_example_inputs_chain_the_signatures(tiny0):
    inputs = examples(tiny0[1]["dit"]).inputs
    assert set(inputs["denoise"]) >= {"x", "t", "global_embed", "cross_k_00", "cross_v_01"}


def test_int8_is_small(bundle):
    sizes = {
        p: sum(bundle.manifest.graphs[c][p].bytes for c in GENERATING)
        for p in ("f32", "f16", "int8")
    }
    assert sizes["f16"] < 0.65 * sizes["f32"] and sizes["int8"] < 0.75 * sizes["f32"]


def test_manifest_tells_the_model(bundle):
    manifest = bundle.manifest
    assert (manifest.sample_rate, manifest.channels, manifest.objective) == (
        16000,
        2,
        "rf_denoiser",
    )
    assert (manifest.defaults.sampler, manifest.defaults.steps, manifest.defaults.cfg_scale) == (
        "pingpong",
        8,
        1.0,
    )
    assert manifest.prompt.max_length == 16 and manifest.prompt.tokenizer is None
    assert manifest.max_seconds == 1024 / 16000


def test_exported_bundle_generates(bundle):
    pipe = Pipeline.load(bundle.folder, precision="f32", threads=1)
    one, other = (pipe.generate(ids=ids, seed=3) for ids in ((5, 9, 1), (7, 40, 22, 1)))
    assert one.samples.shape == (1024, 2) and not np.array_equal(one.samples, other.samples)


def decoded(decoder, manifest, latents):
    """Blocks of audio, through the runtime's tiling, in TensorFlow."""

    def graph(signature, **inputs):
        function = decoder.signatures()[signature][0]
        return {
            name: value.numpy()
            for name, value in function(**{k: tf.constant(v) for k, v in inputs.items()}).items()
        }

    manifest = dataclasses.replace(manifest, tiling=decoder.tiling, latent=decoder.latent)
    return list(decode(graph, manifest, latents, latents.shape[1] * manifest.latent.downsampling))


@pytest.mark.parametrize(
    "length, shorter, tile", [(32, (), 1), (32, (), 5), (32, (16,), 3), (16, (16,), 8)]
)
def test_tiled_equals_whole(bundle, length, shorter, tile):
    """Windows of the tail against one window over everything, in TensorFlow, on the reference
    weights.
    """
    checkpoint, config = read_checkpoint(DATA / "tiny0"), read_config(DATA / "tiny0")
    latents = np.random.default_rng(0).standard_normal((1, length, 8)).astype(np.float32)
    alone = dataclasses.replace(config, sample_size=length * config.downsampling)
    (whole,) = decoded(Decoder(checkpoint, alone, length), bundle.manifest, latents)
    decoder = Decoder(checkpoint, config.with_lengths(shorter), tile)
    assert decoder.tiling.overlap == 17
    blocks = decoded(decoder, bundle.manifest, latents)
    assert len(blocks) > 1 or length * decoder.tiling.per_latent == decoder.tiling.tile
    assert np.abs(np.concatenate(blocks) - whole).max() < 1e-5


def test_graphs_of_all_lengths_agree_with_the_whole(bundle):
    """The .tflite files, at each length: tiled by the runtime against PyTorch-exact TensorFlow over
    everything.
    """
    checkpoint, config = read_checkpoint(DATA / "tiny0"), read_config(DATA / "tiny0")
    with Graph(bundle.graph_path("decoder", "f32"), threads=2) as graph:
        for length in bundle.manifest.latent.lengths:
            latents = (
                np.random.default_rng(length).standard_normal((1, length, 8)).astype(np.float32)
            )
            alone = dataclasses.replace(config, sample_size=length * config.downsampling)
            (whole,) = decoded(Decoder(checkpoint, alone, length), bundle.manifest, latents)
            blocks = list(decode(graph, bundle.manifest, latents, length * config.downsampling))
            assert np.abs(np.concatenate(blocks) - whole).max() < 1e-5


def test_lengths_share_one_copy_of_the_weights(tiny0, tmp_path):
    alone = export(
        DATA / "tiny0", tmp_path / "alone", Options(("f32",), GENERATING), say=lambda line: None
    )
    shared = Bundle.open(tiny0[2]).manifest
    assert shared.latent.shorter == (16, 24) and alone.latent.shorter == ()
    for component in ("dit", "decoder"):
        # three graphs instead of one, and the rotary tables of each length
        assert shared.graphs[component]["f32"].bytes < 1.35 * alone.graphs[component]["f32"].bytes


@pytest.mark.parametrize(
    "lengths, message",
    [
        (
            (8,),
            (
                "latent length 8 is too short for the decoder, whose tail sees 17 of its 32 frames"
                " to each side; give longer"
            ),
        ),
        ((64,), "latent length 64 cannot be exported; this model has 32"),
        ((0,), "latent length 0 cannot be exported"),
    ],
)
def test_impossible_lengths(tmp_path, lengths, message):
    with pytest.raises(EdgeAudioError, match=message):
        export(
            DATA / "tiny0", tmp_path / "out", Options(latent_lengths=lengths), say=lambda line: None
        )
    assert not list(tmp_path.iterdir())


def test_a_wide_convolution_is_split_and_the_same(monkeypatch):
    weight, x = (
        np.random.default_rng(0).standard_normal(s).astype(np.float32)
        for s in ((6, 8, 7), (1, 20, 8))
    )
    whole = Conv("conv", weight, None, dilation=3, padding=(9, 9))
    monkeypatch.setattr(Conv, "MAX_DEPTH", 50)
    parts = Conv("conv", weight, None, dilation=3, padding=(9, 9))
    assert len(whole.kernels) == 1 and len(parts.kernels) == 4
    np.testing.assert_allclose(parts(tf.constant(x)), whole(tf.constant(x)), atol=1e-5)


def test_operations_are_counted(tiny0):
    """By hand: two projections of 16 + 1 tokens and the global embedding; 257 features through the
    number conditioner.
    """
    blocks, dim, tokens, cond = 2, 64, 17, 32
    embed = tokens * (cond * dim + dim * dim)
    keys_and_values = blocks * tokens * dim * 2 * dim
    assert flops(tiny0[1]["dit"])["project"] == 2 * (
        embed + (cond * dim + dim * dim) + keys_and_values
    )


def test_receptive_radius_of_the_full_model():
    """Its last three stages (strides 4, 4, 2) see 15 of 64 frames a latent to each side: one latent
    of overlap.
    """
    assert receptive_radius((4, 4, 2)) == 15


def test_command_line(tmp_path):
    done = run_export(
        DATA / "tiny0", tmp_path / "out", "--precision", "int8", "--name", "toy", "--steps", "4"
    )
    assert done.returncode == 0, done.stderr
    assert "tensors used: DiT 60 · autoencoder 225 · number conditioner 3 · T5 19" in done.stdout
    assert "warning: no SentencePiece model" in done.stderr and "--tokenizer" in done.stderr
    bundle = Bundle.open(tmp_path / "out")
    assert bundle.manifest.name == "toy" and bundle.manifest.defaults.steps == 4
    assert {bundle.precisions(component) for component in SIGNATURES} == {("int8",)}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    (line,) = (line for line in done.stdout.splitlines() if "next: " in line)
    command = shlex.split(line.partition("next: edge-audio ")[2])
    assert main([*command, "-o", str(tmp_path / "sound.wav"), "--quiet"]) == 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nowhere", "out"], "model_config.json is missing"),
        ([DATA / "tiny0", "/proc/nowhere/out"], "choose another folder"),
        ([DATA / "tiny0", "out", "--steps", "0"], "steps 0 makes no sound"),
        ([DATA / "tiny0", "out", "--precision", "int9"], "precision 'int9' cannot be exported"),
        (
            [DATA / "tiny0", "out", "--tokenizer", DATA / "tiny0" / "golden.npz"],
            "is no SentencePiece model",
        ),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, arguments, message):
    done = run_export(arguments[0], tmp_path / arguments[1], *arguments[2:])
    wrong_usage = "--steps" in arguments  # no model could do that
    assert done.returncode == (2 if wrong_usage else 1) and not list(tmp_path.iterdir())
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


@pytest.mark.slow
def test_a_file_outside_the_bundle_is_not_touched(tmp_path):
    """A manifest from elsewhere may name any file as its graph."""
    options = Options(("f32",), GENERATING)
    manifest = export(DATA / "tiny0", tmp_path / "out", options, say=lambda line: None)
    name, outside = manifest.graphs["dit"]["f32"].file, tmp_path / "neighbour.tflite"
    (tmp_path / "out" / name).rename(outside)
    path = tmp_path / "out" / "manifest.json"
    path.write_text(path.read_text().replace(f'"{name}"', '"../neighbour.tflite"'))
    before = outside.read_bytes()
    again = export(DATA / "tiny0", tmp_path / "out", options, say=lambda line: None)
    assert outside.read_bytes() == before and again.graphs["dit"]["f32"].file == name
    assert Bundle.open(tmp_path / "out").graph_path("dit", "f32").parent == tmp_path / "out"


@pytest.mark.slow
def test_an_interrupted_export_goes_on(tmp_path, monkeypatch):
    from export import bundle as module

    def quantize(graph, methods, real=module.quantize):
        made.append(graph.stem)
        if len(made) == 2:
            raise KeyboardInterrupt
        return real(graph, methods)

    made, said, options = [], [], Options(("f32", "int8"), GENERATING)
    monkeypatch.setattr(module, "quantize", quantize)
    with pytest.raises(KeyboardInterrupt):
        export(DATA / "tiny0", tmp_path / "out", options, said.append)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.partial"]
    assert (
        said[-1].startswith("warning: finished graphs are kept in ")
        and "run the same export again" in said[-1]
    )
    (tmp_path / ".out.partial" / "conditioners.int8.tflite").write_bytes(b"damaged meanwhile")
    manifest = export(DATA / "tiny0", tmp_path / "out", options, said.append)
    assert len(made) == 2 + 3 and [p.name for p in tmp_path.iterdir()] == ["out"]
    assert Bundle.open(tmp_path / "out").manifest == manifest
    for kept in ("conditioners", "dit"):
        assert f"{kept}.f32.tflite: kept, nothing that it is made from has changed" in said


@pytest.mark.slow
def test_only_what_changed_is_made_again(tmp_path, monkeypatch):
    from export import bundle as module

    converted, real = [], module.convert
    monkeypatch.setattr(module, "convert", lambda folder: converted.append(folder) or real(folder))

    def run(*precisions, **options):
        converted.clear()
        manifest = export(
            DATA / "tiny0",
            tmp_path / "out",
            Options(precisions, GENERATING, **options),
            say=lambda line: None,
        )
        return manifest, len(converted)

    first, made = run("f32")
    assert made == 3
    again, made = run("f32", name="other", steps=5)
    assert made == 0 and again.graphs == first.graphs and again.name == "other"
    both, made = run("f32", "int8")
    assert made == 1 and {c: both.graphs[c]["f32"] for c in GENERATING} == {
        c: first.graphs[c]["f32"] for c in GENERATING
    }
    assert run("int8")[1] == 0 and not list((tmp_path / "out").glob("*.f32.tflite"))
    assert run("int8", latent_lengths=(16,))[1] == 3


def test_tokenizer_is_found_and_checked(tmp_path):
    import sentencepiece

    from export import bundle as module

    def train(path, vocab_size, **ids):
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["a dog barks", "rain on a roof", "the sea at night"] * 5),
            model_prefix=str(path),
            vocab_size=vocab_size,
            hard_vocab_limit=False,
            minloglevel=2,
            **ids,
        )

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
