"""Manifests of other versions, and manifests that lie."""

import json
from pathlib import Path

import numpy as np
import pytest

from edge_audio import Bundle, EdgeAudioError, Pipeline
from edge_audio.bundle.manifest import MINOR, SCHEMA, json_schema

ROOT = Path(__file__).parents[3]
OLD = ROOT / "tests" / "data" / "schema1"
PUBLISHED = ROOT / "docs" / "manifest.schema.json"


def test_a_bundle_of_schema_1_makes_the_same_clip() -> None:
    assert json.loads((OLD / "manifest.json").read_text())["schema"] == 1
    pipe = Pipeline.load(OLD, precision="f32", threads=1)
    assert pipe.bundle.manifest.schema == SCHEMA and "denoise" in pipe.bundle.manifest.stages
    clip = pipe.generate("slow siren", seed=7, cfg_scale=1.5, negative="rain")
    np.testing.assert_allclose(clip.samples, np.load(OLD / "clip.npy"), atol=1e-6)
    short = pipe.generate("slow siren", seed=7, seconds=0.5, fit_length=True)
    assert short.latents.shape[1] == 8


def test_the_published_schema_is_that_of_the_code() -> None:
    assert json.loads(PUBLISHED.read_text()) == json_schema(), (
        "write it anew: python -c 'import json; from edge_audio.bundle.manifest import json_schema;"
        " print(json.dumps(json_schema(), indent=2))' > docs/manifest.schema.json"
    )


def edited(folder: Path, change) -> Path:
    path = folder / "manifest.json"
    entries = json.loads(path.read_text())
    change(entries)
    path.write_text(json.dumps(entries))
    return folder


def test_a_newer_minor_version_may_add_entries(own_bundle) -> None:
    def add(entries):
        entries.update(minor=MINOR + 1, colour="red")
        entries["latent"]["shape"] = [1, 2]
        entries["stages"]["tail"]["hint"] = {"a": 1}

    clip = Pipeline.load(edited(own_bundle, add), "f32").generate("rain", seed=1)
    assert len(clip.samples)
    edited(own_bundle, lambda entries: entries.update(minor=MINOR))
    with pytest.raises(EdgeAudioError, match="colour: expected no such entry"):
        Bundle.open(own_bundle)


def graph(entries) -> dict:
    return entries["graphs"]["dit"]["f32"]


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda m: graph(m).update(file="/etc/passwd"), "is no bare file name"),
        (lambda m: graph(m).update(file="../other/dit.tflite"), "is no bare file name"),
        (lambda m: graph(m).update(file="a\\b"), "is no bare file name"),
        (lambda m: graph(m).update(file=""), "is no bare file name"),
        (lambda m: graph(m).update(sha256="x"), "sha256 of file dit.f32.tflite cannot be"),
        (lambda m: m.update(name="\x1b[31mred"), "printable characters"),
        (lambda m: m.update(objective="\x1b[31mred"), "objective must be .* printable"),
        (lambda m: m["defaults"].update(sampler="\n"), "sampler must be .* printable"),
        (lambda m: m.update(license="x" * 999), "at most 200 printable"),
        (lambda m: m.update(sample_rate=10**12), "sample_rate is 1000000000000, must be .* most"),
        (lambda m: m["latent"].update(length=2**40), "latent.length is"),
        (lambda m: m["latent"].update(length=10**7, channels=10**7), "the latents is"),
        (lambda m: m["prompt"].update(max_length=10**9), "prompt.max_length is"),
        (lambda m: m["stages"].pop("tail"), "no stage gives audio"),
        (lambda m: m["stages"]["tail"].update(component="tuba"), "which has no graph"),
        (
            lambda m: m["stages"]["head"]["inputs"].update(soul={"type": "float32", "shape": [1]}),
            "stage head reads soul, which no stage gives",
        ),
        (lambda m: m["stages"]["head"]["inputs"]["latents"].update(type="float99"), "is of type"),
        (lambda m: m["stages"]["head"]["inputs"]["latents"].update(shape=["many"]), "'many'"),
        (
            lambda m: m["stages"]["project"]["inputs"].update(v={"type": "float32", "shape": []}),
            "wait for each other",
        ),
        (
            lambda m: m["stages"]["head"]["inputs"].update(
                features={"type": "float32", "shape": []}
            ),
            "wait for each other",
        ),
        (
            lambda m: m["stages"]["project"]["inputs"]["global_cond"].update(shape=[1, "tokens"]),
            "stage project follows tokens, so it must be one that resizes",
        ),
        (
            lambda m: m["stages"]["tail"]["outputs"]["audio"].update(shape=[1, "latents", 2]),
            "stage tail gives latents and reads nothing of that length",
        ),
        (
            lambda m: m["stages"]["head"].update(resizes=True, more=True),
            "stage head resizes, so it must list all its ports",
        ),
        (lambda m: m["guidance"].update(zeroed=["soul"]), "guidance names soul"),
        (lambda m: m.update(minor="x"), "minor: expected int"),
    ],
)
def test_a_manifest_that_lies_is_refused_in_one_line(own_bundle, change, message) -> None:
    with pytest.raises(EdgeAudioError, match=message) as caught:
        Bundle.open(edited(own_bundle, change))
    assert "\n" not in str(caught.value) and str(caught.value).isprintable()


def test_channels_that_the_graphs_do_not_have(own_bundle) -> None:
    edited(own_bundle, lambda m: m.update(channels=1))
    with pytest.raises(EdgeAudioError, match="channels"):
        Pipeline.load(own_bundle, "f32").generate("rain", seed=1)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"schema": 2, "a": ' * 50_000, "{" + " " * (5 << 20)]
)
def test_nested_or_huge_manifests(own_bundle, text) -> None:
    (own_bundle / "manifest.json").write_text(text)
    with pytest.raises(EdgeAudioError, match=r"manifest.json (cannot be read|is not a valid)"):
        Bundle.open(own_bundle)
