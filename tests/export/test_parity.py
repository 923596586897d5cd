"""Every golden array of the official code: inner ones through TensorFlow, what a graph takes or
gives through .tflite.
"""

import numpy as np
import pytest
import tensorflow as tf

from edge_audio.bundle.store import Bundle
from edge_audio.model.codec import decode
from edge_audio.model.contract import Contract
from edge_audio.sampling.guidance import guided
from edge_audio.sampling.samplers import SAMPLERS
from edge_audio.system.graph import Graph

TOLERANCE = 1e-4
ROWS = (0, 1)


def assert_near(actual, expected):
    actual = np.asarray(actual)
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= TOLERANCE


class Taps(dict):
    """Collects inner values by name."""

    def __call__(self, name, value):
        self[name] = value.numpy()


@pytest.fixture(scope="module")
def golden(reference):
    return reference[0]


@pytest.fixture(scope="module")
def components(reference):
    return reference[1]


@pytest.fixture(scope="module")
def graphs(reference):
    """The f32 graphs of the exported bundle."""
    opened = {
        name: Graph(Bundle.open(reference[2]).graph_path(name, "f32"), threads=2)
        for name in ("conditioners", "dit", "decoder", "encoder")
    }
    yield opened
    for graph in opened.values():
        graph.close()


def row(golden, name, index):
    return golden[name][index : index + 1]


def projected(graphs, golden, cond, index):
    return graphs["dit"](
        "project", cross_attn_cond=cond, global_cond=row(golden, "global_cond", index)
    )


def denoise(graphs):
    return lambda x, t, given: graphs["dit"]("denoise", x=x, t=np.array([t], np.float32), **given)[
        "v"
    ]


# --- conditioners ---


@pytest.mark.parametrize("index", ROWS)
def test_conditioners_inside(components, golden, index):
    taps = Taps()
    components["conditioners"].condition(
        *(
            tf.constant(row(golden, name, index))
            for name in ("input_ids", "attention_mask", "seconds_total")
        ),
        taps=taps,
    )
    assert_near(taps["t5_embed"], row(golden, "t5_embed", index))
    assert_near(taps["t5"], row(golden, "t5_last_hidden_state", index))
    assert_near(taps["seconds_features"], row(golden, "seconds_features", index))
    assert_near(taps["seconds_features"][:, 0], golden["seconds_normalized"][index : index + 1])


@pytest.mark.parametrize("index", ROWS)
def test_conditioners_graph(graphs, golden, index):
    outputs = graphs["conditioners"](
        "condition",
        **{
            name: row(golden, name, index)
            for name in ("input_ids", "attention_mask", "seconds_total")
        },
    )
    assert_near(outputs["cross_attn_cond"], row(golden, "cross_attn_cond", index))
    assert_near(outputs["cross_attn_cond"][:, :-1], row(golden, "cond_prompt", index))
    assert_near(outputs["cross_attn_cond"][:, -1:], row(golden, "cond_seconds_total", index))
    assert_near(outputs["global_cond"], row(golden, "global_cond", index))


# --- diffusion transformer ---


@pytest.mark.parametrize("index", ROWS)
def test_embeddings_inside(components, golden, index):
    taps = Taps()
    outputs = components["dit"].project(
        tf.constant(row(golden, "cross_attn_cond", index)),
        tf.constant(row(golden, "global_cond", index)),
        taps,
    )
    assert_near(taps["to_cond_embed"], row(golden, "to_cond_embed", index))
    assert_near(outputs["global_embed"], row(golden, "to_global_embed", index))
    for i, t in enumerate(golden["t_values"]):
        components["dit"].timestep_embed(tf.constant([t]), taps)
        assert_near(taps["timestep_features"], row(golden, "timestep_features", i))
        assert_near(taps["timestep_embed"], row(golden, "timestep_embed", i))


def test_rotary_tables(components, golden):
    rotary, angles = components["dit"].rotary, golden["rotary_freqs"]
    half = angles.shape[1] // 2
    assert_near(rotary.cos.numpy(), np.cos(angles))
    assert_near(rotary.sin.numpy() * np.repeat([-1.0, 1.0], half), np.sin(angles))


@pytest.mark.parametrize("index", ROWS)
def test_blocks_inside(components, golden, index):
    taps, dit = Taps(), components["dit"]
    given = dit.project(
        tf.constant(row(golden, "cross_attn_cond", index)),
        tf.constant(row(golden, "global_cond", index)),
    )
    dit.denoise(
        tf.constant(row(golden, "x_in", index)), tf.constant(golden["hidden_t"]), taps=taps, **given
    )
    positions, last = golden["hidden_pos"], len(dit.blocks) - 1
    assert_near(taps["block0.in"], row(golden, "dit_block_in", index))
    assert_near(taps["block0.out"], row(golden, "dit_block0_full", index))
    assert_near(taps[f"block{last}.out"], row(golden, "dit_block_last_full", index))
    assert_near(taps["block0.q_normed"], row(golden, "dit_block0_q_normed", index))
    assert_near(taps["block0.k_normed"], row(golden, "dit_block0_k_normed", index))
    for block in range(last + 1):
        for tap, name in (
            ("out", "dit_block_hidden"),
            ("self_attn", "dit_self_attn_out"),
            ("cross_attn", "dit_cross_attn_out"),
            ("ff", "dit_ff_out"),
        ):
            assert_near(
                taps[f"block{block}.{tap}"][:, positions], golden[name][block, index : index + 1]
            )


@pytest.mark.parametrize("index", ROWS)
def test_v_at_four_levels(graphs, golden, index):
    given = projected(graphs, golden, row(golden, "cross_attn_cond", index), index)
    for i, t in enumerate(golden["t_values"]):
        assert_near(
            denoise(graphs)(row(golden, "x_in", index), t, given), row(golden, f"dit_v_t{i}", index)
        )


@pytest.mark.parametrize("index", ROWS)
def test_guidance(graphs, golden, index):
    cond = row(golden, "cross_attn_cond", index)
    given, zeros = (
        projected(graphs, golden, cond, index),
        projected(graphs, golden, np.zeros_like(cond), index),
    )
    x, t = row(golden, "x_in", index), float(golden["cfg_t"][0])
    assert_near(denoise(graphs)(x, t, zeros), row(golden, "dit_uncond", index))
    for scale in (3, 7):
        assert_near(
            guided(denoise(graphs), given, zeros, scale)(x, t),
            row(golden, f"dit_cfg{scale}", index),
        )


@pytest.mark.parametrize("index", ROWS)
def test_negative_prompt(graphs, golden, index):
    """The reference swaps its two prompts: each is guided away from the other one."""
    given, negative = (
        projected(graphs, golden, row(golden, "cross_attn_cond", i), index)
        for i in (index, 1 - index)
    )
    v = guided(denoise(graphs), given, negative, 3)(
        row(golden, "x_in", index), float(golden["cfg_t"][0])
    )
    assert_near(v, row(golden, "dit_cfg3_negative_swapped", index))


# --- samplers ---


def sample(graphs, golden, index, name, steps, noise=None, cfg_scale=1.0, x=None, sigma_max=1.0):
    cond = row(golden, "cross_attn_cond", index)
    given, zeros = (
        projected(graphs, golden, cond, index),
        projected(graphs, golden, np.zeros_like(cond), index),
    )
    replay = iter([] if noise is None else golden[noise][:, index : index + 1])
    sampler = SAMPLERS[name]
    sigmas = sampler.schedule(steps, **({} if sigma_max == 1.0 else {"sigma_max": sigma_max}))
    x = row(golden, "noise_init", index) if x is None else x
    return list(
        sampler.sample(
            guided(denoise(graphs), given, zeros, cfg_scale), x, sigmas, lambda shape: next(replay)
        )
    )


@pytest.mark.parametrize("index", ROWS)
@pytest.mark.parametrize(
    "name, steps, noise, cfg, final",
    [
        ("pingpong", 8, "pingpong_noise", 1.0, "pingpong_final"),
        ("pingpong", 4, "pingpong4_noise", 1.0, "pingpong4_final"),
        ("euler", 8, None, 1.0, "euler8_final"),
        ("euler", 8, None, 4.0, "euler8_cfg4_final"),
        ("rk4", 4, None, 1.0, "rk4_4_final"),
        ("dpmpp", 8, None, 1.0, "dpmpp8_final"),
    ],
)
def test_finals_on_replayed_noise(graphs, golden, index, name, steps, noise, cfg, final):
    assert_near(
        sample(graphs, golden, index, name, steps, noise, cfg)[-1].x, row(golden, final, index)
    )


@pytest.mark.parametrize("index", ROWS)
def test_each_pingpong_step(graphs, golden, index):
    for i, step in enumerate(sample(graphs, golden, index, "pingpong", 8, "pingpong_noise")):
        assert_near(step.denoised, golden["pingpong_denoised"][i, index : index + 1])


@pytest.mark.parametrize("index", ROWS)
def test_audio_to_audio(graphs, golden, index):
    """Sampling that starts from latents: x = init · (1 − s) + noise · s, and a schedule that begins
    at s.
    """
    strength = float(golden["a2a_sigma_max"][0])
    x = (
        golden["init_latent"] * (1 - strength) + row(golden, "noise_init", index) * strength
    ).astype(np.float32)
    steps = sample(graphs, golden, index, "pingpong", 8, "a2a_noise", x=x, sigma_max=strength)
    assert_near(steps[-1].x, row(golden, "a2a_final", index))


# --- autoencoder ---


def test_decoder_stages_inside(components, golden):
    taps, decoder = Taps(), components["decoder"]
    audio = decoder.tail(
        decoder.head(tf.constant(golden["decode32_latent"]), taps)["features"], taps
    )["audio"]
    assert_near(audio, golden["decode32_audio"])
    stages = [name for name in golden if name.startswith("dec_stage")]
    assert len(stages) >= 7
    for name in stages:
        if name.endswith("_ch4"):
            layer, inner = name.split("_")[2:4]
            assert_near(taps[f"{layer}.{inner}"][..., :4], golden[name])
        elif (layer := name.split("_")[2]) in taps:
            assert_near(taps[layer], golden[name])
        else:  # the official list ends with a tanh that this family replaces by the identity
            assert_near(audio, golden[name])


def test_decoder_graph(graphs, golden, reference):
    contract = Contract(Bundle.open(reference[2]).manifest)

    def call(stage, inputs):
        return contract.fitting(stage, inputs).run(graphs["decoder"])

    for latents, audio in (
        (golden["decode32_latent"], golden["decode32_audio"]),
        *((row(golden, "pingpong_final", i), row(golden, "decode_batch_audio", i)) for i in ROWS),
    ):
        blocks = decode(call, contract, latents, audio.shape[1])
        assert_near(np.concatenate(list(blocks))[None], audio)


def test_official_chunked_decode(components, golden):
    """The official chunks of 16 latents, joined in the middle of 8, are not what the whole decode
    gives; they are what these are.

    Our tiles overlap by the receptive field instead, and equal the whole
    (`test_tiled_equals_whole`).
    """
    decoder, latents = components["decoder"], golden["decode32_latent"]
    frame = golden["decode32_audio"].shape[1] // latents.shape[1]
    parts = []
    for start in (0, 8, 16):
        audio = decoder.tail(decoder.head(tf.constant(latents[:, start : start + 16]))["features"])[
            "audio"
        ]
        parts.append(audio[:, 0 if start == 0 else 4 * frame : None if start == 16 else 12 * frame])
    assert_near(np.concatenate(parts, axis=1), golden["decode_chunked_16_8_audio"])


def test_encoder_inside(components, golden):
    taps = Taps()
    outputs = components["encoder"].encode(tf.constant(golden["enc_audio"]), taps)
    last = max((name for name in taps if "." not in name), key=int)
    assert_near(taps[last], golden["enc_pre_bottleneck"])
    assert_near(taps[last][..., golden["enc_mean"].shape[-1] :], golden["enc_scale"])
    assert_near(outputs["mean"], golden["enc_mean"])
    assert_near(outputs["stdev"], golden["enc_stdev"])
    latents = outputs["mean"] + outputs["stdev"] * golden["enc_noise"]
    assert_near(latents, golden["enc_latent"])
    decoder = components["decoder"]
    assert_near(
        decoder.tail(decoder.head(outputs["mean"])["features"])["audio"], golden["encdec_audio"]
    )


def test_encoder_graph(reference, golden, tmp_path):
    """The reference audio is shorter than the model's clips, so the encoder is converted for its
    length.
    """
    from export.convert import convert, save_module

    encoder = reference[1]["encoder"]
    whole, encoder.audio_shape = encoder.audio_shape, list(golden["enc_audio"].shape)
    try:
        save_module(encoder, tmp_path / "encoder")
    finally:
        encoder.audio_shape = whole
    (tmp_path / "encoder.tflite").write_bytes(convert(tmp_path / "encoder"))
    with Graph(tmp_path / "encoder.tflite", threads=2) as graph:
        outputs = graph("encode", audio=golden["enc_audio"])
    assert_near(outputs["mean"], golden["enc_mean"])
    assert_near(outputs["stdev"], golden["enc_stdev"])
