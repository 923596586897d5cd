"""What a refusal looks like in each dialect, so that its clients read it as they read their own."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from edge_audio.serve.refusal import Refused

ELEVENLABS = "/v1/sound-generation"
STABILITY = "/v2beta/"
OPENAI = "/v1/audio/"
HUGGINGFACE = "/models/"


def answer_body(path: str, refusal: Refused) -> dict[str, Any]:
    """The JSON of an error's answer, in the dialect of the path that was called."""
    if path == "/":  # an endpoint of Hugging Face may be the server itself
        return _huggingface(refusal)
    for start, shape in _SHAPES.items():
        if path.startswith(start):
            return shape(refusal)
    return refusal.body


def _elevenlabs(refusal: Refused) -> dict[str, Any]:
    """FastAPI's list for a field that is wrong, a status and a message for all else."""
    message = str(refusal)
    if refusal.status != 422:
        return {"detail": {"status": refusal.code, "message": message}}
    place = "query" if refusal.field == "output_format" else "body"
    where = [place, *filter(None, [refusal.field])]
    return {"detail": [{"loc": where, "msg": message, "type": refusal.code}]}


def _stability(refusal: Refused) -> dict[str, Any]:
    """Their names for a status, and a list of what is wrong."""
    name = _STABILITY_NAMES.get(refusal.status, refusal.code)
    return {"id": uuid.uuid4().hex, "name": name, "errors": [str(refusal)]}


def _openai(refusal: Refused) -> dict[str, Any]:
    kind = "invalid_request_error" if refusal.status < 500 else "server_error"
    error = {"message": str(refusal), "type": kind, "param": refusal.field, "code": refusal.code}
    return {"error": error}


def _huggingface(refusal: Refused) -> dict[str, Any]:
    return {"error": str(refusal), "error_type": refusal.code}


_STABILITY_NAMES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    413: "payload_too_large",
    422: "unprocessable_entity",
    500: "internal_error",
}
_SHAPES: dict[str, Callable[[Refused], dict[str, Any]]] = {
    ELEVENLABS: _elevenlabs,
    STABILITY: _stability,
    OPENAI: _openai,
    HUGGINGFACE: _huggingface,
}
