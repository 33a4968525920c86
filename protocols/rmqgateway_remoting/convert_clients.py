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
    RouteBroker,
    Subscribed,
    Unregister,
)
from rmqgateway.errors import Code, WireError
from rmqgateway.wire.fastjson import encode_fastjson
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from rmqgateway_remoting.bodies import (
    CheckClientBody,
    ConsumerBody,
    HeartbeatBody,
    QueryAssignmentBody,
    decode_body,
)
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

__all__ = ["OPERATIONS", "broker_addresses"]


def parse_heartbeat(request: RemotingCommand, peer: Peer) -> Heartbeat:
    """HEART_BEAT. With a fingerprint a client may leave out subscriptions that it has said before on this connection."""
    body = decode_body(request.body, HeartbeatBody)
    without_subscriptions = body.heartbeatFingerprint != 0 and (body.isWithoutSub or body.withoutSub)
    known = peer.consumers
    consumers: list[Consumer] = []
    for item in body.consumerDataSet or ():
        before = known.get(item.groupName) if without_subscriptions else None
        consumers.append(_consumer(item, before))
    # What the answer tells: whether the client has to say its subscriptions again.
    if body.heartbeatFingerprint == 0:
        peer.subscriptions_changed = True
    elif without_subscriptions:
        peer.subscriptions_changed = body.heartbeatFingerprint != peer.fingerprint
    else:
        peer.subscriptions_changed = peer.fingerprint not in (0, body.heartbeatFingerprint)
    if not without_subscriptions:
        peer.consumers = {consumer.group: consumer for consumer in consumers}
        peer.fingerprint = body.heartbeatFingerprint
    peer.client_id = body.clientID
    peer.language = request.language
    return Heartbeat(
        client_id=body.clientID,
        language=request.language,
        version=version_name(request.version),
        producers=tuple([item.groupName for item in body.producerDataSet or ()]),
        consumers=tuple(consumers),
    )


_MODELS = {"CLUSTERING": MessageModel.CLUSTERING, "BROADCASTING": MessageModel.BROADCASTING}
_FROM = {
    "CONSUME_FROM_FIRST_OFFSET": ConsumeFrom.FIRST_OFFSET,
    "CONSUME_FROM_TIMESTAMP": ConsumeFrom.TIMESTAMP,
    # Old names of the same: what they were is gone since 3.0.
    "CONSUME_FROM_MIN_OFFSET": ConsumeFrom.FIRST_OFFSET,
    "CONSUME_FROM_MAX_OFFSET": ConsumeFrom.LAST_OFFSET,
}


def _consumer(body: ConsumerBody, before: Consumer | None) -> Consumer:
    if before is not None and not body.subscriptionDataSet:
        subscriptions = before.subscriptions
    else:
        subscriptions = tuple(
            [
                Subscribed(item.topic, filter_of(item.subString, item.expressionType), item.subVersion)
                for item in body.subscriptionDataSet or ()
            ]
        )
    return Consumer(
        group=body.groupName,
        mode=ConsumeMode.POP if body.consumeType == "CONSUME_POP" else ConsumeMode.PULL,
        model=_model(body.messageModel),
        consume_from=_FROM.get(body.consumeFromWhere or "", ConsumeFrom.LAST_OFFSET),
        subscriptions=subscriptions,
        actively_pulling=body.consumeType == "CONSUME_ACTIVELY",
        unit_mode=body.unitMode,
    )


def _model(name: str | None) -> MessageModel:
    if name is None:
        return MessageModel.CLUSTERING
    model = _MODELS.get(name)
    if model is None:
        raise WireError(f"messageModel: expected CLUSTERING or BROADCASTING, got {name[:40]!r}", fatal=False)
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
    body = decode_body(request.body, CheckClientBody)
    subscription = body.subscriptionData
    if subscription is None:
        return CheckSubscription(body.group, "", filter_of(None, None), body.clientId)
    filter_ = filter_of(subscription.subString, subscription.expressionType)
    return CheckSubscription(body.group, subscription.topic, filter_, body.clientId)


def parse_list_consumers(request: RemotingCommand, peer: Peer) -> ListConsumers:
    """GET_CONSUMER_LIST_BY_GROUP."""
    return ListConsumers(text(request.ext_fields, "consumerGroup"))


def reply_list_consumers(reply: ConsumerIds, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``GetConsumerListByGroupResponseBody``."""
    respond(request, out, body=encode_fastjson({"consumerIdList": reply.client_ids}))


def parse_route(request: RemotingCommand, peer: Peer) -> QueryRoute:
    """GET_ROUTEINFO_BY_TOPIC."""
    return QueryRoute(text(request.ext_fields, "topic"))


def broker_addresses(broker: RouteBroker, peer: Peer) -> dict[int, str]:
    """A broker's addresses by its id; this gateway's own is the one that the client reached."""
    return {number: address or peer.host for number, address in broker.addresses}


def wants_standard_json(request: RemotingCommand) -> bool:
    """Whether numbers as keys are to be quoted: for those who ask, and for clients since 4.9.4."""
    return boolean(request.ext_fields, "acceptStandardJsonOnly") or request.version >= V4_9_4


def reply_route(reply: Route, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``TopicRouteData``."""
    route: dict[str, object] = {
        "brokerDatas": [
            {
                "brokerAddrs": broker_addresses(broker, peer),
                "brokerName": broker.name,
                "cluster": broker.cluster,
                "enableActingMaster": False,
            }
            for broker in reply.brokers
        ],
        "filterServerTable": {},
        "queueDatas": [
            {
                "brokerName": queues.broker_name,
                "perm": int(queues.permission),
                "readQueueNums": queues.read_queues,
                "topicSysFlag": queues.topic_sys_flag,
                "writeQueueNums": queues.write_queues,
            }
            for queues in reply.queues
        ],
    }
    if reply.order_configuration:
        route["orderTopicConf"] = reply.order_configuration
    respond(request, out, body=encode_fastjson(route, standard=wants_standard_json(request)))


def parse_query_assignment(request: RemotingCommand, peer: Peer) -> QueryAssignment:
    """QUERY_ASSIGNMENT."""
    body = decode_body(request.body, QueryAssignmentBody)
    return QueryAssignment(
        group=body.consumerGroup,
        topic=body.topic,
        client_id=body.clientId,
        strategy=body.strategyName or "",
        model=_model(body.messageModel),
    )


def reply_query_assignment(reply: Assignments, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``QueryAssignmentResponseBody``."""
    topic = decode_body(request.body, QueryAssignmentBody).topic
    assignments = [
        {
            "messageQueue": {"brokerName": item.broker_name, "queueId": item.queue_id, "topic": topic},
            "mode": "POP" if item.mode is ConsumeMode.POP else "PULL",
        }
        for item in reply.assignments
    ]
    respond(request, out, body=encode_fastjson({"messageQueueAssignments": assignments}))


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
)
