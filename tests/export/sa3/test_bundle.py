"""Stable Audio 3 as a bundle: what graphs take and give, the official generations replayed, the
command line.
"""

import json
import subprocess
import sys

import numpy as np
import pytest

from edge_audio import EdgeAudioError, Pipeline, Request
from edge_audio.bundle.manifest import GENERATING, Manifest
from edge_audio.exporter.bundle import Options, export
from edge_audio.model.codec import decode
from edge_audio.model.tokens import padded
from edge_audio.sampling.features import seconds_features
from edge_audio.sampling.guidance import guided
from edge_audio.sampling.samplers import SAMPLERS
from edge_audio.sampling.schedule import shifted_sigmas
from edge_audio.session import UNCONDITIONAL, Session, _text_values
from edge_audio.system import cache

from .test_modules import ROWS, SOURCE, assert_near, channels_last

LONGEST = 40


@pytest.fixture(scope="module")
def golden():
    return np.load(SOURCE / "golden.npz")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    out = tmp_path_factory.mktemp("sa3") / "tiny"
    export(SOURCE, out, Options(("f32",), latent_lengths=(LONGEST,)), say=lambda line: None)
    return out


@pytest.fixture(scope="module")
def pipe(bundle):
    return Pipeline.load(bundle, precision="f32", threads=2, memory="all")


def ids(golden, index):
    return tuple(golden["input_ids"][index][: golden["attention_mask"][index].sum()].tolist())


def settings(pipe, golden, index, **more):
    """A row's, on 24 latents that all count: those that the golden arrays have."""
    manifest = pipe.bundle.manifest
    seconds = round(float(golden["seconds_total"][index]), 4)
    per_second = manifest.sample_rate / manifest.latent.downsampling
    pad = (24 - np.ceil(round(seconds * per_second, 4))) / per_second + 1e-4
    request = Request(ids=ids(golden, index), seconds=seconds, seed=0, pad_seconds=pad, **more)
    found = request.resolved(manifest)
    assert found.latents(manifest) == found.valid(manifest) == 24
    return found


@pytest.fixture(scope="module")
def lease(pipe):
    with pipe.model.lease() as held:
        yield held


def velocity(pipe, lease, golden, index, **more):
    """v(x [C, T], t) of a row through the bundle, and its branches."""
    session = Session(pipe.model, settings(pipe, golden, index, **more))
    branches = session.condition()
    v = session.velocity(branches, lease)
    return lambda x, t: channels_last(v(channels_last(x[None]), float(t)))[0], branches


# --- the manifest ---


def test_the_contract(pipe):
    manifest, contract = pipe.bundle.manifest, pipe.model.contract
    assert manifest.latent.lengths == (LONGEST,) and manifest.prompt.max_length == 16
    assert contract.stages["denoise"].follows == {"latents", "tokens", "kept"}
    assert contract.signatures("denoise") == {"denoise": LONGEST}
    assert [name for name, stage in contract.stages.items() if not stage.resizes] == [
        "adaln",
        "decode",
        "encode",
    ]
    assert {name for name in contract.stages if not contract.lasts(name)} == {
        *("adaln", "denoise", "decode"),
    }
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert manifest.prompt.ends is False and manifest.guidance.empty == "encoded"


# --- golden arrays through the graphs ---


@pytest.mark.parametrize("index", ROWS)
def test_velocity_through_the_bundle(pipe, lease, golden, index):
    v, branches = velocity(pipe, lease, golden, index)
    for number, t in enumerate(golden["t_values"]):
        assert_near(v(golden["x_L24"][index], t), golden["dit_v_L24"][number, index])
    keep = {
        "keep": golden["inpaint_mask_L24"][index],
        "kept_latents": golden["inpaint_input_L24"][index],
    }
    branches[0].share(**{name: channels_last(array[None]) for name, array in keep.items()})
    for number, t in enumerate(golden["t_values"]):
        assert_near(v(golden["x_L24"][index], t), golden["dit_v_inpaint_L24"][number, index])


@pytest.mark.parametrize("index", ROWS)
def test_a_graph_is_resized_to_any_length(pipe, lease, golden, index):
    """15 latents, though official clips have an even number."""
    session = Session(pipe.model, settings(pipe, golden, index))
    (branch,) = session.condition()
    branch.share(
        padding_mask=np.ones((1, 15), np.float32), positions=np.arange(15, dtype=np.int32)[None]
    )
    v = session.velocity([branch], lease)
    for number, t in enumerate(golden["t_values"]):
        found = v(channels_last(golden["x_L15"][index][None]), float(t))
        assert_near(channels_last(found)[0], golden["dit_v_L15"][number, index])


@pytest.mark.parametrize("index", ROWS)
@pytest.mark.parametrize("name, apg", [("apg1", 1.0), ("apg0", 0.0), ("apg05", 0.5)])
def test_guidance(pipe, lease, golden, index, name, apg):
    x, t = golden["x_L24"][index], golden["cfg_t"][0]
    v, _ = velocity(pipe, lease, golden, index, cfg_scale=3.0, apg=apg)
    assert_near(v(x, t), golden[f"dit_cfg3_{name}"][index])


@pytest.mark.parametrize("index", ROWS)
def test_guidance_with_padding(pipe, lease, golden, index):
    """What the projection looks at ends where the latents that count end."""
    valid, x, t = golden["pad_valid"][index], golden["x_L24"][index], golden["cfg_t"][0]
    session = Session(pipe.model, settings(pipe, golden, index, cfg_scale=3.0))
    branches = session.condition()
    branches[0].share(padding_mask=(np.arange(24) < valid).astype(np.float32)[None])

    def one(x, t, branch):
        return session.velocity([branch], lease)(x, t)

    v = guided(one, *branches, 3.0, 1.0, int(valid))
    found = channels_last(v(channels_last(x[None]), float(t)))[0]
    expected = golden["dit_cfg3_apg1_padmask"][index]
    assert_near(found[:, :valid], expected[:, :valid])


def test_a_negative_prompt(pipe, lease, golden):
    """Each row steers away from the other; the padding of a negative prompt is zeros."""
    for index in ROWS:
        ask = settings(pipe, golden, index, cfg_scale=3.0)
        session = Session(pipe.model, ask)
        prompt, _ = session.condition()
        other = golden["input_ids"][1 - index], golden["attention_mask"][1 - index]
        tokens = padded(other[0][: other[1].sum()].tolist(), 16, ends=False, fill=False)
        # the golden arrays swap the rows' seconds as well, but for the global condition
        manifest = pipe.bundle.manifest
        seconds = float(golden["seconds_total"][1 - index])
        kept = {
            "global_cond": prompt["global_cond"],
            "seconds_features": seconds_features(seconds, 0.0, 384.0, manifest.frequencies),
        }
        negative = prompt.fork(UNCONDITIONAL, **_text_values(tokens, padding=0.0), **kept)
        v = session.velocity([prompt, negative], lease)
        x = channels_last(golden["x_L24"][index][None])
        found = channels_last(v(x, float(golden["cfg_t"][0])))[0]
        assert_near(found, golden["dit_cfg3_apg1_negative"][index])


@pytest.mark.parametrize("steps", [1, 2, 4, 8, 50])
def test_schedule(steps, golden):
    assert_near(shifted_sigmas(steps, -6.2, 2.0), golden[f"sigmas_{steps}"], 1e-7)


@pytest.mark.parametrize("strength", [0.3, 0.7, 0.95])
def test_schedule_from_a_clip(strength, golden):
    found = shifted_sigmas(8, -6.2, 2.0, strength)
    assert_near(found, golden[f"sigmas_8_max{strength:g}"], 1e-6)


@pytest.mark.parametrize("index", ROWS)
@pytest.mark.parametrize(
    "key, sampler, steps, more",
    [
        ("pingpong_final", "pingpong", 8, {}),
        ("pingpong_cfg3_final", "pingpong", 8, {"cfg_scale": 3.0}),
        ("euler8_final", "euler", 8, {}),
        ("euler8_cfg7_final", "euler", 8, {"cfg_scale": 7.0}),
        ("dpmpp8_final", "dpmpp", 8, {}),
        ("rk4_4_final", "rk4", 4, {}),
    ],
)
def test_samplers(pipe, lease, golden, index, key, sampler, steps, more):
    v, _ = velocity(pipe, lease, golden, index, **more)
    noise = "pingpong_cfg3_noise" if "cfg3" in key else "pingpong_noise"
    draws = iter(golden[noise][:, index])
    steps_made = SAMPLERS[sampler].sample(
        v,
        golden["noise_init"][index],
        shifted_sigmas(steps, -6.2, 2.0),
        lambda shape: next(draws),
    )
    *_, last = steps_made
    assert_near(last.x, golden[key][index], 2e-4)


def test_tiles_are_the_whole(pipe, lease, golden):
    contract, latents = pipe.model.contract, channels_last(golden["decode_latent"])
    expected = channels_last(golden["decode_audio"])[0]
    audio = np.concatenate(list(decode(lease.call, contract, latents, len(expected))))
    assert np.abs(audio - expected).max() <= 1e-5 * max(1.0, np.abs(expected).max())


# --- the official generation, by the command line ---


def test_generate_makes_the_official_clip(bundle, golden, tmp_path):
    draws = np.concatenate([golden["gen_noise_init"][None], golden["gen_noise"]])[:, 0]
    np.save(tmp_path / "draws.npy", channels_last(draws))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "edge_audio.cli.main", "generate"),
            *("--ids", ",".join(map(str, ids(golden, 0))), "--seconds", "1.7"),
            *("--pad-seconds", "0.6", "--precision", "f32", "--model", str(bundle)),
            *("--noise", str(tmp_path / "draws.npy"), "--latents", str(tmp_path / "out.npy")),
            *("-o", str(tmp_path / "out.wav"), "--json"),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    recipe = json.loads(done.stdout)["recipe"]
    assert recipe["pad_seconds"] == 0.6 and recipe["noise"] == "given"
    latents = np.load(tmp_path / "out.npy")
    assert_near(latents, channels_last(golden["gen_latents"][:1])[0], 1e-5)


# --- what is asked of it ---


@pytest.mark.parametrize("memory", ["free", "all"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_clip_does_not_depend_on_those_before(bundle, memory, packed, monkeypatch, tmp_path):
    """A graph that was resized, and back, is what it was: also where packed weights are mapped,
    which small graphs do without.
    """
    if packed:
        monkeypatch.setattr(cache, "MINIMUM", 0)
        monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    asks = [
        Request(ids=ids, seconds=seconds, seed=4, pad_seconds=0.2)
        for ids, seconds in (((5, 9, 40), 2.4), ((7,), 3.5), (tuple(range(3, 19)), 0.3))
    ]
    with Pipeline.load(bundle, precision="f32", threads=2, memory=memory) as one:
        first, again = ([one.generate(ask) for ask in asks] for _ in range(2))
    assert len({clip.latents.shape[1] for clip in first}) == 3
    for a, b in zip(first, again):
        assert np.array_equal(a.samples, b.samples)
    assert any(tmp_path.iterdir()) == packed
    alone = Pipeline.load(bundle, precision="f32", threads=2).generate(asks[1])
    assert np.array_equal(alone.samples, first[1].samples)


def test_the_usual_length_is_one_that_the_bundle_can_make(pipe):
    """10 seconds are usual for this family; these graphs end at 40 latents."""
    manifest = pipe.bundle.manifest
    assert manifest.defaults.seconds > manifest.max_seconds == 4.0
    assert Request(ids=(5,)).resolved(manifest).seconds == 4.0


def test_no_tokens_is_a_prompt_of_padding(pipe):
    clip = pipe.generate(ids=(), seconds=1.0, seed=1)
    assert np.isfinite(clip.samples).all() and len(clip.samples) == 1280


def test_what_cannot_be_is_refused(pipe, tmp_path):
    with pytest.raises(EdgeAudioError, match="17 ids are more than model tiny reads"):
        pipe.generate(ids=tuple(range(3, 20)), seconds=1.0)
    with pytest.raises(EdgeAudioError, match="id 512 is none of model tiny's"):
        pipe.generate(ids=(512,), seconds=1.0)
    with pytest.raises(EdgeAudioError, match="seconds 5 is more than model tiny can make"):
        pipe.generate(ids=(5,), seconds=5.0)
    with pytest.raises(EdgeAudioError, match="pad_seconds -1 is out of range"):
        pipe.generate(ids=(5,), seconds=1.0, pad_seconds=-1)
    with pytest.raises(EdgeAudioError, match="apg 2 is out of range"):
        pipe.generate(ids=(5,), seconds=1.0, apg=2)
    with pytest.raises(EdgeAudioError, match="latent length 13 cannot be exported"):
        export(SOURCE, tmp_path / "odd", Options(("f32",), latent_lengths=(13,)))


@pytest.mark.slow
def test_mixed_reaches_its_target(tmp_path):
    """Layer by layer by measurement, on recorded clips: also where graphs are resized."""
    options = Options(("f32", "mixed"), GENERATING, latent_lengths=(LONGEST,), target_snr=30.0)
    manifest = export(SOURCE, tmp_path / "out", options, say=lambda line: None)
    for component, least in (("dit", 30), ("conditioners", 35), ("decoder", 35)):
        entry = manifest.graphs[component]["mixed"]
        assert min(entry.fidelity.values()) >= least, component
        assert entry.bytes < 0.6 * manifest.graphs[component]["f32"].bytes
    clip = Pipeline.load(tmp_path / "out", "mixed", threads=2).generate(ids=(5, 9), seconds=1.0)
    assert np.isfinite(clip.samples).all()
