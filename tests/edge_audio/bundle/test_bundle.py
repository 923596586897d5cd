import json

import pytest
import toy

from edge_audio.bundle.manifest import MANIFEST_NAME, SCHEMA, AdapterEntry, Manifest
from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError, UsageError

ADAPTER = {"name": "a", "sha256": "0" * 64, "strength": 1.0}


def edit(folder, change):
    path = folder / MANIFEST_NAME
    entries = json.loads(path.read_text())
    change(entries)
    path.write_text(json.dumps(entries))


def test_manifest_round_trip(toy_bundle):
    manifest = toy.manifest(toy_bundle)
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert Bundle.open(toy_bundle).manifest == manifest
    assert manifest.max_seconds == toy.LENGTH * toy.DOWNSAMPLING / toy.RATE


def test_adapters_are_named_in_their_order(own_bundle):
    adapters = (AdapterEntry("b.safetensors", "1" * 64, 0.8), AdapterEntry("a", "2" * 64, 1.0))
    toy.write_manifest(own_bundle, adapters=adapters)
    assert Bundle.open(own_bundle).manifest.adapters == adapters


def test_the_hash_names_the_model(own_bundle):
    before = Bundle.open(own_bundle).sha256
    assert before == Bundle.open(own_bundle).sha256
    toy.write_manifest(own_bundle, name="other")
    assert Bundle.open(own_bundle).sha256 != before


def test_missing_bundle(tmp_path):
    with pytest.raises(
        EdgeAudioError, match="no bundle at .*absent: manifest.json is missing; .*make one with"
    ):
        Bundle.open(tmp_path / "absent")


@pytest.mark.parametrize(
    "schema, mend",
    [
        (SCHEMA + 1, "upgrade edge-audio"),
        (0, "export the model again"),
        ("two", "export the model again"),
        (None, "export the model again"),
    ],
)
def test_unknown_schema(own_bundle, schema, mend):
    edit(own_bundle, lambda entries: entries.update(schema=schema))
    with pytest.raises(
        EdgeAudioError,
        match=f"has schema {json.dumps(schema)}, .* reads schemas 1 to {SCHEMA}; {mend}",
    ):
        Bundle.open(own_bundle)


@pytest.mark.parametrize(
    "change, named",
    [
        (lambda m: m.pop("sample_rate"), "manifest.sample_rate is missing"),
        (lambda m: m.update(colour="red"), "manifest.colour: expected no such entry"),
        (lambda m: m["latent"].update(length="16"), "manifest.latent.length: expected int"),
        (lambda m: m["latent"].update(length=0), "latent.length is 0"),
        (
            lambda m: m["defaults"].update(cfg_scale=float("inf")),
            "manifest.defaults.cfg_scale: expected a finite number",
        ),
        (lambda m: m["tiling"].update(overlap=8), "tiling.overlap 8 leaves nothing of tile 16"),
        (
            lambda m: m["tiling"].update(per_latent=3),
            "tiling.per_latent 3 does not divide latent.downsampling 8",
        ),
        (
            lambda m: m["tiling"].update(tile=17),
            "tiling.tile 17 is longer than the shortest latents",
        ),
        (lambda m: m["latent"].update(shorter=8), "manifest.latent.shorter: expected a list"),
        (
            lambda m: m["latent"].update(shorter=["8"]),
            r"manifest.latent.shorter\[0\]: expected int",
        ),
        (
            lambda m: m["latent"].update(shorter=[16]),
            r"latent.shorter \[16\] must ascend, from 1 to below 16",
        ),
        (lambda m: m["latent"].update(shorter=[9, 8]), r"latent.shorter \[9, 8\] must ascend"),
        (lambda m: m["graphs"].update(dit={}), "lists no dit graph"),
        (
            lambda m: m.update(adapters=[{**ADAPTER, "name": "a\x1b[31m"}]),
            "an adapter's name must be one line",
        ),
        (
            lambda m: m.update(adapters=[{**ADAPTER, "sha256": "1"}]),
            "the sha256 of adapter a cannot be",
        ),
        (
            lambda m: m.update(adapters=[{**ADAPTER, "strength": float("nan")}]),
            r"manifest.adapters\[0\].strength: expected a finite number",
        ),
    ],
)
def test_a_manifest_that_is_not_valid(own_bundle, change, named):
    edit(own_bundle, change)
    with pytest.raises(EdgeAudioError, match=named) as raised:
        Bundle.open(own_bundle)
    assert "export the model again" in str(raised.value) and MANIFEST_NAME in str(raised.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00"])
def test_a_manifest_that_is_no_json(own_bundle, text):
    (own_bundle / MANIFEST_NAME).write_text(text)
    with pytest.raises(EdgeAudioError, match="manifest.json (cannot be read|has schema)"):
        Bundle.open(own_bundle)


def test_files_are_checked_when_asked_for(own_bundle):
    bundle, path = Bundle.open(own_bundle), own_bundle / "dit.f32.tflite"
    assert bundle.graph_path("dit", "f32") == path
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(
        EdgeAudioError, match=f"has {len(data) - 1} bytes, the manifest says {len(data)}; copy the"
    ):
        bundle.graph_path("dit", "f32")
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(
        EdgeAudioError, match="dit.f32.tflite has another sha256 .*; copy the bundle again"
    ):
        bundle.graph_path("dit", "f32")
    path.unlink()
    with pytest.raises(EdgeAudioError, match="dit.f32.tflite is missing; copy the bundle again"):
        bundle.graph_path("dit", "f32")
    with pytest.raises(EdgeAudioError, match="has no encoder in f32; it has none at all"):
        bundle.graph_path("encoder", "f32")


def test_choosing_precisions(toy_bundle):
    bundle = Bundle.open(toy_bundle)
    parts = ("conditioners", "dit", "decoder")
    assert bundle.choose(None) == dict.fromkeys(parts, "f32")
    assert bundle.choose(None, lambda component: ("int8", "f32")) == dict.fromkeys(parts, "int8")
    assert bundle.choose("int8") == dict.fromkeys(parts, "int8")
    assert bundle.choose("dit=int8, decoder=f32", lambda component: ("int8",)) == dict(
        zip(parts, ("int8", "int8", "f32"))
    )


@pytest.mark.parametrize("spec", ["int9", "dit:int8", "", "dit=", "vocoder=f32"])
def test_a_precision_that_is_not_understood(toy_bundle, spec):
    with pytest.raises(UsageError, match="is not understood; write one of f32"):
        Bundle.open(toy_bundle).choose(spec)


def test_a_precision_that_is_not_here(toy_bundle):
    with pytest.raises(EdgeAudioError, match="has no dit in f16; it has f32, int8"):
        Bundle.open(toy_bundle).choose("dit=f16")


def test_no_tokenizer(ids_bundle):
    assert Bundle.open(ids_bundle).tokenizer_path() is None


def test_info_looks_at_every_file(own_bundle, capsys):
    from edge_audio.cli import main as cli

    assert cli.main(["info", str(own_bundle)]) == 0
    graph = own_bundle / "dit.int8.tflite"
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    capsys.readouterr()
    assert cli.main(["info", str(own_bundle)]) == 1
    assert "dit.int8.tflite has another sha256 than the manifest says" in capsys.readouterr().err
    graph.unlink()
    assert cli.main(["info", str(own_bundle)]) == 1
