"""Train the pocket model: `python -m models.training OUT_DIR`. Run the same command again to go on
after a kill.

`--world second` trains the model of the second sound world (`README.md`).

With `--from CHECKPOINT` the encoder and the tokenizer stay as they are, and the text encoder and
the transformer go on learning from where they stand: for new wordings of sounds that are known, or,
with `--pace 1`, where an earlier training ended. What was distilled cannot go on: begin with the
checkpoint that lies beside it, `undistilled`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import torch

from edge_audio.errors import EdgeAudioError

from . import data, distil, train_autoencoder, train_decoder, train_dit, train_text
from .design import Design, of_model, of_world
from .examples import Examples
from .latents import encode_clips, normalise_latents
from .modules import Model
from .official import TOKENIZER, read_checkpoint, read_codec, write_checkpoint, write_codec
from .sounds import WORLDS

#: what is trained, in this order
PARTS = ("autoencoder", "decoder", "text", "dit", "distillation")
#: the model before its distillation, in the folder of the training; what one goes on from
TEACHER = "undistilled"
CODEC = "codec.safetensors"
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
        help="go on from this checkpoint, its encoder left as it is",
    )
    parser.add_argument(
        "--codec",
        type=Path,
        metavar="CODEC",
        help="take this autoencoder, codec.safetensors of a training or a checkpoint's, train none",
    )
    parser.add_argument("--world", choices=WORLDS, default=WORLDS[0])
    parser.add_argument("--clips", type=int, default=24_000)
    for part in PARTS:
        parser.add_argument(
            f"--{part}-steps", type=int, help="default: what the design has; 0 leaves it out"
        )
    parser.add_argument(
        "--pace",
        type=float,
        help=f"factor of the transformer's learning rates (default: 1; with --from {PACE})",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a few steps of everything, to see that it runs"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.clips = 64
    is_there = {"decoder": arguments.start or arguments.codec, "text": arguments.start}
    for part, steps in zip(PARTS, of_world(arguments.world).steps):
        name = f"{part}_steps"
        if arguments.quick:
            setattr(arguments, name, min(2, steps))
        elif getattr(arguments, name) is None:
            setattr(arguments, name, 0 if is_there.get(part) else steps)
    if arguments.start and arguments.codec:
        parser.error("--codec: the checkpoint of --from has its own; give one of the two")
    if arguments.distillation_steps and not of_world(arguments.world).distilled:
        parser.error("--distillation-steps: the model of this world is not distilled")
    if arguments.text_steps and not of_world(arguments.world).positions:
        parser.error("--text-steps: the model of this world has no positions to teach words at")
    if arguments.pace is None:
        arguments.pace = PACE if arguments.start else 1.0
    return arguments


def main() -> int:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    try:
        checkpoint = train(arguments)
    except EdgeAudioError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"next: {export_of(checkpoint, of_world(arguments.world), arguments.distillation_steps)}")
    return 0


def export_of(checkpoint: Path, design: Design, distilled: int) -> str:
    """The command that makes a bundle of a checkpoint."""
    sampling = design.made_for if distilled else design.sampling
    lengths = f" --latent-lengths {','.join(map(str, design.shorter))} --fit-length"
    return (
        f"edge-audio export {checkpoint} BUNDLE_DIR --sampler {sampling['sampler']} --steps"
        f" {sampling['steps']} --cfg {sampling['cfg_scale']}{lengths if design.shorter else ''}"
    )


def train(arguments: argparse.Namespace) -> Path:
    """Every part in its turn; returns the folder of the checkpoint."""
    design = of_world(arguments.world)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    folder = arguments.out
    tokenizer = folder / data.TOKENIZER_FILE
    if arguments.start:
        model = read_checkpoint(arguments.start)
        if of_model(model.config) != design:
            raise EdgeAudioError(f"{arguments.start} is not of the world {design.world.name}")
        if not tokenizer.exists():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(arguments.start / TOKENIZER, tokenizer)
    clips = data.prepare(folder, arguments.clips, seed=1, design=design)
    if not arguments.start:
        torch.manual_seed(0)
        model = Model(design.model_config, design.t5_config(data.vocabulary_size(tokenizer)))
    if arguments.codec:
        read_codec(model.autoencoder, arguments.codec)
    if arguments.start or arguments.codec:
        latents = encode_clips(
            design, model.autoencoder.to(device).eval(), clips, folder / "latents.npy", device
        )
    else:
        latents = learn_latents(design, model, clips, folder, arguments.autoencoder_steps, device)
    held_back = min(train_dit.VALIDATION_CLIPS, arguments.clips // 8)
    examples = Examples(design, clips, latents, device, held_back)
    if arguments.decoder_steps:
        train_decoder.train(examples, model.autoencoder, folder, arguments.decoder_steps)
    write_codec(model.autoencoder, folder / CODEC)
    echo = None
    if arguments.text_steps:
        echo = train_text.train(examples, model, folder, arguments.text_steps)
    model = train_dit.train(
        examples,
        model,
        folder,
        arguments.dit_steps,
        pace=arguments.pace,
        echo=echo,
        words=design.positions,
    )
    if arguments.distillation_steps:
        write_checkpoint(model, tokenizer, folder / TEACHER)
        model = distil.train(
            examples,
            model,
            folder,
            arguments.distillation_steps,
            f"distilled-{arguments.dit_steps}",  # another teacher's student would be no use
        )
    write_checkpoint(model, tokenizer, folder / "checkpoint")
    return folder / "checkpoint"


def learn_latents(
    design: Design, model: Model, clips: data.Clips, folder: Path, steps: int, device: str
) -> np.ndarray:
    """Train an autoencoder and give it to the model; returns the latents of all clips, of unit
    variance.
    """
    autoencoder = train_autoencoder.train(design, clips, folder, steps, device)
    encoded = folder / f"latents-{steps}.npy"  # those of another autoencoder would be no use
    latents = normalise_latents(
        autoencoder, encode_clips(design, autoencoder, clips, encoded, device)
    )
    model.autoencoder.load_state_dict(autoencoder.state_dict())
    return latents


if __name__ == "__main__":
    sys.exit(main())
