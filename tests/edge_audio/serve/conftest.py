"""Fixtures of the server's tests."""

import pytest
from serve.serving import serving


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Of a server of pocket, which the tests of a module share."""
    with serving(tmp_path_factory.mktemp("data")) as client:
        yield client
