"""PullMessage, UpdateOffset, GetOffset, QueryOffset: consumers that keep their own place.

No server of Apache's answers these. Their meaning is that of Remoting's PULL_MESSAGE, UPDATE_CONSUMER_OFFSET,
QUERY_CONSUMER_OFFSET, GET_MIN_OFFSET, GET_MAX_OFFSET and SEARCH_OFFSET_BY_TIMESTAMP, in the shapes of the .proto: a pull's
stream is a status, the messages, and last the offset to go on from.
"""

from __future__ import annotations

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.apis.checks import group_name, topic_name
from rmqgateway.apis.convert_base import duration_ms, millis
from rmqgateway.apis.convert_receiving import filter_of, wait_ms
from rmqgateway.apis.limits import ApiSettings
from rmqgateway.apis.refusals import OK, Refusal
from rmqgateway.commands import (
    GetConsumerOffset,
    OffsetOf,
    PulledMessages,
    PullMessages,
    PullStatus,
    QueryOffset,
    UpdateConsumerOffset,
)

__all__ = ["pull_status", "read_get_offset", "read_pull", "read_query_offset", "read_update_offset"]


def _queue_id(queue: v2.MessageQueue) -> int:
    if queue.id < 0:
        raise Refusal(v2.BAD_REQUEST, f"message queue: expected an id of at least 0, got {queue.id}")
    return queue.id


def _offset(offset: int) -> int:
    if offset < 0:
        raise Refusal(v2.ILLEGAL_OFFSET, f"offset: expected at least 0, got {offset}")
    return offset


def read_pull(
    data: bytes, namespace: str, limits: ApiSettings, remaining_ms: int | None, version: str
) -> PullMessages:
    """The command of a PullMessage request."""
    request = service.PullMessageRequest.FromString(data)
    asked = duration_ms(request.long_polling_timeout) if request.HasField("long_polling_timeout") else 0
    if request.batch_size <= 0:
        raise Refusal(v2.BAD_REQUEST, f"batch size: expected at least 1, got {request.batch_size}")
    return PullMessages(
        group_name(request.group, namespace),
        topic_name(request.message_queue.topic, namespace),
        _queue_id(request.message_queue),
        _offset(request.offset),
        max_messages=min(request.batch_size, limits.max_batch),
        wait_ms=wait_ms(asked, remaining_ms, limits, version),
        filter=filter_of(request.filter_expression),
        broker_name=request.message_queue.broker.name,
    )


def pull_status(reply: PulledMessages) -> v2.Status:
    """The status of a pull: an offset outside the queue is told, and `next_offset` says where to go on."""
    if reply.status is PullStatus.FOUND:
        return OK
    if reply.status is PullStatus.OFFSET_MOVED:
        return v2.Status(
            code=v2.ILLEGAL_OFFSET,
            message=f"offset is outside {reply.min_offset} to {reply.max_offset}, go on at {reply.next_offset}",
        )
    matched = reply.status is PullStatus.NO_MATCHED_MESSAGE
    return v2.Status(code=v2.MESSAGE_NOT_FOUND, message="no match message" if matched else "no new message")


def read_update_offset(data: bytes, namespace: str) -> UpdateConsumerOffset:
    """The command of an UpdateOffset request."""
    request = service.UpdateOffsetRequest.FromString(data)
    return UpdateConsumerOffset(
        group_name(request.group, namespace),
        topic_name(request.message_queue.topic, namespace),
        _queue_id(request.message_queue),
        _offset(request.offset),
        broker_name=request.message_queue.broker.name,
    )


def read_get_offset(data: bytes, namespace: str) -> GetConsumerOffset:
    """The command of a GetOffset request: an offset that was never recorded is OFFSET_NOT_FOUND."""
    request = service.GetOffsetRequest.FromString(data)
    return GetConsumerOffset(
        group_name(request.group, namespace),
        topic_name(request.message_queue.topic, namespace),
        _queue_id(request.message_queue),
        zero_if_new=False,
        broker_name=request.message_queue.broker.name,
    )


_POLICIES = {
    v2.BEGINNING: OffsetOf.MIN,
    v2.END: OffsetOf.MAX,
    v2.TIMESTAMP: OffsetOf.TIMESTAMP,
}


def read_query_offset(data: bytes, namespace: str) -> QueryOffset:
    """The command of a QueryOffset request."""
    request = service.QueryOffsetRequest.FromString(data)
    of = _POLICIES.get(request.query_offset_policy)
    if of is None:
        raise Refusal(v2.BAD_REQUEST, f"query offset policy {request.query_offset_policy} is not defined")
    if of is OffsetOf.TIMESTAMP and not request.HasField("timestamp"):
        raise Refusal(v2.BAD_REQUEST, "the policy TIMESTAMP needs a timestamp")
    return QueryOffset(
        topic_name(request.message_queue.topic, namespace),
        _queue_id(request.message_queue),
        of,
        millis(request.timestamp) if of is OffsetOf.TIMESTAMP else 0,
        broker_name=request.message_queue.broker.name,
    )
