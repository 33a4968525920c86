"""A published ``<Message>`` to what SendMessages takes; sans-IO.

Reserved properties: ``KEYS``; ``__STARTDELIVERTIME`` (ms since 1970) is RocketMQ's TIMER_DELIVER_MS; ``__TransCheckT``
(seconds) makes a half message that is first checked after that time; ``__SHARDINGKEY`` is RocketMQ's own name.
``__BodyEncoding`` with the value ``base64`` is ours: the body's bytes, which XML could not carry, are what that text decodes to.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from hashlib import md5

import msgspec

from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import Message
from rmqgateway.wire.consistent_hash import consistent_hash, java_hash
from rmqgateway.wire.message_const import SYSTEM_PROPERTIES, MessageSysFlag

__all__ = [
    "BASE64",
    "BODY_ENCODING",
    "DELIVERY_TIME",
    "TRANSACTION_CHECK",
    "Published",
    "queue_of",
    "read_published",
]

DELIVERY_TIME = "__STARTDELIVERTIME"
TRANSACTION_CHECK = "__TransCheckT"
SHARDING_KEY = "__SHARDINGKEY"
BODY_ENCODING = "__BodyEncoding"
BASE64 = "base64"
_OWN = frozenset({DELIVERY_TIME, TRANSACTION_CHECK, BODY_ENCODING})
_REFUSED = SYSTEM_PROPERTIES - {"KEYS"} | {"CHECK_IMMUNITY_TIME_IN_SECONDS", "TRANSACTION_CHECK_TIMES"}
_FIRST_CHECK = (10, 300)
_PREPARED = int(MessageSysFlag.TRANSACTION_PREPARED)


class Published(msgspec.Struct, frozen=True):
    """A message that is published.

    :ivar check_seconds: of a half message, when it is first checked; 0: no half message.
    :ivar sharding_key: messages of one key are consumed in order; "": none.
    :ivar body_md5: of the text that was sent, as the SDKs compare it: 32 upper-case digits.
    """

    message: Message
    message_id: str
    body_md5: str
    check_seconds: int = 0
    sharding_key: str = ""


def read_published(body: str, tag: str, properties: str, message_id: str) -> Published:
    """What a ``<Message>`` stands for.

    :param properties: ``name:value|…``. :param message_id: its unique key.
    :raise GatewayError: BAD_MESSAGE_PROPERTY, BAD_MESSAGE, naming what is wrong.
    """
    data = body.encode()
    digest = md5(data, usedforsecurity=False).hexdigest().upper()
    text = f"UNIQ_KEY\x01{message_id}\x02"
    if tag:
        if "|" in tag:
            raise GatewayError(Code.BAD_MESSAGE_PROPERTY, f"tag: expected no '|', got {tag[:100]!r}")
        text += f"TAGS\x01{tag}\x02"
    if not properties:
        return Published(Message(data, text.encode()), message_id, digest)
    named = _split(properties)
    for name, value in named.items():
        if name not in _OWN:
            text += f"{name}\x01{value}\x02"
    if DELIVERY_TIME in named:
        text += f"TIMER_DELIVER_MS\x01{_number(named, DELIVERY_TIME, 0, 10**15)}\x02"
    sys_flag = seconds = 0
    if TRANSACTION_CHECK in named:
        if DELIVERY_TIME in named:
            raise GatewayError(
                Code.BAD_MESSAGE_PROPERTY, f"expected only one of {DELIVERY_TIME} and {TRANSACTION_CHECK}"
            )
        seconds = _number(named, TRANSACTION_CHECK, *_FIRST_CHECK)
        sys_flag = _PREPARED
        text += f"TRAN_MSG\x01true\x02CHECK_IMMUNITY_TIME_IN_SECONDS\x01{seconds}\x02"
    if BODY_ENCODING in named:
        data = _decoded(body, named[BODY_ENCODING])
    message = Message(data, text.encode(), sys_flag=sys_flag)
    return Published(message, message_id, digest, seconds, named.get(SHARDING_KEY, ""))


def _split(properties: str) -> dict[str, str]:
    named: dict[str, str] = {}
    for item in properties.split("|"):
        if not item:
            continue
        name, _, value = item.partition(":")
        if not name or not value or ":" in value:
            raise GatewayError(
                Code.BAD_MESSAGE_PROPERTY, f"Properties: expected name:value, got {item[:100]!r}"
            )
        if name in _REFUSED:
            raise GatewayError(
                Code.BAD_MESSAGE_PROPERTY, f"the property {name} is RocketMQ's own, a user cannot set it"
            )
        if name in named:
            raise GatewayError(Code.BAD_MESSAGE_PROPERTY, f"Properties: {name[:100]!r} is there twice")
        named[name] = value
    return named


def _number(named: dict[str, str], name: str, least: int, most: int) -> int:
    text = named[name]
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise GatewayError(
            Code.BAD_MESSAGE_PROPERTY, f"{name}: expected a number from {least} to {most}, got {text[:50]!r}"
        )
    return int(text)


def _decoded(body: str, encoding: str) -> bytes:
    if encoding != BASE64:
        raise GatewayError(
            Code.BAD_MESSAGE_PROPERTY, f"{BODY_ENCODING}: expected {BASE64}, got {encoding[:50]!r}"
        )
    try:
        return b64decode(body, validate=True)
    except (Base64Error, ValueError):
        raise GatewayError(Code.BAD_MESSAGE, f"the body is no {BASE64}, as {BODY_ENCODING} says") from None


def queue_of(sharding_key: str, queues: int) -> int:
    """The queue of a sharding key, as in Apache's proxy. :param queues: that can be written, at least 1."""
    return consistent_hash(java_hash(sharding_key), queues)
