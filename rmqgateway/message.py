"""Values that every layer shares: messages, filters, queues.

A message stays bytes as long as it can. What a producer sends is a :class:`Message`; what the store keeps and a consumer
gets is RocketMQ's stored-message layout (``rmqgateway.wire.stored_message``), carried by :class:`StoredMessage` values or
plain ``bytes`` and parsed only when somebody looks.
"""

from __future__ import annotations

import enum

import msgspec

from rmqgateway.errors import Code, GatewayError

__all__ = ["TAG_ALL", "Filter", "FilterType", "Message", "MessageQueue", "MessageType", "Permission", "filter_of"]


class MessageType(enum.Enum):
    """RocketMQ 5's message types; a topic accepts one, or all (MIXED)."""

    UNSPECIFIED = "UNSPECIFIED"
    NORMAL = "NORMAL"
    FIFO = "FIFO"
    DELAY = "DELAY"
    TRANSACTION = "TRANSACTION"
    PRIORITY = "PRIORITY"
    LITE = "LITE"
    MIXED = "MIXED"


class Permission(enum.IntFlag):
    """What may be done with a topic (PermName: read 4, write 2, inherit 1)."""

    NONE = 0
    INHERIT = 1
    WRITE = 2
    READ = 4
    READ_WRITE = 6


class FilterType(enum.Enum):
    """The language of a filter expression."""

    TAG = "TAG"
    SQL92 = "SQL92"


class Filter(msgspec.Struct, frozen=True):
    """Which messages of a topic a consumer wants: ``*``, ``A || B``, or an SQL92 expression over properties."""

    expression: str = "*"
    type: FilterType = FilterType.TAG


#: The filter that lets everything through.
TAG_ALL = Filter()


def filter_of(tags: str, sql: str) -> Filter:
    """The filter of a tag expression or of SQL92, of which a client gives one or neither ("").

    :raise GatewayError: BAD_FILTER: both.
    """
    if tags and sql:
        raise GatewayError(Code.BAD_FILTER, "expected a tag expression or SQL92, got both")
    if sql:
        return Filter(sql, FilterType.SQL92)
    return Filter(tags) if tags else TAG_ALL


class MessageQueue(msgspec.Struct, frozen=True, order=True):
    """A message queue as clients name it."""

    topic: str
    broker_name: str
    queue_id: int


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message as a producer hands it over; its topic is the command's.

    :ivar body: as sent, compressed or not (`sys_flag` says).
    :ivar properties: RocketMQ's property string (``key \\x01 value \\x02 …``, UTF-8), as sent; system properties such as
        TAGS, KEYS, UNIQ_KEY, DELAY, TIMER_DELIVER_MS, __SHARDINGKEY, TRAN_MSG are in it and mean what they mean there.
    :ivar queue_id: the queue that the producer chose, or -1: the broker chooses.
    :ivar flag: the application's own 32 bits.
    :ivar sys_flag: MessageSysFlag bits (compression, transaction type).
    :ivar born_timestamp: when it was made, ms since 1970; 0 means now.
    :ivar reconsume_times: how often it was consumed without success (for messages sent back by a client).
    """

    body: bytes
    properties: bytes = b""
    queue_id: int = -1
    flag: int = 0
    sys_flag: int = 0
    born_timestamp: int = 0
    reconsume_times: int = 0
