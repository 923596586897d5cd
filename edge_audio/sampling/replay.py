"""Noise from a file in place of a seed's, and latents into one: how anyone proves a port against
arrays of their own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_audio.errors import EdgeAudioError, UsageError
from edge_audio.sampling.samplers import Noise

SUFFIX = ".npy"


def replayed(path: str | Path) -> Noise:
    """The draws of a file, float32 [n, T, C], one after the other; EdgeAudioError if it holds
    something else, or when a draw has another shape or there are no more.
    """
    try:
        draws = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())[:80]
        raise EdgeAudioError(
            f"{path} holds no array ({reason}); write one with numpy.save"
        ) from None
    if not isinstance(draws, np.ndarray) or draws.dtype != np.float32 or draws.ndim != 3:
        found = f"{draws.dtype} {list(draws.shape)}" if isinstance(draws, np.ndarray) else "several"
        raise EdgeAudioError(f"{path} holds {found}; draws are float32 [n, T, C]")
    following = iter(draws)

    def noise(shape: tuple[int, ...]) -> np.ndarray:
        draw = next(following, None)
        if draw is None:
            raise EdgeAudioError(f"{path} has {len(draws)} draws, and the sampler needs more")
        if draw.shape != tuple(shape[1:]):
            raise EdgeAudioError(
                f"{path} has draws of {list(draw.shape)}, the model needs {list(shape[1:])}"
            )
        if not np.isfinite(draw).all():
            raise EdgeAudioError(f"{path} has values that are not numbers")
        return np.array(draw)[None]

    return noise


def check_array_file(path: Path) -> None:
    """UsageError unless an array can be written there."""
    if path.suffix != SUFFIX:
        raise UsageError(f"{path} does not end in {SUFFIX}; arrays are written as NumPy files")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent} is no folder; make it first")


def write_array(path: Path, values: np.ndarray) -> None:
    """Write `values` as a .npy file, whole or not at all."""
    check_array_file(path)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as stream:
            np.save(stream, values)
        temporary.replace(path)
    except OSError as error:
        raise EdgeAudioError(
            f"{path} cannot be written ({error.strerror}); choose another folder"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
