"""A checkpoint as the float reference of a bundle: every stage on the same inputs, and the audit of
the weights.

`edge-audio diagnose --checkpoint` calls this. The reference is the same TensorFlow functions that
the exporter converts, which the golden arrays of the official code hold to 1e-4; so what differs
came after them: a conversion, a quantization, or another exporter.

The reference runs as a model of its own (`model.FloatModel`), driven by the runtime's sessions,
and every stage that ran is put to the bundle's graph (`walk`). Neither knows a stage by its name:
what a family of models calls its stages, and what its layers mean, is a table (`family.Family`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_audio.evaluate.diagnose import Say
from edge_audio.evaluate.diagnosis import Row
from edge_audio.evaluate.probe import Probe

from ..quiet import import_tensorflow

import_tensorflow()

from .family import Family  # noqa: E402
from .findings import compare  # noqa: E402
from .sao import StableAudioOpen  # noqa: E402

__all__ = ["FAMILIES", "open"]

#: asked in this order which of them a folder belongs to; the last one says what is wrong with a
#: folder that is of none
FAMILIES: tuple[type[Family], ...] = (StableAudioOpen,)


def open(folder: Path) -> Callable[[Probe, Say], tuple[list[Row], str | None]]:
    """EdgeAudioError for a folder that is no checkpoint; else what compares a probe's bundle with
    it: its rows, and the first stage that departs.
    """
    chosen = next((family for family in FAMILIES if family.recognizes(folder)), FAMILIES[-1])
    family = chosen(folder)
    return lambda probe, say: compare(probe, family, say)
