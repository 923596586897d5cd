"""Synthetic checkpoints: of exact official shape, read by the exporter, and no part of them
degenerate.
"""

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from edge_audio.errors import EdgeAudioError
from export import synth
from export.architectures import architecture_of
from export.bundle import Options, export
from export.checkpoint import read_checkpoint
from export.config import read_config
from export.sao import build
from export.synth import sa3, sao

ROOT = Path(__file__).parents[2]


def count(tensors):
    found = list(tensors)
    return len(found), sum(int(np.prod(tensor.shape)) for tensor in found)


def test_the_full_size_is_the_official_one():
    """Counts of tensors and parameters as they are published; nothing is drawn."""
    dit, encoder, decoder = parts(sao.CONFIG)
    assert count(sao.model_tensors(sao.CONFIG))[0] == 750
    tensors, parameters = count(sao.dit_tensors(dit))
    assert tensors == 382 and round(parameters / 1e6, 1) == 340.9
    sides = [count(sao.encoder_tensors(encoder)), count(sao.decoder_tensors(decoder))]
    assert sides[0][0] + sides[1][0] == 365 and round((sides[0][1] + sides[1][1]) / 1e6, 1) == 156.1
    assert round(count(sao.t5_tensors(sao.T5_BASE))[1] / 1e6, 1) == 109.6


def test_stable_audio_3_is_of_the_official_size():
    """The published file's bytes, all float32, are those of these tensors and their header."""
    dit, encoder, decoder = parts(sa3.CONFIG)
    tensors, parameters = count(sa3.model_tensors(sa3.CONFIG))
    assert tensors == 685 and 0 < 2_270_384_940 - 4 * parameters < 200_000
    assert count(sa3.dit_tensors(dit)) == (438, 459_130_896)
    assert [count(sa3.encoder_tensors(encoder))[0], count(sa3.decoder_tensors(decoder))[0]] == [
        120,
        120,
    ]
    tensors, parameters = count(sa3.t5gemma_tensors(sa3.T5GEMMA))
    assert tensors == 134 and round(parameters / 1e6, 1) == 281.6


def parts(config):
    """Configurations of the transformer and of the autoencoder's encoder and decoder."""
    autoencoder = config["model"]["pretransform"]["config"]
    return (
        config["model"]["diffusion"]["config"],
        *(autoencoder[side]["config"] for side in ("encoder", "decoder")),
    )


@pytest.fixture
def small(monkeypatch):
    """A preset of the same structure, small enough to write."""
    preset = copy.deepcopy(synth.PRESETS["sao-small"])
    config, t5 = preset.config, preset.text_config
    config["sample_size"] = 2048 * 16
    config["model"]["conditioning"]["cond_dim"] = t5["d_model"] = 48
    t5 |= {"d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "vocab_size": 100}
    config["model"]["diffusion"]["config"] |= {
        "embed_dim": 64,
        "depth": 2,
        "num_heads": 2,
        "cond_token_dim": 48,
        "global_cond_dim": 48,
    }
    for side in ("encoder", "decoder"):
        config["model"]["pretransform"]["config"][side]["config"]["channels"] = 4
    monkeypatch.setitem(synth.PRESETS, "small", preset)
    return "small"


@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_every_tensor_is_what_the_exporter_needs(small, tmp_path, dtype):
    synth.write(small, tmp_path / "checkpoint", dtype, say=lambda line: None)
    checkpoint = read_checkpoint(tmp_path / "checkpoint")
    build(checkpoint, read_config(tmp_path / "checkpoint"))
    assert checkpoint.audit() == {
        "DiT": 2 * 23 + 14,
        "autoencoder": 365,
        "number conditioner": 3,
        "T5": 2 * 8 + 3,
    }
    with safe_open(tmp_path / "checkpoint" / "model.safetensors", framework="numpy") as file:
        kinds = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    assert kinds == {dtype.upper()}


@pytest.fixture
def small_sa3(monkeypatch):
    """Stable Audio 3's structure, small enough to write."""
    preset = copy.deepcopy(synth.PRESETS["sa3-small"])
    model = preset.config["model"]
    preset.config["sample_size"] = 4096 * 24
    model["conditioning"]["cond_dim"] = 32
    model["diffusion"]["config"] |= {
        "embed_dim": 128,
        "depth": 2,
        "num_heads": 2,
        "cond_token_dim": 32,
        "global_cond_dim": 32,
        "num_memory_tokens": 4,
    }
    for side in ("encoder", "decoder"):
        model["pretransform"]["config"][side]["config"] |= {
            "channels": 16,
            "c_mults": [4],
            "transformer_depths": [2],
        }
    preset.text_config["encoder"] |= {
        "head_dim": 16,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "num_hidden_layers": 2,
        "vocab_size": 300,
    }
    monkeypatch.setitem(synth.PRESETS, "small", preset)
    return "small"


def test_every_tensor_of_stable_audio_3_is_what_the_exporter_needs(small_sa3, tmp_path):
    folder = tmp_path / "checkpoint"
    synth.write(small_sa3, folder, say=lambda line: None)
    family = architecture_of(folder)
    config = family.read_config(folder, ())
    checkpoint = family.read_checkpoint(folder, config)
    family.build(checkpoint, config)
    assert sum(checkpoint.audit().values()) == 685 - 18 * 21 - 8 * 19 + 134 - 10 * 11
    text = folder / "t5gemma-b-b-ul2" / "model.safetensors"
    with safe_open(text, framework="numpy") as file:
        kinds = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    assert kinds == {"BF16"}


@pytest.mark.slow
def test_it_exports_with_every_input_alive_and_plays_within_full_scale(small, tmp_path):
    """`export` refuses a graph of which an input changes nothing."""
    from edge_audio import Pipeline

    synth.write(small, tmp_path / "checkpoint", say=lambda line: None)
    export(
        tmp_path / "checkpoint",
        tmp_path / "out",
        Options(("f32",), ("conditioners", "dit", "decoder"), latent_lengths=(8,)),
        say=lambda line: None,
    )
    clip = Pipeline.load(tmp_path / "out", threads=1).generate(ids=(5, 9, 1), seed=1)
    assert 0.01 < np.sqrt(np.mean(clip.samples**2)) < 1 and clip.samples.shape == (2048 * 16, 2)


def test_the_seed_decides(small, tmp_path):
    folders = [tmp_path / name for name in "abc"]
    for folder, seed in zip(folders, (1, 1, 2)):
        synth.write(small, folder, seed=seed, say=lambda line: None)
    one, same, other = (load_file(folder / "model.safetensors") for folder in folders)
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert (
        sum(np.array_equal(one[name], other[name]) for name in one) == 1
    )  # the rotary frequencies


def test_a_failed_write_leaves_nothing(small, tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(OSError):
        synth.write(small, tmp_path / "checkpoint", say=lambda line: None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--preset", "huge", "out"], "preset 'huge' is unknown; choose from sao-small"),
        ([Path(__file__).parent], "is not an empty folder; give a new one"),
    ],
)
def test_bad_input(tmp_path, arguments, message):
    done = subprocess.run(
        [sys.executable, "-m", "export", "synth", *map(str, arguments)],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    assert done.returncode == 1 and done.stderr.startswith("error: ") and message in done.stderr
    assert done.stderr.count("\n") == 1 and not list(tmp_path.iterdir())


def test_numpy_is_enough():
    """A measuring machine needs neither TensorFlow nor PyTorch."""
    code = "import sys, export.synth; sys.exit(bool({'tensorflow', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_unknown_type(small, tmp_path):
    with pytest.raises(EdgeAudioError, match="type 'f8' cannot be written; choose f32 or f16"):
        synth.write(small, tmp_path / "out", "f8")
