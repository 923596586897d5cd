"""What a server is told when it starts."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from edge_audio.errors import UsageError
from edge_audio.model.model import ALL, FIT, FREE
from edge_audio.system import folders

#: hosts that only this computer reaches
LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: where a server keeps its history, unless it is told
DATA_VARIABLE = "EDGE_AUDIO_DATA"
#: the key, so that it does not stand in a list of processes
KEY_VARIABLE = "EDGE_AUDIO_API_KEY"
_REPLICA = re.compile(r"[a-z0-9]{1,16}")


@dataclass(frozen=True)
class ServeConfig:
    """A server's settings, checked: UsageError for what cannot be.

    Sizes are bytes, times seconds.
    """

    #: folder or name of the bundle that is used when none is asked for; None: the pocket model
    model: Path | None = None
    #: a folder of bundles, each of which can be asked for by its name
    models: Path | None = None
    #: a folder of adapters, each of which can be asked for by its name
    styles: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    api_keys: tuple[str, ...] = ()
    no_auth: bool = False
    #: names besides IP addresses and this computer's own that a request may call the server by
    allowed_hosts: tuple[str, ...] = ()
    #: pages of other origins that may call it, such as https://app.example
    cors: tuple[str, ...] = ()
    #: addresses of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed
    proxies: tuple[str, ...] = ()
    #: jobs that wait at most, of all clients together
    max_waiting: int = 16
    #: as in `Pipeline.load`
    memory: str | int = FIT
    threads: int | None = None
    precision: str | None = None
    #: after so long without a job a model leaves memory
    idle_seconds: float = 600.0
    #: after a request to stop, running and waiting jobs have so long to end
    drain_seconds: float = 10.0
    #: history: the database and a file a clip; None: `data_folder()`
    data: Path | None = None
    history_jobs: int = 1000
    history_bytes: int = 1 << 30
    upload_bytes: int = 32 << 20
    upload_seconds: float = 120.0
    #: a request's body has so long to arrive, its headers a third of it
    body_seconds: float = 30.0
    #: of a clip, whatever the model makes
    max_steps: int = 250
    max_seconds: float = 300.0
    #: begins the ids of this server's jobs, so that a proxy finds the one that has them
    replica: str = ""
    log_prompts: bool = False
    #: address and port for clients of Wyoming, which has no keys
    wyoming: tuple[str, int] | None = None

    def __post_init__(self) -> None:
        for name, low, high in (
            ("port", 0, 65535),
            ("max_waiting", 1, 100_000),
            ("history_jobs", 1, 10_000_000),
            ("history_bytes", 1 << 20, 1 << 50),
            ("upload_bytes", 1 << 10, 4 << 30),
            ("upload_seconds", 0.1, 1200),
            ("body_seconds", 0.1, 3600),
            ("idle_seconds", 0.01, 1e9),
            ("drain_seconds", 0, 3600),
            ("max_steps", 1, 10_000),
            ("max_seconds", 0.1, 1200),
        ):
            if not low <= getattr(self, name) <= high:
                flag = name.replace("_", "-")
                raise UsageError(f"--{flag} {getattr(self, name)} is not within {low} to {high}")
        is_text = isinstance(self.memory, str)
        if (is_text and self.memory not in (FREE, FIT, ALL)) or (not is_text and self.memory < 0):  # type: ignore[operator]
            raise UsageError(f"--memory-budget {self.memory!r} is none; use free, fit, all, or MB")
        if self.replica and not _REPLICA.fullmatch(self.replica):
            raise UsageError("--replica is no name; use up to 16 of a-z and 0-9")
        if any(not key or not key.isascii() or not key.isprintable() for key in self.api_keys):
            raise UsageError("an API key is empty or has other than printable ASCII characters")
        if self.wyoming is not None:
            host, port = self.wyoming
            if not 0 <= port <= 65535:
                raise UsageError(f"--wyoming {port} is not within 0 to 65535")
            if host not in LOOPBACK and not self.no_auth:
                raise UsageError(
                    f"--wyoming {host} lets others in, and Wyoming has no keys: give --no-auth if"
                    " everybody who reaches this computer may make sounds"
                )
        if not (self.is_local or self.api_keys or self.no_auth):
            raise UsageError(
                f"--host {self.host} lets others in: give an --api-key, or --no-auth if everybody"
                " who reaches this computer may make sounds"
            )

    @property
    def is_local(self) -> bool:
        """Whether only this computer reaches it."""
        return self.host in LOOPBACK

    @property
    def share(self) -> int:
        """Jobs that one client may have waiting: a quarter of the places is left to others."""
        return self.max_waiting - self.max_waiting // 4


def data_folder() -> Path:
    """$EDGE_AUDIO_DATA, else `edge-audio` where this system keeps a user's data; UsageError for a
    user without a home.
    """
    if named := os.environ.get(DATA_VARIABLE):
        return Path(named).expanduser()
    if data := folders.user_folder(folders.DATA):
        return data
    raise UsageError("this user has no home; name a folder for the history with --data")
