"""A pytest plugin for environments without TensorFlow: the toy bundle's graphs, which it makes, are
copied from $EDGE_AUDIO_TOY, and tests that export a checkpoint are skipped.
"""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest


def pytest_configure(config) -> None:
    sys.path.insert(0, str(Path(__file__).parent / "tests" / "edge_audio"))
    import toy

    def copy(folder: Path) -> None:
        for graph in Path(os.environ["EDGE_AUDIO_TOY"]).glob("*.tflite"):
            shutil.copy(graph, folder)

    toy.write_graphs = copy


def pytest_collection_modifyitems(items) -> None:
    if importlib.util.find_spec("tensorflow"):
        return
    for item in items:
        arguments = item.callspec.params.get("arguments", ()) if hasattr(item, "callspec") else ()
        if {"tiny0", "reference"} & set(item.fixturenames) or "--checkpoint" in arguments:
            item.add_marker(pytest.mark.skip(reason="needs TensorFlow"))
