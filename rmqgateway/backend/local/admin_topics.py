"""Administering topics and consumer groups."""

from __future__ import annotations

from typing import Any

from rmqgateway.backend.local import names
from rmqgateway.backend.local.clients import Clients
from rmqgateway.backend.local.component import Component, Core, Handlers
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
    ) -> None:
        super().__init__(core)
        self._topics = topics
        self._groups = groups
        self._clients = clients
        self._offsets = offsets
        self._statistics = statistics

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
        if not command.topics or len(command.topics) > _MAX_AT_ONCE:
            raise GatewayError(
                Code.BAD_REQUEST, f"expected 1 to {_MAX_AT_ONCE} topics, got {len(command.topics)}"
            )
        for config in command.topics:
            self._check_topic(config)
        return self._topics.create(command.topics)

    def _check_topic(self, config: TopicConfig) -> None:
        names.check_topic(config.name)
        if names.is_system_topic(config.name):
            raise GatewayError(Code.BAD_TOPIC_NAME, f"topic {config.name} is one of the system's own")
        limit = self.core.settings.max_queues
        for field, number in (("read queues", config.read_queues), ("write queues", config.write_queues)):
            if not 1 <= number <= limit:
                raise GatewayError(
                    Code.BAD_REQUEST, f"topic {config.name}: expected 1 to {limit} {field}, got {number}"
                )
        if not 0 <= config.permission <= 7:
            raise GatewayError(
                Code.BAD_REQUEST,
                f"topic {config.name}: expected a permission of 0 to 7, got {config.permission}",
            )

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
        if not command.groups or len(command.groups) > _MAX_AT_ONCE:
            raise GatewayError(
                Code.BAD_REQUEST, f"expected 1 to {_MAX_AT_ONCE} consumer groups, got {len(command.groups)}"
            )
        for config in command.groups:
            self._check_group(config)
        return self._groups.create(command.groups)

    def _check_group(self, config: GroupConfig) -> None:
        names.check_group(config.name)
        limit = self.core.settings.max_queues
        if not 0 <= config.retry_queues <= limit:
            raise GatewayError(
                Code.BAD_REQUEST,
                f"consumer group {config.name}: expected 0 to {limit} retry queues, got {config.retry_queues}",
            )
        if config.retry_max_times < -1:
            raise GatewayError(
                Code.BAD_REQUEST,
                f"consumer group {config.name}: expected at least -1 retries, got {config.retry_max_times}",
            )

    def delete_group(self, context: Context, command: DeleteGroup) -> Any:
        if names.is_system_group(command.group):
            raise GatewayError(Code.FORBIDDEN, f"consumer group {command.group} is one of the system's own")
        if command.clean_offset:
            self._offsets.forget(command.group)
        return self._groups.delete(command.group)

    def get_group(self, context: Context, command: GetGroup) -> GroupConfig:
        return self._groups.existing(command.group)

    def list_groups(self, context: Context, command: ListGroups) -> GroupConfigs:
        return GroupConfigs(tuple(self._groups.configs()), self._groups.version)
