"""Tensors by name: what is missing, misshapen, unexplained or damaged is named; weight norm is
folded over the right axis.
"""

import json
import shutil

import numpy as np
import pytest
from references import DATA
from safetensors.numpy import load_file, save_file

from edge_audio.errors import EdgeAudioError
from edge_audio.system.safetensors import INDEX
from export.checkpoint import Checkpoint, read_checkpoint
from export.config import read_config
from export.sao import build

QKV = "model.model.transformer.layers.1.self_attn.to_qkv.weight"


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(DATA / "tiny0", tmp_path / "checkpoint")


def change(folder, function, file="model.safetensors"):
    tensors = load_file(folder / file)
    function(tensors)
    save_file(tensors, folder / file)


def audit(folder):
    checkpoint = read_checkpoint(folder)
    build(checkpoint, read_config(folder))
    return checkpoint.audit()


def test_every_tensor_is_used(folder):
    assert audit(folder) == {"DiT": 60, "autoencoder": 225, "number conditioner": 3, "T5": 19}


@pytest.mark.parametrize(
    "function, message",
    [
        (lambda t: t.pop(QKV), f"tensor {QKV} of shape [192, 64] is missing"),
        (
            lambda t: t.update({QKV: t[QKV].T.copy()}),
            f"tensor {QKV} has shape [64, 192], the configuration needs [192, 64]",
        ),
        (
            lambda t: t.update({"model.model.extra.weight": t[QKV]}),
            "does not explain: model.model.extra.weight",
        ),
        (lambda t: t.update({QKV: np.full_like(t[QKV], np.nan)}), f"tensor {QKV} holds NaN"),
        (lambda t: t.update({QKV: t[QKV].astype(np.float64)}), f"tensor {QKV} of"),
    ],
)
def test_faults_are_named(folder, function, message):
    change(folder, function)
    with pytest.raises(EdgeAudioError) as error:
        audit(folder)
    assert message in str(error.value) and "; " in str(error.value)


def test_zero_row_of_weight_norm(folder):
    name = "pretransform.model.decoder.layers.1.layers.1.weight_v"
    change(folder, lambda t: t[name].__setitem__(0, 0))
    with pytest.raises(EdgeAudioError, match=f"{name} has an all-zero row"):
        audit(folder)


def test_t5_decoder_is_left_out_deliberately(folder):
    change(
        folder,
        lambda t: t.update(
            {
                "decoder.block.0.layer.0.SelfAttention.q.weight": np.zeros((4, 4), np.float32),
                "lm_head.weight": np.zeros((4, 4), np.float32),
            }
        ),
        "t5/model.safetensors",
    )
    assert audit(folder)["T5"] == 19


def test_half_precision_is_read(folder):
    change(
        folder, lambda t: t.update({name: value.astype(np.float16) for name, value in t.items()})
    )
    taken = read_checkpoint(folder).take(QKV, (192, 64))
    assert taken.dtype == np.float32
    assert np.allclose(taken, read_checkpoint(DATA / "tiny0").take(QKV, (192, 64)), atol=1e-3)


def test_weight_norm_is_per_index_of_dimension_0():
    g, v = (
        np.array([2.0, 3.0], np.float32).reshape(2, 1, 1),
        np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32),
    )
    weight = Checkpoint({"x.weight_g": g, "x.weight_v": v}, "").take_weight_normed("x", (2, 4, 3))
    assert np.allclose(np.linalg.norm(weight.reshape(2, -1), axis=1), [2, 3])


def test_truncated_file(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(EdgeAudioError, match="model.safetensors cannot be read"):
        read_checkpoint(folder)


def in_parts(folder):
    """The folder's weights as two files and an index."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    files = {name: f"model-{1 + ('model.model.' in name)}.safetensors" for name in tensors}
    for file in set(files.values()):
        save_file({name: tensors[name] for name in tensors if files[name] == file}, folder / file)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": files}))


def test_weights_in_parts(folder):
    whole = read_checkpoint(folder)
    in_parts(folder)
    assert audit(folder) == {"DiT": 60, "autoencoder": 225, "number conditioner": 3, "T5": 19}
    parts = read_checkpoint(folder)
    assert np.array_equal(parts.tensors[QKV], whole.tensors[QKV])
    assert parts.sha256 != whole.sha256


@pytest.mark.parametrize(
    "fault, message",
    [
        (lambda f: (f / "model-2.safetensors").unlink(), "lacks model-2.safetensors, which"),
        (
            lambda f: (f / INDEX).write_text('{"weight_map": {"a": "../b.safetensors"}}'),
            "no file beside",
        ),
        (lambda f: (f / INDEX).write_text('{"weight_map": 3}'), "is no index of weights"),
        (lambda f: (f / INDEX).write_text('{"weight_map": {}}'), "names no file"),
        (lambda f: (f / INDEX).write_text("{"), "is no index of weights"),
        (
            lambda f: save_file(load_file(f / "model-1.safetensors"), f / "model-2.safetensors"),
            "once more",
        ),
    ],
)
def test_faults_of_parts(folder, fault, message):
    in_parts(folder)
    fault(folder)
    with pytest.raises(EdgeAudioError, match=message):
        read_checkpoint(folder)


def test_nothing_there(tmp_path):
    with pytest.raises(EdgeAudioError, match="is not a folder"):
        read_checkpoint(tmp_path / "none")
    with pytest.raises(EdgeAudioError, match="has neither model.safetensors nor a .ckpt"):
        read_checkpoint(tmp_path)


def test_pickled_checkpoint_is_never_just_unpickled(folder):
    """With torch it is read with weights_only, without torch it is refused; in no case does the
    pickle's code run.
    """
    import pickle

    class Trap:
        def __reduce__(self):
            return (open, (str(folder / "trapped"), "w"))

    (folder / "model.safetensors").unlink()
    (folder / "model.ckpt").write_bytes(pickle.dumps({"state_dict": Trap()}))
    with pytest.raises(EdgeAudioError, match="model.safetensors"):
        read_checkpoint(folder)
    assert not (folder / "trapped").exists()
