"""What a request is answered that cannot be served: a status, a code for programs and one line."""

from __future__ import annotations

from typing import Any

from edge_audio.errors import EdgeAudioError, UsageError


class Refused(EdgeAudioError):
    """A request that is not served. code: for programs; field: which of its fields is wrong."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        field: str | None = None,
        headers: dict[str, str] | None = None,
    ):
        super().__init__(message)
        self.status, self.code, self.field = status, code, field
        self.headers = headers or {}

    @property
    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        return {"error": {"code": self.code, "message": str(self), "field": self.field}}

    @classmethod
    def of(cls, error: EdgeAudioError) -> Refused:
        """What the library cannot do, as an answer."""
        if isinstance(error, Refused):
            return error
        code = "invalid" if isinstance(error, UsageError) else "unsupported"
        message = str(error)
        return cls(422, code, message, _field_of(message))


def not_found(what: str) -> Refused:
    """404"""
    return Refused(404, "not_found", f"there is no such {what}; it may have been deleted")


def _field_of(message: str) -> str | None:
    """The library's messages begin with the setting that is wrong."""
    word = message.split(" ", 1)[0]
    fields = {"cfg": "cfg_scale", "id": "ids"}
    return fields.get(word, word if word in _FIELDS else None)


_FIELDS = frozenset(
    "prompt seconds seed steps sampler cfg_scale negative ids apg pad_seconds limiter precision"
    " strength replace keep extend extend_before loop bars bpm variations init".split()
)
