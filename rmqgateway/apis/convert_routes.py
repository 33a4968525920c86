"""QueryRoute and QueryAssignment. Source: ``RouteActivity`` of the proxy 5.5.0."""

from __future__ import annotations

from collections.abc import Iterator

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.apis.convert_base import endpoints_of, version_of
from rmqgateway.apis.refusals import OK, Refusal
from rmqgateway.commands import Assignments, Route
from rmqgateway.message import MessageType, Permission

__all__ = ["MESSAGE_TYPES", "message_types", "write_assignments", "write_queues", "write_route"]

#: The types that a topic takes, as QueryRoute tells them. Of a topic of any type the proxy tells four.
MESSAGE_TYPES: dict[MessageType, tuple[v2.MessageType, ...]] = {
    MessageType.UNSPECIFIED: (v2.MESSAGE_TYPE_UNSPECIFIED,),
    MessageType.NORMAL: (v2.NORMAL,),
    MessageType.FIFO: (v2.FIFO,),
    MessageType.DELAY: (v2.DELAY,),
    MessageType.TRANSACTION: (v2.TRANSACTION,),
    MessageType.PRIORITY: (v2.PRIORITY,),
    MessageType.LITE: (v2.LITE,),
    MessageType.MIXED: (v2.NORMAL, v2.FIFO, v2.DELAY, v2.TRANSACTION),
}
#: What a topic of any type takes besides; told to clients that know these types. Others may not stand them: Java's before
#: 5.1 and C#'s refuse a route that has a type which they do not know.
_NEWER_TYPES = (v2.PRIORITY, v2.LITE)
#: Node's client calls itself HTTP.
_KNOWN_SINCE = {"JAVA": (5, 2), "GOLANG": (), "HTTP": (), "NODE_JS": (), "PYTHON": (), "RUST": ()}


def _permission(permission: Permission) -> v2.Permission:
    if permission & Permission.READ and permission & Permission.WRITE:
        return v2.READ_WRITE
    if permission & Permission.READ:
        return v2.READ
    return v2.WRITE if permission & Permission.WRITE else v2.NONE


def write_queues(route: Route) -> int:
    """How many queues a topic's messages are spread over, for those with a message group; 0 where several brokers share."""
    if len(route.queues) != 1 or not route.queues[0].permission & Permission.WRITE:
        return 0
    return route.queues[0].write_queues


def _brokers(route: Route, host: str) -> dict[str, list[v2.Broker]]:
    return {
        broker.name: [
            v2.Broker(name=broker.name, id=number, endpoints=endpoints_of(host)) for number, _ in broker.addresses
        ]
        for broker in route.brokers
    }


def _permissions(read: int, write: int, permission: Permission) -> Iterator[v2.Permission]:
    """Of each queue, by its id: those for reading only, for writing only, for both."""
    both = 0
    if permission & Permission.READ and permission & Permission.WRITE:
        both = min(read, write)
        read -= both
        write -= both
    elif permission & Permission.WRITE:
        read = 0
    elif permission & Permission.READ:
        write = 0
    else:
        for _ in range(max(1, read, write)):
            yield v2.NONE
        return
    for count, kind in ((read, v2.READ), (write, v2.WRITE), (both, v2.READ_WRITE)):
        for _ in range(count):
            yield kind


def message_types(kind: MessageType, language: str, version: str) -> tuple[v2.MessageType, ...]:
    """The types that a topic takes, as far as a client of this language and version may be told them."""
    since = _KNOWN_SINCE.get(language)
    if kind is MessageType.MIXED and since is not None and version_of(version) >= since:
        return MESSAGE_TYPES[kind] + _NEWER_TYPES
    return MESSAGE_TYPES[kind]


def write_route(route: Route, topic: v2.Resource, host: str, types: tuple[v2.MessageType, ...]) -> bytes:
    """The response to QueryRoute.

    :param topic: as the client called it. :param host: "host:port" under which it reaches us: whichever broker has a queue,
        its messages go through this gateway. :param types: of `message_types`.
    """
    brokers = _brokers(route, host)
    response = service.QueryRouteResponse(status=OK)
    for queues in route.queues:
        for broker in brokers.get(queues.broker_name, ()):
            kinds = _permissions(queues.read_queues, queues.write_queues, queues.permission)
            for number, permission in enumerate(kinds):
                response.message_queues.add(
                    topic=topic, id=number, permission=permission, broker=broker, accept_message_types=types
                )
    return response.SerializeToString()


def write_assignments(reply: Assignments, topic: v2.Resource, host: str) -> bytes:
    """The response to QueryAssignment. :raise Refusal: FORBIDDEN: no queue is readable."""
    if not reply.assignments or reply.route is None:
        raise Refusal(v2.FORBIDDEN, "no readable queue")
    brokers = _brokers(reply.route, host)
    permissions = {queues.broker_name: _permission(queues.permission) for queues in reply.route.queues}
    response = service.QueryAssignmentResponse(status=OK)
    for assignment in reply.assignments:
        name = assignment.broker_name
        masters = [broker for broker in brokers.get(name, ()) if broker.id == 0]
        response.assignments.add(
            message_queue=v2.MessageQueue(
                topic=topic,
                id=assignment.queue_id,
                permission=permissions.get(name, v2.READ),
                broker=masters[0] if masters else None,
            )
        )
    return response.SerializeToString()
