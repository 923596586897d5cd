"""Models come from a Hub, whole or with one line that says why not. The client is the real one."""

import errno
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hub_files import CHECKPOINT, T5, checkpoint_files, t5_files
from hub_server import TOKEN, Answer, sha256
from huggingface_hub import constants

from edge_audio import Pipeline
from edge_audio.hub import download, exporting, keeping, pull
from edge_audio.system.safetensors import INDEX

CHECKPOINT_FILES = {
    "LICENSE.md",
    "model.safetensors",
    "model_config.json",
    "source.json",
    "t5/config.json",
    "t5/model.safetensors",
    "t5/spiece.model",
}


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_bundle_is_fetched_and_makes_sound(hub, models, run, bundle_files) -> None:
    extras = {"README.md": b"card", "photo.png": b"x", "LICENSE": b"terms"}
    hub.add("maker/toy", {**bundle_files, **extras}, card={"license": "apache-2.0"})
    done = run("pull", "maker/toy", "--json")
    assert done.code == 0, done.err
    assert done.json["bundle"] == str(models / "toy") and done.json["license"] == "apache-2.0"
    assert files_in(models / "toy") == {*bundle_files, "LICENSE", "source.json"}
    assert len(Pipeline.load("toy").generate(ids=[5, 3], seconds=0.01).samples)
    again = run("pull", "maker/toy", "--json")
    assert again.code == 0 and again.json["missing_bytes"] == 0
    assert sum(hub.served.values()) == sum(
        len(content) for name, content in bundle_files.items() if name != "manifest.json"
    ) + len(b"terms") + 2 * len(bundle_files["manifest.json"])


def test_a_checkpoint_is_fetched_with_its_text_encoder_of_another_repository(
    checkpoint, hub, models, run
) -> None:
    done = run("pull", CHECKPOINT, "--no-export")
    assert done.code == 0, done.err
    folder = models / "tiny.checkpoint"
    assert files_in(folder) == CHECKPOINT_FILES
    assert (folder / "t5" / "spiece.model").read_bytes() == b"pieces"
    source = json.loads((folder / "source.json").read_text())
    assert source["repository"] == CHECKPOINT and source["commit"] == checkpoint.head
    assert source["license"] == "tiny-terms"
    assert f"t5/model.safetensors  {1:>0}"[:20] in done.out and f"of {T5}" in done.out
    assert not hub.tokens_at_cdn  # a token is for the Hub, not for whom it sends the client to
    assert run("models", "verify", "tiny.checkpoint").code == 0
    (folder / "t5" / "spiece.model").write_bytes(b"PIECES")
    assert "spiece.model is missing or damaged" in run("models", "verify", "tiny.checkpoint").err


def test_a_text_encoder_in_a_folder_of_the_same_repository(hub, models, run) -> None:
    theirs = {f"t5/{name}": content for name, content in t5_files().items()}
    hub.add(CHECKPOINT, {**checkpoint_files(), **theirs})
    assert run("pull", CHECKPOINT, "--no-export").code == 0
    assert files_in(models / "tiny.checkpoint") == CHECKPOINT_FILES


def test_weights_in_parts(hub, models, run) -> None:
    files = checkpoint_files()
    parts = {"model-1.safetensors": files.pop("model.safetensors"), "model-2.safetensors": b"more"}
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    theirs = {f"t5/{name}": content for name, content in t5_files().items()}
    files |= theirs | {INDEX: json.dumps(index).encode()}
    hub.add(CHECKPOINT, files | parts)
    assert run("pull", CHECKPOINT, "--no-export").code == 0
    folder = models / "tiny.checkpoint"
    # not the pickled file that lies there too
    assert files_in(folder) == CHECKPOINT_FILES - {"model.safetensors"} | {INDEX, *parts}
    assert (folder / "model-2.safetensors").read_bytes() == b"more"


def test_a_part_of_the_weights_is_missing(hub, run) -> None:
    files = checkpoint_files()
    index = {"weight_map": {"a": "model-1.safetensors"}}
    del files["model.safetensors"]
    theirs = {f"t5/{name}": content for name, content in t5_files().items()}
    hub.add(CHECKPOINT, files | theirs | {INDEX: json.dumps(index).encode()})
    refused = run("pull", CHECKPOINT, "--no-export")
    assert refused.code == 1 and f"lacks model-1.safetensors, which {INDEX} names" in refused.err


def test_a_dry_run_says_all_and_fetches_nothing(checkpoint, models, run) -> None:
    done = run("pull", CHECKPOINT, "--dry-run", "--json")
    assert done.code == 0, done.err
    assert {file["file"] for file in done.json["files"]} == CHECKPOINT_FILES - {"source.json"}
    assert (
        done.json["bytes"]
        == done.json["missing_bytes"]
        == sum(file["bytes"] for file in done.json["files"])
    )
    assert not models.exists()
    text = run("pull", CHECKPOINT, "--dry-run").out
    assert "to download into" in text and "the export then takes up to" in text


def test_a_connection_that_is_cut_twenty_times(checkpoint, hub, models, run) -> None:
    content = checkpoint_files()["model.safetensors"]
    hub.cuts[sha256(content)] = [len(content) // 25] * 20
    done = run("pull", CHECKPOINT, "--no-export")
    assert done.code == 0, done.err
    assert not hub.cuts[sha256(content)]
    assert (models / "tiny.checkpoint" / "model.safetensors").read_bytes() == content
    assert hub.served[sha256(content)] == len(content)  # no byte came twice
    assert set(hub.waits) <= {0.0}


def test_a_killed_run_goes_on_where_it_was(checkpoint, hub, models, run, monkeypatch) -> None:
    content = checkpoint_files()["model.safetensors"]
    hub.fault = lambda method, path: (
        Answer(503) if hub.served[sha256(content)] and path.startswith("/cdn") else None
    )
    hub.cuts[sha256(content)] = [len(content) // 2]
    refused = run("pull", CHECKPOINT, "--no-export")
    assert refused.code == 1 and "fails with 503" in refused.err and "goes on" in refused.err
    assert hub.waits == [0.0, 2.0, 4.0, 8.0]
    assert run("models", "--json").json["models"][-1]["kind"] == "incomplete"
    hub.fault = lambda method, path: None
    done = run("pull", CHECKPOINT, "--no-export", "--json")
    assert done.code == 0, done.err
    assert done.json["missing_bytes"] == len(content) - len(content) // 2
    assert hub.served[sha256(content)] == len(content)


def test_a_server_without_ranges(checkpoint, hub, run, models) -> None:
    hub.knows_ranges = False
    hub.cuts[sha256(checkpoint_files()["model.safetensors"])] = [1000]
    assert run("pull", CHECKPOINT, "--no-export").code == 0
    assert run("models", "verify", "tiny.checkpoint").code == 0


def test_a_repository_that_changes_meanwhile_gives_one_commit(checkpoint, hub, models, run) -> None:
    """All files are of the commit that was the newest when the run began."""
    commit, changed = checkpoint.head, []

    def change(method: str, path: str) -> None:
        if "/resolve/" in path and not changed:
            changed.append(checkpoint.commit({**checkpoint_files(), "model.safetensors": b"new"}))

    hub.fault = change
    assert run("pull", CHECKPOINT, "--no-export").code == 0
    folder = models / "tiny.checkpoint"
    assert json.loads((folder / "source.json").read_text())["commit"] == commit
    assert (folder / "model.safetensors").read_bytes() == checkpoint_files()["model.safetensors"]
    assert run("pull", CHECKPOINT, "--no-export").code == 0
    assert (folder / "model.safetensors").read_bytes() == b"new"
    assert run("pull", f"{CHECKPOINT}@{commit}", "--no-export").code == 0
    assert (folder / "model.safetensors").read_bytes() == checkpoint_files()["model.safetensors"]


GATED = f"https?://[^ ]*/{CHECKPOINT}, log in and accept"
REVIEW = f"Your request to access model {CHECKPOINT} is awaiting a review from the repo authors."
DENIED = f"Your request to access model {CHECKPOINT} has been rejected by the repo's authors."
UNLISTED = f"Access to model {CHECKPOINT} is restricted and you are not in the authorized list."
FINE = "Please enable access to public gated repositories in your fine-grained token settings."


@pytest.mark.parametrize(
    ("gate", "token", "said"),
    [
        (UNLISTED, "", rf"gated and there is no token here: open {GATED} its terms.*hf auth login"),
        (UNLISTED, TOKEN, rf"terms are not accepted yet .* open {GATED} them"),
        (FINE, TOKEN, "this token may not read gated repositories: .*settings/tokens"),
        (REVIEW, TOKEN, "its authors have not answered yet"),
        (DENIED, TOKEN, "its authors denied this account access"),
        (UNLISTED, "hf_revoked", "does not know this token; make one"),
    ],
)
def test_gates(checkpoint, hub, run, models, monkeypatch, gate, token, said) -> None:
    checkpoint.gate = gate
    monkeypatch.setenv("HF_TOKEN", token)
    refused = run("pull", CHECKPOINT)
    assert refused.code == 1 and refused.err.count("\n") == 1
    assert re.search(said, refused.err), refused.err
    assert not hub.waits and not models.exists()


LIMIT = {"ratelimit": '"resolvers";r=0;t=44'}


@pytest.mark.parametrize(
    ("answer", "said", "waits"),
    [
        (Answer(403, "Storage of this repo is frozen"), r"access denied \(403: Storage of", []),
        (Answer(429), "too many requests from here; in a few minutes run", [1.0, 2.0, 4.0, 8.0]),
        (Answer(429, headers={"Retry-After": "7"}), "in 7 seconds run the same", [7.0] * 4),
        (Answer(429, headers=LIMIT), "in 44 seconds run the same", [44.0] * 4),
        (Answer(429, headers={"Retry-After": "9000"}), "in 9000 seconds run the same", []),
        (Answer(500), "fails with 500; this is theirs", [1.0, 2.0, 4.0, 8.0]),
        (Answer(502), "fails with 502", [1.0, 2.0, 4.0, 8.0]),
        (Answer(503, headers={"Retry-After": "3"}), "fails with 503", [3.0] * 4),
        (Answer(504), "fails with 504", [1.0, 2.0, 4.0, 8.0]),
        (Answer(404, headers={"X-Error-Code": "EntryNotFound"}), "that was listed is gone", []),
        (Answer(416), r"access denied \(416", []),
        (Answer(451, "\x1b[31mnot here"), r"access denied \(451", []),
    ],
)
def test_answers(checkpoint, hub, run, answer, said, waits) -> None:
    hub.fault = lambda method, path: answer if "/resolve/" in path else None
    refused = run("pull", CHECKPOINT)
    assert refused.code == 1 and refused.err.count("\n") == 1
    assert re.search(said, refused.err), refused.err
    assert hub.waits == waits and "\x1b" not in refused.err


@pytest.mark.parametrize(
    ("status", "said"), [(403, "access denied"), (429, "too many"), (500, "fails with 500")]
)
def test_a_listing_that_fails(checkpoint, hub, run, status, said) -> None:
    hub.fault = lambda method, path: Answer(status) if "/api/models/" in path else None
    refused = run("pull", CHECKPOINT)
    assert refused.code == 1 and said in refused.err, refused.err


@pytest.mark.parametrize("status", [429, 500, 503])
def test_answers_that_pass(checkpoint, hub, run, status) -> None:
    failures = [Answer(status), Answer(status), Answer(status)]
    hub.fault = lambda method, path: failures.pop() if failures else None
    assert run("pull", CHECKPOINT, "--no-export").code == 0
    assert not failures and hub.waits == [1.0, 2.0, 4.0]


def test_a_wrong_hash(checkpoint, hub, run, models) -> None:
    content = checkpoint_files()["model.safetensors"]
    hub.swapped[sha256(content)] = content[:-1] + b"\0"
    refused = run("pull", CHECKPOINT, "--no-export")
    assert refused.code == 1 and "model.safetensors arrived with another hash" in refused.err
    hub.swapped[sha256(content)] = content + b"more"
    assert "is longer than the Hub states" in run("pull", CHECKPOINT, "--no-export").err
    hub.swapped.clear()
    assert run("pull", CHECKPOINT, "--no-export").code == 0


def test_the_client_is_offline(checkpoint, hub, run, monkeypatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused = run("pull", CHECKPOINT)
    assert refused.code == 1 and "cannot be fetched offline; unset HF_HUB_OFFLINE" in refused.err


def test_nobody_answers(hub, run, monkeypatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    refused = run("pull", CHECKPOINT)
    assert refused.code == 1
    assert re.search(r"http://127.0.0.1:9 cannot be reached \(.+\); check the conn", refused.err)
    assert hub.waits == [1.0, 2.0]  # most likely there is no connection, and nobody waits for it


def test_the_disk_is_full(checkpoint, run, models, monkeypatch) -> None:
    monkeypatch.setattr(pull, "free_bytes", lambda: 1000)
    refused = run("pull", CHECKPOINT)
    assert refused.code == 1 and "1 kB are free; free some space" in refused.err
    monkeypatch.undo()


def test_the_disk_fills_up(checkpoint, hub, run, models, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")

    monkeypatch.setattr(download, "_receive", full)
    with monkeypatch.context() as context:
        context.setattr("edge_audio.hub.plan._read", lambda *_: b"{}")
        context.setattr("edge_audio.hub.plan._text_encoder", lambda *_: [])
        refused = run("pull", CHECKPOINT, "--no-export")
    assert refused.code == 1 and "the disk is full; free some space, then run" in refused.err
    assert not hub.waits


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("stable-audio-open-smal", 2, "write OWNER/NAME, such as stabilityai/stable-audio-open-sm"),
        ("../../etc", 2, "is no repository"),
        ("-x/y", 2, "see edge-audio pull --help"),
        ("maker/nothing", 1, "there is no http.*/maker/nothing, or it is private and this token"),
        (f"{CHECKPOINT}@v9", 1, "has no such revision"),
        ("maker/empty", 1, "has neither manifest.json .* nor model_config.json"),
    ],
)
def test_names(checkpoint, hub, run, name, code, said) -> None:
    hub.add("maker/empty", {"README.md": b""})
    refused = run("pull", name)
    assert refused.code == code and re.search(said, refused.err), refused.err


def test_a_precision_that_is_none_is_refused_first(hub, run) -> None:
    for precision in ("int9", ","):
        refused = run("pull", CHECKPOINT, "--precision", precision)
        assert refused.code == 2 and "choose from f32, f16, int8, int4, mixed" in refused.err
    assert not hub.requests


def test_a_folder_that_cannot_be_written_to(checkpoint, run, models) -> None:
    models.write_text("a file, where there should be a folder")
    refused = run("pull", CHECKPOINT)
    assert refused.code == 1 and refused.err.count("\n") == 1 and str(models) in refused.err


def test_a_private_repository_without_a_token(hub, run, monkeypatch) -> None:
    hub.add("maker/mine", {}, private=True)
    monkeypatch.delenv("HF_TOKEN")
    refused = run("pull", "maker/mine")
    assert refused.code == 1 and "is private: give a token that may see it" in refused.err


def damaged(files: dict[str, bytes], change) -> dict[str, bytes]:
    manifest = json.loads(files["manifest.json"])
    change(manifest, files)
    return {**files, "manifest.json": json.dumps(manifest).encode()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda m, f: m["graphs"]["dit"]["f32"].update(file="../x"),
            "is not a valid manifest .*bare",
        ),
        (lambda m, f: m["graphs"]["dit"]["f32"].update(file="y.tflite"), "lacks y.tflite, which"),
        (lambda m, f: m["graphs"]["dit"]["f32"].update(bytes=3), "is not the file that manifest"),
        (
            lambda m, f: m["graphs"]["dit"]["f32"].update(sha256="0" * 64),
            "is not the file that man",
        ),
        (
            lambda m, f: m.update(schema=99),
            "maker/toy/manifest.json has schema 99, .*upgrade edge-a",
        ),
    ],
)
def test_bundles_of_strangers(hub, run, models, bundle_files, change, said) -> None:
    hub.add("maker/toy", damaged(bundle_files, change))
    refused = run("pull", "maker/toy")
    assert refused.code == 1 and re.search(said, refused.err), refused.err
    assert not models.exists()


def test_a_bundle_that_is_not_what_its_manifest_says_replaces_none(
    hub, run, models, bundle_files
) -> None:
    """checks.json is no file of git LFS: that its sha256 is wrong shows when it is here."""

    def state(manifest, files) -> None:
        files["checks.json"] = b"{}"
        manifest["checks"] = {"file": "checks.json", "bytes": 2, "sha256": "0" * 64}

    toy = hub.add("maker/toy", bundle_files)
    assert run("pull", "maker/toy").code == 0
    toy.commit(damaged({**bundle_files, "checks.json": b"{}"}, state))
    for _ in range(2):
        refused = run("pull", "maker/toy")
        said = "maker/toy: checks.json has another sha256 than the manifest says; tell its author"
        assert refused.code == 1 and said in refused.err
    assert run("models", "verify", "toy").code == 0
    assert "checks.json" not in files_in(models / "toy")


def test_a_huge_configuration_is_not_read(hub, run) -> None:
    hub.add(CHECKPOINT, {"model_config.json": b" " * (5 << 20), "model.safetensors": b""})
    refused = run("pull", CHECKPOINT)
    assert refused.code == 1 and "model_config.json has 5 MB, which no such file has" in refused.err


def test_files_with_strange_paths_are_left_alone(hub, run, models) -> None:
    theirs = {f"t5/{name}": content for name, content in t5_files().items()}
    strange = {"../evil.safetensors": b"x", "/LICENSE": b"x", "..": b"x", "a\nb.ckpt": b"x"}
    hub.add(CHECKPOINT, {**checkpoint_files(), **theirs, **strange})
    assert run("pull", CHECKPOINT, "--no-export").code == 0
    assert files_in(models / "tiny.checkpoint") == CHECKPOINT_FILES


def test_a_text_encoder_that_nobody_has(hub, run) -> None:
    files = checkpoint_files()
    files["model_config.json"] = files["model_config.json"].replace(b"tiny-t5", b"../../x")
    hub.add(CHECKPOINT, files)
    refused = run("pull", CHECKPOINT)
    assert refused.code == 1 and "lacks its text encoder (t5/model.safetensors)" in refused.err


def test_what_cannot_be_exported_is_refused_before_its_weights_are_fetched(
    checkpoint, hub, run, models
) -> None:
    files = checkpoint_files()
    files["model_config.json"] = files["model_config.json"].replace(b'"oobleck"', b'"same_l"')
    checkpoint.commit(files)
    refused = run("pull", CHECKPOINT)
    assert refused.code == 1 and f"{CHECKPOINT} cannot be exported: " in refused.err
    assert sha256(files["model.safetensors"]) not in hub.served
    assert run("pull", CHECKPOINT, "--no-export").code == 0


def test_where_it_cannot_be_exported_it_says_where_it_can(
    checkpoint, run, models, monkeypatch
) -> None:
    monkeypatch.setattr(exporting, "EXPORT", ())
    monkeypatch.setattr(exporting, "_LEAST_MEMORY", 1e15)
    monkeypatch.setattr(exporting, "_MOST_MEMORY", 1e15)
    done = run("pull", CHECKPOINT, "--precision", "f32", "--latent-lengths", "8")
    assert done.code == 0, done.err
    assert re.search(r"not exported: it takes \d+ GB of memory and \S+ GB are free", done.out)
    assert "pip install 'edge-audio[hub,export]'" in done.out
    assert f"edge-audio pull {CHECKPOINT} --precision f32 --latent-lengths 8" in done.out
    here = f"edge-audio export {models}/tiny.checkpoint {models}/tiny --precision f32"
    terms = "--name tiny --license=tiny-terms"
    assert f"{here} --latent-lengths 8 {terms}" in done.out
    done = run("pull", CHECKPOINT, "--name", "other")
    assert f"edge-audio pull {CHECKPOINT} --name other --precision int8" in done.out
    assert "edge-audio push-to HOST other" in done.out


def test_what_is_exported(checkpoint, run, models, monkeypatch) -> None:
    asked = []

    def export(words, prog) -> None:
        asked.extend(words)
        Path(words[1]).mkdir()

    monkeypatch.setattr(exporting, "why_not", lambda *_: "")
    monkeypatch.setattr("edge_audio.exporter.command.run", export)
    done = run("pull", CHECKPOINT, "--precision", "f32,int8", "--without-encoder", "--json")
    assert done.code == 0, done.err
    assert asked == [
        *(f"{models}/tiny.checkpoint", f"{models}/tiny", "--precision", "f32,int8"),
        *("--without-encoder", "--name", "tiny", "--license=tiny-terms"),
    ]
    assert done.json["bundle"] == f"{models}/tiny"
    assert json.loads((models / "tiny" / "source.json").read_text())["repository"] == CHECKPOINT


@pytest.mark.slow
def test_from_the_hub_to_a_sound(hub, run, models, tmp_path, monkeypatch) -> None:
    """A checkpoint of full shape but small, exported at once, and heard."""
    source = Path(__file__).parents[3] / "models" / "training" / "checkpoint"
    files = {path: (source / path).read_bytes() for path in files_in(source)}
    encoder = {Path(path).name: files.pop(path) for path in list(files) if path.startswith("t5/")}
    hub.add("google-t5/pocket", {**encoder, "spiece.model": files.pop("spiece.model")})
    hub.add("maker/pocket-again", files, card={"license": "apache-2.0"})
    done = run("pull", "maker/pocket-again", "--precision", "f32", "--without-encoder")
    assert done.code == 0, done.err
    model = next(kept for kept in keeping.all_kept() if kept.name == "pocket-again")
    assert (model.source, model.license) == ("maker/pocket-again", "apache-2.0")
    sound = ("-o", tmp_path / "bell.wav", "--steps", "2", "--seconds", "1")
    assert run("generate", "bell", "--model", "pocket-again", *sound).code == 0
    # no more disk than was said first
    took = sum(path.stat().st_size for path in models.rglob("*") if path.is_file())
    weights = exporting.float_bytes(models / "pocket-again.checkpoint")
    assert took < sum(map(len, files.values())) * 2 + exporting.disk_needed(weights, ["f32"])


def test_two_runs_at_once(checkpoint, hub, run, models) -> None:
    models.mkdir()
    with pull._alone(keeping.pulling_place("tiny")):
        refused = run("pull", CHECKPOINT, "--no-export")
    assert refused.code == 1 and "another run fetches into" in refused.err


def test_a_name_that_another_model_has(checkpoint, run, models, small_bundle) -> None:
    small_bundle.rename(models / "tiny")
    refused = run("pull", CHECKPOINT)
    assert refused.code == 1 and "is here already, of no repository" in refused.err
    assert run("pull", CHECKPOINT, "--name", "other", "--no-export").code == 0
    assert run("pull", CHECKPOINT, "--name", "pocket").code == 2


def test_in_a_process_of_its_own(checkpoint, hub, models) -> None:
    """HF_ENDPOINT and HF_TOKEN are honoured; without either the extra's absence is told."""
    command = [sys.executable, "-m", "edge_audio.cli", "pull", CHECKPOINT, "--no-export", "--json"]
    done = subprocess.run(
        command, env=hub.environment(HF_TOKEN=TOKEN), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["folder"] == str(models / "tiny.checkpoint")


def test_without_the_extra(run, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    refused = run("pull", CHECKPOINT)
    assert refused.code == 1 and "run pip install 'edge-audio[hub]'" in refused.err
