"""Fine-tuning: a folder with good and bad sounds, what is said of them, and a bundle that knows the
new ones.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_audio.pipeline import Pipeline
from models.training.design import CHECKPOINT, POCKET
from models.training.finetune import finetune, identity, state_folder, with_known
from models.training.official import read_checkpoint
from models.training.recordings import read_folder

ROOT = Path(__file__).parents[3]
RATE = 44_100


def whistle(seconds=2.0, channels=2):
    t = np.arange(round(seconds * RATE)) / RATE
    return np.repeat(
        0.3 * np.sin(2 * np.pi * 880 * t + 20 * np.sin(2 * np.pi * 5 * t))[:, None],
        channels,
        axis=1,
    )


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "sounds"
    (place / "more").mkdir(parents=True)
    for name, samples in (
        ("listed.wav", whistle()),
        ("more/beside.flac", whistle(1.0, 1)),
        ("long.wav", whistle(6.0)),
        ("hour.wav", whistle(61)),
        ("silent.wav", np.zeros((RATE, 1))),
        ("nameless.wav", whistle()),
        ("empty.wav", whistle()),
    ):
        soundfile.write(place / name, samples, RATE)
    (place / "broken.wav").write_bytes(b"RIFF, but no sound")
    (place / "more" / "beside.txt").write_text("a dog whistle,\n short\n")
    (place / "captions.csv").write_text(
        'file,caption\nlisted.wav,a whistle\nlong.wav,"a whistle,'
        ' long"\nhour.wav,x\nsilent.wav,x\nbroken.wav,x\nempty.wav,\ngone.wav,a'
        " ghost\nonly-a-name\n"
    )
    return place


def test_what_is_wrong_is_named_and_the_rest_is_used(folder):
    said = []
    clips = read_folder(POCKET, folder, CHECKPOINT / "spiece.model", said.append)
    assert clips.captions == [("a whistle",), ("a whistle, long",), ("a dog whistle, short",)]
    assert np.diff(clips.audio.starts).tolist() == [32000, 65536, 16000]
    assert clips.audio.samples.shape[1] == 1 and clips.seconds == pytest.approx([2.0, 4.096, 1.0])
    for name, reason in (
        ("broken.wav", "cannot be read"),
        ("silent.wav", "it is silent"),
        ("hour.wav", "61 s; cut it"),
        ("long.wav", "only the first 4.1"),
        ("nameless.wav", "no caption"),
        ("empty.wav", "caption is empty"),
        ("gone.wav", "no such sound"),
        ("line 9", "no caption"),
    ):
        assert any(name in line and reason in line for line in said), (name, said)
    assert len(said) == 8


def test_a_bundle_of_ones_own_sounds(folder, tmp_path, monkeypatch):
    from edge_audio.exporter.bundle import Options, export

    checkpoint = finetune(folder, tmp_path / "out", CHECKPOINT, 2, known=4, say=lambda line: None)
    before, after = (
        read_checkpoint(CHECKPOINT).state_dict(),
        read_checkpoint(checkpoint).state_dict(),
    )
    changed = {
        name.split(".")[0]
        for name in before
        if not np.allclose(before[name], after[name], atol=1e-6)
    }
    assert changed == {
        "model",
        "t5",
        "conditioner",
    }  # the autoencoder, `pretransform`, stays as it is
    export(
        checkpoint,
        tmp_path / "bundle",
        Options(("f32",), components=("conditioners", "dit", "decoder")),
        say=lambda line: None,
    )
    clip = Pipeline.load(tmp_path / "bundle").generate("a whistle", seconds=1, seed=1, steps=2)
    assert np.isfinite(clip.samples).all()


def test_half_of_what_is_drawn_is_ones_own(folder):
    clips, rows = with_known(
        POCKET,
        read_folder(POCKET, folder, CHECKPOINT / "spiece.model", lambda line: None),
        CHECKPOINT / "spiece.model",
        8,
    )
    assert len(clips.audio) == 11 and sorted(rows) == sorted(
        [*range(3), *range(3), 0, 1, *range(3, 11)]
    )


def test_other_sounds_captions_or_checkpoint_begin_anew(folder, tmp_path):
    def told(checkpoint=CHECKPOINT):
        own = read_folder(POCKET, folder, CHECKPOINT / "spiece.model", lambda line: None)
        return identity(own, np.arange(len(own.audio)), checkpoint)

    first = told()
    assert told() == first
    (folder / "more" / "beside.txt").write_text("a dog whistle, long")
    captioned = told()
    soundfile.write(folder / "again.wav", whistle(), RATE)
    (folder / "again.txt").write_text("a whistle")
    added = told()
    other = shutil.copytree(CHECKPOINT, tmp_path / "other")
    (other / "spiece.model").write_bytes(b"another")
    assert len({first, captioned, added, told(other)}) == 4
    said, out = [], tmp_path / "out"
    places = [state_folder(out, told, said.append) for told in (first, first, added, first)]
    assert places[0] == places[1] == places[3] != places[2] and places[2].is_dir()
    assert len(said) == 1 and said[0].endswith("beginning anew")


def test_what_is_missing_is_named(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    done = subprocess.run(
        [sys.executable, "-m", "models.training.finetune", "out", "--data", "sounds"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (
        1,
        "error: fine-tuning needs the extra `train` (no torch here); run pip install"
        " 'edge-audio[train]'\n",
    )


def test_nothing_usable_is_one_clear_error(tmp_path):
    (tmp_path / "none").mkdir()
    for data, said in (
        (tmp_path / "none", "has no sound that can be used"),
        (tmp_path / "gone", "is not a folder"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "models.training.finetune", tmp_path / "out", "--data", data],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1 and said in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
