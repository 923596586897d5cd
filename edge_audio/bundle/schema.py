"""JSON <-> dataclasses, with errors that name the entry, and the JSON Schema of a dataclass."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from typing import Any

_SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean"}


def build(kind: Any, value: Any, where: str, ignore_unknown: bool = False) -> Any:
    """Turn parsed JSON into `kind` (a dataclass, dict, tuple, union or scalar type); ValueError
    names the place.

    ignore_unknown: entries that no dataclass has are left out rather than refused.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _build_union(arguments, value, where, ignore_unknown)
    if origin is tuple:
        _expect(isinstance(value, list), where, "a list", value)
        return tuple(
            build(arguments[0], item, f"{where}[{index}]", ignore_unknown)
            for index, item in enumerate(value)
        )
    if origin is dict:
        _expect(isinstance(value, dict), where, "an object", value)
        return {
            key: build(arguments[1], item, f"{where}.{key[:40]}", ignore_unknown)
            for key, item in value.items()
        }
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(kind, value, where, ignore_unknown)
    if kind is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        _expect(number and math.isfinite(value), where, "a finite number", value)
        return float(value)
    _expect(type(value) is kind, where, kind.__name__, value)
    return value


def whole(value: Any) -> int:
    """The value if it is a whole number, else 0."""
    return value if type(value) is int else 0


def json_schema(kind: Any, title: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a dataclass; every dataclass in it has a definition."""
    definitions: dict[str, Any] = {}
    root = _schema_of(kind, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def _build_union(arguments: tuple[Any, ...], value: Any, where: str, ignore_unknown: bool) -> Any:
    if type(None) in arguments:
        inner = next(kind for kind in arguments if kind is not type(None))
        return None if value is None else build(inner, value, where, ignore_unknown)
    _expect(type(value) in arguments, where, " or ".join(k.__name__ for k in arguments), value)
    return value


def _build_dataclass(kind: Any, value: Any, where: str, ignore_unknown: bool) -> Any:
    _expect(isinstance(value, dict), where, "an object", value)
    hints = typing.get_type_hints(kind)
    for key in value:
        _expect(ignore_unknown or key in hints, f"{where}.{key[:40]}", "no such entry", value[key])
    for key in sorted(set(_required(kind)) - value.keys()):
        raise ValueError(f"{where}.{key} is missing")
    return kind(
        **{
            key: build(hints[key], item, f"{where}.{key}", ignore_unknown)
            for key, item in value.items()
            if key in hints
        }
    )


def _required(kind: Any) -> list[str]:
    missing = dataclasses.MISSING
    return [
        field.name
        for field in dataclasses.fields(kind)
        if field.default is missing and field.default_factory is missing
    ]


def _schema_of(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_schema_of(argument, definitions) for argument in arguments]}
    if origin is tuple:
        return {"type": "array", "items": _schema_of(arguments[0], definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema_of(arguments[1], definitions)}
    if kind is type(None):
        return {"type": "null"}
    if kind in _SCALARS:
        return {"type": _SCALARS[kind]}
    if kind.__name__ not in definitions:
        definitions[kind.__name__] = {}  # for types that contain themselves
        hints = typing.get_type_hints(kind)
        definitions[kind.__name__] = {
            "type": "object",
            "description": " ".join((kind.__doc__ or "").split("\n\n")[0].split()),
            "properties": {name: _schema_of(hint, definitions) for name, hint in hints.items()},
            "required": _required(kind),
        }
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _expect(condition: bool, where: str, expected: str, value: Any) -> None:
    if not condition:
        raise ValueError(f"{where}: expected {expected}, found {json.dumps(value)[:40]}")
