"""Configurations of topics and groups: the bodies of brokers, and the commands' values."""

from __future__ import annotations

import msgspec

from rmqgateway.commands.administering import GroupConfig, TopicConfig
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import MessageType, Permission
from rmqgateway.wire.bodies.groups import GroupRetryPolicy, SubscriptionGroupConfig
from rmqgateway.wire.bodies.topics import TopicConfig as TopicBody

__all__ = ["MESSAGE_TYPE", "group_body", "group_of", "topic_ext", "topic_of"]

#: The attribute that says which type of messages a topic takes (``TopicAttributes``).
MESSAGE_TYPE = "message.type"
_TYPES = {kind.value: kind for kind in MessageType}
_encode = msgspec.json.encode


def topic_of(body: TopicBody) -> TopicConfig:
    """A broker's topic. One without the attribute takes normal messages (``TopicConfig.getTopicMessageType``)."""
    attributes = {name.removeprefix("+"): value for name, value in (body.attributes or {}).items()}
    kind = _TYPES.get(attributes.get(MESSAGE_TYPE, MessageType.NORMAL.value), MessageType.NORMAL)
    return TopicConfig(
        body.topic_name,
        body.read_queue_nums,
        body.write_queue_nums,
        Permission(body.perm & 7),
        kind,
        body.topic_sys_flag,
        body.order,
        {name: value for name, value in attributes.items() if name != MESSAGE_TYPE},
    )


def topic_ext(config: TopicConfig) -> dict[str, str]:
    """The header of UPDATE_AND_CREATE_TOPIC."""
    ext = {
        "topic": config.name,
        "defaultTopic": "TBW102",
        "readQueueNums": str(config.read_queues),
        "writeQueueNums": str(config.write_queues),
        "perm": str(int(config.permission)),
        "topicFilterType": "SINGLE_TAG",
        "topicSysFlag": str(config.sys_flag),
        "order": "true" if config.order else "false",
    }
    attributes = dict(config.attributes)
    if config.message_type is not MessageType.UNSPECIFIED:
        attributes[MESSAGE_TYPE] = config.message_type.value
    if attributes:
        ext["attributes"] = ",".join([f"+{name}={value}" for name, value in attributes.items()])
    return ext


def group_of(body: SubscriptionGroupConfig) -> GroupConfig:
    """A broker's consumer group."""
    policy = body.group_retry_policy
    text = ""
    if policy is not None and (policy.customized_retry_policy or policy.exponential_retry_policy):
        text = _encode(policy).decode()
    return GroupConfig(
        body.group_name,
        body.consume_enable,
        body.consume_from_min_enable,
        body.consume_broadcast_enable,
        body.consume_message_orderly,
        body.retry_queue_nums,
        body.retry_max_times,
        body.broker_id,
        body.which_broker_when_consume_slowly,
        body.notify_consumer_ids_changed_enable,
        body.group_sys_flag,
        body.consume_timeout_minute,
        text,
        {name.removeprefix("+"): value for name, value in (body.attributes or {}).items()},
    )


def group_body(config: GroupConfig) -> SubscriptionGroupConfig:
    """The body of UPDATE_AND_CREATE_SUBSCRIPTIONGROUP. :raise GatewayError: BAD_REQUEST: the retry policy."""
    policy: GroupRetryPolicy | None = GroupRetryPolicy()
    if config.retry_policy:
        try:
            policy = msgspec.json.decode(config.retry_policy, type=GroupRetryPolicy)
        except msgspec.MsgspecError as error:
            raise GatewayError(Code.BAD_REQUEST, f"retry_policy: {error}") from None
    return SubscriptionGroupConfig(
        attributes={f"+{name}": value for name, value in config.attributes.items()},
        broker_id=config.broker_id,
        consume_broadcast_enable=config.consume_broadcast_enable,
        consume_enable=config.consume_enable,
        consume_from_min_enable=config.consume_from_min_enable,
        consume_message_orderly=config.consume_message_orderly,
        consume_timeout_minute=config.consume_timeout_minutes,
        group_name=config.name,
        group_retry_policy=policy,
        group_sys_flag=config.sys_flag,
        notify_consumer_ids_changed_enable=config.notify_consumer_ids_changed,
        retry_max_times=config.retry_max_times,
        retry_queue_nums=config.retry_queues,
        which_broker_when_consume_slowly=config.which_broker_when_consume_slowly,
    )
