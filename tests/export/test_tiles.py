"""The decoder in tiles and at several lengths: the same audio, with one copy of the weights."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from references import DATA

from edge_audio.bundle.manifest import GENERATING
from edge_audio.bundle.store import Bundle
from edge_audio.model.codec import decode
from edge_audio.model.contract import Contract
from edge_audio.system.graph import Graph
from export.autoencoder import Conv, Decoder, receptive_radius
from export.bundle import Options, export
from export.checkpoint import read_checkpoint
from export.config import read_config


@pytest.fixture(scope="module")
def bundle(tiny0):
    return Bundle.open(tiny0[2])


def blocks_of(graph, manifest, latents):
    """Blocks of audio of all the latents, through the runtime's tiling."""
    contract = Contract(manifest)

    def run(stage, inputs):
        return contract.fitting(stage, inputs).run(graph)

    return list(decode(run, contract, latents, latents.shape[1] * manifest.latent.downsampling))


def decoded(decoder, manifest, latents):
    """The same in TensorFlow."""

    def graph(signature, **inputs):
        function = decoder.signatures()[signature][0]
        outputs = function(**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items()}

    manifest = dataclasses.replace(manifest, tiling=decoder.tiling, latent=decoder.latent)
    return blocks_of(graph, manifest, latents)


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
            blocks = blocks_of(graph, bundle.manifest, latents)
            assert np.abs(np.concatenate(blocks) - whole).max() < 1e-5


@pytest.mark.slow
def test_lengths_share_one_copy_of_the_weights(tiny0, tmp_path):
    alone = export(
        DATA / "tiny0", tmp_path / "alone", Options(("f32",), GENERATING), say=lambda line: None
    )
    shared = Bundle.open(tiny0[2]).manifest
    assert shared.latent.shorter == (16, 24) and alone.latent.shorter == ()
    for component in ("dit", "decoder"):
        # three graphs instead of one, and the rotary tables of each length
        assert shared.graphs[component]["f32"].bytes < 1.35 * alone.graphs[component]["f32"].bytes


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


def test_receptive_radius_of_the_full_model():
    """Its last three stages (strides 4, 4, 2) see 15 of 64 frames a latent to each side: one latent
    of overlap.
    """
    assert receptive_radius((4, 4, 2)) == 15
