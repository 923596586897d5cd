"""The recipe of a mixed graph: how each layer is stored. It lies beside the graph in the bundle."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge_audio.errors import EdgeAudioError

from ..quantize import KEEP, METHODS

NAME = "mixed"
#: dB
TARGET = 30.0


@dataclass(frozen=True)
class Recipe:
    """How each layer of one component is stored, and what was measured on the way there."""

    component: str
    #: official name -> method, a name in quantize.METHODS or KEEP
    layers: dict[str, str]
    target_snr: float
    #: worst output of the recording, dB
    measured_snr: float | None = None
    bytes: int = 0
    bytes_f32: int = 0
    #: a row a group of layers: its bytes in float32 and, by method, the SNR that it alone leaves,
    #: and what was chosen
    table: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """EdgeAudioError if the file is no recipe."""
        try:
            recipe = cls(**json.loads(path.read_bytes()))
            unknown = sorted(set(recipe.layers.values()) - set(METHODS) - {KEEP})
            if unknown:
                raise ValueError(f"method {unknown[0]} is unknown")
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise EdgeAudioError(
                f"{path} is no recipe ({error}); give a NAME.mixed.json that an export wrote"
            ) from None
        return recipe


def file_name(component: str) -> str:
    """Of the recipe in the bundle."""
    return f"{component}.{NAME}.json"


def recipes(path: Path) -> dict[str, Recipe]:
    """Component -> recipe, of one file or of a folder (a bundle)."""
    files = sorted(path.glob(file_name("*"))) if path.is_dir() else [path]
    if not files:
        raise EdgeAudioError(
            f"{path} holds no recipe; give the folder of a bundle with mixed graphs"
        )
    found = [Recipe.read(file) for file in files]
    return {recipe.component: recipe for recipe in found}
