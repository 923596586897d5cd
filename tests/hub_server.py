"""A server that speaks the Hub's protocol on this computer, for the real client: listings, files by
commit with ranges, gates, uploads through git LFS, and whatever fault a test asks for.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_a_test"
#: files of these are git LFS's, as on the Hub
LFS = (".safetensors", ".tflite", ".model", ".ckpt")
PIECE = 1 << 16
#: what the client asks of itself, once a day, between what it is told to ask: tests do not count it
AGENTS = "/api/agent-harnesses"


@dataclass
class Repo:
    """A repository: commit -> path -> contents (bytes, or a Zeros)."""

    commits: dict[str, dict] = field(default_factory=dict)
    head: str = ""
    gate: str = ""  # what the Hub says to a token that has no access
    private: bool = False
    card: dict = field(default_factory=dict)

    def commit(self, files: dict) -> str:
        self.head = hashlib.sha1(f"{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.commits[self.head] = dict(files)
        return self.head


class Zeros:
    """Contents of any size that take no memory: zeros."""

    def __init__(self, size: int):
        self.size = size
        self.sha256 = ""

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, part: slice) -> bytes:
        begin, end, _ = part.indices(self.size)
        return bytes(end - begin)


@dataclass
class Answer:
    """What a fault makes of a request."""

    status: int
    said: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class Hub:
    """The server, and what tests set and read of it."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        #: called with method and path before anything else; an Answer is given instead
        self.fault: Callable[[str, str], Answer | None] = lambda method, path: None
        #: sha256 -> after how many bytes its next connections are cut
        self.cuts: dict[str, list[int]] = {}
        self.knows_ranges = True
        #: sha256 -> what is sent in its place
        self.swapped: dict[str, bytes] = {}
        self.served: Counter[str] = Counter()  # sha256 -> bytes sent
        self.requests: list[tuple[str, str]] = []
        self.tokens_at_cdn: list[str] = []
        self.blobs: dict[str, object] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def running(self) -> Iterator[Hub]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def environment(self, **more: str) -> dict[str, str]:
        """Of a process that talks to this server."""
        return {
            **os.environ,
            "HF_ENDPOINT": self.endpoint,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            **more,
        }

    def add(self, id: str, files: dict, **settings) -> Repo:
        self.repos[id] = Repo(**settings)
        self.repos[id].commit(files)
        return self.repos[id]


def sha256(content) -> str:
    if isinstance(content, Zeros) and content.sha256:
        return content.sha256
    digest = hashlib.sha256()
    for begin in range(0, len(content), 1 << 20):
        digest.update(content[begin : begin + (1 << 20)])
    if isinstance(content, Zeros):
        content.sha256 = digest.hexdigest()
    return digest.hexdigest()


def sibling(path: str, content) -> dict:
    """A file as a listing has it."""
    blob = hashlib.sha1(b"blob %d\0" % len(content))
    entry: dict = {"rfilename": path, "size": len(content)}
    if path.endswith(LFS):
        entry["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 130}
    else:
        blob.update(content[:])
    return {**entry, "blobId": blob.hexdigest()}


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self._route("GET")

        def do_HEAD(self) -> None:
            self._route("HEAD")

        def do_POST(self) -> None:
            self._route("POST")

        def do_PUT(self) -> None:
            self._route("PUT")

        def _route(self, method: str) -> None:
            path = unquote(urlsplit(self.path).path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if path == AGENTS:
                self._refuse(Answer(404))
                return
            hub.requests.append((method, path))
            if fault := hub.fault(method, path):
                self._refuse(fault)
                return
            for pattern, serve in (
                (r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", self._listing),
                (r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self._resolve),
                (r"/cdn/([0-9a-f]{64})", self._cdn),
                (r"/api/repos/create", self._create),
                (r"/api/validate-yaml", self._validate),
                (r"/api/models/([^/]+/[^/]+)/preupload/main", self._preupload),
                (r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", self._batch),
                (r"/lfs/([0-9a-f]{64})", self._store),
                (r"/api/models/([^/]+/[^/]+)/commit/main", self._commit),
            ):
                if match := re.fullmatch(pattern, path):
                    serve(*match.groups(), body)
                    return
            self._refuse(Answer(404, "nothing there"))

        def _listing(self, id: str, revision: str | None, _: bytes) -> None:
            if not (repo := self._repo(id)):
                return
            commit = self._commit_of(repo, revision or "main")
            if commit is None:
                return
            files = repo.commits[commit]
            self._json(
                {
                    "id": id,
                    "modelId": id,
                    "sha": commit,
                    "private": repo.private,
                    "gated": "auto" if repo.gate else False,
                    "siblings": [sibling(path, content) for path, content in files.items()],
                    "cardData": repo.card,
                    "tags": [],
                }
            )

        def _resolve(self, id: str, revision: str, path: str, _: bytes) -> None:
            if not (repo := self._repo(id)) or not self._may_read(repo, id):
                return
            commit = self._commit_of(repo, revision)
            if commit is None:
                return
            content = repo.commits[commit].get(path)
            if content is None:
                self._refuse(Answer(404, "Entry not found", {"X-Error-Code": "EntryNotFound"}))
                return
            if path.endswith(LFS):
                digest = sha256(content)
                hub.blobs[digest] = content
                self.send_response(302)
                self.send_header("Location", f"http://localhost:{hub.port}/cdn/{digest}")
                self.send_header("X-Repo-Commit", commit)
                self.send_header("X-Linked-Etag", f'"{digest}"')
                self.send_header("X-Linked-Size", str(len(content)))
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self._content(sha256(content), content)

        def _cdn(self, digest: str, _: bytes) -> None:
            hub.tokens_at_cdn += filter(None, [self.headers.get("Authorization")])
            self._content(digest, hub.blobs[digest])

        def _content(self, digest: str, content) -> None:
            content = hub.swapped.get(digest, content)
            begin, asked = 0, re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if asked and hub.knows_ranges:
                begin = int(asked[1])
            self.send_response(206 if asked and hub.knows_ranges else 200)
            if asked and hub.knows_ranges:
                span = f"bytes {begin}-{len(content) - 1}/{len(content)}"
                self.send_header("Content-Range", span)
            self.send_header("Content-Length", str(len(content) - begin))
            self.send_header("ETag", f'"{digest}"')
            self.end_headers()
            if self.command == "HEAD":
                return
            left = hub.cuts[digest].pop(0) if hub.cuts.get(digest) else len(content)
            while begin < len(content) and left > 0:
                piece = content[begin : begin + min(PIECE, left)]
                self.wfile.write(piece)
                hub.served[digest] += len(piece)
                begin, left = begin + len(piece), left - len(piece)
            if begin < len(content):
                self.close_connection = True

        # uploads

        def _create(self, body: bytes) -> None:
            if not self._is_known():
                return
            wanted = json.loads(body)
            id = f"{wanted.get('organization') or 'user'}/{wanted['name']}"
            if id in hub.repos:
                self._json({"url": f"{hub.endpoint}/{id}", "error": "exists"}, 409)
                return
            hub.repos[id] = Repo(
                private=bool(wanted.get("private")) or wanted.get("visibility") == "private"
            )
            hub.repos[id].commit({})
            self._json({"url": f"{hub.endpoint}/{id}"})

        def _validate(self, body: bytes) -> None:
            begins = json.loads(body)["content"].startswith("---\n")
            self._json({"errors": [] if begins else [{"message": "no YAML"}], "warnings": []})

        def _preupload(self, id: str, body: bytes) -> None:
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(LFS) else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(body)["files"]
            ]
            if self._is_known():
                self._json({"files": files})

        def _batch(self, id: str, body: bytes) -> None:
            objects = [
                {**one, "actions": {"upload": {"href": f"{hub.endpoint}/lfs/{one['oid']}"}}}
                if one["oid"] not in hub.blobs
                else one
                for one in json.loads(body)["objects"]
            ]
            self._json({"transfer": "basic", "objects": objects})

        def _store(self, digest: str, body: bytes) -> None:
            if sha256(body) != digest:
                self._refuse(Answer(422, "another hash"))
                return
            hub.blobs[digest] = body
            self._json({})

        def _commit(self, id: str, body: bytes) -> None:
            repo = hub.repos[id]
            files = dict(repo.commits[repo.head])
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    files[value["path"]] = hub.blobs[value["oid"]]
            commit = repo.commit(files)
            self._json({"commitUrl": f"{hub.endpoint}/{id}/commit/{commit}", "commitOid": commit})

        # who may what

        def _repo(self, id: str) -> Repo | None:
            repo = hub.repos.get(id)
            known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            if self.headers.get("Authorization") and not known:
                self._refuse(Answer(401, "Invalid credentials in Authorization header"))
            elif repo is None or (repo.private and not known):
                code = {"X-Error-Code": "RepoNotFound"} if known else {}
                self._refuse(Answer(404 if known else 401, "Repository not found", code))
            else:
                return repo
            return None

        def _may_read(self, repo: Repo, id: str) -> bool:
            if not repo.gate:
                return True
            if not self.headers.get("Authorization"):
                said = f"Access to model {id} is restricted. You must be authenticated. Log in."
                self._refuse(Answer(401, said, {"X-Error-Code": "GatedRepo"}))
                return False
            if repo.gate == "open":
                return True
            code = {} if "fine-grained" in repo.gate else {"X-Error-Code": "GatedRepo"}
            self._refuse(Answer(403, repo.gate, code))
            return False

        def _is_known(self) -> bool:
            known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            if not known:
                self._refuse(Answer(401, "Invalid username or password."))
            return known

        def _commit_of(self, repo: Repo, revision: str) -> str | None:
            commit = repo.head if revision == "main" else revision
            if commit not in repo.commits:
                self._refuse(Answer(404, "Invalid rev id", {"X-Error-Code": "RevisionNotFound"}))
                return None
            return commit

        def _json(self, value: object, status: int = 200) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _refuse(self, answer: Answer) -> None:
            body = json.dumps({"error": answer.said}).encode()
            self.send_response(answer.status)
            headers = {"X-Error-Message": answer.said, **answer.headers}
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler
