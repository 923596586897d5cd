"""What was made: rows in SQLite, and a FLAC file a clip. It survives a kill: a file is written
under another name and moved into place, then its row is written; what has no row at the next start
is removed, and jobs that had not ended are marked as lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edge_audio.audio.clip import Clip
from edge_audio.errors import EdgeAudioError
from edge_audio.serve.jobs import FINAL, LOST, Job, clip_name, command
from edge_audio.serve.refusal import Refused

#: the table's form; another one is refused
_VERSION = 1
_SCHEMA = f"""
    CREATE TABLE IF NOT EXISTS jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, state TEXT NOT NULL,
        model TEXT NOT NULL, created REAL NOT NULL, finished REAL,
        favourite INTEGER NOT NULL DEFAULT 0, prompt TEXT NOT NULL, request TEXT NOT NULL,
        notes TEXT NOT NULL DEFAULT '[]', error TEXT, event INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE IF NOT EXISTS clips (
        job INTEGER NOT NULL REFERENCES jobs(number) ON DELETE CASCADE, clip INTEGER NOT NULL,
        bytes INTEGER NOT NULL, event INTEGER NOT NULL, entry TEXT NOT NULL,
        PRIMARY KEY (job, clip)
    );
    CREATE INDEX IF NOT EXISTS by_state ON jobs(state, favourite, number);
    PRAGMA user_version = {_VERSION};
"""
_PART = ".part"


class History:
    """Jobs and clips on disk. Safe for several threads; one process at a time."""

    def __init__(self, folder: Path, most_jobs: int, most_bytes: int):
        """Open or begin a history; EdgeAudioError if the folder cannot be used."""
        self.folder, self.most_jobs, self.most_bytes = folder, most_jobs, most_bytes
        self._clips = folder / "clips"
        self._lock = threading.RLock()
        try:
            self._clips.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._base = _opened(folder / "history.db")
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or error
            used = "another edge-audio serve uses it" if "locked" in str(error) else reason
            raise EdgeAudioError(
                f"{folder} cannot hold the history ({used}); name another folder with --data"
            ) from None
        #: of all clips together
        self.bytes = 0
        self.lost = self._recovered()

    def close(self) -> None:
        """Let another process have it."""
        with self._lock:
            self._base.close()

    def begin(self, job: Job) -> None:
        """A job was accepted."""
        with self._change() as base:
            base.execute(
                "INSERT INTO jobs (id, state, model, created, prompt, request)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (job.id, job.state, job.model, job.created, _prompt(job), json.dumps(job.asked)),
            )

    def end(self, job: Job, state: str, event: int) -> None:
        """A job is over, in this state. event: the id of the last thing that happened to it."""
        with self._change() as base:
            base.execute(
                "UPDATE jobs SET state = ?, finished = ?, notes = ?, error = ?, event = ?"
                " WHERE id = ?",
                (
                    state,
                    job.finished,
                    json.dumps(job.notes),
                    job.error and json.dumps(job.error),
                    event,
                    job.id,
                ),
            )
        self._evict(job.id)

    def add(self, job: Job, index: int, clip: Clip, entry: dict[str, Any], event: int) -> None:
        """Keep a clip of a job; EdgeAudioError if the disk does not take it."""
        path = self._clips / clip_name(job.id, index)
        part = path.with_name(path.name + _PART)
        try:
            with open(part, "wb") as file:
                kept(clip).save(file, format="flac")
            size = part.stat().st_size
            os.replace(part, path)
        except OSError as error:
            raise _unwritable(error.strerror or "it failed") from None
        finally:
            part.unlink(missing_ok=True)
        with self._change() as base:
            base.execute(
                "INSERT INTO clips SELECT number, ?, ?, ?, ? FROM jobs WHERE id = ?",
                (index, size, event, json.dumps(entry), job.id),
            )
            self.bytes += size

    def get(self, job: str) -> tuple[dict[str, Any], dict[int, int], int] | None:
        """A job as clients see it, the ids of the events by which its clips came, and of the last
        one; None if there is none.
        """
        with self._lock:
            row = self._base.execute("SELECT * FROM jobs WHERE id = ?", (job,)).fetchone()
            if row is None:
                return None
            clips = self._base.execute(
                "SELECT clip, event, entry FROM clips WHERE job = ? ORDER BY clip", (row["number"],)
            ).fetchall()
        entries = [json.loads(clip["entry"]) for clip in clips]
        return _view(row, entries), {c["clip"]: c["event"] for c in clips}, row["event"]

    def page(
        self, query: str = "", favourite: bool | None = None, limit: int = 50, before: str = ""
    ) -> tuple[list[dict[str, Any]], bool]:
        """The newest jobs first, those before another one, without peaks and recipes; and whether
        there are more.
        """
        where, values = ["1"], list[Any]()
        for word in query.split()[:16]:
            where.append("prompt LIKE ? ESCAPE '\\'")
            values.append(f"%{_escaped(word)}%")
        if favourite is not None:
            where.append("favourite = ?")
            values.append(int(favourite))
        if before:
            where.append("number < (SELECT number FROM jobs WHERE id = ?)")
            values.append(before)
        with self._lock:
            rows = self._base.execute(
                f"SELECT * FROM jobs WHERE {' AND '.join(where)} ORDER BY number DESC LIMIT ?",
                (*values, limit + 1),
            ).fetchall()
            clips: dict[int, list[dict[str, Any]]] = {row["number"]: [] for row in rows[:limit]}
            marks = ",".join("?" * len(clips))
            for found in self._base.execute(
                f"SELECT job, entry FROM clips WHERE job IN ({marks}) ORDER BY job, clip",
                tuple(clips),
            ):
                clips[found["job"]].append(_brief(json.loads(found["entry"])))
        return [_view(row, clips[row["number"]]) for row in rows[:limit]], len(rows) > limit

    def favour(self, job: str, favourite: bool) -> bool:
        """Keep a job whatever the limits say, or no longer; False if there is none."""
        with self._change() as base:
            changed = base.execute(
                "UPDATE jobs SET favourite = ? WHERE id = ?", (int(favourite), job)
            )
            return changed.rowcount > 0

    def remove(self, job: str) -> bool:
        """Delete a job that is over, and its files; False if there is none."""
        with self._lock:
            row = self._base.execute(
                "SELECT number, state FROM jobs WHERE id = ?", (job,)
            ).fetchone()
            if row is None or row["state"] not in FINAL:
                return False
            clips = self._base.execute(
                "SELECT clip, bytes FROM clips WHERE job = ?", (row["number"],)
            ).fetchall()
            with self._change() as base:
                base.execute("DELETE FROM jobs WHERE number = ?", (row["number"],))
            self.bytes -= sum(clip["bytes"] for clip in clips)
        for clip in clips:  # a file without a row is removed at the next start, if not now
            (self._clips / clip_name(job, clip["clip"])).unlink(missing_ok=True)
        return True

    def path(self, job: str, clip: int) -> Path | None:
        """The file of a clip that is kept, None if there is none. The name is this history's own,
        and no client's.
        """
        with self._lock:
            row = self._base.execute(
                "SELECT jobs.id, clip FROM clips JOIN jobs ON jobs.number = job"
                " WHERE jobs.id = ? AND clip = ?",
                (job, clip),
            ).fetchone()
        return None if row is None else self._clips / clip_name(row["id"], row["clip"])

    def count(self) -> int:
        """Jobs that are kept."""
        with self._lock:
            return int(self._base.execute("SELECT count(*) FROM jobs").fetchone()[0])

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing; EdgeAudioError if the disk does not take it."""
        with self._lock:
            try:
                with self._base:
                    yield self._base
            except sqlite3.Error as error:
                raise _unwritable(str(error)) from None

    def _recovered(self) -> int:
        """After a start: mark what was under way, remove half files and those of no clip, forget
        clips whose files are gone; returns how many jobs were lost.
        """
        error = {"code": LOST, "message": "the server stopped before it was made; make it again"}
        with self._change() as base:
            marks = ",".join("?" * len(FINAL))
            lost = base.execute(
                f"UPDATE jobs SET state = ?, error = ?, finished = created"
                f" WHERE state NOT IN ({marks})",
                (LOST, json.dumps(error), *FINAL),
            ).rowcount
            rows = base.execute(
                "SELECT jobs.id, job, clip, bytes FROM clips JOIN jobs ON jobs.number = job"
            ).fetchall()
            names = {clip_name(row["id"], row["clip"]): row for row in rows}
            sizes = {entry.name: entry.stat().st_size for entry in os.scandir(self._clips)}
            for name, row in names.items():
                if sizes.get(name) != row["bytes"]:
                    base.execute(
                        "DELETE FROM clips WHERE job = ? AND clip = ?", (row["job"], row["clip"])
                    )
                else:
                    self.bytes += row["bytes"]
        for name, size in sizes.items():
            if name not in names or names[name]["bytes"] != size:
                (self._clips / name).unlink()
        return lost

    def _evict(self, last: str) -> None:
        """Remove the oldest jobs that are over and nobody's favourites until the rest fits; not the
        last one, which somebody is about to hear.
        """
        with self._lock:
            while self.bytes > self.most_bytes or self.count() > self.most_jobs:
                marks = ",".join("?" * len(FINAL))
                row = self._base.execute(
                    f"SELECT id FROM jobs WHERE state IN ({marks}) AND favourite = 0 AND id != ?"
                    " ORDER BY number LIMIT 1",
                    (*FINAL, last),
                ).fetchone()
                if row is None or not self.remove(row["id"]):
                    return


class KeptClip(Clip):
    """A clip as its file holds it, with its whole recipe, which says what it was scaled down by."""

    @property
    def saved_recipe(self) -> dict[str, Any]:
        return self.recipe


def kept(clip: Clip) -> KeptClip:
    """A clip as `Clip.save` writes it, scaled down if it would clip: so that nothing is left to
    warn about, in a process whose warnings no client reads. The recipe and the levels tell it.
    """
    samples = clip.samples if clip.gain == 1.0 else clip.samples * np.float32(clip.gain)
    return KeptClip(samples, clip.sample_rate, clip.saved_recipe)


def read_clip(path: Path, recipe: dict[str, Any]) -> Clip:
    """A clip that `History.add` wrote, so that `Clip.save` writes the same 16 bits again."""
    import soundfile

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return KeptClip(samples, rate, recipe)


def _opened(path: Path) -> sqlite3.Connection:
    base = sqlite3.connect(path, timeout=0.1, check_same_thread=False)
    try:
        base.row_factory = sqlite3.Row
        base.execute("PRAGMA locking_mode = EXCLUSIVE")  # one server a folder
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA synchronous = NORMAL")
        base.execute("PRAGMA foreign_keys = ON")
        version = base.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _VERSION):
            raise sqlite3.DatabaseError(f"its tables have version {version}, this reads {_VERSION}")
        base.executescript(_SCHEMA)
        base.commit()
    except BaseException:
        base.close()
        raise
    return base


def _view(row: sqlite3.Row, clips: list[dict[str, Any]]) -> dict[str, Any]:
    """The same as `Job.view` gives of a job in memory."""
    asked = json.loads(row["request"])
    return {
        "id": row["id"],
        "state": row["state"],
        "position": None,
        "model": row["model"],
        "created": row["created"],
        "finished": row["finished"],
        "request": asked,
        "progress": None,
        "clips": clips,
        "notes": json.loads(row["notes"]),
        "error": row["error"] and json.loads(row["error"]),
        "favourite": bool(row["favourite"]),
        "command": command(asked, row["model"]),
    }


def _unwritable(reason: str) -> Refused:
    return Refused(507, "storage", f"the history cannot be written ({reason}); free some space")


def _brief(clip: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in clip.items() if name not in ("peaks", "recipe")}


def _prompt(job: Job) -> str:
    return job.settings.prompt or ""


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
