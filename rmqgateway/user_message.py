"""A message as an application sees it, for front-ends of protocols that know nothing of RocketMQ's layouts.

What RocketMQ keeps in properties with names of its own (tag, keys, message group, delay) are fields here; the rest are the
user's properties, whose names may not be RocketMQ's.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

import msgspec

from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.message import Message
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_body import MAX_BODY, readable_body
from rmqgateway.wire.message_const import (
    KEY_SEPARATOR,
    PROPERTY_KEYS,
    PROPERTY_SHARDING_KEY,
    PROPERTY_TAGS,
    PROPERTY_TIMER_DELAY_MS,
    PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX,
    SYSTEM_PROPERTIES,
)
from rmqgateway.wire.message_properties import decode_properties, encode_properties
from rmqgateway.wire.text import number

__all__ = ["UserMessage", "from_headers", "from_stored", "to_headers", "to_message"]

_NOT_USERS = SYSTEM_PROPERTIES | {PROPERTY_SHARDING_KEY}
_FIELDS = frozenset({"tags", "keys", "message-group", "delay"})


class UserMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message.

    :ivar body: uncompressed. :ivar properties: the user's own.
    :ivar message_group: messages of one group are consumed in order. :ivar delay_ms: to be delivered so much later.
    :ivar message_id: the unique key; of a message that is sent: "", one is given to it.
    """

    body: bytes
    properties: dict[str, str] = {}
    tag: str = ""
    keys: tuple[str, ...] = ()
    message_group: str = ""
    delay_ms: int = 0
    message_id: str = ""


def to_message(message: UserMessage) -> Message:
    """What SendMessages takes.

    :raise GatewayError: BAD_MESSAGE_PROPERTY: a name that is RocketMQ's own, or text that properties cannot hold.
    """
    properties = message.properties
    if not _NOT_USERS.isdisjoint(properties):
        name = min(_NOT_USERS.intersection(properties))
        raise GatewayError(Code.BAD_MESSAGE_PROPERTY, f"the property {name} is RocketMQ's own, a user cannot set it")
    named = dict(properties)
    if message.tag:
        named[PROPERTY_TAGS] = message.tag
    if message.keys:
        named[PROPERTY_KEYS] = KEY_SEPARATOR.join(message.keys)
    if message.message_group:
        named[PROPERTY_SHARDING_KEY] = message.message_group
    if message.delay_ms > 0:
        named[PROPERTY_TIMER_DELAY_MS] = str(message.delay_ms)
    if message.message_id:
        named[PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX] = message.message_id
    try:
        return Message(message.body, encode_properties(named))
    except WireError as error:
        raise GatewayError(Code.BAD_MESSAGE_PROPERTY, error.message) from None


def from_stored(message: stored_message.Buffer, max_body: int = MAX_BODY) -> UserMessage:
    """A stored message (`Delivery.message`, `ReceivedMessage.message`).

    :raise WireError: not fatal: its body cannot be uncompressed, see ``message_body``.
    """
    named = decode_properties(stored_message.properties(message))
    return UserMessage(
        readable_body(message, max_body),
        {name: value for name, value in named.items() if name not in _NOT_USERS},
        named.get(PROPERTY_TAGS, ""),
        tuple(named.get(PROPERTY_KEYS, "").split()),
        named.get(PROPERTY_SHARDING_KEY, ""),
        0,
        named.get(PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX, ""),
    )


def from_headers(body: bytes, headers: Mapping[str, str], own: Container[str] = ()) -> UserMessage:
    """A message of a protocol whose messages have named texts (STOMP, NATS, MQTT 5): ``tags``, ``keys`` (separated by blanks),
    ``message-group`` and ``delay`` (ms) are its fields, all others are the user's properties.

    :param own: names that are the protocol's own. :raise WireError: the delay is no number.
    """
    return UserMessage(
        body,
        {name: value for name, value in headers.items() if name not in _FIELDS and name not in own},
        headers.get("tags", ""),
        tuple(headers.get("keys", "").split()),
        headers.get("message-group", ""),
        number(headers.get("delay", "0"), "delay"),
    )


def to_headers(message: UserMessage) -> dict[str, str]:
    """The named texts of a message, as `from_headers` takes them, its delay left out. Names of the protocol's own are to
    replace these: anybody may have sent a property with such a name."""
    fields = {"tags": message.tag, "keys": " ".join(message.keys), "message-group": message.message_group}
    return message.properties | {name: value for name, value in fields.items() if value}
