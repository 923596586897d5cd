"""Which folder a model's name stands for."""

import shutil
import sys
from pathlib import Path

import pytest
from references import DATA

from edge_audio import Bundle, EdgeAudioError, Pipeline, UsageError
from edge_audio.bundle import places
from edge_audio.cli.main import main
from edge_audio.pipeline import default_model


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The folder of a model that is kept under the name `rain`; the working folder is empty."""
    models, here = tmp_path / "models", tmp_path / "here"
    shutil.copytree(DATA / "schema1", models / "rain")
    here.mkdir()
    monkeypatch.setenv("EDGE_AUDIO_MODELS", str(models))
    monkeypatch.chdir(here)
    return models / "rain"


def test_a_name_is_found_wherever_a_model_can_be_given(kept, monkeypatch) -> None:
    assert Bundle.open("rain").folder == kept
    assert Pipeline.load("rain").bundle.folder == kept
    monkeypatch.setenv("EDGE_AUDIO_MODEL", "rain")
    assert default_model() == kept
    assert Pipeline.load("pocket").bundle.manifest.name == "pocket"


def test_a_folder_with_a_slash_is_a_folder(kept) -> None:
    with pytest.raises(EdgeAudioError, match=r"no bundle at rain/\.\./rain"):
        Bundle.open("rain/../rain")
    assert Bundle.open(f"{kept}/").folder == kept


def test_a_bundle_here_wins_over_one_that_is_kept_and_another_folder_does_not(kept) -> None:
    Path("rain").mkdir()
    assert places.resolve("rain") == kept
    (Path("rain") / "manifest.json").write_bytes((kept / "manifest.json").read_bytes())
    assert places.resolve("rain") == Path("rain")


def test_an_unknown_name_is_told_what_is_near_it(kept) -> None:
    with pytest.raises(EdgeAudioError, match=r"no bundle at rian: .*`edge-audio pull`") as refused:
        Pipeline.load("rian")
    assert str(refused.value).endswith("kept here: pocket, rain; did you mean rain?")


def test_the_folder_of_models(monkeypatch) -> None:
    monkeypatch.delenv("EDGE_AUDIO_MODELS")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    if sys.platform == "linux":
        assert places.models_folder() == Path("/data/edge-audio/models")
    monkeypatch.setenv("EDGE_AUDIO_MODELS", "~/sounds")
    assert places.models_folder() == Path("~/sounds").expanduser()


@pytest.mark.parametrize("name", ["", "-x", ".hidden", "a/b", "a b", "a\n", "x" * 97, "pocket"])
def test_names_that_no_model_is_kept_under(name) -> None:
    with pytest.raises(UsageError):
        places.checked_name(name)


def test_commands_take_a_name(kept) -> None:
    for arguments in (
        ["info", "rain"],
        ["generate", "--ids", "5,3", "--seconds", "0.01", "--model", "rain", "-o", "a.wav"],
        ["again", "a.wav", "--model", "rain", "-o", "b.wav"],
    ):
        assert main(arguments) == 0
