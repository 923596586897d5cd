"""The latents of clips: encoded once for all that learn from them, and of unit variance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from .data import Clips
from .design import Design
from .fast import compile_for, fast
from .modules import Autoencoder

SCALED_BY = 4000  # clips that tell how large the latents are


@torch.no_grad()
def encode(autoencoder: Autoencoder, audio: np.ndarray, device: str) -> np.ndarray:
    """Means of the latents of a clip: [channels, N] -> float32 [latents, T]."""
    with fast(device):
        mean, _ = autoencoder.encode(torch.from_numpy(audio)[None].to(device))
    means: np.ndarray = mean[0].float().cpu().numpy()
    return means


@torch.no_grad()
def encode_clips(
    design: Design, autoencoder: Autoencoder, clips: Clips, path: Path, device: str
) -> np.ndarray:
    """Means of the latents of all clips as float16 [clips, latents, length], kept in `path`.

    A clip is encoded at the length that it will be made at; after that come those of silence.
    """
    if not path.exists():
        temporary = path.with_suffix(".tmp.npy")
        latents = np.lib.format.open_memmap(
            temporary, "w+", np.float16, (len(clips.audio), design.latents, design.latent_length)
        )

        compile_for(len(clips.audio), autoencoder.encoder)
        silence = np.zeros((design.world.channels, design.world.clip_samples), np.float32)
        latents[:] = encode(autoencoder, silence, device)
        # one at a time: a clip's activations fit the cache, a batch's do not
        for row in tqdm(range(len(clips.audio)), desc="latents", unit="clip", mininterval=5):
            length = design.length_for(clips.seconds[row])
            audio = clips.audio.cut(row, 0, length * design.downsampling)
            latents[row, :, :length] = encode(autoencoder, audio, device)
        latents.flush()
        temporary.replace(path)
    return np.load(path, mmap_mode="r")


@torch.no_grad()
def normalise_latents(autoencoder: Autoencoder, latents: np.ndarray) -> np.ndarray:
    """Give the latents unit variance per dimension: fold the scales into the autoencoder, return
    the scaled latents.

    The official format has no place for a latent scale, and diffusion assumes that data and noise
    are of one size.
    """
    some = latents[:: max(1, len(latents) // SCALED_BY)]
    scale = torch.from_numpy(some.astype("float32").std(axis=(0, 2)) + 1e-6)
    last, first = autoencoder.encoder.layers[-1], autoencoder.decoder.layers[0]
    scale = scale.to(last.weight_g.device)
    last.weight_g[: len(scale)] /= scale[:, None, None]
    last.bias[: len(scale)] /= scale
    weight = (
        first.weight_g
        * first.weight_v
        / first.weight_v.norm(dim=(1, 2), keepdim=True)
        * scale[None, :, None]
    )
    first.weight_v.copy_(weight)
    first.weight_g.copy_(weight.norm(dim=(1, 2), keepdim=True))
    scaled, by = np.empty(latents.shape, np.float16), scale.cpu().numpy()[:, None]
    for row, clip in enumerate(latents):  # one at a time: in float32 they would fill the memory
        scaled[row] = clip / by
    return scaled
