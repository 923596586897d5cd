"""`python -m export synth`: a checkpoint of official names, shapes and config with random,
well-scaled weights.

The published weights are gated and cannot be shipped. A stand-in of exact size lets everyone
measure memory, speed and parity of the full model. It makes noise, not music, but no part of it is
degenerate: every tensor influences the output, activations stay of the size that trained ones have,
and the decoder's audio stays within full scale.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_audio.errors import EdgeAudioError

from . import sa3, sao
from .tensors import Config, Tensor

#: what `--dtype` can be, as NumPy names it
STORED = {"f32": "float32", "f16": "float16"}


@dataclass(frozen=True)
class Preset:
    """A model to make: configurations, and what makes the tensors of them."""

    config: Config
    text_config: Config
    #: folder of the text encoder
    text_folder: str
    model_tensors: Callable[[Config], Iterator[Tensor]]
    text_tensors: Callable[[Config], Iterator[Tensor]]
    #: type of the text encoder's weights where it is published in one of its own
    text_dtype: str | None = None


PRESETS: dict[str, Preset] = {
    "sao-small": Preset(sao.CONFIG, sao.T5_BASE, "t5", sao.model_tensors, sao.t5_tensors),
    "sa3-small": Preset(
        sa3.CONFIG,
        sa3.T5GEMMA,
        sa3.TEXT_FOLDER,
        sa3.model_tensors,
        sa3.t5gemma_tensors,
        text_dtype="bfloat16",
    ),
}


def write(
    preset: str, out: Path, dtype: str = "f32", seed: int = 0, say: Callable[[str], None] = print
) -> None:
    """Write a checkpoint directory.

    EdgeAudioError for an unknown preset or a folder that already holds something.
    """
    from safetensors import SafetensorError

    if preset not in PRESETS:
        raise EdgeAudioError(f"preset {preset!r} is unknown; choose from {', '.join(PRESETS)}")
    if dtype not in STORED:
        raise EdgeAudioError(f"type {dtype!r} cannot be written; choose {' or '.join(STORED)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise EdgeAudioError(f"{out} is not an empty folder; give a new one")
    chosen, stored = PRESETS[preset], STORED[dtype]
    made_here = not out.exists()
    text = out / chosen.text_folder
    text.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    try:
        for folder, tensors, kind in (
            (out, chosen.model_tensors(chosen.config), stored),
            (text, chosen.text_tensors(chosen.text_config), chosen.text_dtype or stored),
        ):
            count, parameters = _save(folder / "model.safetensors", tensors, kind, rng)
            say(
                f"{folder / 'model.safetensors'}: {count} tensors, {parameters / 1e6:.1f} million"
                f" parameters, {kind}"
            )
        (text / "config.json").write_text(json.dumps(chosen.text_config, indent=2))
        (out / "model_config.json").write_text(json.dumps(chosen.config, indent=2))
    except BaseException as error:
        shutil.rmtree(out, ignore_errors=True)  # half a checkpoint helps nobody
        if not made_here:
            out.mkdir()
        if isinstance(error, SafetensorError):
            raise EdgeAudioError(
                f"{out} cannot be written ({error}); free some space or choose another folder"
            ) from None
        raise


def _save(
    path: Path, tensors: Iterator[Tensor], kind: str, rng: np.random.Generator
) -> tuple[int, int]:
    """Draw tensors and store them as `kind`; how many, and of how many parameters."""
    import ml_dtypes  # TensorFlow's: NumPy has no bfloat16 of its own
    from safetensors.numpy import save_file

    stored = ml_dtypes.bfloat16 if kind == "bfloat16" else kind
    made = {tensor.name: tensor.draw(rng, tensor.shape).astype(stored) for tensor in tensors}
    save_file(made, path)
    return len(made), sum(map(np.size, made.values()))
