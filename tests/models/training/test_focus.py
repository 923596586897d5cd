"""Training on what does not come out as asked yet: clips of such families are drawn more often,
also after a kill.
"""

import numpy as np
import pytest
import torch

from models.training import data, focus
from models.training.design import CHECKPOINT, POCKET
from models.training.modules import Model
from models.training.sounds import FAMILIES

TOKENIZER = CHECKPOINT / data.TOKENIZER_FILE


def test_what_fails_is_drawn_more_often(tmp_path, monkeypatch) -> None:
    families = np.array(["tone", "rain", "tone", "beat"])
    asked = focus.Focus(POCKET, tmp_path / "table.csv", families, TOKENIZER, False, POCKET.sampling)
    assert asked.chances.tolist() == [1, 1, 1, 1]
    passed = np.array([float(name == "tone") for name in FAMILIES])
    monkeypatch.setattr(focus.Focus, "_heard", lambda self, model, rng, by_name, device: passed)
    assert asked.update(None, 10, "cpu") == pytest.approx(1 / len(FAMILIES))
    assert asked.chances.tolist() == [focus.LEAST, 1, focus.LEAST, 1]
    passed[list(FAMILIES).index("beat")] = 1
    asked.update(None, 20, "cpu")
    assert asked.chances.tolist() == pytest.approx(
        [focus.LEAST, 1, focus.LEAST, 1 - (1 - focus.LEAST) * (1 - focus.MEMORY)]
    )
    again = focus.Focus(POCKET, tmp_path / "table.csv", families, TOKENIZER, True, POCKET.sampling)
    assert torch.allclose(again.chances, asked.chances)
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 3
    anew = focus.Focus(POCKET, tmp_path / "table.csv", families, TOKENIZER, False, POCKET.sampling)
    assert anew.chances.tolist() == [1, 1, 1, 1] and not (tmp_path / "table.csv").exists()


def test_an_untrained_model_is_heard_to_fail(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(focus, "STEPS", 1)
    monkeypatch.setattr(focus, "ASKED", 1)
    torch.manual_seed(0)
    model = Model(POCKET.model_config, POCKET.t5_config(data.vocabulary_size(TOKENIZER))).eval()
    assert (
        focus.Focus(
            POCKET, tmp_path / "table.csv", np.array(["tone"]), TOKENIZER, False, POCKET.sampling
        ).update(model, 1, "cpu")
        < 0.3
    )
