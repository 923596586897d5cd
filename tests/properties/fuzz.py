"""Damaged bundles, as many as a time allows: `make fuzz`.

A bundle is opened and run in a process of its own, which must end by itself, and either give audio
or say in one line what is wrong: no traceback, no endless loop, no more memory than it may have.
There are three kinds:

* a graph was damaged, and the manifest has its old hash: it must be refused unread;
* a graph was damaged, and the manifest vouches for it: LiteRT reads it. Where LiteRT itself ends
  the process, that is counted and kept, and is no failure of ours (SECURITY.md);
* the manifest was damaged.

What failed is kept as a folder, to be opened again with `--reproduce FOLDER`.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge_audio import Bundle, EdgeAudioError, Pipeline
from edge_audio.system import device

SOURCE = Path(__file__).parents[1] / "data" / "schema1"
GRAPHS = tuple(sorted(path.name for path in SOURCE.glob("*.tflite")))
#: bytes that a process may map, and seconds that it may take
MEMORY, SECONDS = 4 << 30, 20
RAN, REFUSED, TRACEBACK, NO_MEMORY = 0, 1, 2, 3
#: offsets and sizes that readers stumble over
LIES = (0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF)

Damage = Callable[[np.random.Generator, bytearray], bytearray]


def flip_bits(random: np.random.Generator, data: bytearray) -> bytearray:
    for place in random.integers(len(data), size=random.integers(1, 9)):
        data[place] ^= 1 << random.integers(8)
    return data


def truncate(random: np.random.Generator, data: bytearray) -> bytearray:
    return data[: random.integers(len(data))]


def swap_sections(random: np.random.Generator, data: bytearray) -> bytearray:
    size = int(random.integers(1, min(512, len(data))))
    one, other = (int(place) for place in random.integers(len(data) - size, size=2))
    piece = data[one : one + size]
    data[one : one + size] = data[other : other + size]
    data[other : other + size] = piece
    return data


def lie(random: np.random.Generator, data: bytearray) -> bytearray:
    """An offset or a size is another one, half of the time in the header."""
    place = int(random.integers(64 if random.integers(2) else len(data) - 4))
    value = int(random.choice(LIES)) if random.integers(4) else int(random.integers(1 << 32))
    data[place : place + 4] = value.to_bytes(4, "little")
    return data


def overwrite(random: np.random.Generator, data: bytearray) -> bytearray:
    place, size = int(random.integers(len(data))), int(random.integers(1, 64))
    data[place : place + size] = random.bytes(size)[: len(data) - place]
    return data


DAMAGES: tuple[Damage, ...] = (flip_bits, truncate, swap_sections, lie, overwrite)


def damaged_graph(random: np.random.Generator, folder: Path, vouched: bool) -> str:
    """Damage one graph of a bundle, and say how."""
    name = str(random.choice(GRAPHS))
    damage = DAMAGES[random.integers(len(DAMAGES))]
    sound = (SOURCE / name).read_bytes()
    data = sound
    while data == sound:
        data = bytes(damage(random, bytearray(sound)))
    _write(folder / name, data)
    entries = json.loads((SOURCE / "manifest.json").read_text())
    if vouched:
        component, precision, _ = name.split(".")
        entry = entries["graphs"][component][precision]
        entry.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    _write(folder / "manifest.json", json.dumps(entries).encode())
    return f"{damage.__name__} in {name}"


def damaged_manifest(random: np.random.Generator, folder: Path) -> str:
    """Damage the manifest of a bundle as a file, or an entry of it, and say how."""
    raw = (SOURCE / "manifest.json").read_bytes()
    if random.integers(2):
        damage = DAMAGES[random.integers(len(DAMAGES))]
        _write(folder / "manifest.json", bytes(damage(random, bytearray(raw))))
        return f"{damage.__name__} in manifest.json"
    # half of them in the present schema, with stages and ports to lie about
    entries = json.loads(raw if random.integers(2) else Bundle.open(SOURCE).manifest.to_json())
    value = (None, True, -1, 0, 1, 2**31, 2**70, 1e308, "", "x", "../x", [], [[]], {}, {"x": 1})
    lengths = ("latents", "tokens", "kept", "latents+9999", "9*tokens")
    for _ in range(random.integers(1, 4)):
        holder, key = _any_entry(random, entries)
        among = lengths if isinstance(holder, list) and random.integers(2) else value
        holder[key] = among[random.integers(len(among))]
    if "stages" in entries and random.integers(2):
        stages = entries["stages"]
        stage = stages[str(random.choice(sorted(stages)))] if isinstance(stages, dict) else None
        if isinstance(stage, dict):
            stage.update(resizes=True, more=bool(random.integers(2)))
    _write(folder / "manifest.json", json.dumps(entries).encode())
    return f"{key} is {holder[key]!r} in manifest.json"


def _any_entry(random: np.random.Generator, entries: dict):
    """A place in parsed JSON: what holds it, and its key there."""
    holder, key = entries, str(random.choice(sorted(entries)))
    while isinstance(holder[key], (dict, list)) and holder[key] and random.integers(4):
        holder = holder[key]
        key = (
            str(random.choice(sorted(holder)))
            if isinstance(holder, dict)
            else int(random.integers(len(holder)))
        )
    return holder, key


def _write(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)  # another file under its name: nothing remembers its hash
    path.write_bytes(data)


def use(folder: Path, compiled: bool) -> int:
    """Open a bundle and make a clip, as a program would; RAN, REFUSED, or what must not be."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Pipeline.load(folder, "f32", threads=1, half=compiled).generate("rain", seed=1, steps=1)
    except EdgeAudioError as error:
        if not str(error).isprintable():
            print(f"not one line: {error!r}", file=sys.stderr, flush=True)
            return TRACEBACK
        return REFUSED
    except MemoryError:
        return NO_MEMORY
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        return TRACEBACK
    return RAN


def in_a_process(folder: Path, compiled: bool) -> int:
    """`use`, in a fork; minus the signal if one ended it."""
    child = os.fork()
    if child == 0:
        # beside what the process has mapped already, which other tests may have made large
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.alarm(SECONDS)
        os._exit(use(folder, compiled))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def is_failure(kind: str, code: int) -> bool:
    """Whether a bundle must not end like this."""
    if kind == "hash":
        return code != REFUSED
    if kind == "vouched" and code < 0 and code != -signal.SIGALRM:
        return False
    return code not in (RAN, REFUSED)


def fuzz(seed: int, seconds: float, most: int, kept: Path) -> int:
    """Damage bundles until the time is up; how many failed."""
    random, counts = np.random.default_rng(seed), collections.Counter()
    end, done = time.monotonic() + seconds, 0
    compiled_runs = device.runs_compiled_model(device.describe())
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bundle"
        while done < most and time.monotonic() < end:
            kind = ("vouched", "hash", "vouched", "manifest")[done % 4]
            compiled = compiled_runs and done % 8 >= 6 - 4 * (kind == "vouched")
            if folder.exists():
                shutil.rmtree(folder)
            shutil.copytree(SOURCE, folder)
            how = (
                damaged_manifest(random, folder)
                if kind == "manifest"
                else damaged_graph(random, folder, kind == "vouched")
            )
            code = in_a_process(folder, compiled)
            done += 1
            failed = is_failure(kind, code)
            counts[kind, code, failed] += 1
            if failed or code < 0:
                what = "FAILED" if failed else "LiteRT ended the process"
                keep = kept / f"{seed}-{done}"
                shutil.rmtree(keep, ignore_errors=True)
                shutil.copytree(folder, keep)
                print(f"{what}: {kind}, {how}, exit {code}")
                print(f"  python {Path(__file__).name} --reproduce {keep}{' --half' * compiled}")
    for (kind, code, failed), count in sorted(counts.items()):
        print(f"{kind:10} {_ended(code):24} {count:6}{'  FAILED' * failed}")
    print(f"{done} damaged bundles, seed {seed}")
    return sum(count for (_, _, failed), count in counts.items() if failed)


def _ended(code: int) -> str:
    if code < 0:
        return signal.Signals(-code).name
    return {RAN: "made a clip", REFUSED: "refused in one line", NO_MEMORY: "out of memory"}.get(
        code, f"exit code {code}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=45.0)
    parser.add_argument("--most", type=int, default=10**9, help="damaged bundles")
    parser.add_argument("--kept", type=Path, default=Path("build/fuzz"), help="for what failed")
    parser.add_argument("--reproduce", type=Path, metavar="FOLDER")
    parser.add_argument("--half", action="store_true", help="through CompiledModel")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["EDGE_AUDIO_CACHE"] = cache
        if arguments.reproduce:
            code = use(arguments.reproduce, arguments.half)
            print(_ended(code))
            return code
        return 1 if fuzz(arguments.seed, arguments.seconds, arguments.most, arguments.kept) else 0


if __name__ == "__main__":
    sys.exit(main())
