"""Fault injection: each broken export of Stable Audio 3 is pinned to its stage, and some are found
without a reference too.
"""

import pytest
from faults import PADDED, SATURATED, assert_pinned, inject, seen
from faults_sa3 import FAULTS

from edge_audio.evaluate.diagnose import diagnose, load
from edge_audio.evaluate.verdict import FAIL, OK

from .test_modules import SOURCE

#: fault -> (the first stage that departs, a part of the sentence that says why)
FIRST = {
    "features as sin, cos": (
        "conditioner.conditioners.seconds_total.embedder.embedding.1",
        "as sines and cosines are",
    ),
    "a padding of zeros": ("cross_attn_cond", "the padding that the model has learned"),
    "gate without its sigmoid": ("transformer.layers.0.cross_attn.to_q", "sigmoid(1 - gate)"),
    "positions from the latents on": ("rotary_cos", "count the memory tokens"),
    "midpoint shift left out": (
        "decoder.layers.3.transformers.2.self_attn.to_qkv",
        "from half way on chunks that lie one latent later",
    ),
    "text norms without the one": (
        "t5gemma.model.encoder.layers.0.self_attn.q_proj",
        "w in place of 1 + w",
    ),
    PADDED: ("cross_attn_bias", "how many tokens"),
    "an extra conditioning token": ("cross_attn_cond", "one token for the seconds"),
    "global condition dropped": ("transformer.global_cond_embedder.0", "the sum of the"),
    "beta of a tanh dropped": (
        "decoder.layers.3.transformers.1.ff.ff.0.proj",
        "the norm before the feed-forward",
    ),
    "weight norm over the wrong axis": ("decoder.layers.3.mapping", "weight norm folded over"),
    "qk-norm eps of 1e-2": ("cross_k_00", "eps 1e-6"),
    SATURATED: ("transformer.layers.1.self_attn.to_qkv", "times the checkpoint's"),
    "cross-attention zeroed": ("transformer.layers.0.cross_attn.to_out", "all zero"),
}
#: fault -> the symptom that finds it without a reference, even where the weights are random
SEEN = {
    "a padding of zeros": "inputs change outputs: conditioners",
    "global condition dropped": "inputs change outputs: dit",
    "qk-norm eps of 1e-2": "epsilon of norms: dit",
    "cross-attention zeroed": "inputs change outputs: dit",
}


@pytest.fixture(scope="module")
def seen_in_a_sound_bundle(tiny3):
    return seen(diagnose(load(tiny3, "f32", None)))


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_pinned_to_its_stage(fault, tiny3, tmp_path):
    folder, precision = inject(fault, SOURCE, tiny3, tmp_path / "broken", FAULTS)
    with load(folder, precision, None) as pipeline:
        diagnosis = diagnose(pipeline, symptoms=[], checkpoint=SOURCE)
    assert_pinned(diagnosis, *FIRST[fault])


@pytest.mark.slow
@pytest.mark.parametrize("fault", SEEN)
def test_a_fault_is_found_without_a_reference(fault, tiny3, tmp_path, seen_in_a_sound_bundle):
    folder, precision = inject(fault, SOURCE, tiny3, tmp_path / "broken", FAULTS)
    with load(folder, precision, None) as pipeline:
        assert SEEN[fault] in seen(diagnose(pipeline)) - seen_in_a_sound_bundle


@pytest.mark.parametrize("precision", ["f32", "int8"])
def test_a_sound_export_follows_its_checkpoint(precision, tiny3):
    with load(tiny3, precision, None) as pipeline:
        diagnosis = diagnose(pipeline, symptoms=[], checkpoint=SOURCE)
    assert diagnosis.departs is None and {row.level for row in diagnosis.rows} == {OK}


@pytest.mark.parametrize("precision", ["f32", "int8"])
def test_random_weights_are_no_fault(tiny3, precision):
    with load(tiny3, precision, None) as pipeline:
        for seed in (1, 8):
            diagnosis = diagnose(pipeline, first_seed=seed)
            assert not [row for row in diagnosis.rows if row.level == FAIL]
