"""What clients keep instead of us: receipt handles, transactions, reply addresses, event ids, as text fit for a URL.

RocketMQ's receipt handles hold blanks. ``!`` escapes, ``~`` is a blank, so the rest of a handle stays readable. The other
kinds are MessagePack in unpadded URL-safe base64 and hold what the command needs; nothing secret, and the door judges whoever
presents them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from rmqgateway.errors import Code, GatewayError

__all__ = [
    "EventId",
    "ReplyAddress",
    "Transaction",
    "append_handle",
    "read_event_id",
    "read_receipt_handle",
    "read_token",
    "write_event_id",
    "write_receipt_handle",
    "write_token",
]

_MAX_TOKEN = 4096
_MAX_EVENT_ID = 16 * 1024
#: An event id names at most so many handles.
MAX_LISTED = 64

T = TypeVar("T", "Transaction", "ReplyAddress")


class Transaction(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A prepared message: what EndTransaction takes."""

    topic: str
    producer_group: str
    transaction_id: str
    queue_offset: int = -1
    physical_offset: int = -1
    from_check: bool = False


class ReplyAddress(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where the reply to a request goes: RocketMQ's reply topic of the cluster, and who waits for what."""

    topic: str
    client_id: str
    correlation_id: str
    ttl_ms: str = ""


class EventId(msgspec.Struct, frozen=True):
    """The id of an event of a stream. :ivar handles: unsettled when it was sent, itself last."""

    stream: str
    number: int
    handles: tuple[str, ...]


def write_receipt_handle(handle: str) -> str:
    """RocketMQ's handle as clients of this API know it."""
    if "!" in handle or "~" in handle or "," in handle:
        handle = handle.replace("!", "!1").replace("~", "!2").replace(",", "!3")
    return handle.replace(" ", "~")


def read_receipt_handle(text: str) -> str:
    """The other way; a handle with blanks is taken as it is."""
    text = text.replace("~", " ")
    if "!" in text:
        text = text.replace("!3", ",").replace("!2", "~").replace("!1", "!")
    return text


def write_token(value: Transaction | ReplyAddress) -> str:
    """A transaction or a reply address as text."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(value)).rstrip(b"=").decode()


def read_token(text: str, kind: type[T], what: str) -> T:
    """The other way. :raise GatewayError: BAD_REQUEST: it is none; `what` names it."""
    try:
        if len(text) > _MAX_TOKEN:
            raise ValueError("too long")
        data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return msgspec.msgpack.decode(data, type=kind)
    except (ValueError, binascii.Error, RecursionError):
        raise GatewayError(Code.BAD_REQUEST, f"{what}: expected what this API gave out, got {text[:100]!r}") from None


def append_handle(listed: str, last: str, handle: str) -> str:
    """A list of handles, in the form of event ids, with one more: parts that it shares with the one before are left out."""
    if not listed:
        return handle
    cut = handle.rfind("~") + 1
    end = handle[cut:]
    if (
        cut
        and handle[:cut] == last[:cut]
        and "" not in (end, last[cut:])
        and end != last[cut:]
        and "~" not in last[cut:]
        and "~~" not in handle
        and handle[0] not in "=~"
    ):
        # The usual case, without taking both apart: the next message of the same receive and queue.
        return f"{listed},{'~' * handle.count('~')}{end}"
    before, parts = last.split("~"), handle.split("~")
    if len(before) != len(parts) or "" in parts:
        return f"{listed},={handle}"
    short = "~".join(["" if part == other else part for part, other in zip(parts, before, strict=True)])
    return f"{listed},={handle}" if short[:1] == "=" else f"{listed},{short}"


def write_event_id(stream: str, number: int, listed: str) -> str:
    """An event's id. :param listed: made by `append_handle` of handles in the form of `write_receipt_handle`."""
    return f"{stream}.{number}~{listed}"


def read_event_id(text: str) -> EventId:
    """The other way. :raise GatewayError: BAD_REQUEST."""
    head, mark, listed = text.partition("~")
    stream, dot, number = head.partition(".")
    if not mark or not dot or not number.isdigit() or len(number) > 18 or len(text) > _MAX_EVENT_ID or not text.isascii():
        raise GatewayError(Code.BAD_REQUEST, f"Last-Event-ID: expected the id of an event of this API, got {text[:100]!r}")
    return EventId(stream, int(number), tuple(_handles(listed)))


def _handles(listed: str) -> Sequence[str]:
    found: list[str] = []
    last = ""
    for item in listed.split(",")[:MAX_LISTED] if listed else ():
        if found and item[:1] == "=":
            item = item[1:]
        elif found:
            before, parts = last.split("~"), item.split("~")
            if len(before) != len(parts):
                raise GatewayError(Code.BAD_REQUEST, f"Last-Event-ID: expected {len(before)} parts, got {item[:50]!r}")
            item = "~".join([part or other for part, other in zip(parts, before, strict=True)])
        found.append(read_receipt_handle(item))
        last = item
    return found
