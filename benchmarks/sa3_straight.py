"""The straight litert-torch conversion of Stable Audio 3 small (`sa3_peers.py` makes it), run the
publisher's way: graphs of fixed lengths, on which a shorter clip runs with its other keys at -1e9;
tiles of the decoder that share many latents; 257 places at every step. Kept from that way: packed
weights are mapped from a file (`CompiledModel`), as ours are. The features of t are made outside
the graph, as for ours: sines of 63 000 rad are no graph's strength.

Here is no PyTorch, which would count as its memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edge_audio.sampling.features import level_features
from edge_audio.system import cache
from edge_audio.system.graph import Graph

#: numbers of latents that the publisher's transformer was converted at
RUNGS = (8, 48, 96, 192, 416, 704, 1056, 1292)
#: Latents of one run of the decoder: in the middle of the publisher's fixed sizes, 2 to 256. At 10
#: seconds none computes less; at 30, 128 would save a seventh of decoding, and sound later.
#: Tiles share OVERLAP latents, as the publisher's.
TILE, OVERLAP = 64, 16
#: added to the scores of latents that only make up a rung
NOTHING = -1e9
#: what litert-torch calls the one signature of a file
SIGNATURE = "serving_default"
#: cross_attn_cond, global_cond
Told = tuple[np.ndarray, np.ndarray]


def rung(latents: int) -> int:
    """The shortest one that holds them."""
    return next(length for length in RUNGS if length >= latents)


def places(ids: tuple[int, ...], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and their mask, int32 [1, length], padded with zeros."""
    row, mask = np.zeros((2, 1, length), np.int32)
    row[0, : len(ids)], mask[0, : len(ids)] = ids, 1
    return row, mask


class Straight:
    """A contender with all of its graphs resident; used like `sa3_peers.Eager`."""

    def __init__(self, folder: Path, latents: int, frequencies: Sequence[float], threads: int):
        self.rung, self.frequencies = rung(latents), frequencies
        names = ("conditioner", f"dit_{self.rung}", "decoder")
        self.conditioner, self.dit, self.decoder = (
            _opened(folder / f"{name}.tflite", threads) for name in names
        )
        self.nothing_kept = np.zeros(self.dit.shape(SIGNATURE, "args_5"), np.float32)

    def condition(self, ids: tuple[int, ...], seconds: float) -> Told:
        """What the transformer is told."""
        row, mask = places(ids, self.conditioner.shape(SIGNATURE, "args_0")[1])
        found = _run(self.conditioner, row, mask, np.array([seconds], np.float32))
        return max(found, key=np.ndim), min(found, key=np.ndim)

    def v(self, x: np.ndarray, t: float, told: Told, valid: int) -> np.ndarray:
        """x [1, T, C] -> v [1, T, C]; `valid` changes nothing, as in the publisher's."""
        length = x.shape[1]
        padded = np.zeros((1, x.shape[2], self.rung), np.float32)
        padded[..., :length] = x.transpose(0, 2, 1)
        bias = np.where(np.arange(self.rung) < length, 0.0, NOTHING)[None].astype(np.float32)
        features = level_features(t, self.frequencies)
        (v,) = _run(self.dit, padded, features, *told, bias, self.nothing_kept)
        return v[..., :length].transpose(0, 2, 1)

    def decode(self, latents: np.ndarray) -> Iterator[np.ndarray]:
        """latents [1, T, C] -> blocks of audio [n, channels], tile by tile; shorter clips are made
        up to one tile with zeros.
        """
        length = latents.shape[1]
        z = np.zeros((1, latents.shape[2], max(length, TILE)), np.float32)
        z[..., :length] = latents.transpose(0, 2, 1)
        starts = [*range(0, length - TILE, TILE - OVERLAP), z.shape[-1] - TILE]
        done = 0
        for start in starts:
            (audio,) = _run(self.decoder, np.ascontiguousarray(z[..., start : start + TILE]))
            per_latent = audio.shape[-1] // TILE
            end = length if start == starts[-1] else start + TILE - OVERLAP // 2
            yield audio[0, :, (done - start) * per_latent : (end - start) * per_latent].T
            done = end


def _opened(path: Path, threads: int) -> Graph:
    """A graph with its packed weights mapped from the folder that ours are mapped from."""
    key = hashlib.sha256(str(path).encode()).hexdigest()
    with cache.packed_weights(path, key) as packed:
        return Graph(path, threads, packed)


def _run(graph: Graph, *values: np.ndarray) -> list[np.ndarray]:
    """A graph's outputs, its inputs given in the order of the module's arguments."""
    found = graph(SIGNATURE, **{f"args_{index}": value for index, value in enumerate(values)})
    return [found[key] for key in sorted(found)]
