"""The evaluation of the pocket model: faults are found, clips become tables, and the tables find
their place in the card.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_audio import Clip, EdgeAudioError
from edge_audio.listening import Verdict
from models.training.card import MARKS, figures_of, markdown, put_into_card
from models.training.checked import CheckedClip, adherence, audible, by_family, faults
from models.training.prompts import prompts_of
from models.training.sounds import FIRST

ROOT = Path(__file__).parents[2]


def clip(samples: np.ndarray) -> Clip:
    return Clip(samples.astype(np.float32)[:, None], 16_000)


def sine() -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * 440 * np.arange(16_001) / 16_000)


def test_faults_are_found() -> None:
    assert faults(clip(sine())) == []
    early, late, loud = sine(), sine(), 4 * sine()
    early[0], late[-1] = 0.2, -0.2
    for samples, fault in (
        (early, "starts"),
        (late, "ends"),
        (sine() + 0.05, "offset"),
        (np.clip(loud, -1, 1), "clipped"),
    ):
        assert any(fault in found for found in faults(clip(samples))), fault


def test_what_nobody_hears_is_counted() -> None:
    passed = Verdict(True, "", "")
    gains = (1, 0.01)  # -13 and -53 dBFS
    clips = [
        CheckedClip(prompts_of(FIRST).bare_names[0], 1, clip(gain * sine()), passed)
        for gain in gains
    ]
    assert audible(clips) == 0.5


@pytest.fixture
def precisions() -> dict:
    """Of every kind, as many prompts as four divides, so that a quarter can fail."""
    passed, failed = Verdict(True, "", ""), Verdict(False, "", "")
    return {
        precision: {
            kind: [
                CheckedClip(prompt, 1, clip(sine()), failed if index % 4 == 0 else passed)
                for index, prompt in enumerate(prompts[: len(prompts) // 4 * 4])
            ]
            for kind, prompts in prompts_of(FIRST).kinds.items()
        }
        for precision in ("f16", "int8")
    }


def test_clips_become_a_card(precisions, tmp_path) -> None:
    figures = figures_of(precisions)
    seen = precisions["f16"]["seen"]
    assert figures["f16"]["seen"]["adherence"] == adherence(seen) == 0.75
    assert sum(asked for _, asked in by_family(seen).values()) == len(seen)
    assert figures["f16"]["bare names"]["audible"] == 1
    text = markdown(figures, "python -m something")
    assert (
        "| seen | {0} | {0} |".format(f"75.0 % of {len(seen)}") in text
        and "python -m something" in text
        and text.count("| siren |") == 1
    )
    card = tmp_path / "MODEL_CARD.md"
    card.write_text("# A card\n{}\nold\n{}\nThe end.\n".format(*MARKS))
    for _ in range(2):  # a second time replaces the first
        put_into_card(card, text)
    assert card.read_text() == f"# A card\n{MARKS[0]}\n{text}{MARKS[1]}\nThe end.\n"
    card.write_text("no marks")
    with pytest.raises(EdgeAudioError, match="no place"):
        put_into_card(card, text)


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["--card"], "needs --out"),
        (["--seeds", "0"], "1 or more"),
        (["--precision", "f7"], "f7"),
        (["--bundled", "--out", "x"], "all prompts"),
    ],
)
def test_bad_arguments_are_refused(arguments, reason) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "models.training.evaluate", "models/pocket", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode != 0 and reason in run.stderr and "Traceback" not in run.stderr
