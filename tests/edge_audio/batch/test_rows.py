"""Lists, columns and templates."""

import json

import pyarrow
import pyarrow.parquet
import pytest

from edge_audio import EdgeAudioError, UsageError
from edge_audio.batch.columns import check_columns, value_of
from edge_audio.batch.rows import read_rows
from edge_audio.batch.templates import expanded


def write(path, text):
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_each_kind_of_list_says_the_same(tmp_path):
    rows = [{"prompt": "rain, heavy", "seconds": 2.0}, {"prompt": "a bell"}]
    text = write(tmp_path / "list.csv", '\ufeffprompt,seconds\n"rain, heavy",2.0\na bell,\n')
    lines = write(tmp_path / "list.jsonl", "\n\n".join(map(json.dumps, rows)))
    columns = tmp_path / "list.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), columns)
    for path in (text, lines, columns):
        found = [
            {name: value_of(name, cell) for name, cell in cells.items()}
            for _, cells in read_rows(path)
        ]
        assert found == rows, path
    plain = write(tmp_path / "list.txt", "rain,  heavy\n\na bell\n")
    assert list(read_rows(plain)) == [(1, {"prompt": "rain, heavy"}), (3, {"prompt": "a bell"})]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("list.xlsx", "", "is no list; use one of .csv"),
        ("list.txt", "", "is empty"),
        ("list.txt", b"\xff\xfe", "is not UTF-8"),
        ("list.txt", "rain\n\x1b[2J\n", "malformed after row 1 (control characters"),
        ("list.txt", "x" * 70_000, "more than 65536 characters"),
        ("list.jsonl", '{"prompt": "rain"}\n[1]\n', "malformed after row 1"),
        ("list.jsonl", "[" * 60_000, "malformed after row 0"),
        ("list.csv", "prompt\nrain,2,3\n", "more cells than the first one"),
        ("list.csv", 'prompt\n"rain\n', "malformed"),
        ("list.parquet", "no parquet", "malformed"),
    ],
)
def test_a_list_that_is_none(tmp_path, name, text, said):
    with pytest.raises(EdgeAudioError) as error:
        list(read_rows(write(tmp_path / name, text)))
    assert said in str(error.value) and len(str(error.value)) < 300


def test_cells_of_text_become_what_their_column_is():
    for name, cell, value in [
        ("seed", "7.0", 7),
        ("seconds", "2.5", 2.5),
        ("loop", "Yes", True),
        ("ids", "37, 112,1", (37, 112, 1)),
        ("replace", "4-7, 9-10", ((4.0, 7.0), (9.0, 10.0))),
        ("negative", "12", "12"),
        ("attributes", '{"note": "A4"}', {"note": "A4"}),
        ("loop", True, True),
    ]:
        assert value_of(name, cell) == value
    for name, cell in [("seed", "seven"), ("loop", "perhaps"), ("attributes", "[1]")]:
        with pytest.raises(UsageError, match=f"^{name} '"):
            value_of(name, cell)


def test_an_unknown_column_is_named_with_the_nearest():
    with pytest.raises(UsageError, match="column 'secnds' is unknown; did you mean seconds"):
        check_columns(["prompt", "secnds"], ())
    check_columns(["prompt", "label", "cfg", "file_name"], ["label"])


def test_templates():
    prompts = [prompt for prompt, _ in expanded("a {slow,fast} {siren,alarm}", {})]
    assert prompts == ["a slow siren", "a slow alarm", "a fast siren", "a fast alarm"]
    notes = {"note": ("A3", "B3")}
    assert list(expanded("{note}, again {note} {{x}}", notes)) == [
        ("A3, again A3 {x}", {"note": "A3"}),
        ("B3, again B3 {x}", {"note": "B3"}),
    ]
    assert [p for p, _ in expanded("{60..100:20} bpm", {})] == ["60 bpm", "80 bpm", "100 bpm"]


def test_drawn_prompts_are_the_same_each_time_and_differ_from_each_other():
    def draw(seed):
        return [prompt for prompt, _ in expanded("{1..1000} {1..1000} {1..1000}", {}, 50, seed)]

    assert draw(1) == draw(1) != draw(2)
    assert len(set(draw(1))) == 50


@pytest.mark.parametrize("template", ["a {siren", "a siren}", "a {note}", "{5..1}", "{1..9999999}"])
def test_templates_that_cannot_be_read(template):
    with pytest.raises(UsageError):
        list(expanded(template, {}))
    if ".." not in template:
        return
    with pytest.raises(UsageError, match="draw some of them"):
        list(expanded("{1..2000} {1..2000}", {}))
