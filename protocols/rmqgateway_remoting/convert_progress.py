"""Administration of consuming: progress, offsets, what a connected consumer does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqgateway.commands import (
    CloneOffset,
    ConsumeDirectly,
    ConsumeProgress,
    ConsumeTimeSpans,
    GetConsumeProgress,
    GetConsumerStatus,
    GetConsumeTimeSpans,
    GetRunningInformation,
    QueueProgress,
    RelayedAnswer,
    ResetOffset,
    ResetOffsets,
)
from rmqgateway.errors import Code
from rmqgateway.wire.bodies import encode_body
from rmqgateway.wire.bodies.common import MessageQueue as QueueBody
from rmqgateway.wire.bodies.groups import (
    ConsumerStatusBody,
    ConsumeStats,
    OffsetWrapper,
    QueryConsumeTimeSpanBody,
    QueueTimeSpan,
)
from rmqgateway.wire.message_id import decode_offset_message_id
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from rmqgateway_remoting.convert_base import (
    Operation,
    Peer,
    boolean,
    int32,
    int64,
    queue_body,
    reply_nothing,
    respond,
    text,
)
from rmqgateway_remoting.push import reset_body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rmqgateway.wire.remoting import RemotingCommand

__all__ = ["OPERATIONS", "offset_table"]


def _topics(ext: dict[str, str]) -> list[str]:
    """``topicList`` (since 5.3, parted by semicolons), else ``topic``; none for all of the group's."""
    listed = [topic for topic in ext.get("topicList", "").split(";") if topic]
    return listed or [topic for topic in (ext.get("topic", ""),) if topic]


def parse_progress(request: RemotingCommand, peer: Peer) -> GetConsumeProgress:
    """GET_CONSUME_STATS."""
    ext = request.ext_fields
    topics = _topics(ext)
    return GetConsumeProgress(text(ext, "consumerGroup"), topics[0] if len(topics) == 1 else "")


def reply_progress(reply: ConsumeProgress, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``ConsumeStats``."""
    wanted = frozenset(_topics(request.ext_fields))
    table = offset_table([item for item in reply.queues if not wanted or item.queue.topic in wanted])
    respond(request, out, body=encode_body(ConsumeStats(consume_tps=reply.consume_tps, offset_table=table)))


def offset_table(queues: Sequence[QueueProgress]) -> dict[QueueBody, OffsetWrapper]:
    """A group's place in queues, as ``ConsumeStats`` has it."""
    return {
        queue_body(item.queue): OffsetWrapper(
            broker_offset=item.broker_offset,
            consumer_offset=item.consumer_offset,
            last_timestamp=item.last_timestamp,
            pull_offset=item.pull_offset,
        )
        for item in queues
    }


def parse_time_spans(request: RemotingCommand, peer: Peer) -> GetConsumeTimeSpans:
    """QUERY_CONSUME_TIME_SPAN."""
    return GetConsumeTimeSpans(text(request.ext_fields, "topic"), text(request.ext_fields, "group"))


def reply_time_spans(reply: ConsumeTimeSpans, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``QueryConsumeTimeSpanBody``."""
    spans = [
        QueueTimeSpan(
            consume_time_stamp=span.consume_timestamp,
            delay_time=span.delay_ms,
            max_time_stamp=span.max_timestamp,
            message_queue=queue_body(span.queue),
            min_time_stamp=span.min_timestamp,
        )
        for span in reply.spans
    ]
    respond(request, out, body=encode_body(QueryConsumeTimeSpanBody(consume_time_span_set=spans)))


def parse_reset_offset(request: RemotingCommand, peer: Peer) -> ResetOffset:
    """INVOKE_BROKER_TO_RESET_OFFSET; a timestamp of -1 is the end."""
    ext = request.ext_fields
    return ResetOffset(
        topic=text(ext, "topic"),
        group=text(ext, "group"),
        timestamp=int64(ext, "timestamp"),
        force=boolean(ext, "isForce"),
        queue_id=int32(ext, "queueId", -1),
        offset=int64(ext, "offset", -1),
    )


def reply_reset_offset(reply: ResetOffsets, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``ResetOffsetBody``."""
    respond(request, out, body=reset_body(reply.offsets, request.language))


def parse_consumer_status(request: RemotingCommand, peer: Peer) -> GetConsumerStatus:
    """INVOKE_BROKER_TO_GET_CONSUMER_STATUS; ``clientAddr`` holds a client id."""
    ext = request.ext_fields
    return GetConsumerStatus(text(ext, "topic"), text(ext, "group"), ext.get("clientAddr", ""))


def reply_consumer_status(reply: ResetOffsets, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``GetConsumerStatusBody``: offsets by queue by client id."""
    client_id = request.ext_fields.get("clientAddr", "")
    table = {client_id: {queue_body(queue): offset for queue, offset in reply.offsets}}
    respond(request, out, body=encode_body(ConsumerStatusBody(consumer_table=table)))


def parse_clone_offset(request: RemotingCommand, peer: Peer) -> CloneOffset:
    """CLONE_GROUP_OFFSET."""
    ext = request.ext_fields
    return CloneOffset(text(ext, "srcGroup"), text(ext, "destGroup"), ext.get("topic", ""), boolean(ext, "offline"))


def parse_running_information(request: RemotingCommand, peer: Peer) -> GetRunningInformation:
    """GET_CONSUMER_RUNNING_INFO."""
    ext = request.ext_fields
    return GetRunningInformation(text(ext, "consumerGroup"), text(ext, "clientId"), boolean(ext, "jstackEnable"))


def parse_consume_directly(request: RemotingCommand, peer: Peer) -> ConsumeDirectly:
    """CONSUME_MESSAGE_DIRECTLY; ``msgId`` is an offset message id."""
    ext = request.ext_fields
    message_id = text(ext, "msgId")
    return ConsumeDirectly(
        group=text(ext, "consumerGroup"),
        client_id=ext.get("clientId", ""),
        physical_offset=decode_offset_message_id(message_id)[1],
        topic=ext.get("topic", ""),
        message_id=message_id,
    )


def reply_relayed(reply: RelayedAnswer, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """What the consumer answered, as it is."""
    respond(request, out, body=reply.body, code=reply.code, remark=reply.remark or None)


_OFFLINE = {Code.CLIENT_NOT_FOUND: ResponseCode.SYSTEM_ERROR}

OPERATIONS = (
    Operation(RequestCode.GET_CONSUME_STATS, GetConsumeProgress, parse_progress, reply_progress),
    Operation(RequestCode.QUERY_CONSUME_TIME_SPAN, GetConsumeTimeSpans, parse_time_spans, reply_time_spans),
    Operation(RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, ResetOffset, parse_reset_offset, reply_reset_offset),
    Operation(
        RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS,
        GetConsumerStatus,
        parse_consumer_status,
        reply_consumer_status,
        waits=True,
    ),
    Operation(RequestCode.CLONE_GROUP_OFFSET, CloneOffset, parse_clone_offset, reply_nothing),
    Operation(
        RequestCode.GET_CONSUMER_RUNNING_INFO,
        GetRunningInformation,
        parse_running_information,
        reply_relayed,
        waits=True,
        errors=_OFFLINE,
    ),
    Operation(
        RequestCode.CONSUME_MESSAGE_DIRECTLY,
        ConsumeDirectly,
        parse_consume_directly,
        reply_relayed,
        waits=True,
        errors=_OFFLINE,
    ),
)
