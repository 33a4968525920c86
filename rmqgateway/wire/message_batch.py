"""The body of a batch send (SEND_BATCH_MESSAGE): messages of one topic, packed by the client.

Each: total size (4) | magic, unused (4) | body CRC, unused (4) | flag (4) | body size (4), body |
properties size (2), properties. Source: ``MessageDecoder.encodeMessages`` and ``decodeMessages`` of 5.5.0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import msgspec

from rmqgateway.errors import WireError

__all__ = ["BatchedMessage", "decode_batch", "encode_batch"]

_HEAD = struct.Struct(">IiiiI")
_U16 = struct.Struct(">H")
_MIN_SIZE = _HEAD.size + 2


class BatchedMessage(msgspec.Struct, gc=False):
    """One message of a batch; `properties` as in ``message_properties``."""

    body: bytes
    properties: bytes = b""
    flag: int = 0


def decode_batch(data: bytes, max_messages: int = 100_000) -> list[BatchedMessage]:
    """Take the body of a batch send apart.

    :raise WireError: not fatal: a length passes the end or contradicts another, or there are more than
        `max_messages`.
    """
    messages: list[BatchedMessage] = []
    position = 0
    size = len(data)
    while position < size:
        if len(messages) >= max_messages:
            raise WireError(f"message batch: expected at most {max_messages} messages", fatal=False)
        if size - position < _MIN_SIZE:
            raise _bad(len(messages), "size", f"at least {_MIN_SIZE}", size - position)
        total, _, _, flag, body_size = _HEAD.unpack_from(data, position)
        if total < _MIN_SIZE or total > size - position:
            raise _bad(len(messages), "size", f"{_MIN_SIZE}..{size - position}", total)
        if body_size > total - _MIN_SIZE:
            raise _bad(len(messages), "body size", f"at most {total - _MIN_SIZE}", body_size)
        body_start = position + _HEAD.size
        body_end = body_start + body_size
        (properties_size,) = _U16.unpack_from(data, body_end)
        if properties_size != total - _MIN_SIZE - body_size:
            raise _bad(len(messages), "properties size", f"{total - _MIN_SIZE - body_size}", properties_size)
        position += total
        messages.append(BatchedMessage(data[body_start:body_end], data[body_end + 2 : position], flag))
    return messages


def encode_batch(messages: Iterable[BatchedMessage]) -> bytes:
    """The body of a batch send.

    :raise WireError: not fatal: properties of more than 32767 bytes.
    """
    parts: list[bytes] = []
    for number, message in enumerate(messages):
        body, properties = message.body, message.properties
        if len(properties) > 32767:
            raise _bad(number, "properties size", "at most 32767", len(properties))
        total = _MIN_SIZE + len(body) + len(properties)
        parts += (
            _HEAD.pack(total, 0, 0, message.flag, len(body)),
            body,
            _U16.pack(len(properties)),
            properties,
        )
    return b"".join(parts)


def _bad(number: int, field: str, expected: str, got: int) -> WireError:
    return WireError(
        f"message {number} of the batch, {field}: expected {expected} bytes, got {got}", fatal=False
    )
