"""Files of the Hub, fetched so that a cut costs nothing: what has arrived stays, and the next
request, or the next run, asks for the rest.

The client's own download begins a file anew in the next run and holds back ten megabytes at a time
(huggingface_hub 2.4). So its session, headers and errors are used, and the bytes are written as
they come.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from huggingface_hub import constants, get_session, hf_hub_url
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

from edge_audio.errors import EdgeAudioError
from edge_audio.hub import faults
from edge_audio.hub.remote_file import RemoteFile
from edge_audio.hub.repository import Repository

#: called with a file's path, the bytes of it that are here, and all of them
OnBytes = Callable[[str, int, int], None]


class _Cut(OSError):
    """The server ended an answer before all of it was there."""


def fetch(
    repository: Repository, file: RemoteFile, target: Path, on_bytes: OnBytes = lambda *_: None
) -> None:
    """Bring a file to `target`, unless it is there already; EdgeAudioError if it cannot be had, or
    is not what the Hub's listing says.
    """
    if file.is_like(target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(target, file)
    for old in target.parent.glob(f".{target.name}.*.part"):  # of another commit
        if old != part:
            old.unlink()
    if part.exists() and part.stat().st_size > file.bytes:
        part.unlink()
    if not file.bytes:
        part.touch()

    def progress() -> int:
        return part.stat().st_size if part.exists() else 0

    while progress() < file.bytes or not part.exists():
        faults.patiently(
            repository.id, lambda: _receive(repository, file, part, on_bytes), progress
        )
    if not file.is_like(part):
        part.unlink()
        raise EdgeAudioError(
            f"{repository.id}: {file.path} arrived with another hash than the Hub states, and was"
            f" deleted; {faults.AGAIN}, and if that does not help, somebody changes it on the way"
        )
    part.replace(target)


def part_of(target: Path, file: RemoteFile) -> Path:
    """Where a file is until all of it is there: a name for these contents, so that another
    version of the file is never glued to it.
    """
    return target.with_name(f".{target.name}.{file.id[:16]}.part")


def _receive(repository: Repository, file: RemoteFile, part: Path, on_bytes: OnBytes) -> None:
    done = part.stat().st_size if part.exists() else 0
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    url = hf_hub_url(repository.id, file.path, revision=repository.commit)
    with get_session().stream(
        "GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT
    ) as response:
        hf_raise_for_status(response)
        if response.status_code != 206:
            done = 0  # the server knows no ranges, and begins at the beginning
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
            raise EdgeAudioError(f"{repository.id}: the server sends another part than asked for")
        with part.open("ab" if done else "wb") as stream:
            for piece in response.iter_raw():
                done += len(piece)
                if done > file.bytes:
                    break
                stream.write(piece)
                on_bytes(file.path, done, file.bytes)
    if done > file.bytes:
        part.unlink()
        raise EdgeAudioError(
            f"{repository.id}: {file.path} is longer than the Hub states; {faults.AGAIN}"
        )
    if done < file.bytes:
        raise _Cut(f"{file.path} ended after {done} of {file.bytes} bytes")
