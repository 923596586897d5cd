"""The documentation site, where `make docs` has built it."""

import re

import pytest
from documents import ROOT

SITE = ROOT / "build" / "site"


@pytest.mark.skipif(not SITE.is_dir(), reason="make docs has not built it")
def test_a_page_asks_no_other_host_for_anything() -> None:
    for page in SITE.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=\"?([^\s\">]+)", page.read_text()
        )
        assert not [link for link in loaded if re.match("(https?:)?//", link)], page
