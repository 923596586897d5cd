"""`edge-audio compare` on the pocket model: what it says is true, the same each time, and names
what is broken.
"""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_audio.bundle.manifest import MANIFEST_NAME, AdapterEntry
from edge_audio.bundle.store import Bundle, file_entry
from edge_audio.cli.main import main
from edge_audio.evaluate.layers import operations

ROOT = Path(__file__).parents[3]
POCKET = ROOT / "models" / "pocket"
FULL = {"--repeats": "0", "--steps": "4", "--seconds": "2"}


def run(*arguments, **settings):
    more = [text for pair in (FULL | settings).items() for text in pair]
    return subprocess.run(
        [sys.executable, "-m", "edge_audio.cli", "compare", *map(str, arguments), *more],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=300,
    )


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    path = tmp_path_factory.mktemp("prompts") / "prompts.txt"
    path.write_text("a sine tone at A4\n\nsteady rain\n")
    return path


@pytest.fixture(scope="module")
def made(prompts, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "report"
    done = run(POCKET, "--precisions", "f16,int8,mixed", "--prompts", prompts, "--out", out)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_numbers_add_up(made):
    report = json.loads((made[0] / "report.json").read_text())
    assert (
        report["prompts"] == ["a sine tone at A4", "steady rain"] and report["reference"] == "f16"
    )
    assert report["candidates"]["f16"]["v_snr"] == [] and report["measured"] == {}
    for name in ("int8", "mixed"):
        candidate = report["candidates"][name]
        assert [len(row) for row in candidate["v_snr"]] == [4, 4] and min(
            map(min, candidate["v_snr"])
        ) > 25
        assert len(candidate["channel_errors"]) == 96 and all(
            0.9 < layer["gain"] < 1.1 for layer in candidate["layers"]
        )
    assert min(report["candidates"]["mixed"]["decoder_snr"]) > 35
    assert "int8: " in made[1] and "mixed: Good enough" in made[1]


def test_the_page_stands_alone(made):
    page = (made[0] / "report.html").read_text()
    assert (
        page.count("<audio ") == 6
        and page.count("data:audio/flac;base64,") == 6
        and page.count("<svg") >= 9
    )
    assert "http://" not in page.replace("http://www.w3.org", "").replace(
        "http://purl.org", ""
    ).replace("http://creativecommons.org", "")
    assert 'src="//' not in page and "currentColor" in page and "function chance" in page


@pytest.mark.slow
def test_the_same_again(made, prompts, tmp_path):
    out = tmp_path / "again"
    done = run(
        *(POCKET, "--precisions", "f16,int8,mixed", "--prompts", prompts, "--out", out, "--json")
    )
    assert done.returncode == 0
    assert (out / "report.json").read_bytes() == (made[0] / "report.json").read_bytes()
    told = json.loads(done.stdout)
    assert told.pop("page") == str(out / "report.html")
    assert told == json.loads((out / "report.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(
    "component, layer",
    [
        ("dit", "transformer.layers.2.cross_attn.to_out"),
        ("decoder", "decoder.layers.1.layers.3.layers.1"),
    ],
)
def test_a_layer_with_doubled_scales_is_named(component, layer, prompts, tmp_path):
    from ai_edge_litert.tools import flatbuffer_utils

    folder = tmp_path / "broken"
    shutil.copytree(POCKET, folder)
    path = folder / f"{component}.int8.tflite"
    operation = next(op for op in operations(path) if op.layer == layer)
    model = flatbuffer_utils.read_model(str(path))
    graph = model.subgraphs[operation.subgraph]
    weights = graph.tensors[graph.operators[operation.index].inputs[1]].quantization
    weights.scale = [2 * scale for scale in weights.scale]
    path.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    manifest = Bundle.open(POCKET).manifest
    graphs = {name: dict(entries) for name, entries in manifest.graphs.items()}
    graphs[component]["int8"] = dataclasses.replace(
        graphs[component]["int8"], **vars(file_entry(path))
    )
    (folder / MANIFEST_NAME).write_text(dataclasses.replace(manifest, graphs=graphs).to_json())
    done = run(folder, "--precisions", "f16,int8", "--prompts", prompts, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert f"layer {layer} of the" in done.stdout and "int8: Not usable: layer" in done.stdout
    assert re.search(r"it gives (1\.9|2\.0)\d times what it should", done.stdout)


def test_bad_input_is_one_clear_line(prompts, tmp_path, capsys):
    empty, binary = tmp_path / "empty.txt", tmp_path / "binary.txt"
    empty.write_text("\n \n")
    binary.write_bytes(b"\xff\xfe\x00rain")
    other, styled = tmp_path / "other", tmp_path / "styled"
    for folder, change in (
        (other, {"source_sha256": "1" * 64}),
        (styled, {"adapters": (AdapterEntry("style", "1" * 64, 1.0),)}),
    ):
        shutil.copytree(POCKET, folder)
        manifest = dataclasses.replace(Bundle.open(POCKET).manifest, **change)
        (folder / MANIFEST_NAME).write_text(manifest.to_json())
    for arguments, said in (
        (
            (POCKET, "--precisions", "f16,f32", "--out", tmp_path / "a"),
            "has no conditioners in f32",
        ),
        ((POCKET, "--precisions", "f16", "--out", tmp_path / "a"), "name two or more"),
        ((POCKET, "--prompts", empty, "--out", tmp_path / "a"), "is empty"),
        ((POCKET, "--prompts", binary, "--out", tmp_path / "a"), "not UTF-8"),
        ((POCKET, "--prompts", tmp_path / "none.txt", "--out", tmp_path / "a"), "cannot be read"),
        ((POCKET, other, "--out", tmp_path / "a"), "are different models"),
        ((POCKET, styled, "--out", tmp_path / "a"), "are different models"),
        ((POCKET, "--out", tmp_path), "exists"),
    ):
        assert main(["compare", *map(str, arguments)]) in (1, 2)
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1, error
        assert said in error and not (tmp_path / "a").exists()


def test_without_the_extra_the_command_is_told(tmp_path):
    """In a process that cannot import what the extra brings, as after a plain installation."""
    absent = tmp_path / "absent.py"
    absent.write_text(
        "import sys\nfor name in ('scipy', 'matplotlib', 'jinja2'):\n   "
        " sys.modules[name] = None\n"
        "from edge_audio.cli.main import main\nsys.exit(main(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [sys.executable, absent, "compare", "--out", tmp_path / "out"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert (
        done.returncode == 1
        and "run pip install 'edge-audio[eval]'" in done.stderr
        and done.stderr.count("\n") == 1
    ), done.stderr


def test_the_figures_of_the_committed_report():
    """docs/pocket-compare.json: a prompt of every family, twelve steps each."""
    report = json.loads((ROOT / "docs" / "pocket-compare.json").read_text())
    f16, int8, mixed = (report["candidates"][name] for name in ("f16", "int8", "mixed"))
    assert len(report["prompts"]) == 48
    assert f16["adherence"] - int8["adherence"] <= 0.03 and min(map(min, int8["v_snr"])) >= 25
    assert min(map(min, mixed["v_snr"])) >= 30 and mixed["bytes"] <= 0.85 * f16["bytes"]
    assert min(mixed["decoder_snr"]) >= 35
    assert report["bundle_sha256"] == [Bundle.open(POCKET).sha256]
