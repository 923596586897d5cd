"""The model that ships: it sounds as asked, in float and in int8, it can be edited, and it is as
small as promised.
"""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_audio.bundle.manifest import GENERATING
from edge_audio.bundle.store import Bundle
from edge_audio.pipeline import Pipeline, default_model
from models.training.checked import adherence, checked_clips, table
from models.training.probes import reconstruction
from models.training.prompts import prompts_of
from models.training.sounds import FAMILIES, FIRST

ROOT = Path(__file__).parents[2]
POCKET = ROOT / "models" / "pocket"
MINIMUM_ADHERENCE = 0.8
RATE = 16_000


def generate(folder: Path, *arguments) -> dict:
    """What the command reports, with the model that it takes by itself."""
    environment = {name: value for name, value in os.environ.items() if name != "EDGE_AUDIO_MODEL"}
    done = subprocess.run(
        [sys.executable, "-m", "edge_audio.cli", "generate", *map(str, arguments), "--json"],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def samples(path: Path) -> np.ndarray:
    held, rate = soundfile.read(path, dtype="int16")
    assert rate == RATE
    return held


@pytest.mark.parametrize("precision", [pytest.param("f16", marks=pytest.mark.slow), "int8"])
def test_a_prompt_of_every_family_sounds_as_asked(precision):
    clips = list(
        checked_clips(Pipeline.load(POCKET, precision, memory="all"), prompts_of(FIRST).bundled)
    )
    print(table(clips))
    assert adherence(clips) >= MINIMUM_ADHERENCE


def test_size():
    """As a folder, with every precision and the encoder."""
    manifest = Bundle.open(POCKET).manifest
    sizes = {p: sum(manifest.graphs[name][p].bytes for name in GENERATING) for p in ("f16", "int8")}
    assert sizes["int8"] <= 0.6 * sizes["f16"]
    assert set(manifest.graphs["encoder"]) == {"f16"}
    assert sum(path.stat().st_size for path in POCKET.iterdir()) <= 20e6


def test_it_can_be_edited(tmp_path):
    """Nothing but the command line and the model that it takes by itself."""
    generate(tmp_path, "steady rain", "--seconds", 3, "--seed", 3, "-o", "rain.wav")
    rain = samples(tmp_path / "rain.wav")
    edit = ("--init", "rain.wav", "--seed", 5, "--steps", 4)
    generate(tmp_path, "heavy rain", *edit, "--strength", 0.6, "-o", "other.wav")
    generate(tmp_path, "steady rain", *edit, "--replace", "1-2", "-o", "replaced.wav")
    longer = generate(tmp_path, "steady rain", *edit, "--extend", 2, "-o", "longer.wav")
    other, replaced = samples(tmp_path / "other.wav"), samples(tmp_path / "replaced.wav")
    assert len(other) == len(replaced) == len(rain) == 3 * RATE and not np.array_equal(other, rain)
    outside = np.r_[0:RATE, 2 * RATE : 3 * RATE]
    assert np.array_equal(replaced[outside], rain[outside])
    assert not np.array_equal(replaced[RATE : 2 * RATE], rain[RATE : 2 * RATE])
    on = samples(tmp_path / "longer.wav")
    assert len(on) == 5 * RATE == longer["frames"] and np.abs(on[3 * RATE :]).max() > 300
    assert np.array_equal(on[: 2 * RATE], rain[: 2 * RATE])
    generate(tmp_path, "steady rain", "--seconds", 2, "--loop", "--steps", 4, "-o", "loop.wav")
    assert len(samples(tmp_path / "loop.wav")) == 2 * RATE


@pytest.mark.slow
def test_the_autoencoder_that_ships_keeps_what_makes_a_sound():
    """Through the bundle's own encoder and decoder, as the model card has it."""
    with Pipeline.load(POCKET, "f16", memory="all") as pipeline:
        found = reconstruction(pipeline)
    ratios, distances, _, passed = zip(*found.values(), strict=True)
    assert set(found) == set(FAMILIES)
    assert np.median(ratios) > 12 and np.median(distances) < 1 and np.mean(passed) >= 0.9


def test_the_wheel_is_small(tmp_path):
    wheel = tmp_path / "wheel.zip"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in POCKET.iterdir():
            archive.write(path, path.name)
    assert wheel.stat().st_size <= 25e6


def test_it_is_the_default_and_free():
    assert default_model().samefile(POCKET)
    manifest = Bundle.open(POCKET).manifest
    assert manifest.license == "Apache-2.0" and manifest.prompt.tokenizer is not None
