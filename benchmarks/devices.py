"""docs/devices.md: what a clip costs on real devices, from figures that their owners sent.

A file of docs/devices/ is one device: what `edge-audio bench --json` printed there, with the name
of the device and the conditions. They come from strangers, so everything in them is checked by
docs/devices/schema.json and below, and nothing that could act in a page is let in.

    python benchmarks/devices.py add bench.json --device "Raspberry Pi 5, 8 GB" --conditions "fan"
    python benchmarks/devices.py            # writes docs/devices.md of all files
    python benchmarks/devices.py --check    # exit code 1 if it is not what the files say
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

import jsonschema

from edge_audio.errors import EdgeAudioError

FOLDER = Path(__file__).parents[1] / "docs" / "devices"
SCHEMA = FOLDER / "schema.json"
#: a file, at most
BYTES = 100_000
#: settings of the request that are kept: the prompt is its sender's
SETTINGS = ("seconds", "steps", "sampler", "cfg_scale", "fit_length")
HEAD = (
    "device",
    "model",
    "precision",
    "threads",
    "whole clip (s)",
    "× real time",
    "first block (s)",
    "load cold, warm (s)",
    "peak memory",
)
NONE = "Nobody has sent figures of a device yet: the table is empty."


def parsed(text: bytes, what: str) -> Any:
    """Strict JSON: EdgeAudioError for more bytes than a device has, names twice, or NaN."""

    def refuse(said: str) -> NoReturn:
        raise ValueError(said)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        return found if len(found) == len(pairs) else refuse("a name is there twice")

    if len(text) > BYTES:
        raise EdgeAudioError(f"{what} has {len(text)} bytes; {BYTES} are enough for a device")
    try:
        return json.loads(
            text.decode(),
            object_pairs_hook=once,
            parse_constant=lambda name: refuse(f"{name} is no number"),
        )
    except (ValueError, RecursionError) as error:
        raise EdgeAudioError(f"{what} is no JSON of edge-audio bench ({error})") from None


def check(entry: Any, what: str) -> dict[str, Any]:
    """The entry of a device; EdgeAudioError unless every value is one that a bench can give."""
    validator = jsonschema.Draft202012Validator(
        json.loads(SCHEMA.read_text(encoding="utf-8")), format_checker=jsonschema.FormatChecker()
    )
    error = jsonschema.exceptions.best_match(validator.iter_errors(entry))
    if error:
        place = ".".join(map(str, error.absolute_path)) or "the file"
        raise EdgeAudioError(f"{what}: {place}: {error.message[:200]}")
    bench = entry["bench"]
    date = datetime.date.fromisoformat(bench["machine"]["date"])
    if date > datetime.date.today() + datetime.timedelta(days=1):
        raise EdgeAudioError(f"{what}: bench.machine.date: {date} is still to come")
    for row in bench["rows"]:
        # loading is in the whole, too; a tenth less than its parts is no rounding
        parts = sum(row[name]["mean"] for name in ("condition", "sample", "decode"))
        if row["total"]["mean"] < 0.9 * parts or row["seconds"] != bench["request"]["seconds"]:
            raise EdgeAudioError(f"{what}: a row of {row['precision']} contradicts itself")
    keys = [(row["precision"], row["threads"]) for row in bench["rows"]]
    if len(set(keys)) != len(keys):
        raise EdgeAudioError(f"{what}: two rows have the same precision and threads")
    found: dict[str, Any] = entry
    return found


def read(folder: Path = FOLDER) -> list[dict[str, Any]]:
    """The entries of all devices, by name."""
    paths = sorted(path for path in folder.glob("*.json") if path.name != SCHEMA.name)
    found = [check(parsed(path.read_bytes(), path.name), path.name) for path in paths]
    return sorted(found, key=lambda entry: (entry["device"], entry["bench"]["machine"]["date"]))


def add(source: Path, device: str, conditions: str, folder: Path = FOLDER) -> Path:
    """A file for a device, of what its owner sent."""
    bench = parsed(source.read_bytes(), source.name)
    if isinstance(bench, dict) and isinstance(bench.get("request"), dict):
        kept = {name: bench["request"].get(name) for name in SETTINGS}
        bench = {**bench, "request": kept}
    entry = check({"device": device, "conditions": conditions, "bench": bench}, source.name)
    slug = re.sub(r"[^a-z0-9]+", "-", f"{device} {bench['model']}".lower()).strip("-")
    path = folder / f"{slug}-{bench['machine']['date']}.json"
    if path.exists():
        raise EdgeAudioError(f"{path.name} is there; delete it, or name the device otherwise")
    text = json.dumps(entry, indent=1, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def page(entries: list[dict[str, Any]]) -> str:
    """docs/devices.md"""
    lines = [
        "# Real devices",
        "",
        "What a clip costs on devices of those who sent figures: mean and deviation, as"
        " `edge-audio bench` measures them ([how](measured.md)). Yours are",
        "welcome: the issue form *Figures of a device* says what to run. The files are in"
        " `docs/devices/`; `benchmarks/devices.py` checks them and writes this page.",
        "",
    ]
    if not entries:
        return "\n".join([*lines, NONE, ""])
    lines += [f"| {' | '.join(HEAD)} |", f"|{' --- |' * len(HEAD)}"]
    for entry in entries:
        bench = entry["bench"]
        for row in sorted(bench["rows"], key=lambda row: row["total"]["mean"]):
            lines.append(f"| {' | '.join(_cells(entry['device'], bench, row))} |")
    lines += ["", "Of each:", ""]
    return "\n".join([*lines, *map(_conditions, entries), ""])


def _cells(device: str, bench: dict[str, Any], row: dict[str, Any]) -> list[str]:
    total, peak = row["total"], row["peak"]
    return [
        device,
        f"{bench['model']}, {row['seconds']:g} s, {bench['request']['steps']} steps",
        row["precision"],
        str(row["threads"]),
        f"{total['mean']:.2f} ± {total['deviation']:.2f}",
        f"{row['seconds'] / total['mean']:.1f}",
        f"{row['first_block']['mean']:.2f}",
        f"{row['load_cold']:.2f}, {row['load_warm']['mean']:.2f}",
        f"{peak / 1e6:.0f} MB" if peak else "–",
    ]


def _conditions(entry: dict[str, Any]) -> str:
    bench, machine = entry["bench"], entry["bench"]["machine"]
    memory = f", {machine['memory'] / 2**30:.1f} GiB" if machine["memory"] else ""
    features = " ".join(machine["features"]) or "no known features"
    versions = ", ".join(f"{name} {machine[name]}" for name in ("edge-audio", "ai-edge-litert"))
    return (
        f"* {entry['device']}: {entry['conditions']}; {machine['cpu']}, {machine['cores']} cores"
        f" ({features}){memory}; {machine['system']}; Python {machine['python']}, {versions},"
        f" numpy {machine['numpy']}; {bench['repeats']} clips a row; {machine['date']}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0; 1 after one line on stderr, or where --check finds another page."""
    parser = argparse.ArgumentParser(description="What a clip costs on real devices.")
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    adding = parser.add_subparsers(dest="command").add_parser("add", help="a device's figures")
    adding.add_argument("source", type=Path, metavar="bench.json")
    adding.add_argument("--device", required=True)
    adding.add_argument("--conditions", required=True)
    given = parser.parse_args(arguments)
    try:
        if given.command == "add":
            print(add(given.source, given.device, given.conditions))
        text, path = page(read()), FOLDER.parent / "devices.md"
        if given.check:
            if path.read_text(encoding="utf-8") != text:
                raise EdgeAudioError("docs/devices.md is another; run benchmarks/devices.py")
            return 0
        path.write_text(text, encoding="utf-8", newline="\n")
    except (EdgeAudioError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
