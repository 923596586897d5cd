"""What the formats of sound files take: the table of docs/output.md, kbit/s of one clip.

python benchmarks/formats.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import soundfile

from edge_audio import Finish, Pipeline, finished

HOLDS = {
    "ogg": ("`.ogg` (Vorbis)", "any rate"),
    "mp3": ("`.mp3`", "8 to 48 kHz in nine steps"),
    "opus": ("`.opus`", "8, 12, 16, 24, 48 kHz"),
}
QUALITIES = (0.0, 0.5, 1.0)


def main() -> None:
    with Pipeline.load() as pipe, tempfile.TemporaryDirectory() as folder:
        clip = pipe.generate("heavy rain", seconds=4, seed=1)
        clip = finished(clip, Finish(rate=44_100, channels=2))

        def kilobits(format: str, quality: float | None) -> str:
            path = Path(folder) / f"rain.{format}"
            clip.save(path, quality=quality)
            return f"{8 * path.stat().st_size / clip.seconds / 1000:.0f}"

        print("| | holds | `--quality` 0, 0.5, 1 (kbit/s) | without |\n| --- | --- | --- | --- |")
        depth = '16 bits, any rate; in Python `subtype="PCM_24"`, and `"FLOAT"` in .wav'
        print(f"| `.wav`, `.flac` | {depth} | | |")
        for format, (name, holds) in HOLDS.items():
            rates = ", ".join(kilobits(format, quality) for quality in QUALITIES)
            print(f"| {name} | {holds} | {rates} | {kilobits(format, None)} |")
        print(
            '\n"Heavy rain" of pocket at 44.1 kHz in two channels, libsndfile'
            f" {soundfile.__libsndfile_version__}; made by `benchmarks/formats.py`."
        )


if __name__ == "__main__":
    main()
