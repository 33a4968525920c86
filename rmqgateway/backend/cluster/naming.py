"""What clients ask a name server."""

from __future__ import annotations

import msgspec
from twisted.internet.defer import Deferred

from rmqgateway.backend.cluster.answers import refusal
from rmqgateway.backend.cluster.component import Component, Core, Handlers
from rmqgateway.backend.cluster.metadata import Metadata
from rmqgateway.backend.cluster.routes import TopicRoute
from rmqgateway.backend.local import names
from rmqgateway.commands.administering import (
    ChangeKeyValues,
    ClusterInformation,
    GetCluster,
    GetKeyValues,
    Names,
    SetBrokerWritable,
    Table,
)
from rmqgateway.commands.clients import (
    Assignment,
    Assignments,
    ConsumeMode,
    MessageModel,
    QueryAssignment,
    QueryRoute,
    Route,
    RouteBroker,
)
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.wire.bodies import decode_body, encode_body
from rmqgateway.wire.bodies.consuming import QueryAssignmentRequest, QueryAssignmentResponse
from rmqgateway.wire.bodies.routes import KVTable
from rmqgateway.wire.remoting import RemotingCommand
from rmqgateway.wire.request_codes import RequestCode, ResponseCode

__all__ = ["Naming"]


class Naming(Component):
    """Serves routes, assignments, the cluster, key values. Clients of all protocols but Remoting reach brokers by the gateway:
    addresses are "", as of the local backend, and the front-end fills in its own."""

    def __init__(self, core: Core, metadata: Metadata) -> None:
        super().__init__(core)
        self._metadata = metadata

    def handlers(self) -> Handlers:
        return {
            QueryRoute: self.query_route,
            QueryAssignment: self.query_assignment,
            GetCluster: self.get_cluster,
            GetKeyValues: self.get_key_values,
            ChangeKeyValues: self.change_key_values,
            SetBrokerWritable: self.set_broker_writable,
        }

    def query_route(self, context: Context, command: QueryRoute) -> Deferred[Route]:
        return self.run(self._route(command.topic, command.create))

    async def _route(self, topic: str, create: bool) -> Route:
        routes = self.core.routes
        if create and routes.cached(topic) is None:
            names.check_topic(topic)
        found: TopicRoute = await (routes.find_or_create(topic) if create else routes.find(topic))
        try:
            config = await self._metadata.topic(topic)
            kind = config.message_type
        except GatewayError as error:
            if error.code not in (Code.UPSTREAM_UNAVAILABLE, Code.TIMEOUT):
                raise
            kind = found.route.message_type  # its brokers are away; the route stands
        brokers = tuple(
            RouteBroker(broker.cluster, broker.name, tuple((number, "") for number, _ in broker.addresses))
            for broker in found.route.brokers
        )
        return msgspec.structs.replace(found.route, brokers=brokers, message_type=kind)

    def query_assignment(self, context: Context, command: QueryAssignment) -> Deferred[Assignments]:
        return self.run(self._assignment(context, command))

    async def _assignment(self, context: Context, command: QueryAssignment) -> Assignments:
        route = await self._route(command.topic, False)
        found = await self.core.routes.find(command.topic)
        if command.strategy:
            return Assignments(await self._by_brokers(context, command, found), route)
        if command.model is MessageModel.BROADCASTING:
            return Assignments(
                tuple(
                    Assignment(name, number, ConsumeMode.PULL) for name, count in found.readable for number in range(count)
                ),
                route,
            )
        group = await self._metadata.group(command.group)
        if group.consume_message_orderly:
            return Assignments(
                tuple(Assignment(name, number) for name, count in found.readable for number in range(count)), route
            )
        return Assignments(tuple(Assignment(name, -1) for name, _ in found.readable), route)

    async def _by_brokers(self, context: Context, command: QueryAssignment, found: TopicRoute) -> tuple[Assignment, ...]:
        """Each broker assigns its own queues."""
        body = encode_body(
            QueryAssignmentRequest(
                client_id=command.client_id,
                consumer_group=command.group,
                message_model=command.model.value,
                strategy_name=command.strategy,
                topic=command.topic,
            )
        )
        assignments: list[Assignment] = []
        for name, _ in found.readable:
            answer = await self.core.ask(
                self.core.routes.master(name), RequestCode.QUERY_ASSIGNMENT, {}, body, context=context
            )
            told = self.core.read(answer, QueryAssignmentResponse, "QUERY_ASSIGNMENT")
            for one in told.message_queue_assignments:
                queue = one.message_queue
                mode = ConsumeMode.POP if one.mode == "POP" else ConsumeMode.PULL
                if queue is not None and queue.broker_name == name:
                    assignments.append(Assignment(name, queue.queue_id, mode))
        return tuple(assignments)

    def get_cluster(self, context: Context, command: GetCluster) -> ClusterInformation:
        routes = self.core.routes
        return ClusterInformation(
            tuple(
                RouteBroker(routes.clusters.get(name, ""), name, tuple(sorted(routes.brokers[name].items())))
                for name in sorted(routes.brokers)
            )
        )

    # Key values.

    def get_key_values(self, context: Context, command: GetKeyValues) -> Deferred[Table]:
        return self.run(self._get_key_values(command))

    async def _get_key_values(self, command: GetKeyValues) -> Table:
        if command.key:
            ext = {"namespace": command.namespace, "key": command.key}
            answer = await self.core.names.ask(RemotingCommand(int(RequestCode.GET_KV_CONFIG), 0, ext_fields=ext))
            value = answer.ext_fields.get("value")
            if answer.code == ResponseCode.QUERY_NOT_FOUND or value is None:
                return Table(())
            if answer.code:
                raise refusal(answer, "GET_KV_CONFIG")
            return Table(((command.key, value),))
        request = RemotingCommand(
            int(RequestCode.GET_KVLIST_BY_NAMESPACE), 0, ext_fields={"namespace": command.namespace}
        )
        answer = await self.core.names.ask(request)
        if answer.code == ResponseCode.QUERY_NOT_FOUND:
            return Table(())
        if answer.code:
            raise refusal(answer, "GET_KVLIST_BY_NAMESPACE")
        return Table(tuple(sorted(decode_body(answer.body, KVTable).table.items())))

    def change_key_values(self, context: Context, command: ChangeKeyValues) -> Deferred[None]:
        return self.run(self._change_key_values(command))

    async def _change_key_values(self, command: ChangeKeyValues) -> None:
        if not command.namespace or not command.key:
            raise GatewayError(Code.BAD_REQUEST, "expected a namespace and a key")
        ext = {"namespace": command.namespace, "key": command.key}
        code = RequestCode.DELETE_KV_CONFIG
        if command.value is not None:
            ext["value"] = command.value
            code = RequestCode.PUT_KV_CONFIG
        answer = await self.core.names.ask_all(RemotingCommand(int(code), 0, ext_fields=ext))
        if answer.code:
            raise refusal(answer, code.name)

    def set_broker_writable(self, context: Context, command: SetBrokerWritable) -> Deferred[Names]:
        return self.run(self._set_broker_writable(command))

    async def _set_broker_writable(self, command: SetBrokerWritable) -> Names:
        code = RequestCode.ADD_WRITE_PERM_OF_BROKER if command.writable else RequestCode.WIPE_WRITE_PERM_OF_BROKER
        answer = await self.core.names.ask_all(
            RemotingCommand(int(code), 0, ext_fields={"brokerName": command.broker_name})
        )
        if answer.code:
            raise refusal(answer, code.name)
        name = "addTopicCount" if command.writable else "wipeTopicCount"
        # Name servers tell how many, not which.
        count = answer.ext_fields.get(name, "0")
        topics = [
            topic for topic, route in self.core.routes.all() if any(one == command.broker_name for one in route.names)
        ]
        return Names(tuple(sorted(topics)) if count != "0" else ())
