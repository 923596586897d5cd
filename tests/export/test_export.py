"""What the graphs of an exported bundle must be: faithful, wholly delegated, deaf to nothing."""

import numpy as np
import pytest
import tensorflow as tf
from delegation import delegation
from references import SHORTER

from edge_audio.bundle.manifest import GENERATING
from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError
from edge_audio.pipeline import Pipeline
from edge_audio.system.graph import Graph
from export.convert import examples, fidelity, flops, refuse_inert_inputs

SIGNATURES = {
    "conditioners": ("condition",),
    "dit": ("project", "denoise"),
    "decoder": ("head", "tail"),
    "encoder": ("encode",),
}
BY_LENGTH = ("denoise", "head")
MINIMUM_SNR = {"f32": 110, "f16": 50, "int8": 25}
#: the encoder is there once, in the most exact
GRAPHS = [
    (component, precision)
    for component in SIGNATURES
    for precision in MINIMUM_SNR
    if component in GENERATING or precision == "f32"
]


@pytest.fixture(scope="module")
def bundle(tiny0):
    return Bundle.open(tiny0[2])


def signatures(component):
    """Of tiny0, as the tests export it."""
    return {
        *SIGNATURES[component],
        *(
            f"{name}_{length}"
            for name in BY_LENGTH
            if name in SIGNATURES[component]
            for length in SHORTER["tiny0"]
        ),
    }


@pytest.mark.parametrize("precision", MINIMUM_SNR)
def test_fidelity_is_measured_and_good(bundle, precision):
    for component, entries in bundle.manifest.graphs.items():
        if (component, precision) not in GRAPHS:
            assert precision not in entries
            continue
        measured = entries[precision].fidelity
        assert (
            {name.split(".")[0] for name in measured}
            == set(entries[precision].flops)
            == signatures(component)
        )
        assert min(measured.values()) > MINIMUM_SNR[precision], (component, measured)


@pytest.mark.parametrize("component, precision", GRAPHS)
def test_one_xnnpack_delegate_and_nothing_outside(bundle, component, precision, tmp_path):
    for signature, (partitions, outside) in delegation(
        bundle.graph_path(component, precision), tmp_path
    ).items():
        if component != "conditioners":
            assert (partitions, outside) == (1, []), signature
            continue
        # the table of words and the mask; unless it is float32, only the rows that were gathered
        # are widened, and scaled
        allowed = ["CAST", "GATHER"] * (1 if precision == "f32" else 2)
        assert partitions <= 1 and sorted(outside) == sorted(allowed)


@pytest.mark.parametrize("component, precision", GRAPHS)
def test_every_input_changes_an_output(bundle, tiny0, component, precision):
    with Graph(bundle.graph_path(component, precision), threads=1) as graph:
        refuse_inert_inputs(examples(tiny0[1][component]), graph)


def test_an_ignored_input_is_refused(tiny0):
    """The sixth way to radio noise: a graph that takes global_cond and does not use it."""

    class Deaf:
        path = "deaf.tflite"

        def __call__(self, signature, **inputs):
            inputs = (
                {**inputs, "global_cond": np.zeros_like(inputs["global_cond"])}
                if "global_cond" in inputs
                else inputs
            )
            function = tiny0[1]["dit"].signatures()[signature][0]
            return {
                name: value.numpy()
                for name, value in function(
                    **{k: tf.constant(v) for k, v in inputs.items()}
                ).items()
            }

    with pytest.raises(EdgeAudioError, match="input global_cond of project changes no output"):
        refuse_inert_inputs(examples(tiny0[1]["dit"]), Deaf())


def test_a_graph_with_nan_is_refused(tiny0):
    class Broken:
        path = "broken.tflite"

        def __call__(self, signature, **inputs):
            return {"mean": np.full((1, 32, 8), np.nan), "stdev": np.zeros((1, 32, 8))}

    with pytest.raises(EdgeAudioError, match="NaN"):
        fidelity(examples(tiny0[1]["encoder"]), Broken())


def test_example_inputs_chain_the_signatures(tiny0):
    inputs = examples(tiny0[1]["dit"]).inputs
    assert set(inputs["denoise"]) >= {"x", "t", "global_embed", "cross_k_00", "cross_v_01"}


def test_int8_is_small(bundle):
    sizes = {
        p: sum(bundle.manifest.graphs[c][p].bytes for c in GENERATING)
        for p in ("f32", "f16", "int8")
    }
    assert sizes["f16"] < 0.65 * sizes["f32"] and sizes["int8"] < 0.75 * sizes["f32"]


def test_manifest_tells_the_model(bundle):
    manifest = bundle.manifest
    assert (manifest.sample_rate, manifest.channels, manifest.objective) == (
        16000,
        2,
        "rf_denoiser",
    )
    assert (manifest.defaults.sampler, manifest.defaults.steps, manifest.defaults.cfg_scale) == (
        "pingpong",
        8,
        1.0,
    )
    assert manifest.prompt.max_length == 16 and manifest.prompt.tokenizer is None
    assert manifest.max_seconds == 1024 / 16000


def test_exported_bundle_generates(bundle):
    pipe = Pipeline.load(bundle.folder, precision="f32", threads=1)
    one, other = (pipe.generate(ids=ids, seed=3) for ids in ((5, 9, 1), (7, 40, 22, 1)))
    assert one.samples.shape == (1024, 2) and not np.array_equal(one.samples, other.samples)


def test_operations_are_counted(tiny0):
    """By hand: two projections of 16 + 1 tokens and the global embedding; 257 features through the
    number conditioner.
    """
    blocks, dim, tokens, cond = 2, 64, 17, 32
    embed = tokens * (cond * dim + dim * dim)
    keys_and_values = blocks * tokens * dim * 2 * dim
    assert flops(tiny0[1]["dit"])["project"] == 2 * (
        embed + (cond * dim + dim * dim) + keys_and_values
    )
