"""A page with a clip of every family, to look at and listen to: `python -m models.training.gallery
BUNDLE PAGE.html`.
"""

from __future__ import annotations

import argparse
import base64
import io
import sys
from pathlib import Path

from edge_audio import Clip, EdgeAudioError, Pipeline
from edge_audio.evaluate.pictures import picture
from edge_audio.listening import check

from .prompts import prompts_of
from .sounds import World, chords, drums, everyday, games, instruments, nature, signals, world_at

SEED = 1
GROUPS = {
    "Notes and chords": instruments.FAMILIES | chords.FAMILIES,
    "Signals and games": signals.FAMILIES | games.FAMILIES,
    "Drums, and what knocks and ticks": drums.FAMILIES | everyday.FAMILIES,
    "Weather, water, animals, noise": nature.FAMILIES,
}


def groups_of(world: World) -> dict[str, tuple[str, ...]]:
    """Title -> families, every family of the world once."""
    groups = GROUPS
    if world.name == "second":
        from .sounds import effects, kits, orchestra, recorded

        groups = {
            "Instruments and drums that were played": orchestra.FAMILIES | kits.FAMILIES,
            "Sounds that were recorded": recorded.FAMILIES,
            "Effects": effects.FAMILIES,
            **GROUPS,
        }
        groups["More"] = world.families
    left, found = dict.fromkeys(world.families), {}
    for title, families in groups.items():
        found[title] = tuple(name for name in families if left.pop(name, 0) is None)
    return found


def page(bundle: Path, precision: str | None, command: str) -> str:
    """The page: one file, nothing fetched from anywhere."""
    import jinja2

    groups = []
    with Pipeline.load(bundle, precision, memory="all") as pipeline:
        world = world_at(pipeline.bundle.manifest.sample_rate)
        asked = {prompt.family: prompt for prompt in prompts_of(world).bundled}
        for title, families in groups_of(world).items():
            sounds = []
            for prompt in (asked[family] for family in families):
                clip = pipeline.generate(prompt.text, seconds=prompt.seconds, seed=SEED)
                verdict = check(
                    clip.samples, clip.sample_rate, prompt.family, prompt.attributes, world.name
                )
                note = (
                    verdict.measured.split(";")[0]
                    if verdict.passed
                    else f"not as asked: {verdict.measured}"
                )
                sounds.append((prompt.text, note, picture(clip), _ogg(clip)))
            groups.append((title, sounds))
        environment = jinja2.Environment(
            autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
        )
        template = environment.from_string(
            Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
        )
        return template.render(
            groups=groups,
            longest=world.full_seconds,
            highest=world.sample_rate // 2000,
            name=pipeline.bundle.manifest.name,
            seed=SEED,
            precision=", ".join(f"{name} {kind}" for name, kind in pipeline.precision.items()),
            command=command,
        )


def _ogg(clip: Clip) -> str:
    """The clip as Ogg Vorbis, base64."""
    import soundfile

    stream = io.BytesIO()
    soundfile.write(
        stream, clip.samples * clip.gain, clip.sample_rate, format="OGG", subtype="VORBIS"
    )
    return base64.b64encode(stream.getvalue()).decode()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.training.gallery", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("page", type=Path)
    parser.add_argument("--precision", help="as for edge-audio generate")
    options = parser.parse_args(arguments)
    try:
        text = page(
            options.bundle,
            options.precision,
            "python -m models.training.gallery " + " ".join(arguments or sys.argv[1:]),
        )
        options.page.write_text(text, encoding="utf-8")
    except (EdgeAudioError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{options.page}: {options.page.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
