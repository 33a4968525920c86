"""The calls of ``apache.rocketmq.v2.Admin``: each a few of the commands that mqadmin's requests become as well.

No server of Apache's has them yet: what they mean is taken from their names and fields, and from what mqadmin does over Remoting.
A caller needs no client id. Each command passes the door in the caller's name, so a call may do what its commands may.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from rmqgateway import __version__
from rmqgateway.apis.admin_messages import LATEST_MS, ask, find_message, query_message
from rmqgateway.apis.apache_rocketmq_v2 import admin_pb2 as admin
from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.apis.checks import check_lite_topic, group_name, topic_name
from rmqgateway.apis.convert_admin import (
    UNKNOWN,
    accumulation_of,
    client_of,
    clients_of,
    is_own_topic,
    lite_accumulation_of,
    offline_of,
    parent_of,
    route_text,
    running_of,
    span_of,
    subscribed_topics,
    subscription_of,
)
from rmqgateway.apis.convert_base import millis
from rmqgateway.apis.convert_routes import MESSAGE_TYPES
from rmqgateway.apis.refusals import OK, Refusal
from rmqgateway.apis.rpc import Method, Rpc
from rmqgateway.commands import (
    Connection,
    Connections,
    ConsumeDirectly,
    ConsumeProgress,
    Consumer,
    ConsumerConnections,
    ConsumeTimeSpans,
    DeleteSubscription,
    GetConsumeProgress,
    GetConsumeTimeSpans,
    GetGroup,
    GetLiteGroupInformation,
    GetLiteTopicInformation,
    GetRunningInformation,
    GetRuntimeInformation,
    GetTopic,
    ListConsumerConnections,
    ListGroupsOfTopic,
    ListProducerConnections,
    ListTopicsOfGroup,
    LiteGroupInformation,
    LiteTopicInformation,
    Names,
    QueryRoute,
    QueueProgress,
    RelayedAnswer,
    ResetOffset,
    Route,
    SendResults,
    Table,
    TopicConfig,
)
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.message import MessageType
from rmqgateway.wire import stored_message
from rmqgateway.wire.bodies import decode_body
from rmqgateway.wire.bodies.consuming import ConsumeMessageDirectlyResult, ConsumerRunningInfo
from rmqgateway.wire.grpc_framing import GrpcStatus
from rmqgateway.wire.message_id import UniqueIdGenerator, encode_offset_message_id

__all__ = ["ADMIN_METHODS", "ADMIN_SERVICE"]

ADMIN_SERVICE = "apache.rocketmq.v2.Admin"
#: Topics that one request may name.
_MAX_TOPICS = 64
#: Groups of a topic that one answer may tell of.
_MAX_GROUPS = 200
_MAX_CLIENT_ID = 255
_ids = UniqueIdGenerator(os.urandom(4), os.getpid(), int.from_bytes(os.urandom(4), "big"))
_Members = list[tuple[Connection, Consumer | None]]


def _topics_in(resources: Sequence[v2.Resource], namespace: str) -> list[str]:
    if len(resources) > _MAX_TOPICS:
        raise Refusal(v2.BAD_REQUEST, f"topics: expected at most {_MAX_TOPICS}, got {len(resources)}")
    return list(dict.fromkeys(topic_name(resource, namespace) for resource in resources))


def _client_id(text: str) -> str:
    if not text or text.isspace():
        raise Refusal(v2.BAD_REQUEST, "client_id: expected the id of a connected client, got none")
    if len(text) > _MAX_CLIENT_ID:
        raise Refusal(v2.BAD_REQUEST, f"client_id: expected at most {_MAX_CLIENT_ID} characters, got {len(text)}")
    return text


# Who is there.


async def _connections(rpc: Rpc, group: str) -> ConsumerConnections:
    """The members of a group; none if nobody is connected."""
    try:
        reply: ConsumerConnections = await ask(rpc, ListConsumerConnections(group))
    except GatewayError as error:
        if error.code is not Code.GROUP_NOT_FOUND:
            raise
        return ConsumerConnections(())
    return reply


async def _list_consumer_connection(rpc: Rpc, request: admin.ListConsumerConnectionRequest) -> bytes:
    group = group_name(request.group, rpc.namespace)
    topic = topic_name(request.topic, rpc.namespace) if request.HasField("topic") else ""
    reply: ConsumerConnections = await ask(rpc, ListConsumerConnections(group))
    members: Iterable[tuple[Connection, Consumer | None]] = clients_of(reply)
    lite = request.liteTopic
    if lite:
        if not topic:
            raise Refusal(v2.BAD_REQUEST, "liteTopic: expected the topic above it as well")
        check_lite_topic(lite, rpc.api.settings.max_lite_topic)
        known: LiteTopicInformation = await ask(rpc, GetLiteTopicInformation(topic, lite))
        wanted = {client_id for client_id, name in known.subscribers if name == group}
        members = [one for one in members if "*" in wanted or one[0].client_id in wanted]
    elif topic:
        # Of whom it is not known what he said himself, the group's subscription counts: members must agree.
        members = [one for one in members if topic in subscribed_topics(one[1] or reply.consumer)]
    return admin.ListConsumerConnectionResponse(
        status=OK, client_info=[client_of(one, own or reply.consumer, bool(lite)) for one, own in members]
    ).SerializeToString()


async def _groups_in(rpc: Rpc, request: Any) -> tuple[list[str], str]:
    """The groups that a request is about, and its topic or ""."""
    topic = topic_name(request.topic, rpc.namespace) if request.HasField("topic") else ""
    if request.HasField("group"):
        return [group_name(request.group, rpc.namespace)], topic
    if not topic:
        raise Refusal(v2.BAD_REQUEST, "expected a topic, a group or both, got neither")
    reply: Names = await ask(rpc, ListGroupsOfTopic(topic))
    if len(reply.names) > _MAX_GROUPS:
        raise Refusal(
            v2.BAD_REQUEST, f"{len(reply.names)} groups consume the topic, more than {_MAX_GROUPS}: name one of them"
        )
    return list(reply.names), topic


def _is_consistent(members: _Members, topic: str) -> bool:
    """Whether all members are known to want the same of a topic."""
    filters = set()
    for _, consumer in members:
        found = subscribed_topics(consumer).get(topic)
        if found is None:
            return False
        filters.add(found.filter)
    return len(filters) == 1


async def _list_subscription(rpc: Rpc, request: admin.ListSubscriptionRequest) -> bytes:
    groups, topic = await _groups_in(rpc, request)
    response = admin.ListSubscriptionResponse(status=OK)
    for group in groups:
        reply = await _connections(rpc, group)
        members = clients_of(reply)
        known = subscribed_topics(reply.consumer)
        places: Names = await ask(rpc, ListTopicsOfGroup(group))
        names = {*known, *(name for name in places.names if is_own_topic(name))}
        if not names and not members:
            await ask(rpc, GetGroup(group))  # raises if there is none
        for name in sorted(names):
            if topic and name != topic:
                continue
            subscribed = known.get(name)
            if subscribed is None or reply.consumer is None:
                response.subscription_info.append(offline_of(group, name))
            else:
                consistent = _is_consistent(members, name)
                response.subscription_info.append(
                    subscription_of(group, subscribed, reply.consumer.model, consistent)
                )
    return response.SerializeToString()


async def _describe_subscription(rpc: Rpc, request: admin.DescribeSubscriptionRequest) -> bytes:
    groups, topic = await _groups_in(rpc, request)
    response = admin.DescribeSubscriptionResponse(status=OK)
    for group in groups:
        members = clients_of(await _connections(rpc, group))
        for connection, consumer in members:
            client = client_of(connection, consumer)
            if consumer is None:
                response.client_subscription_info.add(client_info=client)
                continue
            for name, subscribed in sorted(subscribed_topics(consumer).items()):
                if not topic or name == topic:
                    info = subscription_of(group, subscribed, consumer.model, _is_consistent(members, name))
                    response.client_subscription_info.add(client_info=client, subscription_info=info)
    return response.SerializeToString()


# How far they are.


async def _describe_group_accumulation(rpc: Rpc, request: admin.DescribeGroupAccumulationRequest) -> bytes:
    group = group_name(request.group, rpc.namespace)
    topics = _topics_in(request.topics, rpc.namespace)
    reply: ConsumeProgress = await ask(rpc, GetConsumeProgress(group))
    if not reply.queues:
        await ask(rpc, GetGroup(group))  # raises if there is none
    by_topic: dict[str, list[QueueProgress]] = {}
    for item in reply.queues:
        by_topic.setdefault(parent_of(item.queue.topic), []).append(item)
    response = admin.DescribeGroupAccumulationResponse(status=OK, accumulation=accumulation_of(reply.queues))
    for topic, resource in zip(topics, _named(request.topics), strict=False):
        spans: ConsumeTimeSpans = await ask(rpc, GetConsumeTimeSpans(topic, group))
        delay = max((span.delay_ms for span in spans.spans), default=0)
        response.topic_accumulation[resource].CopyFrom(accumulation_of(by_topic.get(topic, ()), delay))
    if request.lite_topic:
        check_lite_topic(request.lite_topic, rpc.api.settings.max_lite_topic)
        lite: LiteGroupInformation = await ask(rpc, GetLiteGroupInformation(group, request.lite_topic))
        found = lite_accumulation_of(lite, rpc.api.now_ms())
        if found is None or (topics and lite.topic not in topics):
            raise Refusal(v2.NOT_FOUND, f"lite_topic: group {group} has no lite topic {request.lite_topic}")
        response.lite_topic_accumulation[request.lite_topic].CopyFrom(found)
    return response.SerializeToString()


def _named(resources: Sequence[v2.Resource]) -> list[str]:
    """The topics' names as the caller says them, each once."""
    return [name for _, name in dict.fromkeys((one.resource_namespace, one.name) for one in resources)]


async def _query_time_span(rpc: Rpc, request: admin.QueryTimeSpanRequest) -> bytes:
    group = group_name(request.group, rpc.namespace)
    topics = _topics_in(request.topics, rpc.namespace)
    if not topics:
        names: Names = await ask(rpc, ListTopicsOfGroup(group))
        topics = [name for name in names.names if is_own_topic(name)]
        if not topics:
            await ask(rpc, GetGroup(group))  # raises if there is none
        if len(topics) > _MAX_TOPICS:
            raise Refusal(
                v2.BAD_REQUEST, f"the group consumes {len(topics)} topics, more than {_MAX_TOPICS}: name some of them"
            )
    response = admin.QueryTimeSpanResponse(status=OK)
    for topic in topics:
        reply: ConsumeTimeSpans = await ask(rpc, GetConsumeTimeSpans(topic, group))
        response.queue_time_span_list.extend([span_of(span) for span in reply.spans])
    return response.SerializeToString()


# One consumer.


async def _running(rpc: Rpc, group: str, client_id: str, with_stack: bool) -> ConsumerRunningInfo:
    reply: RelayedAnswer = await ask(rpc, GetRunningInformation(group, _client_id(client_id), with_stack))
    if reply.code:
        raise Refusal(v2.INTERNAL_ERROR, f"the client answered with its error {reply.code}: {reply.remark}")
    try:
        return decode_body(reply.body, ConsumerRunningInfo)
    except WireError as error:
        raise Refusal(v2.INTERNAL_ERROR, f"the client's answer cannot be read: {error.message}") from None


async def _get_consumer_running_info(rpc: Rpc, request: admin.GetConsumerRunningInfoRequest) -> bytes:
    group = group_name(request.group, rpc.namespace)
    found = running_of(await _running(rpc, group, request.client_id, False))
    return admin.GetConsumerRunningInfoResponse(status=OK, consumer_running_info=found).SerializeToString()


async def _print_thread_stack_trace(rpc: Rpc, request: admin.PrintThreadStackTraceRequest) -> bytes:
    group = group_name(request.group, rpc.namespace)
    body = await _running(rpc, group, request.client_id, True)
    return admin.PrintThreadStackTraceResponse(status=OK, thread_stack_trace=body.jstack).SerializeToString()


async def _verify_message(rpc: Rpc, request: admin.VerifyMessageRequest) -> bytes:
    group = group_name(request.group, rpc.namespace)
    topic = topic_name(request.topic, rpc.namespace)
    client_id = _client_id(request.client_id)
    stored = stored_message.decode(await find_message(rpc, topic, request.message_id))
    place = encode_offset_message_id(stored.store_host, stored.physical_offset)
    command = ConsumeDirectly(group, client_id, stored.physical_offset, topic, place)
    reply: RelayedAnswer = await ask(rpc, command)
    if reply.code:
        raise Refusal(v2.FAILED_TO_CONSUME_MESSAGE, f"the client answered with its error {reply.code}: {reply.remark}")
    try:
        result = decode_body(reply.body, ConsumeMessageDirectlyResult)
    except WireError as error:
        raise Refusal(v2.INTERNAL_ERROR, f"the client's answer cannot be read: {error.message}") from None
    if result.consume_result not in ("CR_SUCCESS", "CR_COMMIT"):
        told = result.consume_result or "nothing"
        raise Refusal(
            v2.FAILED_TO_CONSUME_MESSAGE, f"the client said {told}: {result.remark}" if result.remark else told
        )
    return admin.VerifyMessageResponse(status=OK).SerializeToString()


# Topics.


async def _describe_topic_status(rpc: Rpc, request: admin.DescribeTopicStatusRequest) -> bytes:
    reply: TopicConfig = await ask(rpc, GetTopic(topic_name(request.topic, rpc.namespace)))
    mixed = reply.message_type is MessageType.MIXED
    kind = v2.MESSAGE_TYPE_UNSPECIFIED if mixed else MESSAGE_TYPES[reply.message_type][0]
    return admin.DescribeTopicStatusResponse(
        status=OK, topic_message_type=kind, tags=reply.attributes
    ).SerializeToString()


async def _get_topic_route(rpc: Rpc, request: admin.GetTopicRouteRequest) -> bytes:
    reply: Route = await ask(rpc, QueryRoute(topic_name(request.topic, rpc.namespace)))
    return admin.GetTopicRouteResponse(status=OK, topic_route_data=route_text(reply, rpc.host)).SerializeToString()


# What changes something.


async def _admin_send_message(rpc: Rpc, request: admin.AdminSendMessageRequest) -> bytes:
    system = request.system_properties
    if system.message_type == v2.TRANSACTION:
        raise Refusal(
            v2.UNSUPPORTED, "system_properties.message_type: there is no producer that could be asked about a transaction"
        )
    if request.HasField("tag"):
        system.tag = request.tag
    if request.key:
        del system.keys[:]
        system.keys.append(request.key)
    if not system.message_id:
        system.message_id = _ids.next(rpc.api.now_ms())
    if system.message_group:
        # Ordered messages are spread by the number of queues.
        rpc.api.learn(await ask(rpc, QueryRoute(topic_name(request.topic, rpc.namespace), create=True)))
    message = v2.Message(
        topic=request.topic, user_properties=request.user_properties, system_properties=system, body=request.body
    )
    whole = service.SendMessageRequest(messages=(message,)).SerializeToString()
    reply: SendResults = await ask(rpc, rpc.api.sends.read(whole, rpc.namespace, rpc.context.session.peer))
    return admin.AdminSendMessageResponse(status=OK, message_id=reply.results[0].unique_key).SerializeToString()


async def _reset_group_offset(rpc: Rpc, request: admin.ResetGroupOffsetRequest) -> bytes:
    group = group_name(request.group, rpc.namespace)
    topic = topic_name(request.topic, rpc.namespace)
    if not request.HasField("reset_timestamp") or not 0 <= millis(request.reset_timestamp) <= LATEST_MS:
        raise Refusal(v2.BAD_REQUEST, "reset_timestamp: expected a time from 1970 to 9999")
    await ask(rpc, ResetOffset(topic, group, millis(request.reset_timestamp)))
    return admin.ResetGroupOffsetResponse(status=OK).SerializeToString()


async def _delete_subscription(rpc: Rpc, request: admin.DeleteSubscriptionRequest) -> bytes:
    group = group_name(request.group, rpc.namespace)
    await ask(rpc, DeleteSubscription(topic_name(request.topic, rpc.namespace), group))
    return admin.DeleteSubscriptionResponse(status=OK).SerializeToString()


# The process.


async def _get_proxy_runtime_stats(rpc: Rpc, request: admin.GetProxyRuntimeStatsRequest) -> bytes:
    table: Table = await ask(rpc, GetRuntimeInformation())
    known: Connections = await ask(rpc, ListProducerConnections())
    sessions = rpc.api.gateway.sessions.values()
    rates = dict(table.table)
    # Of several brokers, or of one behind the gateway, it is not known what went through this process.
    own = rates.get("brokerVersion") == __version__
    return admin.GetProxyRuntimeStatsResponse(
        status=OK,
        proxy_name="rmqgateway",
        version=__version__,
        in_tps=_rate(rates.get("putTps", "")) if own else UNKNOWN,
        out_tps=_rate(rates.get("getTransferredTps", "")) if own else UNKNOWN,
        connections=len(sessions),
        # Who is at a broker and not at this gateway has no front-end.
        producers=len({(one.client_id, one.address) for _, one in known.connections if one.protocol}),
        consumers=sum(session.consumes for session in sessions),
    ).SerializeToString()


def _rate(text: str) -> float:
    try:
        return float(text.split()[0])
    except (IndexError, ValueError):
        return UNKNOWN


def _change_log_level(rpc: Rpc, data: bytes) -> None:
    admin.ChangeLogLevelRequest.FromString(data)
    rpc.close(
        GrpcStatus.PERMISSION_DENIED, "ChangeLogLevel: the process's settings are not changed over the network"
    )


def _method(name: str, run: Callable[[Rpc, Any], Coroutine[Deferred[Any], Any, bytes]], what: str = "") -> tuple[str, Method]:
    """:param what: what its messages are called after, if not the call."""
    read = getattr(admin, f"{what or name}Request").FromString
    response = getattr(admin, f"{what or name}Response")

    def handle(rpc: Rpc, data: bytes) -> Deferred[bytes]:
        request = read(data)
        if getattr(request, "deployment_name", ""):
            raise Refusal(v2.UNSUPPORTED, "deployment_name: this gateway serves one deployment, the name is to be left out")
        return Deferred.fromCoroutine(run(rpc, request))

    method = Method(name, handle, lambda status: response(status=status).SerializeToString(), nameless=True)
    return f"/{ADMIN_SERVICE}/{name}", method


#: By path.
ADMIN_METHODS: dict[str, Method] = dict(
    (
        _method("AdminSendMessage", _admin_send_message),
        _method("DeleteSubscription", _delete_subscription),
        _method("DescribeGroupAccumulation", _describe_group_accumulation),
        _method("DescribeSubscription", _describe_subscription),
        _method("DescribeTopicStatus", _describe_topic_status),
        _method("GetConsumerRunningInfo", _get_consumer_running_info),
        _method("GetProxyRuntimeStats", _get_proxy_runtime_stats),
        _method("GetTopicRoute", _get_topic_route),
        _method("ListConsumerConnection", _list_consumer_connection),
        _method("ListSubscription", _list_subscription),
        _method("PrintThreadStackTrace", _print_thread_stack_trace),
        _method("QueryMessage", query_message, "ListMessage"),
        _method("QueryTimeSpan", _query_time_span),
        _method("ResetGroupOffset", _reset_group_offset),
        _method("VerifyMessage", _verify_message),
    )
)
ADMIN_METHODS[f"/{ADMIN_SERVICE}/ChangeLogLevel"] = Method(
    "ChangeLogLevel",
    _change_log_level,
    lambda status: admin.ChangeLogLevelResponse(remark=status.message).SerializeToString(),
    nameless=True,
)
