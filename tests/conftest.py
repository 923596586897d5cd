"""What several test folders share: the reference checkpoints, exported once a session."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

DATA = Path(__file__).parent / "data"
REFERENCES = {"tiny0": ("f32", "f16", "int8"), "tinyrope0": ("f32",)}
"""The official code on random weights, and the precisions in which the tests need it."""


@pytest.fixture(scope="session", params=REFERENCES)
def reference(request, tmp_path_factory):
    """(golden arrays, components in TensorFlow, folder of the exported bundle) of each reference checkpoint."""
    return _exported(request.param, tmp_path_factory)


@pytest.fixture(scope="session")
def tiny0(tmp_path_factory):
    """The same for tiny0 alone, which is exported in every precision."""
    return _exported("tiny0", tmp_path_factory)


_cache: dict[str, tuple] = {}


def _exported(name: str, tmp_path_factory):
    if name not in _cache:
        from export.bundle import Options, build, export
        from export.checkpoint import read_checkpoint
        from export.config import read_config

        source, out = DATA / name, tmp_path_factory.mktemp("exported") / name
        export(source, out, Options(REFERENCES[name]), say=lambda line: None)
        components = build(read_checkpoint(source), read_config(source))
        with np.load(source / "golden.npz") as arrays:
            golden = {key: _channels_last(key, arrays[key]) for key in arrays.files}
        _cache[name] = golden, components, out
    return _cache[name]


CHANNELS_FIRST = ("dec_stage", "decode", "enc_", "encdec", "noise_init", "pingpong", "x_in", "dit_v_t", "dit_cfg", "dit_uncond",
                  "euler", "rk4", "dpmpp", "init_latent", "a2a_noise", "a2a_final")


def _channels_last(key: str, value: np.ndarray) -> np.ndarray:
    """The golden arrays keep audio and latents as [..., channels, time]; here time comes first."""
    return np.swapaxes(value, -1, -2) if key.startswith(CHANNELS_FIRST) else value
