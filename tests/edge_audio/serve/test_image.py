"""The health check of the image, against a real server."""

import json
import re
import subprocess
import sys
from pathlib import Path

from serve.serving import serving

DOCKERFILE = Path(__file__).parents[3] / "packaging" / "Dockerfile"


def test_the_health_check_tells_a_server_from_none(tmp_path):
    check = re.search(r"^HEALTHCHECK .*\n *CMD (\[.*\])", DOCKERFILE.read_text(), re.M)
    python, *options, code = json.loads(check[1])
    assert python == "python" and "127.0.0.1:8080" in code

    def ask(port):
        asked = code.replace(":8080", f":{port}")
        done = subprocess.run([sys.executable, *options, asked], capture_output=True)
        return done.returncode

    with serving(tmp_path) as client:
        assert ask(client.port) == 0
    assert ask(client.port) != 0
