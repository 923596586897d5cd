"""Pictures of the documents that no other benchmark draws.

    python benchmarks/pictures.py strip      # docs/images/gallery.png, sounds of the bundled model
    python benchmarks/pictures.py compare    # docs/images/compare-1400.png, of build/compare/report.html
    python benchmarks/pictures.py serve      # docs/images/serve-*.png, the page of edge-audio serve

The first takes seconds and needs matplotlib; the others need playwright and chromium.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
SEED = 1
#: two rows of the strip; they should look as unlike as they sound
PROMPTS = (
    "a bell at C5", "a rising C major arpeggio", "drum beat at 120 bpm", "a fast high siren",
    "repeated laser shots", "a slow heartbeat", "ocean waves", "fast dripping water",
)  # fmt: skip


def strip() -> None:
    """Log-mel spectrograms on one scale of time, on a ground that suits light and dark pages."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from edge_audio import Pipeline
    from edge_audio.evaluate.metrics import log_mel

    ground, columns = matplotlib.colormaps["magma"](0.0), len(PROMPTS) // 2
    figure, axes = pyplot.subplots(2, columns, figsize=(10, 3.1), layout="constrained")
    figure.set_facecolor(ground)
    figure.get_layout_engine().set(w_pad=0.05, h_pad=0.05)
    with Pipeline.load(memory="all") as pipe:
        for axis, prompt in zip(np.ravel(axes), PROMPTS):
            clip = pipe.generate(prompt, seconds=4, seed=SEED)
            levels = log_mel(clip.samples, clip.sample_rate).T
            top = levels.max()
            axis.imshow(
                levels, origin="lower", aspect="auto", cmap="magma", vmin=top - 55, vmax=top
            )
            axis.set_title(prompt, loc="left", fontsize=9, color="white")
            axis.set_axis_off()
    figure.savefig(IMAGES / "gallery.png", dpi=100, metadata={"Software": None})
    _small(IMAGES / "gallery.png")


def _small(path: Path) -> None:
    """The picture in 128 colours, which a colour map does not miss, and a fraction of the bytes."""
    from PIL import Image

    with Image.open(path) as picture:
        palette = picture.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    palette.save(path, optimize=True)


def main() -> int:
    pictures = {"strip": strip}
    for name in sys.argv[1:] or pictures:
        pictures[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
