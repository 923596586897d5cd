"""What `edge_audio` offers by name, and that nothing is imported before it is asked for."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import edge_audio

ROOT = Path(__file__).parents[2]


def printed(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return done.stdout.split()


def imports_for_type_checkers():
    """name -> module, as mypy and editors read them."""
    tree = ast.parse(Path(edge_audio.__file__).read_text())
    (branch,) = (node for node in tree.body if isinstance(node, ast.If))
    return {alias.name: node.module for node in branch.body for alias in node.names}


def test_the_package_alone_imports_nothing_slow():
    code = "import sys, edge_audio.cli.main; print(edge_audio.__version__, *sys.modules)"
    version, *modules = printed(code)
    assert version == edge_audio.__version__ and "edge_audio.cli.main" in modules
    assert not {"numpy", "ai_edge_litert", "edge_audio.pipeline"} & set(modules)


def test_every_name_is_there_when_asked_for():
    code = "from edge_audio import *; print(*(name for name in dir() if name[0] != '_'))"
    assert {*printed(code), "__version__"} == set(edge_audio.__all__)


def test_type_checkers_read_what_python_gives():
    names = imports_for_type_checkers()
    assert {*names, "__version__"} == set(edge_audio.__all__)
    for name, module in names.items():
        assert getattr(edge_audio, name) is getattr(importlib.import_module(module), name)


def test_dir_has_names_that_were_not_asked_for_yet():
    assert set(edge_audio.__all__) <= set(printed("import edge_audio; print(*dir(edge_audio))"))


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'edge_audio' has no attribute 'Pipe'"):
        edge_audio.Pipe  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Pipe'"):
        from edge_audio import Pipe  # noqa: F401
