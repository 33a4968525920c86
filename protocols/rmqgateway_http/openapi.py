"""The OpenAPI 3.1 document, made from the table of operations: what is not served is not in it, and the other way round."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from rmqgateway import __version__
from rmqgateway_http import codec_json
from rmqgateway_http.codec_json import Acknowledgement, EnvelopeIn, Problem, schema_types
from rmqgateway_http.operations import OPERATIONS, SENDING, Operation
from rmqgateway_http.problems import WORDS

__all__ = ["make_document"]

_REF = "#/components/schemas/{name}"
_REFUSED = {"$ref": "#/components/responses/Refusal"}
#: Variables of a path that can be out of date.
_HANDLES = {"receipt_handle", "recall_handle", "transaction", "reply_to"}
_VARIABLES = re.compile(r"\{(\w+)\}")
_VARIABLE_TEXTS = {
    "topic": "The topic's name.",
    "group": "The group's name.",
    "receipt_handle": "As it was received; its blanks are ~.",
    "recall_handle": "As the send gave it.",
    "transaction": "As begin or checks gave it.",
    "reply_to": "Of the request that was received.",
    "queue": "The queue's number.",
}
_TEXT = {"type": "string"}
#: RocketMQ's own rules for names (``rmqgateway.namespaces``); those of its own topics and groups are longer.
_VARIABLE_SCHEMAS: dict[str, dict[str, Any]] = {
    "topic": {**_TEXT, "pattern": "^[%|a-zA-Z0-9_-]{1,127}$"},
    "group": {**_TEXT, "pattern": "^[%|a-zA-Z0-9_-]{1,120}$"},
    "queue": {"type": "integer", "minimum": 0, "maximum": 65535},
}
_IVAR = re.compile(r":ivar ([\w, ]+): ((?:(?!:ivar)[\s\S])*)")
_EVENT = {"type": "object", "required": ["specversion", "id", "source", "type"], "properties": {"specversion": {"const": "1.0"}}}


def make_document() -> dict[str, Any]:
    """The whole document, as plain dicts and lists."""
    _, components = msgspec.json.schema_components(schema_types(), ref_template=_REF)
    for name, schema in components.items():
        _describe(schema, getattr(codec_json, name).__doc__ or "")
    # msgspec knows no schema for any JSON value.
    for name in ("MessageIn", "EnvelopeIn"):
        components[name]["properties"]["json"] = {"description": "Any JSON value; its text is the body."}
    components["Problem"]["properties"]["code"]["enum"] = list(WORDS)
    components["CloudEvent"] = {"description": "A CloudEvents 1.0 event in the JSON format.", **_EVENT}
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "rmqgateway",
            "version": __version__,
            "description": "RocketMQ over HTTP: send, receive, acknowledge. A receipt handle is all the state there is.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}, {"basic": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in OPERATIONS)],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {
                "Refusal": {
                    "description": "A refusal, with RocketMQ's word for the reason; Retry-After with what may succeed later.",
                    "headers": {
                        "retry-after": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}},
                        "x-request-id": {"description": "As in the body.", "schema": _TEXT},
                    },
                    "content": {"application/problem+json": {"schema": _ref(Problem)}},
                }
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic", "description": "Access key and secret key; over TLS only."},
            },
        },
    }


def _describe(schema: dict[str, Any], docstring: str) -> None:
    """The docstring's ``:ivar:`` lines become the fields' descriptions."""
    schema["description"] = " ".join(docstring.split(":ivar", 1)[0].split())
    for names, words in _IVAR.findall(docstring):
        for name in names.split(","):
            field = schema.get("properties", {}).get(name.strip())
            if field is not None:
                field["description"] = " ".join(words.split())


def _operation(operation: Operation) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": _VARIABLE_SCHEMAS.get(name, {**_TEXT, "minLength": 1}),
            "description": _VARIABLE_TEXTS[name],
        }
        for name in _VARIABLES.findall(operation.path)
    ]
    parameters += [
        {"name": one.name, "in": "query", "required": False, "schema": one.schema, "description": one.description}
        for one in operation.parameters.values()
    ]
    made: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": parameters,
        "responses": {str(status): _response(operation, status, body) for status, body in operation.responses.items()},
    }
    if operation.name == "readiness":
        made["responses"]["503"] = _response(operation, 503, operation.responses[200])
    for status in _refusals(operation):
        made["responses"].setdefault(str(status), _REFUSED)
    if operation.request is SENDING:
        made["requestBody"] = {"required": False, "content": _sending(operation)}
    elif operation.request is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(operation.request)}}}
    return made


def _refusals(operation: Operation) -> list[int]:
    """Every status with which the operation can be refused, by the gateway or by the server of HTTP."""
    found = {400, 401, 403, 404, 408, 421, 429, 431, 500, 501, 503}
    if operation.path.startswith("/v1/"):
        found |= {409, 502, 504, 507}
    if operation.request is not None:
        found |= {413, 415}
    if _HANDLES & set(_VARIABLES.findall(operation.path)) or operation.request is Acknowledgement:
        found.add(410)
    return sorted(found)


def _sending(operation: Operation) -> dict[str, Any]:
    content: dict[str, Any] = {
        "*/*": {"schema": {}},
        "application/json": {"schema": _ref(EnvelopeIn)},
        "application/cloudevents+json": {"schema": {"$ref": _REF.format(name="CloudEvent")}},
    }
    if operation.name == "send":
        content["application/cloudevents-batch+json"] = {
            "schema": {"type": "array", "minItems": 1, "items": {"$ref": _REF.format(name="CloudEvent")}}
        }
    return content


def _ref(struct: type) -> dict[str, str]:
    return {"$ref": _REF.format(name=struct.__name__)}


def _response(operation: Operation, status: int, body: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"description": _DESCRIPTIONS.get(status, "Done.")}
    if body is None:
        return made
    if operation.name == "stream":
        content: dict[str, Any] = {"text/event-stream": {"schema": _TEXT}, "application/x-ndjson": {"schema": _TEXT}}
    elif operation.name == "docs":
        content = {"text/html": {"schema": _TEXT}}
    elif body is dict:
        content = {"application/json": {"schema": {"type": "object"}}}
    elif isinstance(body, tuple):
        content = {"application/json": {"schema": {"anyOf": [_ref(one) for one in body]}}}
    else:
        content = {"application/json": {"schema": _ref(body)}}
    if operation.name == "landing":
        content |= {"text/html": {"schema": _TEXT}, "text/plain": {"schema": _TEXT}}
    if operation.name.startswith("receive"):
        events = {"type": "array", "items": {"$ref": _REF.format(name="CloudEvent")}}
        content["application/cloudevents-batch+json"] = {"schema": events}
        content["application/cloudevents+json"] = {"schema": {"$ref": _REF.format(name="CloudEvent")}}
        content["application/x-ndjson"] = {"schema": _TEXT}
        content["application/octet-stream"] = {"schema": {}}
    made["content"] = content
    return made


_DESCRIPTIONS = {
    200: "Done.",
    201: "Stored, durably.",
    204: "Done; there is nothing more to say.",
    207: "Some were not acknowledged; each says why.",
    503: "Not now.",
}
