"""The seventeen calls of ``apache.rocketmq.v2.MessagingService``; those of its ``Admin`` service are in ``admin.py``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred

from rmqgateway.apis.admin import ADMIN_METHODS, ADMIN_SERVICE
from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.apis.checks import group_name, topic_name
from rmqgateway.apis.clients import Clients
from rmqgateway.apis.convert_clients import heartbeat_of, read_lite, settings_group
from rmqgateway.apis.convert_offsets import read_get_offset, read_query_offset, read_update_offset
from rmqgateway.apis.convert_receiving import (
    read_ack,
    read_change,
    read_forward,
    write_acknowledged,
    write_changed,
)
from rmqgateway.apis.convert_routes import message_types, write_assignments, write_queues, write_route
from rmqgateway.apis.convert_sending import SendReader, read_end_transaction, read_recall
from rmqgateway.apis.deadlines import Deadlines
from rmqgateway.apis.receiving import pull_message, receive_message
from rmqgateway.apis.refusals import OK, Refusal
from rmqgateway.apis.rpc import Method, Rpc
from rmqgateway.apis.sending import Sends
from rmqgateway.apis.telemetry import telemetry
from rmqgateway.commands import (
    AckResults,
    Assignments,
    ChangedInvisibleDuration,
    ConsumerOffset,
    Offset,
    QueryAssignment,
    QueryRoute,
    RecalledMessage,
    Route,
    SyncLiteSubscription,
)

if TYPE_CHECKING:
    from rmqgateway.apis.limits import ApiSettings
    from rmqgateway.interfaces import IGateway

__all__ = ["ADMIN_SERVICE", "MESSAGING_SERVICE", "METHODS", "Api", "api_of"]

MESSAGING_SERVICE = "apache.rocketmq.v2.MessagingService"

#: For how long the number of a topic's queues is believed, in seconds: ordered messages are spread by it.
_ROUTE_SECONDS = 5.0
_MAX_ROUTES = 10_000


class _RouteNeeded(Exception):
    """A message with a group is for a topic whose queues are not known. :ivar topic: its inner name."""

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.topic = topic


class Api:
    """What the calls of one gateway share.

    :ivar clients: who is connected. :ivar deadlines: of the calls under way.
    """

    def __init__(
        self, gateway: IGateway, settings: ApiSettings, now_ms: Callable[[], int] | None = None
    ) -> None:
        self.gateway = gateway
        self.settings = settings
        self.now_ms = now_ms if now_ms is not None else _wall_ms
        self.execute = gateway.execute
        self.seconds: Callable[[], float] = gateway.reactor.seconds
        self.clients = Clients(gateway, settings, self.now_ms)
        self.deadlines = Deadlines(gateway.reactor)
        self.sends = SendReader(settings, self.now_ms, self._queues_of)
        self.sending = Sends(gateway)
        self._routes: dict[str, tuple[int, float]] = {}

    def learn(self, route: Route) -> None:
        """Note how many queues a topic has."""
        if len(self._routes) >= _MAX_ROUTES:
            self._routes.clear()
        self._routes[route.topic] = (write_queues(route), self.seconds() + _ROUTE_SECONDS)

    def _queues_of(self, topic: str) -> int:
        known = self._routes.get(topic)
        if known is None or known[1] < self.seconds():
            raise _RouteNeeded(topic)
        return known[0]


def _wall_ms() -> int:
    return int(time.time() * 1000)


def api_of(
    gateway: IGateway,
    settings: ApiSettings,
    known: dict[int, tuple[IGateway, Api]],
    now_ms: Callable[[], int] | None = None,
) -> Api:
    """The gateway's API under these settings, made once. :param known: kept by the front-end. :param now_ms: the wall clock."""
    found = known.get(id(gateway))
    if found is None or found[0] is not gateway:
        found = known[id(gateway)] = (gateway, Api(gateway, settings, now_ms))
    return found[1]


def _then(result: Any, write: Callable[[Any], bytes]) -> Any:
    return result.addCallback(write) if isinstance(result, Deferred) else write(result)


# Routes.


def _query_route(rpc: Rpc, data: bytes) -> Any:
    request = service.QueryRouteRequest.FromString(data)
    topic = topic_name(request.topic, rpc.namespace)

    def write(route: Route) -> bytes:
        rpc.api.learn(route)
        types = message_types(
            route.message_type, rpc.text(b"x-mq-language"), rpc.text(b"x-mq-client-version")
        )
        return write_route(route, request.topic, rpc.host, types)

    return _then(rpc.execute(QueryRoute(topic, create=True)), write)


def _query_assignment(rpc: Rpc, data: bytes) -> Any:
    request = service.QueryAssignmentRequest.FromString(data)
    topic = topic_name(request.topic, rpc.namespace)
    group = group_name(request.group, rpc.namespace)

    def write(reply: Assignments) -> bytes:
        return write_assignments(reply, request.topic, rpc.host)

    return _then(rpc.execute(QueryAssignment(group, topic, rpc.client_id)), write)


# Clients.


def _heartbeat(rpc: Rpc, data: bytes) -> Any:
    request = service.HeartbeatRequest.FromString(data)
    client = rpc.client
    if client is None or client.settings is None:
        raise Refusal(v2.UNRECOGNIZED_CLIENT_TYPE, "cannot find client settings for this client")
    if settings_group(client.settings, client.namespace):
        group_name(request.group, rpc.namespace)
    command = heartbeat_of(
        client.settings, client.namespace, client.client_id, client.language, client.version, rpc.api.now_ms()
    )
    return _then(rpc.execute(command), lambda _: service.HeartbeatResponse(status=OK).SerializeToString())


def _notify_client_termination(rpc: Rpc, data: bytes) -> bytes:
    request = service.NotifyClientTerminationRequest.FromString(data)
    client = rpc.client
    if client is None or client.settings is None:
        raise Refusal(v2.UNRECOGNIZED_CLIENT_TYPE, "cannot find client settings for this client")
    if settings_group(client.settings, client.namespace):
        group_name(request.group, rpc.namespace)
    rpc.api.clients.forget(client)
    return service.NotifyClientTerminationResponse(status=OK).SerializeToString()


def _sync_lite_subscription(rpc: Rpc, data: bytes) -> Any:
    command: SyncLiteSubscription = read_lite(data, rpc.namespace, rpc.api.settings, rpc.client_id)
    if rpc.client is None:
        # Its subscriptions are the client's, not the connection's: one without a telemetry stream, as in a browser, receives
        # over another connection.
        rpc.client = rpc.api.clients.open(
            rpc.client_key, rpc.client_id, rpc.information, rpc.front_end, rpc.context.credential
        )
        rpc.context.session = rpc.client.session
    return _then(
        rpc.execute(command), lambda _: service.SyncLiteSubscriptionResponse(status=OK).SerializeToString()
    )


# Producing.


def _send_message(rpc: Rpc, data: bytes) -> Any:
    try:
        command = rpc.api.sends.read(data, rpc.namespace, rpc.context.session.peer)
    except _RouteNeeded as needed:
        return maybeDeferred(rpc.execute, QueryRoute(needed.topic, create=True)).addCallback(_send_again, rpc, data)
    rpc.api.sending.add(rpc, command)
    return None


def _send_again(route: Route, rpc: Rpc, data: bytes) -> Any:
    rpc.api.learn(route)
    return _send_message(rpc, data)


def _end_transaction(rpc: Rpc, data: bytes) -> Any:
    return _then(
        rpc.execute(read_end_transaction(data, rpc.namespace)),
        lambda _: service.EndTransactionResponse(status=OK).SerializeToString(),
    )


def _recall_message(rpc: Rpc, data: bytes) -> Any:
    def write(reply: RecalledMessage) -> bytes:
        return service.RecallMessageResponse(status=OK, message_id=reply.unique_key).SerializeToString()

    return _then(rpc.execute(read_recall(data, rpc.namespace)), write)


# Settling.


def _current(rpc: Rpc) -> Callable[[str, str, str], str]:
    """The handle that is valid now, for one that the client was given."""
    client = rpc.client
    if client is None or not len(client.renewals):
        return lambda group, message_id, handle: handle
    take = client.renewals.take
    return lambda group, message_id, handle: take(group, handle)


def _after_renewals(
    rpc: Rpc, group: v2.Resource, handles: list[str], settle: Callable[[], Any]
) -> Any:
    """Settle when no renewal of these messages is under way: it would make their handles void."""
    client = rpc.client
    if client is not None and len(client.renewals):
        waiting = client.renewals.under_way(group_name(group, rpc.namespace), handles)
        if waiting is not None:
            return waiting.addCallback(lambda _: _after_renewals(rpc, group, handles, settle))
    return settle()


def _ack_message(rpc: Rpc, data: bytes) -> Any:
    request = service.AckMessageRequest.FromString(data)

    def settle() -> Any:
        command = read_ack(request, rpc.namespace, _current(rpc))

        def write(reply: AckResults) -> bytes:
            return write_acknowledged(request.entries, reply)

        return _then(rpc.execute(command), write)

    return _after_renewals(rpc, request.group, [entry.receipt_handle for entry in request.entries], settle)


def _change_invisible_duration(rpc: Rpc, data: bytes) -> Any:
    request = service.ChangeInvisibleDurationRequest.FromString(data)

    def settle() -> Any:
        command = read_change(request, rpc.namespace, rpc.api.settings, _current(rpc))

        def write(reply: ChangedInvisibleDuration) -> bytes:
            return write_changed(reply)

        return _then(rpc.execute(command), write)

    return _after_renewals(rpc, request.group, [request.receipt_handle], settle)


def _forward_to_dead_letter_queue(rpc: Rpc, data: bytes) -> Any:
    request = service.ForwardMessageToDeadLetterQueueRequest.FromString(data)

    def settle() -> Any:
        command = read_forward(request, rpc.namespace, _current(rpc))
        return _then(
            rpc.execute(command),
            lambda _: service.ForwardMessageToDeadLetterQueueResponse(status=OK).SerializeToString(),
        )

    return _after_renewals(rpc, request.group, [request.receipt_handle], settle)


# Consumers that keep their own place.


def _update_offset(rpc: Rpc, data: bytes) -> Any:
    return _then(
        rpc.execute(read_update_offset(data, rpc.namespace)),
        lambda _: service.UpdateOffsetResponse(status=OK).SerializeToString(),
    )


def _get_offset(rpc: Rpc, data: bytes) -> Any:
    def write(reply: ConsumerOffset) -> bytes:
        return service.GetOffsetResponse(status=OK, offset=reply.offset).SerializeToString()

    return _then(rpc.execute(read_get_offset(data, rpc.namespace)), write)


def _query_offset(rpc: Rpc, data: bytes) -> Any:
    def write(reply: Offset) -> bytes:
        return service.QueryOffsetResponse(status=OK, offset=reply.offset).SerializeToString()

    return _then(rpc.execute(read_query_offset(data, rpc.namespace)), write)


def _status_in(response: Any) -> Callable[[v2.Status], bytes]:
    """How a response of this class carries a status."""
    return lambda status: response(status=status).SerializeToString()


def _method(name: str, handle: Callable[[Rpc, bytes], Any], **kind: Any) -> tuple[str, Method]:
    response = service.TelemetryCommand if name == "Telemetry" else getattr(service, f"{name}Response")
    return f"/{MESSAGING_SERVICE}/{name}", Method(name, handle, _status_in(response), **kind)


#: By path.
METHODS: dict[str, Method] = dict(
    (
        _method("QueryRoute", _query_route),
        _method("Heartbeat", _heartbeat),
        _method("SendMessage", _send_message),
        _method("QueryAssignment", _query_assignment),
        _method("ReceiveMessage", receive_message, streams=True),
        _method("AckMessage", _ack_message),
        _method("ForwardMessageToDeadLetterQueue", _forward_to_dead_letter_queue),
        _method("PullMessage", pull_message, streams=True),
        _method("UpdateOffset", _update_offset),
        _method("GetOffset", _get_offset),
        _method("QueryOffset", _query_offset),
        _method("EndTransaction", _end_transaction),
        _method("Telemetry", telemetry, streams=True, bidirectional=True),
        _method("NotifyClientTermination", _notify_client_termination),
        _method("ChangeInvisibleDuration", _change_invisible_duration),
        _method("RecallMessage", _recall_message),
        _method("SyncLiteSubscription", _sync_lite_subscription),
    )
)
METHODS.update(ADMIN_METHODS)
