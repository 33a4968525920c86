"""Who is connected, for those who administer."""

from __future__ import annotations

from collections.abc import Mapping

from rmqgateway.backend.local import names
from rmqgateway.backend.local.clients import Clients, ConsumerGroup, Member, Use
from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.pop_queue import Receiver
from rmqgateway.backend.local.popping import Popping
from rmqgateway.commands.administering import (
    Connection,
    Connections,
    ConsumerConnections,
    ListConsumerConnections,
    ListProducerConnections,
)
from rmqgateway.commands.clients import ConsumeMode, Consumer, Subscribed
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.interfaces import ISession
from rmqgateway.message import TAG_ALL

__all__ = ["AdminClients"]


class AdminClients(Component):
    """Shows connected producers and consumers, whatever their protocol."""

    def __init__(self, core: Core, clients: Clients, popping: Popping) -> None:
        super().__init__(core)
        self._clients = clients
        self._popping = popping

    def handlers(self) -> Handlers:
        return {
            ListConsumerConnections: self.list_consumer_connections,
            ListProducerConnections: self.list_producer_connections,
        }

    def list_consumer_connections(
        self, context: Context, command: ListConsumerConnections
    ) -> ConsumerConnections:
        group = self._clients.group(command.group)
        uses = self._clients.uses_of(command.group)
        pops = any(use.mode is ConsumeMode.POP for use in uses.values())
        in_flight = self._popping.in_flight_of(command.group) if pops else None
        members = [] if group is None else list(group.members.values())
        shown = [_member(member, in_flight) for member in members]
        said: list[Consumer | None] = [member.consumer for member in members]
        known = {member.session.number for member in members}
        for number in sorted({number for use in uses.values() for number in use.sessions} - known):
            consuming = self._clients.consuming(number)
            if consuming is not None:
                shown.append(_session(*consuming, in_flight))
                said.append(None)
        if not shown:
            raise GatewayError(
                Code.GROUP_NOT_FOUND, f"no member of consumer group {command.group[:300]!r} is connected"
            )
        return ConsumerConnections(tuple(shown), _consumer(command.group, group, uses), tuple(said))

    def list_producer_connections(self, context: Context, command: ListProducerConnections) -> Connections:
        groups = [command.group] if command.group else sorted(self._clients.producers)
        return Connections(
            tuple(
                (group, _member(member, None))
                for group in groups
                for member in self._clients.producers.get(group, {}).values()
            )
        )


def _consumer(name: str, group: ConsumerGroup | None, uses: Mapping[str, Use]) -> Consumer:
    """What the group consumes: as its members said, else as they do."""
    if group is None:
        # Nobody said so: these are the topics, and the filters of the last receives.
        topics = {
            topic: Subscribed(topic, use.filter or TAG_ALL)
            for topic, use in sorted(uses.items())
            if not topic.startswith(names.RETRY_PREFIX)
        }
        mode = next(iter(uses.values())).mode
        return Consumer(name, mode, subscriptions=tuple(topics.values()), actively_pulling=True)
    newest = group.newest
    return Consumer(
        newest.group,
        newest.mode,
        newest.model,
        newest.consume_from,
        tuple(group.subscriptions.values()),
        newest.actively_pulling,
        newest.unit_mode,
    )


def _member(member: Member, in_flight: Mapping[Receiver, int] | None) -> Connection:
    session = member.session
    count = None
    if in_flight is not None:
        # A client may have received before its first heartbeat said who it is.
        count = in_flight.get(member.client_id, 0) + in_flight.get(session.number, 0)
    return Connection(
        member.client_id,
        session.peer,
        member.language,
        member.version,
        session.front_end,
        member.last_heartbeat,
        count,
    )


def _session(session: ISession, client_id: str, in_flight: Mapping[Receiver, int] | None) -> Connection:
    """A client that consumes and sent no heartbeat."""
    count = None
    if in_flight is not None:
        count = in_flight.get(session.number, 0) + (in_flight.get(client_id, 0) if client_id else 0)
    return Connection(client_id, session.peer, protocol=session.front_end, in_flight=count)
