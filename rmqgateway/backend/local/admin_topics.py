"""Administering topics and consumer groups."""

from __future__ import annotations

from typing import Any

from rmqgateway.backend.checks import check_groups, check_no_system_group, check_topics
from rmqgateway.backend.local import names
from rmqgateway.backend.local.clients import Clients
from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.forbidden import Forbidden
from rmqgateway.backend.local.groups import Groups
from rmqgateway.backend.local.offsets import Offsets
from rmqgateway.backend.local.statistics import Statistics
from rmqgateway.backend.local.topics import Topics
from rmqgateway.commands.administering import (
    CreateGroups,
    CreateTopics,
    DeleteGroup,
    DeleteTopic,
    GetGroup,
    GetTopic,
    GetTopicStatistics,
    GroupConfig,
    GroupConfigs,
    ListGroups,
    ListGroupsOfTopic,
    ListTopics,
    ListTopicsOfGroup,
    Names,
    QueueStatistics,
    TopicConfig,
    TopicConfigs,
    TopicStatistics,
)
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import MessageQueue

__all__ = ["AdminTopics"]

_MAX_AT_ONCE = 10_000


class AdminTopics(Component):
    """Creates, changes, deletes and shows topics and consumer groups."""

    def __init__(
        self,
        core: Core,
        topics: Topics,
        groups: Groups,
        clients: Clients,
        offsets: Offsets,
        statistics: Statistics,
        forbidden: Forbidden,
    ) -> None:
        super().__init__(core)
        self._topics = topics
        self._groups = groups
        self._clients = clients
        self._offsets = offsets
        self._statistics = statistics
        self._forbidden = forbidden

    def handlers(self) -> Handlers:
        return {
            CreateGroups: self.create_groups,
            CreateTopics: self.create_topics,
            DeleteGroup: self.delete_group,
            DeleteTopic: self.delete_topic,
            GetGroup: self.get_group,
            GetTopic: self.get_topic,
            GetTopicStatistics: self.get_topic_statistics,
            ListGroups: self.list_groups,
            ListGroupsOfTopic: self.list_groups_of_topic,
            ListTopics: self.list_topics,
            ListTopicsOfGroup: self.list_topics_of_group,
        }

    # Topics.

    def create_topics(self, context: Context, command: CreateTopics) -> Any:
        check_topics(command.topics, _MAX_AT_ONCE, self.core.settings.max_queues)
        return self._topics.create(command.topics)

    def delete_topic(self, context: Context, command: DeleteTopic) -> Any:
        if self._topics.is_system(command.topic):
            raise GatewayError(Code.FORBIDDEN, f"topic {command.topic} is one of the system's own")
        return self._topics.delete(command.topic)

    def get_topic(self, context: Context, command: GetTopic) -> TopicConfig:
        return self._topics.find(command.topic).config

    def list_topics(self, context: Context, command: ListTopics) -> TopicConfigs:
        # What is behind lite topics is nobody's business, and may be very many.
        configs = (config for config in self._topics.configs() if not config.name.startswith(names.LITE_PREFIX))
        if not command.system:
            configs = (config for config in configs if not self._topics.is_system(config.name))
        return TopicConfigs(tuple(configs), self._topics.version)

    def get_topic_statistics(self, context: Context, command: GetTopicStatistics) -> TopicStatistics:
        topic = self._topics.find(command.topic)
        broker_name = self.core.settings.broker_name
        queues = []
        for queue_id in range(max(topic.read_queues, topic.write_queues)):
            stored = topic.queue(queue_id).stored
            last = (
                stored.store_timestamp(stored.max_offset - 1) if stored.max_offset > stored.min_offset else 0
            )
            queue = MessageQueue(topic.name, broker_name, queue_id)
            queues.append(QueueStatistics(queue, stored.min_offset, stored.max_offset, max(last, 0)))
        return TopicStatistics(tuple(queues), self._statistics.put_rate(topic.name))

    def list_groups_of_topic(self, context: Context, command: ListGroupsOfTopic) -> Names:
        self._topics.find(command.topic)
        found = {*self._clients.groups_of_topic(command.topic), *self._offsets.groups_of(command.topic)}
        return Names(tuple(sorted(found)))

    def list_topics_of_group(self, context: Context, command: ListTopicsOfGroup) -> Names:
        group = self._clients.group(command.group)
        found = {*self._offsets.topics_of(command.group), *(group.subscriptions if group is not None else ())}
        return Names(tuple(sorted(found)))

    # Groups.

    def create_groups(self, context: Context, command: CreateGroups) -> Any:
        check_groups(command.groups, _MAX_AT_ONCE, self.core.settings.max_queues)
        return self._groups.create(command.groups)

    def delete_group(self, context: Context, command: DeleteGroup) -> Any:
        check_no_system_group(command.group)
        if command.clean_offset:
            self._offsets.forget(command.group)
        return self._groups.delete(command.group)

    def get_group(self, context: Context, command: GetGroup) -> GroupConfig:
        return self._groups.existing(command.group)

    def list_groups(self, context: Context, command: ListGroups) -> GroupConfigs:
        forbidden = {group: tuple(sorted(topics)) for group, topics in sorted(self._forbidden.by_group.items())}
        return GroupConfigs(tuple(self._groups.configs()), self._groups.version, forbidden)
