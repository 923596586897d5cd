"""Two servers behind nginx, configured as docs/serve/nginx.conf says."""

import contextlib
import shutil
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from serve.serving import SHORT, ended, order, serving

CONF = Path(__file__).parents[3] / "docs" / "serve" / "nginx.conf"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not here"),
]


@contextlib.contextmanager
def nginx(folder: Path, ports: dict[str, int]):
    """A client of nginx in front of servers on these ports."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = CONF.read_text()
    for before, after in {"8081": ports["a"], "8082": ports["b"], "listen 8080": port}.items():
        assert before in text
        after = f"listen 127.0.0.1:{after}" if before.startswith("listen") else str(after)
        text = text.replace(before, after)
    main = folder / "nginx.conf"
    paths = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off;\n{paths}{text}}}\n"
    )
    with subprocess.Popen(["nginx", "-p", folder, "-c", main, "-e", folder / "error.log"]) as run:
        try:
            with httpx.Client(base_url=f"http://localhost:{port}", timeout=60) as client:
                for _ in range(500):
                    with contextlib.suppress(httpx.ConnectError):
                        client.get("/health")
                        break
                    time.sleep(0.02)
                yield client
        finally:
            run.terminate()


def test_replicas_scale_out_and_drain(tmp_path):
    settings = {"proxies": ("127.0.0.1",), "allowed_hosts": ("sound.example",)}
    with contextlib.ExitStack() as stack:
        servers = {
            name: stack.enter_context(serving(tmp_path / name, replica=name, **settings))
            for name in ("a", "b")
        }
        (tmp_path / "nginx").mkdir()
        ports = {name: client.port for name, client in servers.items()}
        client = stack.enter_context(nginx(tmp_path / "nginx", ports))

        # jobs of both replicas are reached by their ids, whoever asks
        for name, server in servers.items():
            job = ended(server, order(server)["id"])["id"]
            assert job.startswith(f"{name}-")
            assert ended(client, job)["state"] == "done"
            assert client.get(f"/v1/jobs/{job}/audio").status_code == 200

        # a client's orders go to one of them, so that it may start from its own clips
        jobs = [order(client)["id"] for _ in range(4)]
        [mine] = {job[0] for job in jobs}
        assert all(ended(client, job)["state"] == "done" for job in jobs)
        listed = {job["id"] for job in client.get("/v1/jobs").json()["jobs"]}
        assert set(jobs) <= listed

        # a replica that drains takes no more, finishes what it has, and nobody notices
        [other] = {"a", "b"} - {mine}
        running = order(client, steps=100)["id"]
        assert running.startswith(mine)
        servers[mine].studio._is_draining = True
        assert servers[mine].get("/health").status_code == 503
        moved = [order(client)["id"] for _ in range(3)]
        assert {job[0] for job in moved} == {other}
        assert ended(client, running)["state"] == "done"
        assert all(ended(client, job)["state"] == "done" for job in moved)

        # when both are full or stopping, the client is told so as by one
        servers[other].studio._is_draining = True
        refused = client.post("/v1/jobs", json=SHORT)
        assert refused.status_code in (502, 503)
