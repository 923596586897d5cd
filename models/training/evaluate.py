"""Does a bundle sound as asked? `python -m models.training.evaluate BUNDLE` asks for several
hundred sounds and measures them.

Every clip is judged by the check of its family (`edge_audio.listening`) and looked at for
what no sound should have: a click at either end, an offset, clipped samples. With `--out`, a
classifier that learnt from synthesised sounds says what it hears, too, and the results are written
as `evaluation.json`, `evaluation.md` and `confusion.png`, with what the bundle's encoder and
decoder alone do to synthesised sounds, where it has an encoder; `--card` puts the tables into its
MODEL_CARD.md.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path

import numpy as np

from edge_audio import EdgeAudioError, Pipeline

from .card import figures_of, markdown, put_into_card
from .checked import CheckedClip, adherence, checked_clips, table
from .probes import diversity, floors, likeness, overrun, reconstruction
from .prompts import NAMES, prompts_of
from .sounds import world_at

#: clips of each prompt, where it is more than `--seeds` says: what a name alone means is drawn anew
SEEDS = {NAMES: 3}


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m models.training.evaluate", description=__doc__.split("\n")[0]
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument(
        "--precision",
        help="as for edge-audio generate; several with commas are compared (default: f16)",
        default="f16",
    )
    parser.add_argument("--seeds", type=int, default=1, help="clips for each prompt")
    parser.add_argument(
        "--bundled", action="store_true", help="only the few prompts that the bundle carries along"
    )
    parser.add_argument("--sampler")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--cfg", type=float)
    parser.add_argument("--clips", type=Path, help="folder for the clips")
    parser.add_argument(
        "--out", type=Path, help="folder for evaluation.json, evaluation.md and confusion.png"
    )
    parser.add_argument(
        "--card",
        action="store_true",
        help="put the tables into the bundle's MODEL_CARD.md; needs --out",
    )
    options = parser.parse_args(arguments)
    if options.card and not options.out:
        parser.error("--card needs --out")
    if options.bundled and options.out:
        parser.error("--out needs all prompts; leave out --bundled")
    if options.seeds < 1:
        parser.error(f"--seeds {options.seeds}: give 1 or more")
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    precisions: dict[str, dict[str, list[CheckedClip]]] = {}
    try:
        for precision in options.precision.split(","):
            precisions[precision] = listen(precision, options)
            if options.clips:
                save_clips(precisions[precision], options.clips / precision)
        for precision, kinds in precisions.items():
            shares = (f"{kind} {100 * adherence(clips):.1f} %" for kind, clips in kinds.items())
            print(precision, ", ".join(shares))
        if options.out:
            command = "python -m models.training.evaluate " + " ".join(arguments or sys.argv[1:])
            write(precisions, options, command)
    except EdgeAudioError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def listen(precision: str, options: argparse.Namespace) -> dict[str, list[CheckedClip]]:
    """Make and check the clips of every kind of prompt in one precision, and print the tables."""
    settings = {"sampler": options.sampler, "steps": options.steps, "cfg_scale": options.cfg}
    clips = {}
    with Pipeline.load(options.bundle, precision, memory="all") as pipeline:
        known = prompts_of(world_at(pipeline.bundle.manifest.sample_rate))
        kinds = {"bundled": known.bundled} if options.bundled else known.kinds
        for kind, prompts in kinds.items():
            seeds = range(1, max(options.seeds, SEEDS.get(kind, 1)) + 1)
            clips[kind] = list(checked_clips(pipeline, prompts, seeds, **settings))
    for kind, of_kind in clips.items():
        print(f"{kind}, {precision}\n{table(of_kind)}")
        print(f"adherence {100 * adherence(of_kind):.1f} % of {len(of_kind)} clips\n")
    return clips


def save_clips(kinds: dict[str, list[CheckedClip]], folder: Path) -> None:
    """As NUMBER-FAMILY.wav, numbered through all kinds of prompt."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, checked in enumerate(itertools.chain(*kinds.values())):
        checked.clip.save(folder / f"{index:03}-{checked.prompt.family}.wav")


def write(
    precisions: dict[str, dict[str, list[CheckedClip]]], options: argparse.Namespace, command: str
) -> None:
    """Ask the second judge, measure silence and diversity, and write it all into `options.out`."""
    from .judge import Judge, confusion, draw

    figures, first = figures_of(precisions), next(iter(precisions))
    clips = list(itertools.chain(*precisions[first].values()))
    world = world_at(clips[0].clip.sample_rate)
    judge, asked = Judge(world=world), [checked.prompt.family for checked in clips]
    heard = judge.hear([checked.clip.samples.mean(axis=1) for checked in clips])
    figures["judge"] = {
        "on synthesised": round(judge.accuracy, 4),
        "on generated": round(float(np.mean([a == h for a, h in zip(asked, heard)])), 4),
    }
    figures |= probe(options.bundle, first, precisions[first]["seen"])
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "evaluation.json").write_text(json.dumps(figures, indent=1) + "\n")
    (options.out / "evaluation.md").write_text(text := markdown(figures, command))
    draw(
        tuple(world.families),
        confusion(tuple(world.families), asked, heard),
        options.out / "confusion.png",
        f"{options.bundle.name}, {first}: what the second judge hears",
    )
    if options.card:
        put_into_card(options.bundle / "MODEL_CARD.md", text)


def probe(bundle: Path, precision: str, seen: list[CheckedClip]) -> dict:
    """Overrun and diversity over the bundled prompts; the noise floor of `seen`; with an encoder,
    how like their sounds they are, and what the autoencoder loses.
    """
    with Pipeline.load(bundle, precision, memory="all") as pipeline:
        world = world_at(pipeline.bundle.manifest.sample_rate)
        bundled = prompts_of(world).bundled
        after = [overrun(pipeline, prompt) for prompt in bundled]
        apart = np.array([diversity(pipeline, prompt) for prompt in bundled])
        quiet = floors(seen, world)
        figures: dict = {
            "overrun": {"median": round(float(np.median(after)), 1), "worst": round(max(after), 1)},
            "diversity": {
                "clips": round(float(np.median(apart[:, 0])), 2),
                "ratio": round(float(np.median(apart[:, 0] / apart[:, 1])), 3),
            },
        }
        if quiet:
            figures["floor"] = {"median": round(float(np.median(quiet)), 1), "clips": len(quiet)}
        if "encoder" in pipeline.bundle.manifest.graphs:
            made, coded = likeness(seen, pipeline, world)
            figures["likeness"] = {"clips": round(made, 1), "round trip": round(coded, 1)}
            figures["reconstruction"] = {
                family: (round(ratio, 1), round(distance, 3), round(mel, 2), passed)
                for family, (ratio, distance, mel, passed) in reconstruction(pipeline).items()
            }
    return figures


if __name__ == "__main__":
    sys.exit(main())
