"""Styles merged into a bundle's graphs when it is opened: what an export of the merged checkpoint
gives, kept between runs, and nothing half done.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from adapters import random_adapter
from references import DATA

from edge_audio import Clip, EdgeAudioError, EdgeAudioWarning, Pipeline, UsageError
from edge_audio.bundle.manifest import Manifest
from edge_audio.bundle.store import Bundle, file_entry
from edge_audio.evaluate.layers import operations
from edge_audio.evaluate.metrics import snr
from edge_audio.exporter.bundle import Options, export
from edge_audio.exporter.quantize import METHODS, quantize, statistics
from edge_audio.lora import merging
from edge_audio.lora.graphs import layers
from edge_audio.lora.stored import load, store
from edge_audio.model.model import default_model
from edge_audio.system import cache

IDS = (5, 9, 40, 1)
SA3 = DATA / "sa3tiny0"
LORA, DORA = (SA3 / f"adapter_{name}.safetensors" for name in ("lora", "dora"))
QKV = "model.model.transformer.layers.0.self_attn.to_qkv"
COMPONENTS = ("conditioners", "dit", "decoder")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def sao_style(tmp_path_factory):
    """For tiny0."""
    path = tmp_path_factory.mktemp("style") / "style.safetensors"
    return random_adapter(path, DATA / "tiny0", "dora-rows")


# pocket, of the older family as well, has a test of its own below
@pytest.fixture(scope="module", params=[pytest.param("tiny0", marks=pytest.mark.slow), "sa3tiny0"])
def pair(request, tmp_path_factory, sao_style):
    """(folder of a bundle, folder of the same checkpoint exported with styles, the styles), of both
    families, the older one with graphs for several lengths.
    """
    if request.param == "tiny0":
        plain, precisions = request.getfixturevalue("tiny0")[2], ("f32", "f16", "int8")
        given, lengths = [(sao_style, 0.8)], (16, 24)
    else:
        plain, precisions = request.getfixturevalue("tiny3"), ("f32", "int8")
        given, lengths = [(LORA, 0.8), (DORA, 1.0)], ()
    merged = tmp_path_factory.mktemp("merged") / request.param
    options = Options(precisions, COMPONENTS, latent_lengths=lengths, adapters=tuple(given))
    export(DATA / request.param, merged, options, say=lambda line: None)
    return plain, merged, given


def weights(path):
    """Layer -> weights in a graph."""
    data = np.memmap(path, np.uint8, "r")
    found = {name: load(data, places[0]) for name, places in layers(path).items()}
    assert found
    return found


def test_a_graph_is_what_the_export_of_the_merged_checkpoint_gives(pair):
    plain, merged, given = pair
    for precision in Bundle.open(merged).precisions("dit"):
        with Pipeline.load(plain, precision, lora=given) as pipe:
            for component, graph in pipe.model.styles.graphs.items():
                expected = weights(merged / f"{component}.{precision}.tflite")
                before = weights(plain / f"{component}.{precision}.tflite")
                found = weights(graph.path)
                assert found.keys() == expected.keys()
                changed = {n for n in found if not np.array_equal(found[n], before[n])}
                assert len(changed) > 15 or component == "conditioners"
                step = {"f32": 1e-6, "f16": 1e-3, "int8": 0.02}[precision]
                for name, weight in expected.items():
                    # a rounding of the last bit moves few integers, and those by one step
                    differ = np.abs(found[name] - weight) > 1e-6
                    assert differ.mean() < (1e-3 if precision != "f32" else 1e-9), name
                    assert np.abs(found[name] - weight).max() <= step * np.abs(weight).max(), name
            assert set(pipe.model.styles.graphs) == {"conditioners", "dit"}
            # signatures for shorter latents have scales and biases of their own
            quarter = pipe.bundle.manifest.max_seconds / 4
            for more in ({}, {"seconds": quarter, "fit_length": True}):
                ask = {"ids": IDS, "seed": 3, "steps": 2, **more}
                found = pipe.generate(**ask).samples
                with Pipeline.load(merged, precision) as other:
                    expected = other.generate(**ask).samples
                with Pipeline.load(plain, precision) as without:
                    assert snr(without.generate(**ask).samples, expected) < 25
                assert snr(found, expected) > (30 if precision == "int8" else 55)


def test_what_only_int8_knows(pair, tmp_path):
    """Without the float32 graph, the merged layers are quantized a second time."""
    plain, _, given = pair
    folder = tmp_path / "bundle"
    shutil.copytree(plain, folder)
    manifest = Bundle.open(plain).manifest
    graphs = {
        name: {"int8": found["int8"]} for name, found in manifest.graphs.items() if "int8" in found
    }
    stages = {name: stage for name, stage in manifest.stages.items() if stage.component in graphs}
    manifest = dataclasses.replace(manifest, graphs=graphs, stages=stages)
    (folder / "manifest.json").write_text(manifest.to_json())
    for float32 in folder.glob("*.f32.tflite"):
        float32.unlink()
    with Pipeline.load(folder, lora=given) as pipe, Pipeline.load(plain, "f32", lora=given) as best:
        found, exact = (weights(one.model.styles.graphs["dit"].path) for one in (pipe, best))
    once = weights(plain / "dit.int8.tflite")
    before = weights(plain / "dit.f32.tflite")
    for name, weight in exact.items():
        assert snr(found[name], weight) > min(snr(once[name], before[name]) - 6, 60), name


SLOW = ("int4-gptq", "int8-gptq", "int4-hadamard", "int4-octav", "int4-channel", "int8-weights")


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(method, marks=[pytest.mark.slow] if method in SLOW else [])
        for method in METHODS
    ],
)
def test_layers_are_stored_anew_by_every_method(method, tiny3, tmp_path):
    """What the quantizer makes of the merged weights, for each way to store a layer."""
    graph = tiny3 / "dit.f32.tflite"
    with Pipeline.load(tiny3, "f32", lora=[(LORA, 1.0), (DORA, 0.7)]) as pipe:
        merged = tmp_path / "merged.tflite"
        shutil.copy(pipe.model.styles.graphs["dit"].path, merged)
    methods = {operation.layer: method for operation in operations(graph)}
    known = [None, None]
    if "gptq" in method:
        calibration = {"project": [{"cross_attn_cond": np.ones((1, 8, 32), np.float32)}]}
        with Pipeline.load(tiny3, "f32") as pipe, pipe.graph("dit") as one:
            rng = np.random.default_rng(0)
            calibration = {
                name: [
                    {
                        key: rng.standard_normal(one.shape(name, key)).astype(np.float32)
                        for key in one.inputs(name)
                    }
                ]
                for name in ("adaln", "denoise", "local", "project")
            }
        known = [statistics(path, calibration) for path in (graph, merged)]
    found, expected = tmp_path / "found.tflite", tmp_path / "expected.tflite"
    found.write_bytes(quantize(graph, methods, known[0]))
    expected.write_bytes(quantize(merged, methods, known[1]))
    places, before, after = layers(found), weights(graph), weights(merged)
    assert {one.type for parts in places.values() for one in parts} - {"FLOAT32"}
    data = np.memmap(found, np.uint8, "r+")
    for name, parts in places.items():
        for part in parts:
            store(data, part, after[name], before[name])
    data.flush()
    results = weights(found)
    for name, weight in weights(expected).items():
        result = results[name]
        if "gptq" in method:  # by the nearest integers: what the inputs weigh is not known here
            assert snr(result, after[name]) > min(snr(weight, after[name]) - 1, 12), name
        else:
            assert np.mean(np.abs(result - weight) > 1e-6) < 1e-3, name


GOLDEN = np.load(SA3 / "golden.npz")


@pytest.mark.parametrize("name, path", [("lora", LORA), ("dora", DORA)])
def test_golden_weights(name, path, tiny3):
    with Pipeline.load(tiny3, "f32", lora=[(path, 1.0)]) as pipe:
        found = {}
        for graph in pipe.model.styles.graphs.values():
            found |= weights(graph.path)
    shown = 0
    for key in (key for key in GOLDEN.files if key.startswith(f"{name}_W/")):
        layer = key.partition("/")[2].removesuffix(".weight")
        if layer in found:  # the convolutions are folded into others: `test_golden_velocity`
            assert np.abs(found[layer] - GOLDEN[key]).max() <= 1e-5
            shown += 1
    assert shown >= 3


@pytest.mark.parametrize(
    "key, lora",
    [
        ("dit_v_lora", [(LORA, 1.0)]),
        ("dit_v_lora_s05", [(LORA, 0.5)]),
        ("dit_v_dora", [(DORA, 1.0)]),
        ("dit_v_dora_s05", [(DORA, 0.5)]),
        ("dit_v_lora_then_dora", [(LORA, 1.0), (DORA, 1.0)]),
    ],
)
def test_golden_velocity(key, lora, tiny3):
    from sa3.test_lora import check_velocity

    check_velocity(tiny3, GOLDEN, key, lora)


def test_pocket(tmp_path):
    """The bundled model, whose norms were folded into its layers, in all its precisions."""
    folder = default_model()
    style = random_adapter(tmp_path / "style.safetensors", folder.parent / "training/checkpoint")
    ask = {"prompt": "rain", "seconds": 1, "seed": 3, "steps": 2}
    expected = None
    for precision in ("f16", "mixed", "int8"):
        with Pipeline.load(folder, precision, lora=[(style, 1.0)]) as pipe:
            latents = pipe.generate(**ask).latents
        with Pipeline.load(folder, precision) as pipe:
            assert snr(pipe.generate(**ask).latents, latents) < 15
        expected = latents if expected is None else expected
        assert snr(latents, expected) >= (200 if precision == "f16" else 20)


# --- kept between runs ---


def copies(place):
    return sorted(place.glob("*.tflite"))


def test_made_once_then_used(tiny3, place, monkeypatch):
    given = [(LORA, 0.8)]
    seen = []
    with Pipeline.load(tiny3, "int8", lora=given, progress=seen.append) as pipe:
        first = pipe.generate(ids=IDS, seed=1, steps=1).samples
    made = copies(place)
    assert len(made) == 2 and not list(place.glob("*.building"))
    assert [one.step for one in seen] == list(range(1, seen[-1].steps + 1)) and len(seen) > 10
    assert {one.stage for one in seen} == {"merge"}
    monkeypatch.setattr(merging, "store", None)  # nothing is merged a second time
    with Pipeline.load(tiny3, "int8", lora=given) as pipe:
        assert np.array_equal(pipe.generate(ids=IDS, seed=1, steps=1).samples, first)
    assert cache.size() > sum(path.stat().st_size for path in made)
    cache.purge()
    assert not list(place.iterdir())


@pytest.mark.parametrize("damage", ["bytes", "record"])
def test_a_copy_that_was_touched_is_made_anew(damage, tiny3, place):
    with Pipeline.load(tiny3, "f32", lora=[(LORA, 0.8)]) as pipe:
        path = pipe.model.styles.graphs["dit"].path
    whole = path.read_bytes()
    if damage == "bytes":
        path.write_bytes(whole[:-999] + bytes(999))
    else:
        path.with_suffix(".json").write_text("{")
    with Pipeline.load(tiny3, "f32", lora=[(LORA, 0.8)]) as pipe:
        assert pipe.model.styles.graphs["dit"].path == path and path.read_bytes() == whole


def test_what_is_interrupted_leaves_nothing(tiny3, place):
    with pytest.raises(EdgeAudioError, match="cancelled after layer 3 of"):
        Pipeline.load(tiny3, "f32", lora=[(LORA, 0.8)], progress=lambda one: one.step < 3)
    assert not list(place.glob("*.building"))
    # the conditioners have one layer, and were done
    assert [layers(path).keys() & {QKV} for path in copies(place)] == [set()]


def test_copies_differ_by_all_that_they_are_made_of(tiny3, place):
    paths = [
        Pipeline.load(tiny3, precision, lora=given).model.styles.graphs["dit"].path
        for precision in ("f32", "int8")
        for given in ([(LORA, 1)], [(LORA, 0.5)], [(LORA, 1), (DORA, 1)])
    ]
    assert len(set(paths)) == 6
    assert (
        Pipeline.load(tiny3, "f32", lora=[(LORA, 1.0)]).model.styles.graphs["dit"].path == paths[0]
    )


def test_a_few_copies_of_a_graph_are_kept(tiny3, place):
    def path(strength):
        return Pipeline.load(tiny3, "f32", lora=[(LORA, strength)]).model.styles.graphs["dit"].path

    made = [path(strength) for strength in (0.1, 0.2, 0.3)]
    os.utime(made[1].with_suffix(".json"), (1, 1))  # used longest ago
    path(0.4)
    assert made[0].exists() and not made[1].exists() and made[2].exists()
    assert not made[1].with_suffix(".json").exists()


def test_a_copy_that_is_deleted_while_it_is_needed(tiny3):
    with Pipeline.load(tiny3, "f32", lora=[(LORA, 0.5)]) as pipe:
        pipe.generate(ids=IDS, seed=1, steps=1)
        cache.purge()
        with pytest.raises(EdgeAudioError, match="was deleted from the cache; open the model aga"):
            pipe.generate(ids=(3, 1), seed=1, steps=1)


def test_a_disk_that_fills_up(tiny3, place, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(merging, "store", full)
    with pytest.raises(EdgeAudioError, match=r"can be written \(.*No space left.*\); free"):
        Pipeline.load(tiny3, "f32", lora=[(LORA, 0.5)])
    assert not copies(place) and not list(place.glob("*.building"))


def test_strength_0_takes_the_bundles_own_graphs(tiny3, place):
    with Pipeline.load(tiny3, "f32", lora=[(LORA, 0)]) as pipe:
        assert not pipe.model.styles.graphs and pipe.model.styles.adapters[0].name == LORA.name
    assert not copies(place)


def test_without_a_cache(tiny3, monkeypatch, tmp_path):
    with Pipeline.load(tiny3, "f32", lora=[(LORA, 0.8)]) as pipe:
        expected = pipe.generate(ids=IDS, seed=1, steps=1).samples
    monkeypatch.setenv(cache.VARIABLE, "off")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pipe = Pipeline.load(tiny3, "f32", lora=[(LORA, 0.8)])
    assert np.array_equal(pipe.generate(ids=IDS, seed=1, steps=1).samples, expected)
    (folder,) = tmp_path.glob("edge-audio-*")
    del pipe
    assert not folder.exists()


def test_no_room(tiny3, place, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=1000))
    with (
        pytest.warns(EdgeAudioWarning, match="has no room for a copy of"),
        pytest.raises(EdgeAudioError, match=r"no room for a copy of .* needs .* MB; free some"),
    ):
        Pipeline.load(tiny3, "f32", lora=[(LORA, 0.8)])
    assert not copies(place) and not list(place.glob("*.building"))


# --- what is refused ---


@pytest.mark.parametrize(
    "given, kind, message",
    [
        ([(LORA, float("nan"))], UsageError, "strength nan of"),
        ([(LORA, "loud")], UsageError, "are no file and its strength"),
        ([(LORA, 1.0), (LORA, 0.5)], UsageError, "was given twice"),
        ([("none.safetensors", 1.0)], EdgeAudioError, "none.safetensors is missing"),
        ([("style.ckpt", 1.0)], EdgeAudioError, "style.ckpt is a pickle"),
        ([(LORA, 1e308)], EdgeAudioError, "infinite; give a smaller strength"),
    ],
)
def test_bad_styles(given, kind, message, tiny3, place):
    with pytest.raises(kind) as error:
        Pipeline.load(tiny3, "f32", lora=given)
    assert message in str(error.value) and str(error.value).isprintable()
    assert not copies(place) and not list(place.glob("*.building"))


def test_a_style_for_another_model(tiny0, tiny3, sao_style):
    for folder, style in ((tiny0[2], LORA), (tiny3, sao_style)):
        with pytest.raises(EdgeAudioError, match="give an adapter that was trained on this model"):
            Pipeline.load(folder, "f32", lora=[(style, 1.0)])


def rewritten(folder, **changes):
    """The bundle's manifest with other entries."""
    manifest = Manifest.from_json((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(dataclasses.replace(manifest, **changes).to_json())
    return folder


def test_a_bundle_of_a_time_when_it_did_not_tell_factors(tiny3, tmp_path):
    folder = rewritten(shutil.copytree(tiny3, tmp_path / "bundle"), folded=None)
    with pytest.raises(EdgeAudioError, match=r"was exported without what merging into .* needs"):
        Pipeline.load(folder, "f32", lora=[(LORA, 1.0)])
    with Pipeline.load(folder, "f32"):
        pass


def test_factors_of_another_model(tiny0, tiny3, tmp_path):
    folder = shutil.copytree(tiny3, tmp_path / "bundle")
    file = folder / "dit.folded.safetensors"
    shutil.copy(tiny0[2] / file.name, file)
    rewritten(folder, folded=file_entry(file))
    with pytest.raises(EdgeAudioError, match="holds other factors than"):
        Pipeline.load(folder, "f32", lora=[(LORA, 1.0)])


def test_graphs_that_disagree(tiny3, tmp_path):
    """The int8 graph is of another export than the float32 one."""
    folder = shutil.copytree(tiny3, tmp_path / "bundle")
    path = folder / "dit.f32.tflite"
    data = np.memmap(path, np.uint8, "r+")
    span = layers(path)[QKV][0].values
    span.of(data, "<f4")[:] *= -1
    data.flush()
    manifest = Bundle.open(folder).manifest
    found = manifest.graphs["dit"]
    own = dataclasses.replace(found["f32"], sha256=file_entry(path).sha256)
    rewritten(folder, graphs={**manifest.graphs, "dit": {**found, "f32": own}})
    with pytest.raises(EdgeAudioError, match="hold other weights of"):
        Pipeline.load(folder, "int8", lora=[(LORA, 1.0)])


# --- the command line ---


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "edge_audio.cli", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
    )


def test_generate_and_again(tiny3, tmp_path):
    ask = ("generate", "--ids", "5,9,40,1", "--model", tiny3, "--seed", 3, "--steps", 2)
    done = run(*ask, "--lora", f"{LORA}=0.8", "--lora", DORA, "-o", "x.wav", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    recipe = Clip.recipe_of(tmp_path / "x.wav")
    assert [(one["name"], one["strength"]) for one in recipe["lora"]] == [
        (LORA.name, 0.8),
        (DORA.name, 1.0),
    ]
    assert json.dumps(recipe).count("sha256") >= 3
    again = ("again", "x.wav", "--model", tiny3)
    done = run(*again, "--lora", DORA, "--lora", LORA, cwd=tmp_path)
    assert done.returncode == 0 and "identical" in done.stdout, done.stderr
    for given, message in (
        ([], "was made with the style 'adapter_lora.safetensors'"),
        (["--lora", LORA], "was made with the style 'adapter_dora.safetensors'"),
    ):
        done = run(*again, *given, cwd=tmp_path)
        lines = done.stderr.splitlines()
        assert done.returncode == 1 and len(lines) == 1 and message in lines[0]
    done = run(*ask, "-o", "y.wav", cwd=tmp_path)
    assert done.returncode == 0 and "lora" not in Clip.recipe_of(tmp_path / "y.wav")
    done = run("again", "y.wav", "--model", tiny3, "--lora", LORA, cwd=tmp_path)
    assert done.returncode == 1 and "was made without" in done.stderr
    done = run(*ask, "--lora", LORA, "--lora", f"{LORA}=0.3", "-o", "z.wav", cwd=tmp_path)
    assert done.returncode == 2 and "was given twice" in done.stderr
    assert not (tmp_path / "z.wav").exists()
