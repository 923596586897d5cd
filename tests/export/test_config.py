"""Configurations that the graphs do not implement are refused by name."""

import copy
import json

import pytest
from references import DATA

from edge_audio.bundle.manifest import Latent
from edge_audio.errors import EdgeAudioError
from export.config import read_config

CONFIG = json.loads((DATA / "tiny0" / "model_config.json").read_text())
T5 = json.loads((DATA / "tiny0" / "t5" / "config.json").read_text())
DIT = ("model", "diffusion", "config")
DECODER = ("model", "pretransform", "config", "decoder", "config")


def read(tmp_path, config=CONFIG, t5=T5):
    (tmp_path / "t5").mkdir(exist_ok=True)
    (tmp_path / "model_config.json").write_text(
        config if isinstance(config, str) else json.dumps(config)
    )
    (tmp_path / "t5" / "config.json").write_text(json.dumps(t5))
    return read_config(tmp_path)


def changed(path, value):
    config = copy.deepcopy(CONFIG)
    place = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return config


def test_sizes_of_the_reference(tmp_path):
    config = read(tmp_path)
    assert config.latent == Latent(32, 8, 32)
    assert (config.dit.dim_head, config.dit.rotary_dims, config.max_length) == (32, 32, 16)
    assert config.decoder.widths == (8, 8, 16, 32) and config.decoder.strides == (2, 4, 4)


@pytest.mark.parametrize(
    "path, value, message",
    [
        (("model_type",), "autoencoder", "model_config.model_type is 'autoencoder'"),
        (("model", "pretransform", "type"), "dac", "pretransform.type is 'dac'"),
        (
            ("model", "pretransform", "config", "bottleneck", "type"),
            "rvq",
            "bottleneck.type is 'rvq'",
        ),
        (("model", "pretransform", "scale"), 2.0, "pretransform.scale"),
        ((*DECODER, "final_tanh"), True, "final_tanh is True"),
        ((*DECODER, "use_snake"), False, "use_snake is False"),
        ((*DECODER, "strides"), [2, 4, 3], "strides has 3; only models with even strides"),
        ((*DECODER, "strides"), [2, 4], "2 strides but 3 c_mults"),
        ((*DECODER, "kernel"), 9, "config.kernel (value 9) is not known here"),
        (
            (*DIT, "global_cond_type"),
            "adaLN",
            "global_cond_type is 'adaLN'; only models with 'prepend' can be exported",
        ),
        ((*DIT, "transformer_type"), "x-transformers", "transformer_type is 'x-transformers'"),
        ((*DIT, "attn_kwargs"), {"qk_norm": "rms"}, "qk_norm is 'rms'; only models with 'ln'"),
        (
            (*DIT, "attn_kwargs"),
            {"qk_norm": "ln", "differential": True},
            "attn_kwargs.differential (value True) is not known",
        ),
        ((*DIT, "depth"), "two", "depth is 'two', expected int"),
        ((*DIT, "num_heads"), 3, "embed_dim modulo num_heads"),
        ((*DIT, "num_heads"), 4, "heads of 16 dims are too small"),
        ((*DIT, "cond_token_dim"), 64, "cond_token_dim is 64"),
        ((*DIT, "new_option"), 1, "diffusion.config.new_option (value 1) is not known"),
        (("model", "diffusion", "diffusion_objective"), "v", "diffusion_objective is 'v'"),
        (
            ("model", "diffusion", "cross_attention_cond_ids"),
            ["prompt"],
            "cross_attention_cond_ids is ['prompt']",
        ),
        (("model", "conditioning", "cond_dim"), 48, "the rest of it needs 48"),
        (("sample_size",), 1000, "sample_size modulo downsampling_ratio"),
        (("sample_rate",), 0, "model_config.sample_rate is 0, which no model can have"),
        ((*DIT, "num_heads"), 0, "num_heads is 0"),
        (("model", "pretransform", "config", "downsampling_ratio"), 0, "downsampling_ratio is 0"),
        ((*DECODER, "c_mults"), ["1", 2, 4], "c_mults is ['1', 2, 4]"),
        (
            ("model", "pretransform", "config", "decoder", "soft_clip"),
            True,
            "decoder.soft_clip is True",
        ),
        (("model", "pretransform", "config", "pretransform"), {}, "config.pretransform is {}"),
        (
            ("model", "pretransform", "config", "bottleneck", "config"),
            {"x": 1},
            "bottleneck.config is {'x': 1}",
        ),
        (("model", "conditioning", "default_keys"), {}, "conditioning.default_keys"),
        (("lora",), {}, "model_config.lora"),
    ],
)
def test_refused_by_name(tmp_path, path, value, message):
    with pytest.raises(EdgeAudioError) as error:
        read(tmp_path, changed(path, value))
    assert message in str(error.value) and "; " in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "options, positions",
    [
        ({"use_abs_pos_emb": False, "abs_pos_emb_max_length": 7}, None),
        ({"use_abs_pos_emb": True}, 10_000),
        ({"use_abs_pos_emb": True, "abs_pos_emb_max_length": 33}, 33),
    ],
)
def test_learned_positions(tmp_path, options, positions):
    config = changed(DIT, CONFIG["model"]["diffusion"]["config"] | options)
    assert read(tmp_path, config).dit.positions == positions


@pytest.mark.parametrize(
    "options, message",
    [
        ({"use_abs_pos_emb": 1}, "use_abs_pos_emb is 1, expected bool"),
        ({"use_abs_pos_emb": True, "abs_pos_emb_max_length": 32}, "is 32, the rest of it needs 33"),
    ],
)
def test_positions_that_cannot_be(tmp_path, options, message):
    config = changed(DIT, CONFIG["model"]["diffusion"]["config"] | options)
    with pytest.raises(EdgeAudioError, match=message):
        read(tmp_path, config)


def test_an_extra_conditioner_is_refused(tmp_path):
    """`seconds_start` belongs to another model; with it this one would hear 66 tokens instead of
    65.
    """
    config = copy.deepcopy(CONFIG)
    entries = config["model"]["conditioning"]["configs"]
    entries.insert(
        1, {"id": "seconds_start", "type": "number", "config": {"min_val": 0, "max_val": 16}}
    )
    with pytest.raises(EdgeAudioError, match="seconds_start"):
        read(tmp_path, config)


def test_another_t5_is_refused(tmp_path):
    with pytest.raises(EdgeAudioError, match="feed_forward_proj is 'gated-gelu'"):
        read(tmp_path, t5={**T5, "feed_forward_proj": "gated-gelu"})
    with pytest.raises(EdgeAudioError, match="relative_attention_max_distance is 'x'"):
        read(tmp_path, t5={**T5, "relative_attention_max_distance": "x"})


def test_missing_entry_and_broken_json(tmp_path):
    config = copy.deepcopy(CONFIG)
    del config["sample_rate"]
    with pytest.raises(EdgeAudioError, match="model_config.sample_rate is missing"):
        read(tmp_path, config)
    with pytest.raises(EdgeAudioError, match="model_config.json cannot be read"):
        read(tmp_path, "{")
