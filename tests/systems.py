"""Tests that only some systems can run."""

import os

import pytest

posix = pytest.mark.skipif(
    os.name != "posix", reason="by means that Windows lacks: signals, limits, modes, links, shells"
)
