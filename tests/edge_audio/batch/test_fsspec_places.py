"""Places that fsspec knows: what comes out there, and places that take nothing or keep nothing."""

import hashlib
import http.server
import json
import os
import threading
import urllib.parse
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LIST = ["prompt", "rain", "a bell", "hail"]


def files(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path(folder).iterdir()
        if path.is_file()
    }


def test_a_place_of_fsspec_gets_what_a_folder_gets(batch, tmp_path):
    place = f"file://{tmp_path}/there/sounds"
    code, out, errors = batch(LIST, out=place)
    assert (code, errors) == (0, "") and "3 sounds in" in out
    assert batch(LIST, out=tmp_path / "here")[0] == 0
    assert files(tmp_path / "there" / "sounds") == files(tmp_path / "here")
    assert "nothing to do" in batch(LIST, out=place)[1]


@pytest.mark.slow
def test_a_disk_that_is_full_behind_fsspec_stops_the_run_which_goes_on_later(
    batch, tmp_path, monkeypatch
):
    (tmp_path / "sitecustomize.py").write_text(
        "import errno, fsspec.implementations.local as local\n"
        "usual = local.LocalFileSystem.pipe_file\n"
        "def pipe_file(self, path, value, **more):\n"
        "    if 'bell' in path:\n"
        "        raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "    return usual(self, path, value, **more)\n"
        "local.LocalFileSystem.pipe_file = pipe_file\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    place = f"file://{tmp_path}/sounds"
    code, _, errors = batch(LIST, out=place)
    assert code == 1 and "No space left on device); free some space, then run the same" in errors
    assert not (tmp_path / "sounds" / "metadata.jsonl").exists()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    code, out, _ = batch(LIST, out=place)
    assert code == 0 and "2 to be made" in out
    assert len((tmp_path / "sounds" / "metadata.jsonl").read_text().splitlines()) == 3


def test_a_place_that_each_process_has_to_itself_is_told(batch):
    code, _, errors = batch(LIST, out="memory://sounds")
    assert code == 1 and "memory://sounds has not what was written there" in errors


def test_a_place_that_nobody_knows(batch):
    code, _, errors = batch(LIST, out="s4://sounds")
    assert code == 1 and "s4://sounds cannot be reached (Protocol not known" in errors


class Store(http.server.BaseHTTPRequestHandler):
    """S3, as far as a run needs it. `refuses`: a part of names that it takes no objects of."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]
    refuses = ""

    def do_PUT(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.refuses and self.refuses in self.path:
            self._answer(403, b"<Error><Code>AccessDenied</Code><Message>No</Message></Error>")
        else:
            self.objects[urllib.parse.unquote(self.path)] = data
            self._answer(200)

    def do_GET(self):
        data = self.objects.get(urllib.parse.unquote(self.path))
        self._answer(404 if data is None else 200, data or b"")

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, status, data=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", '"0"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store, found by whoever asks for s3://; its objects end with the test."""
    made = type("Store", (Store,), {"objects": {}})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), made)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    settings = {"endpoint_url": url, "key": "a", "secret": "b"}
    (tmp_path / "s3.json").write_text(json.dumps({"s3": settings}))
    monkeypatch.setenv("FSSPEC_CONFIG_DIR", str(tmp_path))
    import fsspec.config

    monkeypatch.setitem(fsspec.config.conf, "s3", settings)
    yield made
    server.shutdown()


@pytest.mark.clients
def test_a_store_that_refuses_in_mid_run_and_then_takes_all(batch, tmp_path, store):
    pytest.importorskip("s3fs")
    place = f"s3://bucket/{tmp_path.parent.name}"
    store.refuses = "bell"
    code, _, errors = batch(LIST, out=place)
    assert code == 1 and "refuses (" in errors and "your rights to write there" in errors
    store.refuses = ""
    code, out, errors = batch(LIST, out=place)
    assert code == 0 and "2 to be made" in out, errors
    assert batch(LIST, out=tmp_path / "here")[0] == 0
    found = {
        Path(name).name: hashlib.sha256(data).hexdigest()
        for name, data in store.objects.items()
        if "/.edge-audio/" not in name
    }
    assert found == files(tmp_path / "here")
    store.refuses = "bucket"
    code, _, errors = batch(LIST, out=f"{place}-other")
    assert code == 1 and "refuses (" in errors and "same command again to go on" in errors
