"""Looking at lite topics, at who wants them, and at how far groups are in them."""

from __future__ import annotations

from heapq import nlargest, nsmallest

from rmqgateway.backend.local import names
from rmqgateway.backend.local.admin_progress import AdminProgress
from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.groups import Groups
from rmqgateway.backend.local.lite import WILDCARD, LiteTopics, expiration
from rmqgateway.backend.local.offsets import Offsets
from rmqgateway.backend.local.popping import Popping
from rmqgateway.backend.local.queues import Topic
from rmqgateway.backend.local.topics import Topics
from rmqgateway.commands.administering import QueueProgress
from rmqgateway.commands.lite import (
    BrokerLiteInformation,
    GetBrokerLiteInformation,
    GetLiteClientInformation,
    GetLiteGroupInformation,
    GetLiteTopicInformation,
    GetParentTopicInformation,
    LiteClientInformation,
    LiteGroupInformation,
    LiteLag,
    LiteTopicInformation,
    ParentTopicInformation,
    TriggerLiteDispatch,
)
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import MessageType

__all__ = ["AdminLite"]

#: Attribute of a group: its parent topic.
_BOUND_TO = "lite.bind.topic"
_MAX_NAMED = 10_000


class AdminLite(Component):
    """Shows lite topics; see the module."""

    def __init__(
        self,
        core: Core,
        topics: Topics,
        groups: Groups,
        offsets: Offsets,
        popping: Popping,
        lite: LiteTopics,
        progress: AdminProgress,
    ) -> None:
        super().__init__(core)
        self._topics = topics
        self._groups = groups
        self._offsets = offsets
        self._popping = popping
        self._lite = lite
        self._progress = progress

    def handlers(self) -> Handlers:
        return {
            GetBrokerLiteInformation: self.get_broker_lite_information,
            GetParentTopicInformation: self.get_parent_topic_information,
            GetLiteTopicInformation: self.get_lite_topic_information,
            GetLiteClientInformation: self.get_lite_client_information,
            GetLiteGroupInformation: self.get_lite_group_information,
            TriggerLiteDispatch: self.trigger_lite_dispatch,
        }

    def get_broker_lite_information(
        self, context: Context, command: GetBrokerLiteInformation
    ) -> BrokerLiteInformation:
        counts = self._counts()
        offsets = in_flight = 0
        for group in self._offsets:
            topics = self._offsets.topics_of(group)
            offsets += len(topics)
            in_flight += sum(
                self._popping.unsettled(group, topic, 0) > 0
                for topic in map(self._topics.get, filter(names.lite_parent, topics))
                if topic is not None
            )
        parents = {
            topic.name: expiration(topic)
            for topic in self._topics.by_name.values()
            if topic.config.message_type is MessageType.LITE or topic.name in counts
        }
        return BrokerLiteInformation(
            store="rmqgateway",
            max_lite_topics=self.core.settings.max_topics,
            lite_topics=sum(counts.values()),
            subscriptions=sum(len(one.lite_topics) for one in self._lite.by_client.values()),
            in_flight=in_flight,
            topics=len(self._topics.by_name),
            offsets=offsets,
            clients=len(self._lite.by_client),
            parents=parents,
            groups={parent: groups for parent in sorted(parents) if (groups := self._groups_of(parent))},
        )

    def get_parent_topic_information(
        self, context: Context, command: GetParentTopicInformation
    ) -> ParentTopicInformation:
        parent = self._parent(command.topic)
        counts = self._counts()
        return ParentTopicInformation(
            parent.name,
            expiration(parent),
            self._groups_of(parent.name),
            counts.get(parent.name, 0),
            sum(counts.values()),
        )

    def get_lite_topic_information(self, context: Context, command: GetLiteTopicInformation) -> LiteTopicInformation:
        parent = self._parent(command.topic)
        subscribers = set()
        for (group, topic, client_id), subscription in self._lite.by_client.items():
            if topic == parent.name:
                if self._takes_all(group):
                    subscribers.add(("*", group))
                elif command.lite_topic in subscription.lite_topics:
                    subscribers.add((client_id, group))
        found = self._lite.find(parent.name, command.lite_topic)
        told = parent.name, command.lite_topic, tuple(sorted(subscribers))
        if found is None:
            return LiteTopicInformation(*told)
        stored = found.queue(0).stored
        filled = stored.max_offset > stored.min_offset
        last = stored.store_timestamp(stored.max_offset - 1) if filled else 0
        return LiteTopicInformation(*told, stored.min_offset, stored.max_offset, max(last, 0))

    def get_lite_client_information(
        self, context: Context, command: GetLiteClientInformation
    ) -> LiteClientInformation:
        parent = self._parent(command.topic)
        bound = self._groups.existing(command.group).attributes.get(_BOUND_TO, parent.name)
        if bound != parent.name:
            raise GatewayError(
                Code.BAD_REQUEST, f"group {command.group} receives the lite topics of {bound}, not of {parent.name}"
            )
        client_id = command.client_id
        subscription = self._lite.by_client.get((command.group, parent.name, client_id))
        if subscription is None:
            return LiteClientInformation(parent.name, command.group, client_id, None, (), -1)
        wanted = self._lite.wanted_by(command.group, parent.name, subscription)
        named = tuple(wanted[: min(max(command.max_count, 0), _MAX_NAMED)])
        return LiteClientInformation(
            parent.name, command.group, client_id, len(wanted), named, subscription.last_access
        )

    def get_lite_group_information(
        self, context: Context, command: GetLiteGroupInformation
    ) -> LiteGroupInformation:
        group = self._groups.existing(command.group).name
        parents = self._parents_of(group)
        if len(parents) > 1:
            raise GatewayError(
                Code.BAD_REQUEST,
                f"group {group} receives lite topics of {', '.join(parents[:5])}: its attribute {_BOUND_TO} is to name one",
            )
        parent = parents[0]
        consumed = self._consumed(group, parent)
        if command.lite_topic:
            return self._one(group, parent, command.lite_topic, command.lite_topic in consumed)
        lags = [lag for name in sorted(consumed) if (lag := self._lag(group, parent, name)) is not None]
        top = min(max(command.top, 0), _MAX_NAMED)
        oldest = nsmallest(top, [lag for lag in lags if lag.since >= 0], key=lambda lag: lag.since)
        return LiteGroupInformation(
            group,
            parent,
            "",
            sum(lag.count for lag in lags),
            min((lag.since for lag in lags if lag.since >= 0), default=-1),
            most=tuple(nlargest(top, lags, key=lambda lag: lag.count)),
            oldest=tuple(oldest),
        )

    def trigger_lite_dispatch(self, context: Context, command: TriggerLiteDispatch) -> None:
        # Whoever waits is woken by each message; looking again costs little, so nobody is picked out of those that wait.
        for name in self._parents_of(self._groups.existing(command.group).name):
            parent = self._topics.get(name)
            if parent is not None:
                for waiter in list(parent.waiting):
                    waiter.wake()

    # Inside

    def _parent(self, name: str) -> Topic:
        parent = self._topics.get(name)
        if parent is None:
            raise GatewayError(Code.TOPIC_NOT_FOUND, f"topic {name[:300]!r} does not exist")
        if not self._lite.takes_lite(parent):
            raise GatewayError(
                Code.BAD_MESSAGE_TYPE,
                f"topic {name} is of type {parent.config.message_type.value}, it has no lite topics",
            )
        return parent

    def _counts(self) -> dict[str, int]:
        """How many lite topics there are, by parent."""
        counts: dict[str, int] = {}
        for name in filter(names.lite_parent, self._topics.by_name):
            if not self._lite.is_orphan(name):
                parent = names.lite_parent(name)
                counts[parent] = counts.get(parent, 0) + 1
        return counts

    def _groups_of(self, parent: str) -> tuple[str, ...]:
        """Groups that are bound to a parent, or of which clients subscribed to lite topics of it."""
        found = {group for group, topic, _ in self._lite.by_client if topic == parent}
        found.update(config.name for config in self._groups.configs() if config.attributes.get(_BOUND_TO) == parent)
        return tuple(sorted(found))

    def _parents_of(self, group: str) -> list[str]:
        """The parent that a group is bound to, else those that it receives from. :raise GatewayError: BAD_REQUEST: none."""
        bound = self._groups.existing(group).attributes.get(_BOUND_TO)
        if bound:
            return [bound]
        found = {topic for name, topic, _ in self._lite.by_client if name == group}
        found.update(map(names.lite_parent, filter(names.lite_parent, self._offsets.topics_of(group))))
        if not found:
            raise GatewayError(Code.BAD_REQUEST, f"group {group} has no lite topics")
        return sorted(found)

    def _takes_all(self, group: str) -> bool:
        config = self._groups.by_name.get(group)
        return config is not None and WILDCARD in config.attributes

    def _consumed(self, group: str, parent: str) -> set[str]:
        """The lite topics in which a group has a place, or which its clients want."""
        start = names.lite_topic(parent, "")
        found = {names.lite_name(topic) for topic in self._offsets.topics_of(group) if topic.startswith(start)}
        for (name, topic, _), subscription in self._lite.by_client.items():
            if name == group and topic == parent:
                found.update(self._lite.wanted_by(group, parent, subscription))
        return found

    def _place(self, group: str, parent: str, lite_topic: str) -> tuple[Topic, QueueProgress] | None:
        topic = self._lite.find(parent, lite_topic)
        return None if topic is None else (topic, self._progress.of_queue(group, topic, 0))

    def _lag(self, group: str, parent: str, lite_topic: str) -> LiteLag | None:
        """None: the group has consumed all."""
        found = self._place(group, parent, lite_topic)
        if found is None or found[1].consumer_offset >= found[1].broker_offset:
            return None
        topic, place = found
        since = topic.queue(0).stored.store_timestamp(place.consumer_offset)
        return LiteLag(lite_topic, place.broker_offset - place.consumer_offset, since)

    def _one(self, group: str, parent: str, lite_topic: str, consumed: bool) -> LiteGroupInformation:
        found = self._place(group, parent, lite_topic)
        if found is None or not consumed:
            return LiteGroupInformation(group, parent, lite_topic, None if found is None else 0, -1)
        lag = self._lag(group, parent, lite_topic)
        count, since = (0, -1) if lag is None else (lag.count, lag.since)
        return LiteGroupInformation(group, parent, lite_topic, count, since, found[1])
