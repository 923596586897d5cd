"""Teach the pocket model your own sounds: `python -m models.training.finetune --data FOLDER
OUT_DIR`.

FOLDER holds sounds and their captions (`recordings`). The text encoder and the transformer go on
learning from the checkpoint that ships, half on your sounds and half on sounds that it knows, so
that those are not forgotten; the autoencoder stays. Run the same command again to go on after a
kill; with other sounds, captions or another checkpoint, the training begins anew. The result is a
checkpoint in OUT_DIR/checkpoint, which `edge-audio export` makes a bundle of.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from pathlib import Path

import numpy as np

from edge_audio.bundle.store import file_sha256
from edge_audio.errors import EdgeAudioError

try:
    import torch

    from . import train_dit
    from .data import Clips, Sounds, as_int16, tokenize
    from .design import CHECKPOINT, Design, of_model
    from .examples import Examples
    from .latents import encode_clips
    from .official import TOKENIZER, read_checkpoint, write_checkpoint
    from .recordings import read_folder
except ImportError as error:  # `main` says what to install
    missing = f"fine-tuning needs the extra `train` ({error}); run pip install 'edge-audio[train]'"
else:
    missing = None

#: share of the learning rates that a model is trained from scratch with
PACE = 0.2
#: sounds of the training set to go on with, and the set they are from
KNOWN, KNOWN_SEED = 1000, 7


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m models.training.finetune", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "out",
        type=Path,
        metavar="OUT_DIR",
        help="folder for the states, the log and the checkpoint",
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="sounds with captions.csv, or a .txt beside each",
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        default=CHECKPOINT,
        metavar="DIR",
        help="where to start from (default: the pocket model)",
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=1000,
        help="default: %(default)s; about ten minutes on two cores",
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser.parse_args(arguments)


def with_known(design: Design, own: Clips, tokenizer: Path, known: int) -> tuple[Clips, np.ndarray]:
    """The same clips and `known` of the training set's; and the rows to draw from, half of them own
    ones, however few these are.
    """
    world = design.world
    sounds = list(world.make_dataset(known, KNOWN_SEED))
    ids, mask = tokenize(tokenizer, [sound.captions for sound in sounds], design.max_tokens)
    audio = [as_int16(sound.audio, sound.seconds, world.sample_rate) for sound in sounds]
    clips = Clips(
        own.audio + Sounds.of(audio),
        own.captions + [sound.captions for sound in sounds],
        np.concatenate([own.ids, ids]),
        np.concatenate([own.mask, mask]),
        np.concatenate([own.seconds, [sound.seconds for sound in sounds]]),
    )
    count = len(own.audio)
    return clips, np.concatenate(
        [
            np.resize(np.arange(count), max(count, known)),
            count + np.resize(np.arange(known), max(count, known)),
        ]
    )


def identity(clips: Clips, rows: np.ndarray, checkpoint: Path) -> str:
    """Hash of all that a training's state depends on: sounds, captions, what is drawn of them, the
    checkpoint that it starts from, and the pace.
    """
    digest = hashlib.sha256(f"{clips.sha256} {clips.captions} {PACE}".encode())
    for array in (clips.ids, clips.mask, clips.seconds, rows):
        digest.update(np.ascontiguousarray(array))
    for path in sorted(path for path in checkpoint.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(checkpoint)} {file_sha256(path)}".encode())
    return digest.hexdigest()


def state_folder(out: Path, identity: str, say=print) -> Path:
    """The folder in `out` for the state of the training `identity`, which other trainings' states
    stay beside.
    """
    folder = out / f"training-{identity[:16]}"
    if not folder.exists() and any(out.glob("training-*")):
        say(
            f"the sounds, their captions or the checkpoint differ from those that {out} was trained"
            " with: beginning anew"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def finetune(
    data: Path, out: Path, checkpoint: Path, steps: int, known: int = KNOWN, say=print
) -> Path:
    """The folder of the new checkpoint.

    known: how many sounds that the model knows are mixed in.
    """
    if steps < 1:
        raise EdgeAudioError(f"steps {steps} teach nothing; use 1 or more")
    device, tokenizer = "cuda" if torch.cuda.is_available() else "cpu", checkpoint / TOKENIZER
    model = read_checkpoint(checkpoint)
    design = of_model(model.config)
    own = read_folder(design, data, tokenizer, say)
    say(f"{len(own.audio)} sounds, {len(set(own.captions))} captions")
    clips, rows = with_known(design, own, tokenizer, known)
    state = state_folder(out, identity(clips, rows, checkpoint), say)
    model.autoencoder.to(device).eval()
    latents = encode_clips(design, model.autoencoder, clips, state / "latents.npy", device)
    drawn = Clips(
        clips.audio,  # as it is, since latents are what is drawn from
        [clips.captions[row] for row in rows],
        clips.ids[rows],
        clips.mask[rows],
        clips.seconds[rows],
    )
    examples = Examples(design, drawn, latents[rows], device)
    train_dit.train(examples, model, state, steps, pace=PACE)
    write_checkpoint(model, tokenizer, out / "checkpoint")
    return out / "checkpoint"


def main(arguments: list[str] | None = None) -> int:
    if missing:
        print(f"error: {missing}", file=sys.stderr)
        return 1
    options = parse_arguments(arguments)
    try:
        torch.set_num_threads(options.threads)
        made = finetune(options.data, options.out, options.checkpoint, options.steps)
    except EdgeAudioError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    sampling = of_model(read_checkpoint(made).config).sampling
    print(
        f"checkpoint in {made}; next: edge-audio export {made} BUNDLE_DIR --precision f32,int8"
        f" --sampler {sampling['sampler']} --steps {sampling['steps']} --cfg"
        f" {sampling['cfg_scale']}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
