"""Commands of those who look after lite topics: which there are, who wants them, how far groups are in them.

What is told is that of ``LiteManagerProcessor`` of 5.5.0 and the bodies that it answers with.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from rmqgateway.commands.administering import QueueProgress
from rmqgateway.commands.base import Action, Command, Reply, Resource

__all__ = [
    "BrokerLiteInformation",
    "GetBrokerLiteInformation",
    "GetLiteClientInformation",
    "GetLiteGroupInformation",
    "GetLiteTopicInformation",
    "GetParentTopicInformation",
    "LiteClientInformation",
    "LiteGroupInformation",
    "LiteLag",
    "LiteTopicInformation",
    "ParentTopicInformation",
    "TriggerLiteDispatch",
]

_CLUSTER = ((Resource.CLUSTER, None),)
_TOPIC = ((Resource.TOPIC, "topic"),)
_GROUP = ((Resource.GROUP, "group"),)
_TOPIC_GROUP = ((Resource.TOPIC, "topic"), (Resource.GROUP, "group"))


class BrokerLiteInformation(Reply, frozen=True):
    """What there is of lite topics, in numbers.

    :ivar store: what kind of store keeps them. :ivar max_lite_topics: how many there may be.
    :ivar subscriptions: of lite topics, each client's counted. :ivar in_flight: pairs of group and lite topic of which messages
        are received and not acknowledged. :ivar topics: all topics, those behind lite topics included.
    :ivar offsets: pairs of group and topic with offsets. :ivar clients: those that subscribed to lite topics.
    :ivar parents: by parent topic: minutes after which a lite topic without messages may go (``lite.topic.expiration``), or -1.
    :ivar groups: by parent topic: the groups that receive from it.
    """

    store: str
    max_lite_topics: int
    lite_topics: int
    subscriptions: int
    in_flight: int
    topics: int
    offsets: int
    clients: int
    parents: dict[str, int]
    groups: dict[str, tuple[str, ...]]


class GetBrokerLiteInformation(Command[BrokerLiteInformation], frozen=True):
    """Ask what there is of lite topics in all."""

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _CLUSTER


class ParentTopicInformation(Reply, frozen=True):
    """:ivar expiration: minutes, or -1. :ivar lite_topics: how many it has. :ivar all_lite_topics: how many all parents have."""

    topic: str
    expiration: int
    groups: tuple[str, ...]
    lite_topics: int
    all_lite_topics: int


class GetParentTopicInformation(Command[ParentTopicInformation], frozen=True):
    """Ask about a topic that has lite topics. Errors: TOPIC_NOT_FOUND, BAD_MESSAGE_TYPE: it is of a type that has none."""

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _TOPIC

    topic: str


class LiteTopicInformation(Reply, frozen=True):
    """:ivar subscribers: pairs (client id, group); ``*``: all clients of a group that receives all lite topics.
    :ivar last_update: store time (ms) of the newest message, or 0."""

    topic: str
    lite_topic: str
    subscribers: tuple[tuple[str, str], ...]
    min_offset: int = 0
    max_offset: int = 0
    last_update: int = 0


class GetLiteTopicInformation(Command[LiteTopicInformation], frozen=True):
    """Ask about one lite topic; of one that nothing was sent to, offsets are 0. :ivar topic: its parent.

    Errors: TOPIC_NOT_FOUND, BAD_MESSAGE_TYPE.
    """

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _TOPIC

    topic: str
    lite_topic: str


class LiteClientInformation(Reply, frozen=True):
    """:ivar count: how many lite topics the client wants, None: it is not known here. :ivar lite_topics: the first of them.
    :ivar last_access: time (ms) of its last receive or subscription, -1: not known."""

    topic: str
    group: str
    client_id: str
    count: int | None
    lite_topics: tuple[str, ...]
    last_access: int


class GetLiteClientInformation(Command[LiteClientInformation], frozen=True):
    """Ask which lite topics of a parent a client wants. :ivar max_count: how many of them are named.

    Errors: TOPIC_NOT_FOUND, BAD_MESSAGE_TYPE, GROUP_NOT_FOUND, BAD_REQUEST: the group is bound to another parent.
    """

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _TOPIC_GROUP

    topic: str
    group: str
    client_id: str
    max_count: int = 1000


class LiteLag(msgspec.Struct, frozen=True):
    """What a group has not consumed of one lite topic. :ivar since: store time (ms) of the first of it, -1: unknown."""

    lite_topic: str
    count: int
    since: int


class LiteGroupInformation(Reply, frozen=True):
    """:ivar topic: the parent. :ivar lag: messages not consumed, of one lite topic or all; None: there is no such lite topic.
    :ivar since: store time (ms) of the oldest of them, -1: none. :ivar place: in the one lite topic that was asked for, if the
        group has one. :ivar most: the lite topics with most messages not consumed. :ivar oldest: those that wait longest."""

    group: str
    topic: str
    lite_topic: str
    lag: int | None
    since: int
    place: QueueProgress | None = None
    most: tuple[LiteLag, ...] = ()
    oldest: tuple[LiteLag, ...] = ()


class GetLiteGroupInformation(Command[LiteGroupInformation], frozen=True):
    """Ask how far a group is in one lite topic or ("") all of its parent. :ivar top: how many of the worst are named.

    Errors: GROUP_NOT_FOUND, BAD_REQUEST: the group has no lite topics, or those of several parents.
    """

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _GROUP

    group: str
    lite_topic: str = ""
    top: int = 20


class TriggerLiteDispatch(Command[None], frozen=True):
    """Have receives of lite topics that wait look again, of a group or ("" for all) one client of it.

    Errors: GROUP_NOT_FOUND, BAD_REQUEST: the group has no lite topics.
    """

    action: ClassVar[Action] = Action.UPDATE
    resources: ClassVar = _GROUP
    mutates: ClassVar[bool] = True

    group: str
    client_id: str = ""
