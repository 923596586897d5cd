"""The text encoder learns from captions how loud a sound is, where and when, and how it turns, and
goes on after a kill.
"""

import copy
import csv
import dataclasses

import numpy as np
import torch

from models.training import data, learners, train_dit, train_text
from models.training.design import POCKET
from models.training.examples import Examples
from models.training.modules import Model

DESIGN = dataclasses.replace(POCKET, width=32, depth=1, heads=1, latents=8)
STEPS = 150


def test_loudness_is_told_of_every_latent_and_of_all_together():
    latents = np.zeros((2, 128), "float16")
    latents[1, 64:96] = 3
    told, within = train_text.to_tell(latents, 96)
    spans, turns = sum(edge < 128 for edge in train_text.EDGES), 2 * len(train_dit.LAGS)
    assert told.shape == within.shape == (2 * spans + 128 // train_text.BEAT + turns,)
    told, within = told[:-turns], within[:-turns]
    silent, half = np.log(train_text.SILENCE), np.log(9 / 2 + train_text.SILENCE)
    assert np.allclose(told[: 2 * spans - 1], silent)
    assert np.allclose(told[2 * spans - 1], half)  # 64 latents, of which half are silent
    beats = told[2 * spans :]
    assert np.allclose(beats[16:24], half) and np.allclose(np.delete(beats, range(16, 24)), silent)
    assert within[: 2 * spans].all() and within[2 * spans :].sum() == 96 // train_text.BEAT


def test_a_tone_tells_how_it_turns():
    turn = 0.7  # radians from a latent to the next
    tone = 2 * np.cos(turn * np.arange(256) + 1)[None].astype(np.float32)
    expected = np.cos(turn * np.array(train_dit.LAGS))
    told, _ = train_text.to_tell(tone, 256)
    assert np.allclose(told[-len(expected) :], expected, atol=0.03)
    heard = train_dit.heard(torch.from_numpy(tone)[None])[0, 1:, 0, 8:-8]
    assert np.allclose(heard.mean(1), expected, atol=0.03)
    assert np.allclose(heard, expected[:, None], atol=0.25)  # nine latents are few


def test_words_come_to_say_what_they_sound_like(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(train_text, "BATCH", 64)
    monkeypatch.setattr(learners, "WARM_UP", 20)
    rng = np.random.default_rng(0)
    word, other = rng.integers(2, 10, (2, 400))
    ids = np.zeros((400, 1, 24), np.int64)
    ids[:, 0, 0], ids[:, 0, 1] = word, 10 + other
    clips = data.Clips(None, [("",)] * 400, ids, (ids > 0).astype(int), np.full(400, 4.0))
    # a word says which latent is loud, the other how long
    latents = np.zeros((400, 8, 128), "float16")
    for row in range(400):
        latents[row, word[row] - 2, : 8 * other[row]] = 2
    examples = Examples(DESIGN, clips, latents, "cpu", held_back=40)
    torch.manual_seed(0)
    model = Model(DESIGN.model_config, DESIGN.t5_config(DESIGN.pieces))
    same = copy.deepcopy(model)
    train_text.train(examples, model, tmp_path, STEPS)
    said = capsys.readouterr().out
    assert int(said.split("differ, ")[1].split("%")[0]) > 80
    losses = [float(row["loss"]) for row in csv.DictReader((tmp_path / "text.csv").open())]
    assert losses[-1] < 0.2 < losses[0]
    # all steps are done: the same command takes what was learnt
    train_text.train(examples, same, tmp_path, STEPS)
    for a, b in zip(model.t5.parameters(), same.t5.parameters()):
        assert torch.equal(a, b)
