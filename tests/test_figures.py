"""Every figure of the documents has a command that makes it, and it is known of which model."""

import json
import re
import sys

import pytest
from documents import PAGES, ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import figures
from figures import FIGURES, Figure, put, state, table

TEXTS = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}


def test_every_picture_and_report_is_made_by_a_command() -> None:
    made = {file for figure in FIGURES for file in figure.files}
    kept = {"docs/figures.json", "docs/manifest.schema.json", "docs/images/favicon.svg"}
    there = {
        str(path.relative_to(ROOT))
        for folder in ("docs", "docs/images")
        for path in (ROOT / folder).iterdir()
        if path.suffix in (".png", ".svg", ".json", ".html")
    }
    assert there - kept <= made and made <= there | set(PAGES)


def test_every_place_of_a_figure_has_one() -> None:
    places = {
        (page, name)
        for page, text in TEXTS.items()
        for name in re.findall(r"<!-- figure (\S+) -->\n", text)
    }
    wanted = {(figure.page, figure.name) for figure in FIGURES if figure.page}
    assert places == wanted | {("docs/measured.md", "figures")}


def test_the_scripts_are_there() -> None:
    for figure in FIGURES:
        for script in re.findall(r"\bbenchmarks/\w+\.py", " ".join(figure.commands)):
            assert (ROOT / script).is_file(), script


def test_what_is_kept_of_figures_is_of_figures() -> None:
    stamps = json.loads(figures.STAMPS.read_text())
    assert set(stamps) <= {figure.name for figure in FIGURES}
    bundle = figures.Bundle.open(figures.POCKET).sha256[:12]
    assert table(stamps, bundle) in TEXTS["docs/measured.md"], "run make figures"


def test_the_counts_are_those_of_the_model() -> None:
    kinds = len(figures.Bundle.open(figures.POCKET).vocabulary.families)
    for page in ("README.md", "docs/first-sound.md", "models/pocket/MODEL_CARD.md"):
        assert set(re.findall(r"(\d+) kinds of", TEXTS[page])) == {str(kinds)}, page


def test_a_figure_of_another_bundle_is_stale() -> None:
    mine = Figure("a", ("true",), (), 1)
    stamp = {"a": {"made": "2026-01-01", "bundle": "123"}}
    assert state(mine, stamp, "123") == "of 2026-01-01"
    assert state(mine, stamp, "456") == "stale: of 2026-01-01, of bundle 123"
    assert state(mine, {}, "123").startswith("stale")
    others = Figure("a", ("true",), (), 1, is_of_pocket=False)
    assert state(others, {"a": {"made": "2026-01-01"}}, "456") == "of 2026-01-01"


def test_making_a_figure_changes_its_place_alone(tmp_path, monkeypatch, capsys) -> None:
    page = "before\n<!-- figure a -->\n| old |\n<!-- end of figure -->\nafter\n"
    (tmp_path / "docs").mkdir()
    (tmp_path / "page.md").write_text(page)
    (tmp_path / "docs" / "measured.md").write_text(page.replace("figure a", "figure figures"))
    (tmp_path / "docs" / "figures.json").write_text("{}")
    works = Figure("a", ("touch b", "edge-audio --version >&2", "echo '| new |'"), (), 1, "page.md")
    monkeypatch.setattr(figures, "FIGURES", (works, Figure("fails", ("exit 3",), (), 1)))
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    monkeypatch.setattr(figures, "STAMPS", tmp_path / "docs" / "figures.json")
    assert figures.main(["a"]) == 0
    assert (tmp_path / "page.md").read_text() == page.replace("old", "new")
    assert (tmp_path / "b").exists()
    stamps = json.loads((tmp_path / "docs" / "figures.json").read_text())
    assert set(stamps) == {"a"} and len(stamps["a"]["bundle"]) == 12
    assert "| `a` | page.md |" in (tmp_path / "docs" / "measured.md").read_text()
    assert figures.main(["fails"]) == 1
    assert "error: fails was not made: exit 3 failed" in capsys.readouterr().err
    assert figures.main([]) == 0 and "fails" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no figure 'nothing'"):
        figures.main(["nothing"])
    with pytest.raises(ValueError, match="has 0 places for the figure c"):
        put(tmp_path / "page.md", "c", "")
