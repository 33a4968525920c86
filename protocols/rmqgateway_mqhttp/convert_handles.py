"""Handles of half messages: what is needed to end the transaction, and until when; sans-IO.

Those of received messages are RocketMQ's own ExtraInfo strings, the same in every front-end. A half message was not
received: its handle holds where it is. It is no secret and not signed: whoever may send to the topic may end its
transactions, and the backend compares topic, group and place with the half message itself.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error

import msgspec

from rmqgateway.errors import Code, GatewayError

__all__ = ["HalfHandle", "decode_half_handle", "encode_half_handle"]

_PREFIX = "half-1-"
_LONGEST = 2048


class HalfHandle(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a handle says.

    :ivar producer_group: of the half message (its PGROUP), inner name.
    :ivar consumer: the group that fetched it, inner name; "" where the handle came with the publish.
    :ivar expires: ms since 1970.
    """

    producer_group: str
    consumer: str
    transaction_id: str
    queue_offset: int
    physical_offset: int
    expires: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(HalfHandle).decode


def encode_half_handle(handle: HalfHandle) -> str:
    """The handle as clients get it: letters, digits, ``-`` and ``_``."""
    return _PREFIX + urlsafe_b64encode(_encode(handle)).rstrip(b"=").decode()


def decode_half_handle(text: str) -> HalfHandle:
    """Take a handle apart. :raise GatewayError: BAD_RECEIPT_HANDLE."""
    if text.startswith(_PREFIX) and len(text) <= _LONGEST and text.isascii():
        data = text[len(_PREFIX) :]
        try:
            return _decode(urlsafe_b64decode(data + "=" * (-len(data) % 4)))
        except (Base64Error, msgspec.MsgspecError, UnicodeDecodeError):
            pass
    raise GatewayError(Code.BAD_RECEIPT_HANDLE, f"expected the handle of a half message, got {text[:100]!r}")
