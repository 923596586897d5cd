"""A repository of the Hub at one commit: which files it has, how large, and with which hashes."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Any

from huggingface_hub import HfApi

from edge_audio.errors import EdgeAudioError, UsageError
from edge_audio.hub import faults
from edge_audio.hub.remote_file import RemoteFile

#: what people ask for; any other checkpoint of these families, or bundle, works alike
KNOWN = (
    "stabilityai/stable-audio-3-small-sfx",
    "stabilityai/stable-audio-3-small-music",
    "stabilityai/stable-audio-open-small",
)
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
ID = re.compile(rf"{_PART}/{_PART}")
_ASKED = re.compile(rf"({_PART}/{_PART})(?:@([A-Za-z0-9][A-Za-z0-9._/-]{{0,199}}))?")
_PATH = re.compile(rf"{_PART}(/{_PART}){{0,3}}")
#: a folder of a repository
FOLDER = re.compile(_PART)
#: licences travel with what they are about
TERMS = re.compile(r"(LICEN[CS]E|NOTICE)[A-Za-z0-9._-]{0,30}", re.IGNORECASE)
_COMMIT, _SHA256 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")
#: bytes of a file, beyond which no computer that exports could hold it
_LARGEST = 1 << 40


@dataclass(frozen=True)
class Repository:
    """A repository at one commit."""

    id: str
    commit: str
    license: str
    files: dict[str, RemoteFile]

    def first(self, *paths: str) -> RemoteFile | None:
        """The first of these files that it has."""
        return next((self.files[path] for path in paths if path in self.files), None)


def parse(name: str) -> tuple[str, str | None]:
    """OWNER/NAME[@REVISION] as repository and revision; UsageError for what is none."""
    match = _ASKED.fullmatch(name)
    if match and ".." not in name:
        return match[1], match[2]
    short = {known.partition("/")[2]: known for known in KNOWN}
    close = difflib.get_close_matches(name.rpartition("/")[2], short, 1)
    meant = short[close[0]] if close else KNOWN[0]
    raise UsageError(f"{name[:60]!r} is no repository; write OWNER/NAME, such as {meant}")


def describe(id: str, revision: str | None = None) -> Repository:
    """What a repository has at a revision (default: its newest commit), from whose commit all of
    it will be fetched; EdgeAudioError if that cannot be learned.
    """
    info = faults.patiently(
        id, lambda: HfApi().model_info(id, revision=revision, files_metadata=True, timeout=30)
    )
    if not _COMMIT.fullmatch(info.sha or ""):
        raise EdgeAudioError(f"{id} has no commit; it may be empty, see its page")
    files = {}
    for sibling in info.siblings or ():
        if found := _listed(sibling):
            files[found.path] = found
    return Repository(id, str(info.sha), _license(info.card_data), files)


def _listed(sibling: Any) -> RemoteFile | None:
    """A file of a listing, None for one that nobody should be made to fetch: its name, size and
    hashes come from strangers.
    """
    path, size, sha1, lfs = sibling.rfilename, sibling.size, sibling.blob_id, sibling.lfs
    sha256 = lfs.sha256 if lfs else None
    if not (isinstance(path, str) and _PATH.fullmatch(path) and ".." not in path):
        return None
    if type(size) is not int or not 0 <= size <= _LARGEST or not _COMMIT.fullmatch(sha1 or ""):
        return None
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        return None
    return RemoteFile(path, size, sha1, sha256)


def _license(card: Any) -> str:
    """What a repository's card says of it, with the address of its text."""
    entries = {name: getattr(card, name, None) for name in ("license", "license_name")}
    link = getattr(card, "license_link", None)
    link = f"({link})" if isinstance(link, str) and link.startswith("https://") else None
    named = entries["license_name"] or entries["license"]
    text = " ".join(str(part) for part in (named, link) if part)
    return "".join(c for c in text[:200] if c.isprintable())
