"""What `/openapi.json` promises, against requests of every kind that it allows and forbids."""

import os
import subprocess
import sys

import pytest
from serve.serving import SHORT, ended, order, serving

from edge_audio.serve.answers import ERROR_SCHEMA


def test_every_route_is_described(client):
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) >= {
        *("/v1/jobs", "/v1/jobs/{id}", "/v1/jobs/{id}/events", "/v1/jobs/{id}/audio"),
        *("/v1/jobs/{id}/stream", "/v1/generate", "/v1/models", "/v1/models/{id}/load"),
        *("/v1/info", "/v1/login", "/health", "/metrics"),
    }
    fields = schema["components"]["schemas"]["JobOrder"]
    assert fields["additionalProperties"] is False and set(SHORT) < set(fields["properties"])
    assert schema["components"]["schemas"]["Error"] == ERROR_SCHEMA
    for path in schema["paths"].values():
        for route in path.values():
            assert route["summary"] and "default" in route["responses"]


def test_the_docs_page_needs_nothing_from_elsewhere(client):
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "/v1/jobs/{id}/audio" in page.text and "variations" in page.text
    assert "http://" not in page.text and "https://" not in page.text
    assert "<script" not in page.text and "style=" not in page.text  # the CSP would stop them


@pytest.mark.slow
def test_schemathesis(tmp_path):
    """A minute of it; `EDGE_AUDIO_SCHEMATHESIS=600` for ten."""
    seconds = int(os.environ.get("EDGE_AUDIO_SCHEMATHESIS", "60"))
    # of what is no client's fault, a full queue alone may be
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(
        '[checks.not_a_server_error]\nexpected-statuses = ["2xx", "3xx", "4xx", 503]\n'
    )
    with serving(tmp_path / "data", max_waiting=4, max_steps=12) as client:
        ended(client, order(client)["id"])
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings)),
            *("run", f"{client.base_url}/openapi.json", "--no-color", "--continue-on-failure"),
            "--checks=not_a_server_error,content_type_conformance,response_schema_conformance",
            *("--max-time", str(seconds), "--max-examples", str(4 * seconds)),
            *("--seed", "1", "--workers", "1", "--no-shrink", "--suppress-health-check", "all"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stdout[-6000:]
        assert client.get("/health").json()["status"] == "ok"
