"""Whether a configuration can be exported, for those who have not the weights yet. Needs no
TensorFlow.
"""

from __future__ import annotations

from pathlib import Path

from . import config
from .reader import load_json
from .sa3 import config as sa3

_READERS = {config.MODEL_TYPE: config.read_config, sa3.MODEL_TYPE: sa3.read_config}


def refuse_unsupported(folder: Path) -> None:
    """EdgeAudioError with the first entry of `folder`/model_config.json, or of the text encoder's
    configuration, that cannot be exported.
    """
    entries = load_json(folder / "model_config.json")
    named = entries.get("model_type") if isinstance(entries, dict) else None
    read = _READERS.get(named if isinstance(named, str) else "", config.read_config)
    read(folder)
