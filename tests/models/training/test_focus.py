"""Training on what does not come out as asked yet: clips of such families are drawn more often,
also after a kill.
"""

import numpy as np
import pytest
import torch

from models.training import asked, data, focus
from models.training.design import CHECKPOINT, POCKET
from models.training.modules import Model
from models.training.sounds import FAMILIES

TOKENIZER = CHECKPOINT / data.TOKENIZER_FILE


def test_what_fails_is_drawn_more_often(tmp_path, monkeypatch) -> None:
    families = np.array(["tone", "rain", "tone", "beat"])
    drawn = focus.Focus(POCKET, tmp_path / "table.csv", families, TOKENIZER, False, POCKET.sampling)
    assert drawn.chances.tolist() == [1, 1, 1, 1]
    passed = np.array([float(name == "tone") for name in FAMILIES])
    monkeypatch.setattr(focus.Focus, "_heard", lambda self, model, rng, by_name, device: passed)
    assert drawn.update(None, 10, "cpu") == pytest.approx(1 / len(FAMILIES))
    assert drawn.chances.tolist() == [focus.LEAST, 1, focus.LEAST, 1]
    passed[list(FAMILIES).index("beat")] = 1
    drawn.update(None, 20, "cpu")
    assert drawn.chances.tolist() == pytest.approx(
        [focus.LEAST, 1, focus.LEAST, 1 - (1 - focus.LEAST) * (1 - focus.MEMORY)]
    )
    again = focus.Focus(POCKET, tmp_path / "table.csv", families, TOKENIZER, True, POCKET.sampling)
    assert torch.allclose(again.chances, drawn.chances)
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 3
    anew = focus.Focus(POCKET, tmp_path / "table.csv", families, TOKENIZER, False, POCKET.sampling)
    assert anew.chances.tolist() == [1, 1, 1, 1] and not (tmp_path / "table.csv").exists()


def test_an_untrained_model_is_heard_to_fail(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(asked, "STEPS", 1)
    monkeypatch.setattr(focus, "ASKED", 1)
    torch.manual_seed(0)
    model = Model(POCKET.model_config, POCKET.t5_config(data.vocabulary_size(TOKENIZER))).eval()
    assert (
        focus.Focus(
            POCKET, tmp_path / "table.csv", np.array(["tone"]), TOKENIZER, False, POCKET.sampling
        ).update(model, 1, "cpu")
        < 0.3
    )


def test_a_checkpoint_is_asked_for_two_clips_of_every_family(capsys) -> None:
    said = []
    for steps in ("1", "8"):
        assert asked.main([str(CHECKPOINT), "--steps", steps]) == 0
        said.append(capsys.readouterr().out.splitlines())
    hasty, usual = (float(lines[-1].split("%")[0]) for lines in said)
    assert hasty < 40 and usual > 60
    assert f"of {2 * len(FAMILIES)} clips" in said[0][-1]
    # a line for each that failed, which says what was wrong
    failed = [line for line in said[0] if "(expected: " in line]
    assert len(failed) == round((1 - hasty / 100) * 2 * len(FAMILIES))


def test_what_begins_from_the_sounds_themselves_passes(capsys) -> None:
    assert asked.main([str(CHECKPOINT), "--strength", "0.3", "--steps", "2"]) == 0
    assert float(capsys.readouterr().out.splitlines()[-1].split("%")[0]) > 90


def test_what_is_no_checkpoint_is_not_asked(tmp_path, capsys) -> None:
    assert asked.main([str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err
    with pytest.raises(SystemExit):
        asked.main([str(CHECKPOINT), "--steps", "9"])
    with pytest.raises(SystemExit):
        asked.main([str(CHECKPOINT), "--strength", "0"])
