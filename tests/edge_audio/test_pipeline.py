"""Clips of a pipeline: made of the stages as documented, of all that was asked for, and made again
from their recipe.
"""

import subprocess
import sys

import numpy as np
import pytest
import toy

from edge_audio import Bundle, Clip, Pipeline, Request, UsageError
from edge_audio.bundle.manifest import Defaults
from edge_audio.model.tokens import Tokenizer
from edge_audio.pipeline import MODEL_VARIABLE, Progress, default_model
from edge_audio.sampling.noise import NoiseStream
from edge_audio.sampling.samplers import SAMPLERS
from edge_audio.system.graph import Graph

FULL = toy.LENGTH * toy.DOWNSAMPLING


@pytest.fixture
def pipe(toy_bundle):
    return Pipeline.load(toy_bundle, precision="f32", threads=1)


def by_hand(
    folder, prompt, seed, seconds, cfg_scale=1.0, negative=None, sampler="pingpong", steps=4
):
    """The same clip, from the graphs alone."""
    graphs = {
        name: Graph(folder / f"{name}.f32.tflite") for name in ("conditioners", "dit", "decoder")
    }
    tokenizer, noise = Tokenizer(folder / "tokenizer.model", toy.PROMPT_LENGTH), NoiseStream(seed)

    def condition(text):
        tokens = tokenizer.encode(text)
        return graphs["conditioners"](
            "condition",
            input_ids=tokens.ids,
            attention_mask=tokens.mask,
            seconds_total=np.array([seconds], np.float32),
        )

    found = condition(prompt or "x")
    cond = found["cross_attn_cond"] if prompt else np.zeros_like(found["cross_attn_cond"])
    uncond = condition(negative)["cross_attn_cond"] if negative else np.zeros_like(cond)
    c, u = (
        graphs["dit"]("project", cross_attn_cond=k, global_cond=found["global_cond"])
        for k in (cond, uncond)
    )

    def v(x, t):
        at = np.array([t], np.float32)
        vc, vu = (graphs["dit"]("denoise", x=x, t=at, **k)["v"] for k in (c, u))
        return vu + cfg_scale * (vc - vu)

    x = noise.normal((1, toy.LENGTH, toy.CHANNELS))
    for step in SAMPLERS[sampler].sample(v, x, SAMPLERS[sampler].schedule(steps), noise.normal):
        x = step.x
    features = graphs["decoder"]("head", latents=x)["features"]
    half = toy.TILE * toy.PER_LATENT
    left, right = (
        graphs["decoder"]("tail", features=f)["audio"][0]
        for f in (features[:, :half], features[:, half:])
    )
    return np.concatenate([left, right])


def away_from_the_seam(samples):
    """`by_hand` decodes two tiles without overlap: around the seam between them it is not exact."""
    return np.delete(
        samples, slice(FULL // 2 - toy.DOWNSAMPLING, FULL // 2 + toy.DOWNSAMPLING), axis=0
    )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"cfg_scale": 2.0},
        {"cfg_scale": 2.0, "negative": "a bell"},
        {"sampler": "euler", "steps": 6},
        {"sampler": "rk4"},
        {"sampler": "dpmpp", "cfg_scale": 0.5},
    ],
)
@pytest.mark.parametrize("prompt", ["rain", ""])
def test_stages_are_chained_as_documented(toy_bundle, pipe, prompt, settings):
    clip = toy.generate(pipe, prompt, **settings)
    expected = by_hand(toy_bundle, prompt, 7, toy.FULL_SECONDS, **settings)
    assert clip.samples.shape == (FULL, 2) and clip.samples.dtype == np.float32
    np.testing.assert_allclose(
        away_from_the_seam(clip.samples), away_from_the_seam(expected), atol=1e-5
    )


def test_everything_that_is_asked_for_is_heard(pipe):
    """Each setting changes the clip; the same ones give the same samples."""
    base = toy.generate(pipe, cfg_scale=2.0).samples
    assert np.array_equal(base, toy.generate(pipe, cfg_scale=2.0).samples)
    for change in (
        {"prompt": "bell"},
        {"seed": 8},
        {"steps": 5},
        {"sampler": "euler"},
        {"cfg_scale": 1.5},
        {"negative": "wind"},
        {"seconds": 1.9},
    ):
        other = toy.generate(pipe, **{"prompt": "rain", "cfg_scale": 2.0, **change}).samples
        assert np.max(np.abs(base[: len(other)] - other)) > 1e-4, change


@pytest.mark.parametrize(
    "seconds, frames", [(None, 128), (2.0, 128), (1.0, 64), (0.99, 63), (1 / 64, 1), (1.234, 79)]
)
def test_exactly_the_seconds_that_were_asked_for(pipe, seconds, frames):
    clip = toy.generate(pipe, seconds=seconds)
    assert len(clip.samples) == frames and clip.sample_rate == 64


@pytest.mark.parametrize("seconds", [None, 1.0, 0.3])
def test_stream_gives_the_same_samples_in_blocks(pipe, seconds):
    blocks = list(pipe.stream("rain", seed=7, seconds=seconds))
    assert all(block.dtype == np.float32 and block.shape[1] == 2 for block in blocks)
    assert np.array_equal(np.concatenate(blocks), toy.generate(pipe, seconds=seconds).samples)
    assert len(blocks) > 1 or seconds


def test_stream_checks_at_once_and_runs_when_asked(pipe):
    with pytest.raises(UsageError):
        pipe.stream("rain", steps=0)
    stages = []
    stream = pipe.stream("rain", progress=lambda p: stages.append(p.stage))
    assert not stages
    assert len(next(stream)) == (toy.TILE - toy.OVERLAP) * toy.DOWNSAMPLING
    stream.close()
    toy.generate(pipe)


def test_ids_in_place_of_a_prompt(toy_bundle, ids_bundle, pipe):
    ids = Tokenizer(toy_bundle / "tokenizer.model", 8).encode("rain").ids[0].tolist()
    clip = toy.generate(Pipeline.load(ids_bundle, "f32", 1), None, ids=ids)
    assert np.array_equal(clip.samples, toy.generate(pipe).samples)
    assert clip.recipe["ids"] == ids and clip.recipe["prompt"] is None


def test_no_ids_are_an_empty_prompt(pipe):
    assert np.array_equal(toy.generate(pipe, None, ids=[]).samples, toy.generate(pipe, " ").samples)


def test_a_recipe_makes_the_clip_again(pipe, tmp_path):
    clip = toy.generate(
        pipe,
        "rain",
        seed=None,
        seconds=1.1,
        cfg_scale=1.7,
        negative="wind",
        sampler="dpmpp",
        steps=np.int64(3),
    )
    clip.save(tmp_path / "rain.wav")
    recipe = Clip.recipe_of(tmp_path / "rain.wav")
    again = toy.generate(pipe, Request.from_recipe(recipe), seed=recipe["seed"])
    assert np.array_equal(again.samples, clip.samples) and again.recipe == clip.recipe
    assert recipe == {
        "edge_audio": "0.1.0",
        "model": "toy",
        "bundle_sha256": Bundle.open(pipe.bundle.folder).sha256,
        "prompt": "rain",
        "ids": None,
        "negative": "wind",
        "seconds": 1.1,
        "seed": clip.recipe["seed"],
        "steps": 3,
        "sampler": "dpmpp",
        "cfg_scale": 1.7,
        "precision": dict.fromkeys(("conditioners", "dit", "decoder"), "f32"),
        "half": False,
        "threads": 1,
        "fit_length": False,
        "apg": 0.0,
        "pad_seconds": None,
        "limiter": False,
        "init": None,
        "strength": 1.0,
        "replace": [],
        "extend": 0.0,
        "extend_before": 0.0,
        "loop": False,
        "gain": 1.0,
    }


def test_fit_length_runs_on_the_shortest_latents_that_hold_the_clip(pipe, monkeypatch):
    asked, call = [], Graph.__call__
    monkeypatch.setattr(
        Graph,
        "__call__",
        lambda self, signature, **inputs: (
            asked.append(signature),
            call(self, signature, **inputs),
        )[1],
    )
    short, per_latent = toy.SHORT * toy.DOWNSAMPLING / toy.RATE, toy.DOWNSAMPLING / toy.RATE
    clip = toy.generate(pipe, seconds=short, fit_length=True)
    assert len(clip.samples) == toy.SHORT * toy.DOWNSAMPLING and clip.recipe["fit_length"] is True
    assert set(asked) == {"condition", "project", "denoise_8", "head_8", "tail"}
    assert np.array_equal(
        toy.generate(pipe, Request.from_recipe(clip.recipe)).samples, clip.samples
    )
    asked.clear()
    toy.generate(pipe, seconds=short + per_latent, fit_length=True)
    toy.generate(pipe, seconds=short)
    assert set(asked) == {"condition", "project", "denoise", "head", "tail"}


def test_a_model_that_learnt_to_fit_does_so_by_itself(own_bundle):
    toy.write_manifest(own_bundle, defaults=Defaults("euler", 2, 1.0, fit_length=True))
    pipe, short = Pipeline.load(own_bundle), toy.SHORT * toy.DOWNSAMPLING / toy.RATE
    fitted, whole = (
        pipe.generate("rain", seed=1, seconds=short, fit_length=f) for f in (None, False)
    )
    assert fitted.recipe["fit_length"] is True and whole.recipe["fit_length"] is False
    assert not np.array_equal(fitted.samples, whole.samples)


def test_blocks_are_handed_over_as_they_come(pipe):
    blocks = []
    clip = toy.generate(pipe, on_block=lambda block, left: blocks.append((block, left)))
    assert len(blocks) > 1 and [left for _, left in blocks] == [
        FULL - sum(len(b) for b, _ in blocks[: n + 1]) for n in range(len(blocks))
    ]
    assert np.array_equal(np.concatenate([block for block, _ in blocks]), clip.samples)


def test_a_recipe_of_ids_makes_the_clip_again(pipe):
    clip = toy.generate(pipe, None, ids=[5, 6, 1])
    assert np.array_equal(
        toy.generate(pipe, Request.from_recipe(clip.recipe)).samples, clip.samples
    )


def test_a_random_seed_is_told(pipe):
    seeds = {toy.generate(pipe, seed=None).recipe["seed"] for _ in range(3)}
    assert len(seeds) == 3 and all(0 <= seed < 2**31 for seed in seeds)


def test_defaults_come_from_the_manifest(own_bundle):
    toy.write_manifest(own_bundle, defaults=Defaults("dpmpp", 3, 1.5), objective="rectified_flow")
    recipe = toy.generate(Pipeline.load(own_bundle)).recipe
    assert (recipe["sampler"], recipe["steps"], recipe["cfg_scale"], recipe["seconds"]) == (
        "dpmpp",
        3,
        1.5,
        2.0,
    )


def test_progress_tells_every_stage(pipe):
    seen = []
    toy.generate(pipe, progress=seen.append)
    assert seen == [
        Progress("condition", 0, 1),
        Progress("condition", 1, 1),
        *(Progress("sample", n, 4) for n in range(5)),
        *(Progress("decode", n, 3) for n in range(4)),
    ]


def test_timings_cover_the_stages(pipe):
    timings = toy.generate(pipe).timings
    stages = ("condition", "sample", "decode")
    assert set(timings) == {f"{stage}_{part}" for stage in stages for part in ("load", "run")}
    assert all(seconds >= 0 for seconds in timings.values())


def test_the_default_model(toy_bundle, monkeypatch):
    assert default_model().name == "pocket"
    monkeypatch.setenv(MODEL_VARIABLE, str(toy_bundle))
    assert Pipeline.load().bundle.manifest.name == "toy"


def test_importing_is_light():
    heavy = ("ai_edge_litert", "sentencepiece", "soundfile", "tensorflow", "torch", "scipy")
    code = (
        f"import sys, edge_audio, edge_audio.cli; print([name for name in {heavy!r} if name in"
        " sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip()
        == "[]"
    )


def test_half_precision_can_be_chosen(toy_bundle):
    """On this CPU XNNPACK has no fp16 arithmetic, and the flag changes nothing but the engine."""
    plain, half = (Pipeline.load(toy_bundle, "f32", half=half) for half in (False, True))
    assert (plain.half, half.half) == (False, True)
    assert Pipeline.load(toy_bundle, "int8", half=True).half is False
    clip = half.generate("rain", seed=1)
    assert clip.recipe["half"] is True and np.allclose(
        clip.samples, plain.generate("rain", seed=1).samples, atol=1e-2
    )
