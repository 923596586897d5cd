"""How well the checks of the second sound world hear: how many of a family's own training sounds
pass, and how many of all others.

    python -m models.training.hearing --each 20 --out hearing.md
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from edge_audio.listening import check, checks_of

from .sounds.profiles import heard
from .sounds.second import SECOND

#: not the sounds that the profiles were made of
SEED = 2024


def _of_family(job: tuple[str, int, int]) -> tuple[list[str], list[dict[str, bool]]]:
    """Why sounds of a family do not pass their own check; and, of the first few, which other checks
    they pass when nothing is asked of their attributes.
    """
    family, each, against = job
    reasons, others = [], []
    for index in range(each):
        rng = np.random.default_rng([SEED, index])
        seconds = max(3.0, SECOND.families[family].shortest)
        sound = SECOND.make_sound(rng, family, seconds=seconds)
        audio = sound.audio[: round(seconds * SECOND.sample_rate)]
        verdict = check(audio, SECOND.sample_rate, family, sound.attributes, "second")
        if not verdict.passed:
            reasons.append(f"{verdict.measured} | {verdict.expected}")
        if index < against:
            mono = heard(audio, SECOND.sample_rate)
            others.append(
                {name: function(mono, {}).passed for name, function in checks_of("second").items()}
            )
    return reasons, others


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m models.training.hearing", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--each", type=int, default=20, help="sounds of each family")
    parser.add_argument("--against", type=int, default=3, help="of these, heard by all checks")
    parser.add_argument("--families", help="only these, with commas between")
    parser.add_argument("--out", type=Path, help="write the table there, too")
    parser.add_argument("--why", action="store_true", help="say why sounds did not pass")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    families = arguments.families.split(",") if arguments.families else list(SECOND.families)
    jobs = [(family, arguments.each, arguments.against) for family in families]
    with ProcessPoolExecutor(arguments.threads) as pool:
        results = dict(zip(families, pool.map(_of_family, jobs)))
    table = write_table(results, arguments.each, arguments.against)
    print(table)
    if arguments.why:
        for family, (reasons, _) in results.items():
            for reason in reasons:
                print(f"{family}: {reason}")
    if arguments.out:
        arguments.out.write_text(table + "\n")


def write_table(
    results: dict[str, tuple[list[str], list[dict[str, bool]]]], each: int, against: int
) -> str:
    """As Markdown, the whole first."""
    rows, own_all, other_all = [], [], []
    for family, (reasons, _) in results.items():
        own = 1 - len(reasons) / each
        passing = {
            name: np.mean([passed[family] for passed in others])
            for name, (_, others) in results.items()
            if name != family and others
        }
        share = float(np.mean(list(passing.values()))) if passing else 0.0
        worst = sorted(passing, key=lambda name: -passing[name])[:3]
        worst = [name for name in worst if passing[name] > 0.5]
        rows.append(f"| {family} | {100 * own:.0f} % | {100 * share:.1f} % | {', '.join(worst)} |")
        own_all.append(own)
        other_all.append(share)
    head = (
        f"{len(results)} families, {each} sounds of each by their own checks:"
        f" {100 * np.mean(own_all):.1f} % pass ({sum(o < 0.97 for o in own_all)} families below"
        f" 97 %); {against} of each by all other checks: {100 * np.mean(other_all):.1f} % pass."
    )
    return "\n".join(
        [
            head,
            "",
            "| family | its own sounds pass | others' pass | most of these, too |",
            "| --- | --- | --- | --- |",
            *rows,
        ]
    )


if __name__ == "__main__":
    main()
