"""What the Admin service tells: connections, subscriptions, accumulation, time spans, running information, routes.

A number that is not known is -1 there, and a message that is not known is absent (``apache_rocketmq_v2/admin.proto``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rmqgateway.apis.apache_rocketmq_v2 import admin_pb2 as admin
from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.convert_base import duration_of, resource_of, timestamp_of
from rmqgateway.commands import (
    Connection,
    Consumer,
    ConsumerConnections,
    ConsumeTimeSpan,
    LiteGroupInformation,
    MessageModel,
    QueueProgress,
    Route,
    Subscribed,
)
from rmqgateway.message import Filter, FilterType, MessageQueue
from rmqgateway.route_body import route_data
from rmqgateway.wire.bodies import encode_body
from rmqgateway.wire.bodies.consuming import ConsumerRunningInfo
from rmqgateway.wire.lite_topics import lite_parent

__all__ = [
    "UNKNOWN",
    "accumulation_of",
    "client_of",
    "clients_of",
    "expression_of",
    "is_own_topic",
    "lite_accumulation_of",
    "offline_of",
    "parent_of",
    "queue_of",
    "route_text",
    "running_of",
    "span_of",
    "subscribed_topics",
    "subscription_of",
]

UNKNOWN = -1
_MODELS = {MessageModel.CLUSTERING: admin.CLUSTERING, MessageModel.BROADCASTING: admin.BROADCASTING}


def is_own_topic(topic: str) -> bool:
    """Whether people made the topic: no retries, no dead letters, nothing behind lite topics."""
    return not topic.startswith("%")


def parent_of(topic: str) -> str:
    """The topic above a lite topic whose backend's name this is; of all others the name itself."""
    return lite_parent(topic) or topic


def expression_of(wanted: Filter) -> v2.FilterExpression:
    """A filter."""
    kind = v2.SQL if wanted.type is FilterType.SQL92 else v2.TAG
    return v2.FilterExpression(type=kind, expression=wanted.expression)


def queue_of(queue: MessageQueue) -> v2.MessageQueue:
    """A message queue by its full name."""
    return v2.MessageQueue(
        topic=resource_of(queue.topic), id=queue.queue_id, broker=v2.Broker(name=queue.broker_name)
    )


# Who is connected, and what they want.


def client_of(connection: Connection, consumer: Consumer | None, lite: bool = False) -> admin.ClientInfo:
    """A connected client. :param consumer: what it or its group consumes. :param lite: by lite topics of its own."""
    model = admin.MESSAGE_MODEL_UNSPECIFIED if consumer is None else _MODELS[consumer.model]
    return admin.ClientInfo(
        client_id=connection.client_id,
        version=connection.version,
        language=connection.language,
        egress_ip=connection.address.rpartition(":")[0].strip("[]"),
        message_model=admin.LITE_SELECTIVE if lite else model,
    )


def clients_of(reply: ConsumerConnections) -> list[tuple[Connection, Consumer | None]]:
    """The connections of a group, each with what it said itself, or None: that is not known."""
    consumers: Sequence[Consumer | None] = reply.consumers or (None,) * len(reply.connections)
    return list(zip(reply.connections, consumers, strict=True))


def subscribed_topics(consumer: Consumer | None) -> dict[str, Subscribed]:
    """The topics that people made and that a consumer subscribes to."""
    subscriptions = () if consumer is None else consumer.subscriptions
    return {item.topic: item for item in subscriptions if is_own_topic(item.topic)}


def subscription_of(group: str, subscribed: Subscribed, model: MessageModel, consistent: bool) -> admin.SubscriptionInfo:
    """The subscription of somebody who is connected."""
    info = offline_of(group, subscribed.topic)
    info.expression.CopyFrom(expression_of(subscribed.filter))
    info.online = True
    if subscribed.version > 0:
        info.last_update_timestamp.CopyFrom(timestamp_of(subscribed.version))
    info.message_model = _MODELS[model]
    info.subscription_consistency = consistent
    return info


def offline_of(group: str, topic: str) -> admin.SubscriptionInfo:
    """A subscription of which a place is left, and nobody who could say more."""
    return admin.SubscriptionInfo(group=resource_of(group), topic=resource_of(topic))


# How far they are.

_Accumulation = admin.DescribeGroupAccumulationResponse.GroupAccumulation


def accumulation_of(
    queues: Iterable[QueueProgress], delay_ms: int | None = None
) -> admin.DescribeGroupAccumulationResponse.GroupAccumulation:
    """What of some queues is not consumed. :param delay_ms: the age of the oldest message that waits, where it is known."""
    lag = in_flight = last = 0
    for item in queues:
        lag += max(item.broker_offset - item.consumer_offset, 0)
        last = max(last, item.last_timestamp)
        if item.in_flight is None or in_flight == UNKNOWN:
            in_flight = UNKNOWN
        else:
            in_flight += item.in_flight
    return _Accumulation(
        inflight_messages=in_flight,
        ready_messages=UNKNOWN if in_flight == UNKNOWN else max(lag - in_flight, 0),
        accumulation=lag,
        deliver_delay_time=None if delay_ms is None else duration_of(delay_ms),
        last_consume_timestamp=last or UNKNOWN,
    )


def lite_accumulation_of(
    reply: LiteGroupInformation, now_ms: int
) -> admin.DescribeGroupAccumulationResponse.GroupAccumulation | None:
    """What of one lite topic is not consumed; None: there is no such lite topic."""
    if reply.lag is None:
        return None
    found = accumulation_of(() if reply.place is None else (reply.place,))
    found.accumulation = reply.lag
    if reply.place is None and reply.lag:
        found.inflight_messages = found.ready_messages = UNKNOWN
    if reply.since > 0:
        found.deliver_delay_time.CopyFrom(duration_of(max(now_ms - reply.since, 0)))
    return found


def span_of(span: ConsumeTimeSpan) -> admin.QueryTimeSpanResponse.QueueTimeSpan:
    """The times of a queue."""
    return admin.QueryTimeSpanResponse.QueueTimeSpan(
        message_queue=queue_of(span.queue),
        min_timestamp=span.min_timestamp or UNKNOWN,
        max_timestamp=span.max_timestamp or UNKNOWN,
        consume_timestamp=span.consume_timestamp or UNKNOWN,
        delay_time_ms=span.delay_ms,
    )


# What a consumer says of itself.


def running_of(body: ConsumerRunningInfo) -> admin.ConsumerRunningInfo:
    """Running information. What a consumer that receives (pop) does not say of a queue is not known."""
    found = admin.ConsumerRunningInfo(
        properties={name: _property(value) for name, value in body.properties.items()},
        consume_status_table={
            topic: admin.ConsumeStatus(
                receive_rt=status.pull_rt,
                receive_tps=status.pull_tps,
                consume_rt=status.consume_rt,
                consume_ok_tps=status.consume_ok_tps,
                consume_failed_tps=status.consume_failed_tps,
                consume_failed_msgs=_i64(status.consume_failed_msgs),
            )
            for topic, status in body.status_table.items()
        },
    )
    for item in body.subscription_set:
        kind = v2.SQL if item.expression_type == "SQL92" else v2.TAG
        found.subscriptions[item.topic].CopyFrom(v2.FilterExpression(type=kind, expression=item.sub_string or "*"))
    for queue, held in body.mq_table.items():
        found.message_queue_table.add(
            message_queue=queue_of(MessageQueue(queue.topic, queue.broker_name, _i32(queue.queue_id))),
            process_queue_info=admin.ProcessQueueInfo(
                commit_offset=_i64(held.commit_offset),
                cached_msg_min_offset=_i64(held.cached_msg_min_offset),
                cached_msg_max_offset=_i64(held.cached_msg_max_offset),
                cached_msg_count=_i32(held.cached_msg_count),
                cached_msg_size_in_mib=_i32(held.cached_msg_size_in_mi_b),
                transaction_msg_min_offset=_i64(held.transaction_msg_min_offset),
                transaction_msg_max_offset=_i64(held.transaction_msg_max_offset),
                transaction_msg_count=_i32(held.transaction_msg_count),
                locked=held.locked,
                try_unlock_times=_i64(held.try_unlock_times),
                last_lock_timestamp=_i64(held.last_lock_timestamp),
                dropped=held.droped,
                last_pull_timestamp=_i64(held.last_pull_timestamp),
                last_consume_timestamp=_i64(held.last_consume_timestamp),
            ),
        )
    for queue, popped in body.mq_pop_table.items():
        found.message_queue_table.add(
            message_queue=queue_of(MessageQueue(queue.topic, queue.broker_name, _i32(queue.queue_id))),
            process_queue_info=admin.ProcessQueueInfo(
                commit_offset=UNKNOWN,
                cached_msg_min_offset=UNKNOWN,
                cached_msg_max_offset=UNKNOWN,
                cached_msg_count=_i32(popped.wait_ack_count),
                cached_msg_size_in_mib=UNKNOWN,
                transaction_msg_min_offset=UNKNOWN,
                transaction_msg_max_offset=UNKNOWN,
                transaction_msg_count=UNKNOWN,
                try_unlock_times=UNKNOWN,
                last_lock_timestamp=UNKNOWN,
                dropped=popped.droped,
                last_pull_timestamp=_i64(popped.last_pop_timestamp),
                last_consume_timestamp=UNKNOWN,
            ),
        )
    return found


def _property(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# A client may say any number; what does not fit is not known.


def _i32(value: int) -> int:
    return value if -(1 << 31) <= value < 1 << 31 else UNKNOWN


def _i64(value: int) -> int:
    return value if -(1 << 63) <= value < 1 << 63 else UNKNOWN


def route_text(route: Route, host: str) -> str:
    """``TopicRouteData`` of Remoting as JSON. :param host: the address under which the caller reaches this gateway."""
    return encode_body(route_data(route, host), standard=True).decode()
