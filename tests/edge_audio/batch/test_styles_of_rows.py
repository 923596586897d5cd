"""Rows with adapters of their own: each sounds as if it had been made alone with them."""

import json
import shutil
from pathlib import Path

import pytest
import soundfile
from adapters import random_adapter
from references import DATA

from edge_audio import Pipeline
from edge_audio.cli.main import main

CHECKPOINT = Path(__file__).parents[3] / "models" / "training" / "checkpoint"
NAME = "vinyl.safetensors"


@pytest.fixture
def folder(tmp_path):
    random_adapter(tmp_path / NAME, CHECKPOINT)
    shutil.copyfile(DATA / "sa3tiny0" / "adapter_lora.safetensors", tmp_path / "other.safetensors")
    return tmp_path


def run(folder, lines):
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    given = ["batch", folder / "list.csv", "--out", folder / "out", "--seconds", 1]
    return main([str(word) for word in [*given, "--workers", 1, "--threads", 1]])


def rows(folder):
    lines = (folder / "out" / "metadata.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def sound(folder, row):
    return soundfile.read(folder / "out" / row["file_name"])[0]


def test_rows_have_styles_of_their_own(folder, capsys):
    lines = ["prompt,seed,lora", "a bell,7,", f"a bell,7,{NAME}=0.5", f"a bell,7,{NAME}"]
    assert run(folder, lines) == 0
    plain, half, whole = rows(folder)
    assert len({row["sha256"] for row in (plain, half, whole)}) == 3
    assert json.loads(half["settings"])["lora"][0]["strength"] == 0.5
    assert "lora" not in json.loads(plain["settings"])
    with Pipeline.load(lora=[(folder / NAME, 0.5)]) as pipe:
        alone = pipe.generate("a bell", seconds=1, seed=7)
    alone.save(folder / "alone.flac")
    assert (soundfile.read(folder / "alone.flac")[0] == sound(folder, half)).all()
    # another content under the same name is another row
    random_adapter(folder / NAME, CHECKPOINT, size=0.1)
    capsys.readouterr()
    assert run(folder, lines) == 0 and "2 to be made" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("none.safetensors", "none.safetensors is missing"),
        (f"{NAME}=x", f"lora '{NAME}=x' is neither a file nor one with a strength like"),
        ("other.safetensors", "is for another model"),
        (f"{NAME}=inf", "is not a finite number"),
        (f"{NAME}; {NAME}", "twice"),
    ],
)
def test_styles_that_cannot_be_merged_are_told_by_the_plan(folder, capsys, cell, said):
    assert run(folder, ["prompt,lora", f"rain,{cell}"]) == 1
    errors = capsys.readouterr().err
    assert "row 2: " in errors and said in errors
