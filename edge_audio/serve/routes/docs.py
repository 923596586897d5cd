"""`/docs`: the API on one page, made of `/openapi.json` without a script."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse

router = APIRouter(include_in_schema=False)
_HEAD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>edge-audio: the API</title>'
    '<meta name="viewport" content="width=device-width"><meta name="color-scheme"'
    ' content="light dark"><h1>The API</h1><p>For programs: <a href="/openapi.json">openapi.json'
    '</a>. <a href="/">The page</a>.</p>'
)


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Every route with what it takes."""
    return HTMLResponse(_page(request.app.openapi()))


def _page(schema: dict[str, Any]) -> str:
    parts = [_HEAD]
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            parts.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2>")
            parts.append(f"<p>{escape(route['summary'])}. {escape(route['description'])}</p>")
            rows = [
                (entry["name"], entry["in"], entry["schema"], entry.get("required", False))
                for entry in route.get("parameters", ())
            ]
            body = route.get("requestBody", {}).get("content", {}).get("application/json")
            if body:
                named = schema["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
                needed = named.get("required", ())
                rows += [
                    (name, "body", entry, name in needed)
                    for name, entry in named["properties"].items()
                ]
            if rows:
                lines = (_row(*row) for row in rows)
                parts.append(f"<table>{''.join(lines)}</table>")
    return "\n".join(parts)


def _row(name: str, where: str, schema: dict[str, Any], required: bool) -> str:
    said = [_kind(schema), "required" if required else "", schema.get("description", "")]
    cells = (f"<code>{escape(name)}</code>", where, escape("; ".join(filter(None, said))))
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _kind(schema: dict[str, Any]) -> str:
    """A schema's type in a few words."""
    if "anyOf" in schema:
        kinds = (_kind(one) for one in schema["anyOf"])
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind != "null"))
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    return str(schema.get("type", "one of " + ", ".join(map(str, schema.get("enum", ())))))
