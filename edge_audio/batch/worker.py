"""A worker: a process that makes units until there are no more.

It reads a job, then a unit a line, and answers each with a line: a record, or what went wrong. It
ends when nobody writes to it any more, so that it outlives no run.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from typing import Any, TextIO

from edge_audio.batch.job import Job, Unit
from edge_audio.batch.make import Maker
from edge_audio.batch.place import FULL, Place
from edge_audio.errors import EdgeAudioError, EdgeAudioWarning, first_line


def work(lines: TextIO, answers: TextIO) -> None:
    """The job's line, then units' lines."""
    head = json.loads(lines.readline())
    warnings.simplefilter("ignore", EdgeAudioWarning)
    try:
        job = Job.from_json(head["job"])
        pipeline = job.open(head["threads"], head["memory"])
        maker = Maker(job, pipeline, Place(head["place"]))
    except EdgeAudioError as error:
        _say(answers, stop=str(error))
        return
    _say(answers, ready=True)
    for line in lines:
        unit = Unit.from_json(line)
        try:
            _say(answers, **answer(maker, unit), memory=_memory())
        except EdgeAudioError as error:
            _say(answers, stop=str(error))
            return


def made(maker: Maker, unit: Unit) -> tuple[dict[str, Any], bytes]:
    """The record of a unit and its file; of one that cannot be made the reason, and no bytes."""
    try:
        return maker.make(unit)
    except EdgeAudioError as error:
        return {"unit": unit.key, "failed": str(error)}, b""
    except MemoryError:
        return {"unit": unit.key, "failed": "not enough memory"}, b""


def answer(maker: Maker, unit: Unit) -> dict[str, Any]:
    """The record of a unit that was made and written, or of one that cannot be made; EdgeAudioError
    if its place takes no file.
    """
    record, data = made(maker, unit)
    if "failed" in record:
        return record
    try:
        maker.write(record, data)
    except OSError as error:
        mend = "free some space" if error.errno in FULL else "see to the folder"
        raise EdgeAudioError(
            f"{maker.place.name} cannot be written ({error.strerror or first_line(error)}); {mend},"
            " then run the same command again to go on"
        ) from None
    return record


def _say(answers: TextIO, **answer: Any) -> None:
    answers.write(json.dumps(answer, separators=(",", ":")) + "\n")
    answers.flush()


def _memory() -> int:
    """Bytes that this process has for itself, 0 where the system does not say."""
    try:
        with open("/proc/self/status", encoding="utf-8") as file:
            found = {line.split(":")[0]: line.split()[1] for line in file if line.startswith("Rss")}
        return 1024 * (int(found["RssAnon"]) + int(found["RssShmem"]))
    except (OSError, KeyError, ValueError, IndexError):
        return 0


def main() -> None:
    """Answers go where standard output went; what libraries print there joins the errors."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        work(sys.stdin, answers)
    except BrokenPipeError:
        os._exit(0)  # the run is gone


if __name__ == "__main__":
    main()
