"""Make the training set of a sound world, and the tokenizer of its captions, without training:

python -m models.training.prepare --world second OUT_DIR
"""

from __future__ import annotations

import argparse
from pathlib import Path

from edge_audio.errors import EdgeAudioError

from . import data, design
from .sounds import WORLDS


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m models.training.prepare", description=__doc__.split("\n")[0]
    )
    parser.add_argument("out", type=Path, help="folder for clips, captions and tokenizer")
    parser.add_argument("--world", choices=WORLDS, default=WORLDS[0])
    parser.add_argument("--clips", type=int, default=24_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    try:
        clips = data.prepare(
            arguments.out, arguments.clips, arguments.seed, design.of_world(arguments.world)
        )
    except EdgeAudioError as error:
        raise SystemExit(f"error: {error}") from None
    pieces = data.vocabulary_size(arguments.out / data.TOKENIZER_FILE)
    print(
        f"{len(clips.audio)} clips, {clips.seconds.sum() / 3600:.1f} hours, {pieces} pieces, in"
        f" {arguments.out}"
    )


if __name__ == "__main__":
    main()
