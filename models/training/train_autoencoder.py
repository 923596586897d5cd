"""Train the autoencoder: from the lapped transform to one that fills in what its latents do not
carry.
"""

from __future__ import annotations

import copy
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from . import learners
from .data import Clips
from .design import Design
from .fast import compile_for, fast
from .lapped import initialise, middle_and_side
from .modules import Autoencoder
from .progress import Best, Log, load_state, move_average, save_state

CROP = 16384
BATCH = 8
# at 7e-4 it forgets the transform that it starts as before it has learnt anything better
LEARNING_RATE = 3e-4
WARM_UP = 300
AVERAGED = 0.998  # of the average that is kept: single steps jitter
KL_WEIGHT = 1e-4
SAVE_EVERY = 100
VALIDATE_EVERY = 500
VALIDATION_SEED = 99
VALIDATION_SECONDS = 2.0
START_CLIPS = 400


def spectral_loss(y: Tensor, x: Tensor) -> Tensor:
    """Multi-resolution STFT loss of y against x [clips, channels, samples]: linear magnitudes,
    relative, and logarithmic ones; of two channels, middle and side count as well.
    """
    loss = x.new_zeros(())
    y, x = signals(y), signals(x)
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


def signals(audio: Tensor) -> Tensor:
    """What a spectral loss looks at [signals, samples]: the channels, and of two also middle and
    side, since what is heard of a difference is in neither of them alone.
    """
    if audio.shape[1] == 2:
        audio = torch.cat([audio, torch.einsum("oc,bcn->bon", middle_and_side(2), audio)], dim=1)
    return audio.flatten(0, 1)


def signal_to_noise(y: Tensor, x: Tensor) -> Tensor:
    """SNR in dB of each clip [clips, channels, samples] -> [clips]."""
    return 10 * torch.log10((x.pow(2).sum((1, 2)) + 1e-6) / ((x - y).pow(2).sum((1, 2)) + 1e-6))


def waveform_loss(y: Tensor, x: Tensor) -> Tensor:
    """Error relative to each clip's level, so that quiet sounds count; bounded, so that silence
    does not.
    """
    error, level = (y - x).pow(2).mean((1, 2)), x.pow(2).mean((1, 2))
    return (error / (level + 1e-4)).clamp(max=4).sqrt().mean()


def loss_of(
    model: Autoencoder, audio: Tensor, waveform_weight: float
) -> tuple[Tensor, dict[str, float]]:
    """Loss of one batch of audio [clips, channels, samples], and figures for the log."""
    with fast(audio.device.type):
        mean, std = (part.float() for part in model.encode(audio))
        decoded = model.decode(mean + std * torch.randn_like(std)).float()
    kl = 0.5 * (mean.pow(2) + std.pow(2) - 2 * std.log() - 1).sum(1).mean()
    spectral = spectral_loss(decoded, audio)
    waveform = waveform_loss(decoded, audio)
    figures = {
        "spectral": spectral.item(),
        "snr": signal_to_noise(decoded, audio).mean().item(),
        "kl": kl.item(),
        "latent_std": mean.std().item(),
    }
    return spectral + waveform_weight * waveform + KL_WEIGHT * kl, figures


def random_crops(clips: Clips, sample_rate: int, generator: torch.Generator, device: str) -> Tensor:
    """A batch of crops [BATCH, channels, CROP], of random level; crops that are mostly silence are
    rare but present.
    """
    rows = torch.randint(len(clips.audio), (BATCH,), generator=generator).tolist()
    batch = []
    for row in rows:
        last = max(1, int(clips.seconds[row] * sample_rate) - CROP // 2)
        start = int(torch.randint(last, (1,), generator=generator))
        batch.append(torch.from_numpy(clips.audio.cut(row, start, CROP)))
    gain = 0.5 + torch.rand(BATCH, 1, 1, generator=generator) * 0.7
    return (torch.stack(batch) * gain).to(device)


@torch.no_grad()
def validation_loss(model: Autoencoder, clips: Tensor, waveform_weight: float) -> float:
    """Spectral and waveform loss of `clips` [clips, channels, samples], coded without noise."""
    losses = []
    for audio in clips.split(BATCH):
        decoded = model.decode(model.encode(audio)[0])
        losses.append(
            (spectral_loss(decoded, audio) + waveform_weight * waveform_loss(decoded, audio)).item()
        )
    return sum(losses) / len(losses)


def new_autoencoder(design: Design, clips: Clips) -> Autoencoder:
    """The lapped start, from some of the clips."""
    model = Autoencoder(design.model_config["model"]["pretransform"]["config"])
    count = min(START_CLIPS, len(clips.audio))
    sample = torch.stack(
        [
            torch.from_numpy(clips.audio.cut(row, 0, design.world.clip_samples))
            for row in range(count)
        ]
    )
    initialise(model, sample, design.latents, design.strides)
    return model


def validation_clips(design: Design) -> Tensor:
    """The first seconds of a sound of every family [families, channels, samples]."""
    world = design.world
    count = round(VALIDATION_SECONDS * world.sample_rate) // design.downsampling
    sounds = [
        world.make_sound(
            np.random.default_rng([VALIDATION_SEED, index]), family, seconds=world.full_seconds
        )
        for index, family in enumerate(world.families)
    ]
    audio = np.stack([sound.audio[: count * design.downsampling] for sound in sounds])
    return torch.from_numpy(audio.reshape(*audio.shape[:2], -1)).transpose(1, 2).contiguous()


def train(design: Design, clips: Clips, folder: Path, steps: int, device: str) -> Autoencoder:
    """Train for `steps` in all, going on from `folder`/autoencoder.pt if it is there; the best by
    validation is returned.
    """
    torch.manual_seed(0)
    model = new_autoencoder(design, clips)
    model.to(device)
    keep_silence(model)
    average = copy.deepcopy(model)
    learner = learners.convolutions(model, LEARNING_RATE, steps, WARM_UP)
    path = folder / "autoencoder.pt"
    first = load_state(path, device, model=model, average=average, learner=learner)
    compile_for(steps - first, model.encoder, model.decoder)
    validation = validation_clips(design).to(device)
    best = Best(folder / "autoencoder-best.pt", folder / "autoencoder-validation.csv", path)
    generator = torch.Generator()
    log, start = Log(folder / "autoencoder.csv", first), time.monotonic()
    for step in range(first, steps):
        generator.manual_seed(step)
        audio = random_crops(clips, design.world.sample_rate, generator, device)
        loss, figures = loss_of(model, audio, design.waveform_weight)
        learner.learn(step, loss)
        move_average(average, model, step, AVERAGED)
        log.add(step, steps, loss=loss.item(), seconds=time.monotonic() - start, **figures)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            save_state(path, step + 1, model=model, average=average, learner=learner)
        if (step + 1) % VALIDATE_EVERY == 0 or step + 1 == steps:
            loss = validation_loss(average, validation, design.waveform_weight)
            best.offer(step + 1, loss, model=average)
    load_state(best.path, device, model=average)
    return average.eval()


def keep_silence(model: Autoencoder) -> None:
    """Hold every bias where it is: they start at zero, and so silence stays silence to the last
    digit, where trained ones leave a hum below everything that falls silent.
    """
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.endswith("bias"))
