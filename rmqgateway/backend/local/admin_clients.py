"""Who is connected, for those who administer."""

from __future__ import annotations

from rmqgateway.backend.local.clients import Clients, Member
from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.commands.administering import (
    Connection,
    Connections,
    ConsumerConnections,
    ListConsumerConnections,
    ListProducerConnections,
)
from rmqgateway.commands.clients import Consumer
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError

__all__ = ["AdminClients"]


class AdminClients(Component):
    """Shows connected producers and consumers, whatever their protocol."""

    def __init__(self, core: Core, clients: Clients) -> None:
        super().__init__(core)
        self._clients = clients

    def handlers(self) -> Handlers:
        return {
            ListConsumerConnections: self.list_consumer_connections,
            ListProducerConnections: self.list_producer_connections,
        }

    def list_consumer_connections(
        self, context: Context, command: ListConsumerConnections
    ) -> ConsumerConnections:
        group = self._clients.group(command.group)
        if group is None:
            raise GatewayError(
                Code.GROUP_NOT_FOUND, f"no member of consumer group {command.group[:300]!r} is connected"
            )
        newest = group.newest
        shown = Consumer(
            newest.group,
            newest.mode,
            newest.model,
            newest.consume_from,
            tuple(group.subscriptions.values()),
            newest.actively_pulling,
            newest.unit_mode,
        )
        return ConsumerConnections(tuple(_connection(member) for member in group.members.values()), shown)

    def list_producer_connections(self, context: Context, command: ListProducerConnections) -> Connections:
        groups = [command.group] if command.group else sorted(self._clients.producers)
        return Connections(
            tuple(
                (group, _connection(member))
                for group in groups
                for member in self._clients.producers.get(group, {}).values()
            )
        )


def _connection(member: Member) -> Connection:
    session = member.session
    return Connection(
        member.client_id,
        session.peer,
        member.language,
        member.version,
        session.front_end,
        member.last_heartbeat,
    )
