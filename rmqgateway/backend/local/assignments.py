"""Which queues a member of a consumer group is to consume, where the broker says so (QUERY_ASSIGNMENT).

Source: ``QueryAssignmentProcessor`` of 5.5.0, and for clients without a strategy (gRPC) ``RouteActivity`` of its proxy.
"""

from __future__ import annotations

from typing import Any

from rmqgateway.backend.local.clients import Clients
from rmqgateway.backend.local.component import Component, Core, Handlers
from rmqgateway.backend.local.groups import Groups
from rmqgateway.backend.local.nameserver import NameServer
from rmqgateway.backend.local.topics import Topics
from rmqgateway.commands.administering import SetConsumeMode
from rmqgateway.commands.clients import Assignment, Assignments, ConsumeMode, MessageModel, QueryAssignment
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError

__all__ = ["QueueAssignments"]

_TABLE = "consume_modes"


class QueueAssignments(Component):
    """Assigns queues, and keeps which groups of Remoting push consumers are to pop."""

    def __init__(
        self, core: Core, topics: Topics, groups: Groups, clients: Clients, name_server: NameServer
    ) -> None:
        super().__init__(core)
        self._topics = topics
        self._groups = groups
        self._clients = clients
        self._name_server = name_server
        self._pops: dict[str, int] = {}  # "group topic" to popShareQueueNum

    def handlers(self) -> Handlers:
        return {QueryAssignment: self.query_assignment, SetConsumeMode: self.set_consume_mode}

    def start(self) -> None:
        for place, share in self.core.store.metadata.items(_TABLE):
            self._pops[place] = int(share)

    def set_consume_mode(self, context: Context, command: SetConsumeMode) -> Any:
        self._topics.find(command.topic)
        self._groups.find(command.group)
        place = f"{command.group} {command.topic}"
        if command.pop:
            self._pops[place] = command.pop_share_queues
        else:
            self._pops.pop(place, None)
        value = b"%d" % command.pop_share_queues if command.pop else None
        return self.core.store.metadata.change([(_TABLE, place, value)])

    def query_assignment(self, context: Context, command: QueryAssignment) -> Assignments:
        topic = self._topics.find(command.topic)
        group = self._groups.find(command.group)
        broker_name = self.core.settings.broker_name
        route = self._name_server.route(topic)
        if not topic.readable or topic.read_queues <= 0:
            return Assignments((), route)
        queue_ids = list(range(topic.read_queues))
        if not command.strategy:
            # Ordered consumers receive queue by queue, the others from all queues at once.
            wanted = queue_ids if group.consume_message_orderly else [-1]
            return Assignments(tuple(Assignment(broker_name, queue_id) for queue_id in wanted), route)
        place = f"{command.group} {command.topic}"
        if command.model is MessageModel.BROADCASTING:
            return Assignments(
                tuple(Assignment(broker_name, queue_id, ConsumeMode.PULL) for queue_id in queue_ids), route
            )
        members = self._members(command.group)
        if place in self._pops:
            share = self._pops[place]
            if share <= 0 or share >= len(members) - 1 or command.client_id not in members:
                return Assignments((Assignment(broker_name, -1),), route)
            mine = set(_allocate(command.strategy, queue_ids, members, command.client_id))
            # Those of the next members too, so that a slow one is helped.
            at = members.index(command.client_id)
            for step in range(1, share + 1):
                mine.update(
                    _allocate(command.strategy, queue_ids, members, members[(at + step) % len(members)])
                )
            return Assignments(tuple(Assignment(broker_name, queue_id) for queue_id in sorted(mine)), route)
        mine_now = _allocate(command.strategy, queue_ids, members, command.client_id)
        return Assignments(
            tuple(Assignment(broker_name, queue_id, ConsumeMode.PULL) for queue_id in mine_now), route
        )

    def _members(self, group_name: str) -> list[str]:
        group = self._clients.group(group_name)
        return [] if group is None else sorted({member.client_id for member in group.members.values()})


def _allocate(strategy: str, queue_ids: list[int], members: list[str], client_id: str) -> list[int]:
    """A member's share of the queues by one of the two strategies that RocketMQ's broker knows."""
    if strategy not in ("AVG", "AVG_BY_CIRCLE"):
        raise GatewayError(
            Code.BAD_REQUEST, f"allocation strategy: expected AVG or AVG_BY_CIRCLE, got {strategy[:100]!r}"
        )
    if client_id not in members:
        return []
    at = members.index(client_id)
    if strategy == "AVG_BY_CIRCLE":
        return queue_ids[at :: len(members)]
    each, more = divmod(len(queue_ids), len(members))
    start = at * each + min(at, more)
    return queue_ids[start : start + each + (1 if at < more else 0)]
