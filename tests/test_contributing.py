"""CONTRIBUTING's worked examples, as they stand there."""

import inspect
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest

from edge_audio.bundle import precision
from edge_audio.listening import CHECKS, check, rhythm
from edge_audio.sampling import samplers

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def blocks(heading: str) -> list[str]:
    """The Python of a section."""
    section = TEXT.partition(f"### {heading}\n")[2].partition("\n###")[0]
    found = re.findall(r"^ *```python\n(.*?)^ *```$", section, re.M | re.S)
    return [textwrap.dedent(block) for block in found]


def test_add_a_sampler() -> None:
    function, entry = blocks("Add a sampler")
    names = vars(samplers).copy()
    exec(function, names)
    (name, sampler), *others = eval("{" + entry + "}", names).items()
    assert not others and f"--sampler {name}" in TEXT

    def decay(x: np.ndarray, t: float) -> np.ndarray:
        return x

    start = np.ones((1, 2, 2), np.float32)
    errors = []
    for steps in (8, 16):
        *_, last = sampler.sample(decay, start, np.linspace(1, 0, steps + 1), np.zeros)
        assert last.index + 1 == last.total == steps and last.x.dtype == np.float32
        errors.append(np.abs(last.x - np.exp(-1)).max())
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.15)  # of second order, as it says
    assert len(sampler.schedule(4)) == 5


def test_add_a_precision() -> None:
    record, method = blocks("Add a precision")
    (added,) = eval("(" + record.strip() + ")", vars(precision).copy())
    assert f"--precision f32,{added.name}" in TEXT
    quantize = pytest.importorskip("export.quantize")
    names = vars(quantize).copy()
    source = inspect.getsource(quantize.methods_for)
    first = "    def method(layer: str) -> str:\n"
    assert first in source
    exec(source.replace(first, first + textwrap.indent(method, " " * 8)), names)
    layers = ["transformer.project_in", "decoder.layers.0"]
    chosen = names["methods_for"](added.name, layers)
    assert set(chosen) == set(layers) and set(chosen.values()) <= set(quantize.METHODS)


def test_add_a_check(monkeypatch) -> None:
    (function,) = blocks("Add a check of a family of sounds")
    monkeypatch.setattr(rhythm, "family_check", lambda name: lambda made: made)
    names = vars(rhythm).copy()
    exec(function, names)
    name = re.search(r'@family_check\("(\w+)"\)', function)[1]
    monkeypatch.setitem(CHECKS, name, names[f"_check_{name}"])
    rate = 16_000
    noise = np.random.default_rng(0).standard_normal(rate)
    crack = np.zeros(rate)
    crack[4000:] = np.diff(noise)[3999:] * np.exp(-np.arange(rate - 4000) / 300)
    assert check(crack, rate, name, {}).passed, check(crack, rate, name, {})
    twice = crack + np.roll(crack, 6000)
    for other in (noise, np.zeros(rate), np.sin(np.arange(rate) / 20), twice):
        assert not check(other, rate, name, {}).passed


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z-]+)", TEXT))))
def test_targets_that_are_named_are_there(target) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:\w+/)+[\w.]*)`", TEXT))))
def test_files_that_are_named_are_there(path) -> None:
    assert (ROOT / path).exists()
