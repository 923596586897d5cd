"""Debian packages that sounds of the second world are made from: where they are, and whether what
they say of their licence is still what `SOURCES.md` says.

`python -m models.training.sounds.packages` prints a line for each, and fails where one is missing.
"""

from __future__ import annotations

import functools
import re
import sys
from ctypes.util import find_library
from dataclasses import dataclass
from pathlib import Path

from edge_audio.errors import EdgeAudioError

SAMPLE_FOLDER = Path("/usr/share/sonic-pi/samples")
SOUNDFONT_FILE = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")


@dataclass(frozen=True)
class Package:
    """A Debian package, what of it is used, and its copyright file."""

    name: str
    used: Path

    @property
    def copyright_file(self) -> Path:
        return Path("/usr/share/doc") / self.name / "copyright"

    def require(self) -> Path:
        """What is used of it; EdgeAudioError says what to install."""
        if not self.used.exists():
            raise EdgeAudioError(
                f"{self.used} is not here; the second sound world needs it: apt-get install"
                f" {self.name}"
            )
        return self.used


SOUNDFONT = Package("fluid-soundfont-gm", SOUNDFONT_FILE)
SAMPLES = Package("sonic-pi-samples", SAMPLE_FOLDER)
# As the copyright file has them, whatever its line breaks.
_MIT = (
    "I hereby release Fluid under the MIT license",
    "Permission is hereby granted, free of charge, to any person obtaining a copy",
)


def soundfont_is_mit() -> bool:
    """Whether the copyright file of the soundfont says so."""
    text = " ".join(SOUNDFONT.copyright_file.read_text("utf-8").split())
    return all(words in text for words in _MIT)


@functools.cache
def cc0_samples() -> frozenset[str]:
    """The names of the samples, without folder and suffix, that the copyright file lists one by one
    as CC0.
    """
    names: set[str] = set()
    SAMPLES.require()
    for paragraph in re.split(r"\n\s*\n", SAMPLES.copyright_file.read_text("utf-8")):
        fields = dict(re.findall(r"^(Files|License):[ ]*(.*(?:\n[ \t].*)*)", paragraph, re.M))
        if fields.get("License", "").split()[:1] == ["CC0"]:
            names |= {Path(file).stem for file in fields.get("Files", "").split()}
    return frozenset(names)


def missing() -> list[str]:
    """What has to be installed before the second world can be heard, one command each."""
    lines = [
        f"apt-get install {package.name}"
        for package in (SOUNDFONT, SAMPLES)
        if not package.used.exists()
    ]
    if find_library("fluidsynth") is None:
        lines.append("apt-get install libfluidsynth3")
    try:
        import fluidsynth  # noqa: F401
    except ImportError:
        if find_library("fluidsynth"):
            lines.append("pip install pyfluidsynth")
    return lines


def main() -> int:
    lines = missing()
    for line in lines:
        print(f"missing: {line}")
    if SOUNDFONT.used.exists():
        print(f"{SOUNDFONT.name}: {'MIT' if soundfont_is_mit() else 'NO LONGER MIT, do not use'}")
    if SAMPLES.used.exists():
        print(f"{SAMPLES.name}: {len(cc0_samples())} samples listed as CC0")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
