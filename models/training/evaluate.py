"""Does a bundle sound as asked? `python -m models.training.evaluate BUNDLE` asks for forty sounds and measures them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_audio import Clip, EdgeAudioError, Pipeline
from edge_audio.evaluate.checks import Verdict, check
from edge_audio.evaluate.prompts import Prompt

from .prompts import BUNDLED


@dataclass(frozen=True)
class Result:
    """One prompt with one seed, what came out, and the judgement."""

    prompt: Prompt
    seed: int
    clip: Clip
    verdict: Verdict


def evaluate(pipeline: Pipeline, prompts: Sequence[Prompt] = BUNDLED, seeds: Sequence[int] = (1,),
             **settings) -> Iterator[Result]:
    """Generate and judge every prompt with every seed; `settings` go to `Pipeline.generate`."""
    for seed in seeds:
        for prompt in prompts:
            clip = pipeline.generate(prompt.text, seconds=prompt.seconds, seed=seed, **settings)
            yield Result(prompt, seed, clip, check(clip.samples, clip.sample_rate, prompt.family, prompt.attributes))


def adherence(results: Sequence[Result]) -> float:
    """Share of clips that sound as asked, 0..1."""
    return sum(result.verdict.passed for result in results) / len(results)


def table(results: Sequence[Result]) -> str:
    """A line per clip, then passed and asked per family."""
    lines = [f"{'ok  ' if r.verdict.passed else 'FAIL'} {r.prompt.text:34} seed {r.seed}  {r.verdict.measured}"
             + ("" if r.verdict.passed else f"   [wanted {r.verdict.expected}]") for r in results]
    families = dict.fromkeys(result.prompt.family for result in results)
    for family in families:
        mine = [result for result in results if result.prompt.family == family]
        lines.append(f"{family:12} {sum(r.verdict.passed for r in mine)} of {len(mine)}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m models.training.evaluate", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--precision", help="as for edge-audio generate")
    parser.add_argument("--seeds", type=int, default=1, help="clips for each prompt")
    parser.add_argument("--sampler")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--cfg", type=float)
    parser.add_argument("--out", type=Path, help="folder for the clips")
    arguments = parser.parse_args()
    try:
        pipeline = Pipeline.load(arguments.bundle, arguments.precision, keep_loaded=True)
        results = list(evaluate(pipeline, seeds=range(1, arguments.seeds + 1), sampler=arguments.sampler,
                                steps=arguments.steps, cfg_scale=arguments.cfg))
        for index, result in enumerate(results if arguments.out else []):
            arguments.out.mkdir(parents=True, exist_ok=True)
            result.clip.save(arguments.out / f"{index:02}-{result.prompt.family}.wav")
    except EdgeAudioError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(table(results))
    print(f"adherence {100 * adherence(results):.1f} % of {len(results)} clips, {pipeline.precision}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
