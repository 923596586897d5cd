"""Fixtures of the runtime's tests: a toy bundle, exported once a session, and copies that a test
may damage.
"""

import shutil

import pytest
import toy


@pytest.fixture(scope="session")
def toy_bundle(tmp_path_factory):
    """Folder of a toy bundle with a tokenizer. Not to be changed."""
    folder = tmp_path_factory.mktemp("toy")
    toy.write_graphs(folder)
    toy.write_tokenizer(folder / "tokenizer.model")
    return toy.write_manifest(folder)


@pytest.fixture
def own_bundle(toy_bundle, tmp_path):
    """A copy of the toy bundle that the test may change."""
    folder = tmp_path / "bundle"
    shutil.copytree(toy_bundle, folder, ignore=lambda _, names: [n for n in names if "." not in n])
    return folder


@pytest.fixture
def ids_bundle(own_bundle):
    """A toy bundle without a tokenizer."""
    (own_bundle / "tokenizer.model").unlink()
    return toy.write_manifest(own_bundle, tokenizer=False)
