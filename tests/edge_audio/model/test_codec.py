import types

import numpy as np
import pytest

from edge_audio.bundle.manifest import Latent, Tiling
from edge_audio.errors import EdgeAudioError
from edge_audio.model.codec import decode, faded, plan

#: The toy tail sees REACH feature frames to either side.
PER_LATENT, DOWNSAMPLING, REACH = 2, 8, 3


def toy_contract(length, tile, overlap):
    """tile and overlap in frames of features"""
    manifest = types.SimpleNamespace(
        latent=Latent(length, 3, DOWNSAMPLING), tiling=Tiling(tile, overlap, PER_LATENT)
    )
    return types.SimpleNamespace(
        manifest=manifest,
        gives={"features": "head", "audio": "tail"},
        stages={"tail": types.SimpleNamespace(inputs={"features": None})},
    )


class ToyDecoder:
    """`head` upsamples, `tail` is a zero-padded convolution over features, then samples of two
    channels.
    """

    def __init__(self):
        self.tails = 0
        random = np.random.default_rng(1)
        self.kernel = random.normal(size=(2 * REACH + 1, 3, DOWNSAMPLING // PER_LATENT * 2)).astype(
            np.float32
        )

    def __call__(self, stage, inputs):
        if stage == "head":
            return {"features": np.repeat(inputs["latents"], PER_LATENT, axis=1)}
        self.tails += 1
        features = np.pad(inputs["features"], ((0, 0), (REACH, REACH), (0, 0)))
        frames = features.shape[1] - 2 * REACH
        audio = sum(features[:, k : k + frames] @ self.kernel[k] for k in range(len(self.kernel)))
        return {"audio": audio.reshape(1, frames * DOWNSAMPLING // PER_LATENT, 2)}


@pytest.mark.parametrize(
    "length, tile, overlap",
    [
        (16, 32, 3),
        (16, 32, 0),
        (16, 16, 3),
        (17, 16, 4),
        (31, 15, 3),
        (256, 32, 3),
        (12, 9, 4),
        (40, 32, 15),
        (9, 17, 3),
        (13, 25, 5),
        (5, 7, 3),
    ],
)
def test_tiles_give_exactly_the_whole(length, tile, overlap):
    latents = np.random.default_rng(length).normal(size=(1, length, 3)).astype(np.float32)
    whole = ToyDecoder()("tail", ToyDecoder()("head", {"latents": latents}))["audio"][0]
    for frames in {
        length * DOWNSAMPLING,
        1,
        DOWNSAMPLING,
        length * DOWNSAMPLING // 2 + 3,
        length * DOWNSAMPLING - 1,
    }:
        blocks = list(decode(ToyDecoder(), toy_contract(length, tile, overlap), latents, frames))
        assert all(len(block) for block in blocks)
        np.testing.assert_allclose(np.concatenate(blocks), whole[:frames], atol=1e-6)


@pytest.mark.parametrize("length", range(5, 60))
def test_tiles_cover_without_gaps(length):
    for tile in range(3, length + 1):
        for overlap in range((tile + 1) // 2):
            tiles = plan(length, tile, overlap)
            assert [one.begin for one in tiles] == [0] + [one.end for one in tiles[:-1]] and tiles[
                -1
            ].end == length
            for one in tiles:
                assert 0 <= one.start <= length - tile
                assert one.start == 0 or one.begin - one.start >= overlap
                assert one.start + tile == length or one.start + tile - one.end >= overlap


def test_only_needed_tiles_run():
    decoder, contract = ToyDecoder(), toy_contract(64, 16, 4)
    latents = np.zeros((1, 64, 3), np.float32)
    assert sum(map(len, decode(decoder, contract, latents, 6 * DOWNSAMPLING))) == 6 * DOWNSAMPLING
    assert decoder.tails == 1
    list(decode(decoder, contract, latents, 6 * DOWNSAMPLING + 1))
    assert decoder.tails == 3


def test_the_first_block_comes_after_one_tile():
    decoder = ToyDecoder()
    blocks = decode(
        decoder, toy_contract(64, 16, 4), np.zeros((1, 64, 3), np.float32), 64 * DOWNSAMPLING
    )
    assert next(blocks).shape == (6 * DOWNSAMPLING, 2) and decoder.tails == 1


def test_a_manifest_that_does_not_fit_the_graph():
    contract = toy_contract(16, 16, 4)
    contract.manifest.latent = Latent(16, 3, 4)
    with pytest.raises(
        EdgeAudioError, match="tail gave 64 samples for a tile of 16 frames, the manifest says 32"
    ):
        list(decode(ToyDecoder(), contract, np.zeros((1, 16, 3), np.float32), 64))


def test_a_head_that_does_not_fit_the_manifest():
    contract = toy_contract(16, 16, 4)
    contract.manifest.tiling = Tiling(16, 4, 4)
    with pytest.raises(
        EdgeAudioError, match="head gave 32 frames for 16 latents, the manifest says 64; export"
    ):
        list(decode(ToyDecoder(), contract, np.zeros((1, 16, 3), np.float32), 64))


def test_a_decoder_may_run_on_tiles_of_the_latents_themselves():
    contract = toy_contract(16, 8, 2)
    contract.manifest.tiling = Tiling(8, 2, 1)
    contract.stages["tail"].inputs = {"latents": None}
    ran = []

    def call(stage, inputs):
        ran.append(stage)
        return {"audio": np.repeat(inputs["latents"], DOWNSAMPLING, axis=1)}

    latents = np.arange(48, dtype=np.float32).reshape(1, 16, 3)
    audio = np.concatenate(list(decode(call, contract, latents, 16 * DOWNSAMPLING)))
    assert np.array_equal(audio, np.repeat(latents, DOWNSAMPLING, axis=1)[0])
    assert set(ran) == {"tail"} and len(ran) == 3


def test_impossible_plan():
    with pytest.raises(ValueError, match="tiles of 8 frames with overlap 4 cannot cover 16"):
        plan(16, 8, 4)


@pytest.mark.parametrize("cuts", [(), (1,), (8, 15, 16, 990), (997,)])
def test_clips_begin_and_end_at_zero(cuts):
    """16 kHz: one millisecond is 16 frames, five are 80; what lies between is not touched, wherever
    the blocks are cut.
    """
    clip = np.random.default_rng(0).uniform(0.5, 1, (1000, 2)).astype(np.float32)
    blocks = list(faded(np.split(clip, cuts), len(clip), 16_000))
    assert [len(block) for block in blocks] == [
        len(part) for part in np.split(clip, cuts)
    ] and blocks[0].dtype == np.float32
    ratio = np.concatenate(blocks) / clip
    assert np.array_equal(ratio[16:-80], np.ones((904, 2), np.float32))
    np.testing.assert_allclose(ratio[:16, 0], np.arange(16) / 16, rtol=1e-6)
    np.testing.assert_allclose(ratio[-80:, 1], np.arange(80)[::-1] / 80, rtol=1e-6)


def test_a_clip_of_few_frames_a_second_is_not_faded():
    clip = np.ones((64, 1), np.float32)
    assert np.array_equal(next(faded([clip], 64, 64)), clip)
