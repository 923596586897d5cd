"""What several test folders share: the reference checkpoints, exported once a session."""

from __future__ import annotations

import os

import numpy as np
import pytest
from references import DATA, REFERENCES, SHORTER, channels_last

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Neither the tests nor the programs they start touch the user's cache or models, or read what
    the user has configured.
    """
    os.environ["EDGE_AUDIO_CONFIG"] = "off"
    os.environ["EDGE_AUDIO_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["EDGE_AUDIO_MODELS"] = str(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session", params=REFERENCES)
def reference(request, tmp_path_factory):
    """(golden arrays, components in TensorFlow, folder of the exported bundle) of each reference
    checkpoint.
    """
    return _exported(request.param, tmp_path_factory)


@pytest.fixture(scope="session")
def tiny0(tmp_path_factory):
    """The same for tiny0 alone, which is exported in every precision."""
    return _exported("tiny0", tmp_path_factory)


@pytest.fixture(scope="session")
def tiny3(tmp_path_factory):
    """Folder of the exported bundle of the reference checkpoint of Stable Audio 3."""
    from export.bundle import Options, export

    out = tmp_path_factory.mktemp("exported") / "sa3tiny0"
    export(DATA / "sa3tiny0", out, Options(("f32", "int8")), say=lambda line: None)
    return out


_cache: dict[str, tuple] = {}


def _exported(name: str, tmp_path_factory):
    if name not in _cache:
        from export.bundle import Options, export
        from export.checkpoint import read_checkpoint
        from export.config import read_config
        from export.sao import build

        source, out = DATA / name, tmp_path_factory.mktemp("exported") / name
        export(
            source,
            out,
            Options(REFERENCES[name], latent_lengths=SHORTER[name]),
            say=lambda line: None,
        )
        components = build(read_checkpoint(source), read_config(source).with_lengths(SHORTER[name]))
        with np.load(source / "golden.npz") as arrays:
            golden = {key: channels_last(key, arrays[key]) for key in arrays.files}
        _cache[name] = golden, components, out
    return _cache[name]
