"""What the evaluation needs torch or scikit-learn for: the second judge, and what the autoencoder
alone does.
"""

import numpy as np

from models.training.judge import Judge, confusion, draw
from models.training.pocket import CHECKPOINT
from models.training.probes import reconstruction
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
    table = confusion(asked, heard)
    assert (
        table.shape == (len(FAMILIES), len(FAMILIES)) and table.sum() == 4 and np.trace(table) >= 3
    )
    draw(table, tmp_path / "confusion.png", "a title")
    assert (tmp_path / "confusion.png").stat().st_size > 10_000


def test_the_autoencoder_that_ships_keeps_what_makes_a_sound() -> None:
    found = reconstruction(CHECKPOINT)
    assert set(found) == set(FAMILIES)
    assert (
        np.median([snr for snr, _, _ in found.values()]) > 12
        and np.median([distance for _, distance, _ in found.values()]) < 1
    )
    assert np.mean([passed for _, _, passed in found.values()]) >= 0.9
