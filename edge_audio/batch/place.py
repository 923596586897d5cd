"""Where sounds go: a folder, or anything that fsspec knows (`s3://bucket/sounds`)."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_audio.errors import EdgeAudioError, first_line

#: what a run keeps for itself; hidden, so that readers of data sets pass it over
STATE = ".edge-audio"
#: what a disk says that takes no more
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
#: what of fsspec has folders, which have to be made, and not keys
WITH_FOLDERS = frozenset("file local ftp sftp ssh smb hdfs webhdfs dbfs".split())


class Place:
    """A folder whose files appear whole or not at all."""

    def __init__(self, url: str):
        self.url = url
        #: None for what is not this computer's
        self.folder: Path | None = None if "://" in url else Path(url)

    @property
    def name(self) -> str:
        """As people call it."""
        return self.url.rstrip("/")

    def write(self, name: str, data: bytes) -> None:
        """A file, `name` relative to this place; OSError as the system has it."""
        if self.folder is not None:
            path = self.folder / name
            temporary = self.folder / STATE / "writing" / f"{secrets.token_hex(8)}.part"
            try:
                temporary.write_bytes(data)
                os.replace(temporary, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    temporary.unlink()
                raise
            return
        system, root = self._remote()
        try:  # objects of stores appear when they are complete
            system.pipe_file(f"{root}/{name}", data)
        except Exception as error:  # every store has its own
            raise EdgeAudioError(_refused(self.name, error)) from None

    def size(self, name: str) -> int | None:
        """Bytes of a file, None if there is none."""
        if self.folder is not None:
            try:
                return os.stat(self.folder / name).st_size
            except OSError:
                return None
        system, root = self._remote()
        try:
            return int(system.info(f"{root}/{name}")["size"])
        except FileNotFoundError:
            return None
        except Exception as error:
            raise EdgeAudioError(_refused(self.name, error)) from None

    def read(self, name: str) -> bytes | None:
        """A file, None if there is none."""
        if self.folder is not None:
            path = self.folder / name
            return path.read_bytes() if path.is_file() else None
        system, root = self._remote()
        try:
            data: bytes = system.cat_file(f"{root}/{name}")
        except FileNotFoundError:
            return None
        except Exception as error:
            raise EdgeAudioError(_refused(self.name, error)) from None
        return data

    def names(self, folder: str) -> Iterator[str]:
        """Of the files in a folder of this place, in order."""
        if self.folder is not None:
            path = self.folder / folder
            yield from sorted(os.listdir(path)) if path.is_dir() else ()
            return
        system, root = self._remote()
        with contextlib.suppress(FileNotFoundError):
            found = system.ls(f"{root}/{folder}", detail=False)
            yield from sorted(str(path).rsplit("/", 1)[-1] for path in found)

    def make(self) -> None:
        """The folder, and what the run keeps in it; EdgeAudioError if it cannot be made."""
        if self.folder is None:
            system, root = self._remote()
            kinds = (system.protocol,) if isinstance(system.protocol, str) else system.protocol
            if not WITH_FOLDERS.isdisjoint(kinds):
                try:
                    system.makedirs(f"{root}/{STATE}", exist_ok=True)
                except Exception as error:
                    raise EdgeAudioError(_refused(self.name, error)) from None
            self.write(f"{STATE}/writable", b"")
            return
        try:
            (self.folder / STATE / "writing").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EdgeAudioError(
                f"{self.name} cannot be made ({error.strerror}); choose another folder"
            ) from None

    def _remote(self) -> tuple[Any, str]:
        try:
            import fsspec

            system, root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError, OSError) as error:
            raise EdgeAudioError(
                f"{self.name} cannot be reached ({first_line(error)}); install what serves it, or"
                " name a folder"
            ) from None
        return system, root.rstrip("/")


def _refused(name: str, error: Exception) -> str:
    is_full = isinstance(error, OSError) and error.errno in FULL
    mend = "free some space" if is_full else "see to its address and your rights to write there"
    return f"{name} refuses ({first_line(error)}); {mend}, then run the same command again to go on"
