"""docs/commands.md against the program: every command, its exit codes, and its one JSON object."""

import argparse
import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest

from edge_audio.cli import main as cli
from edge_audio.cli.parser import parser
from edge_audio.evaluate import field_report
from edge_audio.evaluate.benchmark import Benchmark
from edge_audio.evaluate.diagnosis import Diagnosis

PAGE = (Path(__file__).parents[3] / "docs" / "commands.md").read_text(encoding="utf-8")
#: command -> what the page says that it gives, and what 1 means
TABLE = {
    cells[1].strip(" `"): (cells[3], cells[4])
    for cells in (line.split("|") for line in PAGE.splitlines() if line.startswith("| `"))
}
#: reads the arguments on its own
EXPORT = "export"


def commands():
    """Name -> parser of each command."""
    (action,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return action.choices


def promised(command):
    """The names in a row's third cell, with what comes beyond a semicolon (`--purge` ...)."""
    return [set(re.findall(r"`([a-z_]+)`", part)) for part in TABLE[command][0].split(";")]


def result(capsys, code, *arguments):
    """The one object of a command."""
    assert cli.main([*map(str, arguments), "--json"]) == code
    out, errors = capsys.readouterr()
    assert out.count("\n") == 1, out
    return json.loads(out, parse_constant=pytest.fail), errors


def test_the_page_lists_the_commands_that_there_are():
    assert set(TABLE) == set(commands())


@pytest.mark.parametrize("command", TABLE)
def test_json_is_where_the_page_says(command):
    has_json = command == EXPORT or "--json" in commands()[command]._option_string_actions
    assert has_json == (not TABLE[command][0].strip().startswith("none"))


def test_the_codes_are_those_of_the_page():
    codes = [int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.M)]
    assert codes == [cli.DONE, cli.FAILED, cli.WRONG_USAGE, cli.INTERRUPTED]


@pytest.mark.parametrize(
    "command", [name for name, cells in TABLE.items() if not cells[0].strip().startswith("none")]
)
def test_wrong_usage_is_an_object(command, capsys):
    found, errors = result(capsys, 2, command, "--no-such-flag")
    assert set(found) == {"error", "exit_code"} and found["exit_code"] == 2
    assert errors == f"error: {found['error']}\n"


def test_the_error_that_the_page_shows(capsys):
    shown = json.loads(re.search(r'^\{"error".*$', PAGE, re.M)[0])
    command = re.search(r"^edge-audio (generate .* --json)$", PAGE, re.M)[1]
    assert cli.main(command.split()) == shown["exit_code"] == 2
    assert json.loads(capsys.readouterr().out) == shown


@pytest.mark.parametrize(
    "arguments",
    [
        ("generate", "rain", "--model", "nowhere"),
        ("again", "nowhere.wav"),
        ("batch", "nowhere.txt", "--out", "out"),
        ("bench", "--model", "nowhere"),
        ("compare", "nowhere", "--out", "out"),
        ("diagnose", "nowhere"),
        ("info", "nowhere"),
        ("serve", "--model", "nowhere", "--data", "history"),
    ],
)
def test_what_cannot_be_done_is_an_object(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found, errors = result(capsys, 1, *arguments)
    assert found["exit_code"] == 1 and "nowhere" in found["error"]
    assert errors.endswith(f"error: {found['error']}\n")


def test_an_interrupt_is_an_object(capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(field_report, "collect", interrupt)
    assert result(capsys, 130, "report")[0] == {"error": "interrupted", "exit_code": 130}


def test_a_clip_and_its_copy(toy_bundle, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = ("--model", toy_bundle)
    made, errors = result(capsys, 0, "generate", "no such words", "--seed", 7, *model)
    assert promised("generate")[0] <= set(made)
    assert errors == "".join(f"note: {note['text']}\n" for note in made["notes"]) != ""
    again, errors = result(capsys, 0, "again", made["file"], *model)
    assert promised("again")[0] == set(again) - {"file"} and again["identical"] and not errors
    several, _ = result(capsys, 0, "generate", "rain", "--variations", 2, "--seed", 7, *model)
    assert [clip["recipe"]["seed"] for clip in several["clips"]] == [7, 8]
    other = shutil.copytree(toy_bundle, tmp_path / "other", ignore=shutil.ignore_patterns("dit"))
    manifest = other / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"name": "', '"name": "another-'))
    differs, _ = result(capsys, 0, "again", made["file"], "--model", other)
    assert differs["identical"] and "another one" in differs["reasons"][0]


def test_a_clip_that_is_another_is_code_1(toy_bundle, capsys, tmp_path, monkeypatch):
    from edge_audio import Clip
    from edge_audio.cli import again

    monkeypatch.chdir(tmp_path)
    made, _ = result(capsys, 0, "generate", "rain", "--seed", 7, "--model", toy_bundle)
    recipe = {**Clip.recipe_of(made["file"]), "seed": 8}
    monkeypatch.setattr(again.Clip, "recipe_of", lambda path: recipe)
    found, _ = result(capsys, 1, "again", made["file"], "--model", toy_bundle)
    assert found["identical"] is False and "samples differ" in found["difference"]
    assert "error" not in found


def test_a_batch(toy_bundle, capsys, tmp_path):
    (tmp_path / "list.txt").write_text("rain\na bell\n")
    given = ("batch", tmp_path / "list.txt", "--out", tmp_path / "out", "--model", toy_bundle)
    force = ("--workers", 1, "--threads", 1)
    planned, errors = result(capsys, 0, *given, "--dry-run", *force)
    assert set(planned) == promised("batch")[0] and planned["pending"] == 2
    assert "2 rows, 2 sounds" in errors
    done, errors = result(capsys, 0, *given, *force, "--quiet")
    assert set(done) == set.union(*promised("batch")) and done["made"] == 2 and not errors


def test_what_a_model_has(toy_bundle, capsys):
    found, _ = result(capsys, 0, "info", toy_bundle)
    plain, of_prompts = promised("info")
    assert plain <= set(found)
    assert set(result(capsys, 0, "info", "--prompts")[0]) == of_prompts
    plain, of_purge = promised("cache")
    assert set(result(capsys, 0, "cache")[0]) == plain
    assert set(result(capsys, 0, "cache", "--purge")[0]) == plain | of_purge


def test_a_server_says_where_it_listens(toy_bundle, capsys, tmp_path, monkeypatch):
    from edge_audio.serve import server

    monkeypatch.setattr(server, "run", lambda *_: None)  # a signal, at once
    given = ("serve", "--port", 0, "--model", toy_bundle, "--data", tmp_path / "history", "--quiet")
    found, _ = result(capsys, 0, *given)
    assert set(found) == promised("serve")[0] and found["wyoming"] is None
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", found["address"])


def test_examiners_have_what_the_page_says():
    fields = {field.name for field in dataclasses.fields(Benchmark)}
    assert promised("bench")[0] <= fields
    fields = {field.name for field in dataclasses.fields(Diagnosis)} | {"failed"}
    assert promised("diagnose")[0] <= fields


def test_a_report(capsys, monkeypatch):
    monkeypatch.setattr(field_report, "run_child", lambda *_: {"clips": [], "peak": 0})
    assert promised("report")[0] <= set(result(capsys, 0, "report")[0])


def test_numbers_that_are_none_are_null(capsys):
    from edge_audio.cli.result import print_result

    print_result({"a": float("nan"), "b": [float("inf"), 1.5], "c": {"d": (-float("inf"),)}})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5], "c": {"d": [None]}}
