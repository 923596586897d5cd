"""A file as the Hub lists it, and whether one here is the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from edge_audio.bundle.store import file_sha256


@dataclass(frozen=True)
class RemoteFile:
    """A file as the Hub lists it. sha256: of files that git LFS keeps; of the others git's own
    hash is known.
    """

    path: str
    bytes: int
    git_sha1: str
    sha256: str | None = None

    @property
    def id(self) -> str:
        """The hash that is known of its contents."""
        return self.sha256 or self.git_sha1

    def is_like(self, path: Path) -> bool:
        """Whether a file here has these contents."""
        if not path.is_file() or path.stat().st_size != self.bytes:
            return False
        found = file_sha256(path) if self.sha256 else _git_sha1(path)
        return found == self.id


def _git_sha1(path: Path) -> str:
    """The hash by which git knows a file. It may be large, whatever a listing says."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
