"""Text to sound on small computers: Stable-Audio-family models as LiteRT graphs.

>>> from edge_audio import Pipeline
>>> Pipeline.load().generate("a slow rising siren", seconds=4, seed=7).save("siren.wav")
"""

from typing import TYPE_CHECKING

from edge_audio.version import __version__

__all__ = [
    "Bundle",
    "Cancelled",
    "Clip",
    "EdgeAudioError",
    "EdgeAudioWarning",
    "Finish",
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
    "finished",
]

if TYPE_CHECKING:
    from edge_audio.audio.clip import Clip
    from edge_audio.audio.finish import Finish, finished
    from edge_audio.bundle.store import Bundle
    from edge_audio.bundle.vocabulary import SoundFamily, Vocabulary
    from edge_audio.errors import EdgeAudioError, EdgeAudioWarning, UsageError
    from edge_audio.model.model import Model
    from edge_audio.notes import Note
    from edge_audio.pipeline import Cancelled, Pipeline, Progress
    from edge_audio.request import Request
    from edge_audio.session import Session
    from edge_audio.settings import Settings
else:
    # Each name is imported when it is first asked for (PEP 562): NumPy takes a tenth of a second,
    # and whatever imports any part of the package runs this file first. So the command line is
    # there to answer Ctrl-C before anything slow begins. Type checkers read the imports above.
    _MODULES = {
        "Bundle": "bundle.store",
        "Cancelled": "pipeline",
        "Clip": "audio.clip",
        "EdgeAudioError": "errors",
        "EdgeAudioWarning": "errors",
        "Finish": "audio.finish",
        "Model": "model.model",
        "Note": "notes",
        "Pipeline": "pipeline",
        "Progress": "pipeline",
        "Request": "request",
        "Session": "session",
        "Settings": "settings",
        "SoundFamily": "bundle.vocabulary",
        "UsageError": "errors",
        "Vocabulary": "bundle.vocabulary",
        "finished": "audio.finish",
    }

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value  # the next time it is found without this function
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
