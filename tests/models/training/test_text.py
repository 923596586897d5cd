"""The text encoder and the first block learn from captions and positions what is heard at a latent,
and go on after a kill.
"""

import copy
import csv
import dataclasses

import numpy as np
import pytest
import torch

from models.training import data, learners, train_dit, train_text
from models.training.design import POCKET
from models.training.echo import LAGS, Echo, audibility, heard
from models.training.examples import Examples
from models.training.modules import Model

DESIGN = dataclasses.replace(POCKET, width=32, depth=1, heads=1, latents=8, positions=True)
STEPS = 240


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Model(DESIGN.model_config, DESIGN.t5_config(DESIGN.pieces))


def examples_of(latents, ids=None):
    count = len(latents)
    ids = np.ones((count, 1, 24), np.int64) if ids is None else ids
    clips = data.Clips(None, [("",)] * count, ids, (ids > 0).astype(int), np.full(count, 4.0))
    return Examples(DESIGN, clips, latents, "cpu", held_back=count // 10)


def test_a_tone_tells_how_it_turns():
    turn = 0.7  # radians from a latent to the next
    tone = 20 * np.cos(turn * np.arange(256) + 1)[None].astype(np.float32)
    expected = np.cos(turn * np.array(LAGS))
    turns = heard(torch.from_numpy(tone)[None])[0, 1:, 0, 8:-8]
    assert np.allclose(turns.mean(1), expected, atol=0.03)
    assert np.allclose(turns, expected[:, None], atol=0.25)  # nine latents are few
    # what is hardly there does not turn
    assert heard(torch.from_numpy(tone / 1000)[None])[0, 1:].abs().max() < 0.01


def test_places_are_heard_as_the_whole_is():
    rng = np.random.default_rng(3)
    latents = rng.standard_normal((20, 8, DESIGN.latent_length)).astype("float16")
    rows, last = torch.tensor([3, 0, 7]), DESIGN.latent_length - 1
    places = torch.tensor([[0, 1, 4, 50], [last, last - 1, last - 4, last - 9], [5, 5, 80, 6]])
    told = train_text.heard_at(examples_of(latents), rows, places)
    whole = heard(torch.from_numpy(latents[rows.numpy()].astype("float32")))
    for row in range(3):
        assert torch.allclose(told[row], whole[row][..., places[row]], atol=1e-5)


def test_the_first_block_reads_and_writes_where_no_noise_arrives(model):
    echo = Echo(DESIGN.width, DESIGN.latents)
    torch.nn.init.normal_(echo.read.weight)
    words = train_text.begin(model, echo)
    quiet = words.quiet
    assert round(quiet.trace().item()) == DESIGN.width - DESIGN.latents - 1
    latents = torch.randn(2, DESIGN.latents, 5)
    arrives = model.dit.arrive(latents)
    assert (arrives @ quiet).abs().max() < 1e-4 < arrives.abs().max()
    context, at = torch.randn(2, 3, DESIGN.text_dim), torch.arange(5).expand(2, 5)
    told = words.tell(context, arrives, at)
    # noise passes through as it came
    added = told - arrives
    assert torch.allclose(added @ quiet, added, atol=1e-4)
    # as much noise of another kind: the same is said
    turned = model.dit.arrive(-latents)
    assert torch.allclose(words.tell(context, turned, at) - turned, added, atol=1e-3)
    # and in the transformer as well, whose first position is the token's
    layer = model.dit.transformer.layers[0]
    x = torch.cat([torch.zeros(2, 1, DESIGN.width), arrives], 1) + model.dit.transformer.pos_emb(6)
    angles = model.dit.transformer.rotary_pos_emb(6)
    inside = layer(x, model.dit.to_cond_embed(context), angles)
    assert torch.allclose(inside[:, 1:], told, atol=1e-4)


@pytest.fixture
def examples(monkeypatch):
    """Sounds of two words each."""
    for module in (train_text, train_dit):
        monkeypatch.setattr(module, "CAPTIONS", 32)
    monkeypatch.setattr(learners, "LEARNING_RATE", 1e-2)
    monkeypatch.setattr(learners, "MUON_LEARNING_RATE", 5e-3)
    monkeypatch.setattr(learners, "WARM_UP", 10)
    rng = np.random.default_rng(0)
    word, other = rng.integers(2, 10, (2, 400))
    ids = np.zeros((400, 1, 24), np.int64)
    ids[:, 0, 0], ids[:, 0, 1] = word, 10 + other
    # a word says which latent is loud, the other how long
    latents = np.zeros((400, 8, DESIGN.latent_length), "float16")
    for row in range(400):
        latents[row, word[row] - 2, : 8 * other[row]] = 2
    return examples_of(latents, ids)


def test_words_come_to_say_what_they_sound_like(examples, model, tmp_path, capsys):
    same = copy.deepcopy(model)
    echo = train_text.train(examples, model, tmp_path, STEPS)
    said = capsys.readouterr().out
    assert int(said.split("differ, ")[1].split("%")[0]) > 80
    losses = [float(row["loss"]) for row in csv.DictReader((tmp_path / "text.csv").open())]
    assert losses[-1] < 0.2 < losses[0]
    # all steps are done: the same command takes what was learnt
    again = train_text.train(examples, same, tmp_path, STEPS)
    for a, b in zip(
        (*model.parameters(), *echo.parameters()), (*same.parameters(), *again.parameters())
    ):
        assert torch.equal(a, b)


def test_words_go_on_learning_beside_the_transformer(examples, model, tmp_path, monkeypatch):
    monkeypatch.setattr(train_dit, "EMA_DECAY", 0.9)  # or the average knows little after so few
    losses = []
    for words in (False, True):
        pupil, echo = copy.deepcopy(model), Echo(DESIGN.width, DESIGN.latents)
        folder = tmp_path / str(words)
        folder.mkdir()
        train_dit.train(examples, pupil, folder, 100, echo=echo, words=words)
        torch.manual_seed(0)
        lesson = train_text.Lesson(examples, pupil, echo, audibility(pupil.autoencoder))
        losses.append(lesson.loss(torch.arange(200))[0].item())
    alone, beside = losses
    assert beside < 0.7 * alone
