"""The AsyncAPI 3 document, made from the frames' structs."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

import rmqgateway
from rmqgateway_websocket.codec import JSON, MSGPACK
from rmqgateway_websocket.frames import CLIENT_FRAMES, SERVER_FRAMES

__all__ = ["document"]

#: What answers a frame when it is not ``done`` or ``error``.
_ANSWERS = {
    "connect": "connected",
    "send": "sent",
    "receive": "received",
    "peek": "received",
    "pull": "pulled",
    "queryOffset": "offset",
    "getOffset": "offset",
    "route": "route",
    "request": "replied",
    "recall": "recalled",
}


def _text(struct: type[Any]) -> str:
    return " ".join((inspect.getdoc(struct) or "").replace("``", "`").split(":ivar")[0].split())


def _key(struct: type[Any], direction: str) -> str:
    return f"{direction}.{struct.__struct_config__.tag}"


def document() -> bytes:
    """The document as JSON."""
    frames: tuple[type[msgspec.Struct], ...] = (*CLIENT_FRAMES, *SERVER_FRAMES)
    _, schemas = msgspec.json.schema_components(frames, ref_template="#/components/schemas/{name}")
    for struct in frames:
        schemas[struct.__name__]["description"] = _text(struct)
    messages: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    channel = {"$ref": "#/channels/websocket"}
    for direction, structs in (("client", CLIENT_FRAMES), ("server", SERVER_FRAMES)):
        for struct in structs:
            messages[_key(struct, direction)] = {
                "name": struct.__struct_config__.tag,
                "summary": _text(struct),
                "contentType": "application/json",
                "payload": {"$ref": f"#/components/schemas/{struct.__name__}"},
            }
    for struct in CLIENT_FRAMES:
        tag = str(struct.__struct_config__.tag)
        answers = ("server." + _ANSWERS.get(tag, "done"), "server.error")
        operations[tag] = {
            "action": "receive",
            "channel": channel,
            "summary": _text(struct),
            "messages": [{"$ref": f"#/channels/websocket/messages/client.{tag}"}],
            "reply": {
                "channel": channel,
                "messages": [{"$ref": f"#/channels/websocket/messages/{name}"} for name in answers],
            },
        }
    for tag in ("deliver", "place", "check", "goAway", "error"):
        operations["on" + tag[0].upper() + tag[1:]] = {
            "action": "send",
            "channel": channel,
            "messages": [{"$ref": f"#/channels/websocket/messages/server.{tag}"}],
        }
    return msgspec.json.encode(
        {
            "asyncapi": "3.0.0",
            "info": {
                "title": "rmqgateway over WebSocket",
                "version": rmqgateway.__version__,
                "description": "One frame in each WebSocket message. A frame with an id is answered by one frame with the "
                f"same id. Sub-protocol {JSON}: JSON in text messages, bytes in base64. Sub-protocol {MSGPACK}: the same "
                "maps in MessagePack, in binary messages, bytes as they are.",
                "license": {"name": "Apache-2.0"},
            },
            "defaultContentType": "application/json",
            "servers": {
                "here": {
                    "host": "127.0.0.1:8080",
                    "pathname": "/",
                    "protocol": "ws",
                    "description": f"Any path; Sec-WebSocket-Protocol: {JSON} or {MSGPACK}.",
                }
            },
            "channels": {
                "websocket": {
                    "address": "/",
                    "messages": {key: {"$ref": f"#/components/messages/{key}"} for key in messages},
                }
            },
            "operations": operations,
            "components": {"messages": messages, "schemas": schemas},
        }
    )
