"""Who may come in, and what strangers may send: raw sockets and a real client against a real
server.
"""

import contextlib
import json
import logging
import socket
import time

import httpx
import pytest
from serve.serving import SHORT, ended, order, serving

from edge_audio import UsageError
from edge_audio.cli import main as cli
from edge_audio.serve.config import ServeConfig
from edge_audio.serve.safety import JSON_BYTES

KEY, OTHER = "k3y-of-the-kitchen-01", "k3y-of-the-cellar-02"


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """A server with two keys, pages of one other origin, and little patience."""
    data = tmp_path_factory.mktemp("data")
    settings = {
        "api_keys": (KEY, OTHER),
        "cors": ("https://app.example",),
        "allowed_hosts": ("sound.example",),
        "body_seconds": 0.5,
    }
    with serving(data, **settings) as client:
        yield client


def raw(client, text: bytes, rest: bytes = b"") -> tuple[int, dict]:
    """The answer to bytes on a socket, whose end the server has to find; then `rest` is sent."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        connection.sendall(text)
        if rest:
            with contextlib.suppress(OSError):  # the server may close it: it wants no more
                connection.sendall(rest)
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def head(more: str, path: str = "/v1/jobs") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    return "\r\n".join([*lines, *more.splitlines(), "", ""]).encode()


def test_no_key_no_entry(locked):
    for path in ("/v1/jobs", "/v1/models", "/metrics", "/openapi.json", "/v1/info", "/nothing"):
        answer = locked.get(path)
        assert answer.status_code == 401 and answer.json()["error"]["code"] == "unauthorized"
        assert KEY not in answer.text
    assert locked.post("/v1/jobs", json=SHORT).status_code == 401
    for wrong in ("-", KEY[:-1], KEY + "1", "\xff" * 20, "x" * 9000):
        headers = {"Authorization": f"Bearer {wrong}".encode("latin-1")}
        assert locked.get("/v1/info", headers=headers).status_code == 401
    assert locked.get("/health").status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Authorization": f"Bearer {KEY}"}, {"xi-api-key": OTHER}], ids=["bearer", "xi"]
)
def test_a_key_opens(locked, headers):
    assert locked.get("/v1/info", headers=headers).json()["auth"] is True


def test_the_page_logs_in_with_a_cookie_that_does_not_tell_the_key(locked):
    assert locked.post("/v1/login", json={"key": "wrong"}).status_code == 401
    answer = locked.post("/v1/login", json={"key": KEY})
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 204 and KEY not in cookie
    assert "HttpOnly" in cookie and "samesite=strict" in cookie.lower()
    token = cookie.partition("=")[2].partition(";")[0]
    with httpx.Client(base_url=locked.base_url) as browser:
        named = {"Cookie": f"edge_audio_key={token}"}
        assert browser.get("/v1/info", headers=named).status_code == 200
        named = {"Cookie": f"edge_audio_key={token[:-1]}g"}
        assert browser.get("/v1/info", headers=named).status_code == 401
        # what a cookie holds is no key
        assert browser.get("/v1/info", headers={"xi-api-key": token}).status_code == 401
    locked.cookies.clear()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:9", 200),
        ("[::1]:8080", 200),
        ("192.168.1.7", 200),  # no name can be made to point at it
        ("sound.example", 200),
        (socket.gethostname(), 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
def test_only_known_names_are_served(locked, host, status):
    """A page of evil.example may make its name point to 127.0.0.1, and would be same-origin."""
    assert locked.get("/health", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 202),
        ({"Origin": "http://127.0.0.1:{port}"}, 202),
        ({"Origin": "https://app.example"}, 202),
        ({"Origin": "https://127.0.0.1:{port}"}, 202),  # behind a proxy that ends TLS
        ({"Sec-Fetch-Site": "same-origin"}, 202),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "file://127.0.0.1:{port}"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_other_pages_change_nothing(locked, headers, status):
    given = {name: value.format(port=locked.port) for name, value in headers.items()}
    answer = locked.post("/v1/jobs", json=SHORT, headers={"xi-api-key": KEY, **given})
    assert answer.status_code == status, answer.text


def test_only_named_origins_may_read(locked):
    asked = {"Access-Control-Request-Method": "POST"}
    good = locked.options("/v1/jobs", headers={"Origin": "https://app.example", **asked})
    assert good.headers["access-control-allow-origin"] == "https://app.example"
    bad = locked.options("/v1/jobs", headers={"Origin": "https://evil.example", **asked})
    assert "access-control-allow-origin" not in bad.headers


def test_every_answer_has_its_headers(client):
    for path in ("/health", "/nothing", "/v1/jobs"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers and "server" not in headers


def test_a_body_that_says_it_is_huge_is_not_waited_for(client):
    status, body = raw(client, head(f"Content-Length: {2 << 30}"))
    assert (status, body["error"]["code"]) == (413, "too_large")
    status, body = raw(client, head(f"Content-Length: {'9' * 40}"))
    assert (status, body["error"]["code"]) == (400, "http")
    status, body = raw(client, b"no HTTP at all\r\n\r\n")
    assert (status, body["error"]["code"]) == (400, "http")


def test_an_endless_body_is_cut(client):
    piece = b"%x\r\n" % 65536 + b"x" * 65536 + b"\r\n"
    endless = piece * (JSON_BYTES // 65536 + 40)
    status, body = raw(client, head("Transfer-Encoding: chunked"), endless)
    assert (status, body["error"]["code"]) == (413, "too_large")


def test_a_slow_body_is_not_waited_for(locked):
    text = head(f"Content-Length: 100\nxi-api-key: {KEY}")
    status, body = raw(locked, text + b'{"prompt": ')
    assert (status, body["error"]["code"]) == (408, "timeout")


def test_slow_headers_are_not_waited_for(client, monkeypatch):
    from edge_audio.serve import server

    monkeypatch.setattr(server._Protocol, "_SECONDS", 0.2)
    for sent in (b"", b"POST /v1/jobs HTTP/1.1\r\nHost: local"):
        with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
            connection.sendall(sent)
            assert connection.recv(100) == b""  # closed


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        (b'{"prompt": "a", "seconds": NaN}', 422, "invalid", "seconds"),
        (b'{"prompt": "a", "seconds": 1e999}', 422, "invalid", "seconds"),
        (b'{"prompt": "a", "steps": Infinity}', 422, "invalid", "steps"),
        (b'{"prompt": "a", "volume": 11}', 422, "invalid", "volume"),
        (b'{"prompt": "a", "seed": 1.5}', 422, "invalid", "seed"),
        (b'{"prompt": "a", "seed": "7"}', 422, "invalid", "seed"),
        (b'{"prompt": "a", "seed": ' + b"9" * 6000 + b"}", 422, None, None),
        (b'{"prompt": 7}', 422, "invalid", "prompt"),
        (b'{"prompt": "\\ud800"}', 422, "json", None),
        (b'{"prompt": "a", "seconds": 99}', 422, "unsupported", "seconds"),
        (b'{"prompt": "a", "seconds": 0}', 422, "invalid", "seconds"),
        (b'{"prompt": "a", "steps": 9999}', 422, "invalid", "steps"),
        (b'{"prompt": "a", "sampler": "runge"}', 422, "invalid", "sampler"),
        (b'{"prompt": "a", "precision": "int3"}', 422, "invalid", "precision"),
        (b'{"prompt": "a", "precision": "f32"}', 422, "unsupported", None),
        (b'{"prompt": "a", "model": "../../etc"}', 422, "model_not_found", "model"),
        (b'{"prompt": "a", "variations": 17}', 422, "invalid", "variations"),
        (b'{"prompt": "a", "replace": [[0, 1]]}', 422, "invalid", "replace"),
        (b'{"prompt": "a", "init": {"job": "../../etc/passwd"}}', 422, "invalid", "init.job"),
        (b'{"prompt": "a", "init": {"job": "00000000000000000000"}}', 422, "not_found", "init"),
        (b'{"prompt": "' + b"a" * 5000 + b'"}', 422, "invalid", "prompt"),
        (b'{"prompt": "' + b"a" * 10_000_000 + b'"}', 413, "too_large", None),
        (b"[" * 100_000, 422, "json", None),
        (b'{"prompt"', 422, "json", None),
        (b"\xff\xfe", 422, "json", None),
        (b"", 422, "json", None),
        (b"null", 422, "invalid", None),
    ],
)
def test_bad_json_is_one_clear_error(client, body, status, code, field):
    answer = client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    error = answer.json()["error"]
    assert answer.status_code == status, error
    assert code is None or (error["code"], error["field"]) == (code, field), error
    assert set(error) == {"code", "message", "field"} and len(error["message"]) < 500
    assert "\n" not in error["message"] and "models/" not in error["message"]


def test_ids_and_queries_of_strangers(client):
    job = ended(client, order(client)["id"])["id"]
    for path in ("nothing", "0" * 20, "..%2f..%2fetc%2fpasswd", "x" * 5000, "%00", "%ff"):
        for more in ("", "/audio", "/events", "/stream"):
            answer = client.get(f"/v1/jobs/{path}{more}")
            assert answer.status_code == 404 and answer.json()["error"]["code"] == "not_found"
    for path in ("..%2fapp.py", "../app.py", "%2fetc%2fpasswd", "index.html%00.js"):
        assert client.get(f"/page/{path}").status_code == 404
    for query in ("clip=1", "clip=15"):
        assert client.get(f"/v1/jobs/{job}/audio?{query}").status_code == 404
    for query in ("clip=-1", "clip=99", "clip=x", "format=exe", "format=../x", "what=1"):
        answer = client.get(f"/v1/jobs/{job}/audio?{query}")
        assert answer.status_code == 422 and answer.json()["error"]["field"], query
    wrong = client.post("/v1/jobs", content=b"prompt=a", headers={"Content-Type": "text/plain"})
    assert wrong.status_code == 415 and wrong.json()["error"]["code"] == "media_type"
    assert client.put("/v1/jobs").json()["error"]["code"] == "method"


def test_the_log_tells_neither_keys_nor_prompts(locked, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    job = locked.post(
        "/v1/jobs", json={**SHORT, "prompt": "a secret bell"}, headers={"xi-api-key": KEY}
    ).json()["id"]
    locked.get(f"/v1/jobs/{job}", params={"key": KEY}, headers={"xi-api-key": KEY})
    lines = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("edge_audio"))
    assert f"/v1/jobs/{job} 422" not in lines and "POST /v1/jobs 202" in lines
    assert "secret" not in lines and KEY not in lines
    caplog.clear()
    with serving(tmp_path, log_prompts=True) as client:
        order(client, prompt="no secret bell")
        assert "no secret bell" in caplog.text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"host": "0.0.0.0"}, "give an --api-key, or --no-auth"),
        ({"api_keys": ("",)}, "an API key is empty"),
        ({"api_keys": ("schlüssel",)}, "printable ASCII"),
        ({"port": 70000}, "--port 70000 is not within"),
        ({"max_waiting": 0}, "--max-waiting 0 is not within"),
        ({"memory": "much"}, "--memory-budget 'much'"),
        ({"replica": "A/.."}, "--replica is no name"),
    ],
)
def test_settings_that_cannot_be(settings, said):
    with pytest.raises(UsageError, match=said):
        ServeConfig(**settings)


def test_the_command_line_refuses_an_open_door(capsys, tmp_path):
    assert cli.main(["serve", "--host", "0.0.0.0", "--data", str(tmp_path)]) == 2
    assert "--no-auth" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert cli.main(["serve", "--port", port, "--data", str(tmp_path)]) == 1
        assert "choose another --port" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_one_data_folder_one_server(client, capsys):
    data = str(client.studio.history.folder)
    assert cli.main(["serve", "--port", "0", "--data", data]) == 1
    assert "another edge-audio serve uses it" in capsys.readouterr().err


def test_who_hangs_up_cancels_what_is_theirs(client):
    body = json.dumps({**SHORT, "seconds": 4, "steps": 250}).encode()
    for query in ("", "?stream=true"):
        text = head(f"Content-Length: {len(body)}", f"/v1/generate{query}") + body
        with socket.create_connection(("127.0.0.1", client.port)) as connection:
            connection.sendall(text)
            job = wait_for(lambda: running(client))
        assert ended(client, job)["state"] == "cancelled"


def running(client) -> str | None:
    jobs = client.get("/v1/jobs").json()["jobs"]
    return next((job["id"] for job in jobs if job["state"] == "running"), None)


def wait_for(condition):
    for _ in range(2000):
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError("it never came")
