"""CloudEvents 1.0 over HTTP: binary, structured and batch, to and from messages.

In RocketMQ an event's attributes are properties with the prefix ``CE_`` and its data is the body, as the RocketMQ binding of
the Java SDK has it (binary mode; ``CE_contenttype`` is the data's type). An event's ``partitionkey`` is the message group.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote

import msgspec

from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.wire.jsonlimits import decode_json
from rmqgateway_http.codec_json import read_base64
from rmqgateway_http.convert_sending import Draft

__all__ = ["BATCH", "STRUCTURED", "read_binary", "read_many", "write_event"]

STRUCTURED = b"application/cloudevents+json"
BATCH = b"application/cloudevents-batch+json"
_PREFIX = "CE_"
_CONTENT_TYPE = "CE_contenttype"
_REQUIRED = ("specversion", "id", "source", "type")
_NAME = re.compile(r"[a-z0-9]{1,64}").fullmatch
_IS_JSON = re.compile(r"(application|text)/([a-z0-9.!#$&^_-]+\+)?json(;.*)?", re.IGNORECASE).fullmatch
_BOOLEANS = {True: "true", False: "false"}


def _bad(detail: str) -> GatewayError:
    return GatewayError(Code.BAD_MESSAGE, f"CloudEvents: {detail}")


def _draft(attributes: dict[str, str], content_type: str, body: bytes, new_id: Callable[[], str], where: str) -> Draft:
    for name in _REQUIRED:
        if not attributes.get(name):
            raise _bad(f"{where}expected the attribute {name}")
    if attributes["specversion"] != "1.0":
        raise _bad(f"{where}specversion: expected 1.0, got {attributes['specversion'][:20]!r}")
    named = {_PREFIX + name: value for name, value in attributes.items() if value}
    if content_type:
        named[_CONTENT_TYPE] = content_type
    group = attributes.get("partitionkey", "")
    if group:
        named["__SHARDINGKEY"] = group
    named["UNIQ_KEY"] = new_id()
    return Draft(body, named, -1, group)


def read_binary(
    body: bytes, headers: Sequence[tuple[bytes, bytes]], content_type: bytes, new_id: Callable[[], str]
) -> Draft:
    """An event whose attributes are ``ce-`` headers. :raise GatewayError: BAD_MESSAGE."""
    attributes = {}
    for name, value in headers:
        if name.startswith(b"ce-"):
            attribute = name[3:].decode("ascii", "replace")
            if not _NAME(attribute):
                raise _bad(f"expected names of a-z and 0-9, got {attribute[:100]!r}")
            try:
                attributes[attribute] = unquote(value.decode(), errors="strict")
            except UnicodeDecodeError:
                raise _bad(f"{attribute}: expected UTF-8") from None
    return _draft(attributes, content_type.decode("latin-1"), body, new_id, "")


def read_many(data: bytes, limit: int, max_messages: int, is_batch: bool, new_id: Callable[[], str]) -> list[Draft]:
    """A structured event, or a batch of them. :raise GatewayError: BAD_MESSAGE, BAD_REQUEST, MESSAGE_TOO_LARGE."""
    if len(data) > limit:
        raise GatewayError(Code.MESSAGE_TOO_LARGE, f"the request's body: expected at most {limit} bytes, got {len(data)}")
    try:
        if not is_batch:
            event = decode_json(data, limit, refuse_duplicates=True, type=dict[str, msgspec.Raw])
            return [_from_json(event, new_id, "")]
        events = decode_json(data, limit, refuse_duplicates=True, type=list[dict[str, msgspec.Raw]])
    except WireError as error:
        raise GatewayError(Code.BAD_REQUEST, error.message) from None
    if not 0 < len(events) <= max_messages:
        raise _bad(f"expected 1 to {max_messages} events in a batch (setting max_messages), got {len(events)}")
    return [_from_json(event, new_id, f"event {number}: ") for number, event in enumerate(events)]


def _from_json(event: dict[str, msgspec.Raw], new_id: Callable[[], str], where: str) -> Draft:
    raw = event.pop("data", None)
    encoded = event.pop("data_base64", None)
    if raw is not None and encoded is not None:
        raise _bad(f"{where}expected one of data and data_base64")
    attributes: dict[str, str] = {}
    for name, value in event.items():
        if not _NAME(name):
            raise _bad(f"{where}expected attributes named by a-z and 0-9, got {name[:100]!r}")
        plain = msgspec.json.decode(value)
        if isinstance(plain, bool):
            plain = _BOOLEANS[plain]
        elif isinstance(plain, int):
            plain = str(plain)
        elif plain is None:
            continue
        if not isinstance(plain, str):
            raise _bad(f"{where}{name}: expected text, a whole number or a boolean")
        attributes[name] = plain
    content_type = attributes.pop("datacontenttype", "")
    if encoded is not None:
        text = msgspec.json.decode(encoded)
        if not isinstance(text, str):
            raise _bad(f"{where}data_base64: expected text")
        body = read_base64(text, f"{where}data_base64")
    elif raw is None:
        body = b""
    elif content_type and not _IS_JSON(content_type):
        text = msgspec.json.decode(raw)
        body = text.encode() if isinstance(text, str) else bytes(raw)
    else:
        body = bytes(raw)
        content_type = content_type or "application/json"
    return _draft(attributes, content_type, body, new_id, where)


def write_event(named: dict[str, str], body: bytes, message_id: str, topic: str, group: str) -> dict[str, Any]:
    """A message as a structured event. One that was no event becomes one of type ``org.apache.rocketmq.message``.

    :param named: the user's properties.
    """
    event: dict[str, Any] = {
        name[len(_PREFIX) :]: value
        for name, value in named.items()
        if name.startswith(_PREFIX) and name != _CONTENT_TYPE and _NAME(name[len(_PREFIX) :])
    }
    event.setdefault("specversion", "1.0")
    event.setdefault("id", message_id)
    event.setdefault("source", f"/topics/{topic}")
    event.setdefault("type", "org.apache.rocketmq.message")
    if group:
        event.setdefault("partitionkey", group)
    content_type = named.get(_CONTENT_TYPE) or event.get("datacontenttype") or ""
    if content_type:
        event["datacontenttype"] = content_type
    if not body:
        return event
    if content_type and _IS_JSON(content_type):
        try:
            decode_json(body, len(body))
        except WireError:
            pass
        else:
            event["data"] = msgspec.Raw(body)
            return event
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = None
    if text is not None and (not content_type or content_type.startswith("text/")):
        event.setdefault("datacontenttype", "text/plain")
        event["data"] = text
    else:
        event["data_base64"] = base64.b64encode(body).decode()
    return event
