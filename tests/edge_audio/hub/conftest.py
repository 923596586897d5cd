"""A Hub on this computer, and a models folder of the test's own."""

import json
from types import SimpleNamespace

import pytest
from hub_files import CHECKPOINT, T5, checkpoint_files, t5_files
from hub_server import TOKEN, Hub
from huggingface_hub import constants
from huggingface_hub.utils import close_session
from references import DATA

from edge_audio.cli.main import main
from edge_audio.hub import faults


@pytest.fixture
def models(tmp_path, monkeypatch):
    """The models folder."""
    monkeypatch.setenv("EDGE_AUDIO_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def hub(models, tmp_path, monkeypatch):
    """A Hub that the client in this process talks to, with a token; waits take no time, and are
    listed in `hub.waits`.
    """
    hub = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    template = "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.endpoint + template)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 120)  # on a busy computer
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.waits = []
    monkeypatch.setattr(faults, "sleep", hub.waits.append)
    with hub.running():
        yield hub
    close_session()


@pytest.fixture
def run(capsys):
    """Run a command line in this process: its exit code, what it printed, and that as JSON."""

    def run(*arguments: str) -> SimpleNamespace:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        is_json = "--json" in arguments and code == 0
        return SimpleNamespace(
            code=code, out=out, err=err, json=json.loads(out) if is_json else None
        )

    return run


@pytest.fixture
def checkpoint(hub):
    """A gated checkpoint on the Hub that the token may read, and its text encoder."""
    card = {"license": "other", "license_name": "tiny-terms"}
    hub.add(T5, t5_files())
    return hub.add(CHECKPOINT, checkpoint_files(), gate="open", card=card)


@pytest.fixture
def bundle_files():
    """A small bundle's files."""
    paths = (DATA / "schema1").iterdir()
    return {path.name: path.read_bytes() for path in paths if path.suffix != ".npy"}


@pytest.fixture
def small_bundle(bundle_files, models):
    """A bundle that is kept as `rain`."""
    (models / "rain").mkdir(parents=True)
    for name, content in bundle_files.items():
        (models / "rain" / name).write_bytes(content)
    return models / "rain"
