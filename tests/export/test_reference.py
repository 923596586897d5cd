"""Fault injection: each of eleven broken exports is pinned to its stage, and most are found without
a reference too.
"""

from pathlib import Path

import pytest
from faults import FAULTS, assert_pinned, inject, seen
from references import DATA

from edge_audio.errors import EdgeAudioError
from edge_audio.evaluate.diagnose import diagnose, load
from edge_audio.evaluate.verdict import FAIL, OK

ROOT = Path(__file__).parents[2]
POCKET, CHECKPOINT = ROOT / "models" / "pocket", ROOT / "models" / "training" / "checkpoint"
#: fault -> (the first stage that departs, a part of the sentence that says why)
FIRST = {
    "transposed ConvTranspose weights": ("decoder.layers.1.layers.1", "transposed"),
    "padded to twice the length": ("input_ids", "padded"),
    "an extra conditioning token": ("cross_attn_cond", "one for the seconds"),
    "cos and sin swapped": (
        "conditioner.conditioners.seconds_total.embedder.embedding.1",
        "[x, sin f, cos f]",
    ),
    "global condition dropped": ("global_embed", "to_global_embed"),
    "rotary off by one": ("transformer.layers.0.self_attn.to_out", "rotary positions"),
    "beta of a norm dropped": ("transformer.layers.1.ff.ff.0.proj", "beta"),
    "weight norm over the wrong axis": (
        "decoder.layers.0",
        "weight norm folded over the wrong axes",
    ),
    "qk-norm eps of 1e-2": ("cross_k_00", "eps 1e-6"),
    "saturated int8 scale": ("transformer.layers.1.self_attn.to_qkv", "times the checkpoint's"),
    "cross-attention zeroed": ("transformer.layers.0.cross_attn.to_out", "all zero"),
}
#: fault -> the symptom that finds it without a reference, even where the weights are random
SEEN = {
    "an extra conditioning token": "conditioning tokens",
    "cos and sin swapped": "number conditioner: sin and cos",
    "global condition dropped": "inputs change outputs: dit",
    "qk-norm eps of 1e-2": "epsilon of norms: dit",
    "saturated int8 scale": "stored weights: dit",
    "cross-attention zeroed": "inputs change outputs: dit",
}
#: what is found without a reference where the bundle knows how it should sound
HEARD = ("transposed ConvTranspose weights", "weight norm over the wrong axis")


@pytest.fixture(scope="module")
def seen_in_a_sound_bundle(tiny0):
    return seen(diagnose(load(tiny0[2], "f32", None)))


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_pinned_to_its_stage(fault, tiny0, tmp_path):
    folder, precision = inject(fault, DATA / "tiny0", tiny0[2], tmp_path / "broken")
    with load(folder, precision, None) as pipeline:
        diagnosis = diagnose(pipeline, symptoms=[], checkpoint=DATA / "tiny0")
    assert_pinned(diagnosis, *FIRST[fault])


@pytest.mark.parametrize("fault", SEEN)
def test_a_fault_is_found_without_a_reference(fault, tiny0, tmp_path, seen_in_a_sound_bundle):
    folder, precision = inject(fault, DATA / "tiny0", tiny0[2], tmp_path / "broken")
    with load(folder, precision, None) as pipeline:
        assert SEEN[fault] in seen(diagnose(pipeline)) - seen_in_a_sound_bundle


@pytest.mark.slow
@pytest.mark.parametrize("fault", HEARD)
def test_a_fault_is_heard_without_a_reference(fault, tmp_path):
    folder, precision = inject(fault, CHECKPOINT, POCKET, tmp_path / "broken")
    with load(folder, precision, None) as pipeline:
        diagnosis = diagnose(pipeline)
    assert [row.symptom for row in diagnosis.rows if row.level == FAIL] == ["sounds as asked"]


@pytest.mark.parametrize("precision", ["f16", "int8", "mixed"])
def test_a_sound_export_follows_its_checkpoint(precision):
    with load(POCKET, precision, None) as pipeline:
        diagnosis = diagnose(pipeline, symptoms=[], checkpoint=CHECKPOINT)
    assert diagnosis.departs is None and {row.level for row in diagnosis.rows} == {OK}


def test_another_checkpoint_is_refused(tiny0):
    with (
        load(tiny0[2], "f32", None) as pipeline,
        pytest.raises(EdgeAudioError, match="give the checkpoint that the bundle was exported"),
    ):
        diagnose(pipeline, symptoms=[], checkpoint=CHECKPOINT)
    with (
        load(tiny0[2], "f32", None) as pipeline,
        pytest.raises(EdgeAudioError, match="model_config.json"),
    ):
        diagnose(pipeline, symptoms=[], checkpoint=DATA)


def test_a_family_without_words_is_compared_all_the_same(tiny0, monkeypatch):
    from edge_audio.exporter.reference import source

    monkeypatch.setattr(source, "FAMILIES", {})
    with load(tiny0[2], "f32", None) as pipeline:
        report = diagnose(pipeline, symptoms=[], checkpoint=DATA / "tiny0")
    stages = [row.symptom for row in report.rows if row.symptom.startswith("stage")]
    assert report.departs is None and "stage condition" in stages and "stage free run" in stages
    assert any(stage.startswith("stage denoise at t ") for stage in stages)


def test_words_tell_the_parts_of_a_stage():
    from edge_audio.exporter.reference.family import STABLE_AUDIO_OPEN, Family

    layer = STABLE_AUDIO_OPEN.short("model.model.transformer.layers.3.ff.ff.2")
    assert layer == "transformer.layers.3.ff.ff.2"
    assert STABLE_AUDIO_OPEN.part(layer) == "block 3" and Family().part(layer) == ""
