"""Commands about the caller itself: who it is, where to find queues, who shares its group."""

from __future__ import annotations

import enum
from typing import ClassVar

import msgspec

from rmqgateway.commands.base import Action, Command, Reply, Resource
from rmqgateway.message import Filter, MessageType, Permission

__all__ = [
    "AnswerRelay",
    "Assignment",
    "Assignments",
    "CheckSubscription",
    "ConsumeFrom",
    "ConsumeMode",
    "Consumer",
    "ConsumerIds",
    "Heartbeat",
    "ListConsumers",
    "LiteOffset",
    "MessageModel",
    "QueryAssignment",
    "QueryRoute",
    "Route",
    "RouteBroker",
    "RouteQueues",
    "Subscribed",
    "SyncLiteSubscription",
    "Unregister",
]


class ConsumeMode(enum.Enum):
    """How a consumer consumes: by its own place in each queue, or by receiving from the broker."""

    PULL = "pull"  # pull and push over Remoting's rebalance
    POP = "pop"


class MessageModel(enum.Enum):
    """Whether the members of a group share the messages or each get all."""

    CLUSTERING = "CLUSTERING"
    BROADCASTING = "BROADCASTING"


class ConsumeFrom(enum.Enum):
    """Where a group that has no offset yet begins."""

    LAST_OFFSET = "CONSUME_FROM_LAST_OFFSET"
    FIRST_OFFSET = "CONSUME_FROM_FIRST_OFFSET"
    TIMESTAMP = "CONSUME_FROM_TIMESTAMP"


class Subscribed(msgspec.Struct, frozen=True):
    """One topic of a consumer's subscription. :ivar version: grows with each change (ms)."""

    topic: str
    filter: Filter
    version: int = 0


class Consumer(msgspec.Struct, frozen=True):
    """One consumer group of a client.

    :ivar actively_pulling: a pull consumer without rebalance push (Remoting's CONSUME_ACTIVELY).
    """

    group: str
    mode: ConsumeMode = ConsumeMode.PULL
    model: MessageModel = MessageModel.CLUSTERING
    consume_from: ConsumeFrom = ConsumeFrom.LAST_OFFSET
    subscriptions: tuple[Subscribed, ...] = ()
    actively_pulling: bool = False
    unit_mode: bool = False


class Heartbeat(Command[None], frozen=True):
    """The client lives, and these are its groups (the whole list, each time).

    Creates groups where that is allowed. A session that says nothing for 120 s is closed by its owner.
    Errors: BAD_CLIENT_ID, BAD_GROUP_NAME, BAD_FILTER, CONSUME_MODE_CONFLICT, GROUP_NOT_FOUND.
    """

    action: ClassVar[Action] = Action.NONE

    client_id: str
    language: str = ""
    version: str = ""
    producers: tuple[str, ...] = ()
    consumers: tuple[Consumer, ...] = ()


class Unregister(Command[None], frozen=True):
    """The client leaves a producer or consumer group, or all ("" for both) of this session."""

    client_id: str
    producer_group: str = ""
    consumer_group: str = ""


class CheckSubscription(Command[None], frozen=True):
    """Check a filter before subscribing (CHECK_CLIENT_CONFIG). Errors: BAD_FILTER, SUBSCRIPTION_INCONSISTENT."""

    action: ClassVar[Action] = Action.SUB
    resources: ClassVar = ((Resource.TOPIC, "topic"), (Resource.GROUP, "group"))

    group: str
    topic: str
    filter: Filter
    client_id: str = ""


class ConsumerIds(Reply, frozen=True):
    """The client ids of a group's members, sorted."""

    client_ids: tuple[str, ...]


class ListConsumers(Command[ConsumerIds], frozen=True):
    """Ask who is in a consumer group (for rebalance). Errors: GROUP_NOT_FOUND (no member is connected)."""

    action: ClassVar[Action] = Action.SUB
    or_actions: ClassVar[tuple[Action, ...]] = (Action.GET,)
    resources: ClassVar = ((Resource.GROUP, "group"),)

    group: str


class RouteBroker(msgspec.Struct, frozen=True):
    """One broker: cluster, name and addresses by broker id (0 is the master).

    An address "" stands for this gateway itself: the front-end fills in the address that its client can reach.
    """

    cluster: str
    name: str
    addresses: tuple[tuple[int, str], ...]


class RouteQueues(msgspec.Struct, frozen=True):
    """How many queues of a topic a broker has. :ivar topic_sys_flag: RocketMQ's topicSysFlag."""

    broker_name: str
    read_queues: int
    write_queues: int
    permission: Permission
    topic_sys_flag: int = 0


class Route(Reply, frozen=True):
    """Where a topic's queues are, and which types of messages it takes."""

    topic: str
    brokers: tuple[RouteBroker, ...]
    queues: tuple[RouteQueues, ...]
    message_type: MessageType = MessageType.NORMAL
    order_configuration: str = ""


class QueryRoute(Command[Route], frozen=True):
    """Ask where a topic's queues are. Errors: TOPIC_NOT_FOUND, BAD_TOPIC_NAME.

    :ivar create: a producer of a protocol whose clients need a route before they send (gRPC): create the topic if that
        is allowed. Remoting producers fall back to TBW102's route by themselves.
    """

    action: ClassVar[Action] = Action.GET
    or_actions: ClassVar[tuple[Action, ...]] = (Action.PUB, Action.SUB,)
    resources: ClassVar = ((Resource.TOPIC, "topic"),)

    topic: str
    create: bool = False


class Assignment(msgspec.Struct, frozen=True):
    """One queue for a member; queue_id -1 stands for all of the broker's queues (pop)."""

    broker_name: str
    queue_id: int
    mode: ConsumeMode = ConsumeMode.POP


class Assignments(Reply, frozen=True):
    """The queues that a member is to consume."""

    assignments: tuple[Assignment, ...]
    route: Route | None = None


class QueryAssignment(Command[Assignments], frozen=True):
    """Ask which queues of a topic this member of a group is to consume.

    :ivar strategy: Remoting's allocation strategy name; "" for gRPC clients.
    """

    action: ClassVar[Action] = Action.SUB
    resources: ClassVar = ((Resource.TOPIC, "topic"), (Resource.GROUP, "group"))

    group: str
    topic: str
    client_id: str
    strategy: str = ""
    model: MessageModel = MessageModel.CLUSTERING


class LiteOffset(enum.Enum):
    """Where a group goes on in a lite topic that a client of it subscribes to (``OffsetOption``).

    AT an offset, so many messages BEFORE where it is, at a TIME of storing in ms since 1970.
    """

    UNCHANGED = "UNCHANGED"
    MIN = "MIN"
    MAX = "MAX"
    AT = "AT"
    BEFORE = "BEFORE"
    TIME = "TIME"


class SyncLiteSubscription(Command[None], frozen=True):
    """Change the lite topics that a lite consumer is subscribed to.

    :ivar change: PARTIAL_ADD, PARTIAL_REMOVE, COMPLETE_ADD or COMPLETE_REMOVE.
    :ivar offset: with PARTIAL_ADD: where to go on in these. :ivar offset_value: of AT, BEFORE and TIME.
    """

    action: ClassVar[Action] = Action.SUB
    resources: ClassVar = ((Resource.TOPIC, "topic"), (Resource.GROUP, "group"))

    group: str
    topic: str
    client_id: str
    change: str
    lite_topics: tuple[str, ...] = ()
    version: int = 0
    offset: LiteOffset = LiteOffset.UNCHANGED
    offset_value: int = 0


class AnswerRelay(Command[None], frozen=True):
    """A client's answer to an event that asked it something (see ``rmqgateway.events``). One that comes too late, or from
    another client than was asked, is dropped without an error.

    :ivar relay_id: the event's.
    :ivar code: 0, or the client's error code, with `remark`.
    :ivar body: the answer as RocketMQ's JSON body for that question, whatever the client's protocol.
    """

    signed: ClassVar[bool] = False  # RocketMQ's clients sign no answers

    relay_id: int
    code: int = 0
    remark: str = ""
    body: bytes = b""
