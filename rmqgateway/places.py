"""Where a member of a broadcast is: an offset in each queue, as text that goes with each of its messages."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, unquote

from rmqgateway.errors import Code, GatewayError

__all__ = ["MAX_QUEUES", "Place", "Queue", "read_place", "write_place"]

#: (broker name, queue id)
Queue = tuple[str, int]
#: The offset after the last message that was delivered, by queue.
Place = dict[Queue, int]

#: A place names each queue, and goes with each message.
MAX_QUEUES = 1024
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_MAX_TEXT = 16 * 1024


def _number(value: int) -> str:
    if value < 36:
        return _DIGITS[value]
    found = ""
    while value:
        value, digit = divmod(value, 36)
        found = _DIGITS[digit] + found
    return found


def write_place(place: Mapping[Queue, int]) -> str:
    """A place as text of letters, digits and ``._-:~%``: "broker:offset.offset..~broker:…", offsets in base 36 by queue id,
    nothing for a queue that has none."""
    brokers: dict[str, list[str]] = {}
    for (name, number), offset in sorted(place.items()):
        offsets = brokers.setdefault(name, [])
        offsets += [""] * (number - len(offsets))
        offsets.append(_number(offset))
    return "~".join([f"{quote(name, safe='').replace('~', '%7E')}:{'.'.join(offsets)}" for name, offsets in brokers.items()])


def read_place(text: str) -> Place:
    """The other way. :raise GatewayError: BAD_REQUEST: it is none."""
    place: Place = {}
    try:
        if not 0 < len(text) <= _MAX_TEXT or not text.isascii():
            raise ValueError("its length")
        for part in text.split("~"):
            name, colon, offsets = part.rpartition(":")
            if not colon:
                raise ValueError("no broker")
            for number, offset in enumerate(offsets.split(".")):
                if len(offset) > 13 or (offset and not offset.isalnum()) or number >= MAX_QUEUES:
                    raise ValueError("no offset")
                if offset:
                    place[unquote(name), number] = min(int(offset, 36), (1 << 63) - 1)
    except ValueError:
        raise GatewayError(
            Code.BAD_REQUEST, f"place: expected what came with a message of a broadcast, got {text[:100]!r}"
        ) from None
    return place
