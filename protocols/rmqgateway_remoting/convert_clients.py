"""Requests of clients about themselves: heartbeat, leaving, routes, who else is in a group, assignments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqgateway.commands import (
    Assignments,
    CheckSubscription,
    ConsumeFrom,
    ConsumeMode,
    Consumer,
    ConsumerIds,
    Heartbeat,
    ListConsumers,
    MessageModel,
    QueryAssignment,
    QueryRoute,
    Route,
    SetConsumeMode,
    Subscribed,
    Unregister,
)
from rmqgateway.errors import Code, WireError
from rmqgateway.route_body import route_data
from rmqgateway.wire.bodies import decode_body, encode_body
from rmqgateway.wire.bodies.clients import CheckClientRequest, ConsumerData, ConsumerList, HeartbeatData
from rmqgateway.wire.bodies.common import MessageQueue as QueueBody
from rmqgateway.wire.bodies.consuming import (
    MessageQueueAssignment,
    QueryAssignmentRequest,
    QueryAssignmentResponse,
    SetMessageRequestMode,
)
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from rmqgateway_remoting.convert_base import (
    Operation,
    Peer,
    boolean,
    filter_of,
    reply_nothing,
    respond,
    text,
)
from rmqgateway_remoting.versions import V4_9_4, version_name

if TYPE_CHECKING:
    from rmqgateway.wire.remoting import RemotingCommand

__all__ = ["OPERATIONS"]


def parse_heartbeat(request: RemotingCommand, peer: Peer) -> Heartbeat:
    """HEART_BEAT. With a fingerprint a client may leave out subscriptions that it has said before on this connection."""
    body = decode_body(request.body, HeartbeatData)
    fingerprint = body.heartbeat_fingerprint
    without_subscriptions = fingerprint != 0 and body.without_sub
    known = peer.consumers
    consumers: list[Consumer] = []
    for item in body.consumer_data_set or ():
        before = known.get(item.group_name) if without_subscriptions else None
        consumers.append(_consumer(item, before))
    # What the answer tells: whether the client has to say its subscriptions again.
    if fingerprint == 0:
        peer.subscriptions_changed = True
    elif without_subscriptions:
        peer.subscriptions_changed = fingerprint != peer.fingerprint
    else:
        peer.subscriptions_changed = peer.fingerprint not in (0, fingerprint)
    if not without_subscriptions:
        peer.consumers = {consumer.group: consumer for consumer in consumers}
        peer.fingerprint = fingerprint
    peer.client_id = body.client_id
    peer.language = request.language
    return Heartbeat(
        client_id=body.client_id,
        language=request.language,
        version=version_name(request.version),
        producers=tuple([item.group_name for item in body.producer_data_set or ()]),
        consumers=tuple(consumers),
    )


#: By name, and by ordinal, as some clients write.
_MODELS: dict[str | int | None, MessageModel] = {
    None: MessageModel.CLUSTERING,
    "CLUSTERING": MessageModel.CLUSTERING,
    "BROADCASTING": MessageModel.BROADCASTING,
    0: MessageModel.BROADCASTING,
    1: MessageModel.CLUSTERING,
}
_FROM: dict[str | int | None, ConsumeFrom] = {
    "CONSUME_FROM_FIRST_OFFSET": ConsumeFrom.FIRST_OFFSET,
    "CONSUME_FROM_TIMESTAMP": ConsumeFrom.TIMESTAMP,
    # Old names, of which the broker makes the same.
    "CONSUME_FROM_MIN_OFFSET": ConsumeFrom.FIRST_OFFSET,
    2: ConsumeFrom.FIRST_OFFSET,
    4: ConsumeFrom.FIRST_OFFSET,
    5: ConsumeFrom.TIMESTAMP,
}
_ACTIVELY = ("CONSUME_ACTIVELY", 0)
_POP = ("CONSUME_POP", 2)


def _consumer(body: ConsumerData, before: Consumer | None) -> Consumer:
    if before is not None and not body.subscription_data_set:
        subscriptions = before.subscriptions
    else:
        subscriptions = tuple(
            [
                Subscribed(item.topic, filter_of(item.sub_string, item.expression_type), item.sub_version)
                for item in body.subscription_data_set or ()
            ]
        )
    return Consumer(
        group=body.group_name,
        mode=ConsumeMode.POP if body.consume_type in _POP else ConsumeMode.PULL,
        model=_model(body.message_model),
        consume_from=_FROM.get(body.consume_from_where, ConsumeFrom.LAST_OFFSET),
        subscriptions=subscriptions,
        actively_pulling=body.consume_type in _ACTIVELY,
        unit_mode=bool(body.unit_mode),
    )


def _model(name: str | int | None) -> MessageModel:
    model = _MODELS.get(name)
    if model is None:
        raise WireError(f"messageModel: expected CLUSTERING or BROADCASTING, got {str(name)[:40]!r}", fatal=False)
    return model


def reply_heartbeat(reply: object, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """Heartbeats of the second version are understood; ``IS_SUB_CHANGE`` asks for the subscriptions again."""
    changed = "true" if peer.subscriptions_changed else "false"
    respond(request, out, {"IS_SUPPORT_HEART_BEAT_V2": "true", "IS_SUB_CHANGE": changed})


def parse_unregister(request: RemotingCommand, peer: Peer) -> Unregister:
    """UNREGISTER_CLIENT."""
    ext = request.ext_fields
    producer, consumer = ext.get("producerGroup", ""), ext.get("consumerGroup", "")
    if consumer:
        peer.consumers.pop(consumer, None)
    return Unregister(text(ext, "clientID"), producer, consumer)


def parse_check_client(request: RemotingCommand, peer: Peer) -> CheckSubscription:
    """CHECK_CLIENT_CONFIG."""
    body = decode_body(request.body, CheckClientRequest)
    subscription = body.subscription_data
    filter_ = filter_of(subscription.sub_string, subscription.expression_type)
    return CheckSubscription(body.group, subscription.topic, filter_, body.client_id)


def parse_list_consumers(request: RemotingCommand, peer: Peer) -> ListConsumers:
    """GET_CONSUMER_LIST_BY_GROUP."""
    return ListConsumers(text(request.ext_fields, "consumerGroup"))


def reply_list_consumers(reply: ConsumerIds, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``GetConsumerListByGroupResponseBody``."""
    respond(request, out, body=encode_body(ConsumerList(consumer_id_list=list(reply.client_ids))))


def parse_route(request: RemotingCommand, peer: Peer) -> QueryRoute:
    """GET_ROUTEINFO_BY_TOPIC."""
    return QueryRoute(text(request.ext_fields, "topic"))


def reply_route(reply: Route, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``TopicRouteData``, as standard JSON for those who ask for it and for clients since 4.9.4."""
    standard = boolean(request.ext_fields, "acceptStandardJsonOnly") or request.version >= V4_9_4
    respond(request, out, body=encode_body(route_data(reply, peer.host), standard=standard))


def parse_query_assignment(request: RemotingCommand, peer: Peer) -> QueryAssignment:
    """QUERY_ASSIGNMENT."""
    body = decode_body(request.body, QueryAssignmentRequest)
    return QueryAssignment(
        group=body.consumer_group,
        topic=body.topic,
        client_id=body.client_id,
        strategy=body.strategy_name or "",
        model=_model(body.message_model),
    )


def reply_query_assignment(reply: Assignments, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``QueryAssignmentResponseBody``."""
    topic = decode_body(request.body, QueryAssignmentRequest).topic
    assignments = [
        MessageQueueAssignment(
            message_queue=QueueBody(item.broker_name, item.queue_id, topic),
            mode="POP" if item.mode is ConsumeMode.POP else "PULL",
        )
        for item in reply.assignments
    ]
    respond(request, out, body=encode_body(QueryAssignmentResponse(message_queue_assignments=assignments)))


def parse_set_consume_mode(request: RemotingCommand, peer: Peer) -> SetConsumeMode:
    """SET_MESSAGE_REQUEST_MODE."""
    body = decode_body(request.body, SetMessageRequestMode)
    if body.mode not in ("PULL", "POP"):
        raise WireError(f"mode: expected PULL or POP, got {body.mode[:40]!r}", fatal=False)
    return SetConsumeMode(body.topic, body.consumer_group, body.mode == "POP", body.pop_share_queue_num)


OPERATIONS = (
    Operation(RequestCode.HEART_BEAT, Heartbeat, parse_heartbeat, reply_heartbeat),
    Operation(RequestCode.UNREGISTER_CLIENT, Unregister, parse_unregister, reply_nothing),
    Operation(
        RequestCode.CHECK_CLIENT_CONFIG,
        CheckSubscription,
        parse_check_client,
        reply_nothing,
        errors={Code.BAD_FILTER: ResponseCode.SUBSCRIPTION_PARSE_FAILED},
    ),
    Operation(
        RequestCode.GET_CONSUMER_LIST_BY_GROUP,
        ListConsumers,
        parse_list_consumers,
        reply_list_consumers,
        # Clients look at nothing but success here; this is what the broker says of a group without members.
        errors={Code.GROUP_NOT_FOUND: ResponseCode.SYSTEM_ERROR},
    ),
    Operation(RequestCode.GET_ROUTEINFO_BY_TOPIC, QueryRoute, parse_route, reply_route),
    Operation(RequestCode.QUERY_ASSIGNMENT, QueryAssignment, parse_query_assignment, reply_query_assignment),
    Operation(RequestCode.SET_MESSAGE_REQUEST_MODE, SetConsumeMode, parse_set_consume_mode, reply_nothing),
)
