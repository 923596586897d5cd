"""The tensors of a checkpoint, by official name, and the audit: every one is used, or named as
deliberately left out.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge_audio.bundle.store import file_sha256
from edge_audio.errors import EdgeAudioError, first_line
from edge_audio.system import safetensors

PARTS = {
    "DiT": "model.model.",
    "autoencoder": "pretransform.model.",
    "number conditioner": "conditioner.conditioners.seconds_total.",
    "padding": "conditioner.conditioners.prompt.",
    "T5": "t5.",
    "T5Gemma": "t5gemma.",
}
# The file of a text encoder may bring its decoder and copies of the tied embedding: the encoder
# needs neither.
LEFT_OUT = re.compile(
    r"t5\.(decoder\..*|lm_head\.weight|encoder\.embed_tokens\.weight)"
    r"|t5gemma\.(model\.decoder\..*|lm_head\..*)"
)


class Lazy(Mapping[str, np.ndarray]):
    """Tensors that are read from their files when they are asked for, and not kept: name ->
    function that reads it.
    """

    def __init__(self, readers: dict[str, Callable[[], np.ndarray]]):
        self._readers = readers

    def __getitem__(self, name: str) -> np.ndarray:
        return self._readers[name]()

    def __contains__(self, name: object) -> bool:
        return name in self._readers  # without reading it

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)


@dataclass
class Checkpoint:
    """Tensors by name; those of the text encoder carry its prefix.

    `take` reads one, and marks it as used.
    """

    tensors: Mapping[str, np.ndarray]
    sha256: str
    used: set[str] = field(default_factory=set)

    def take(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """A tensor as float32; EdgeAudioError if it is missing, has another shape, or is not
        finite.
        """
        if name not in self.tensors:
            raise EdgeAudioError(
                f"tensor {name} of shape {list(shape)} is missing from the checkpoint; "
                "use the model_config.json that came with these weights"
            )
        tensor = self.tensors[name]
        if tensor.shape != tuple(shape):
            raise EdgeAudioError(
                f"tensor {name} has shape {list(tensor.shape)}, the configuration needs"
                f" {list(shape)}; use the model_config.json that came with these weights"
            )
        tensor = tensor.astype(np.float32)
        if not np.isfinite(tensor).all():
            raise EdgeAudioError(
                f"tensor {name} holds NaN or infinity; the file is damaged, download it again"
            )
        self.used.add(name)
        return tensor

    def take_weight_normed(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Fold `name`.weight_g and `name`.weight_v: g · v / ‖v‖, a norm per index of dimension 0
        (legacy weight norm).

        For a transposed convolution, whose weight is [in, out, k], that is one norm per *input*
        channel.
        """
        g = self.take(f"{name}.weight_g", (shape[0], 1, 1)).astype(np.float64)
        v = self.take(f"{name}.weight_v", shape).astype(np.float64)
        norm = np.sqrt((v * v).sum(axis=(1, 2), keepdims=True))
        if not norm.all():
            raise EdgeAudioError(
                f"tensor {name}.weight_v has an all-zero row, which weight norm cannot scale; "
                "the file is damaged, download it again"
            )
        folded: np.ndarray = (g * v / norm).astype(np.float32)
        return folded

    def audit(self) -> dict[str, int]:
        """Part -> number of tensors used; EdgeAudioError names tensors that nothing explains."""
        rest = [
            name for name in self.tensors if name not in self.used and not LEFT_OUT.fullmatch(name)
        ]
        if rest:
            shown = ", ".join(sorted(rest)[:5]) + (
                f" and {len(rest) - 5} more" if len(rest) > 5 else ""
            )
            raise EdgeAudioError(
                f"the checkpoint holds {len(rest)} tensors that this architecture does not explain:"
                f" {shown}; use the model_config.json that came with these weights"
            )
        counts = {
            part: sum(name.startswith(prefix) for name in self.used)
            for part, prefix in PARTS.items()
        }
        left_out = len(self.tensors) - len(self.used)
        return {part: count for part, count in counts.items() if count} | (
            {"left out (the text encoder's other half)": left_out} if left_out else {}
        )


def read_checkpoint(folder: Path, text_folder: str = "t5", prefix: str = "t5") -> Checkpoint:
    """Read model.safetensors (whole, in parts with an index, or a .ckpt) of an official-format
    checkpoint directory, and the text encoder's from `text_folder` in it; names of the latter get
    the prefix.
    """
    if not folder.is_dir():
        raise EdgeAudioError(
            f"{folder} is not a folder; give the folder of an official-format checkpoint"
        )
    pickled = (path for path in sorted(folder.glob("*.ckpt")) if path.is_file())
    paths = safetensors.weights(folder) or [*pickled][:1]
    if not paths:
        raise EdgeAudioError(
            f"{folder} has neither model.safetensors nor a .ckpt; give a checkpoint folder"
        )
    text = folder / text_folder / "model.safetensors"
    if not text.is_file():
        raise EdgeAudioError(f"{text} is missing; put the text encoder's model.safetensors there")
    tensors: dict[str, Callable[[], np.ndarray]] = {}
    for path in paths:
        read: Mapping[str, Callable[[], np.ndarray]] = (
            safetensors.read(path)[0] if path.suffix == ".safetensors" else _read_ckpt(path)
        )
        if twice := tensors.keys() & read.keys():
            raise EdgeAudioError(f"{path} has {min(twice)} once more; leave one file with it")
        tensors |= read
    tensors |= {f"{prefix}.{name}": read for name, read in safetensors.read(text)[0].items()}
    digests = "".join(map(file_sha256, (*paths, text)))
    return Checkpoint(Lazy(tensors), hashlib.sha256(digests.encode()).hexdigest())


def _read_ckpt(path: Path) -> dict[str, Callable[[], np.ndarray]]:
    """A PyTorch checkpoint. weights_only: a pickle from a stranger must not run code."""
    try:
        import torch
    except ImportError:
        raise EdgeAudioError(
            f"{path} is a PyTorch checkpoint and needs torch; pip install torch, "
            "or convert it to model.safetensors"
        ) from None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        return {
            name: functools.partial(lambda tensor: tensor.float().numpy(), tensor)
            for name, tensor in state.items()
        }
    except Exception as error:  # torch raises many kinds, among them for unsafe pickles
        raise EdgeAudioError(
            f"{path} cannot be read safely ({first_line(error)}); convert it to model.safetensors"
        ) from None
