"""Topics and groups, for those who administer: at every master, and gone from every name server."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from rmqgateway.backend.checks import check_groups, check_no_system_group, check_no_system_topic, check_topics
from rmqgateway.backend.cluster.answers import refusal
from rmqgateway.backend.cluster.component import Component, Core, Handlers, all_of
from rmqgateway.backend.cluster.configs import group_body, group_of, topic_ext, topic_of
from rmqgateway.backend.cluster.metadata import Metadata
from rmqgateway.backend.local import names
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
    GroupForbidden,
    ListGroups,
    ListGroupsOfTopic,
    ListTopics,
    ListTopicsOfGroup,
    Names,
    QueueStatistics,
    TopicConfig,
    TopicConfigs,
    TopicStatistics,
    UpdateGroupForbidden,
)
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import MessageQueue
from rmqgateway.wire.bodies import encode_body
from rmqgateway.wire.bodies.groups import GroupForbidden as GroupForbiddenBody
from rmqgateway.wire.bodies.groups import GroupList, SubscriptionGroupWrapper
from rmqgateway.wire.bodies.routes import TopicList
from rmqgateway.wire.bodies.topics import TopicConfigSerializeWrapper, TopicStatsTable
from rmqgateway.wire.remoting import RemotingCommand
from rmqgateway.wire.request_codes import RequestCode, ResponseCode

__all__ = ["AdminTopics"]

_MAX_AT_ONCE = 1000
_MAX_QUEUES = 1024
#: ``PermName.PERM_READ``, a bit of ``forbiddenTable``.
_READING = 4
#: How long a topic is waited for that was created: name servers hear of it from its brokers. Attempts, seconds between.
_ATTEMPTS, _BETWEEN = 30, 0.1


class AdminTopics(Component):
    """See the module."""

    def __init__(self, core: Core, metadata: Metadata) -> None:
        super().__init__(core)
        self._metadata = metadata

    def handlers(self) -> Handlers:
        return {
            CreateTopics: self.create_topics,
            DeleteTopic: self.delete_topic,
            GetTopic: self.get_topic,
            ListTopics: self.list_topics,
            GetTopicStatistics: self.get_topic_statistics,
            ListGroupsOfTopic: self.list_groups_of_topic,
            ListTopicsOfGroup: self.list_topics_of_group,
            CreateGroups: self.create_groups,
            DeleteGroup: self.delete_group,
            GetGroup: self.get_group,
            ListGroups: self.list_groups,
            UpdateGroupForbidden: self.update_group_forbidden,
        }

    def masters(self) -> list[tuple[str, str]]:
        """Name and address of every master. :raise GatewayError: UPSTREAM_UNAVAILABLE: none is known."""
        found = list(self.core.routes.masters())
        if not found:
            raise GatewayError(
                Code.UPSTREAM_UNAVAILABLE, "no broker is known to be there at present", retry_after=1.0
            )
        return found

    # Topics.

    def create_topics(self, context: Context, command: CreateTopics) -> Deferred[None]:
        check_topics(command.topics, _MAX_AT_ONCE, _MAX_QUEUES)
        return self.run(self._create_topics(context, command))

    async def _create_topics(self, context: Context, command: CreateTopics) -> None:
        for config in command.topics:
            for _, address in self.masters():
                try:
                    await self._create_topic(context, address, config)
                except GatewayError as error:
                    if error.code is not Code.BAD_REQUEST and error.upstream_code != ResponseCode.SYSTEM_ERROR:
                        raise
                    raise GatewayError(Code.BAD_REQUEST, error.message, upstream_code=error.upstream_code) from None
            self._metadata.forget_topic(config.name)
        for config in command.topics:
            await self._await_topic(config)

    async def _create_topic(self, context: Context, address: str, config: TopicConfig) -> None:
        """A broker takes a changed type only if it may be changed; attributes of a new topic begin with +."""
        await self.core.ask(address, RequestCode.UPDATE_AND_CREATE_TOPIC, topic_ext(config), context=context)

    async def _await_topic(self, config: TopicConfig) -> None:
        """Who created a topic may use it at once, here at least."""
        wanted = len(self.masters())
        for _ in range(_ATTEMPTS):
            try:
                route = await self.core.routes.ask(config.name)
                if len(route.names) >= wanted and all(
                    queues.write_queues == config.write_queues for queues in route.route.queues
                ):
                    return
            except GatewayError as error:
                if error.code is not Code.TOPIC_NOT_FOUND:
                    raise
            await deferLater(self.core.reactor, _BETWEEN)

    def delete_topic(self, context: Context, command: DeleteTopic) -> Deferred[None]:
        check_no_system_topic(command.topic)
        return self.run(self._delete_topic(context, command.topic))

    async def _delete_topic(self, context: Context, topic: str) -> None:
        await all_of(
            self.core.ask(address, RequestCode.DELETE_TOPIC_IN_BROKER, {"topic": topic}, context=context)
            for _, address in self.masters()
        )
        answer = await self.core.names.ask_all(
            RemotingCommand(int(RequestCode.DELETE_TOPIC_IN_NAMESRV), 0, ext_fields={"topic": topic})
        )
        if answer.code:
            raise refusal(answer, "DELETE_TOPIC_IN_NAMESRV")
        self._metadata.forget_topic(topic)
        self.core.routes.forget(topic)

    def get_topic(self, context: Context, command: GetTopic) -> Deferred[TopicConfig]:
        self._metadata.forget_topic(command.topic)
        return self._metadata.topic(command.topic)

    def list_topics(self, context: Context, command: ListTopics) -> Deferred[TopicConfigs]:
        return self.run(self._list_topics(context, command))

    async def _list_topics(self, context: Context, command: ListTopics) -> TopicConfigs:
        found: dict[str, TopicConfig] = {}
        version = 0
        own = {*self.core.routes.brokers, *self.core.routes.clusters.values()}
        own |= {f"{cluster}_REPLY_TOPIC" for cluster in self.core.routes.clusters.values()}
        for _, address in self.masters():
            answer = await self.core.ask(address, RequestCode.GET_ALL_TOPIC_CONFIG, context=context)
            table = self.core.read(answer, TopicConfigSerializeWrapper, "GET_ALL_TOPIC_CONFIG")
            version = max(version, table.data_version.counter)
            for name, body in table.topic_config_table.items():
                if not command.system and (names.is_system_topic(name) or name in own):
                    continue
                if not name.startswith(names.LITE_PREFIX):
                    found.setdefault(name, topic_of(body))
        return TopicConfigs(tuple(found[name] for name in sorted(found)), version)

    def get_topic_statistics(self, context: Context, command: GetTopicStatistics) -> Deferred[TopicStatistics]:
        return self.run(self._topic_statistics(context, command.topic))

    async def _topic_statistics(self, context: Context, topic: str) -> TopicStatistics:
        route = await self.core.routes.find(topic)
        queues: list[QueueStatistics] = []
        rate = 0.0
        for name in route.names:
            answer = await self.core.ask(
                self.core.routes.reading(name), RequestCode.GET_TOPIC_STATS_INFO, {"topic": topic}, context=context
            )
            table = self.core.read(answer, TopicStatsTable, "GET_TOPIC_STATS_INFO")
            rate += table.topic_put_tps
            queues += [
                QueueStatistics(
                    MessageQueue(queue.topic, queue.broker_name, queue.queue_id),
                    offset.min_offset,
                    offset.max_offset,
                    max(offset.last_update_timestamp, 0),
                )
                for queue, offset in table.offset_table.items()
            ]
        queues.sort(key=lambda one: one.queue)
        return TopicStatistics(tuple(queues), rate)

    def list_groups_of_topic(self, context: Context, command: ListGroupsOfTopic) -> Deferred[Names]:
        return self.run(self._groups_of_topic(context, command.topic))

    async def _groups_of_topic(self, context: Context, topic: str) -> Names:
        found: set[str] = set()
        route = await self.core.routes.find(topic)
        for name in route.names:
            answer = await self.core.ask(
                self.core.routes.master(name), RequestCode.QUERY_TOPIC_CONSUME_BY_WHO, {"topic": topic}, context=context
            )
            found.update(self.core.read(answer, GroupList, "QUERY_TOPIC_CONSUME_BY_WHO").group_list)
        return Names(tuple(sorted(found)))

    def list_topics_of_group(self, context: Context, command: ListTopicsOfGroup) -> Deferred[Names]:
        return self.run(self._topics_of_group(context, command.group))

    async def _topics_of_group(self, context: Context, group: str) -> Names:
        found: set[str] = set()
        for _, address in self.masters():
            answer = await self.core.ask(
                address, RequestCode.QUERY_TOPICS_BY_CONSUMER, {"group": group}, context=context
            )
            found.update(self.core.read(answer, TopicList, "QUERY_TOPICS_BY_CONSUMER").topic_list)
        return Names(tuple(sorted(found)))

    # Groups.

    def create_groups(self, context: Context, command: CreateGroups) -> Deferred[None]:
        check_groups(command.groups, _MAX_AT_ONCE, _MAX_QUEUES)
        return self.run(self._create_groups(context, command))

    async def _create_groups(self, context: Context, command: CreateGroups) -> None:
        for config in command.groups:
            body = encode_body(group_body(config))
            await all_of(
                self.core.ask(address, RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, {}, body, context=context)
                for _, address in self.masters()
            )
            self._metadata.forget_group(config.name)

    def delete_group(self, context: Context, command: DeleteGroup) -> Deferred[None]:
        check_no_system_group(command.group)
        return self.run(self._delete_group(context, command))

    async def _delete_group(self, context: Context, command: DeleteGroup) -> None:
        ext = {"groupName": command.group, "cleanOffset": "true" if command.clean_offset else "false"}
        await all_of(
            self.core.ask(address, RequestCode.DELETE_SUBSCRIPTIONGROUP, dict(ext), context=context)
            for _, address in self.masters()
        )
        self._metadata.forget_group(command.group)

    def get_group(self, context: Context, command: GetGroup) -> Deferred[GroupConfig]:
        return self.run(self._get_group(context, command.group))

    async def _get_group(self, context: Context, group: str) -> GroupConfig:
        """Asked for anew."""
        for _, address in self.masters():
            found = await self._metadata.ask_group_of(address, group, context)
            if found is not None:
                return found
        raise GatewayError(Code.GROUP_NOT_FOUND, f"consumer group {group[:300]!r} does not exist at any broker")

    def list_groups(self, context: Context, command: ListGroups) -> Deferred[GroupConfigs]:
        return self.run(self._list_groups(context))

    async def _list_groups(self, context: Context) -> GroupConfigs:
        found: dict[str, GroupConfig] = {}
        forbidden: dict[str, set[str]] = {}
        version = 0
        for _, address in self.masters():
            groups, counter, table = await self._groups_at(context, address)
            version = max(version, counter)
            for name, config in groups.items():
                found.setdefault(name, config)
            for name, topics in table.items():
                forbidden.setdefault(name, set()).update(topic for topic, bits in topics.items() if bits & _READING)
        paused = {name: tuple(sorted(topics)) for name, topics in sorted(forbidden.items()) if topics}
        return GroupConfigs(tuple(found[name] for name in sorted(found)), version, paused)

    async def _groups_at(
        self, context: Context, address: str
    ) -> tuple[dict[str, GroupConfig], int, dict[str, dict[str, int]]]:
        answer = await self.core.ask(address, RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG, context=context)
        table = self.core.read(answer, SubscriptionGroupWrapper, "GET_ALL_SUBSCRIPTIONGROUP_CONFIG")
        return (
            {name: group_of(body) for name, body in table.subscription_group_table.items()},
            table.data_version.counter,
            table.forbidden_table,
        )

    def update_group_forbidden(self, context: Context, command: UpdateGroupForbidden) -> Deferred[GroupForbidden]:
        names.check_group(command.group)
        names.check_topic(command.topic)
        return self.run(self._update_group_forbidden(context, command))

    async def _update_group_forbidden(self, context: Context, command: UpdateGroupForbidden) -> GroupForbidden:
        """At every master; readable is what is readable at all of them."""
        ext = {"group": command.group, "topic": command.topic}
        if command.readable is not None:
            ext["readable"] = "true" if command.readable else "false"
        answers = await all_of(
            self.core.ask(address, RequestCode.UPDATE_AND_GET_GROUP_FORBIDDEN, dict(ext), context=context)
            for _, address in self.masters()
        )
        told = [self.core.read(answer, GroupForbiddenBody, "UPDATE_AND_GET_GROUP_FORBIDDEN") for answer in answers]
        return GroupForbidden(command.group, command.topic, all(one.readable for one in told))
