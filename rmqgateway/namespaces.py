"""RocketMQ's namespaces: inside, a resource of namespace ``ns`` is called ``ns%name``, retry and dead-letter prefixes outside.

Clients of version 1 put the prefix there themselves. Those of version 2 (header fields ``ns`` and ``nsd`` of Remoting,
``resource_namespace`` of gRPC) send plain names with the namespace beside; their front-ends pass each command through
`enter` and each reply and event through `leave`. Source: ``NamespaceUtil`` and ``NamespaceRpcHook`` of 5.5.0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from rmqgateway.commands import (
    Command,
    ConsumeProgress,
    Consumer,
    ConsumerConnections,
    ConsumeTimeSpans,
    CreateGroups,
    CreateTopics,
    GroupConfig,
    GroupConfigs,
    Heartbeat,
    LiteTopicInformation,
    LockedQueues,
    LockQueues,
    Names,
    PulledMessages,
    ReceivedMessages,
    ResetOffsets,
    SendMessages,
    StoredMessages,
    TopicConfig,
    TopicConfigs,
    TopicStatistics,
    UnlockQueues,
)
from rmqgateway.events import CheckTransaction, ConsumeMessageDirectly, OffsetsReset
from rmqgateway.message import Message, MessageQueue
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_properties import find_property, set_property

__all__ = ["enter", "leave", "unwrap", "wrap"]

_PREFIXES = ("%RETRY%", "%DLQ%")
#: Names that are the broker's own, in every namespace the same.
_SYSTEM = frozenset(
    {
        "BenchmarkTest",
        "CLIENT_INNER_PRODUCER",
        "OFFSET_MOVED_EVENT",
        "SCHEDULE_TOPIC_XXXX",
        "SELF_TEST_TOPIC",
        "TBW102",
        "TOOLS_CONSUMER",
        "TRANS_CHECK_MAX_TIME_TOPIC",
    }
)
_SYSTEM_PREFIXES = ("rmq_sys_", "RMQ_SYS_", "CID_RMQ_SYS_", "CID_ONSAPI_")
_NAME_FIELDS = ("topic", "group", "producer_group", "consumer_group", "from_group", "to_group")
#: Properties of messages that name topics and groups.
_TOPIC_PROPERTIES = (b"RETRY_TOPIC", b"REAL_TOPIC", b"DLQ_ORIGIN_TOPIC", b"PGROUP")

_S = TypeVar("_S", bound=msgspec.Struct)


def _split(name: str) -> tuple[str, str]:
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return prefix, name[len(prefix) :]
    return "", name


def wrap(namespace: str, name: str) -> str:
    """The inner name of a resource; "" and the broker's own names stay, and so does one that has the prefix already."""
    if not namespace or not name:
        return name
    prefix, plain = _split(name)
    if plain in _SYSTEM or plain.startswith(_SYSTEM_PREFIXES) or plain.startswith(namespace + "%"):
        return name
    return f"{prefix}{namespace}%{plain}"


def unwrap(namespace: str, name: str) -> str:
    """The name as a client of this namespace knows it."""
    if not namespace:
        return name
    prefix, plain = _split(name)
    return prefix + plain.removeprefix(namespace + "%")


def _names(value: _S, change: Callable[[str], str]) -> _S:
    """A struct with every field that names a topic or group changed."""
    changed: dict[str, Any] = {}
    for field in value.__struct_fields__:
        if field in _NAME_FIELDS:
            name = getattr(value, field)
            if isinstance(name, str) and name:
                changed[field] = change(name)
    return msgspec.structs.replace(value, **changed) if changed else value


def _queues(queues: tuple[MessageQueue, ...], change: Callable[[str], str]) -> tuple[MessageQueue, ...]:
    return tuple([_names(queue, change) for queue in queues])


def _consumer(consumer: Consumer, change: Callable[[str], str]) -> Consumer:
    consumer = _names(consumer, change)
    return msgspec.structs.replace(
        consumer, subscriptions=tuple([_names(item, change) for item in consumer.subscriptions])
    )


def _message(message: Message, change: Callable[[str], str]) -> Message:
    # The group that is asked about a half message is found by this property.
    group = find_property(message.properties, b"PGROUP")
    if group is None:
        return message
    properties = set_property(message.properties, b"PGROUP", change(group.decode("utf-8", "replace")).encode())
    return msgspec.structs.replace(message, properties=properties)


def _named(items: tuple[Any, ...], change: Callable[[str], str]) -> tuple[Any, ...]:
    return tuple([msgspec.structs.replace(item, name=change(item.name)) for item in items])


def enter(namespace: str, command: Command[Any]) -> Command[Any]:
    """A command of a client of this namespace, with inner names."""

    def change(name: str) -> str:
        return wrap(namespace, name)

    command = _names(command, change)
    if isinstance(command, SendMessages):
        return msgspec.structs.replace(command, messages=tuple([_message(item, change) for item in command.messages]))
    if isinstance(command, Heartbeat):
        return msgspec.structs.replace(
            command,
            producers=tuple([change(name) for name in command.producers]),
            consumers=tuple([_consumer(item, change) for item in command.consumers]),
        )
    if isinstance(command, LockQueues | UnlockQueues):
        return msgspec.structs.replace(command, queues=_queues(command.queues, change))
    if isinstance(command, CreateTopics):
        return msgspec.structs.replace(command, topics=_named(command.topics, change))
    if isinstance(command, CreateGroups):
        return msgspec.structs.replace(command, groups=_named(command.groups, change))
    return command


def _plain_message(message: bytes, change: Callable[[str], str]) -> bytes:
    """A stored message as the client is to see it: its topic, and its properties that name topics and groups."""
    stored = stored_message.decode(message)
    properties = stored.properties
    for name in _TOPIC_PROPERTIES:
        value = find_property(properties, name)
        if value is not None:
            properties = set_property(properties, name, change(value.decode("utf-8", "replace")).encode())
    return bytes(
        stored_message.encode(
            change(stored.topic.decode("utf-8", "replace")).encode(),
            stored.queue_id,
            stored.body,
            properties,
            stored.flag,
            stored.sys_flag,
            stored.born_timestamp,
            stored.born_host,
            stored.store_timestamp,
            stored.store_host,
            stored.reconsume_times,
            stored.prepared_transaction_offset,
            stored.queue_offset,
            stored.physical_offset,
        )
    )


def leave(namespace: str, reply: Any) -> Any:
    """A reply or event for a client of this namespace, with the names that it knows. Lists of topics and groups lose
    what is of other namespaces."""

    def change(name: str) -> str:
        return unwrap(namespace, name)

    def ours(name: str) -> bool:
        return wrap(namespace, name) == name

    if isinstance(reply, PulledMessages | StoredMessages):
        if not reply.messages:
            return reply
        return msgspec.structs.replace(reply, messages=tuple([_plain_message(item, change) for item in reply.messages]))
    if isinstance(reply, ReceivedMessages):
        messages = [
            msgspec.structs.replace(item, message=_plain_message(item.message, change)) for item in reply.messages
        ]
        return msgspec.structs.replace(reply, messages=tuple(messages))
    if isinstance(reply, LockedQueues):
        return msgspec.structs.replace(reply, queues=_queues(reply.queues, change))
    if isinstance(reply, ResetOffsets | OffsetsReset):
        offsets = tuple([(_names(queue, change), offset) for queue, offset in reply.offsets])
        return msgspec.structs.replace(_names(reply, change), offsets=offsets)
    if isinstance(reply, ConsumeProgress | TopicStatistics):
        queues = [msgspec.structs.replace(item, queue=_names(item.queue, change)) for item in reply.queues]
        return msgspec.structs.replace(reply, queues=tuple(queues))
    if isinstance(reply, ConsumeTimeSpans):
        spans = [msgspec.structs.replace(item, queue=_names(item.queue, change)) for item in reply.spans]
        return msgspec.structs.replace(reply, spans=tuple(spans))
    if isinstance(reply, ConsumerConnections):
        consumer = None if reply.consumer is None else _consumer(reply.consumer, change)
        consumers = tuple([None if item is None else _consumer(item, change) for item in reply.consumers])
        return msgspec.structs.replace(reply, consumer=consumer, consumers=consumers)
    if isinstance(reply, TopicConfig | GroupConfig):
        return msgspec.structs.replace(reply, name=change(reply.name))
    if isinstance(reply, TopicConfigs):
        topics = tuple([topic for topic in reply.topics if ours(topic.name)])
        return msgspec.structs.replace(reply, topics=_named(topics, change))
    if isinstance(reply, GroupConfigs):
        groups = tuple([group for group in reply.groups if ours(group.name)])
        forbidden = {change(name): tuple(map(change, topics)) for name, topics in reply.forbidden.items() if ours(name)}
        return msgspec.structs.replace(reply, groups=_named(groups, change), forbidden=forbidden)
    if isinstance(reply, LiteTopicInformation):
        subscribers = tuple([(client_id, change(group)) for client_id, group in reply.subscribers])
        return msgspec.structs.replace(_names(reply, change), subscribers=subscribers)
    if isinstance(reply, Names):
        return Names(tuple([change(name) for name in reply.names if ours(name)]))
    if isinstance(reply, CheckTransaction | ConsumeMessageDirectly):
        return msgspec.structs.replace(_names(reply, change), message=_plain_message(reply.message, change))
    if isinstance(reply, msgspec.Struct):
        return _names(reply, change)
    return reply
