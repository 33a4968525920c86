"""Commands of those who look after a broker: what waits, how far everybody is, throwing away what is out of date."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from rmqgateway.commands.administering import ConsumeProgress
from rmqgateway.commands.base import Action, Command, Reply, Resource

__all__ = [
    "AwaitMessages",
    "ConsumeProgresses",
    "DeleteExpired",
    "GetPollingInformation",
    "GroupProgress",
    "ListConsumeProgress",
    "MessagesAwaited",
    "PollingInformation",
    "ResumeTransaction",
]

_CLUSTER = ((Resource.CLUSTER, None),)
_TOPIC = ((Resource.TOPIC, "topic"),)
_TOPIC_GROUP = ((Resource.TOPIC, "topic"), (Resource.GROUP, "group"))


class MessagesAwaited(Reply, frozen=True):
    """:ivar has_messages: a receive would find something now, as far as can be told without one.
    :ivar polling_full: nothing is there, and no wait was possible since too many wait already."""

    has_messages: bool
    polling_full: bool = False


class AwaitMessages(Command[MessagesAwaited], frozen=True):
    """Wait until a receive of a group would find something, and take nothing (Remoting's NOTIFICATION).

    :ivar queue_id: one queue, or -1: any.
    :ivar wait_ms: 0: answer at once.
    :ivar fifo: the receive would be in order: a queue whose message is in flight has nothing.
    Cancelling: the wait ends. Errors: TOPIC_NOT_FOUND, GROUP_NOT_FOUND, GROUP_DISABLED, TOPIC_NOT_READABLE, BAD_OFFSET.
    """

    action: ClassVar[Action] = Action.SUB
    resources: ClassVar = _TOPIC_GROUP

    group: str
    topic: str
    queue_id: int = -1
    wait_ms: int = 0
    fifo: bool = False


class PollingInformation(Reply, frozen=True):
    """How many receives of a group wait."""

    waiting: int


class GetPollingInformation(Command[PollingInformation], frozen=True):
    """Ask how many receives of a group wait at a topic for this queue id (-1: those that take any queue).

    Errors: TOPIC_NOT_FOUND, GROUP_NOT_FOUND, GROUP_DISABLED, TOPIC_NOT_READABLE, BAD_OFFSET.
    """

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _TOPIC_GROUP

    group: str
    topic: str
    queue_id: int = -1


class GroupProgress(msgspec.Struct, frozen=True):
    """How far one group is in one topic."""

    group: str
    topic: str
    progress: ConsumeProgress


class ConsumeProgresses(Reply, frozen=True):
    """One entry for each group and topic, in order of their names."""

    progresses: tuple[GroupProgress, ...]


class ListConsumeProgress(Command[ConsumeProgresses], frozen=True):
    """Ask how far every consumer group is in each topic that it consumes (brokerConsumeStats).

    :ivar ordered_only: only topics that are configured as ordered.
    """

    action: ClassVar[Action] = Action.GET
    resources: ClassVar = _CLUSTER

    ordered_only: bool = False


class DeleteExpired(Command[None], frozen=True):
    """Drop now what retention would drop by and by: whole segments of the log that are out of date."""

    action: ClassVar[Action] = Action.UPDATE
    resources: ClassVar = _CLUSTER
    mutates: ClassVar[bool] = True


class ResumeTransaction(Command[None], frozen=True):
    """Have a half message that was given up asked about again (RESUME_CHECK_HALF_MESSAGE), as if it were new.

    :ivar physical_offset: of the message in ``TRANS_CHECK_MAX_TIME_TOPIC``.
    :ivar topic: the topic that it is meant for, or "": not checked.
    :ivar broker_name: of several brokers the one that has it; "": it is looked for.
    Errors: MESSAGE_NOT_FOUND, BAD_REQUEST: it is no half message that was given up, or of another topic, or several brokers
    have a message at this offset.
    """

    action: ClassVar[Action] = Action.UPDATE
    resources: ClassVar = _TOPIC
    mutates: ClassVar[bool] = True

    physical_offset: int
    topic: str = ""
    broker_name: str = ""
