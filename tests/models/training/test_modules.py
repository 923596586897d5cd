"""The PyTorch modules against the golden arrays: the oracle must itself be right."""

import json

import numpy as np
import pytest
import torch
from references import DATA, REFERENCES
from safetensors.torch import load_file

from edge_audio.errors import EdgeAudioError
from edge_audio.exporter.checkpoint import read_checkpoint
from models.training import official
from models.training.modules import Model


@pytest.fixture(scope="module", params=REFERENCES)
def reference(request):
    folder = DATA / request.param
    model = Model(
        json.loads((folder / "model_config.json").read_text()),
        json.loads((folder / "t5/config.json").read_text()),
    )
    state = load_file(folder / "model.safetensors")
    state |= {
        f"t5.{name}": tensor for name, tensor in load_file(folder / "t5/model.safetensors").items()
    }
    model.load_state_dict(state)  # strict: every official name, no other
    with np.load(folder / "golden.npz") as arrays:
        return model.eval(), {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def near(actual, expected):
    assert actual.shape == expected.shape
    return (actual - expected).abs().max() < 1e-5


@torch.no_grad()
def test_conditioning_and_v(reference):
    model, golden = reference
    cond, global_cond = model.condition(
        golden["input_ids"], golden["attention_mask"], golden["seconds_total"]
    )
    assert near(cond, golden["cross_attn_cond"]) and near(global_cond, golden["global_cond"])
    for i, t in enumerate(golden["t_values"]):
        assert near(
            model.dit(golden["x_in"], t.repeat(2), cond, global_cond), golden[f"dit_v_t{i}"]
        )


@torch.no_grad()
def test_autoencoder(reference):
    model, golden = reference
    assert near(model.autoencoder.decode(golden["decode32_latent"]), golden["decode32_audio"])
    mean, std = model.autoencoder.encode(golden["enc_audio"])
    assert near(mean, golden["enc_mean"]) and near(std, golden["enc_stdev"])


def test_a_large_checkpoint_is_written_in_parts(tmp_path, monkeypatch):
    folder, spare = DATA / "tiny0", tmp_path / "spiece.model"
    spare.write_bytes(b"pieces")
    model = Model(
        json.loads((folder / "model_config.json").read_text()),
        json.loads((folder / "t5/config.json").read_text()),
    )
    official.write_checkpoint(model, spare, tmp_path / "checkpoint")
    whole = read_checkpoint(tmp_path / "checkpoint").tensors
    monkeypatch.setattr(official, "LARGEST_FILE", 1000)
    official.write_checkpoint(model, spare, tmp_path / "checkpoint")
    weights = sorted(path.name for path in (tmp_path / "checkpoint").glob("model*.safetensors"))
    assert weights == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    parts = read_checkpoint(tmp_path / "checkpoint").tensors
    assert parts.keys() == whole.keys()
    assert all(np.array_equal(parts[name], whole[name]) for name in whole)
    again = official.read_checkpoint(tmp_path / "checkpoint").state_dict()
    assert all(
        torch.equal(again[name], tensor.half().float())
        for name, tensor in model.state_dict().items()
    )


def test_ckpt_is_read_like_safetensors(tmp_path):
    (tmp_path / "t5").mkdir()
    (tmp_path / "t5/model.safetensors").write_bytes(
        (DATA / "tiny0/t5/model.safetensors").read_bytes()
    )
    torch.save({"state_dict": load_file(DATA / "tiny0/model.safetensors")}, tmp_path / "model.ckpt")
    expected, actual = read_checkpoint(DATA / "tiny0").tensors, read_checkpoint(tmp_path).tensors
    assert expected.keys() == actual.keys()
    assert all(np.array_equal(actual[name], expected[name]) for name in expected)


def test_ckpt_that_would_run_code_is_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "trapped"), "w"))

    (tmp_path / "t5").mkdir()
    (tmp_path / "t5/model.safetensors").write_bytes(
        (DATA / "tiny0/t5/model.safetensors").read_bytes()
    )
    torch.save({"state_dict": Trap()}, tmp_path / "model.ckpt")
    with pytest.raises(EdgeAudioError, match="cannot be read safely"):
        read_checkpoint(tmp_path)
    assert not (tmp_path / "trapped").exists()
