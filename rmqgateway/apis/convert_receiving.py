"""ReceiveMessage, AckMessage, ChangeInvisibleDuration, ForwardMessageToDeadLetterQueue: requests to commands, and back.

Source: the activities of these names of the proxy 5.5.0. Long polls may be shorter than there, down to none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.apis.checks import check_invisible, group_name, topic_name
from rmqgateway.apis.convert_base import duration_ms, prefixed, timestamp_of, version_of
from rmqgateway.apis.limits import ApiSettings
from rmqgateway.apis.refusals import OK, STATUS_CODES, Refusal
from rmqgateway.commands import (
    AckMessages,
    AckResults,
    ChangedInvisibleDuration,
    ChangeInvisibleDuration,
    ForwardToDeadLetterQueue,
    InitMode,
    ReceiveMessages,
)
from rmqgateway.errors import Code
from rmqgateway.message import Filter, FilterType

__all__ = [
    "delivered_at",
    "filter_of",
    "read_ack",
    "read_change",
    "read_forward",
    "read_receive",
    "wait_ms",
    "write_acknowledged",
    "write_changed",
]

#: Clients before this version know no ILLEGAL_POLLING_TIME.
_POLLING_TIME_SINCE = (5, 0, 3)


def filter_of(expression: v2.FilterExpression) -> Filter:
    """A filter expression; what is empty lets everything through."""
    kind = FilterType.SQL92 if expression.type == v2.SQL else FilterType.TAG
    return Filter(expression.expression or "*", kind)


def wait_ms(asked: int | None, remaining_ms: int | None, limits: ApiSettings, version: str, timeout_ms: int = 0) -> int:
    """How long a receive may wait.

    :param asked: the request's long polling timeout, or None. :param remaining_ms: until its deadline, or None.
    :param timeout_ms: the client's request timeout by its settings; without a polling timeout half of it is kept back.
    :raise Refusal: ILLEGAL_POLLING_TIME (BAD_REQUEST for clients before 5.0.3): too little time is left.
    """
    if asked is None:
        asked = 0 if remaining_ms is None else remaining_ms - timeout_ms // 2
    asked = min(max(asked, limits.min_poll_ms), limits.max_poll_ms)
    if remaining_ms is None:
        return asked
    # Waits end up to 50 ms late: less than 100 ms would be too little to answer in time.
    left = remaining_ms - min(limits.poll_reserve_ms, max(remaining_ms // 4, 100))
    if asked <= max(left, 0) and remaining_ms > 0:
        return asked
    if left < limits.min_poll_ms or remaining_ms <= 0:
        code = v2.ILLEGAL_POLLING_TIME if version_of(version) >= _POLLING_TIME_SINCE else v2.BAD_REQUEST
        raise Refusal(
            code, "The deadline time remaining is not enough for polling, please check network condition"
        )
    return left


def read_receive(
    request: service.ReceiveMessageRequest,
    namespace: str,
    limits: ApiSettings,
    remaining_ms: int | None,
    version: str,
    client_id: str,
    timeout_ms: int = 0,
) -> ReceiveMessages:
    """The command of a ReceiveMessage request. Like the proxy, it takes from all queues of the broker
    that the request names.

    :raise Refusal: ILLEGAL_POLLING_TIME, ILLEGAL_TOPIC, ILLEGAL_CONSUMER_GROUP, ILLEGAL_INVISIBLE_TIME.
    """
    asked = duration_ms(request.long_polling_timeout) if request.HasField("long_polling_timeout") else None
    wait = wait_ms(asked, remaining_ms, limits, version, timeout_ms)
    topic = topic_name(request.message_queue.topic, namespace)
    group = group_name(request.group, namespace)
    if request.auto_renew:
        invisible = limits.default_invisible_ms
    else:
        invisible = duration_ms(request.invisible_duration)
        check_invisible(invisible, limits.min_invisible_ms, limits.max_invisible_ms)
    if request.batch_size <= 0:
        raise Refusal(v2.BAD_REQUEST, f"batch size: expected at least 1, got {request.batch_size}")
    return ReceiveMessages(
        group=group,
        topic=topic,
        max_messages=min(request.batch_size, limits.max_batch),
        invisible_ms=invisible,
        wait_ms=wait,
        filter=filter_of(request.filter_expression),
        attempt_id=request.attempt_id,
        init_mode=InitMode.MAX,
        auto_renew=request.auto_renew,
        client_id=client_id,
        broker_name=request.message_queue.broker.name,
    )


def delivered_at(now_ms: int) -> bytes:
    """The last message of a receive's stream."""
    return service.ReceiveMessageResponse(delivery_timestamp=timestamp_of(now_ms)).SerializeToString()


def read_ack(
    request: service.AckMessageRequest, namespace: str, current: Callable[[str, str, str], str]
) -> AckMessages:
    """The command of an AckMessage request.

    :param current: (inner group, message id, handle) -> the handle that is valid now, where it was renewed.
    """
    topic = topic_name(request.topic, namespace)
    group = group_name(request.group, namespace)
    handles = tuple([current(group, entry.message_id, entry.receipt_handle) for entry in request.entries])
    lite_topic = request.entries[0].lite_topic if request.entries else ""
    return AckMessages(group, topic, handles, lite_topic=lite_topic)


_OK_BYTES = OK.SerializeToString()
#: Field 3 of an entry; fields 1 and 2 are the same in request and response.
_ENTRY_OK = b"\x1a" + prefixed(_OK_BYTES)
_ALL_ACKNOWLEDGED = service.AckMessageResponse(status=v2.Status(code=v2.OK, message="OK")).SerializeToString()


def write_acknowledged(entries: Sequence[service.AckMessageEntry], reply: AckResults) -> bytes:
    """The response to AckMessage: one entry for each, MULTIPLE_RESULTS where they differ."""
    if not any(result.code for result in reply.results):
        # An entry of the response is that of the request, and its status.
        data = [entry.SerializeToString() + _ENTRY_OK for entry in entries if not entry.lite_topic]
        if data and len(data) == len(entries) == len(reply.results):
            return _ALL_ACKNOWLEDGED + b"".join([b"\x12" + prefixed(entry) for entry in data])
    response = service.AckMessageResponse()
    codes: set[int] = set()
    for entry, result in zip(entries, reply.results, strict=True):
        status = OK
        if result.code:
            status = v2.Status(code=STATUS_CODES[Code[result.code]], message=result.text)
        codes.add(status.code)
        response.entries.add(message_id=entry.message_id, receipt_handle=entry.receipt_handle, status=status)
    if len(codes) == 1:
        name = v2.Code.Name(codes.pop())
        response.status.CopyFrom(v2.Status(code=name, message=name))
    elif codes:
        response.status.code = v2.MULTIPLE_RESULTS
        response.status.message = "MULTIPLE_RESULTS"
    else:
        response.status.code = v2.INTERNAL_SERVER_ERROR
        response.status.message = "ack message result is empty"
    return response.SerializeToString()


def read_change(
    request: service.ChangeInvisibleDurationRequest,
    namespace: str,
    limits: ApiSettings,
    current: Callable[[str, str, str], str],
) -> ChangeInvisibleDuration:
    """The command of a ChangeInvisibleDuration request; 0 is allowed: visible at once."""
    topic = topic_name(request.topic, namespace)
    group = group_name(request.group, namespace)
    invisible = duration_ms(request.invisible_duration)
    check_invisible(invisible, 0, limits.max_invisible_ms)
    return ChangeInvisibleDuration(
        group,
        topic,
        current(group, request.message_id, request.receipt_handle),
        invisible,
        message_id=request.message_id,
        lite_topic=request.lite_topic,
        suspend=request.suspend,
    )


def write_changed(reply: ChangedInvisibleDuration) -> bytes:
    """The response to ChangeInvisibleDuration: the handle that is valid from now on."""
    return service.ChangeInvisibleDurationResponse(
        status=OK, receipt_handle=reply.receipt_handle
    ).SerializeToString()


def read_forward(
    request: service.ForwardMessageToDeadLetterQueueRequest,
    namespace: str,
    current: Callable[[str, str, str], str],
) -> ForwardToDeadLetterQueue:
    """The command of a ForwardMessageToDeadLetterQueue request."""
    topic = topic_name(request.topic, namespace)
    group = group_name(request.group, namespace)
    return ForwardToDeadLetterQueue(
        group,
        topic,
        current(group, request.message_id, request.receipt_handle),
        message_id=request.message_id,
        delivery_attempt=request.delivery_attempt,
        max_delivery_attempts=request.max_delivery_attempts,
        lite_topic=request.lite_topic,
    )
