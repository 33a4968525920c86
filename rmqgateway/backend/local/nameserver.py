"""The name server's part: routes, the cluster, key-value configuration."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from rmqgateway.backend.local import names
from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.groups import Groups
from rmqgateway.backend.local.queues import Topic
from rmqgateway.backend.local.topics import Topics
from rmqgateway.commands.administering import (
    ChangeKeyValues,
    ClusterInformation,
    GetCluster,
    GetKeyValues,
    Names,
    SetBrokerWritable,
    Table,
    TopicConfig,
)
from rmqgateway.commands.clients import QueryRoute, Route, RouteBroker, RouteQueues
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import Permission

__all__ = ["ORDER_NAMESPACE", "NameServer"]

#: Where producers of ordered topics look for the order of brokers and queues (``NamesrvUtil``).
ORDER_NAMESPACE = "ORDER_TOPIC_CONFIG"

_TABLE = "key_values"
_MAX_NAME = 1024
_MAX_VALUE = 65536


class NameServer(Component):
    """Serves what clients ask a name server. Addresses are "": the front-end fills in the one that its client reaches."""

    def __init__(self, core: Core, topics: Topics, groups: Groups) -> None:
        super().__init__(core)
        settings = core.settings
        self._topics = topics
        self._groups = groups
        self._broker = RouteBroker(settings.cluster_name, settings.broker_name, ((0, ""),))
        self._broker_name = settings.broker_name
        self._writable = True
        self._key_values: dict[str, dict[str, str]] = {}

    def handlers(self) -> Handlers:
        return {
            ChangeKeyValues: self.change_key_values,
            GetCluster: self.get_cluster,
            GetKeyValues: self.get_key_values,
            QueryRoute: self.query_route,
            SetBrokerWritable: self.set_broker_writable,
        }

    def start(self) -> None:
        for place, value in self.core.store.metadata.items(_TABLE):
            namespace, _, key = place.partition("\n")
            self._key_values.setdefault(namespace, {})[key] = value.decode()

    def route(self, topic: Topic) -> Route:
        """The route of a topic that exists."""
        config = topic.config
        permission = config.permission if self._writable else config.permission & ~Permission.WRITE
        queues = RouteQueues(
            self._broker_name, topic.read_queues, topic.write_queues, permission, config.sys_flag
        )
        order = self._key_values.get(ORDER_NAMESPACE, {}).get(topic.name, "")
        return Route(topic.name, (self._broker,), (queues,), config.message_type, order)

    def query_route(self, context: Context, command: QueryRoute) -> Route | Deferred[Route]:
        topic = self._topics.get(command.topic)
        if topic is not None:
            return self.route(topic)
        names.check_topic(command.topic)
        group = self._groups.by_name.get(command.topic.removeprefix(names.RETRY_PREFIX))
        if group is not None and command.topic.startswith(names.RETRY_PREFIX):
            # Tools find out where a group is by the route of its retry topic; one that only receives has none yet.
            queues = max(group.retry_queues, 1)
            made = self._topics.ensure(TopicConfig(command.topic, queues, queues))
            return self.route(made) if isinstance(made, Topic) else made.addCallback(self.route)
        if not command.create:
            raise GatewayError(
                Code.TOPIC_NOT_FOUND, f"no route of topic {command.topic!r}: it does not exist"
            )
        created = self._topics.for_sending(command.topic)
        return self.route(created) if isinstance(created, Topic) else created.addCallback(self.route)

    def get_cluster(self, context: Context, command: GetCluster) -> ClusterInformation:
        return ClusterInformation((self._broker,))

    def change_key_values(self, context: Context, command: ChangeKeyValues) -> Deferred[None]:
        namespace, key, value = command.namespace, command.key, command.value
        if (
            not namespace
            or not key
            or len(namespace) > _MAX_NAME
            or len(key) > _MAX_NAME
            or "\n" in namespace
        ):
            raise GatewayError(
                Code.BAD_REQUEST, f"expected a namespace and a key of 1 to {_MAX_NAME} characters"
            )
        if value is not None and len(value) > _MAX_VALUE:
            raise GatewayError(
                Code.BAD_REQUEST, f"expected a value of at most {_MAX_VALUE} characters, got {len(value)}"
            )
        table = self._key_values.setdefault(namespace, {})
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value
        return self.core.store.metadata.change(
            [(_TABLE, f"{namespace}\n{key}", None if value is None else value.encode())]
        )

    def get_key_values(self, context: Context, command: GetKeyValues) -> Table:
        table = self._key_values.get(command.namespace, {})
        if command.key:
            return Table(((command.key, table[command.key]),) if command.key in table else ())
        return Table(tuple(sorted(table.items())))

    def set_broker_writable(self, context: Context, command: SetBrokerWritable) -> Names:
        """As a real name server: in routes only, and not kept across restarts."""
        if command.broker_name != self._broker_name or command.writable is self._writable:
            return Names(())
        self._writable = command.writable
        return Names(tuple(sorted(name for name, topic in self._topics.by_name.items() if topic.writable)))
