"""The PyTorch peer of `benchmarks/sa3.py` against the golden arrays: what is measured beside ours
must be the official computation.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from references import DATA

from edge_audio.sampling.samplers import SAMPLERS
from edge_audio.sampling.schedule import shifted_sigmas

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
import sa3_modules

TOLERANCE = 1e-4
SOURCE = DATA / "sa3tiny0"


@pytest.fixture(scope="module")
def model():
    return sa3_modules.Model(SOURCE)


@pytest.fixture(scope="module")
def golden():
    with np.load(SOURCE / "golden.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


def assert_near(actual, expected, tolerance=TOLERANCE):
    actual, expected = torch.as_tensor(actual), torch.as_tensor(expected)
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() <= tolerance * max(1.0, float(expected.abs().max()))


def conditioned(model, golden):
    return model.conditioner(golden["input_ids"], golden["attention_mask"], golden["seconds_total"])


def velocity(model, golden, x, t, **more):
    features = sa3_modules.expo_features(t.reshape(1))
    return model.dit(x, features, *conditioned(model, golden), **more)


def test_features(golden):
    for t, expected in zip(golden["t_values"], golden["timestep_features"]):
        assert_near(sa3_modules.expo_features(t.reshape(1))[0], expected, 1e-6)


def test_text_encoder(model, golden):
    hidden = model.conditioner.encoder(golden["input_ids"], golden["attention_mask"])
    assert_near(hidden, golden["t5_last_hidden_state"], 1e-3)


def test_conditioner(model, golden):
    cross, pooled = conditioned(model, golden)
    assert_near(cross, golden["cross_attn_cond"])
    assert_near(pooled, golden["global_cond"])


@pytest.mark.parametrize("length", ["L24", "L15"])
def test_velocity(model, golden, length):
    mask, kept = (golden[f"inpaint_{kind}_{length}"] for kind in ("mask", "input"))
    local = torch.cat([mask, kept], dim=1).transpose(1, 2)
    for index, t in enumerate(golden["t_values"]):
        v = velocity(model, golden, golden[f"x_{length}"], t)
        assert_near(v, golden[f"dit_v_{length}"][index])
        v = velocity(model, golden, golden[f"x_{length}"], t, local=local)
        assert_near(v, golden[f"dit_v_inpaint_{length}"][index])


def test_padding(model, golden):
    there = torch.arange(24) < golden["pad_valid"][:, None]
    x, t = golden["x_L24"], torch.tensor(0.5)
    v = velocity(model, golden, x, t, padding_mask=there.float())
    assert_near(v, golden["dit_v_padmask"])
    # latents that are nothing's keys: how the straight conversion makes up a length
    v = velocity(model, golden, x, t, key_bias=(~there).float() * -1e9)
    expected = golden["dit_v_row1_cut"]
    assert_near(v[1:, :, : expected.shape[-1]], expected)


def test_decoder(model, golden):
    decode, latents = model.decoder, golden["decode_latent"]
    assert_near(decode(latents), golden["decode_audio"])
    assert_near(decode.chunked(latents, 12, 4), golden["decode_chunked_12_4"])
    assert_near(decode.chunked(latents, 8, 4), golden["decode_chunked_8_4"])
    assert_near(decode(latents[..., :15]), golden["decode_odd15_audio"])


def test_generation(model, golden):
    """The whole way, as `sa3_peers` goes it: conditioning, eight ping-pong steps, decoding."""
    there, draws = golden["gen_padding_mask"], iter(golden["gen_noise"])

    def v(x, t):
        return velocity(model, golden, x, torch.tensor(t), padding_mask=there.float())

    steps = SAMPLERS["pingpong"].sample(
        v, golden["gen_noise_init"], shifted_sigmas(8, -6.2, 2.0), lambda shape: next(draws)
    )
    *_, last = steps
    assert_near(last.x, golden["gen_latents"])
    valid = there.repeat_interleave(128, dim=1)[:, None]
    audio = (model.decoder(last.x) * valid).clamp(-1, 1)
    assert_near(audio, golden["gen_audio"])
