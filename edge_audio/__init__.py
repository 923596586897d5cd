"""Text to sound on small computers: Stable-Audio-family models as LiteRT graphs.

>>> from edge_audio import Pipeline
>>> Pipeline.load().generate("a slow rising siren", seconds=4, seed=7).save("siren.wav")
"""

__version__ = "0.1.0"

from .bundle import Bundle
from .clip import Clip
from .errors import EdgeAudioError, EdgeAudioWarning, UsageError
from .pipeline import Cancelled, Pipeline, Progress
from .request import Request
from .vocabulary import SoundFamily, Vocabulary

__all__ = [
    "Bundle",
    "Cancelled",
    "Clip",
    "EdgeAudioError",
    "EdgeAudioWarning",
    "Pipeline",
    "Progress",
    "Request",
    "SoundFamily",
    "UsageError",
    "Vocabulary",
    "__version__",
]
