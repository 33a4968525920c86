"""Requests to messages: raw bodies with headers, and JSON envelopes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.message import Message
from rmqgateway.wire.message_const import SYSTEM_PROPERTIES
from rmqgateway.wire.message_properties import encode_properties
from rmqgateway_http.codec_json import EnvelopeIn, MessageIn, nearest, read_base64, read_json
from rmqgateway_http.codec_parameters import (
    Parameter,
    duration,
    moment,
    number,
    read_duration,
    read_time,
    text,
)

__all__ = ["SEND_PARAMETERS", "Draft", "read_envelope", "read_raw"]

#: A year in ms: nobody means more; the backend's own limit is smaller.
_YEAR_MS = 366 * 86_400_000
_MAX_PROPERTIES = 128
_PREFIX = b"x-rocketmq-"
_PROPERTY = b"x-rocketmq-property-"
_NOT_USERS = SYSTEM_PROPERTIES | {"__SHARDINGKEY"}

#: What a raw body can say besides, as ``?tag=`` or as header ``X-RocketMQ-Tag`` (``_`` is ``-`` there).
SEND_PARAMETERS: dict[str, Parameter] = {
    one.name: one
    for one in (
        text("tag", "The message's tag, by which consumers filter.", 255),
        text("keys", "Keys by which the message can be found, separated by blanks or commas."),
        text("message_group", "Messages of one group are consumed in order.", 255),
        duration("delay", "Deliver so much later: seconds, or with a unit: 500ms, 90s, 5m, 2h, 1d.", _YEAR_MS),
        number("delay_level", "Deliver later by one of RocketMQ's levels (1: 1 s, 18: 2 h).", 0, 18),
        moment("deliver_at", "Deliver at this time: ms since 1970, or RFC 3339."),
        number("queue_id", "Store in this queue instead of one that the gateway chooses.", 0, 65535),
        number("priority", "RocketMQ 5.5's priority.", 0, 255),
        text("lite_topic", "A lite topic of the topic, where that is of type LITE.", 64),
    )
}
_KNOWN_HEADERS = {one.replace("_", "-").encode(): one for one in SEND_PARAMETERS}
#: For `call`, not for a message.
_OTHER_HEADERS = frozenset({b"producer-group"})


class Draft:
    """A message to send. :ivar named: RocketMQ's properties; a handler may add some. :ivar group: the message group."""

    __slots__ = ("body", "group", "named", "queue_id")

    def __init__(self, body: bytes, named: dict[str, str], queue_id: int = -1, group: str = "") -> None:
        self.body = body
        self.named = named
        self.queue_id = queue_id
        self.group = group

    @property
    def message_id(self) -> str:
        """Its unique key."""
        return self.named["UNIQ_KEY"]

    @property
    def is_lite(self) -> bool:
        """Whether it is for a lite topic: then the topic must be of that type."""
        return "__LITE_TOPIC" in self.named

    def message(self) -> Message:
        """:raise GatewayError: BAD_MESSAGE_PROPERTY."""
        named = self.named
        if len(named) == 1 and "UNIQ_KEY" in named:
            return Message(self.body, b"UNIQ_KEY\x01%b\x02" % named["UNIQ_KEY"].encode(), self.queue_id)
        try:
            return Message(self.body, encode_properties(self.named), self.queue_id)
        except WireError as error:
            raise GatewayError(Code.BAD_MESSAGE_PROPERTY, error.message) from None


def read_raw(
    body: bytes, headers: Sequence[tuple[bytes, bytes]], values: dict[str, Any], new_id: Callable[[], str]
) -> Draft:
    """The request's body is the message's. :param values: from the query, which counts more than headers.

    :raise GatewayError: BAD_REQUEST, BAD_MESSAGE, BAD_MESSAGE_PROPERTY.
    """
    properties: dict[str, str] | None = None
    found: dict[str, Any] | None = None
    for name, value in headers:
        if not name.startswith(_PREFIX):
            continue
        shown = _header_text(name, value)
        if name.startswith(_PROPERTY):
            if properties is None:
                properties = {}
            properties[name[len(_PROPERTY) :].decode("ascii", "replace")] = shown
            continue
        known = _KNOWN_HEADERS.get(name[len(_PREFIX) :])
        if known is None:
            if name[len(_PREFIX) :] not in _OTHER_HEADERS:
                raise GatewayError(Code.BAD_REQUEST, f"unknown header {name.decode('ascii', 'replace')[:100]}{_near(name)}")
            continue
        if found is None:
            found = {}
        try:
            found[known] = SEND_PARAMETERS[known].read(shown)
        except ValueError as error:
            raise GatewayError(Code.BAD_REQUEST, f"header {name.decode()}: {error}, got {shown[:100]!r}") from None
    if found is None and properties is None and not values:
        return Draft(body, {"UNIQ_KEY": new_id()})
    if found is None:
        found = values
    elif values:
        found.update(values)
    get = found.get
    return _draft(
        body, new_id(), get("tag", ""), get("keys", "").replace(",", " ").split(), properties or {}, get("message_group", ""),
        get("delay"), get("delay_level"), get("deliver_at"), get("queue_id", -1), get("priority"), get("lite_topic", ""),
    )  # fmt: skip


def _header_text(name: bytes, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        shown = name.decode("ascii", "replace")
        raise GatewayError(Code.BAD_REQUEST, f"header {shown[:100]}: expected UTF-8") from None


def _near(name: bytes) -> str:
    known = [(_PREFIX + one).decode() for one in _KNOWN_HEADERS]
    return nearest(name.decode("ascii", "replace"), [*known, _PROPERTY.decode() + "NAME"])


def read_envelope(data: bytes, limit: int, max_messages: int, new_id: Callable[[], str]) -> tuple[list[Draft], bool, bool]:
    """The messages of a JSON request, whether they are one batch, and whether it was a list.

    :raise GatewayError: as `read_raw`, naming the message.
    """
    envelope = read_json(data, EnvelopeIn, limit)
    if envelope.messages is None:
        if envelope.as_batch:
            raise GatewayError(Code.BAD_REQUEST, "as_batch: expected with messages only")
        return [_from_json(envelope, new_id, "")], False, False
    count = len(envelope.messages)
    if not 0 < count <= max_messages:
        raise GatewayError(Code.BAD_REQUEST, f"messages: expected 1 to {max_messages} (setting max_messages), got {count}")
    if envelope != EnvelopeIn(messages=envelope.messages, as_batch=envelope.as_batch):
        raise GatewayError(Code.BAD_REQUEST, "expected either the fields of one message or messages, got both")
    drafts = [_from_json(one, new_id, f"messages[{number}].") for number, one in enumerate(envelope.messages)]
    return drafts, envelope.as_batch, True


def _from_json(message: MessageIn, new_id: Callable[[], str], where: str) -> Draft:
    is_json = message.json is not msgspec.UNSET
    if (message.body is not None) + (message.body_base64 is not None) + is_json > 1:
        raise GatewayError(Code.BAD_MESSAGE, f"{where}body: expected one of body, body_base64 and json")
    try:
        if message.body is not None:
            body = message.body.encode()
        elif message.body_base64 is not None:
            body = read_base64(message.body_base64, where + "body_base64")
        else:
            body = bytes(message.json) if is_json else b""  # type: ignore[arg-type]  # Raw is a buffer
        delay = None if message.delay is None else read_duration(str(message.delay))
        deliver_at = None if message.deliver_at is None else read_time(str(message.deliver_at))
    except ValueError as error:  # UnicodeEncodeError is one
        raise GatewayError(Code.BAD_MESSAGE, f"{where or 'message: '}{error}") from None
    keys = message.keys.replace(",", " ").split() if isinstance(message.keys, str) else message.keys
    return _draft(
        body, new_id(), message.tag, keys, message.properties, message.message_group, delay, message.delay_level, deliver_at,
        message.queue_id, message.priority, message.lite_topic,
    )  # fmt: skip


def _draft(
    body: bytes,
    message_id: str,
    tag: str,
    keys: Iterable[str],
    properties: dict[str, str],
    group: str,
    delay: int | None,
    delay_level: int | None,
    deliver_at: int | None,
    queue_id: int,
    priority: int | None,
    lite_topic: str,
) -> Draft:
    if (delay is not None) + (delay_level is not None) + (deliver_at is not None) > 1:
        raise GatewayError(Code.BAD_DELIVERY_TIME, "expected one of delay, delay_level and deliver_at")
    if len(properties) > _MAX_PROPERTIES:
        raise GatewayError(Code.PROPERTIES_TOO_LARGE, f"expected at most {_MAX_PROPERTIES} properties, got {len(properties)}")
    if not _NOT_USERS.isdisjoint(properties):
        name = min(_NOT_USERS.intersection(properties))
        raise GatewayError(Code.BAD_MESSAGE_PROPERTY, f"the property {name} is RocketMQ's own, a user cannot set it")
    named = dict(properties)
    for name, value in named.items():
        if not name or not value:
            raise GatewayError(Code.BAD_MESSAGE_PROPERTY, f"property {name[:100]!r}: expected a name and a value, got nothing")
    if tag:
        if "|" in tag or tag.isspace() or not tag.isprintable():
            raise GatewayError(Code.BAD_MESSAGE_PROPERTY, f"tag: expected printable text without '|', got {tag[:100]!r}")
        named["TAGS"] = tag
    joined = " ".join(keys)
    if joined:
        named["KEYS"] = joined
    if group:
        named["__SHARDINGKEY"] = group
    if delay:
        named["TIMER_DELAY_MS"] = str(delay)
    elif delay_level:
        named["DELAY"] = str(delay_level)
    elif deliver_at:
        named["TIMER_DELIVER_MS"] = str(deliver_at)
    if priority is not None:
        named["_SYS_MSG_PRIORITY_"] = str(priority)
    if lite_topic:
        named["__LITE_TOPIC"] = lite_topic
    named["UNIQ_KEY"] = message_id
    return Draft(body, named, queue_id, group)


