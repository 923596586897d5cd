"""What an autoencoder loses, before any transformer is trained on its latents: `python -m
models.training.round_trips CODEC`, the codec.safetensors of a training or a checkpoint's folder.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from edge_audio.errors import EdgeAudioError

from .design import of_world
from .modules import Autoencoder
from .official import read_codec
from .probes import losses
from .sounds import WORLDS


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m models.training.round_trips", description=__doc__.split(":")[0]
    )
    parser.add_argument("codec", type=Path)
    parser.add_argument("--world", choices=WORLDS, default=WORLDS[-1])
    options = parser.parse_args(arguments)
    design = of_world(options.world)
    autoencoder = Autoencoder(design.model_config["model"]["pretransform"]["config"]).eval()
    try:
        read_codec(autoencoder, options.codec)
    except EdgeAudioError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1

    @torch.no_grad()
    def coded(samples: np.ndarray) -> np.ndarray:
        rest = -len(samples) % design.downsampling
        whole = torch.from_numpy(np.pad(samples, ((0, rest), (0, 0))).T.astype("float32"))
        mean, _ = autoencoder.encode(whole[None])
        return autoencoder.decode(mean)[0, :, : len(samples)].T.numpy()

    found = losses(design.world, coded)
    for family, (ratio, distance, mel, passed) in found.items():
        print(
            f"{family:18} {ratio:6.1f} dB, STFT {distance:.2f}, log-mel {mel:4.1f} dB"
            f"{'' if passed else ', fails its check'}"
        )
    ratios, distances, mels, passed = (np.array(column) for column in zip(*found.values()))
    low, median, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    print(
        f"SNR {median:.1f} dB (quarters {low:.1f} and {high:.1f}), STFT distance"
        f" {np.median(distances):.2f}, log-mel distance {np.median(mels):.1f} dB (medians);"
        f" {passed.sum()} of {len(found)} pass their check"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
