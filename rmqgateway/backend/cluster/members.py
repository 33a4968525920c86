"""Who is connected to this gateway, and in whose name the gateway itself is at the brokers.

A broker knows clients by their connections, one client of a group each. So the gateway is one client with an id of its own,
which every broker is told of by heartbeat with all groups that have a member here; what brokers then send to that client is
passed on to the members.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rmqgateway.backend.cluster.component import Component, Core, Handlers
from rmqgateway.backend.cluster.metadata import Metadata
from rmqgateway.backend.local import names
from rmqgateway.backend.local.filters import compile_filter
from rmqgateway.commands.administering import (
    Connection,
    Connections,
    ConsumerConnections,
    ListConsumerConnections,
    ListProducerConnections,
)
from rmqgateway.commands.clients import (
    CheckSubscription,
    ConsumeMode,
    Consumer,
    ConsumerIds,
    Heartbeat,
    ListConsumers,
    MessageModel,
    Subscribed,
    Unregister,
)
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import Filter, FilterType
from rmqgateway.wire.bodies import encode_body
from rmqgateway.wire.bodies.clients import (
    Connection as ConnectionBody,
)
from rmqgateway.wire.bodies.clients import (
    ConsumerConnection,
    ConsumerData,
    ConsumerList,
    HeartbeatData,
    ProducerConnection,
    ProducerData,
    ProducerTableInfo,
    SubscriptionData,
    java_hash,
)
from rmqgateway.wire.request_codes import RequestCode, ResponseCode

if TYPE_CHECKING:
    from rmqgateway.backend.cluster.connection import Link
    from rmqgateway.backend.cluster.upstream import Broker
    from rmqgateway.context import Context
    from rmqgateway.interfaces import ISession

__all__ = ["Member", "Members", "subscription_data"]

log = Logger(namespace="rmqgateway.cluster")

_Key = tuple[int, str]
_MAX_GROUPS = 1000
_MAX_SUBSCRIPTIONS = 1000
_GROUP_NOT_THERE = (ResponseCode.SYSTEM_ERROR, ResponseCode.CONSUMER_NOT_ONLINE, ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST)


class Member:
    """A client in a group."""

    __slots__ = ("client_id", "consumer", "language", "last_heartbeat", "last_seen", "session", "version")

    def __init__(self, session: ISession, command: Heartbeat) -> None:
        self.session = session
        self.client_id = command.client_id
        self.consumer: Consumer | None = None
        self.language = command.language
        self.version = command.version
        self.last_seen = 0.0
        self.last_heartbeat = 0


class _Group(dict[_Key, Member]):
    """The members of a group. :ivar turn: who is asked first next time."""

    __slots__ = ("turn",)

    def __init__(self) -> None:
        super().__init__()
        self.turn = 0


class Members(Component):
    """Serves heartbeats and questions about members. :ivar client_id: the gateway's own at the brokers."""

    def __init__(self, core: Core, metadata: Metadata) -> None:
        super().__init__(core)
        self._metadata = metadata
        host = socket.gethostname().split(".")[0][:100]
        self.client_id = f"{host}@rmqgateway-{os.getpid()}-{os.urandom(4).hex()}"
        self.producers: dict[str, _Group] = {}
        self.consumers: dict[str, _Group] = {}
        self._sessions: dict[str, dict[int, ISession]] = {}
        self._of_session: dict[int, set[str]] = {}
        #: Groups in which the gateway is for itself.
        self._own_producers: set[str] = set()
        self._own_consumers: dict[str, dict[str, Filter]] = {}
        self._registering = False
        core.upstream.on_connected.append(self._connected)
        core.routes.on_brokers.append(self._register_soon)

    def handlers(self) -> Handlers:
        return {
            Heartbeat: self.heartbeat,
            Unregister: self.unregister,
            ListConsumers: self.list_consumers,
            CheckSubscription: self.check_subscription,
            ListConsumerConnections: self.list_consumer_connections,
            ListProducerConnections: self.list_producer_connections,
        }

    def start(self) -> None:
        self.every(self.core.settings.heartbeat_s, self._beat)
        self.every(10.0, self._expire)

    def stop(self) -> None:
        body = self._body(True)
        if body is None:
            return
        for group in [*self.producers, *self._own_producers]:
            self._tell_gone("producerGroup", group)
        for group in [*self.consumers, *self._own_consumers]:
            self._tell_gone("consumerGroup", group)

    # Asking.

    def session_of(self, client_id: str) -> ISession | None:
        """The newest session on which a client id is known, or None."""
        sessions = self._sessions.get(client_id)
        return sessions[next(reversed(sessions))] if sessions else None

    def producer_sessions(self, group: str) -> list[ISession]:
        """The sessions of a producer group's members, each once, another one first each time."""
        return self._in_turn(self.producers.get(group))

    def consumer_sessions(self, group: str) -> list[ISession]:
        """The same of a consumer group."""
        return self._in_turn(self.consumers.get(group))

    def member(self, group: str, client_id: str) -> Member | None:
        """The member of a consumer group with this client id, or None."""
        members = self.consumers.get(group, {}).values()
        return next((member for member in members if member.client_id == client_id), None)

    @staticmethod
    def _in_turn(members: _Group | None) -> list[ISession]:
        if members is None:
            return []
        sessions = list({member.session.number: member.session for member in members.values()}.values())
        if len(sessions) > 1:
            members.turn += 1
            at = members.turn % len(sessions)
            sessions = sessions[at:] + sessions[:at]
        return sessions

    # The gateway's own groups.

    def join_as_producer(self, group: str) -> Deferred[None] | None:
        """Have the gateway known in a producer group at all brokers; fires once they have heard of it."""
        if group in self._own_producers:
            return None
        self._own_producers.add(group)
        return self.run(self._register())

    def join_as_consumer(self, group: str, topic: str, wanted: Filter) -> Deferred[None] | None:
        """The same in a consumer group that consumes a topic by pull."""
        topics = self._own_consumers.setdefault(group, {})
        if topics.get(topic) == wanted:
            return None
        topics[topic] = wanted
        return self.run(self._register())

    def leave_as_consumer(self, group: str, topic: str) -> None:
        """The gateway consumes a topic no more."""
        topics = self._own_consumers.get(group)
        if topics is not None and topics.pop(topic, None) is not None:
            if not topics:
                del self._own_consumers[group]
                if group not in self.consumers:
                    self._tell_gone("consumerGroup", group)
            self._register_soon()

    # Commands.

    def heartbeat(self, context: Context, command: Heartbeat) -> Deferred[None] | None:
        names.check_client_id(command.client_id)
        if len(command.consumers) + len(command.producers) > _MAX_GROUPS:
            raise GatewayError(Code.BAD_REQUEST, f"expected at most {_MAX_GROUPS} groups in a heartbeat")
        for group in command.producers:
            names.check_group(group)
        for consumer in command.consumers:
            names.check_group(consumer.group)
            if len(consumer.subscriptions) > _MAX_SUBSCRIPTIONS:
                raise GatewayError(Code.BAD_REQUEST, f"expected at most {_MAX_SUBSCRIPTIONS} subscriptions of a group")
            for subscribed in consumer.subscriptions:
                compile_filter(subscribed.filter)
        session = context.session
        new = False
        for group in command.producers:
            new |= self._seen(self.producers, group, session, command, None)
        for consumer in command.consumers:
            new |= self._seen(self.consumers, consumer.group, session, command, consumer)
        self._sessions.setdefault(command.client_id, {})[session.number] = session
        self._of_session.setdefault(session.number, set()).add(command.client_id)
        # A check or reply may come as soon as this is answered: the brokers hear of a new group first.
        return self.run(self._register()) if new else None

    def unregister(self, context: Context, command: Unregister) -> None:
        key = (context.session.number, command.client_id)
        everything = not command.producer_group and not command.consumer_group
        for table, wanted, kind in (
            (self.producers, command.producer_group, "producerGroup"),
            (self.consumers, command.consumer_group, "consumerGroup"),
        ):
            for group in list(table) if everything else [wanted]:
                self._leave(table, group, key, kind)

    def check_subscription(self, context: Context, command: CheckSubscription) -> None:
        compile_filter(command.filter)

    def list_consumers(self, context: Context, command: ListConsumers) -> Deferred[ConsumerIds]:
        return self.run(self._list_consumers(command.group))

    async def _list_consumers(self, group: str) -> ConsumerIds:
        ids = await self.ids_at_brokers(group)
        ids.discard(self.client_id)
        ids |= {member.client_id for member in self.consumers.get(group, {}).values()}
        if not ids:
            raise GatewayError(Code.GROUP_NOT_FOUND, f"no member of consumer group {group[:300]!r} is connected")
        return ConsumerIds(tuple(sorted(ids)))

    async def ids_at_brokers(self, group: str) -> set[str]:
        """The client ids of a group that the brokers know, gateways among them."""
        ids: set[str] = set()
        for _, address in self.core.routes.masters():
            answer = await self.core.ask(
                address, RequestCode.GET_CONSUMER_LIST_BY_GROUP, {"consumerGroup": group}, also=_GROUP_NOT_THERE
            )
            if not answer.code:
                ids.update(self.core.read(answer, ConsumerList, "GET_CONSUMER_LIST_BY_GROUP").consumer_id_list)
        return ids

    def list_consumer_connections(
        self, context: Context, command: ListConsumerConnections
    ) -> Deferred[ConsumerConnections]:
        return self.run(self._consumer_connections(context, command.group))

    async def _consumer_connections(self, context: Context, group: str) -> ConsumerConnections:
        """Those at the brokers, and in this gateway's place the clients of this gateway. Brokers do not tell what each said."""
        found: dict[tuple[str, str], Connection] = {}
        said: dict[tuple[str, str], Consumer | None] = {}
        consumer: Consumer | None = None
        for _, address in self.core.routes.masters():
            answer = await self.core.ask(
                address,
                RequestCode.GET_CONSUMER_CONNECTION_LIST,
                {"consumerGroup": group},
                context=context,
                also=_GROUP_NOT_THERE,
            )
            if answer.code:
                continue
            body = self.core.read(answer, ConsumerConnection, "GET_CONSUMER_CONNECTION_LIST")
            consumer = consumer or _consumer_of(group, body)
            for one in body.connection_set:
                if one.client_id != self.client_id:
                    found.setdefault((one.client_id, one.client_addr), _remote(one))
        for member in self.consumers.get(group, {}).values():
            found[member.client_id, member.session.peer] = _shown(member)
            said[member.client_id, member.session.peer] = member.consumer
            consumer = member.consumer or consumer
        if not found:
            raise GatewayError(Code.GROUP_NOT_FOUND, f"no member of consumer group {group[:300]!r} is connected")
        keys = sorted(found)
        return ConsumerConnections(tuple(map(found.__getitem__, keys)), consumer, tuple(map(said.get, keys)))

    def list_producer_connections(self, context: Context, command: ListProducerConnections) -> Deferred[Connections]:
        return self.run(self._producer_connections(context, command.group))

    async def _producer_connections(self, context: Context, group: str) -> Connections:
        found: dict[tuple[str, str, str], Connection] = {}
        for _, address in self.core.routes.masters():
            if group:
                answer = await self.core.ask(
                    address,
                    RequestCode.GET_PRODUCER_CONNECTION_LIST,
                    {"producerGroup": group},
                    context=context,
                    also=_GROUP_NOT_THERE,
                )
                if answer.code:
                    continue
                table = self.core.read(answer, ProducerConnection, "GET_PRODUCER_CONNECTION_LIST")
                shown = [(group, _remote(one)) for one in table.connection_set]
            else:
                answer = await self.core.ask(address, RequestCode.GET_ALL_PRODUCER_INFO, context=context, also=_GROUP_NOT_THERE)
                if answer.code:
                    continue
                shown = [
                    (name, Connection(one.client_id, one.remote_ip.lstrip("/"), one.language, str(one.version)))
                    for name, infos in self.core.read(answer, ProducerTableInfo, "GET_ALL_PRODUCER_INFO").data.items()
                    for one in infos
                ]
            for name, connection in shown:
                if connection.client_id != self.client_id:
                    found.setdefault((name, connection.client_id, connection.address), connection)
        for name in [group] if group else list(self.producers):
            for member in self.producers.get(name, {}).values():
                found[name, member.client_id, member.session.peer] = _shown(member)
        return Connections(tuple((key[0], found[key]) for key in sorted(found)))

    # Sessions.

    def session_ended(self, session: ISession) -> None:
        number = session.number
        for client_id in self._of_session.pop(number, ()):
            for table, kind in ((self.producers, "producerGroup"), (self.consumers, "consumerGroup")):
                for group in [group for group, members in table.items() if (number, client_id) in members]:
                    self._leave(table, group, (number, client_id), kind)
            sessions = self._sessions.get(client_id)
            if sessions is not None:
                sessions.pop(number, None)
                if not sessions:
                    del self._sessions[client_id]

    # Inside.

    def _seen(
        self,
        table: dict[str, _Group],
        group: str,
        session: ISession,
        command: Heartbeat,
        consumer: Consumer | None,
    ) -> bool:
        """Note a heartbeat; say whether brokers have to hear of it."""
        members = table.get(group)
        new = members is None
        if members is None:
            members = table[group] = _Group()
        key = (session.number, command.client_id)
        member = members.get(key)
        if member is None:
            member = members[key] = Member(session, command)
        if consumer is not None and (member.consumer is None or _topics(member.consumer) != _topics(consumer)):
            new = True
        member.consumer = consumer
        member.language, member.version = command.language, command.version
        member.last_seen = self.core.reactor.seconds()
        member.last_heartbeat = self.core.now_ms()
        return new

    def _leave(self, table: dict[str, _Group], group: str, key: _Key, kind: str) -> None:
        members = table.get(group)
        if members is None or members.pop(key, None) is None:
            return
        if not members:
            del table[group]
            own = self._own_producers if table is self.producers else self._own_consumers
            if group not in own:
                self._tell_gone(kind, group)

    def _tell_gone(self, kind: str, group: str) -> None:
        for _, address in self.core.routes.masters():
            if self.core.upstream.broker(address).channel is not None:
                ext = {"clientID": self.client_id, kind: group}
                self.core.upstream.tell(address, RequestCode.UNREGISTER_CLIENT, ext, channel=True)

    def _expire(self) -> None:
        """Members that are silent have gone, though their connection may stand."""
        oldest = self.core.reactor.seconds() - self.core.settings.client_expiry_s
        for table, kind in ((self.producers, "producerGroup"), (self.consumers, "consumerGroup")):
            for group, members in list(table.items()):
                for key, member in list(members.items()):
                    if member.last_seen < oldest:
                        self._leave(table, group, key, kind)

    # Brokers.

    def _body(self, pops: bool) -> bytes | None:
        producers = sorted({*self.producers, *self._own_producers})
        consumers = []
        for group in sorted({*self.consumers, *self._own_consumers}):
            wanted = dict(self._own_consumers.get(group, {}))
            model = MessageModel.CLUSTERING
            for member in self.consumers.get(group, {}).values():
                if member.consumer is not None:
                    model = member.consumer.model
                    for subscribed in member.consumer.subscriptions:
                        wanted.setdefault(subscribed.topic, subscribed.filter)
            kind = "CONSUME_PASSIVELY" if group in self._own_consumers or not pops else "CONSUME_POP"
            consumers.append(
                ConsumerData(
                    group_name=group,
                    consume_type=kind,
                    message_model=model.value,
                    consume_from_where="CONSUME_FROM_LAST_OFFSET",
                    subscription_data_set=[
                        subscription_data(topic, one, self.core.now_ms()) for topic, one in sorted(wanted.items())
                    ],
                )
            )
        if not producers and not consumers:
            return None
        return encode_body(
            HeartbeatData(
                client_id=self.client_id,
                consumer_data_set=consumers,
                producer_data_set=[ProducerData(group_name=group) for group in producers],
            )
        )

    def _beat(self) -> None:
        self.background(self._register(), "a heartbeat")

    def _register_soon(self) -> None:
        if self.producers or self.consumers or self._own_producers or self._own_consumers:
            self._beat()

    def _connected(self, broker: Broker, link: Link) -> None:
        """A new connection knows no groups yet."""
        if broker.channel is link:
            self.background(self._register_at(broker.address), "a heartbeat")

    async def _register(self) -> None:
        """Tell every broker; one that is away hears of it when it is back."""
        waits: list[Deferred[Any]] = []
        for _, address in list(self.core.routes.masters()):
            one = Deferred.fromCoroutine(self._register_at(address))
            waits.append(one.addErrback(self._not_told, address))
        for one in waits:
            await one

    @staticmethod
    def _not_told(failure: Any, address: str) -> None:
        if failure.check(GatewayError) is None:
            log.failure("a heartbeat to {address} failed", failure=failure, address=address)
        else:
            log.debug("no heartbeat to {address}: {reason}", address=address, reason=failure.getErrorMessage())

    async def _register_at(self, address: str) -> None:
        body = self._body(self._metadata.pops(address))
        if body is not None:
            await self.core.ask(address, RequestCode.HEART_BEAT, {}, body, channel=True)


def subscription_data(topic: str, wanted: Filter, version: int) -> SubscriptionData:
    """A subscription as clients tell it (``FilterAPI.build``)."""
    tags: list[str] = []
    if wanted.type is FilterType.TAG and wanted.expression != "*":
        tags = [tag.strip() for tag in wanted.expression.split("||") if tag.strip()]
    return SubscriptionData(
        code_set=[java_hash(tag) for tag in tags],
        expression_type=wanted.type.value,
        sub_string=wanted.expression,
        sub_version=version,
        tags_set=tags,
        topic=topic,
    )


def _topics(consumer: Consumer) -> set[tuple[str, Filter]]:
    return {(subscribed.topic, subscribed.filter) for subscribed in consumer.subscriptions}


def _shown(member: Member) -> Connection:
    return Connection(
        member.client_id,
        member.session.peer,
        member.language,
        member.version,
        member.session.front_end,
        member.last_heartbeat,
    )


def _remote(one: ConnectionBody) -> Connection:
    return Connection(one.client_id, one.client_addr, one.language, str(one.version))


def _consumer_of(group: str, body: ConsumerConnection) -> Consumer:
    mode = ConsumeMode.POP if body.consume_type == "CONSUME_POP" else ConsumeMode.PULL
    model = MessageModel.BROADCASTING if body.message_model == "BROADCASTING" else MessageModel.CLUSTERING
    kinds = {kind.value: kind for kind in FilterType}
    return Consumer(
        group,
        mode,
        model,
        subscriptions=tuple(
            Subscribed(
                one.topic,
                Filter(one.sub_string or "*", kinds.get(one.expression_type or "TAG", FilterType.TAG)),
                one.sub_version,
            )
            for one in body.subscription_table.values()
        ),
        actively_pulling=body.consume_type == "CONSUME_ACTIVELY",
    )
