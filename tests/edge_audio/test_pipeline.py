import dataclasses
import math
import re
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
import toy

from edge_audio import (
    Bundle,
    Cancelled,
    Clip,
    EdgeAudioError,
    EdgeAudioWarning,
    Pipeline,
    Request,
    UsageError,
)
from edge_audio.bundle.manifest import Defaults, Latent
from edge_audio.bundle.store import file_entry
from edge_audio.model.tokens import Tokenizer
from edge_audio.pipeline import MODEL_VARIABLE, Progress, default_model
from edge_audio.sampling.noise import NoiseStream
from edge_audio.sampling.samplers import SAMPLERS
from edge_audio.system.device import Memory
from edge_audio.system.graph import Graph

FULL = toy.LENGTH * toy.DOWNSAMPLING


@pytest.fixture
def pipe(toy_bundle):
    return Pipeline.load(toy_bundle, precision="f32", threads=1)


def make(pipe, prompt="rain", **settings):
    """Generate without the warnings that are not the test's subject."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdgeAudioWarning)
        return pipe.generate(prompt, **{"seed": 7, **settings})


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
    clip = make(pipe, prompt, **settings)
    expected = by_hand(toy_bundle, prompt, 7, toy.FULL_SECONDS, **settings)
    assert clip.samples.shape == (FULL, 2) and clip.samples.dtype == np.float32
    np.testing.assert_allclose(
        away_from_the_seam(clip.samples), away_from_the_seam(expected), atol=1e-5
    )


def test_everything_that_is_asked_for_is_heard(pipe):
    """Each setting changes the clip; the same ones give the same samples."""
    base = make(pipe, cfg_scale=2.0).samples
    assert np.array_equal(base, make(pipe, cfg_scale=2.0).samples)
    for change in (
        {"prompt": "bell"},
        {"seed": 8},
        {"steps": 5},
        {"sampler": "euler"},
        {"cfg_scale": 1.5},
        {"negative": "wind"},
        {"seconds": 1.9},
    ):
        other = make(pipe, **{"prompt": "rain", "cfg_scale": 2.0, **change}).samples
        assert np.max(np.abs(base[: len(other)] - other)) > 1e-4, change


@pytest.mark.parametrize(
    "seconds, frames", [(None, 128), (2.0, 128), (1.0, 64), (0.99, 63), (1 / 64, 1), (1.234, 79)]
)
def test_exactly_the_seconds_that_were_asked_for(pipe, seconds, frames):
    clip = make(pipe, seconds=seconds)
    assert len(clip.samples) == frames and clip.sample_rate == 64


@pytest.mark.parametrize("seconds", [None, 1.0, 0.3])
def test_stream_gives_the_same_samples_in_blocks(pipe, seconds):
    blocks = list(pipe.stream("rain", seed=7, seconds=seconds))
    assert all(block.dtype == np.float32 and block.shape[1] == 2 for block in blocks)
    assert np.array_equal(np.concatenate(blocks), make(pipe, seconds=seconds).samples)
    assert len(blocks) > 1 or seconds


def test_stream_checks_at_once_and_runs_when_asked(pipe):
    with pytest.raises(UsageError):
        pipe.stream("rain", steps=0)
    stages = []
    stream = pipe.stream("rain", progress=lambda p: stages.append(p.stage))
    assert not stages
    assert len(next(stream)) == (toy.TILE - toy.OVERLAP) * toy.DOWNSAMPLING
    stream.close()
    make(pipe)


def test_ids_in_place_of_a_prompt(toy_bundle, ids_bundle, pipe):
    ids = Tokenizer(toy_bundle / "tokenizer.model", 8).encode("rain").ids[0].tolist()
    clip = make(Pipeline.load(ids_bundle, "f32", 1), None, ids=ids)
    assert np.array_equal(clip.samples, make(pipe).samples)
    assert clip.recipe["ids"] == ids and clip.recipe["prompt"] is None


def test_no_ids_are_an_empty_prompt(pipe):
    assert np.array_equal(make(pipe, None, ids=[]).samples, make(pipe, " ").samples)


def test_a_recipe_makes_the_clip_again(pipe, tmp_path):
    clip = make(
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
    again = make(pipe, Request.from_recipe(recipe), seed=recipe["seed"])
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
    clip = make(pipe, seconds=short, fit_length=True)
    assert len(clip.samples) == toy.SHORT * toy.DOWNSAMPLING and clip.recipe["fit_length"] is True
    assert set(asked) == {"condition", "project", "denoise_8", "head_8", "tail"}
    assert np.array_equal(make(pipe, Request.from_recipe(clip.recipe)).samples, clip.samples)
    asked.clear()
    make(pipe, seconds=short + per_latent, fit_length=True)
    make(pipe, seconds=short)
    assert set(asked) == {"condition", "project", "denoise", "head", "tail"}


def test_fit_length_without_lengths_says_so(own_bundle):
    toy.write_manifest(own_bundle, latent=Latent(toy.LENGTH, toy.CHANNELS, toy.DOWNSAMPLING))
    pipe = Pipeline.load(own_bundle, threads=1)
    clip = pipe.generate("rain", seed=1, seconds=0.5, fit_length=True)
    assert [note.kind for note in clip.notes] == ["fit_length"]
    assert re.search("exported with one latent length, .*--latent-lengths", str(clip.notes[0]))


def test_blocks_are_handed_over_as_they_come(pipe):
    blocks = []
    clip = make(pipe, on_block=lambda block, left: blocks.append((block, left)))
    assert len(blocks) > 1 and [left for _, left in blocks] == [
        FULL - sum(len(b) for b, _ in blocks[: n + 1]) for n in range(len(blocks))
    ]
    assert np.array_equal(np.concatenate([block for block, _ in blocks]), clip.samples)


def test_a_recipe_of_ids_makes_the_clip_again(pipe):
    clip = make(pipe, None, ids=[5, 6, 1])
    assert np.array_equal(make(pipe, Request.from_recipe(clip.recipe)).samples, clip.samples)


@pytest.mark.parametrize("recipe", [{}, {"prompt": "rain"}, {"seed": 3}])
def test_what_is_no_recipe(recipe):
    with pytest.raises(EdgeAudioError, match="has no prompt or no seed"):
        Request.from_recipe(recipe)


def test_a_random_seed_is_told(pipe):
    seeds = {make(pipe, seed=None).recipe["seed"] for _ in range(3)}
    assert len(seeds) == 3 and all(0 <= seed < 2**31 for seed in seeds)


def test_defaults_come_from_the_manifest(own_bundle):
    toy.write_manifest(own_bundle, defaults=Defaults("dpmpp", 3, 1.5), objective="rectified_flow")
    recipe = make(Pipeline.load(own_bundle)).recipe
    assert (recipe["sampler"], recipe["steps"], recipe["cfg_scale"], recipe["seconds"]) == (
        "dpmpp",
        3,
        1.5,
        2.0,
    )


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"steps": 0}, "steps 0 makes no sound; use a whole number from 1"),
        ({"steps": 2.5}, "steps 2.5"),
        ({"cfg_scale": math.nan}, "cfg nan is not a finite number; use 1"),
        ({"cfg_scale": math.inf}, "cfg inf is not a finite number"),
        ({"seconds": 0}, "seconds 0 is no duration; use more than 0, at most 2"),
        ({"seconds": -1.0}, "seconds -1.0 is no duration"),
        ({"seconds": math.nan}, "seconds nan is no duration"),
        ({"seconds": math.inf}, "seconds inf is no duration"),
        ({"seconds": 0.001}, "seconds 0.001 is shorter than one sample; use at least 0.015625"),
        ({"sampler": "heun"}, "sampler 'heun' is unknown; use one of pingpong, euler, dpmpp, rk4"),
        ({"seed": -1}, "seed -1 is not usable; choose"),
        ({"seed": 2**63}, "seed 9223372036854775808 is not usable"),
        ({"prompt": None}, "give either a prompt or ids"),
        ({"ids": [1]}, "give either a prompt or ids"),
        ({"prompt": None, "ids": [-1]}, "ids must be whole numbers from 0"),
        ({"prompt": "\udcff"}, "no text; write it in UTF-8"),
    ],
)
def test_wrong_usage(pipe, settings, message):
    with pytest.raises(UsageError, match=message):
        pipe.generate(**{"prompt": "rain", **settings})


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"seconds": 2.01}, "seconds 2.01 is more than model toy can make; use at most 2"),
        ({"prompt": None, "ids": range(9)}, "9 ids are more than model toy reads; give at most 8"),
        ({"prompt": None, "ids": [10**6]}, "conditioners.f32.tflite failed in signature condition"),
    ],
)
def test_what_this_model_cannot(pipe, settings, message):
    with pytest.raises(EdgeAudioError, match=message) as raised:
        pipe.generate(**{"prompt": "rain", **settings})
    assert not isinstance(raised.value, UsageError)
    make(pipe)


def test_unknown_settings_are_refused(pipe):
    with pytest.raises(UsageError, match="setting 'cfg' is unknown; did you mean cfg_scale?"):
        pipe.generate("rain", cfg=3)
    with pytest.raises(UsageError, match="prompt 5 is no text"):
        pipe.generate(5)


@pytest.mark.parametrize(
    "settings", [{"prompt": "rain"}, {"prompt": None, "ids": [5, 1], "negative": "wind"}]
)
def test_a_bundle_without_tokenizer_needs_ids(ids_bundle, settings):
    with pytest.raises(
        EdgeAudioError, match="model toy has no tokenizer and cannot read .*; give token ids"
    ):
        Pipeline.load(ids_bundle).generate(**settings)


@pytest.mark.parametrize(
    "settings, messages",
    [
        ({}, []),
        ({"cfg_scale": 2.0}, []),
        ({"prompt": ""}, ["the prompt is empty; generating without one"]),
        (
            {"prompt": "  ", "cfg_scale": 4},
            ["the prompt is empty; generating without one and without cfg 4"],
        ),
        (
            {"prompt": "rain on a roof " * 700},
            ["the prompt has .* tokens and was cut to the 8 that .*; shorten it"],
        ),
        (
            {"cfg_scale": 7},
            [
                "cfg 7 overdrives a post-trained model; this model was made for pingpong, 4 steps,"
                " cfg 1"
            ],
        ),
        (
            {"sampler": "euler", "steps": 30},
            ["euler with 30 steps .*; this model was made for pingpong, 4 steps, cfg 1"],
        ),
        ({"sampler": "euler", "steps": 29}, []),
        (
            {"seconds": 1.9},
            [
                "1.9 seconds is outside what the model was trained on; it will hear 1.5, use 0.25"
                " to 1.5"
            ],
        ),
        ({"seconds": 0.1}, ["0.1 seconds is outside .* it will hear 0.25"]),
        ({"negative": "wind"}, ["the negative prompt has no effect at cfg 1"]),
        (
            {"negative": "wind " * 99, "cfg_scale": 2},
            ["the negative prompt has .* tokens and was cut to the 8"],
        ),
    ],
)
def test_advice_is_given_once(pipe, settings, messages):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clip = pipe.generate(**{"prompt": "rain", **settings})
    assert len(clip.notes) == len(messages) and len(clip.samples)
    for note, message in zip(clip.notes, messages):
        assert re.search(message, note.text)


def test_other_objectives_want_guidance(own_bundle):
    toy.write_manifest(own_bundle, objective="rectified_flow")
    pipe = Pipeline.load(own_bundle)
    assert pipe.generate("rain", cfg_scale=7, sampler="euler", steps=30).notes == ()


def test_progress_tells_every_stage(pipe):
    seen = []
    make(pipe, progress=seen.append)
    assert seen == [
        Progress("condition", 0, 1),
        Progress("condition", 1, 1),
        *(Progress("sample", n, 4) for n in range(5)),
        *(Progress("decode", n, 3) for n in range(4)),
    ]


@pytest.mark.parametrize("memory", ["free", "all", "fit", 10_000])
@pytest.mark.parametrize(
    "at",
    [
        ("condition", 0),
        ("condition", 1),
        ("sample", 0),
        ("sample", 2),
        ("decode", 0),
        ("decode", 1),
    ],
)
def test_cancelling_leaves_a_clean_state(toy_bundle, at, memory):
    with Pipeline.load(toy_bundle, "f32", 1, memory=memory) as pipe:
        with pytest.raises(Cancelled, match=f"cancelled in stage {at[0]} after step {at[1]}"):
            make(pipe, progress=lambda p: (p.stage, p.step) != at)
        with pytest.raises(ZeroDivisionError):
            make(pipe, progress=lambda p: 1 / 0 if (p.stage, p.step) == at else None)
        assert np.array_equal(make(pipe).samples, make(Pipeline.load(toy_bundle, "f32", 1)).samples)


@pytest.fixture
def open_graphs(monkeypatch):
    """Names of the graphs that are open, and of all that were opened."""
    now, ever = [], []
    load, close = Graph.__init__, Graph.close

    def counted_load(self, path, *more):
        load(self, path, *more)
        now.append(path.name)
        ever.append(path.name)

    def counted_close(self):
        now.remove(self.path.name)
        close(self)

    monkeypatch.setattr(Graph, "__init__", counted_load)
    monkeypatch.setattr(Graph, "close", counted_close)
    return now, ever


def test_each_graph_is_freed_after_its_stage(pipe, open_graphs):
    now, ever = open_graphs
    most = []
    make(pipe, progress=lambda p: most.append(len(now)))
    assert (
        now == []
        and max(most) == 1
        and ever == ["conditioners.f32.tflite", "dit.f32.tflite", "decoder.f32.tflite"]
    )
    next(stream := pipe.stream("rain"))
    assert now == ["decoder.f32.tflite"]
    stream.close()
    assert now == []


def test_kept_graphs_are_opened_once(toy_bundle, open_graphs):
    now, ever = open_graphs
    with Pipeline.load(toy_bundle, memory="all") as pipe:
        first, second = make(pipe), make(pipe)
        assert len(ever) == len(now) == 3
    assert now == [] and np.array_equal(first.samples, second.samples)


def test_timings_cover_the_stages(pipe):
    timings = make(pipe).timings
    stages = ("condition", "sample", "decode")
    assert set(timings) == {f"{stage}_{part}" for stage in stages for part in ("load", "run")}
    assert all(seconds >= 0 for seconds in timings.values())


@pytest.mark.parametrize(
    "component, signature, output",
    [
        ("conditioners", "condition", "global_cond"),
        ("dit", "denoise", "v"),
        ("decoder", "tail", "audio"),
    ],
)
def test_values_that_are_not_numbers(pipe, monkeypatch, component, signature, output):
    run = Graph.__call__

    def broken(self, name, **inputs):
        found = run(self, name, **inputs)
        return {**found, output: found[output] * np.nan} if name == signature else found

    monkeypatch.setattr(Graph, "__call__", broken)
    with pytest.raises(
        EdgeAudioError, match=f"the {component} graph in f32 gave values that are not numbers; try"
    ):
        make(pipe)


def test_a_graph_in_the_place_of_another(own_bundle):
    shutil.copy(own_bundle / "decoder.f32.tflite", own_bundle / "dit.f32.tflite")
    toy.write_manifest(own_bundle)
    with pytest.raises(
        EdgeAudioError, match="dit.f32.tflite has signatures head, head_8, tail, a dit graph needs"
    ):
        make(Pipeline.load(own_bundle, "f32"))


def test_a_graph_of_another_size(own_bundle):
    toy.write_manifest(
        own_bundle, latent=dataclasses.replace(toy.manifest(own_bundle).latent, length=32)
    )
    with pytest.raises(
        EdgeAudioError,
        match=r"dit.f32.tflite has x \[1, 16, 4\] in signature denoise, the .* says \[1, 32, 4\]",
    ):
        make(Pipeline.load(own_bundle, "f32"))


def test_a_damaged_graph_that_the_manifest_vouches_for(own_bundle):
    path = own_bundle / "decoder.f32.tflite"
    path.write_bytes(path.read_bytes()[:1000])
    toy.write_manifest(own_bundle)
    with pytest.raises(
        EdgeAudioError, match="decoder.f32.tflite is not a graph that LiteRT can run"
    ):
        make(Pipeline.load(own_bundle, "f32"))


def test_a_damaged_tokenizer(own_bundle):
    (own_bundle / "tokenizer.model").write_bytes(b"x" * 100)
    toy.write_manifest(own_bundle)
    assert toy.manifest(own_bundle).prompt.tokenizer == file_entry(own_bundle / "tokenizer.model")
    with pytest.raises(EdgeAudioError, match="tokenizer.model is not a SentencePiece model"):
        make(Pipeline.load(own_bundle, "f32"))


@pytest.mark.parametrize("threads", [0, -1, 1.5])
def test_wrong_threads(toy_bundle, threads):
    with pytest.raises(
        UsageError, match=f"threads {threads} cannot run anything; use a whole number from 1"
    ):
        Pipeline.load(toy_bundle, threads=threads)


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


def test_too_little_memory_is_said_before_it_runs_out(pipe, monkeypatch):
    monkeypatch.setattr("edge_audio.system.device.memory", lambda: Memory(100, 1 << 30))
    with pytest.warns(
        EdgeAudioWarning,
        match=(
            r"dit.f32.tflite needs .* GB of memory and .* free, so it will swap; .*--precision int8"
        ),
    ):
        pipe.generate("rain", seed=1)
    monkeypatch.setattr("edge_audio.system.device.memory", lambda: Memory(100, 1000))
    with pytest.raises(
        EdgeAudioError,
        match=(
            r"conditioners.f32.tflite needs .* GB of memory and .* swap included; .*--precision"
            r" int8"
        ),
    ):
        pipe.generate("a bell", seed=1)


def test_without_litert_it_is_said_what_to_install(pipe, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setattr(
        "edge_audio.system.device.unsupported", lambda: "this Python is a 32-bit program"
    )
    with pytest.raises(
        EdgeAudioError, match="LiteRT cannot be loaded .*; this Python is a 32-bit program"
    ):
        pipe.generate("rain", seed=1)


def test_half_precision_can_be_chosen(toy_bundle):
    """On this CPU XNNPACK has no fp16 arithmetic, and the flag changes nothing but the engine."""
    plain, half = (Pipeline.load(toy_bundle, "f32", half=half) for half in (False, True))
    assert (plain.half, half.half) == (False, True)
    assert Pipeline.load(toy_bundle, "int8", half=True).half is False
    clip = half.generate("rain", seed=1)
    assert clip.recipe["half"] is True and np.allclose(
        clip.samples, plain.generate("rain", seed=1).samples, atol=1e-2
    )


def test_a_bundle_is_only_read(own_bundle, monkeypatch, tmp_path):
    """As on a read-only file system: nothing in the folder is made, changed or touched."""
    monkeypatch.setenv("EDGE_AUDIO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("edge_audio.system.cache.MINIMUM", 0)
    before = {path: path.stat().st_mtime_ns for path in (own_bundle, *own_bundle.iterdir())}
    make(Pipeline.load(own_bundle, threads=1))
    assert {path: path.stat().st_mtime_ns for path in (own_bundle, *own_bundle.iterdir())} == before
