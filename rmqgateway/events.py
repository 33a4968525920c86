"""What a backend tells a client without being asked.

An event goes to one session (`ISession.deliver`); its front-end turns it into its wire or, where the protocol has no words
for it, drops it and says so by returning False. An event with a `relay_id` wants an answer: the front-end executes
``AnswerRelay(relay_id, …)`` when it has one; the backend gives up after its own timeout.
"""

from __future__ import annotations

import msgspec

from rmqgateway.message import MessageQueue

__all__ = [
    "CheckTransaction",
    "ConsumeMessageDirectly",
    "ConsumersChanged",
    "Event",
    "GoAway",
    "LiteTopicUnsubscribed",
    "OffsetsAsked",
    "OffsetsReset",
    "ReplyArrived",
    "RunningInformationAsked",
]


class Event(msgspec.Struct, frozen=True):
    """The base of all events."""


class ConsumersChanged(Event, frozen=True):
    """A consumer group's members changed: rebalance."""

    group: str


class CheckTransaction(Event, frozen=True):
    """Is this half message to be committed? The client answers with EndTransaction.

    :ivar message: the whole stored half message with its real topic and queue.
    :ivar queue_offset: where it is in the half queue (tranStateTableOffset).
    """

    producer_group: str
    message: bytes
    transaction_id: str
    message_id: str
    queue_offset: int
    physical_offset: int


class OffsetsReset(Event, frozen=True):
    """A group's offsets were moved: go on from these."""

    group: str
    topic: str
    timestamp: int
    force: bool
    offsets: tuple[tuple[MessageQueue, int], ...]


class OffsetsAsked(Event, frozen=True):
    """Which offsets does the client hold for a topic (GET_CONSUMER_STATUS_FROM_CLIENT)?"""

    relay_id: int
    group: str
    topic: str


class RunningInformationAsked(Event, frozen=True):
    """What is the consumer doing (GET_CONSUMER_RUNNING_INFO; gRPC: thread stack)?"""

    relay_id: int
    group: str
    client_id: str
    with_stack: bool


class ConsumeMessageDirectly(Event, frozen=True):
    """Consume this stored message now and say what came of it (gRPC: verify message)."""

    relay_id: int
    group: str
    client_id: str
    message: bytes
    broker_name: str


class ReplyArrived(Event, frozen=True):
    """A reply to one of the client's requests (PUSH_REPLY_MESSAGE_TO_CLIENT).

    :ivar body, properties: as the replier sent them. :ivar store_timestamp: ms.
    """

    topic: str
    body: bytes
    properties: bytes
    born_host: str
    born_timestamp: int
    store_timestamp: int
    sys_flag: int = 0
    flag: int = 0
    queue_id: int = 0
    producer_group: str = ""
    reconsume_times: int = 0


class LiteTopicUnsubscribed(Event, frozen=True):
    """The broker took a lite topic out of the client's subscription."""

    group: str
    lite_topic: str


class GoAway(Event, frozen=True):
    """This gateway is going: finish what is under way and connect again, elsewhere if possible.

    :ivar deadline: seconds from now after which the connection is closed.
    """

    reason: str
    deadline: float
