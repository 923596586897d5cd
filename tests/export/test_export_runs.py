"""`python -m export` as a user runs it: refused, interrupted, repeated, over what is there."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
from references import DATA

from edge_audio.bundle.manifest import GENERATING
from edge_audio.bundle.store import Bundle
from edge_audio.cli.main import main
from edge_audio.errors import EdgeAudioError
from export.bundle import Options, export
from export.sao import StableAudioOpen

ROOT = Path(__file__).parents[2]


def run_export(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "export", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=300,
    )


def test_command_line(tmp_path):
    done = run_export(
        DATA / "tiny0", tmp_path / "out", "--precision", "int8", "--name", "toy", "--steps", "4"
    )
    assert done.returncode == 0, done.stderr
    assert "tensors used: DiT 60 · autoencoder 225 · number conditioner 3 · T5 19" in done.stdout
    assert "warning: no SentencePiece model" in done.stderr and "--tokenizer" in done.stderr
    bundle = Bundle.open(tmp_path / "out")
    assert bundle.manifest.name == "toy" and bundle.manifest.defaults.steps == 4
    assert {bundle.precisions(component) for component in (*GENERATING, "encoder")} == {("int8",)}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    (line,) = (line for line in done.stdout.splitlines() if "next: " in line)
    command = shlex.split(line.partition("next: edge-audio ")[2])
    assert main([*command, "-o", str(tmp_path / "sound.wav"), "--quiet"]) == 0


@pytest.mark.slow
def test_json_is_one_object_and_what_is_being_done_goes_beside_it(tmp_path):
    done = run_export(DATA / "tiny0", tmp_path / "out", "--precision", "int8", "--json")
    assert done.returncode == 0 and "tensors used: DiT 60" in done.stderr
    found = json.loads(done.stdout)
    assert found["bundle"] == str(tmp_path / "out") and found["graphs"]["dit"] == ["int8"]
    made = run_export("synth", tmp_path / "made", "--preset", "nothing", "--json")
    assert made.returncode in (1, 2)
    assert made.stderr.endswith(f"error: {json.loads(made.stdout)['error']}\n")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nowhere", "out"], "model_config.json is missing"),
        ([DATA / "tiny0", "/proc/nowhere/out"], "choose another folder"),
        ([DATA / "tiny0", "out", "--steps", "0"], "steps 0 makes no sound"),
        ([DATA / "tiny0", "out", "--precision", "int9"], "precision 'int9' cannot be exported"),
        (
            [DATA / "tiny0", "out", "--tokenizer", DATA / "tiny0" / "golden.npz"],
            "is no SentencePiece model",
        ),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, arguments, message):
    done = run_export(arguments[0], tmp_path / arguments[1], *arguments[2:])
    wrong_usage = "--steps" in arguments  # no model could do that
    assert done.returncode == (2 if wrong_usage else 1) and not list(tmp_path.iterdir())
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and message in lines[0] and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "lengths, message",
    [
        (
            (8,),
            (
                "latent length 8 is too short for the decoder, whose tail sees 17 of its 32 frames"
                " to each side; give longer"
            ),
        ),
        ((64,), "latent length 64 cannot be exported; this model has 32"),
        ((0,), "latent length 0 cannot be exported"),
    ],
)
def test_impossible_lengths(tmp_path, lengths, message):
    with pytest.raises(EdgeAudioError, match=message):
        export(
            DATA / "tiny0", tmp_path / "out", Options(latent_lengths=lengths), say=lambda line: None
        )
    assert not list(tmp_path.iterdir())


def test_a_folder_of_other_things_is_not_touched(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(EdgeAudioError, match="is not empty and holds no bundle"):
        export(DATA / "tiny0", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_failure_keeps_the_old_bundle(tiny0, tmp_path):
    out = shutil.copytree(tiny0[2], tmp_path / "out")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    broken = shutil.copytree(DATA / "tiny0", tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no")
    with pytest.raises(EdgeAudioError):
        export(broken, out, say=lambda line: None)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.slow
def test_a_file_outside_the_bundle_is_not_touched(tmp_path):
    """A manifest from elsewhere may name any file as its graph."""
    options = Options(("f32",), GENERATING)
    manifest = export(DATA / "tiny0", tmp_path / "out", options, say=lambda line: None)
    name, outside = manifest.graphs["dit"]["f32"].file, tmp_path / "neighbour.tflite"
    (tmp_path / "out" / name).rename(outside)
    path = tmp_path / "out" / "manifest.json"
    path.write_text(path.read_text().replace(f'"{name}"', '"../neighbour.tflite"'))
    before = outside.read_bytes()
    again = export(DATA / "tiny0", tmp_path / "out", options, say=lambda line: None)
    assert outside.read_bytes() == before and again.graphs["dit"]["f32"].file == name
    assert Bundle.open(tmp_path / "out").graph_path("dit", "f32").parent == tmp_path / "out"


@pytest.mark.slow
def test_an_interrupted_export_goes_on(tmp_path, monkeypatch):
    from export import staging as module

    def quantize(graph, methods, real=module.quantize):
        made.append(graph.stem)
        if len(made) == 2:
            raise KeyboardInterrupt
        return real(graph, methods)

    made, said, options = [], [], Options(("f32", "int8"), GENERATING)
    monkeypatch.setattr(module, "quantize", quantize)
    with pytest.raises(KeyboardInterrupt):
        export(DATA / "tiny0", tmp_path / "out", options, said.append)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.partial"]
    assert (
        said[-1].startswith("warning: finished graphs are kept in ")
        and "run the same export again" in said[-1]
    )
    (tmp_path / ".out.partial" / "conditioners.int8.tflite").write_bytes(b"damaged meanwhile")
    manifest = export(DATA / "tiny0", tmp_path / "out", options, said.append)
    assert len(made) == 2 + 3 and [p.name for p in tmp_path.iterdir()] == ["out"]
    assert Bundle.open(tmp_path / "out").manifest == manifest
    for kept in ("conditioners", "dit"):
        assert f"{kept}.f32.tflite: kept, nothing that it is made from has changed" in said


@pytest.mark.slow
def test_only_what_changed_is_made_again(tmp_path, monkeypatch):
    from export import staging as module

    converted, real = [], module.convert
    monkeypatch.setattr(module, "convert", lambda folder: converted.append(folder) or real(folder))

    def run(*precisions, **options):
        converted.clear()
        manifest = export(
            DATA / "tiny0",
            tmp_path / "out",
            Options(precisions, GENERATING, **options),
            say=lambda line: None,
        )
        return manifest, len(converted)

    first, made = run("f32")
    assert made == 3
    again, made = run("f32", name="other", steps=5)
    assert made == 0 and again.graphs == first.graphs and again.name == "other"
    both, made = run("f32", "int8")
    assert made == 1 and {c: both.graphs[c]["f32"] for c in GENERATING} == {
        c: first.graphs[c]["f32"] for c in GENERATING
    }
    assert run("int8")[1] == 0 and not list((tmp_path / "out").glob("*.f32.tflite"))
    assert run("int8", latent_lengths=(16,))[1] == 3


def test_tokenizer_is_found_and_checked(tmp_path):
    import sentencepiece

    def train(path, vocab_size, **ids):
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["a dog barks", "rain on a roof", "the sea at night"] * 5),
            model_prefix=str(path),
            vocab_size=vocab_size,
            hard_vocab_limit=False,
            minloglevel=2,
            **ids,
        )

    train(tmp_path / "good", 40, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    train(tmp_path / "other", 40)

    def find(folder, given, vocab_size):
        config = types.SimpleNamespace(t5=types.SimpleNamespace(vocab_size=vocab_size))
        return StableAudioOpen().find_tokenizer(folder, given, config)

    assert find(tmp_path, tmp_path / "good.model", 128) == tmp_path / "good.model"
    with pytest.raises(EdgeAudioError, match="pad id -1"):
        find(tmp_path, tmp_path / "other.model", 128)
    with pytest.raises(EdgeAudioError, match="the text encoder knows 10"):
        find(tmp_path, tmp_path / "good.model", 10)
    shutil.copyfile(tmp_path / "good.model", tmp_path / "spiece.model")
    assert find(tmp_path, None, 128) == tmp_path / "spiece.model"
