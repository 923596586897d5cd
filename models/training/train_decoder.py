"""Train the decoder on: alone, on latents as the diffusion transformer will leave them, which is never quite where the encoder puts them."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import torch

from .data import Clips
from .modules import Autoencoder
from .pocket import DOWNSAMPLING, LATENT_LENGTH
from .progress import Best, Log, load_state, save_state
from .train_autoencoder import signal_to_noise, spectral_loss, waveform_loss

BATCH = 8
LATENTS_EACH = 48
CONTEXT = 8  # latents on either side that only lend the inner ones their surroundings: at the ends of a cut the decoder guesses
LEARNING_RATE = 2e-4
WARM_UP = 100
NOISE = 0.08  # standard deviation, of latents with unit variance
# a fifth of what the encoder learnt with: rain and drums cannot be had sample by sample, and trying makes them too quiet
WAVEFORM_WEIGHT = 0.1
SAVE_EVERY, VALIDATE_EVERY = 100, 500


def train(autoencoder: Autoencoder, clips: Clips, latents: np.ndarray, folder: Path, steps: int, device: str, held_back: int) -> Autoencoder:
    """Train the decoder for `steps` in all, going on from `folder`/decoder.pt if it is there; the best by validation is kept.

    latents [clips, channels, length], of unit variance, of the frozen encoder. held_back: clips at the end that are not trained on.
    """
    decoder = autoencoder.decoder.to(device).train()
    optimizer = torch.optim.AdamW(decoder.parameters(), LEARNING_RATE, betas=(0.8, 0.99), weight_decay=0)
    path = folder / "decoder.pt"
    best = Best(folder / "decoder-best.pt", folder / "decoder-validation.csv", path)
    first = load_state(path, device, decoder=decoder, optimizer=optimizer)
    generator, log, start = torch.Generator(), Log(folder / "decoder.csv", first), time.monotonic()

    def loss_of(rows: list[int], starts: list[int], noise: float) -> tuple[torch.Tensor, float]:
        z = torch.stack([torch.from_numpy(latents[row, :, at : at + LATENTS_EACH].astype("float32")) for row, at in zip(rows, starts)])
        inner = [slice((at + CONTEXT) * DOWNSAMPLING, (at + LATENTS_EACH - CONTEXT) * DOWNSAMPLING) for at in starts]
        audio = torch.stack([torch.from_numpy(clips.audio[row, part].astype("float32")) for row, part in zip(rows, inner)]) / 32768
        audio, z = audio.to(device), z.to(device)
        decoded = decoder(z + noise * torch.randn_like(z))[:, 0, CONTEXT * DOWNSAMPLING : -CONTEXT * DOWNSAMPLING]
        return spectral_loss(decoded, audio) + WAVEFORM_WEIGHT * waveform_loss(decoded, audio), signal_to_noise(decoded, audio).mean().item()

    last = LATENT_LENGTH - LATENTS_EACH + 1
    for step in range(first, steps):
        torch.manual_seed(step)
        rows = torch.randint(len(latents) - held_back, (BATCH,), generator=generator.manual_seed(step)).tolist()
        # starts of clips, where most attacks are, twice as often as the rest
        starts = (torch.randint(-last, last, (BATCH,), generator=generator).clamp(min=0) * (torch.rand(BATCH, generator=generator) < 0.9)).long().tolist()
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1, (step + 1) / WARM_UP) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        loss, snr = loss_of(rows, starts, NOISE)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        log.add(step, steps, loss=loss.item(), snr=snr, seconds=time.monotonic() - start)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            save_state(path, step + 1, decoder=decoder, optimizer=optimizer)
        if (step + 1) % VALIDATE_EVERY == 0 or step + 1 == steps:
            with torch.no_grad():
                parts = torch.arange(len(latents) - held_back, len(latents)).split(BATCH)
                best.offer(step + 1, float(np.mean([loss_of(part.tolist(), [0] * len(part), 0.0)[0].item() for part in parts])), decoder=decoder)
    if best.path.exists():
        load_state(best.path, device, decoder=decoder)
    autoencoder.eval()
    return autoencoder
