"""Stages run when what they give is asked for, and again only when what they read has changed."""

import dataclasses

import numpy as np
import pytest
import toy

from edge_audio import Bundle, EdgeAudioError
from edge_audio.bundle.manifest import Manifest, Port, Stage
from edge_audio.model.contract import CONDITION, DECODE, SAMPLE, Contract, Values
from edge_audio.system.graph import Graph


@pytest.fixture
def manifest(toy_bundle) -> Manifest:
    return Bundle.open(toy_bundle).manifest


def test_what_follows_from_what_stages_read(manifest) -> None:
    contract = Contract(manifest)
    assert list(contract.stages) == ["condition", "project", "denoise", "head", "tail"]
    phases = {name: contract.phase(name) for name in ("conditioners", "dit", "decoder")}
    assert phases == {"conditioners": CONDITION, "dit": SAMPLE, "decoder": DECODE}
    assert [name for name in contract.stages if contract.lasts(name)] == ["condition", "project"]
    assert contract.conditioning() == ["cross_attn_cond", "global_cond"]
    assert contract.signatures("denoise") == {"denoise_8": 8, "denoise": 16}
    assert list(contract.signatures("project")) == ["project"]


def test_a_signature_a_length(manifest) -> None:
    contract = Contract(manifest)
    for length, signature in ((8, "denoise_8"), (16, "denoise")):
        x = np.ones((1, length, manifest.latent.channels), np.float32)
        inputs = dict.fromkeys(contract.stages["denoise"].inputs, x)
        fitting = contract.fitting("denoise", inputs)
        assert (fitting.signature, fitting.outputs) == (signature, None)
    with pytest.raises(EdgeAudioError, match="17 latents are more than the 16 of denoise"):
        x = np.ones((1, 17, manifest.latent.channels), np.float32)
        contract.fitting("denoise", {**inputs, "x": x})


def test_a_stage_that_is_resized(manifest) -> None:
    """It has one signature, and what it gives has the lengths of what it reads."""
    inputs = {"x": Port("float32", (1, "latents", 4)), "bias": Port("float32", (1, "tokens+2"))}
    outputs = {"v": Port("float32", (1, "latents+8", 4)), "n": Port("float32", (1, "2*tokens"))}
    stages = {**manifest.stages, "denoise": Stage("dit", inputs, outputs, resizes=True)}
    contract = Contract(dataclasses.replace(manifest, stages=stages))
    assert contract.signatures("denoise") == {"denoise": 16}
    given = {"x": np.zeros((1, 5, 4), np.float32), "bias": np.zeros((1, 6), np.float32)}
    fitting = contract.fitting("denoise", given)
    assert (fitting.signature, fitting.outputs) == ("denoise", {"v": (1, 13, 4), "n": (1, 8)})
    with pytest.raises(EdgeAudioError, match="9 tokens are more than the 8 of denoise"):
        contract.fitting("denoise", {**given, "bias": np.zeros((1, 11), np.float32)})


class Recorder:
    """Stages that add up what they read, and a list of what was run."""

    def __init__(self, contract: Contract):
        self.contract, self.ran = contract, []

    def call(self, stage, inputs, branch):
        self.ran.append(f"{branch} {stage}")
        total = sum(float(np.sum(value)) for value in inputs.values())
        return {name: np.array([total]) for name in self.contract.stages[stage].outputs}

    def ports(self, stage):
        return self.contract.stages[stage].inputs

    def values(self) -> Values:
        values = Values(self.contract, self.call, self.ports)
        values.set(input_ids=np.ones(2), attention_mask=np.ones(2), seconds_total=np.ones(1))
        return values


def test_a_stage_runs_once_for_what_it_reads(manifest) -> None:
    recorder = Recorder(Contract(manifest))
    values = recorder.values()
    for step in range(3):
        values.set(x=np.full(4, step), t=np.ones(1))
        assert values["v"].shape == (1,)
    assert recorder.ran == [
        "prompt condition",
        "prompt project",
        *["prompt denoise"] * 3,
    ]
    values.set(x=np.full(4, 2))  # what it was
    values["v"], values["v"]
    assert len(recorder.ran) == 5
    values.set(input_ids=np.zeros(2))
    values["v"]
    assert recorder.ran[5:] == ["prompt condition", "prompt project", "prompt denoise"]


def test_a_fork_shares_what_does_not_depend_on_its_own(manifest) -> None:
    recorder = Recorder(Contract(manifest))
    root = recorder.values()
    root.set(x=np.ones(4), t=np.ones(1))
    other = root.fork("other", cross_attn_cond=np.zeros(1))
    assert other["global_cond"] == root["global_cond"]
    assert recorder.ran == ["prompt condition"]
    assert other["v"] != root["v"]
    assert recorder.ran[1:] == [
        "other project",
        "other denoise",
        "prompt project",
        "prompt denoise",
    ]
    root.set(t=np.zeros(1))
    other["v"], root["v"]
    assert recorder.ran[5:] == ["other denoise", "prompt denoise"]


def test_an_adaln_stage_is_shared_by_both_branches(manifest) -> None:
    """A stage that reads t and not the prompt runs once a step, and nobody wrote that down."""
    vector = Port("float32", (1, 8))
    stages = {
        **manifest.stages,
        "adaln": Stage("dit", {"t": Port("float32", (1,))}, {"scale_shift": vector}),
        "denoise": dataclasses.replace(
            manifest.stages["denoise"],
            inputs={**manifest.stages["denoise"].inputs, "scale_shift": vector},
        ),
    }
    recorder = Recorder(Contract(dataclasses.replace(manifest, stages=stages)))
    root = recorder.values()
    other = root.fork("other", cross_attn_cond=np.zeros(1))
    for step in range(2):
        root.set(x=np.ones(4), t=np.full(1, step))
        root["v"], other["v"]
    assert recorder.ran.count("prompt adaln") == 2 and "other adaln" not in recorder.ran


def check(folder, component: str, **changes) -> None:
    manifest = dataclasses.replace(toy.manifest(folder), **changes)
    with Graph(folder / f"{component}.f32.tflite") as graph:
        Contract(manifest).check(component, graph)


def changed(folder, stage: str, **changes) -> dict:
    stages = toy.manifest(folder).stages
    return {**stages, stage: dataclasses.replace(stages[stage], **changes)}


def test_graphs_are_what_the_manifest_says(own_bundle) -> None:
    for component in ("conditioners", "dit", "decoder"):
        check(own_bundle, component)


@pytest.mark.parametrize(
    "stage, changes, message",
    [
        (
            "tail",
            {"inputs": {"features": Port("float32", (1, 16, 6)), "gain": Port("float32", (1,))}},
            "has inputs features in signature tail, a decoder graph needs features, gain",
        ),
        ("tail", {"outputs": {"audio": Port("float32", (1, 64, 1))}}, r"audio \[1, 64, 2\]"),
        ("tail", {"outputs": {"audio": Port("int32", (1, 64, 2))}}, "audio as float32"),
        (
            "head",
            {"outputs": {}},
            "has outputs features in signature head",
        ),
    ],
)
def test_a_graph_that_the_manifest_contradicts(own_bundle, stage, changes, message) -> None:
    with pytest.raises(EdgeAudioError, match=message):
        check(own_bundle, "decoder", stages=changed(own_bundle, stage, **changes))


def test_a_missing_signature(own_bundle) -> None:
    latent = dataclasses.replace(toy.manifest(own_bundle).latent, shorter=(4,))
    with pytest.raises(EdgeAudioError, match="decoder graph needs head, head_4, tail; .*export"):
        check(own_bundle, "decoder", latent=latent)
