"""Figures that strangers send: what a bench gives is taken, anything else is refused."""

import copy
import importlib.util
import json
from pathlib import Path

import pytest

from edge_audio import EdgeAudioError
from edge_audio.evaluate.benchmark import Benchmark, Cost, Spread, formatted

ROOT = Path(__file__).parents[1]


def load():
    spec = importlib.util.spec_from_file_location("devices", ROOT / "benchmarks" / "devices.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


devices = load()


def bench():
    """What `edge-audio bench --json` prints, of a made-up board."""
    short, whole = Spread(0.1, 0.01), Spread(1.25, 0.05)
    row = Cost("int8", 4, 4.0, short, short, short, short, short, whole, 0.4, short, 9, 8, None)
    machine = {
        "cpu": "Raspberry Pi 5 Model B Rev 1.0",
        "cores": 4,
        "features": ["dotprod", "fp16"],
        "memory": 8 << 30,
        "system": "Linux-6.6.31+rpt-rpi-2712-aarch64-with-glibc2.36",
        "python": "3.11.2",
        "edge-audio": "0.1.0",
        "ai-edge-litert": "2.3.0",
        "numpy": "2.4.6",
        "date": "2026-11-20",
    }
    request = {"prompt": "SECRET", "seconds": 4.0, "steps": 12, "sampler": "dpmpp"}
    request |= {"cfg_scale": 2.5, "fit_length": False, "ids": None}
    made = Benchmark("pocket", "a" * 64, request, 5, machine, [row])
    return json.loads(formatted(made, "json"))


@pytest.fixture
def sent(tmp_path):
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(bench()))
    return path


def test_what_was_sent_becomes_a_line(sent, tmp_path):
    made = devices.add(sent, "Raspberry Pi 5, 8 GB", "active cooler", tmp_path)
    assert made.name == "raspberry-pi-5-8-gb-pocket-2026-11-20.json"
    assert "SECRET" not in made.read_text()
    sent.unlink()
    page = devices.page(devices.read(tmp_path))
    assert (
        "| Raspberry Pi 5, 8 GB | pocket, 4 s, 12 steps | int8 | 4 | 1.25 ± 0.05 | 3.2 |"
        " 0.10 | 0.40, 0.10 | 0 MB |" in page
    )
    assert "* Raspberry Pi 5, 8 GB: active cooler; Raspberry Pi 5 Model B Rev 1.0, 4 cores" in page
    assert devices.NONE not in page


def test_the_same_twice_is_refused(sent, tmp_path):
    devices.add(sent, "Board", "fan", tmp_path)
    with pytest.raises(EdgeAudioError, match="is there"):
        devices.add(sent, "Board", "fan", tmp_path)


def changed(path, value):
    """An entry with one value changed, taken out (...), or added."""
    entry = {"device": "Board", "conditions": "fan", "bench": bench()}
    entry["bench"]["request"] = {name: bench()["request"][name] for name in devices.SETTINGS}
    *way, last = path
    place = entry
    for name in way:
        place = place[name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return entry


ROW = ("bench", "rows", 0)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("device",), "Board | with | cells"),
        (("device",), "<script>alert(1)</script>"),
        (("device",), "[here](https://example.org)"),
        (("device",), "see https://example.org"),
        (("device",), "two\nlines"),
        (("device",), "\u202eboard"),
        (("device",), "x" * 200),
        (("device",), ""),
        (("device",), None),
        (("conditions",), "`rm -rf`"),
        (("conditions",), "![x]"),
        (("more",), 1),
        (("bench", "machine", "cpu"), "\x1b[31mred"),
        (("bench", "machine", "hostname"), "mine"),
        (("bench", "machine", "date"), "2026-02-30"),
        (("bench", "machine", "date"), "2098-01-01"),
        (("bench", "machine", "memory"), -1),
        (("bench", "machine", "numpy"), ...),
        (("bench", "bundle_sha256"), "A" * 64),
        (("bench", "bundle_sha256"), "a" * 64 + "\n"),
        (("bench", "request", "prompt"), "mine"),
        (("bench", "rows"), []),
        (("bench", "rows"), {}),
        ((*ROW, "total", "mean"), 0),
        ((*ROW, "total", "mean"), "1"),
        ((*ROW, "total", "mean"), 0.2),  # less than its parts
        ((*ROW, "total", "mean"), True),
        ((*ROW, "threads"), 1.5),
        ((*ROW, "precision"), "int8 | f32"),
        ((*ROW, "seconds"), 5),
        ((*ROW, "peak"), 1e400),
        ((*ROW, "first_block"), ...),
    ],
)
def test_anything_else_is_refused_in_a_line(path, value):
    assert devices.check(changed(("device",), "Board"), "file")
    with pytest.raises(EdgeAudioError) as refused:
        devices.check(changed(path, value), "file")
    assert str(refused.value).startswith("file: ")


def test_a_row_twice_is_refused():
    entry = changed(("device",), "Board")
    entry["bench"]["rows"] *= 2
    with pytest.raises(EdgeAudioError, match="same precision and threads"):
        devices.check(entry, "file")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1, "a": 2}',
        b"\xff\xfe",
        b"[" * 50_000,
        b" " * 200_000,
    ],
)
def test_what_is_no_json_is_refused(text):
    with pytest.raises(EdgeAudioError, match="file"):
        devices.parsed(text, "file")


def test_every_sort_of_value_is_checked():
    """No number, text or list of an entry may be replaced by an object."""
    whole = changed(("device",), "Board")

    def places(value, path=()):
        if isinstance(value, (dict, list)):
            for name, each in value.items() if isinstance(value, dict) else enumerate(value):
                yield from places(each, (*path, name))
        elif path:
            yield path

    for path in places(copy.deepcopy(whole)):
        with pytest.raises(EdgeAudioError):
            devices.check(changed(path, {"x": 1}), "file")


def test_the_page_is_what_the_files_say(capsys):
    assert devices.main(["--check"]) == 0
    assert devices.main(["add", "none.json", "--device", "x", "--conditions", "y"]) == 1
    assert capsys.readouterr().err.startswith("error: ")
