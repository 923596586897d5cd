"""Mixed precision: the choice is small and fits; the export measures, keeps its recipe, and applies
it again.
"""

import numpy as np
import pytest
from references import DATA

from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError
from edge_audio.evaluate.layers import Operation
from edge_audio.session import PROMPT, Called
from export.bundle import Options, export
from export.mixed import Group, Recipe, choose
from export.mixed.choice import grouped
from export.mixed.recording import STEPS, evenly, needed
from export.mixed.search import SINGLE, Search
from export.quantize import suitable


def group(inputs=64, outputs=64, name="layer"):
    return Group(
        (name,), (Operation(name, "FULLY_CONNECTED", 0, 0, name, (outputs, inputs), "FLOAT32"),)
    )


def test_the_choice_fits_and_is_cheap():
    groups = {name: group(name=name) for name in "ab"}
    errors = {
        "a": {"int4": np.array([1e-2]), "int8": np.array([1e-4])},
        "b": {"int4": np.array([1e-5]), "int8": np.array([1e-7])},
    }
    assert choose(groups, errors, np.zeros(1), 1.0) == {"a": "int4", "b": "int4"}
    assert choose(groups, errors, np.zeros(1), 1e-3) == {"a": "int8", "b": "int4"}
    assert choose(groups, errors, np.zeros(1), 1e-9) == {
        "a": "int8",
        "b": "int8",
    }  # the best there is


def test_forms_fall_back_where_they_do_not_suit():
    wide, odd, small = group(1024), group(257), group(8, 8)
    assert (
        suitable("int8-hadamard", wide.operations[0]) == "int8"
        and suitable("int4", odd.operations[0]) == "int8"
    )
    assert suitable("int8-hadamard", group(160).operations[0]) == "int8-hadamard"
    assert suitable("int4", small.operations[0]) == suitable("f16", small.operations[0]) == "f32"


def test_neighbouring_blocks_are_measured_together_where_they_are_alike():
    alike = [group(name=f"transformer.layers.{i}.ff.2").operations[0] for i in range(8, 12)]
    other = [group(64 << i, name=f"decoder.layers.{i}.layers.1").operations[0] for i in range(2)]
    assert {name: len(found.layers) for name, found in grouped(alike + other, True).items()} == {
        "transformer.layers.0-9.ff.2": 2,
        "transformer.layers.10-19.ff.2": 2,
        "decoder.layers.0.layers.1": 1,
        "decoder.layers.1.layers.1": 1,
    }
    assert len(grouped(alike + other, False)) == 6


def test_a_recording_keeps_some_calls_and_what_they_read():
    def call(stage, number):
        return Called(stage, PROMPT, {"x": np.array([number])}, {})

    steps = [call(stage, step) for step in range(9) for stage in ("modulate", "denoise")]
    kept = needed([call("project", 0), *steps], "denoise")
    assert [one.stage for one in kept] == ["project"] + ["modulate", "denoise"] * STEPS
    assert [one.inputs["x"].item() for one in kept[1:]] == [0, 0, 2, 2, 4, 4, 6, 6, 8, 8]
    assert evenly(3, 12) == [0, 1, 2] and evenly(1, 5) == [0]


@pytest.mark.slow
def test_export_measures_and_a_recipe_is_applied_again(tmp_path):
    first = export(
        DATA / "tiny0",
        tmp_path / "a",
        Options(("f16", "mixed")),
        say=lambda line: None,
    )
    recipe = Recipe.read(tmp_path / "a" / first.graphs["dit"]["mixed"].recipe.file)
    assert recipe.measured_snr >= 30 and recipe.bytes < recipe.bytes_f32 and recipe.table
    again = export(
        DATA / "tiny0",
        tmp_path / "b",
        Options(("mixed",), recipe=tmp_path / "a"),
        say=lambda line: None,
    )
    graphs = Bundle.open(tmp_path / "b").manifest.graphs
    assert set(graphs.pop("encoder")) == {"f16"}  # runs once a clip, in the most exact
    for component, entries in graphs.items():
        assert (
            set(entries) == {"mixed"}
            and entries["mixed"].sha256 == first.graphs[component]["mixed"].sha256
        )
    assert again.graphs["dit"]["mixed"].fidelity["denoise.v"] >= 30


@pytest.mark.parametrize(
    "options, said",
    [({"target_snr": 200.0}, "out of reach"), ({"recipe": DATA / "none.json"}, "is no recipe")],
)
def test_what_cannot_be_done_is_said(tmp_path, options, said):
    with pytest.raises(EdgeAudioError, match=said):
        export(
            DATA / "tiny0", tmp_path / "a", Options(("mixed",), **options), say=lambda line: None
        )
    assert not list(tmp_path.iterdir())


def test_rows_count_where_time_does():
    """A layer of few weights that runs on many rows is dearer in float32 than one of many."""
    head = Operation("a.b", "CONV_2D", 0, 0, "a", (64, 256), "FLOAT32", False, "head", 10)
    parts = [
        Operation("a.c", "CONV_2D", 1, index, "c", (64, 64), "FLOAT32", False, "tail", 100)
        for index in range(2)
    ]
    groups = grouped([head, *parts], False, {"head": 1, "tail": 4})
    assert groups["a.b"].rows == 10 and groups["a.c"].rows == 400
    extra = {name: one.cost("f16") - one.cost("int8") for name, one in groups.items()}
    assert extra["a.c"] > extra["a.b"]
    plain = grouped([head, *parts], False)
    assert plain["a.c"].cost("f16") < plain["a.b"].cost("f16")


def searched(share: float) -> tuple[list[str], dict[str, np.ndarray]]:
    """The forms that a large graph is measured in, if int8 takes this share of what is allowed."""
    search, tried = Search.__new__(Search), []
    search._size, search.target = int(2 * SINGLE), 30.0

    def errors(layers):
        tried.extend(layers.values())
        return np.array([share * 1e-3])

    search.errors = errors
    table = {"layer": search._measured(group(64), np.zeros(1))}
    search._groups = {"layer": group(64)}
    return tried, search._completed(table, np.zeros(1))["layer"]


@pytest.mark.parametrize(
    "share, forms",
    [
        (0.001, ["int8", "int4"]),
        (0.01, ["int8", "int4", "int8-hadamard", "int8-weights"]),
        (0.5, ["int8", "int8-hadamard", "int8-weights"]),
    ],
)
def test_a_large_graph_is_measured_in_forms_of_use(share, forms):
    tried, errors = searched(share)
    assert tried == forms and set(errors) == {*forms, "f16"} and not errors["f16"].any()
