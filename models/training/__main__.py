"""Train the pocket model: `python -m models.training OUT_DIR`. Run the same command again to go on
after a kill.

`--world second` trains the model of the second sound world (`README.md`).

With `--from CHECKPOINT` the autoencoder and the tokenizer stay as they are, and the text encoder
and the transformer go on learning from where they stand: for new wordings of sounds that are known.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

import torch

from . import data, train_autoencoder, train_decoder, train_dit
from .design import Design, of_world
from .modules import Model
from .official import TOKENIZER, read_checkpoint, write_checkpoint
from .sounds import WORLDS, packages

#: what is trained, in this order
PARTS = ("autoencoder", "decoder", "dit")
#: share of the learning rates with `--from`
PACE = 0.4


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m models.training", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "out",
        type=Path,
        help="folder for the training set, the states, the logs and the checkpoint",
    )
    parser.add_argument(
        "--from",
        type=Path,
        dest="start",
        metavar="CHECKPOINT",
        help="go on from this checkpoint, its autoencoder left as it is",
    )
    parser.add_argument("--world", choices=WORLDS, default=WORLDS[0])
    parser.add_argument("--clips", type=int, default=24_000)
    for part in PARTS:
        parser.add_argument(f"--{part}-steps", type=int, help="default: what the design has")
    parser.add_argument(
        "--quick", action="store_true", help="a few steps of everything, to see that it runs"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    if arguments.world == "second" and (lines := packages.missing()):
        parser.error(f"the second sound world needs more: {'; '.join(lines)}")
    if arguments.quick:
        arguments.clips = 64
    for part, steps in zip(PARTS, of_world(arguments.world).steps):
        name = f"{part}_steps"
        if arguments.quick:
            setattr(arguments, name, 2)
        elif getattr(arguments, name) is None:
            setattr(arguments, name, steps)
    return arguments


def main() -> None:
    arguments = parse_arguments()
    design = of_world(arguments.world)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(arguments.threads)
    folder = arguments.out
    tokenizer = folder / data.TOKENIZER_FILE
    if arguments.start and not tokenizer.exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(arguments.start / TOKENIZER, tokenizer)
    clips = data.prepare(folder, arguments.clips, seed=1, design=design)
    held_back = min(train_dit.VALIDATION_CLIPS, arguments.clips // 8)
    if arguments.start:
        model = read_checkpoint(arguments.start)
        latents = train_dit.encode_clips(
            design, model.autoencoder.to(device).eval(), clips, folder / "latents.npy", device
        )
        train_dit.train(
            design, model, clips, latents, folder, arguments.dit_steps, device, PACE, held_back
        )
    else:
        model = train_from_scratch(design, arguments, clips, tokenizer, device, held_back)
    write_checkpoint(model, tokenizer, folder / "checkpoint")
    print(
        f"checkpoint in {folder / 'checkpoint'}; next: edge-audio export {folder / 'checkpoint'}"
        " OUT_DIR"
    )


def train_from_scratch(
    design: Design,
    arguments: argparse.Namespace,
    clips: data.Clips,
    tokenizer: Path,
    device: str,
    held_back: int,
) -> Model:
    """The autoencoder, then its decoder alone, then the transformer; returns the whole model."""
    folder = arguments.out
    autoencoder = train_autoencoder.train(
        design, clips, folder, arguments.autoencoder_steps, device
    )
    encoded = (
        folder / f"latents-{arguments.autoencoder_steps}.npy"
    )  # those of another autoencoder would be no use
    latents = train_dit.normalise_latents(
        autoencoder, train_dit.encode_clips(design, autoencoder, clips, encoded, device)
    )

    autoencoder = train_decoder.train(
        design, autoencoder, clips, latents, folder, arguments.decoder_steps, device, held_back
    )

    torch.manual_seed(0)
    model = Model(design.model_config, design.t5_config(data.vocabulary_size(tokenizer)))
    model.autoencoder.load_state_dict(autoencoder.state_dict())
    return train_dit.train(
        design, model, clips, latents, folder, arguments.dit_steps, device, held_back=held_back
    )


if __name__ == "__main__":
    main()
