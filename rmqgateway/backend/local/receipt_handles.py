"""Receipt handles: RocketMQ's ExtraInfo strings, eight fields parted by blanks (ExtraInfoUtil).

Remoting clients compose them from the parts of a pop response, so every part means what it means there. The handle of a
message of a lite topic has a ninth field, the lite topic's name: protocols whose clients know nothing of lite topics settle
by the handle alone.
"""

from __future__ import annotations

import re

import msgspec

from rmqgateway.errors import Code, GatewayError

__all__ = ["NORMAL_TOPIC", "RETRY_TOPIC", "RETRY_TOPIC_V2", "ReceiptHandle", "format_handle", "parse_handle"]

#: Topic kinds (ExtraInfoUtil): the topic itself, its pop retry topic ``%RETRY%group_topic``, and version 2 with ``+``.
NORMAL_TOPIC = "0"
RETRY_TOPIC = "1"
RETRY_TOPIC_V2 = "2"


_NUMBER = "([0-9]{1,18})"
_well_formed = re.compile(
    f"{_NUMBER} {_NUMBER} {_NUMBER} {_NUMBER} ([{NORMAL_TOPIC}{RETRY_TOPIC}{RETRY_TOPIC_V2}]) ([^ ]*) "
    f"{_NUMBER} {_NUMBER}(?: ([^ ]*))?"
).fullmatch


class ReceiptHandle(msgspec.Struct, frozen=True):
    """The parts of a receipt handle.

    :ivar start_offset: the queue offset at which the receive began in this queue (the checkpoint's).
    :ivar pop_time, invisible_ms: when it was received, and for how long it is invisible, in ms.
    :ivar topic_kind: NORMAL_TOPIC, RETRY_TOPIC or RETRY_TOPIC_V2.
    :ivar lite_topic: of a lite topic's message, where the handle says it; else "".
    """

    start_offset: int
    pop_time: int
    invisible_ms: int
    revive_queue: int
    topic_kind: str
    broker_name: str
    queue_id: int
    offset: int
    lite_topic: str = ""


def format_handle(
    start_offset: int,
    pop_time: int,
    invisible_ms: int,
    topic_kind: str,
    broker_name: str,
    queue_id: int,
    offset: int,
    lite_topic: str = "",
) -> str:
    """Make a handle; the revive queue, which this broker does not have, is 0."""
    handle = f"{start_offset} {pop_time} {invisible_ms} 0 {topic_kind} {broker_name} {queue_id} {offset}"
    return f"{handle} {lite_topic}" if lite_topic else handle


def parse_handle(handle: str) -> ReceiptHandle:
    """Take a handle apart. :raise GatewayError: BAD_RECEIPT_HANDLE, saying which part."""
    match = _well_formed(handle)
    if match is None:
        raise _bad_handle(handle)
    start_offset, pop_time, invisible_ms, revive_queue, topic_kind, broker_name, queue_id, offset, lite = match.groups("")
    return ReceiptHandle(
        int(start_offset),
        int(pop_time),
        int(invisible_ms),
        int(revive_queue),
        topic_kind,
        broker_name,
        int(queue_id),
        int(offset),
        lite,
    )


def _bad_handle(handle: str) -> GatewayError:
    """What is wrong with a handle."""
    parts = handle.split(" ")
    if len(parts) not in (8, 9):
        return GatewayError(
            Code.BAD_RECEIPT_HANDLE,
            f"a receipt handle has 8 parts (9 of a lite topic), got {len(parts)} in {handle[:100]!r}",
        )
    if parts[4] not in (NORMAL_TOPIC, RETRY_TOPIC, RETRY_TOPIC_V2):
        return GatewayError(
            Code.BAD_RECEIPT_HANDLE, f"expected 0, 1 or 2 as the 5th part, got {parts[4][:20]!r}"
        )
    return GatewayError(
        Code.BAD_RECEIPT_HANDLE,
        f"expected numbers in all parts but the 5th and 6th, got {handle[:100]!r}",
    )
