"""Adapters merged into the weights of a checkpoint as these are read, and the proof that a bundle's
graphs can have them merged later.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from edge_audio.errors import EdgeAudioError
from edge_audio.lora.adapter import ADAPTED, Adapter
from edge_audio.lora.folded import FACTORS, gain
from edge_audio.lora.graphs import layers
from edge_audio.lora.stored import load

from .checkpoint import Checkpoint


class _Merged(Mapping[str, np.ndarray]):
    """Tensors into which adapters are merged, one after the other, when they are asked for."""

    def __init__(self, tensors: Mapping[str, np.ndarray], adapters: Iterable[Adapter]):
        self._tensors, self._adapters = tensors, tuple(adapters)

    def __getitem__(self, name: str) -> np.ndarray:
        original = weight = self._tensors[name]
        for adapter in self._adapters:
            weight = adapter.merged(name, weight, original)
        return weight

    def __contains__(self, name: object) -> bool:
        return name in self._tensors  # without making it

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def merge(checkpoint: Checkpoint, adapters: Iterable[Adapter]) -> Checkpoint:
    """The checkpoint with fitted adapters in its weights: the second gets what the first made, and
    so on. Nothing is read before it is asked for; it keeps the checkpoint's own sha256.
    """
    return dataclasses.replace(
        checkpoint, tensors=_Merged(checkpoint.tensors, adapters), used=set()
    )


def prove(graph: Path, component: str, checkpoint: Checkpoint) -> None:
    """That the float32 graph of a component shows the checkpoint's layers as `lora.merging` takes
    them: by name, and multiplied only with what `lora.folded` says. EdgeAudioError if not.
    """
    if component not in ADAPTED:
        return
    data = np.memmap(graph, np.uint8, "r")
    for layer, places in layers(graph).items():
        name = f"{layer}.weight"
        if layer in FACTORS or not name.startswith(ADAPTED[component]):
            continue
        expected = checkpoint.tensors[name].astype(np.float32)
        for weights in places:
            gains = checkpoint.tensors[gain(layer)] if weights.fused else np.float32(1)
            found = load(data, weights)
            if found.shape != expected.shape or not np.allclose(
                found, expected * gains, rtol=1e-5, atol=1e-7
            ):
                raise EdgeAudioError(
                    f"{graph} holds other weights of {layer} than the checkpoint, so that no style"
                    " could be merged into it; please report it with the model_config.json"
                )
