"""Commands of consumers that keep their own place: pull, offsets, queue locks."""

from __future__ import annotations

import enum
from typing import ClassVar

from rmqgateway.commands.base import Action, Command, Reply, Resource
from rmqgateway.message import TAG_ALL, Filter, MessageQueue

__all__ = [
    "ConsumerOffset",
    "GetConsumerOffset",
    "LockQueues",
    "LockedQueues",
    "Offset",
    "OffsetOf",
    "PullMessages",
    "PullStatus",
    "PulledMessages",
    "QueryOffset",
    "UnlockQueues",
    "UpdateConsumerOffset",
]

_TOPIC_GROUP = ((Resource.TOPIC, "topic"), (Resource.GROUP, "group"))


class PullStatus(enum.Enum):
    """What a pull found."""

    FOUND = "found"
    NO_NEW_MESSAGE = "no new message"  # nothing at or after the offset before the wait ended
    NO_MATCHED_MESSAGE = "no matched message"  # the filter let nothing through; go on at next_offset
    OFFSET_MOVED = "offset moved"  # the offset is outside min..max; go on at next_offset


class PulledMessages(Reply, frozen=True):
    """The answer to a pull. :ivar messages: whole stored messages, in order of their offsets."""

    status: PullStatus
    next_offset: int
    min_offset: int
    max_offset: int
    messages: tuple[bytes, ...] = ()


class PullMessages(Command[PulledMessages], frozen=True):
    """Read consecutive messages of one queue that pass a filter, waiting for one if none is there.

    :ivar wait_ms: 0 answers at once; else up to this long (clamped to 30 s by the backend's setting).
    :ivar filter: None: the group's subscription from its heartbeat.
    :ivar commit_offset: the group's consumer offset to record first, or -1.
    :ivar broker_name: whose queue it is, here and below; "": of the only broker that has a queue of this number.
    Cancelling: the wait ends, nothing else happens. Errors: TOPIC_NOT_FOUND, TOPIC_NOT_READABLE, GROUP_NOT_FOUND,
    GROUP_DISABLED, SUBSCRIPTION_INCONSISTENT, BAD_FILTER, BAD_OFFSET (queue id out of range), CONSUME_MODE_CONFLICT.
    """

    action: ClassVar[Action] = Action.SUB
    resources: ClassVar = _TOPIC_GROUP

    group: str
    topic: str
    queue_id: int
    offset: int
    max_messages: int = 32
    max_bytes: int = 0
    wait_ms: int = 0
    filter: Filter | None = TAG_ALL
    subscription_version: int = 0
    commit_offset: int = -1
    broker_name: str = ""


class OffsetOf(enum.Enum):
    """Which offset of a queue is asked for."""

    MIN = "min"
    MAX = "max"
    TIMESTAMP = "timestamp"  # of the first message stored at or after a time
    TIMESTAMP_UPPER = "timestamp upper"  # of the last message stored at or before a time
    EARLIEST_STORE_TIME = "earliest store time"  # not an offset: ms


class Offset(Reply, frozen=True):
    """A queue offset (or, for EARLIEST_STORE_TIME, a time in ms)."""

    offset: int


class QueryOffset(Command[Offset], frozen=True):
    """Ask for a queue's smallest or largest offset, or the one at a time (ms). Errors: TOPIC_NOT_FOUND, BAD_OFFSET."""

    action: ClassVar[Action] = Action.GET
    or_actions: ClassVar[tuple[Action, ...]] = (Action.SUB,)
    resources: ClassVar = ((Resource.TOPIC, "topic"),)

    topic: str
    queue_id: int
    of: OffsetOf
    timestamp: int = 0
    broker_name: str = ""


class ConsumerOffset(Reply, frozen=True):
    """A group's place in a queue."""

    offset: int


class GetConsumerOffset(Command[ConsumerOffset], frozen=True):
    """Ask where a group is in a queue. Errors: OFFSET_NOT_FOUND (it has none yet), TOPIC_NOT_FOUND.

    :ivar zero_if_new: answer 0 instead of OFFSET_NOT_FOUND for a queue that still has its first message in memory
        range, as RocketMQ does for new groups on young queues (setZeroIfNotFound).
    """

    action: ClassVar[Action] = Action.SUB
    or_actions: ClassVar[tuple[Action, ...]] = (Action.GET,)
    resources: ClassVar = _TOPIC_GROUP

    group: str
    topic: str
    queue_id: int
    zero_if_new: bool = True
    broker_name: str = ""


class UpdateConsumerOffset(Command[None], frozen=True):
    """Record where a group is in a queue. Errors: TOPIC_NOT_FOUND, BAD_OFFSET."""

    action: ClassVar[Action] = Action.SUB
    or_actions: ClassVar[tuple[Action, ...]] = (Action.UPDATE,)
    resources: ClassVar = _TOPIC_GROUP
    mutates: ClassVar[bool] = True

    group: str
    topic: str
    queue_id: int
    offset: int
    broker_name: str = ""


class LockedQueues(Reply, frozen=True):
    """Those of the asked-for queues that the client now holds."""

    queues: tuple[MessageQueue, ...]


class LockQueues(Command[LockedQueues], frozen=True):
    """Take or renew the exclusive right to consume queues in order; it ends 60 s after the last renewal."""

    action: ClassVar[Action] = Action.SUB
    resources: ClassVar = ((Resource.GROUP, "group"),)

    group: str
    client_id: str
    queues: tuple[MessageQueue, ...]


class UnlockQueues(Command[None], frozen=True):
    """Give the right up; queues held by another client are left alone."""

    action: ClassVar[Action] = Action.SUB
    resources: ClassVar = ((Resource.GROUP, "group"),)

    group: str
    client_id: str
    queues: tuple[MessageQueue, ...]
