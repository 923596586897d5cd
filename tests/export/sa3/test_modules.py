"""Stable Audio 3: every golden array of the official code that lies inside the graphs, through
TensorFlow.
"""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from edge_audio.errors import EdgeAudioError
from edge_audio.exporter.checkpoint import read_checkpoint
from edge_audio.exporter.sa3.conditioners import FREQUENCIES, Conditioners
from edge_audio.exporter.sa3.config import read_config
from edge_audio.exporter.sa3.dit import DiT
from edge_audio.exporter.sa3.same import Decoder, Encoder
from edge_audio.sampling.features import expo_features, seconds_features

SOURCE = Path(__file__).parents[2] / "data" / "sa3tiny0"
TOLERANCE = 1e-4
ROWS = (0, 1)


class Taps(dict):
    """Collects inner values by name."""

    def __call__(self, name, value):
        self[name] = value.numpy()


@pytest.fixture(scope="module")
def golden():
    return np.load(SOURCE / "golden.npz")


@pytest.fixture(scope="module")
def checkpoint():
    config = read_config(SOURCE)
    return read_checkpoint(SOURCE, config.text_folder, "t5gemma"), config


@pytest.fixture(scope="module")
def conditioners(checkpoint):
    return Conditioners(*checkpoint)


@pytest.fixture(scope="module")
def dit(checkpoint):
    return DiT(*checkpoint)


@pytest.fixture(scope="module")
def decoder(checkpoint):
    return Decoder(*checkpoint)


@pytest.fixture(scope="module")
def encoder(checkpoint):
    return Encoder(*checkpoint)


def assert_near(actual, expected, tolerance=TOLERANCE):
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance * max(1.0, np.abs(expected).max())


def channels_last(array):
    return np.moveaxis(array, -2, -1)


def row(golden, name, index):
    return golden[name][index : index + 1]


def conditioned(conditioners, golden, index, taps=lambda name, value: None, learned=1.0):
    features = seconds_features(golden["seconds_total"][index], 0.0, 384.0, FREQUENCIES)
    return conditioners.condition(
        tf.constant(row(golden, "input_ids", index)),
        tf.constant(row(golden, "attention_mask", index)),
        tf.constant([learned], tf.float32),
        tf.constant(features),
        taps,
    )


# --- numbers ---


def test_features_of_numbers(golden):
    assert np.array_equal(FREQUENCIES, golden["expo_freqs"])
    for t, expected in zip(golden["t_values"], golden["timestep_features"]):
        assert_near(expo_features(t, FREQUENCIES)[0], expected, 1e-6)
    for seconds, expected in zip(golden["seconds_total"], golden["seconds_features"]):
        assert_near(seconds_features(seconds, 0.0, 384.0, FREQUENCIES)[0], expected, 1e-6)


def test_seconds_beyond_the_model_are_clamped(golden, conditioners):
    for seconds, expected in zip(golden["seconds_sweep"], golden["seconds_sweep_out"]):
        features = seconds_features(seconds, 0.0, 384.0, FREQUENCIES)
        assert_near(conditioners.seconds(tf.constant(features))[0], expected)


# --- the text encoder and what becomes of its output ---


@pytest.mark.parametrize("index", ROWS)
def test_text_encoder(conditioners, golden, index):
    taps, real = Taps(), golden["attention_mask"][index].astype(bool)
    conditioned(conditioners, golden, index, taps)
    assert_near(taps["t5_embed"][0], golden["t5_embed"][index])
    for layer, expected in enumerate(golden["t5_layers"][:, index]):
        # padded places hold numbers that nothing reads
        assert_near(taps[f"t5_layer{layer}"][0][real], expected[real], 1e-3)
    assert_near(taps["t5"][0][real], golden["t5_last_hidden_state"][index][real], 1e-3)


@pytest.mark.parametrize("index", ROWS)
def test_padding_is_one_key_for_all(conditioners, golden, index):
    given, mask = conditioned(conditioners, golden, index), golden["attention_mask"][index]
    count = mask.sum()
    rows, bias = given["cross_attn_cond"][0].numpy(), given["cross_attn_bias"][0].numpy()
    expected = golden["cross_attn_cond"][index]
    assert_near(rows[:count], expected[:count])
    assert_near(rows[-2], golden["cond_prompt"][index][-1])
    assert_near(rows[-1], golden["cond_seconds_total"][index][0])
    assert_near(given["global_cond"][0], golden["global_cond"][index])
    assert_near(bias[:count], np.zeros(count))
    assert (bias[count:-2] < -1e8).all()
    assert_near(np.exp(bias[-2:]), np.array([len(mask) - count, 1.0]))


def test_a_negative_prompts_padding_is_zero(conditioners, golden):
    given = conditioned(conditioners, golden, 0, learned=0.0)
    assert not given["cross_attn_cond"][0, -2].numpy().any()


# --- the transformer ---


def prompt_values(conditioners, dit, golden, index, learned=1.0):
    given = conditioned(conditioners, golden, index, learned=learned)
    return {
        "cross_attn_bias": given["cross_attn_bias"],
        **dit.project(given["cross_attn_cond"]),
    }


def velocity(conditioners, dit, golden, index, x, t, **more):
    """v [C, T] of a row, whose x is [C, T]."""
    values = more.pop("values", None) or prompt_values(conditioners, dit, golden, index)
    cond = conditioned(conditioners, golden, index)["global_cond"]
    modulations = dit.adaln(tf.constant(expo_features(t, FREQUENCIES)), cond)["modulations"]
    length = x.shape[-1]
    mask = more.pop("padding_mask", np.ones((1, length), np.float32))
    nothing = np.zeros((1, 1, 1), np.float32), np.zeros((1, len(x), 1), np.float32)
    values |= dit.local(*(tf.constant(channels_last(part)) for part in more.pop("keep", nothing)))
    values |= dit.rotation(tf.constant(np.arange(length, dtype=np.int32)[None]))
    x = tf.constant(channels_last(x)[None])
    v = dit.denoise(x, mask, modulations=modulations, **values, **more)["v"]
    return channels_last(v.numpy())[0]


@pytest.mark.parametrize("index", ROWS)
def test_embedders(conditioners, dit, golden, index):
    taps = Taps()
    given = conditioned(conditioners, golden, index)
    dit.project(given["cross_attn_cond"], taps)
    real = golden["attention_mask"][index].sum()
    assert_near(taps["to_cond_embed"][0][:real], golden["to_cond_embed"][index][:real])
    assert_near(taps["to_cond_embed"][0][-1], golden["to_cond_embed"][index][-1])
    for number, t in enumerate(golden["t_values"]):
        features = tf.constant(expo_features(t, FREQUENCIES))
        modulations = dit.adaln(features, given["global_cond"], taps)["modulations"]
        assert_near(taps["timestep_embed"][0], golden["timestep_embed"][number])
        assert_near(taps["to_global_embed"][0], golden["to_global_embed"][index])
        assert_near(modulations[0], golden["adaln_global"][number, index])


@pytest.mark.parametrize("length", ["L24", "L15"])
@pytest.mark.parametrize("index", ROWS)
def test_velocity(conditioners, dit, golden, length, index):
    x = golden[f"x_{length}"][index]
    keep = (row(golden, f"inpaint_{kind}_{length}", index) for kind in ("mask", "input"))
    keep = list(keep)
    for number, t in enumerate(golden["t_values"]):
        v = velocity(conditioners, dit, golden, index, x, t)
        assert_near(v, golden[f"dit_v_{length}"][number, index])
        v = velocity(conditioners, dit, golden, index, x, t, keep=keep)
        assert_near(v, golden[f"dit_v_inpaint_{length}"][number, index])


@pytest.mark.parametrize("index", ROWS)
def test_inside_the_transformer(conditioners, dit, golden, index):
    taps = Taps()
    keep = [row(golden, f"inpaint_{kind}_L24", index) for kind in ("mask", "input")]
    x, t = golden["x_L24"][index], golden["hidden_t"][0]
    velocity(conditioners, dit, golden, index, x, t, keep=keep, taps=taps)
    assert_near(taps["block0.in"][0], golden["dit_block_in"][index])
    for block in range(dit.config.depth):
        for name, key in (
            ("out", "dit_block_hidden"),
            ("self_attn", "dit_self_attn_out"),
            ("cross_attn", "dit_cross_attn_out"),
            ("ff", "dit_ff_out"),
        ):
            assert_near(taps[f"block{block}.{name}"][0], golden[key][block, index])
        assert_near(taps[f"block{block}.local"][0], golden["dit_local_embed"][block, index])
    for name in ("q_normed", "k_normed"):
        assert_near(taps[f"block0.{name}"][0], golden[f"dit_block0_{name}"][index])


def test_constants_of_the_transformer(dit, golden):
    channels = dit.config.io_channels
    nothing = dit.local(tf.zeros([1, 1, 1]), tf.zeros([1, 1, channels]))
    for local, expected in zip(nothing.values(), golden["dit_local_embed_zero"]):
        assert_near(local.numpy()[0, 0], expected)
    angles = golden["rotary_freqs"]
    assert_near(dit.rotary.cos[: len(angles)], np.cos(angles))


def test_masks(conditioners, dit, golden):
    """The official CPU path zeroes what padded latents say, its GPU path leaves them out, as a
    shorter clip does.
    """
    t, length = 0.5, golden["x_L24"].shape[-1]
    for index, valid in enumerate(golden["pad_valid"]):
        mask = (np.arange(length) < valid).astype(np.float32)[None]
        x = golden["x_L24"][index]
        v = velocity(conditioners, dit, golden, index, x, t, padding_mask=mask)
        assert_near(v, golden["dit_v_padmask"][index])
    valid = golden["pad_valid"][1]
    v = velocity(conditioners, dit, golden, 1, x[:, :valid], t)
    assert_near(v, golden["dit_v_row1_cut"][0])


@pytest.mark.parametrize("index", ROWS)
def test_unconditional_branch_is_zeros(conditioners, dit, golden, index):
    given = conditioned(conditioners, golden, index)
    values = {
        "cross_attn_bias": given["cross_attn_bias"],
        **dit.project(tf.zeros_like(given["cross_attn_cond"])),
    }
    x, t = golden["x_L24"][index], golden["cfg_t"][0]
    v = velocity(conditioners, dit, golden, index, x, t, values=values)
    assert_near(v, golden["dit_uncond"][index])
    v = velocity(conditioners, dit, golden, index, x, t)
    assert_near(v, golden["dit_cond"][index])


# --- the codec ---


def assert_blocks(taps, golden, side, config):
    """What the blocks of a side of the codec take and give."""
    for name, key in (("in", "in"), ("attn", "attn_out"), ("ff", "ff_out")):
        assert_near(taps[f"block0.{name}"], golden[f"{side}_block0_{key}"])
    half = config.depth // 2
    assert_near(taps[f"block{half}.in"], golden[f"{side}_block_mid_in"])
    for index, expected in enumerate(golden[f"{side}_block_hidden"]):
        out = taps[f"block{index}.out"].reshape(1, -1, config.width)
        cut = config.tokens if index >= half else 0
        assert_near(out[:, cut : out.shape[1] - cut], expected)


def test_decoder_inside(decoder, golden):
    taps = Taps()
    latents = channels_last(golden["decode_latent"])
    audio = decoder.decode(tf.constant(latents), taps)["audio"]
    assert_near(channels_last(audio.numpy()), golden["decode_audio"])
    assert_near(taps["bottleneck"], channels_last(golden["dec_bottleneck"]))
    assert_near(taps["project_in"], channels_last(golden["dec_project_in"]))
    assert_blocks(taps, golden, "dec", decoder.config)
    assert_near(taps["tokens_out"], channels_last(golden["dec_tokens_out"]))
    assert_near(taps["patches"], channels_last(golden["dec_patches"]))


def test_encoder_inside(encoder, golden):
    taps = Taps()
    audio = channels_last(golden["enc_audio"])
    mean = encoder.encode(tf.constant(audio), taps)["mean"]
    assert_near(mean, channels_last(golden["enc_latent"]))
    assert_near(taps["patches"], channels_last(golden["enc_patches"]))
    assert_near(taps["mapped"], channels_last(golden["enc_mapped"]))
    assert_blocks(taps, golden, "enc", encoder.config)
    assert_near(taps["summary"], channels_last(golden["enc_summary"]))


def test_encoder_of_whole_clips(encoder, golden):
    whole = encoder.encode(tf.constant(channels_last(golden["enc_long_audio"])))["mean"]
    assert_near(whole, channels_last(golden["enc_long_latent"]))
    whole = encoder.encode(tf.constant(channels_last(golden["audio"])))["mean"]
    assert_near(whole, channels_last(golden["audio_latent"]))
    # an odd length is padded with zeros to whole chunks of two latents
    odd, latents = channels_last(golden["enc_odd_audio"]), golden["enc_odd_latent"].shape[-1]
    frames = latents * encoder.config.stride * encoder.patch
    padded = np.pad(odd, [(0, 0), (0, frames - odd.shape[1]), (0, 0)])
    assert_near(
        encoder.encode(tf.constant(padded))["mean"], channels_last(golden["enc_odd_latent"])
    )


def test_an_odd_tile_is_refused(checkpoint):
    with pytest.raises(EdgeAudioError, match="tile 3 is odd"):
        Decoder(*checkpoint, tile=3)
