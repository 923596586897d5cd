"""Does a bundle sound as asked? `python -m models.training.evaluate BUNDLE` asks for several
hundred sounds and measures them.

Every clip is judged by the check of its family (`edge_audio.listening`) and looked at for
what no sound should have: a click at either end, an offset, clipped samples. With `--out`, a
classifier that learnt from synthesised sounds says what it hears, too, and the results are written
as `evaluation.json`, `evaluation.md` and `confusion.png`; `--checkpoint` adds what the autoencoder
alone does to synthesised sounds (it needs torch), and `--card` puts the tables into the bundle's
MODEL_CARD.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_audio import Clip, EdgeAudioError, Pipeline
from edge_audio.evaluate.metrics import log_mel_distance, snr, spectral_distance
from edge_audio.evaluate.prompts import Prompt
from edge_audio.evaluate.trace import sampled
from edge_audio.listening import Verdict, check

from .prompts import BARE_NAMES, BUNDLED, HELD_OUT_VALUES, HELD_OUT_WORDING, SEEN
from .sounds import FAMILIES, FULL_SECONDS, SAMPLE_RATE, make_sound

NAMES = "bare names"
KINDS = {
    NAMES: BARE_NAMES,
    "seen": SEEN,
    "held-out wording": HELD_OUT_WORDING,
    "held-out values": HELD_OUT_VALUES,
}
#: clips of each prompt, where it is more than `--seeds` says: what a name alone means is drawn anew
SEEDS = {NAMES: 3}
#: dBFS that the loudest quarter of a second of a clip should reach, whatever the name
AUDIBLE = -30.0
#: of full scale: what the first or last sample may be, and an offset
CLICK = 0.02
#: what is asked for where the silence after the end is measured
SHORT_SECONDS = 2.0
DIVERSITY_SEEDS = (1, 2, 3, 4)
#: sounds that are none of the training set
RECONSTRUCTION_SEED = 5151
MARKS = ("<!-- evaluation -->", "<!-- end of evaluation -->")


@dataclass(frozen=True)
class Result:
    """One prompt with one seed, what came out, and the judgement."""

    prompt: Prompt
    seed: int
    clip: Clip
    verdict: Verdict


def evaluate(
    pipeline: Pipeline, prompts: Sequence[Prompt] = BUNDLED, seeds: Sequence[int] = (1,), **settings
) -> Iterator[Result]:
    """Generate and judge every prompt with every seed; `settings` go to `Pipeline.generate`."""
    for seed in seeds:
        for prompt in prompts:
            clip = pipeline.generate(prompt.text, seconds=prompt.seconds, seed=seed, **settings)
            yield Result(
                prompt,
                seed,
                clip,
                check(clip.samples, clip.sample_rate, prompt.family, prompt.attributes),
            )


def adherence(results: Sequence[Result]) -> float:
    """Share of clips that sound as asked, 0..1."""
    return sum(result.verdict.passed for result in results) / len(results)


def faults(clip: Clip) -> list[str]:
    """What no clip should have, whatever was asked for."""
    samples, levels = clip.samples, clip.levels()
    found = (
        [f"starts with a click ({np.abs(samples[0]).max():.3f})"]
        if np.abs(samples[0]).max() > CLICK
        else []
    )
    found += (
        [f"ends with a click ({np.abs(samples[-1]).max():.3f})"]
        if np.abs(samples[-1]).max() > CLICK
        else []
    )
    found += [f"offset {levels.dc:.3f}"] if abs(levels.dc) > CLICK else []
    return found + ([f"{100 * levels.clipped:.2f} % clipped"] if levels.clipped else [])


def audible(results: Sequence[Result]) -> float:
    """Share of clips whose loudest quarter of a second is above AUDIBLE, 0..1."""
    return sum(result.clip.levels().loudest_dbfs > AUDIBLE for result in results) / len(results)


def overrun(
    pipeline: Pipeline, prompt: Prompt, seconds: float = SHORT_SECONDS, seed: int = 1
) -> float:
    """Level of what the model makes after the asked seconds, in dB relative to the part before;
    clips as they ship are cut there.
    """
    settings = pipeline.settings(prompt.text, seconds=seconds, seed=seed)
    latents = sampled(pipeline, settings).latents
    longer = dataclasses.replace(settings, seconds=prompt.seconds)
    whole = np.concatenate(list(pipeline.decode(longer, latents)))
    end = round(seconds * pipeline.bundle.manifest.sample_rate)
    inside, after = (np.sqrt(np.mean(part**2)) for part in (whole[:end], whole[end + end // 20 :]))
    return float(20 * np.log10((after + 1e-9) / (inside + 1e-9)))


def diversity(pipeline: Pipeline, prompt: Prompt, seeds: Sequence[int] = DIVERSITY_SEEDS) -> float:
    """Mean log-mel distance in dB between clips of one prompt with several seeds; 0 would be always
    the same clip.
    """
    clips = [pipeline.generate(prompt.text, seconds=prompt.seconds, seed=seed) for seed in seeds]
    return float(
        np.mean(
            [
                log_mel_distance(a.samples, b.samples, a.sample_rate)
                for a, b in itertools.combinations(clips, 2)
            ]
        )
    )


def reconstruction(checkpoint: Path) -> dict[str, tuple[float, float, bool]]:
    """What the autoencoder of a checkpoint does to a synthesised sound of every family, with no
    diffusion in between.

    family -> SNR in dB, multi-resolution STFT distance (`metrics.spectral_distance`), and whether
    the sound still passes its check.
    """
    import torch

    from .official import read_checkpoint

    autoencoder, found = read_checkpoint(checkpoint).autoencoder.eval(), {}
    for number, family in enumerate(FAMILIES):
        sound = make_sound(
            np.random.default_rng([RECONSTRUCTION_SEED, number]), family, seconds=FULL_SECONDS
        )
        with torch.inference_mode():
            decoded = (
                autoencoder.decode(
                    autoencoder.encode(torch.from_numpy(sound.audio)[None, None])[0]
                )[0]
                .numpy()
                .T
            )
        verdict = check(decoded, SAMPLE_RATE, family, sound.attributes)
        found[family] = (
            snr(decoded, sound.audio[:, None]),
            spectral_distance(decoded, sound.audio[:, None]),
            verdict.passed,
        )
    return found


def table(results: Sequence[Result]) -> str:
    """A line per clip, then passed and asked per family."""
    lines = [
        f"{'ok  ' if r.verdict.passed else 'FAIL'} {r.prompt.text:34} seed {r.seed} "
        f" {r.verdict.measured}" + ("" if r.verdict.passed else f"   [wanted {r.verdict.expected}]")
        for r in results
    ]
    lines += [
        f"{family:12} {passed} of {asked}" for family, (passed, asked) in by_family(results).items()
    ]
    return "\n".join(lines)


def by_family(results: Sequence[Result]) -> dict[str, tuple[int, int]]:
    """Family -> clips that passed, clips that were asked for."""
    counts: dict[str, tuple[int, int]] = {}
    for result in results:
        passed, asked = counts.get(result.prompt.family, (0, 0))
        counts[result.prompt.family] = passed + result.verdict.passed, asked + 1
    return counts


def report(found: dict[str, dict[str, list[Result]]]) -> dict:
    """precision -> kind -> results, as numbers to be written down."""
    return {
        precision: (
            {
                kind: {
                    "adherence": round(adherence(results), 4),
                    "clips": len(results),
                    "audible": round(audible(results), 4),
                    "families": by_family(results),
                }
                for kind, results in kinds.items()
            }
            | {
                "faults": [
                    f"{r.prompt.text}: {fault}"
                    for results in kinds.values()
                    for r in results
                    for fault in faults(r.clip)
                ]
            }
        )
        for precision, kinds in found.items()
    }


def markdown(numbers: dict, command: str) -> str:
    """The tables of MODEL_CARD.md."""
    precisions = [
        name for name, part in numbers.items() if isinstance(part, dict) and "seen" in part
    ]
    lines = ["| prompts | " + " | ".join(precisions) + " |", "| --- |" + " --- |" * len(precisions)]
    for kind in KINDS:
        lines.append(
            f"| {kind} | "
            + " | ".join(
                f"{100 * numbers[p][kind]['adherence']:.1f} % of {numbers[p][kind]['clips']}"
                for p in precisions
            )
            + " |"
        )
    lines.append(
        f"| bare names with a quarter of a second above {AUDIBLE:g} dBFS | "
        + " | ".join(f"{100 * numbers[p][NAMES]['audible']:.1f} %" for p in precisions)
        + " |"
    )
    lines.append(
        "| clips with a click, an offset or clipping | "
        + " | ".join(str(len(numbers[p]["faults"])) for p in precisions)
        + " |"
    )
    lines += [
        "",
        "| family | " + " | ".join(f"{kind}, {p}" for p in precisions for kind in KINDS) + " |",
        "| --- |" + " --- |" * (len(precisions) * len(KINDS)),
    ]
    for family in numbers[precisions[0]]["seen"]["families"]:
        cells = (numbers[p][kind]["families"].get(family) for p in precisions for kind in KINDS)
        lines.append(
            f"| {family} | "
            + " | ".join("" if cell is None else f"{cell[0]}/{cell[1]}" for cell in cells)
            + " |"
        )
    if "judge" in numbers:
        judge = numbers["judge"]
        lines += [
            "",
            (
                "A second judge, a classifier that sees only log-mel spectrograms and is right"
                f" about {100 * judge['on synthesised']:.1f} % of synthesised sounds, hears the"
                f" asked family in {100 * judge['on generated']:.1f} % of the {precisions[0]}"
                " clips."
            ),
        ]
    if "diversity" in numbers:
        lines += [
            "",
            (
                f"Over seeds, clips of one prompt differ by {numbers['diversity']:.1f} dB of"
                f" log-mel (median of the families). Asked for {SHORT_SECONDS:g} s, the model"
                f" itself falls to {numbers['overrun']['median']:.0f} dB after them (median; worst"
                f" {numbers['overrun']['worst']:.0f} dB)."
            ),
        ]
    if "reconstruction" in numbers:
        found = numbers["reconstruction"]
        lines += [
            "",
            (
                "The autoencoder alone, one synthesised sound of each family: SNR"
                f" {np.median([f[0] for f in found.values()]):.1f} dB, multi-resolution STFT"
                f" distance {np.median([f[1] for f in found.values()]):.2f} (medians);"
                f" {sum(f[2] for f in found.values())} of {len(found)} pass their check."
            ),
        ]
    return "\n".join([*lines, "", f"Made with `{command}`."]) + "\n"


def put_into_card(card: Path, text: str) -> None:
    """Replace what stands between the marks of a model card."""
    before, after = MARKS
    written, count = re.subn(
        f"{before}.*{after}", lambda _: f"{before}\n{text}{after}", card.read_text(), flags=re.S
    )
    if count != 1:
        raise EdgeAudioError(
            f"{card} has no place for the results; put the lines {before} and {after} there"
        )
    card.write_text(written)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m models.training.evaluate", description=__doc__.split("\n")[0]
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument(
        "--precision",
        help="as for edge-audio generate; several with commas are compared (default: f32)",
        default="f32",
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
        "--checkpoint",
        type=Path,
        metavar="DIR",
        help="what the bundle was made of; measures its autoencoder too, for --out",
    )
    parser.add_argument(
        "--card",
        action="store_true",
        help="put the tables into the bundle's MODEL_CARD.md; needs --out",
    )
    options = parser.parse_args(arguments)
    if options.card and not options.out:
        parser.error("--card needs --out")
    if options.checkpoint and not options.out:
        parser.error("--checkpoint needs --out")
    if options.bundled and options.out:
        parser.error("--out needs all prompts; leave out --bundled")
    if options.seeds < 1:
        parser.error(f"--seeds {options.seeds}: give 1 or more")
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    kinds = {"bundled": BUNDLED} if options.bundled else KINDS
    settings = {"sampler": options.sampler, "steps": options.steps, "cfg_scale": options.cfg}
    found: dict[str, dict[str, list[Result]]] = {}
    try:
        for precision in options.precision.split(","):
            with Pipeline.load(options.bundle, precision, memory="all") as pipeline:
                found[precision] = {
                    kind: list(
                        evaluate(
                            pipeline,
                            prompts,
                            range(1, max(options.seeds, SEEDS.get(kind, 1)) + 1),
                            **settings,
                        )
                    )
                    for kind, prompts in kinds.items()
                }
                for kind, results in found[precision].items():
                    print(
                        f"{kind}, {precision}\n{table(results)}\nadherence"
                        f" {100 * adherence(results):.1f} % of {len(results)} clips\n"
                    )
                for index, result in enumerate(
                    itertools.chain(*found[precision].values()) if options.clips else []
                ):
                    (options.clips / precision).mkdir(parents=True, exist_ok=True)
                    result.clip.save(
                        options.clips / precision / f"{index:03}-{result.prompt.family}.wav"
                    )
        for precision, results in found.items():
            print(
                precision,
                ", ".join(
                    f"{kind} {100 * adherence(part):.1f} %" for kind, part in results.items()
                ),
            )
        if options.out:
            write(
                found,
                options,
                "python -m models.training.evaluate " + " ".join(arguments or sys.argv[1:]),
            )
    except EdgeAudioError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def write(
    found: dict[str, dict[str, list[Result]]], options: argparse.Namespace, command: str
) -> None:
    """Ask the second judge, measure silence and diversity, and write it all into `options.out`."""
    from .judge import Judge, confusion, draw

    numbers = report(found)
    results = list(itertools.chain(*found[next(iter(found))].values()))
    judge, asked = Judge(), [result.prompt.family for result in results]
    heard = judge.hear([result.clip.samples.mean(axis=1) for result in results])
    numbers["judge"] = {
        "on synthesised": round(judge.accuracy, 4),
        "on generated": round(float(np.mean([a == h for a, h in zip(asked, heard)])), 4),
    }
    with Pipeline.load(options.bundle, next(iter(found)), memory="all") as pipeline:
        after = [overrun(pipeline, prompt) for prompt in BUNDLED]
        numbers["overrun"] = {
            "median": round(float(np.median(after)), 1),
            "worst": round(max(after), 1),
        }
        numbers["diversity"] = round(
            float(np.median([diversity(pipeline, prompt) for prompt in BUNDLED])), 2
        )
    if options.checkpoint:
        numbers["reconstruction"] = {
            family: (round(a, 1), round(b, 3), ok)
            for family, (a, b, ok) in reconstruction(options.checkpoint).items()
        }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "evaluation.json").write_text(json.dumps(numbers, indent=1) + "\n")
    (options.out / "evaluation.md").write_text(text := markdown(numbers, command))
    draw(
        confusion(asked, heard),
        options.out / "confusion.png",
        f"{options.bundle.name}, {next(iter(found))}: what the second judge hears",
    )
    if options.card:
        put_into_card(options.bundle / "MODEL_CARD.md", text)


if __name__ == "__main__":
    sys.exit(main())
