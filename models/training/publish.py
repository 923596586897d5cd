"""Export models/training/checkpoint as the bundle that ships, models/pocket: `python -m
models.training.publish`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edge_audio.bundle.manifest import GENERATING
from edge_audio.errors import EdgeAudioError
from export.bundle import Options, export

from .pocket import CHECKPOINT, SAMPLING
from .prompts import BUNDLED
from .vocabulary import usual_level, vocabulary

OUT = Path(__file__).parents[1] / "pocket"
# 33 dB on the few clips of the export's recording keep 30 on the worst step of a prompt of every
# family (docs/pocket-compare.json). Float for fidelity, int8 for small and fast devices, mixed for
# both. The encoder, which only audio-to-audio needs, is left out.
OPTIONS = Options(
    precisions=("f32", "int8", "mixed"),
    components=GENERATING,
    name="pocket",
    license="Apache-2.0",
    checks=BUNDLED,
    vocabulary=vocabulary(),
    usual_level=usual_level(),
    target_snr=33,
    **SAMPLING,
)


def main() -> int:
    try:
        export(CHECKPOINT, OUT, OPTIONS)
    except EdgeAudioError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
