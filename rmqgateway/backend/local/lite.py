"""Lite topics: thousands of small topics below one, each a single queue, received together by who is subscribed to them.

A message of type LITE goes to the queue of its lite topic, which is made with its first message and is a topic of the
backend's own, ``%LMQ%$parent$lite``; to clients it is of the parent topic, with the property ``__LITE_TOPIC``. A consumer
says by SyncLiteSubscription which lite topics it wants and receives from the parent. A group's attributes say more: how many
lite topics a client of it may have, whether one lite topic is only one client's (who subscribes takes it from the others, which
are told), where a lite topic begins again, and whether the group has all lite topics of the parent whatever its clients say.
Source of names and rules: ``LiteUtil``, ``SubscriptionGroupAttributes`` and ``LiteSubscriptionRegistryImpl`` of 5.5.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rmqgateway.backend.local import names
from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.groups import Groups
from rmqgateway.backend.local.offsets import Offsets
from rmqgateway.backend.local.queues import Topic
from rmqgateway.backend.local.topics import Topics
from rmqgateway.commands import SyncLiteSubscription
from rmqgateway.commands.administering import GroupConfig, TopicConfig
from rmqgateway.commands.clients import LiteOffset
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.events import LiteTopicUnsubscribed
from rmqgateway.interfaces import ISession
from rmqgateway.message import MessageType
from rmqgateway.wire.request_codes import ResponseCode

__all__ = ["WILDCARD", "LiteSubscription", "LiteTopics", "expiration"]

_log = Logger()
_CHANGES = ("PARTIAL_ADD", "PARTIAL_REMOVE", "COMPLETE_ADD", "COMPLETE_REMOVE")
_MAX_NAME = 64
#: Attribute of a parent: minutes.
_EXPIRATION = "lite.topic.expiration"
# Attributes of groups.
_QUOTA = "lite.sub.client.quota"
_MODEL = "lite.sub.model"
WILDCARD = "lite.sub.wildcard"
_ANEW_IF_TAKEN = "lite.sub.reset.offset.exclusive"
_ANEW_IF_UNSUBSCRIBED = "lite.sub.reset.offset.unsubscribe"


class LiteSubscription:
    """The lite topics that one client of a group wants.

    :ivar lite_topics: in the order of subscribing. :ivar sessions: those that said so, by number.
    :ivar last_access: when (ms) it last subscribed or received.
    """

    __slots__ = ("last_access", "lite_topics", "sessions", "version")

    def __init__(self) -> None:
        self.last_access = 0
        self.lite_topics: dict[str, None] = {}
        self.sessions: dict[int, ISession] = {}
        self.version = 0


class LiteTopics(Component):
    """Which lite topics there are, and who wants them.

    :ivar by_client: by (group, parent topic, client id).
    :ivar on_orphans: is told the topics behind lite topics of a parent that was deleted.
    :ivar reset: what receives from a queue of (group, topic) is to forget what was in flight and go on from an offset.
    """

    reset: Callable[[str, Topic, int, int], None]
    on_orphans: Callable[[list[str]], None]

    def __init__(self, core: Core, topics: Topics, groups: Groups, offsets: Offsets) -> None:
        super().__init__(core)
        self._topics = topics
        self._groups = groups
        self._offsets = offsets
        #: The names of a parent's lite topics, known of those that a wildcard group receives from.
        self._all: dict[str, dict[str, None]] = {}
        #: The topics behind lite topics that were sent to of late, in two generations (`forget_sent`).
        self._sent: tuple[set[str], set[str]] = (set(), set())
        self.by_client: dict[tuple[str, str, str], LiteSubscription] = {}
        topics.on_delete.append(self._topic_deleted)

    def handlers(self) -> Handlers:
        return {SyncLiteSubscription: self.sync_lite_subscription}

    @staticmethod
    def takes_lite(parent: Topic) -> bool:
        """Whether messages of type LITE may be sent to a topic."""
        return parent.config.message_type in (MessageType.LITE, MessageType.MIXED)

    def find(self, parent: str, lite_topic: str) -> Topic | None:
        """The topic behind a lite topic, None if nothing was sent to it yet."""
        name = names.lite_topic(parent, lite_topic)
        found = self._topics.get(name)
        return None if found is None or self.is_orphan(name) else found

    def is_orphan(self, name: str) -> bool:
        """Whether a topic is behind a lite topic whose parent was deleted; one of the same name made later is another."""
        parent_name = names.lite_parent(name)
        if not parent_name:
            return False
        topic, parent = self._topics.get(name), self._topics.get(parent_name)
        return topic is not None and (parent is None or parent.number > topic.number)

    def ensure(self, parent: Topic, lite_topic: str) -> Topic | Deferred[Topic]:
        """The topic behind a lite topic, made if need be.

        :raise GatewayError: BAD_TOPIC_NAME, STORE_FULL.
        """
        _check(lite_topic)
        name = names.lite_topic(parent.name, lite_topic)
        if self.is_orphan(name):
            self.drop(name)
        made = self._topics.ensure(TopicConfig(name, 1, 1))
        if isinstance(made, Deferred):
            return made.addCallback(self._made, parent, lite_topic)
        self._sent[0].add(name)
        return made

    def drop(self, name: str) -> None:
        """Delete the topic behind a lite topic."""
        self._topics.delete(name).addErrback(
            lambda failure: _log.failure("a lite topic that is over was not deleted", failure)
        )

    def _made(self, topic: Topic, parent: Topic, lite_topic: str) -> Topic:
        """Who waits at the parent may have waited for this one."""
        self._sent[0].add(topic.name)
        if parent.name in self._all:
            self._all[parent.name][lite_topic] = None
        for waiter in list(parent.waiting):
            waiter.wake()
        return topic

    def was_sent_to(self, name: str) -> bool:
        """Whether messages may be on their way to the topic behind a lite topic."""
        return name in self._sent[0] or name in self._sent[1]

    def forget_sent(self) -> None:
        """What was sent to before the last call of this is stored by now."""
        self._sent = (set(), self._sent[0])

    def _topic_deleted(self, topic: Topic) -> None:
        """A parent's lite topics go with it; nobody could delete them by name."""
        parent = names.lite_parent(topic.name)
        if parent:
            known = self._all.get(parent)
            if known is not None:
                known.pop(names.lite_name(topic.name), None)
        elif self.takes_lite(topic):
            self._all.pop(topic.name, None)
            start = names.lite_topic(topic.name, "")
            self.on_orphans([name for name in self._topics.by_name if name.startswith(start)])

    def wanted(self, group: str, parent: str, client_id: str, asked: Iterable[str]) -> list[str] | None:
        """The lite topics that a receive looks into; None: it is no receive of lite topics."""
        asked = list(asked)
        if asked:
            return asked
        subscription = self.by_client.get((group, parent, client_id))
        if subscription is None:
            return None
        subscription.last_access = self.core.now_ms()
        return self.wanted_by(group, parent, subscription)

    def wanted_by(self, group: str, parent: str, subscription: LiteSubscription) -> list[str]:
        """The lite topics that a client of a group wants."""
        config = self._groups.by_name.get(group)
        if config is not None and WILDCARD in config.attributes:
            return list(self._all_of(parent))
        return list(subscription.lite_topics)

    def _all_of(self, parent: str) -> dict[str, None]:
        known = self._all.get(parent)
        if known is None:
            start = names.lite_topic(parent, "")
            found = [name for name in self._topics.by_name if name.startswith(start) and not self.is_orphan(name)]
            known = self._all[parent] = dict.fromkeys(map(names.lite_name, found))
        return known

    def sync_lite_subscription(self, context: Context, command: SyncLiteSubscription) -> None:
        parent = self._topics.find(command.topic)
        if not self.takes_lite(parent):
            raise GatewayError(
                Code.BAD_MESSAGE_TYPE,
                f"topic {parent.name} is of type {parent.config.message_type.value}, it has no lite topics",
            )
        group = self._groups.find(command.group)
        if command.change not in _CHANGES:
            raise GatewayError(
                Code.BAD_REQUEST,
                f"change of lite topics: expected one of {', '.join(_CHANGES)}, got {command.change!r}",
            )
        for name in command.lite_topics:
            _check(name)
        if command.change == "PARTIAL_ADD" and WILDCARD in group.attributes:
            raise GatewayError(
                Code.BAD_REQUEST,
                f"group {group.name} receives all lite topics ({WILDCARD}), its clients subscribe to none",
            )
        key = (command.group, command.topic, command.client_id)
        subscription = self.by_client.get(key) or LiteSubscription()
        if command.version and command.version < subscription.version:
            return  # overtaken by a newer one
        before = subscription.lite_topics
        if command.change == "PARTIAL_ADD":
            after = before | dict.fromkeys(command.lite_topics)
        elif command.change == "COMPLETE_ADD":
            after = dict.fromkeys(command.lite_topics)
        elif command.change == "PARTIAL_REMOVE":
            after = {name: None for name in before if name not in command.lite_topics}
        else:
            after = {}
        limit = self._quota(group)
        if len(after) > max(limit, len(before)):
            raise GatewayError(
                Code.TOO_MANY_REQUESTS,
                f"expected at most {limit} lite topics of a client ({_QUOTA} of the group, or max_lite_subscriptions)",
                upstream_code=int(ResponseCode.LITE_SUBSCRIPTION_QUOTA_EXCEEDED),
            )
        self.by_client[key] = subscription
        subscription.version = max(command.version, subscription.version)
        subscription.last_access = self.core.now_ms()
        subscription.sessions[context.session.number] = context.session
        subscription.lite_topics = after
        if command.change == "PARTIAL_ADD":
            if group.attributes.get(_MODEL) == "Exclusive":
                self._take_from_others(group, command, key)
            if command.offset is not LiteOffset.UNCHANGED:
                for name in command.lite_topics:
                    self._move(command.group, command.topic, name, command.offset, command.offset_value)
        elif command.change == "PARTIAL_REMOVE" and _is_true(group, _ANEW_IF_UNSUBSCRIBED):
            for name in before.keys() - after.keys():
                self._move(command.group, command.topic, name, LiteOffset.MIN, 0)
        for waiter in list(parent.waiting):
            waiter.wake()

    def _quota(self, group: GroupConfig) -> int:
        """How many lite topics a client of a group may have."""
        text = group.attributes.get(_QUOTA, "")
        return int(text) if text.isascii() and text.isdigit() else self.core.settings.max_lite_subscriptions

    def _take_from_others(self, group: GroupConfig, command: SyncLiteSubscription, owner: tuple[str, str, str]) -> None:
        """Who has these lite topics has them no more, and is told; its messages in flight come to the new one in time."""
        for key, subscription in self.by_client.items():
            if key == owner or key[:2] != owner[:2]:
                continue
            for name in command.lite_topics:
                if name not in subscription.lite_topics:
                    continue
                del subscription.lite_topics[name]
                if _is_true(group, _ANEW_IF_TAKEN):
                    self._move(group.name, command.topic, name, LiteOffset.MIN, 0)
                for session in subscription.sessions.values():
                    session.deliver(LiteTopicUnsubscribed(group.name, name))

    def _move(self, group: str, parent: str, lite_topic: str, to: LiteOffset, value: int) -> None:
        """Have a group go on elsewhere in a lite topic; one to which nothing was sent yet begins at its first message."""
        topic = self.find(parent, lite_topic)
        if topic is None:
            return
        stored = topic.queue(0).stored
        now_at = self._offsets.get(group, topic.name, 0)
        if to is LiteOffset.MIN:
            offset = stored.min_offset
        elif to is LiteOffset.MAX:
            offset = stored.max_offset
        elif to is LiteOffset.AT:
            offset = value
        elif to is LiteOffset.TIME:
            offset = stored.offset_by_time(value)
        elif now_at >= 0:
            offset = now_at - value
        else:
            return  # the last ones before where the group is, which was never here
        offset = min(max(offset, stored.min_offset), stored.max_offset)
        self._offsets.record(group, topic.name, 0, offset)
        self.reset(group, topic, 0, offset)

    def session_ended(self, session: ISession) -> None:
        for key, subscription in list(self.by_client.items()):
            subscription.sessions.pop(session.number, None)
            if not subscription.sessions:
                del self.by_client[key]


def expiration(parent: Topic) -> int:
    """After how many minutes a lite topic without messages goes, or -1: never."""
    text = parent.config.attributes.get(_EXPIRATION, "")
    return int(text) if len(text) < 10 and text.isascii() and text.isdigit() else -1


def _is_true(group: GroupConfig, attribute: str) -> bool:
    return group.attributes.get(attribute, "").lower() == "true"


def _check(lite_topic: str) -> None:
    if not names.is_lite_name(lite_topic) or len(lite_topic) > _MAX_NAME:
        raise GatewayError(
            Code.BAD_TOPIC_NAME,
            f"lite topic {lite_topic[:100]!r}: expected 1 to {_MAX_NAME} characters of ^[a-zA-Z0-9_-]+$",
        )
