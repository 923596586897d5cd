"""A bundle goes to another computer's models folder, over ssh: by rsync where both have it, which
goes on after a cut, else by scp. There its files are compared with the manifest's hashes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from edge_audio.bundle import places
from edge_audio.bundle.manifest import MANIFEST_NAME, files
from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError, UsageError

Say = Callable[[str], None]
#: where a Linux computer keeps models, from its user's home
USUAL_FOLDER = ".local/share/edge-audio/models"
# Nothing that a shell, ssh or rsync would take for an option or for more than a name: the folder
# goes through a shell over there.
_HOST = re.compile(
    r"(?P<host>(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]))"
    r"(?::(?P<folder>(?:~/)?[A-Za-z0-9._/][A-Za-z0-9._/+-]*))?"
)
_NOT_FOUND, _SSH_FAILED = 127, 255


@dataclass(frozen=True)
class Destination:
    """A computer, and the folder on it that models go into."""

    host: str
    folder: str

    @property
    def ssh_host(self) -> str:
        """As ssh takes it: an IPv6 address without the brackets that scp and rsync want."""
        return self.host.replace("[", "").replace("]", "")


def destination(text: str) -> Destination:
    """HOST[:DIR]; UsageError for what is none."""
    match = _HOST.fullmatch(text)
    if not match:
        raise UsageError(
            f"{text[:60]!r} is no HOST or HOST:DIR; write pi@raspberrypi.local, or a folder without"
            " spaces behind it: pi@raspberrypi.local:models"
        )
    folder = (match["folder"] or USUAL_FOLDER).removeprefix("~/").rstrip("/") or "/"
    return Destination(match["host"], folder)


def push(bundle: Bundle, to: Destination, say: Say | None = None) -> bool:
    """Copy a bundle to `to`.folder, under the name of its folder; whether its files were compared
    over there.

    say: told what is done, with the progress of rsync or scp on the terminal. EdgeAudioError if it
    cannot be copied, or is damaged there. The manifest goes last: what is not all there is no
    bundle.
    """
    name = places.checked_name(bundle.folder.resolve().name)
    bundle.verify()
    if shutil.which("ssh") is None:
        raise EdgeAudioError("ssh is not installed here; install openssh-client")
    there = f"{to.folder}/{name}"
    _ssh(to, f"mkdir -p {there} && rm -f {there}/{MANIFEST_NAME}")
    has_rsync = shutil.which("rsync") and _ssh(to, "command -v rsync", checked=False) == 0
    names = sorted(path.name for path in bundle.folder.iterdir() if path.is_file())
    for batch in ([one for one in names if one != MANIFEST_NAME], [MANIFEST_NAME]):
        paths = [str(bundle.folder.absolute() / one) for one in batch]
        if has_rsync:
            command = ["rsync", "-t", "--partial", *(["--progress"] if say else [])]
        else:
            command = ["scp", "-p"]
        if say and batch != [MANIFEST_NAME]:
            say(f"{command[0]} to {to.host}:{there}")
        _run([*command, "--", *paths, f"{to.host}:{there}/"], to, shown=bool(say))
    return _compared(bundle, to, there)


def _compared(bundle: Bundle, to: Destination, there: str) -> bool:
    """Whether the other computer could hash its files; EdgeAudioError if one is damaged."""
    entries = {entry.file: entry.sha256 for entry in files(bundle.manifest)}
    hashes = {**entries, MANIFEST_NAME: bundle.sha256}
    done = subprocess.run(
        ["ssh", "--", to.ssh_host, f"cd {there} && sha256sum -c - 2>&1"],
        input="".join(f"{sha256}  {file}\n" for file, sha256 in hashes.items()),
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode == _NOT_FOUND:
        return False
    _refuse_failed_ssh(to, done.returncode)
    if done.returncode:
        said = [line for line in done.stdout.splitlines() if not line.endswith(": OK")]
        raise EdgeAudioError(
            f"{to.host}:{there} is not what was sent ({'; '.join(said)[:200]}); push it again, and"
            " look at that computer's disk"
        )
    return True


def _ssh(to: Destination, command: str, checked: bool = True) -> int:
    """The exit code of a command over there; EdgeAudioError if it could not be run, or `checked`
    and failed.
    """
    done = subprocess.run(["ssh", "--", to.ssh_host, command], stdout=subprocess.DEVNULL)
    _refuse_failed_ssh(to, done.returncode)
    if checked and done.returncode:
        raise EdgeAudioError(f"`{command}` failed on {to.host}; name another folder, as HOST:DIR")
    return done.returncode


def _refuse_failed_ssh(to: Destination, code: int) -> None:
    if code == _SSH_FAILED:
        raise EdgeAudioError(
            f"ssh to {to.host} failed; `ssh {to.ssh_host}` by itself must work first"
        )


def _run(command: list[str], to: Destination, shown: bool) -> None:
    done = subprocess.run(command, stdout=None if shown else subprocess.DEVNULL)
    if done.returncode:
        further = ", it goes on where it was" if command[0] == "rsync" else ""
        raise EdgeAudioError(
            f"{command[0]} to {to.host} failed (code {done.returncode}); run the same command"
            f" again{further}"
        )
