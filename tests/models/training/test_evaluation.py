"""What the evaluation needs scikit-learn for: the second judge."""

import numpy as np

from models.training.judge import Judge, confusion, draw
from models.training.sounds import FAMILIES, make_sound


def test_the_second_judge_knows_the_families(tmp_path) -> None:
    judge = Judge(each=8)
    assert (
        judge.accuracy > 0.7
    )  # with forty of each it is right about nearly all; chance would be 1 in 48
    asked = ["tone", "rain", "kick", "siren"]
    heard = judge.hear(
        [make_sound(np.random.default_rng(9), family, seconds=4.0).audio for family in asked]
    )
    table = confusion(tuple(FAMILIES), asked, heard)
    assert (
        table.shape == (len(FAMILIES), len(FAMILIES)) and table.sum() == 4 and np.trace(table) >= 3
    )
    draw(tuple(FAMILIES), table, tmp_path / "confusion.png", "a title")
    assert (tmp_path / "confusion.png").stat().st_size > 10_000
