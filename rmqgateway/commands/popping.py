"""Commands of consumers whose place the broker keeps: receive, acknowledge, change the invisible duration."""

from __future__ import annotations

import enum
from typing import ClassVar

from rmqgateway.commands.base import Action, Command, Reply, Resource
from rmqgateway.message import TAG_ALL, Filter

__all__ = [
    "AckMessages",
    "AckResult",
    "AckResults",
    "ChangeInvisibleDuration",
    "ChangedInvisibleDuration",
    "InitMode",
    "PeekMessages",
    "ReceiveMessages",
    "ReceivedMessage",
    "ReceivedMessages",
]

_TOPIC_GROUP = ((Resource.TOPIC, "topic"), (Resource.GROUP, "group"))


class InitMode(enum.Enum):
    """Where a group that has never consumed a queue begins."""

    MIN = 0
    MAX = 1


class ReceivedMessage(Reply, frozen=True):
    """One message, invisible to others of its group until acknowledged, given back, or its time is over.

    :ivar message: the whole stored message; its topic is the real one, also when it comes from a retry topic.
    :ivar receipt_handle: RocketMQ's ExtraInfo string; its parts are what Remoting clients compose it from.
    :ivar delivery_attempt: 1 for the first delivery.
    """

    message: bytes
    receipt_handle: str
    delivery_attempt: int


class ReceivedMessages(Reply, frozen=True):
    """What was received.

    :ivar rest: how many more are waiting, as far as known (Remoting's restNum).
    :ivar polling_full: nothing was there and no wait was possible since too many wait already.
    """

    messages: tuple[ReceivedMessage, ...] = ()
    pop_time: int = 0
    invisible_ms: int = 0
    rest: int = 0
    polling_full: bool = False


class ReceiveMessages(Command[ReceivedMessages], frozen=True):
    """Receive (pop) messages of a group, waiting for one if none is there.

    :ivar queue_id: one queue, or -1: any.
    :ivar wait_ms: 0 to 30,000.
    :ivar fifo: in order per message group (or queue); None: as the group is configured (consumeMessageOrderly).
    :ivar attempt_id: a retry of the same receive with the same id gives the same messages (ordered groups).
    :ivar auto_renew: renew the handles while the client lives.
    :ivar lite_topics: for lite consumers, those subscribed.
    :ivar broker_name: one broker, or "": any.
    Cancelling: the wait ends; messages already taken for this receive become visible at once.
    Errors: TOPIC_NOT_FOUND, GROUP_NOT_FOUND, GROUP_DISABLED, BAD_FILTER, BAD_INVISIBLE_DURATION, CONSUME_MODE_CONFLICT,
    TOPIC_NOT_READABLE, BAD_POLLING_TIME.
    """

    action: ClassVar[Action] = Action.SUB
    resources: ClassVar = _TOPIC_GROUP

    group: str
    topic: str
    queue_id: int = -1
    max_messages: int = 32
    max_bytes: int = 0
    invisible_ms: int = 60_000
    wait_ms: int = 0
    filter: Filter = TAG_ALL
    fifo: bool | None = None
    attempt_id: str = ""
    init_mode: InitMode = InitMode.MIN
    auto_renew: bool = False
    client_id: str = ""
    lite_topics: tuple[str, ...] = ()
    broker_name: str = ""


class AckResult(Reply, frozen=True):
    """What became of one acknowledgement: `error` is None, or the name of a Code and a text."""

    receipt_handle: str
    code: str = ""
    text: str = ""


class AckResults(Reply, frozen=True):
    """One result for each handle, in order."""

    results: tuple[AckResult, ...]


class AckMessages(Command[AckResults], frozen=True):
    """Acknowledge received messages for good; acknowledging twice is not an error. Durable when answered.

    :ivar strict: refuse expired handles by RECEIPT_HANDLE_EXPIRED (the proxy's way) instead of taking them when the
        message is still in flight under that handle (the broker's way).
    Each handle fails alone: BAD_RECEIPT_HANDLE, RECEIPT_HANDLE_EXPIRED.
    """

    action: ClassVar[Action] = Action.SUB
    resources: ClassVar = _TOPIC_GROUP
    mutates: ClassVar[bool] = True

    group: str
    topic: str
    receipt_handles: tuple[str, ...]
    strict: bool = True
    lite_topic: str = ""


class ChangedInvisibleDuration(Reply, frozen=True):
    """The handle that is valid from now on."""

    receipt_handle: str
    pop_time: int = 0
    invisible_ms: int = 0


class ChangeInvisibleDuration(Command[ChangedInvisibleDuration], frozen=True):
    """Make a received message visible again after another time, counted from now (0: at once).

    Errors: BAD_RECEIPT_HANDLE, RECEIPT_HANDLE_EXPIRED, BAD_INVISIBLE_DURATION.
    """

    action: ClassVar[Action] = Action.SUB
    resources: ClassVar = _TOPIC_GROUP
    mutates: ClassVar[bool] = True

    group: str
    topic: str
    receipt_handle: str
    invisible_ms: int
    message_id: str = ""
    lite_topic: str = ""
    suspend: bool = False


class PeekMessages(Command[ReceivedMessages], frozen=True):
    """Look at messages without taking them; handles are empty. Errors as ReceiveMessages."""

    action: ClassVar[Action] = Action.SUB
    resources: ClassVar = _TOPIC_GROUP

    group: str
    topic: str
    queue_id: int = -1
    max_messages: int = 32
