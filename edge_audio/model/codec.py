"""Latents -> blocks of audio, tile by tile.

The receptive field of what runs on a tile is a few frames, so tiles that overlap by as much give
exactly what the whole would give, with the memory of one tile, and the first block is ready after
one tile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from edge_audio.bundle.manifest import AUDIO, LATENTS, MEAN, Manifest
from edge_audio.errors import EdgeAudioError
from edge_audio.model.contract import Contract

#: seconds at either end of a clip: too short to be heard, long enough not to click where a sound
#: begins late or is cut
FADE_IN, FADE_OUT = 0.001, 0.005


@dataclass(frozen=True)
class Tile:
    """A tail run: it reads frames [start, start + tile) of the features and counts for [begin,
    end).
    """

    start: int
    begin: int
    end: int


def plan(length: int, tile: int, overlap: int) -> list[Tile]:
    """Tiles that cover frames [0, length), in order and without gaps.

    A graph pads with zeros, as the whole decoder does at its ends and nowhere else: therefore no
    tile reaches over an end, the last one is aligned to it, and `overlap` frames are thrown away
    only at inner edges.
    """
    if not 0 <= 2 * overlap < tile <= length:
        raise ValueError(f"tiles of {tile} frames with overlap {overlap} cannot cover {length}")
    tiles, begin = [], 0
    while begin < length:
        start = min(max(begin - overlap, 0), length - tile)
        end = length if start + tile == length else start + tile - overlap
        tiles.append(Tile(start, begin, end))
        begin = end
    return tiles


def tiles_for(manifest: Manifest, length: int, frames: int) -> list[Tile]:
    """The tiles that must run on `length` latents for the first `frames` samples of audio."""
    tiling = manifest.tiling
    per_frame = manifest.latent.downsampling // tiling.per_latent
    tiles = plan(length * tiling.per_latent, tiling.tile, tiling.overlap)
    return [one for one in tiles if one.begin * per_frame < frames]


#: runs a stage: (name, inputs) -> outputs
Run = Callable[[str, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


def features_of(run: Run, contract: Contract, latents: np.ndarray) -> tuple[str, np.ndarray]:
    """What the stage that gives audio reads tile by tile, and its port: the latents themselves, or
    what another stage makes of all of them.
    """
    (port,) = contract.stages[contract.gives[AUDIO]].inputs
    if port == LATENTS:
        return port, latents
    features = run(contract.gives[port], {LATENTS: latents})[port]
    frames = latents.shape[1] * contract.manifest.tiling.per_latent
    if features.shape[1] != frames:
        raise EdgeAudioError(
            f"the decoder's {contract.gives[port]} gave {features.shape[1]} frames for"
            f" {latents.shape[1]} latents, the manifest says {frames}; export the model again"
        )
    return port, features


def decode(run: Run, contract: Contract, latents: np.ndarray, frames: int) -> Iterator[np.ndarray]:
    """Decode latents [1, T, C] and yield float32 blocks [n, channels], `frames` samples in all."""
    port, features = features_of(run, contract, latents)
    yield from _tail(run, contract, port, features, frames)


def decode_circle(run: Run, contract: Contract, latents: np.ndarray) -> Iterator[np.ndarray]:
    """Decode latents [1, T, C] whose last is followed by the first, and yield float32 blocks
    [n, channels]: all of the circle once.
    """
    tiling = contract.manifest.tiling
    port, features = features_of(run, contract, latents)
    if port != LATENTS:  # near its ends, features are those of a circle that begins elsewhere
        half, near = latents.shape[1] // 2, features.shape[1] // 4
        _, turned = features_of(run, contract, np.roll(latents, half, axis=1))
        turned = np.roll(turned, -half * tiling.per_latent, axis=1)
        features = features.copy()
        features[:, :near], features[:, -near:] = turned[:, :near], turned[:, -near:]
    around, per_frame = tiling.overlap, contract.manifest.latent.downsampling // tiling.per_latent
    circle = np.arange(-around, features.shape[1] + around) % features.shape[1]
    frames, done = features.shape[1] * per_frame, -around * per_frame
    for block in _tail(run, contract, port, features[:, circle], frames + around * per_frame):
        if done + len(block) > 0:
            yield block[max(0, -done) :]
        done += len(block)


def _tail(
    run: Run, contract: Contract, port: str, features: np.ndarray, frames: int
) -> Iterator[np.ndarray]:
    """Blocks of audio of features [1, n, channels], tile by tile, `frames` samples in all."""
    manifest, tail = contract.manifest, contract.gives[AUDIO]
    tiling = manifest.tiling
    per_frame = manifest.latent.downsampling // tiling.per_latent
    tiles = plan(features.shape[1], tiling.tile, tiling.overlap)
    for one in (tile for tile in tiles if tile.begin * per_frame < frames):
        tile = features[:, one.start : one.start + tiling.tile]
        audio = run(tail, {port: tile})[AUDIO][0]
        if len(audio) != tiling.tile * per_frame:
            raise EdgeAudioError(
                f"the decoder's {tail} gave {len(audio)} samples for a tile of {tiling.tile}"
                f" frames, the manifest says {tiling.tile * per_frame}; export the model again"
            )
        end = min(one.end * per_frame, frames)
        yield audio[(one.begin - one.start) * per_frame : end - one.start * per_frame]


def encode(run: Run, contract: Contract, audio: np.ndarray) -> np.ndarray:
    """Latents [1, T, C] of audio [frames, channels], a whole number of latents; tile by tile where
    the encoder's graph is shorter than that.
    """
    manifest, stage = contract.manifest, contract.gives[MEAN]
    frames, overlap = int(contract.stages[stage].inputs[AUDIO].shape[1]), manifest.tiling.overlap
    step = manifest.latent.downsampling
    length, tile = len(audio) // step, frames // step
    if length <= tile:
        rest = np.zeros((frames - len(audio), audio.shape[1]), np.float32)
        return run(stage, {AUDIO: np.concatenate([audio, rest])[None]})[MEAN][:, :length]
    parts = []
    for one in plan(length, tile, overlap):
        window = audio[one.start * step : (one.start + tile) * step]
        mean = run(stage, {AUDIO: window[None]})[MEAN]
        parts.append(mean[:, one.begin - one.start : one.end - one.start])
    return np.concatenate(parts, axis=1)


def faded(blocks: Iterable[np.ndarray], frames: int, sample_rate: int) -> Iterator[np.ndarray]:
    """The same blocks [n, channels] of a clip of `frames` in all, in a straight line up from zero
    over FADE_IN and down to it over FADE_OUT.
    """
    rise, fall = (round(seconds * sample_rate) for seconds in (FADE_IN, FADE_OUT))
    begin = 0
    for block in blocks:
        position = np.arange(begin, begin + len(block), dtype=np.float32)
        gain = np.ones_like(position)
        if rise:
            gain = np.minimum(gain, position / np.float32(rise))
        if fall:
            gain = np.minimum(gain, (np.float32(frames - 1) - position) / np.float32(fall))
        yield block * gain[:, None]
        begin += len(block)
