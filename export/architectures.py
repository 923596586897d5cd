"""The families of models that can be exported."""

from __future__ import annotations

from pathlib import Path

from edge_audio.errors import EdgeAudioError

from .architecture import Architecture
from .reader import load_json
from .sa3.architecture import StableAudio3
from .sao import StableAudioOpen

ARCHITECTURES: tuple[Architecture, ...] = (StableAudioOpen(), StableAudio3())


def architecture_of(folder: Path) -> Architecture:
    """The family that a checkpoint's `model_config.json` names; EdgeAudioError if it is none of
    them.
    """
    entries = load_json(folder / "model_config.json")
    named = entries.get("model_type") if isinstance(entries, dict) else None
    for architecture in ARCHITECTURES:
        if architecture.model_type == named:
            return architecture
    known = " or ".join(repr(architecture.model_type) for architecture in ARCHITECTURES)
    raise EdgeAudioError(
        f"model_config.model_type is {named!r}; only models with {known} can be exported"
    )
