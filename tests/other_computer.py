"""Another computer for ssh, rsync and scp: a folder, in which programs of these names act."""

from __future__ import annotations

import os
from pathlib import Path

_SSH = """[ "$1" = -- ] && shift
[ "$1" = HOST ] || { echo "ssh: no route to $1" >&2; exit 255; }
shift; cd "$PI" && PATH="$OVER_THERE" exec /bin/sh -c "$*"
"""
_COPY = """for last; do :; done
while [ "$1" != -- ]; do shift; done; shift
to="$PI/${last#HOST:}"
[ -n "$FAILS" ] && exit 12
for one; do [ "$one" = "$last" ] || cp -p "$one" "$to" || exit; done
echo "$(basename "$0")" "$last" >> "$PI/log"
"""
#: what is installed over there
_PROGRAMS = ("mkdir", "rm", "sha256sum")


def reachable(folder: Path, host: str) -> dict[str, str]:
    """Make `folder`/pi the home of a computer that ssh reaches as `host`; `folder`/bin holds the
    programs that lead there, `folder`/there those that are there. The environment for it.
    """
    home, here, there = (folder / name for name in ("pi", "bin", "there"))
    for place in (home, here, there):
        place.mkdir()
    for name, does in {"ssh": _SSH, "scp": _COPY, "rsync": _COPY}.items():
        (here / name).write_text(f"#!/bin/sh\n{does.replace('HOST', host)}")
        (here / name).chmod(0o755)
    (there / "rsync").symlink_to(here / "rsync")
    for name in _PROGRAMS:
        found = next(p for p in (Path("/usr/bin") / name, Path("/bin") / name) if p.exists())
        (there / name).symlink_to(found)
    path = f"{here}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "PI": str(home), "OVER_THERE": str(there)}
