"""The model that ships: it sounds as asked, in float and in int8, and it is as small as
promised.
"""

import zipfile
from pathlib import Path

import pytest

from edge_audio.bundle.manifest import GENERATING
from edge_audio.bundle.store import Bundle
from edge_audio.pipeline import Pipeline, default_model
from models.training.checked import adherence, checked_clips, table

POCKET = Path(__file__).parents[2] / "models" / "pocket"
MINIMUM_ADHERENCE = 0.8


@pytest.mark.parametrize("precision", ["f32", "int8"])
def test_a_prompt_of_every_family_sounds_as_asked(precision):
    clips = list(checked_clips(Pipeline.load(POCKET, precision, memory="all")))
    print(table(clips))
    assert adherence(clips) >= MINIMUM_ADHERENCE


def test_size(tmp_path):
    manifest = Bundle.open(POCKET).manifest
    sizes = {p: sum(manifest.graphs[name][p].bytes for name in GENERATING) for p in ("f32", "int8")}
    assert sizes["int8"] <= 0.4 * sizes["f32"]
    # f32 and int8 as they were promised; with mixed, the wheel stays below 25 MB
    assert sum(sizes.values()) + (POCKET / "tokenizer.model").stat().st_size <= 20e6
    wheel = tmp_path / "wheel.zip"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in POCKET.iterdir():
            archive.write(path, path.name)
    assert wheel.stat().st_size <= 25e6


def test_it_is_the_default_and_free():
    assert default_model().samefile(POCKET)
    manifest = Bundle.open(POCKET).manifest
    assert manifest.license == "Apache-2.0" and manifest.prompt.tokenizer is not None
