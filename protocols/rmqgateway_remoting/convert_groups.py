"""Administration of consumer groups and of who is connected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqgateway.commands import (
    Connection,
    Connections,
    ConsumeMode,
    Consumer,
    ConsumerConnections,
    CreateGroups,
    DeleteGroup,
    GetGroup,
    GroupConfig,
    GroupConfigs,
    GroupForbidden,
    ListConsumerConnections,
    ListGroups,
    ListGroupsOfTopic,
    ListProducerConnections,
    ListTopicsOfGroup,
    Names,
    Subscribed,
    UpdateGroupForbidden,
)
from rmqgateway.errors import Code, WireError
from rmqgateway.message import FilterType
from rmqgateway.wire.bodies import decode_body, encode_body
from rmqgateway.wire.bodies.clients import Connection as ConnectionBody
from rmqgateway.wire.bodies.clients import (
    ConsumerConnection,
    ProducerConnection,
    ProducerInfo,
    ProducerTableInfo,
    SubscriptionData,
    java_hash,
)
from rmqgateway.wire.bodies.common import DataVersion
from rmqgateway.wire.bodies.groups import GroupForbidden as GroupForbiddenBody
from rmqgateway.wire.bodies.groups import (
    GroupList,
    GroupRetryPolicy,
    QuerySubscriptionBody,
    SubscriptionGroupConfig,
    SubscriptionGroupList,
    SubscriptionGroupWrapper,
)
from rmqgateway.wire.bodies.routes import TopicList
from rmqgateway.wire.remoting_command import LANGUAGE_CODES
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from rmqgateway_remoting.convert_base import Operation, Peer, boolean, reply_nothing, respond, text
from rmqgateway_remoting.versions import version_ordinal

if TYPE_CHECKING:
    from rmqgateway.wire.remoting import RemotingCommand

__all__ = ["OPERATIONS"]


def _group(body: SubscriptionGroupConfig) -> GroupConfig:
    policy = body.group_retry_policy
    plain = policy is None or (policy.customized_retry_policy is None and policy.exponential_retry_policy is None)
    return GroupConfig(
        name=body.group_name,
        consume_enable=body.consume_enable,
        consume_from_min_enable=body.consume_from_min_enable,
        consume_broadcast_enable=body.consume_broadcast_enable,
        consume_message_orderly=body.consume_message_orderly,
        retry_queues=body.retry_queue_nums,
        retry_max_times=body.retry_max_times,
        broker_id=body.broker_id,
        which_broker_when_consume_slowly=body.which_broker_when_consume_slowly,
        notify_consumer_ids_changed=body.notify_consumer_ids_changed_enable,
        sys_flag=body.group_sys_flag,
        consume_timeout_minutes=body.consume_timeout_minute,
        retry_policy="" if policy is None or plain else encode_body(policy).decode(),
        attributes={name.removeprefix("+"): value for name, value in (body.attributes or {}).items() if name[:1] != "-"},
    )


def _group_body(group: GroupConfig) -> SubscriptionGroupConfig:
    policy = GroupRetryPolicy()
    if group.retry_policy:
        try:
            policy = decode_body(group.retry_policy.encode(), GroupRetryPolicy)
        except WireError:
            # Kept by another version of the backend; the default says less, but is readable.
            policy = GroupRetryPolicy()
    return SubscriptionGroupConfig(
        attributes=group.attributes,
        broker_id=group.broker_id,
        consume_broadcast_enable=group.consume_broadcast_enable,
        consume_enable=group.consume_enable,
        consume_from_min_enable=group.consume_from_min_enable,
        consume_message_orderly=group.consume_message_orderly,
        consume_timeout_minute=group.consume_timeout_minutes,
        group_name=group.name,
        group_retry_policy=policy,
        group_sys_flag=group.sys_flag,
        notify_consumer_ids_changed_enable=group.notify_consumer_ids_changed,
        retry_max_times=group.retry_max_times,
        retry_queue_nums=group.retry_queues,
        which_broker_when_consume_slowly=group.which_broker_when_consume_slowly,
    )


def parse_create_group(request: RemotingCommand, peer: Peer) -> CreateGroups:
    """UPDATE_AND_CREATE_SUBSCRIPTIONGROUP."""
    return CreateGroups((_group(decode_body(request.body, SubscriptionGroupConfig)),))


def parse_create_groups(request: RemotingCommand, peer: Peer) -> CreateGroups:
    """UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST."""
    body = decode_body(request.body, SubscriptionGroupList)
    return CreateGroups(tuple([_group(item) for item in body.group_config_list]))


def parse_delete_group(request: RemotingCommand, peer: Peer) -> DeleteGroup:
    """DELETE_SUBSCRIPTIONGROUP."""
    return DeleteGroup(text(request.ext_fields, "groupName"), boolean(request.ext_fields, "cleanOffset"))


def parse_get_group(request: RemotingCommand, peer: Peer) -> GetGroup:
    """GET_SUBSCRIPTIONGROUP_CONFIG."""
    return GetGroup(text(request.ext_fields, "group"))


def reply_get_group(reply: GroupConfig, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``SubscriptionGroupConfig``."""
    respond(request, out, body=encode_body(_group_body(reply)))


def parse_all_groups(request: RemotingCommand, peer: Peer) -> ListGroups:
    """GET_ALL_SUBSCRIPTIONGROUP_CONFIG."""
    return ListGroups()


def reply_all_groups(reply: GroupConfigs, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``SubscriptionGroupWrapper``."""
    body = SubscriptionGroupWrapper(
        data_version=DataVersion(counter=reply.version),
        forbidden_table={group: dict.fromkeys(topics, _READING) for group, topics in reply.forbidden.items()},
        subscription_group_table={group.name: _group_body(group) for group in reply.groups},
    )
    respond(request, out, {"totalGroupNum": str(len(reply.groups))}, encode_body(body))


def parse_group_forbidden(request: RemotingCommand, peer: Peer) -> UpdateGroupForbidden:
    """UPDATE_AND_GET_GROUP_FORBIDDEN; without ``readable`` it asks only."""
    ext = request.ext_fields
    readable = boolean(ext, "readable") if "readable" in ext else None
    return UpdateGroupForbidden(text(ext, "group"), text(ext, "topic"), readable)


def reply_group_forbidden(reply: GroupForbidden, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``GroupForbidden``."""
    body = GroupForbiddenBody(group=reply.group, readable=reply.readable, topic=reply.topic)
    respond(request, out, body=encode_body(body), remark="")


def _connection(connection: Connection) -> ConnectionBody:
    return ConnectionBody(
        client_addr=connection.address,
        # One that never said who it is: tools print a name in a table.
        client_id=connection.client_id or f"{connection.protocol}@{connection.address}",
        language=_language(connection.language),
        version=version_ordinal(connection.version),
    )


def _language(name: str) -> str:
    # mqadmin makes an enum of it; what it does not know would fail the whole answer.
    return name if name in LANGUAGE_CODES else "OTHER"


def _subscription(subscribed: Subscribed) -> SubscriptionData:
    filter_ = subscribed.filter
    tags: list[str] = []
    if filter_.type is FilterType.TAG and filter_.expression != "*":
        tags = [tag for tag in map(str.strip, filter_.expression.split("||")) if tag]
    return SubscriptionData(
        code_set=[java_hash(tag) for tag in tags],
        expression_type=filter_.type.value,
        sub_string=filter_.expression,
        sub_version=subscribed.version,
        tags_set=tags,
        topic=subscribed.topic,
    )


def _consume_type(consumer: Consumer) -> str:
    if consumer.mode is ConsumeMode.POP:
        return "CONSUME_POP"
    return "CONSUME_ACTIVELY" if consumer.actively_pulling else "CONSUME_PASSIVELY"


def parse_consumer_connections(request: RemotingCommand, peer: Peer) -> ListConsumerConnections:
    """GET_CONSUMER_CONNECTION_LIST."""
    return ListConsumerConnections(text(request.ext_fields, "consumerGroup"))


def reply_consumer_connections(
    reply: ConsumerConnections, request: RemotingCommand, peer: Peer, out: list[bytes]
) -> None:
    """``ConsumerConnection``."""
    consumer = reply.consumer
    body = ConsumerConnection(connection_set=[_connection(item) for item in reply.connections])
    if consumer is not None:
        body.consume_from_where = consumer.consume_from.value
        body.consume_type = _consume_type(consumer)
        body.message_model = consumer.model.value
        body.subscription_table = {item.topic: _subscription(item) for item in consumer.subscriptions}
    respond(request, out, body=encode_body(body))


def parse_subscription(request: RemotingCommand, peer: Peer) -> ListConsumerConnections:
    """QUERY_SUBSCRIPTION_BY_CONSUMER."""
    return ListConsumerConnections(text(request.ext_fields, "group"))


def reply_subscription(reply: ConsumerConnections, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``QuerySubscriptionResponseBody``: one topic of what the group subscribes."""
    topic = request.ext_fields.get("topic", "")
    subscriptions = () if reply.consumer is None else reply.consumer.subscriptions
    found = next((_subscription(item) for item in subscriptions if item.topic == topic), None)
    body = QuerySubscriptionBody(group=request.ext_fields.get("group"), subscription_data=found, topic=topic)
    respond(request, out, body=encode_body(body))


def parse_producer_connections(request: RemotingCommand, peer: Peer) -> ListProducerConnections:
    """GET_PRODUCER_CONNECTION_LIST."""
    return ListProducerConnections(text(request.ext_fields, "producerGroup"))


def reply_producer_connections(reply: Connections, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``ProducerConnection``; an error if nobody is there, as the broker says it."""
    if not reply.connections:
        group = request.ext_fields["producerGroup"]
        respond(
            request, out, code=ResponseCode.SYSTEM_ERROR, remark=f"no producer of group {group} is connected here"
        )
        return
    body = ProducerConnection(connection_set=[_connection(connection) for _, connection in reply.connections])
    respond(request, out, body=encode_body(body))


def parse_all_producers(request: RemotingCommand, peer: Peer) -> ListProducerConnections:
    """GET_ALL_PRODUCER_INFO."""
    return ListProducerConnections()


def reply_all_producers(reply: Connections, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``ProducerTableInfo``."""
    table: dict[str, list[ProducerInfo]] = {}
    for group, connection in reply.connections:
        table.setdefault(group, []).append(
            ProducerInfo(
                client_id=connection.client_id,
                language=_language(connection.language),
                last_update_timestamp=connection.last_heartbeat,
                remote_ip=f"/{connection.address}",
                version=version_ordinal(connection.version),
            )
        )
    respond(request, out, body=encode_body(ProducerTableInfo(data=table)))


def parse_groups_of_topic(request: RemotingCommand, peer: Peer) -> ListGroupsOfTopic:
    """QUERY_TOPIC_CONSUME_BY_WHO."""
    return ListGroupsOfTopic(text(request.ext_fields, "topic"))


def reply_groups_of_topic(reply: Names, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``GroupList``."""
    respond(request, out, body=encode_body(GroupList(group_list=list(reply.names))))


def parse_topics_of_group(request: RemotingCommand, peer: Peer) -> ListTopicsOfGroup:
    """QUERY_TOPICS_BY_CONSUMER."""
    return ListTopicsOfGroup(text(request.ext_fields, "group"))


def reply_topics_of_group(reply: Names, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``TopicList``."""
    respond(request, out, body=encode_body(TopicList(broker_addr=peer.host, topic_list=list(reply.names))))


#: ``PermName.PERM_READ``.
_READING = 4
_NOT_ONLINE = {Code.GROUP_NOT_FOUND: ResponseCode.CONSUMER_NOT_ONLINE}

OPERATIONS = (
    Operation(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, CreateGroups, parse_create_group, reply_nothing),
    Operation(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST, CreateGroups, parse_create_groups, reply_nothing),
    Operation(RequestCode.DELETE_SUBSCRIPTIONGROUP, DeleteGroup, parse_delete_group, reply_nothing),
    Operation(RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, GetGroup, parse_get_group, reply_get_group),
    Operation(RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG, ListGroups, parse_all_groups, reply_all_groups),
    Operation(
        RequestCode.UPDATE_AND_GET_GROUP_FORBIDDEN, UpdateGroupForbidden, parse_group_forbidden, reply_group_forbidden
    ),
    Operation(
        RequestCode.GET_CONSUMER_CONNECTION_LIST,
        ListConsumerConnections,
        parse_consumer_connections,
        reply_consumer_connections,
        errors=_NOT_ONLINE,
    ),
    Operation(
        RequestCode.QUERY_SUBSCRIPTION_BY_CONSUMER,
        ListConsumerConnections,
        parse_subscription,
        reply_subscription,
        errors=_NOT_ONLINE,
    ),
    Operation(
        RequestCode.GET_PRODUCER_CONNECTION_LIST,
        ListProducerConnections,
        parse_producer_connections,
        reply_producer_connections,
    ),
    Operation(RequestCode.GET_ALL_PRODUCER_INFO, ListProducerConnections, parse_all_producers, reply_all_producers),
    Operation(RequestCode.QUERY_TOPIC_CONSUME_BY_WHO, ListGroupsOfTopic, parse_groups_of_topic, reply_groups_of_topic),
    Operation(RequestCode.QUERY_TOPICS_BY_CONSUMER, ListTopicsOfGroup, parse_topics_of_group, reply_topics_of_group),
)
