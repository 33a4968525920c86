"""Lite topics: thousands of small topics below one, each a single queue, received together by who is subscribed to them.

A message of type LITE goes to the queue of its lite topic, which is made with its first message and is a topic of the
backend's own, ``%LMQ%$parent$lite``; to clients it is of the parent topic, with the property ``__LITE_TOPIC``. A consumer
says by SyncLiteSubscription which lite topics it wants and receives from the parent. Source of the names: ``LiteUtil`` of
5.5.0.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.defer import Deferred

from rmqgateway.backend.local import names
from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.groups import Groups
from rmqgateway.backend.local.queues import Topic
from rmqgateway.backend.local.topics import Topics
from rmqgateway.commands import SyncLiteSubscription
from rmqgateway.commands.administering import TopicConfig
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.interfaces import ISession
from rmqgateway.message import MessageType

__all__ = ["LiteSubscription", "LiteTopics"]

_CHANGES = ("PARTIAL_ADD", "PARTIAL_REMOVE", "COMPLETE_ADD", "COMPLETE_REMOVE")
_MAX_NAME = 64


class LiteSubscription:
    """The lite topics that one client of a group wants.

    :ivar lite_topics: in the order of subscribing. :ivar sessions: numbers of those that said so.
    """

    __slots__ = ("lite_topics", "sessions", "version")

    def __init__(self) -> None:
        self.lite_topics: dict[str, None] = {}
        self.sessions: set[int] = set()
        self.version = 0


class LiteTopics(Component):
    """Which lite topics there are, and who wants them.

    :ivar by_client: by (group, parent topic, client id).
    """

    def __init__(self, core: Core, topics: Topics, groups: Groups) -> None:
        super().__init__(core)
        self._topics = topics
        self._groups = groups
        self.by_client: dict[tuple[str, str, str], LiteSubscription] = {}

    def handlers(self) -> Handlers:
        return {SyncLiteSubscription: self.sync_lite_subscription}

    @staticmethod
    def takes_lite(parent: Topic) -> bool:
        """Whether messages of type LITE may be sent to a topic."""
        return parent.config.message_type in (MessageType.LITE, MessageType.MIXED)

    def find(self, parent: str, lite_topic: str) -> Topic | None:
        """The topic behind a lite topic, None if nothing was sent to it yet."""
        return self._topics.get(names.lite_topic(parent, lite_topic))

    def ensure(self, parent: Topic, lite_topic: str) -> Topic | Deferred[Topic]:
        """The topic behind a lite topic, made if need be.

        :raise GatewayError: BAD_TOPIC_NAME, STORE_FULL.
        """
        _check(lite_topic)
        made = self._topics.ensure(TopicConfig(names.lite_topic(parent.name, lite_topic), 1, 1))
        if isinstance(made, Deferred):
            return made.addCallback(self._made, parent)
        return made

    @staticmethod
    def _made(topic: Topic, parent: Topic) -> Topic:
        """Who waits at the parent may have waited for this one."""
        for waiter in list(parent.waiting):
            waiter.wake()
        return topic

    def wanted(self, group: str, parent: str, client_id: str, asked: Iterable[str]) -> list[str] | None:
        """The lite topics that a receive looks into; None: it is no receive of lite topics."""
        asked = list(asked)
        if asked:
            return asked
        subscription = self.by_client.get((group, parent, client_id))
        return None if subscription is None else list(subscription.lite_topics)

    def sync_lite_subscription(self, context: Context, command: SyncLiteSubscription) -> None:
        parent = self._topics.find(command.topic)
        if not self.takes_lite(parent):
            raise GatewayError(
                Code.BAD_MESSAGE_TYPE,
                f"topic {parent.name} is of type {parent.config.message_type.value}, it has no lite topics",
            )
        self._groups.find(command.group)
        if command.change not in _CHANGES:
            raise GatewayError(
                Code.BAD_REQUEST,
                f"change of lite topics: expected one of {', '.join(_CHANGES)}, got {command.change!r}",
            )
        for name in command.lite_topics:
            _check(name)
        key = (command.group, command.topic, command.client_id)
        subscription = self.by_client.get(key)
        if subscription is None:
            subscription = self.by_client[key] = LiteSubscription()
        if command.version and command.version < subscription.version:
            return  # overtaken by a newer one
        subscription.version = max(command.version, subscription.version)
        subscription.sessions.add(context.session.number)
        found = subscription.lite_topics
        if command.change in ("COMPLETE_ADD", "COMPLETE_REMOVE"):
            found.clear()
        if command.change in ("PARTIAL_ADD", "COMPLETE_ADD"):
            limit = self.core.settings.max_lite_subscriptions
            if len(found.keys() | set(command.lite_topics)) > limit:
                raise GatewayError(
                    Code.TOO_MANY_REQUESTS,
                    f"expected at most {limit} lite topics of a client (max_lite_subscriptions)",
                )
            found.update(dict.fromkeys(command.lite_topics))
        elif command.change == "PARTIAL_REMOVE":
            for name in command.lite_topics:
                found.pop(name, None)
        for waiter in list(parent.waiting):
            waiter.wake()

    def session_ended(self, session: ISession) -> None:
        for key, subscription in list(self.by_client.items()):
            subscription.sessions.discard(session.number)
            if not subscription.sessions:
                del self.by_client[key]


def _check(lite_topic: str) -> None:
    if not names.is_lite_name(lite_topic) or len(lite_topic) > _MAX_NAME:
        raise GatewayError(
            Code.BAD_TOPIC_NAME,
            f"lite topic {lite_topic[:100]!r}: expected 1 to {_MAX_NAME} characters of ^[a-zA-Z0-9_-]+$",
        )
