"""Latents -> blocks of audio: the decoder's head runs once, its tail tile by tile.

The tail's receptive field is about one latent, so tiles that overlap a little give exactly what the whole would give,
with the memory of one tile, and the first block is ready after one tile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .bundle import Manifest
from .errors import EdgeAudioError


@dataclass(frozen=True)
class Tile:
    """A tail run: it reads latents [start, start + tile) and its audio counts for latents [begin, end)."""

    start: int
    begin: int
    end: int


def plan(length: int, tile: int, overlap: int) -> list[Tile]:
    """Tiles that cover latents [0, length), in order and without gaps.

    A graph pads with zeros, as the whole decoder does at its ends and nowhere else: therefore no tile reaches over an
    end, the last one is aligned to it, and `overlap` latents are thrown away only at inner edges.
    """
    if not 0 <= 2 * overlap < tile <= length:
        raise ValueError(f"tiles of {tile} latents with overlap {overlap} cannot cover {length}")
    tiles, begin = [], 0
    while begin < length:
        start = min(max(begin - overlap, 0), length - tile)
        end = length if start + tile == length else start + tile - overlap
        tiles.append(Tile(start, begin, end))
        begin = end
    return tiles


def tiles_for(manifest: Manifest, frames: int) -> list[Tile]:
    """The tiles that must run for the first `frames` samples of audio."""
    tiling, latent = manifest.tiling, manifest.latent
    tile = min(tiling.tile, latent.length)
    tiles = plan(latent.length, tile, tiling.overlap if tile < latent.length else 0)
    return [one for one in tiles if one.begin * latent.downsampling < frames]


def decode(graph: Callable[..., dict[str, np.ndarray]], manifest: Manifest, latents: np.ndarray,
           frames: int) -> Iterator[np.ndarray]:
    """Decode latents [1, T, C] and yield float32 blocks [n, channels], `frames` samples in all.

    graph: an opened decoder, called as `graph(signature, **inputs)`. Features may have several frames a latent.
    """
    features = graph("head", latents=latents)["features"]
    length, downsampling = manifest.latent.length, manifest.latent.downsampling
    per_latent = features.shape[1] // length
    tile = min(manifest.tiling.tile, length)
    for one in tiles_for(manifest, frames):
        window = features[:, one.start * per_latent:(one.start + tile) * per_latent]
        audio = graph("tail", features=window)["audio"][0]
        if len(audio) != tile * downsampling:
            raise EdgeAudioError(f"the decoder's tail gave {len(audio)} samples for a tile of {tile} latents, "
                                 f"the manifest says {tile * downsampling}; export the model again")
        end = min(one.end * downsampling, frames)
        yield audio[(one.begin - one.start) * downsampling:end - one.start * downsampling]
