"""The examples of docs/clients.md, one after the other in one folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from edge_audio.bundle.store import Bundle
from edge_audio.model.model import default_model

pytestmark = pytest.mark.clients
ROOT = Path(__file__).parents[4]
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "clients.md").read_text(), re.S)
MODEL = Path(os.environ.get("EDGE_AUDIO_MODEL") or default_model())
PACKAGES = ("elevenlabs", "requests", "openai", "huggingface_hub", "wyoming", "mcp")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Folder of the sounds, and the addresses of the documents with those of a server."""
    for package in PACKAGES:
        pytest.importorskip(package, reason=f"{package} is not here; make test-clients")
    folder = tmp_path_factory.mktemp("docs")
    (folder / "bin").mkdir()
    # the SDK's client hands hardly any environment on
    run = f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m edge_audio.cli "$@"'
    (folder / "bin" / "edge-audio").write_text(f"#!/bin/sh\n{run}\n")
    (folder / "bin" / "edge-audio").chmod(0o755)
    command = [sys.executable, "-m", "edge_audio.cli", "serve", "--port", "0", "--wyoming", "0"]
    command += ["--data", folder / "history", "--model", MODEL, "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            web = re.search(r":(\d+)/", running.stdout.readline())[1]
            wyoming = running.stdout.readline().rpartition(":")[2].strip()
            yield folder, {"127.0.0.1:8080": f"127.0.0.1:{web}", "10200": wyoming}
        finally:
            running.terminate()


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example(place, number):
    folder, addresses = place
    code = EXAMPLES[number]
    if "/inpaint" in code and "encoder" not in Bundle.open(MODEL).manifest.graphs:
        pytest.skip("this model has no encoder, which sounds to start from need")
    for before, after in addresses.items():
        code = code.replace(before, after)
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    settings = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    before = set(folder.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=settings
    )
    assert done.returncode == 0, done.stderr
    [made] = set(folder.iterdir()) - before
    assert soundfile.info(made).duration > 1
    if "#" in code:
        assert done.stdout.strip() == code.split("# ")[1].strip()
