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

from .findings import compare  # noqa: E402
from .source import Source  # noqa: E402

__all__ = ["open"]


def open(folder: Path) -> Callable[[Probe, Say], tuple[list[Row], str | None]]:
    """EdgeAudioError for a folder that is no checkpoint; else what compares a probe's bundle with
    it: its rows, and the first stage that departs.
    """
    source = Source(folder)
    return lambda probe, say: compare(probe, source, say)
