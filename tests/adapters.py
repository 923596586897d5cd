"""Adapters with random weights for any checkpoint, as the official code writes them."""

import json
import math
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from edge_audio.lora.adapter import ADAPTED

RANK = 4


def random_adapter(path: Path, checkpoint: Path, kind: str = "lora", size: float = 0.3) -> Path:
    """Write an adapter of all layers of a checkpoint's model.safetensors that may have one; `size`
    is that of what it changes beside the weights.
    """
    rng, tensors = np.random.default_rng(0), {}
    for name, weight in load_file(checkpoint / "model.safetensors").items():
        layer = name.partition(".")[2].removesuffix(".weight")
        other = name.endswith(("_norm.weight", "timestep_features.weight"))
        if not name.startswith(tuple(ADAPTED.values())) or not name.endswith(".weight") or other:
            continue
        rows, columns = len(weight), math.prod(weight.shape[1:])
        parts = {
            "lora_A": rng.standard_normal((RANK, columns)),
            "lora_B": rng.standard_normal((rows, RANK)) * weight.std() * size / RANK**0.5,
        }
        if kind == "dora-rows":
            parts["magnitude"] = np.linalg.norm(weight.reshape(rows, columns), axis=1) * 1.1
        for part, value in parts.items():
            tensors[f"{layer}.parametrizations.weight.0.{part}"] = value.astype(np.float32)
    config = {"rank": RANK, "alpha": RANK, "adapter_type": kind, "include": None, "exclude": []}
    save_file(tensors, path, {"lora_config": json.dumps(config)})
    return path
