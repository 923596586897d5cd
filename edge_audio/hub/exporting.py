"""Whether this computer can export a checkpoint, before it tries."""

from __future__ import annotations

import importlib.util
import math
import shutil
from collections.abc import Iterable
from pathlib import Path

from edge_audio.errors import UsageError
from edge_audio.evaluate.needs import EXPORT
from edge_audio.system import device, safetensors

#: What both full-size models took; small ones take TensorFlow's own and some copies of weights.
_MOST_MEMORY, _LEAST_MEMORY, _COPIES = 11e9, 1.5e9, 4.0
#: Of the weights as float32, what graphs of a precision take, and what is there only while they are
#: made: 1.3 times the weights in all for int8, 1.9 times for f32, f16 and int8, measured on pocket,
#: of which the transformer is half. One that is all of a model would take half as much again.
_SHARES = {"f32": 1.02, "f16": 0.52, "int8": 0.32, "int4": 0.32, "mixed": 1.1}
_WHILE_MADE = 1.5


def parse_precisions(text: str) -> list[str]:
    """Precisions between commas; UsageError for one that cannot be exported."""
    precisions = [part.strip() for part in text.split(",") if part.strip()]
    for precision in precisions:
        if precision not in _SHARES:
            raise UsageError(
                f"--precision {precision[:20]!r} cannot be exported; choose from"
                f" {', '.join(_SHARES)}"
            )
    if not precisions:
        raise UsageError(f"--precision names none; choose from {', '.join(_SHARES)}")
    return precisions


def float_bytes(checkpoint: Path) -> int:
    """Bytes of a checkpoint's tensors as float32; EdgeAudioError for a damaged file."""
    total = 0
    for path in checkpoint.rglob("*.safetensors"):
        total += sum(4 * math.prod(tensor.shape) for tensor in safetensors.read(path)[0].values())
    # a .ckpt has no header to read without torch; what it holds may be float16
    return total + sum(2 * path.stat().st_size for path in checkpoint.glob("*.ckpt"))


def disk_needed(weights: int, precisions: Iterable[str]) -> int:
    """Bytes that an export takes at most. weights: bytes as float32."""
    shares = sum(_SHARES[precision] for precision in precisions)
    return int(weights * (shares + _WHILE_MADE))


def memory_needed(weights: int) -> int:
    """Bytes of memory that an export takes."""
    return int(min(_MOST_MEMORY, _LEAST_MEMORY + _COPIES * weights))


def why_not(weights: int, precisions: Iterable[str], folder: Path) -> str:
    """Why nothing can be exported here into a folder, "" if it can. Where the system does not say
    how much memory is free, the export is left to find out.
    """
    missing = [name for name in EXPORT if importlib.util.find_spec(name) is None]
    if missing:
        return f"the extra export is not installed ({', '.join(missing)} missing)"
    memory, needed = device.memory().available, memory_needed(weights)
    if memory and memory < needed:
        return f"it takes {needed / 1e9:.0f} GB of memory and {memory / 1e9:.1f} GB are free"
    free, disk = shutil.disk_usage(folder).free, disk_needed(weights, precisions)
    if free < disk:
        return f"it takes {disk / 1e9:.1f} GB of disk and {free / 1e9:.1f} GB are free"
    return ""
