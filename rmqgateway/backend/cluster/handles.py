"""Receipt handles before real brokers: ExtraInfo strings (``ExtraInfoUtil``) with more behind the broker's eight parts.

A ninth part is the message's place in the broker's log, as Apache's proxy has it: the dead-letter queue needs it. A tenth is
the lite topic's name. A handle says everything, so that any gateway of a cluster takes it.
"""

from __future__ import annotations

import msgspec

from rmqgateway.errors import Code, GatewayError

__all__ = ["Handle", "make_handle", "read_handle", "real_topic"]

_NORMAL, _RETRY_V1, _RETRY_V2 = "0", "1", "2"
_MAX = 2000


class Handle(msgspec.Struct, frozen=True, gc=False):
    """The parts of a handle.

    :ivar extra_info: the eight parts that brokers know. :ivar physical_offset: or -1.
    :ivar kind: 0 the topic itself, 1 and 2 its pop retry topics of both versions.
    """

    extra_info: str
    start_offset: int
    pop_time: int
    invisible_ms: int
    revive_queue: int
    kind: str
    broker_name: str
    queue_id: int
    offset: int
    physical_offset: int = -1
    lite_topic: str = ""

    def visible_at(self) -> int:
        """When the message can be received again, ms since 1970."""
        return self.pop_time + self.invisible_ms


def make_handle(
    start_offset: int,
    pop_time: int,
    invisible_ms: int,
    revive_queue: int,
    kind: str,
    broker_name: str,
    queue_id: int,
    offset: int,
    physical_offset: int,
    lite_topic: str = "",
) -> str:
    """The text of a handle."""
    handle = (
        f"{start_offset} {pop_time} {invisible_ms} {revive_queue} {kind} {broker_name} {queue_id} {offset} {physical_offset}"
    )
    return f"{handle} {lite_topic}" if lite_topic else handle


def read_handle(text: str) -> Handle:
    """Take a handle apart. :raise GatewayError: BAD_RECEIPT_HANDLE, saying what is wrong."""
    parts = text.split(" ")
    if not 8 <= len(parts) <= 10 or len(text) > _MAX:
        raise GatewayError(
            Code.BAD_RECEIPT_HANDLE, f"a receipt handle has 8 to 10 parts, got {len(parts)} in {text[:100]!r}"
        )
    try:
        numbers = [int(parts[at]) for at in (0, 1, 2, 3, 6, 7)]
        physical = int(parts[8]) if len(parts) > 8 else -1
        if not all(-1 <= number < 1 << 63 for number in (*numbers, physical)):
            raise ValueError
    except ValueError:
        raise GatewayError(
            Code.BAD_RECEIPT_HANDLE, f"expected numbers in all parts but the 5th and 6th, got {text[:100]!r}"
        ) from None
    if parts[4] not in (_NORMAL, _RETRY_V1, _RETRY_V2) or not parts[5]:
        raise GatewayError(
            Code.BAD_RECEIPT_HANDLE, f"expected 0, 1 or 2 as the 5th part and a broker as the 6th, got {text[:100]!r}"
        )
    return Handle(
        " ".join(parts[:8]),
        numbers[0],
        numbers[1],
        numbers[2],
        numbers[3],
        parts[4],
        parts[5],
        numbers[4],
        numbers[5],
        physical,
        parts[9] if len(parts) > 9 else "",
    )


def real_topic(topic: str, group: str, kind: str) -> str:
    """The topic that a handle's message is stored in (``KeyBuilder``)."""
    if kind == _RETRY_V1:
        return f"%RETRY%{group}_{topic}"
    if kind == _RETRY_V2:
        return f"%RETRY%{group}+{topic}"
    return topic
