"""Fixtures of the server's tests."""

import pytest
from serve.browsing import Visit, chromium
from serve.serving import serving


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Of a server of pocket, which the tests of a module share."""
    with serving(tmp_path_factory.mktemp("data")) as client:
        yield client


@pytest.fixture(scope="module")
def launch():
    """Opens a browser."""
    with chromium() as launch:
        yield launch


@pytest.fixture(scope="module")
def browser(launch):
    """One that the tests of a module share."""
    return launch()


@pytest.fixture
def visit(browser, client):
    """A visit after which nothing may have gone elsewhere or gone wrong."""
    visit = Visit(browser, client)
    yield visit
    visit.context.close()
    assert visit.foreign() == []
    assert visit.complaints == []


@pytest.fixture
def page(visit):
    """The page, ready to be used."""
    return visit.open()
