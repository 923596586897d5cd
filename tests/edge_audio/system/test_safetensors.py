"""Files of safetensors: read as they were written, and refused in one line when damaged."""

import json
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

from edge_audio.errors import EdgeAudioError
from edge_audio.system import safetensors


def test_what_the_library_wrote(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "x.safetensors"
    written = {
        "a.weight": rng.standard_normal((3, 5)).astype(np.float32),
        "b": rng.standard_normal(7).astype(np.float16),
        "scalar": np.array(3, np.float32),
        "none": np.zeros((0, 4), np.float32),
    }
    save_file(written, path, {"said": "yes"})
    tensors, metadata = safetensors.read(path)
    assert metadata == {"said": "yes"} and tensors.keys() == written.keys()
    for name, value in written.items():
        assert tensors[name]().dtype == value.dtype
        assert np.array_equal(tensors[name](), value)


def file(path, entries, data=bytes(16), length=None):
    """A file with that header, which may say another length."""
    header = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + data)
    return path


def entry(dtype="F32", shape=(2, 2), offsets=(0, 16)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_bf16(tmp_path):
    values = np.array([1.5, -2.0, 0.0, 3.140625], np.float32)
    upper = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    path = file(tmp_path / "x", {"a": entry("BF16", (4,), (0, 8))}, upper)
    assert np.array_equal(safetensors.read(path)[0]["a"](), values)


@pytest.mark.parametrize(
    "entries, more, message",
    [
        ({"a": entry()}, {"length": 1 << 62}, "its header is not as long as it says"),
        ({"a": entry()}, {"length": 0}, "its header is not as long as it says"),
        ({"a": entry()}, {"data": bytes(12)}, "tensor 'a' lies outside of it"),
        ({"a": entry()}, {"data": bytes(20)}, "its tensors are not all of the file"),
        ({"a": entry(offsets=(16, 0))}, {}, "tensor 'a' lies outside of it"),
        ({"a": entry(offsets=(0, 8))}, {}, "has not as many numbers as its shape"),
        ({"a": entry(shape=(1 << 40, 1 << 40))}, {}, "has not as many numbers as its shape"),
        ({"a": entry(shape=(-2, -2))}, {}, "the shape or the place of tensor 'a' is none"),
        ({"a": entry(shape=(2.0, 2))}, {}, "the shape or the place of tensor 'a' is none"),
        ({"a": entry(shape=[1] * 99)}, {}, "the shape or the place of tensor 'a' is none"),
        ({"a": {"dtype": "F32"}}, {}, "the shape or the place of tensor 'a' is none"),
        ({"a": entry(dtype=7)}, {}, "the type of tensor 'a' is none"),
        ({"a\n\x1b": []}, {}, r"the entry of tensor 'a\n\x1b' is no JSON object"),
        ({"a": entry(), "__metadata__": 3}, {}, "its metadata is no JSON object"),
        (b'{"a": {}, "a": {}}', {}, "its header has a name twice"),
        (b"[" * 99_999, {}, "cannot be read as safetensors ("),
        (b"{\xff}", {}, "utf-8"),
        (b"[1, 2]", {}, "its header is no JSON object"),
        ({"a": entry("I64", (2,))}, {}, "tensor a of"),
    ],
)
def test_damaged_files(entries, more, message, tmp_path):
    path = file(tmp_path / "x.safetensors", entries, **more)
    with pytest.raises(EdgeAudioError) as error:
        safetensors.read(path)
    assert message in str(error.value) and str(path) in str(error.value)
    assert str(error.value).isprintable() and "; " in str(error.value)


@pytest.mark.parametrize("size", [0, 3, 8, 9])
def test_short_files(size, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"\x08" + bytes(max(size - 1, 0)) if size else b"")
    with pytest.raises(EdgeAudioError, match="cannot be read as safetensors"):
        safetensors.read(path)
