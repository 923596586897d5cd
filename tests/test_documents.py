"""What the pages show does what they say, and every page can be reached."""

import re
from contextlib import nullcontext

import pytest
from documents import PAGES, ROOT, SERVER, Block, blocks, serving

BLOCKS = {page: blocks(page) for page in PAGES}
RUN = {page: [block for block in found if block.is_run] for page, found in BLOCKS.items()}
QUICK = [page for page, found in RUN.items() if any(not block.is_slow for block in found)]
SLOW = [page for page, found in RUN.items() if any(block.is_slow for block in found)]


def run(found: list[Block], tmp_path) -> None:
    """One after the other in one folder, as a reader would."""
    folder = tmp_path / "reader"
    folder.mkdir()
    needs_server = any(SERVER in block.options for block in found)
    with serving(tmp_path / "served") if needs_server else nullcontext() as address:
        for block in found:
            block.run(folder, address)


@pytest.mark.parametrize("page", QUICK)
def test_its_code_runs(page, tmp_path) -> None:
    run([block for block in RUN[page] if not block.is_slow], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW)
def test_all_of_its_code_runs(page, tmp_path) -> None:
    run(RUN[page], tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_code_is_run_or_says_why_not(page) -> None:
    faults = [f"{block.where}: {block.fault()}" for block in BLOCKS[page] if block.fault()]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    "mark, language, fault",
    [
        ("", "python", None),
        ("", "", "a block of no language is neither run nor marked"),
        ("", "kotlin", "a block of kotlin is neither run nor marked"),
        ("not run: no", "sh", "no reason why it is not run"),
        ("not run: needs a board", "kotlin", None),
        ("run by tests/test_contributing.py", "python", "tests/test_contributing.py does not"),
        ("run by tests/nothing.py", "python", "tests/nothing.py does not run it"),
        ("run: slow, MODEL is models/pocket", "sh", None),
        ("run: MODEL is models/nothing", "sh", "'MODEL is models/nothing' is no option"),
        ("slow", "sh", None),
        ("todo", "sh", "'todo' is no option"),
    ],
)
def test_a_wrong_mark_is_found(mark, language, fault) -> None:
    found = Block("docs/page.md", 1, language, "", mark).fault()
    assert found is None if fault is None else found and fault in found


def test_code_that_fails_is_found(tmp_path) -> None:
    with pytest.raises(AssertionError, match="page.md:7\n(.|\n)*failed: false"):
        Block("page.md", 7, "sh", "true\nfalse\ntrue\n", "").run(tmp_path, None)
    with pytest.raises(AssertionError, match="has no extra .'nothing'"):
        Block("page.md", 7, "sh", "pip install 'edge-audio[serve,nothing]'\n", "").run(
            tmp_path, None
        )
    with pytest.raises(AssertionError, match="KeyError"):
        Block("page.md", 7, "python", "{}[1]", "").run(tmp_path, None)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text()):
        if not link.startswith(("http", "mailto")):
            assert ((ROOT / page).parent / link).exists(), f"{page}: {link}"


def test_the_readme_is_short() -> None:
    text = (ROOT / "README.md").read_text()
    assert text.count("\n") <= 120
    assert (
        len(re.findall(r"^\| --- ", text, re.M)) == 1 and len(re.findall(r"^!\[", text, re.M)) == 1
    )


def test_every_page_is_in_the_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    listed = re.findall(r": (\S+\.md)$", menu, re.M)
    assert len(listed) == len(set(listed))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} <= set(listed)
