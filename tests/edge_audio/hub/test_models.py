"""The models that are kept: listed, verified, renamed, removed, and brought to another computer."""

import os
import sys

import other_computer
import pytest
from filelock import FileLock

from edge_audio.cli.models import size
from edge_audio.hub import push


def test_the_list(small_bundle, models, run) -> None:
    kept = {model["name"]: model for model in run("models", "--json").json["models"]}
    assert list(kept) == ["pocket", "rain"]
    assert kept["rain"]["kind"] == "bundle" and kept["rain"]["precisions"] == ["f32"]
    assert kept["rain"]["bytes"] == sum(path.stat().st_size for path in small_bundle.iterdir())
    text = run("models").out
    assert "rain" in text and "f32" in text and f"in {models}" in text
    (small_bundle / "manifest.json").write_text("{")
    assert run("models", "--json").json["models"][1]["kind"] == "broken"


def test_without_the_extra_and_without_a_folder(run, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("EDGE_AUDIO_MODELS", str(tmp_path / "none"))
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert [model["name"] for model in run("models", "--json").json["models"]] == ["pocket"]


def test_verify(small_bundle, run) -> None:
    assert run("models", "verify", "rain").out == "rain: every file is whole\n"
    assert run("models", "--json", "verify", "rain").json["name"] == "rain"
    graph = small_bundle / "dit.f32.tflite"
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    refused = run("models", "verify", "rain")
    assert refused.code == 1 and "has another sha256 than the manifest says" in refused.err
    (small_bundle.parent / "rain.checkpoint").mkdir()
    refused = run("models", "verify", "rain.checkpoint")
    assert refused.code == 1 and "does not say what its files should be" in refused.err


def test_sizes() -> None:
    counts = (999, 12_345, 99_960_000, 999_400_000, 32_000_000_000, 1_234_000_000_000)
    said = ["999 bytes", "12.3 kB", "100 MB", "999 MB", "32 GB", "1.23 TB"]
    assert [size(count) for count in counts] == said


def test_rename(small_bundle, models, run) -> None:
    (models / "rain.checkpoint").mkdir()
    assert run("models", "rename", "rain", "storm").code == 0
    assert {path.name for path in models.iterdir()} == {"storm", "storm.checkpoint"}
    assert run("info", "storm").code == 0
    (models / "wind").mkdir()
    for names, code, said in (
        (("storm", "wind"), 1, "wind exists; choose another name"),
        (("storm", "a/b"), 2, "is no name for a model"),
        (("storm", "pocket"), 2, "is the name of the model that edge-audio brings"),
        (("storm.checkpoint", "x"), 2, "give the name without .checkpoint"),
        (("pocket", "x"), 2, "is the name of the model that edge-audio brings"),
        (
            ("strm", "x"),
            1,
            "no model 'strm' is kept here; those that are: pocket, storm; did you mean storm?",
        ),
    ):
        refused = run("models", "rename", *names)
        assert refused.code == code, refused.err
        assert said in refused.err, refused.err


def test_remove(small_bundle, models, run, monkeypatch) -> None:
    (models / ".rain.pulling").mkdir()
    (models / ".rain.old").mkdir()  # a pull was killed as it replaced a bundle
    refused = run("models", "remove", "rain")
    assert refused.code == 2 and "give --yes" in refused.err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert run("models", "remove", "rain").out == "kept\n" and small_bundle.exists()

    def closed(question: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", closed)
    assert run("models", "remove", "rain").out == "\nkept\n" and small_bundle.exists()
    size = sum(path.stat().st_size for path in small_bundle.iterdir())
    assert run("models", "remove", "rain", "--yes", "--json").json["freed_bytes"] == size
    assert not list(models.iterdir())
    assert run("models", "remove", "rain", "--yes").code == 1
    assert run("models", "remove", "pocket", "--yes").code == 2


def test_what_a_pull_is_at_is_not_removed(small_bundle, models, run) -> None:
    with FileLock(models / ".rain.pulling.lock"):
        refused = run("models", "remove", "rain", "--yes")
        assert refused.code == 1 and "let it end first" in refused.err and small_bundle.exists()
    assert run("models", "remove", "rain", "--yes").code == 0 and not list(models.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
def test_a_link_is_removed_and_what_it_leads_to_stays(small_bundle, models, run, tmp_path) -> None:
    elsewhere = small_bundle.rename(tmp_path / "elsewhere")
    (models / "rain").symlink_to(elsewhere)
    assert run("models", "remove", "rain", "--yes").code == 0
    assert (elsewhere / "manifest.json").is_file() and not list(models.iterdir())


linux = pytest.mark.skipif(sys.platform != "linux", reason="its stand-ins are shell scripts")


@pytest.fixture
def pi(tmp_path, monkeypatch):
    """The home folder of a computer that ssh reaches as pi@pi.local, and that has rsync."""
    for name, value in other_computer.reachable(tmp_path, "pi@pi.local").items():
        monkeypatch.setenv(name, value)
    return tmp_path / "pi"


@linux
@pytest.mark.parametrize("program", ["rsync", "scp"])
def test_a_model_is_pushed_and_compared_there(small_bundle, run, pi, tmp_path, program) -> None:
    if program == "scp":
        (tmp_path / "there" / "rsync").unlink()
    done = run("push-to", "pi@pi.local", "rain")
    assert done.code == 0, done.err
    there = pi / ".local/share/edge-audio/models/rain"
    assert {p.name for p in there.iterdir()} == {p.name for p in small_bundle.iterdir()}
    assert "every file as here" in done.out and "--model rain --play" in done.out
    copies = (pi / "log").read_text().splitlines()
    assert [line.split()[0] for line in copies] == [program, program]
    done = run("push-to", "pi@pi.local:sounds", small_bundle, "--json")
    assert done.json == {"host": "pi@pi.local", "folder": "sounds/rain", "verified": True}
    assert (pi / "sounds" / "rain" / "manifest.json").is_file()


@linux
def test_what_goes_wrong_on_the_way(small_bundle, run, pi, tmp_path, monkeypatch) -> None:
    refused = run("push-to", "pi@other.local", "rain")
    assert refused.code == 1 and "ssh to pi@other.local failed" in refused.err
    monkeypatch.setenv("FAILS", "1")
    refused = run("push-to", "pi@pi.local", "rain")
    assert refused.code == 1 and "rsync to pi@pi.local failed (code 12); run the" in refused.err
    assert not list(pi.rglob("manifest.json"))  # nothing there that looks like a bundle
    monkeypatch.delenv("FAILS")
    damage = 'printf "x" > "$PI/.local/share/edge-audio/models/rain/dit.f32.tflite"\n'
    with (tmp_path / "bin" / "rsync").open("a") as program:
        program.write(damage)
    refused = run("push-to", "pi@pi.local", "rain")
    assert refused.code == 1 and "is not what was sent (dit.f32.tflite: FAILED" in refused.err
    (tmp_path / "there" / "sha256sum").unlink()
    done = run("push-to", "pi@pi.local", "rain")
    assert done.code == 0 and "no sha256sum to compare" in done.out


@linux
@pytest.mark.parametrize(
    "host",
    [
        *("-oProxyCommand=x", "pi@-x", "-x@pi", "pi:-x", "pi:a b", "pi:$(x)", "pi:a;b", "", "pi:"),
        *("pi;x", "pi\n", "a@b@c", "pi:~/../x y", "[::1", "pi:`x`", "pi:a'b"),
    ],
)
def test_hosts_that_are_none(host, pi, small_bundle, run) -> None:
    refused = run("push-to", "--", host, "rain")
    assert refused.code == 2, host
    assert not list(pi.iterdir())


def test_hosts() -> None:
    assert push.destination("pi") == push.Destination("pi", push.USUAL_FOLDER)
    there = push.destination("me@[fe80::1]:/data/")
    assert there.folder == "/data" and there.ssh_host == "me@fe80::1"
    assert push.destination("pi@raspberrypi.local:~/models/x") == push.Destination(
        "pi@raspberrypi.local", "models/x"
    )
