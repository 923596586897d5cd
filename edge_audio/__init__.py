"""Text to sound on small computers: Stable-Audio-family models as LiteRT graphs.

>>> from edge_audio import Pipeline
>>> Pipeline.load().generate("a slow rising siren", seconds=4, seed=7).save("siren.wav")
"""

from edge_audio.audio.clip import Clip
from edge_audio.bundle.store import Bundle
from edge_audio.bundle.vocabulary import SoundFamily, Vocabulary
from edge_audio.errors import EdgeAudioError, EdgeAudioWarning, UsageError
from edge_audio.model.model import Model
from edge_audio.notes import Note
from edge_audio.pipeline import Cancelled, Pipeline, Progress
from edge_audio.request import Request, Settings
from edge_audio.session import Session
from edge_audio.version import __version__

__all__ = [
    "Bundle",
    "Cancelled",
    "Clip",
    "EdgeAudioError",
    "EdgeAudioWarning",
    "Model",
    "Note",
    "Pipeline",
    "Progress",
    "Request",
    "Session",
    "Settings",
    "SoundFamily",
    "UsageError",
    "Vocabulary",
    "__version__",
]
