"""Train the autoencoder: from the lapped transform to one that fills in what its latents do not
carry.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .data import Clips
from .lapped import initialise
from .modules import Autoencoder
from .pocket import LATENTS, MODEL_CONFIG, STRIDES
from .progress import Best, Log, load_state, save_state
from .sounds import FAMILIES, make_sound

CROP = 16384
BATCH = 8
LEARNING_RATE = (
    3e-4  # at 7e-4 it forgets the transform that it starts as before it has learnt anything better
)
WARM_UP = 300
KL_WEIGHT = 1e-4
WAVEFORM_WEIGHT = 0.5
SAVE_EVERY = 100
VALIDATE_EVERY = 500
VALIDATION_SEED = 99


def spectral_loss(y: Tensor, x: Tensor) -> Tensor:
    """Multi-resolution STFT loss of y against x [clips, samples]: linear magnitudes, relative, and
    logarithmic ones.
    """
    loss = x.new_zeros(())
    for size in (2048, 1024, 512, 256, 128):
        window = torch.hann_window(size, device=x.device)
        scale = 1 / window.sum()
        a, b = (
            torch.stft(s, size, size // 4, window=window, return_complex=True).abs() * scale
            for s in (y, x)
        )
        loss = (
            loss
            + (a - b).abs().mean() / (b.mean() + 1e-4)
            + 0.25 * F.l1_loss((a + 1e-4).log(), (b + 1e-4).log())
        )
    return loss / 5


def signal_to_noise(y: Tensor, x: Tensor) -> Tensor:
    """SNR in dB of each clip [clips, samples] -> [clips]."""
    return 10 * torch.log10((x.pow(2).sum(1) + 1e-6) / ((x - y).pow(2).sum(1) + 1e-6))


def waveform_loss(y: Tensor, x: Tensor) -> Tensor:
    """Error relative to each clip's level, so that quiet sounds count; bounded, so that silence
    does not.
    """
    return ((y - x).pow(2).mean(1) / (x.pow(2).mean(1) + 1e-4)).clamp(max=4).sqrt().mean()


def loss_of(model: Autoencoder, audio: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Loss of one batch of audio [clips, samples], and figures for the log."""
    mean, std = model.encode(audio[:, None])
    decoded = model.decode(mean + std * torch.randn_like(std))[:, 0]
    kl = 0.5 * (mean.pow(2) + std.pow(2) - 2 * std.log() - 1).sum(1).mean()
    spectral = spectral_loss(decoded, audio)
    waveform = waveform_loss(decoded, audio)
    figures = {
        "spectral": spectral.item(),
        "snr": signal_to_noise(decoded, audio).mean().item(),
        "kl": kl.item(),
        "latent_std": mean.std().item(),
    }
    return spectral + WAVEFORM_WEIGHT * waveform + KL_WEIGHT * kl, figures


def random_crops(clips: Clips, generator: torch.Generator, device: str) -> Tensor:
    """A batch of crops [BATCH, CROP], of random level; crops that are mostly silence are rare but
    present.
    """
    rows = torch.randint(len(clips.audio), (BATCH,), generator=generator).tolist()
    batch = []
    for row in rows:
        last = max(1, min(clips.audio.shape[1], int(clips.seconds[row] * 16000)) - CROP // 2)
        start = min(
            int(torch.randint(last, (1,), generator=generator)), clips.audio.shape[1] - CROP
        )
        batch.append(torch.from_numpy(clips.audio[row, start : start + CROP].astype("float32")))
    gain = 0.5 + torch.rand(BATCH, 1, generator=generator) * 0.7
    return (torch.stack(batch) * gain / 32768).to(device)


@torch.no_grad()
def validation_loss(model: Autoencoder, clips: Tensor) -> float:
    """Spectral and waveform loss of `clips` [clips, samples], coded without noise."""
    losses = []
    for audio in clips.split(BATCH):
        decoded = model.decode(model.encode(audio[:, None])[0])[:, 0]
        losses.append(
            (spectral_loss(decoded, audio) + WAVEFORM_WEIGHT * waveform_loss(decoded, audio)).item()
        )
    return sum(losses) / len(losses)


def train(clips: Clips, folder: Path, steps: int, device: str) -> Autoencoder:
    """Train for `steps` in all, going on from `folder`/autoencoder.pt if it is there; the best by
    validation is returned.
    """
    torch.manual_seed(0)
    model = Autoencoder(MODEL_CONFIG["model"]["pretransform"]["config"])
    sample = torch.from_numpy(clips.audio[:400].astype("float32")) / 32768
    initialise(model, sample, LATENTS, STRIDES)
    model.to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), LEARNING_RATE, betas=(0.8, 0.99), weight_decay=0
    )
    path = folder / "autoencoder.pt"
    first = load_state(path, device, model=model, optimizer=optimizer)
    validation = torch.stack(
        [
            torch.from_numpy(
                make_sound(
                    np.random.default_rng([VALIDATION_SEED, index]), family, seconds=4.0
                ).audio
            )
            for index, family in enumerate(FAMILIES)
        ]
    ).to(device)
    best = Best(folder / "autoencoder-best.pt", folder / "autoencoder-validation.csv", path)
    generator, log, start = (
        torch.Generator(),
        Log(folder / "autoencoder.csv", first),
        time.monotonic(),
    )
    for step in range(first, steps):
        generator.manual_seed(step)
        for group in optimizer.param_groups:
            warm, cosine = (
                min(1, (step + 1) / WARM_UP),
                0.5 * (1 + math.cos(math.pi * step / steps)),
            )
            group["lr"] = LEARNING_RATE * warm * (0.02 + 0.98 * cosine)
        loss, figures = loss_of(model, random_crops(clips, generator, device))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        log.add(step, steps, loss=loss.item(), seconds=time.monotonic() - start, **figures)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            save_state(path, step + 1, model=model, optimizer=optimizer)
        if (step + 1) % VALIDATE_EVERY == 0 or step + 1 == steps:
            best.offer(step + 1, validation_loss(model, validation), model=model)
    load_state(best.path, device, model=model)
    return model.eval()
