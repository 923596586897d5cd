"""Train the decoder on: alone, on latents as the diffusion transformer will leave them, which is
never quite where the encoder puts them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_audio.evaluate.metrics import FLOOR, MEL_HOP, MEL_WINDOW, mel_filters

from . import learners
from .design import Design
from .examples import Examples
from .fast import compile_for, fast
from .modules import Autoencoder
from .progress import Best, Log, load_state, save_state
from .train_autoencoder import keep_silence, signal_to_noise, signals, spectral_loss, waveform_loss

BATCH = 8
CUT = 16384  # samples
# latents on either side that only lend the inner ones their surroundings: at the ends of a cut the
# decoder guesses
CONTEXT = 8
LEARNING_RATE = 3e-4
WARM_UP = 100
# largest standard deviation, of latents with unit variance; each clip of a batch gets its own, down
# to none
NOISE = 0.1
# of the weight that the encoder learnt with: rain and drums cannot be had sample by sample, and
# trying makes them too quiet
WAVEFORM_SHARE = 0.2
ENERGY_WEIGHT = 1.0
MEL_WEIGHT = 0.1  # of a decibel
# windows, and the bands and windows over which their energy is averaged
PATCHES = ((2048, 32, 4), (512, 16, 4), (128, 8, 4))
SILENCE = 1e-3  # RMS; what is quieter is as good as silence
HEARD_EACH = 6  # clips of each family that tell how hard it is
SAVE_EVERY, VALIDATE_EVERY = 100, 500


def cut_latents(design: Design) -> int:
    """Latents of a cut, their surroundings included."""
    return CUT // design.downsampling + 2 * CONTEXT


def energy_loss(y: Tensor, x: Tensor) -> Tensor:
    """How far apart the levels of y and x [clips, channels, samples] are, patch by patch of the
    spectrogram, as a natural logarithm of amplitude.

    Two noises that sound alike agree in no single bin, and a loss that compares bins makes them too
    quiet; averaged over patches they agree.
    """
    loss = x.new_zeros(())
    y, x = signals(y), signals(x)
    for size, bands, windows in PATCHES:
        window = torch.hann_window(size, device=x.device)
        a, b = (
            F.avg_pool2d(
                (torch.stft(s, size, size // 4, window=window, return_complex=True) / window.sum())
                .abs()
                .pow(2)[:, None],
                (bands, windows),
                (bands // 2, windows // 2),
            )[:, 0]
            for s in (y, x)
        )
        floor = (
            SILENCE**2 * window.pow(2).sum() / window.sum() ** 2
        )  # what white noise of that level has in a bin
        loss = loss + 0.5 * F.l1_loss((a + floor).log(), (b + floor).log())
    return loss / len(PATCHES)


def mel_loss(y: Tensor, x: Tensor, sample_rate: int) -> Tensor:
    """What `metrics.log_mel_distance` says of y and x [clips, channels, samples], in dB: down to 80
    below the loudest, where a whistle is told from a whistle with a hiss.
    """
    filters = torch.from_numpy(mel_filters(sample_rate).T.astype("float32")).to(x.device)
    window = torch.hann_window(MEL_WINDOW, device=x.device)
    a, b = (
        (
            torch.stft(s.mean(1), MEL_WINDOW, MEL_HOP, window=window, return_complex=True)
            / window.sum()
        )
        .abs()
        .pow(2)
        .mT
        @ filters
        for s in (y, x)
    )
    floor = (b.amax((1, 2), keepdim=True) / 10 ** (FLOOR / 10)).clamp(min=1e-12)
    difference = 10 * (torch.maximum(a, floor) / torch.maximum(b, floor)).log10()
    return difference.pow(2).mean((1, 2)).add(1e-6).sqrt().mean()


def train(examples: Examples, autoencoder: Autoencoder, folder: Path, steps: int) -> Autoencoder:
    """Train the decoder for `steps` in all, going on from `folder`/decoder.pt if it is there; the
    best by validation is kept. The latents are of unit variance, of the frozen encoder.
    """
    design, device = examples.design, examples.device
    decoder = autoencoder.decoder.to(device).train()
    keep_silence(autoencoder)
    learner = learners.convolutions(decoder, LEARNING_RATE, steps, WARM_UP)

    def loss_of(rows: list[int], starts: list[int], noise: float) -> tuple[Tensor, float]:
        decoded, audio = _decoded_and_heard(decoder, examples, rows, starts, noise)
        loss = (
            spectral_loss(decoded, audio)
            + WAVEFORM_SHARE * design.waveform_weight * waveform_loss(decoded, audio)
            + ENERGY_WEIGHT * energy_loss(decoded, audio)
            + MEL_WEIGHT * mel_loss(decoded, audio, design.world.sample_rate)
        )
        return loss, signal_to_noise(decoded, audio).mean().item()

    def loss_at_the_start(rows: list[int]) -> float:
        return loss_of(rows, [0] * len(rows), 0.0)[0].item()

    chances = _hardness(examples.clips.families[: len(examples.learnt)], loss_at_the_start)
    kept = torch.tensor(examples.kept).split(BATCH)
    path = folder / "decoder.pt"
    best = Best(folder / "decoder-best.pt", folder / "decoder-validation.csv", path)
    first = load_state(path, device, decoder=decoder, learner=learner)
    compile_for(steps - first, decoder)
    log, start = Log(folder / "decoder.csv", first), time.monotonic()
    for step in range(first, steps):
        torch.manual_seed(step)
        loss, snr = loss_of(*_draw(examples, chances, step), NOISE)
        learner.learn(step, loss)
        log.add(step, steps, loss=loss.item(), snr=snr, seconds=time.monotonic() - start)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            save_state(path, step + 1, decoder=decoder, learner=learner)
        if (step + 1) % VALIDATE_EVERY == 0 or step + 1 == steps:
            with torch.no_grad():
                losses = [loss_at_the_start(rows.tolist()) for rows in kept]
            best.offer(step + 1, float(np.mean(losses)), decoder=decoder)
    if best.path.exists():
        load_state(best.path, device, decoder=decoder)
    autoencoder.eval()
    return autoencoder


def _draw(examples: Examples, chances: Tensor, step: int) -> tuple[list[int], list[int]]:
    """The clips of a step, and where in each the cut starts, in latents."""
    generator = torch.Generator().manual_seed(step)
    rows = torch.multinomial(chances, BATCH, replacement=True, generator=generator)
    # starts of clips, where most attacks are, twice as often as the rest
    places = torch.rand(BATCH, generator=generator) * 2 - 1
    last = examples.length_of[rows] - cut_latents(examples.design)
    starts = (places.clamp(min=0) * (last + 1)).int()
    return rows.tolist(), starts.tolist()


def _decoded_and_heard(
    decoder: nn.Module, examples: Examples, rows: list[int], starts: list[int], noise: float
) -> tuple[Tensor, Tensor]:
    """Cuts of clips, decoded from latents with noise, and as they are: two [clips, channels,
    samples].
    """
    design, device = examples.design, examples.device
    cuts = zip(rows, starts)
    z = torch.stack(
        [
            torch.from_numpy(
                examples.latents[row, :, at : at + cut_latents(design)].astype("float32")
            )
            for row, at in cuts
        ]
    ).to(device)
    z = z + noise * torch.rand(len(z), 1, 1, device=z.device) * torch.randn_like(z)
    # the start of a clip is where it begins for the runtime, too
    inner = [0 if at == 0 else CONTEXT for at in starts]
    ratio, count = design.downsampling, CUT
    with fast(device):
        whole = decoder(z).float()
    decoded = torch.stack([y[:, skip * ratio :][:, :count] for y, skip in zip(whole, inner)])
    audio = [
        torch.from_numpy(examples.clips.audio.cut(row, (at + skip) * ratio, count))
        for row, at, skip in zip(rows, starts, inner)
    ]
    return decoded, torch.stack(audio).to(device)


@torch.no_grad()
def _hardness(families: np.ndarray, loss_of: Callable[[list[int]], float]) -> Tensor:
    """The chance of every clip to be drawn: in proportion to the loss that its family begins with.

    The encoder's own decoder renders a tone nearly perfectly; noises, cymbals and hi-hats are what
    there is left to learn.
    """
    chances = torch.ones(len(families))
    for family in np.unique(families):
        rows = np.flatnonzero(families == family)
        chances[rows] = loss_of(rows[:HEARD_EACH].tolist())
    return chances
