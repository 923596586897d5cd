"""The way of docs/models.md, from the Hub to a Pi, as it stands there: tiny checkpoints under the
official names, on a Hub of this computer.
"""

import os
import re
import subprocess
import sys

import documents
import other_computer
import pytest
from hub_files import checkpoint_files, t5_files
from hub_server import TOKEN, Hub
from references import DATA

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="its stand-ins are shell scripts"),
]
MODEL = "stable-audio-3-small-sfx"
#: What tiny models have otherwise: no tokenizer for Gemma, and one length only.
TINY = {
    r'generate "[^"]*"': "generate --ids 5,3",
    "--seconds 10": "--seconds 1",
    " --latent-lengths 64,128": "",
}


def test_the_way(tmp_path) -> None:
    hub, workstation = Hub(), tmp_path / "workstation"
    workstation.mkdir()
    terms = {"license": "other", "license_name": "tiny-terms"}
    sfx = {
        name: (DATA / "sa3tiny0" / name).read_bytes()
        for name in ("model_config.json", "model.safetensors")
    }
    for name in ("config.json", "model.safetensors"):
        sfx[f"t5gemma/{name}"] = (DATA / "sa3tiny0" / "t5gemma" / name).read_bytes()
    small = checkpoint_files()
    small["model_config.json"] = small["model_config.json"].replace(b"tiny-t5", b"t5-base")
    tokenizer = (DATA / "schema1" / "tokenizer.model").read_bytes()
    hub.add(f"stabilityai/{MODEL}", sfx, gate="open", card=terms)
    hub.add("stabilityai/stable-audio-open-small", small, gate="open", card=terms)
    hub.add("google-t5/t5-base", t5_files(tokenizer))
    reach = other_computer.reachable(tmp_path, "pi@raspberrypi.local")
    kept = {name: text for name, text in os.environ.items() if name != "EDGE_AUDIO_MODELS"}
    environment = {
        **kept,
        **documents._environment(workstation),
        **{name: reach[name] for name in ("PI", "OVER_THERE")},
        "HF_ENDPOINT": hub.endpoint,
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN": TOKEN,
    }
    environment["PATH"] = f"{tmp_path / 'bin'}{os.pathsep}{environment['PATH']}"
    environment.pop("EDGE_AUDIO_MODELS", None)
    walked = [one for one in documents.blocks("docs/models.md") if "test_walk" in one.mark]
    assert len(walked) >= 6
    with hub.running():
        for block in walked:
            code = block.code
            for official, tiny in TINY.items():
                code = re.sub(official, tiny, code)
            is_on_pi = "models verify" in code
            home = tmp_path / "pi" if is_on_pi else workstation
            done = subprocess.run(
                ["bash", "-e", "-o", "pipefail", "-c", code],
                cwd=home,
                env={**environment, "HOME": str(home)},
                capture_output=True,
                text=True,
            )
            said = f"{block.where}\n{done.stdout}\n{done.stderr}"
            assert done.returncode == 0 and "Traceback" not in done.stderr, said
    assert (workstation / "rain.wav").stat().st_size > 1000
    published = hub.repos["ada/stable-audio-3-small-sfx-int8"]
    assert published.private
    assert (
        b'base_model: "stabilityai/stable-audio-3-small-sfx"'
        in (published.commits[published.head]["README.md"])
    )
