"""Export models/training/checkpoint as the bundle that ships, models/pocket: `python -m
models.training.publish`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edge_audio.bundle.manifest import COMPONENTS
from edge_audio.errors import EdgeAudioError
from edge_audio.exporter.bundle import Options, export

from .design import CHECKPOINT, POCKET, Design
from .prompts import prompts_of
from .vocabulary import usual_level, vocabulary

OUT = Path(__file__).parents[1] / "pocket"
# 33 dB on the few clips of the export's recording keep 30 on the worst step of a prompt of every
# family (docs/pocket-compare.json). Float for fidelity, in two bytes a weight: 69 dB from four, and
# as fast; int8 for small and fast devices, mixed for both.
PRECISIONS = ("f16", "int8", "mixed")
TARGET_SNR = 33


def options(precisions: tuple[str, ...] = PRECISIONS, design: Design = POCKET) -> Options:
    """All that the bundle says beside its graphs; making the vocabulary takes two seconds."""
    world = design.world
    return Options(
        precisions=precisions,
        components=COMPONENTS,
        name="pocket",
        license="Apache-2.0",
        checks=prompts_of(world).bundled,
        vocabulary=vocabulary(world),
        usual_level=usual_level(world),
        target_snr=TARGET_SNR,
        latent_lengths=design.shorter,
        fit_length=bool(design.shorter),
        **design.made_for,
    )


def main() -> int:
    try:
        export(CHECKPOINT, OUT, options())
    except EdgeAudioError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
