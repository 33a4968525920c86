"""The OpenAPI document as one page: no script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

__all__ = ["STYLE", "render"]

#: Of this front-end's pages.
STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{margin-top:2.5rem;border-bottom:1px solid #8886}
details{border:1px solid #8884;border-radius:6px;margin:.5rem 0;padding:.4rem .8rem}
summary{cursor:pointer}code,pre{font-family:ui-monospace,monospace;font-size:.9em}
.m{display:inline-block;min-width:4.2em;font-weight:600}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
td,th{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;border-top:1px solid #8883}
"""


def render(document: dict[str, Any]) -> str:
    """The page."""
    info = document["info"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{escape(info['title'])}</title><style>{STYLE}</style>",
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}</p>",
        "<p>The same for programs: <a href=/openapi.json>/openapi.json</a> (OpenAPI 3.1).</p>",
    ]
    for tag in document["tags"]:
        parts.append(f"<h2>{escape(tag['name'])}</h2>")
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"]:
                    parts.append(_operation(method.upper(), path, operation))
    parts.append("<h2>Schemas</h2>")
    parts += [_schema(name, schema) for name, schema in document["components"]["schemas"].items()]
    return "".join(parts)


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = [
        (f"<code>{escape(one['name'])}</code>", one["in"], escape(_kind(one["schema"])), escape(one["description"]))
        for one in operation["parameters"]
    ]
    body = operation.get("requestBody")
    if body:
        rows += [("body", escape(kind), _link(one["schema"]), "") for kind, one in body["content"].items()]
    for status, response in operation["responses"].items():
        if "$ref" in response:
            continue  # refusals all look the same: told once
        content = response.get("content") or {"": {"schema": {}}}
        rows += [(status, escape(kind), _link(one["schema"]), escape(response["description"])) for kind, one in content.items()]
    return (
        f"<details id={escape(operation['operationId'])}><summary><span class=m>{method}</span> <code>{escape(path)}</code> "
        f"{escape(operation['summary'])}</summary>{_table(rows)}</details>"
    )


def _schema(name: str, schema: dict[str, Any]) -> str:
    rows = [
        (f"<code>{escape(field)}</code>", _link(one) or escape(_kind(one)), escape(one.get("description", "")))
        for field, one in schema.get("properties", {}).items()
    ]
    return (
        f"<details id=schema-{escape(name)}><summary><code>{escape(name)}</code> {escape(schema.get('description', ''))}"
        f"</summary>{_table(rows)}</details>"
    )


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    return "<table>" + "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows) + "</table>"


def _link(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"<a href='#schema-{escape(name)}'>{escape(name)}</a>"
    if "items" in schema:
        inner = _link(schema["items"])
        return f"list of {inner}" if inner else ""
    if "anyOf" in schema:
        return " or ".join(filter(None, map(_link, schema["anyOf"])))
    return ""


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(str(one) for one in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(_kind(one) for one in schema["anyOf"])
    kind = str(schema.get("type", "any"))
    if "minimum" in schema:
        kind += f" {schema['minimum']}–{schema['maximum']}"
    if "default" in schema and schema["default"] not in ("", None, [], {}):
        kind += f", default {schema['default']}"
    return kind
