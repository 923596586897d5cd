"""Sessions: what several threads, several seeds and replayed noise get of one model."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import toy

from edge_audio import EdgeAudioError, Pipeline, Request, UsageError
from edge_audio.audio.limiter import CEILING
from edge_audio.bundle.precision import PRECISIONS
from edge_audio.sampling.noise import NoiseStream
from edge_audio.sampling.replay import replayed
from edge_audio.session import Block, Progress, Sampled, Session
from edge_audio.system.graph import Graph


@pytest.fixture
def pipe(toy_bundle):
    return Pipeline.load(toy_bundle, precision="f32", threads=1)


@pytest.fixture
def calls(monkeypatch):
    """Signatures that graphs were run with, in order."""
    ran, call = [], Graph.__call__

    def counted(self, signature, **inputs):
        ran.append(signature)
        return call(self, signature, **inputs)

    monkeypatch.setattr(Graph, "__call__", counted)
    return ran


def test_what_the_prompt_made_serves_the_next_seed(pipe, calls) -> None:
    first = pipe.generate("rain", seed=1, cfg_scale=1.5)
    assert calls.count("condition") == 1 and calls.count("project") == 2
    calls.clear()
    second = pipe.generate("rain", seed=2, cfg_scale=1.5)
    assert "condition" not in calls and "project" not in calls and calls.count("denoise") == 8
    calls.clear()
    pipe.generate("rain", seed=2, cfg_scale=1.5, seconds=1)  # the seconds are conditioning as well
    assert calls.count("condition") == 1
    fresh = Pipeline.load(pipe.bundle.folder, precision="f32", threads=1)
    for seed, clip in ((1, first), (2, second)):
        again = fresh.generate("rain", seed=seed, cfg_scale=1.5)
        assert np.array_equal(again.samples, clip.samples)


def test_a_limiter_acts_while_the_clip_is_made(pipe, monkeypatch) -> None:
    """It says so, the recipe has it, and what streams is what is made at once."""
    decode = Session.decode
    peak = pipe.generate("rain", seed=1).peak

    def loud(self, latents):
        return (block * (4 / peak) for block in decode(self, latents))

    monkeypatch.setattr(Session, "decode", loud)
    plain = pipe.generate("rain", seed=1)
    assert plain.peak == pytest.approx(4) and not [n for n in plain.notes if n.kind == "limiter"]
    clip = pipe.generate("rain", seed=1, limiter=True)
    assert clip.peak <= CEILING * (1 + 1e-6) and clip.recipe["limiter"] is True
    (note,) = (note.text for note in clip.notes if note.kind == "limiter")
    assert note == "the limiter turned down peaks of up to 12.0 dB above full scale"
    stream = pipe.stream(Request.from_recipe(clip.recipe))
    assert np.array_equal(np.concatenate(list(stream)), clip.samples)
    assert note in [said.text for said in stream.notes]
    with pytest.raises(UsageError, match="limiter 'on' is neither True nor False"):
        pipe.generate("rain", limiter="on")


@pytest.mark.parametrize("memory", ["free", "all"])
def test_several_threads_share_a_model(toy_bundle, memory) -> None:
    asked = [(f"{prompt} {n}", n) for prompt in ("rain", "a bell") for n in range(6)]
    alone = Pipeline.load(toy_bundle, precision="f32", threads=1)
    expected = [alone.generate(prompt, seed=seed).samples for prompt, seed in asked]
    pipe = Pipeline.load(toy_bundle, precision="f32", threads=1, memory=memory)
    with pipe, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: pipe.generate(one[0], seed=one[1]).samples, asked))
    for one, other in zip(expected, found, strict=True):
        assert np.array_equal(one, other)


def test_interleaved_streams_leave_nothing_open(pipe) -> None:
    one, other = pipe.stream("rain", seed=1), pipe.stream("a bell", seed=2)
    heads = next(one), next(other)
    blocks = [heads[1], *other]
    one.close()
    assert np.array_equal(np.concatenate(blocks), pipe.generate("a bell", seed=2).samples)
    assert not pipe.model._graphs


def test_a_budget_keeps_what_fits(toy_bundle) -> None:
    sizes = {
        name: entries["f32"].bytes for name, entries in toy.manifest(toy_bundle).graphs.items()
    }
    pipe = Pipeline.load(toy_bundle, "f32", 1, memory=sizes["dit"] + sizes["decoder"])
    pipe.generate("rain", seed=1)
    assert list(pipe.model._graphs) == ["dit", "decoder"]  # those that were used last
    pipe.close()
    assert not pipe.model._graphs
    for wrong in ("much", -1, True):
        with pytest.raises(UsageError, match="is no budget"):
            Pipeline.load(toy_bundle, memory=wrong)


def test_events_tell_the_whole_story(pipe) -> None:
    seen = []
    session = Session(pipe.model, pipe.settings("rain", seed=1), watch=seen.append)
    events = list(session)
    assert events[0] == Progress("condition", 0, 1) and isinstance(events[-1], Progress)
    steps = [event.step for event in events if isinstance(event, Sampled)]
    assert len(steps) == 4 and np.array_equal(steps[-1].x, session.latents)
    blocks = [event for event in events if isinstance(event, Block)]
    assert blocks[-1].left == 0
    clip = pipe.generate("rain", seed=1)
    assert np.array_equal(np.concatenate([block.samples for block in blocks]), clip.samples)
    assert [called.stage for called in seen if called.stage != "tail"] == [
        "condition",
        "project",
        *["denoise"] * 4,
        "head",
    ]
    assert {name for called in seen for name in called.outputs} >= {"v", "features", "audio"}


def draws(count: int, seed: int = 7) -> np.ndarray:
    stream = NoiseStream(seed)
    return np.concatenate([stream.normal((1, toy.LENGTH, toy.CHANNELS)) for _ in range(count)])


def test_noise_from_outside_makes_the_same_clip(pipe, tmp_path) -> None:
    clip = pipe.generate("rain", seed=7)
    np.save(tmp_path / "draws.npy", draws(5))  # the first latents, and one draw a step
    again = pipe.generate("rain", noise=replayed(tmp_path / "draws.npy"))
    assert np.array_equal(clip.samples, again.samples)
    assert np.array_equal(clip.latents, again.latents)
    assert clip.latents.shape == (1, toy.LENGTH, toy.CHANNELS)
    assert again.recipe["noise"] == "given" and "noise" not in clip.recipe


def cli(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "edge_audio.cli", "generate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_replay_on_the_command_line(toy_bundle, tmp_path) -> None:
    np.save(tmp_path / "draws.npy", draws(5))
    out = tmp_path / "clip.wav", tmp_path / "latents.npy"
    made = cli(
        "rain",
        "--model",
        toy_bundle,
        "--precision",
        "f32",
        "-o",
        out[0],
        "--latents",
        out[1],
        "--noise",
        tmp_path / "draws.npy",
        "--json",
    )
    assert made.returncode == 0, made.stderr
    clip = Pipeline.load(toy_bundle, "f32").generate("rain", seed=7)
    assert np.allclose(np.load(out[1]), clip.latents[0], atol=1e-6)
    assert np.load(out[1]).dtype == np.float32
    assert json.loads(made.stdout)["recipe"]["noise"] == "given"


@pytest.mark.parametrize(
    "array, message",
    [
        (np.zeros((5, 16, 4)), "float64 .*; draws are float32"),
        (np.zeros((5, 16), np.float32), "draws are float32"),
        (np.zeros((5, 9, 4), np.float32), r"draws of \[9, 4\], the model needs \[16, 4\]"),
        (np.zeros((2, 16, 4), np.float32), "has 2 draws, and the sampler needs more"),
        (np.full((5, 16, 4), np.nan, np.float32), "not numbers"),
        (np.array([{}], dtype=object), "holds no array"),
    ],
)
def test_draws_that_cannot_be_used(pipe, tmp_path, array, message) -> None:
    np.save(tmp_path / "draws.npy", array, allow_pickle=True)
    with pytest.raises(EdgeAudioError, match=message):
        pipe.generate("rain", noise=replayed(tmp_path / "draws.npy"))


def test_array_files_are_checked_before_anything_runs(toy_bundle, tmp_path) -> None:
    for arguments, message in (
        (["--latents", tmp_path / "x.wav"], "does not end in .npy"),
        (["--latents", tmp_path / "absent" / "x.npy"], "is no folder"),
        (["--noise", tmp_path / "absent.npy"], "holds no array"),
    ):
        done = cli("rain", "--model", toy_bundle, "-o", tmp_path / "c.wav", *arguments)
        assert done.returncode in (1, 2) and message in done.stderr, done.stderr
        assert not list(tmp_path.glob("*.wav"))


def test_a_recipe_goes_back_into_a_pipeline(toy_bundle) -> None:
    recipe = Pipeline.load(toy_bundle, "int8", 1).generate("rain", seed=1).recipe
    assert set(recipe["precision"].values()) <= set(PRECISIONS)
    assert Pipeline.load(toy_bundle, recipe["precision"]).precision == recipe["precision"]


def test_padding_inside_ids_is_an_id(pipe) -> None:
    tokens = pipe.tokens(pipe.settings(ids=(5, 0, 7, 1)))
    assert tokens.mask[0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    tokens = pipe.tokens(pipe.settings(ids=(5, 7, 1, 0, 0)))
    assert tokens.mask[0].tolist() == [1, 1, 1, 0, 0, 0, 0, 0] and tokens.count == 3
