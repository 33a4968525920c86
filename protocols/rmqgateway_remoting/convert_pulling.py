"""Requests of consumers that keep their own place: pulls, offsets, queue locks.

Headers: ``PullMessageRequestHeader``, ``QueryConsumerOffsetRequestHeader`` … of 5.5.0; the bodies of locks are
``LockBatchRequestBody`` and ``UnlockBatchRequestBody``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqgateway.commands import (
    ConsumerOffset,
    GetConsumerOffset,
    LockedQueues,
    LockQueues,
    Offset,
    OffsetOf,
    PulledMessages,
    PullMessages,
    PullStatus,
    QueryOffset,
    UnlockQueues,
    UpdateConsumerOffset,
)
from rmqgateway.wire.bodies import decode_body, encode_body
from rmqgateway.wire.bodies.consuming import LockBatchRequest, LockBatchResponse, UnlockBatchRequest
from rmqgateway.wire.remoting import encode_head
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from rmqgateway.wire.stored_message import store_host, with_store_host
from rmqgateway_remoting.convert_base import (
    INT32,
    INT64,
    Operation,
    Peer,
    boolean,
    explain,
    filter_of,
    int32,
    int64,
    queue_bodies,
    queues_of,
    reply_nothing,
    respond,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rmqgateway.wire.remoting import RemotingCommand

__all__ = ["OPERATIONS", "append_messages"]

_COMMIT_OFFSET = 1
_SUSPEND = 2
_SUBSCRIPTION = 4

_PULL_NUMBERS = {
    "queueId": INT32,
    "queueOffset": INT64,
    "maxMsgNums": INT32,
    "sysFlag": INT32,
    "commitOffset": INT64,
    "suspendTimeoutMillis": INT64,
    "subVersion": INT64,
    "maxMsgBytes": INT32,
}
_PULL_REQUIRED = ("consumerGroup", "topic", "queueId", "queueOffset", "maxMsgNums", "sysFlag", "commitOffset")
_INT32 = 1 << 31
_INT64 = 1 << 63


def parse_pull(request: RemotingCommand, peer: Peer) -> PullMessages:
    """PULL_MESSAGE and LITE_PULL_MESSAGE. Bits of ``sysFlag``: 1 commit the offset, 2 wait, 4 the filter is here."""
    ext = request.ext_fields
    try:
        flags = int(ext["sysFlag"])
        queue_id = int(ext["queueId"])
        offset = int(ext["queueOffset"])
        commit_offset = int(ext["commitOffset"])
        wanted = int(ext["maxMsgNums"])
        size = int(ext.get("maxMsgBytes") or 0)
        wait = int(ext.get("suspendTimeoutMillis") or 0)
        if not (
            -_INT32 <= queue_id < _INT32
            and -_INT64 <= offset < _INT64
            and -_INT64 <= commit_offset < _INT64
            and -_INT32 <= wanted < _INT32
            and -_INT64 <= wait < _INT64
        ):
            raise ValueError
        return PullMessages(
            ext["consumerGroup"],
            ext["topic"],
            queue_id,
            offset,
            wanted,
            size,
            wait if flags & _SUSPEND else 0,
            (filter_of(ext.get("subscription"), ext.get("expressionType")) if flags & _SUBSCRIPTION else None),
            int(ext.get("subVersion") or 0),
            commit_offset if flags & _COMMIT_OFFSET else -1,
        )
    except (KeyError, ValueError):
        raise explain(ext, _PULL_NUMBERS, _PULL_REQUIRED) from None


_PULL_CODES = {
    PullStatus.FOUND: (0, "FOUND"),
    PullStatus.NO_NEW_MESSAGE: (int(ResponseCode.PULL_NOT_FOUND), "OFFSET_OVERFLOW_ONE"),
    PullStatus.NO_MATCHED_MESSAGE: (int(ResponseCode.PULL_RETRY_IMMEDIATELY), "NO_MATCHED_MESSAGE"),
    PullStatus.OFFSET_MOVED: (int(ResponseCode.PULL_OFFSET_MOVED), "OFFSET_OVERFLOW_BADLY"),
}


def reply_pull(reply: PulledMessages, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``PullMessageResponseHeader``; the remark is the name of a ``GetMessageStatus``."""
    code, remark = _PULL_CODES[reply.status]
    ext = {
        "suggestWhichBrokerId": "0",
        "nextBeginOffset": str(reply.next_offset),
        "minOffset": str(reply.min_offset),
        "maxOffset": str(reply.max_offset),
        "topicSysFlag": "0",
        "groupSysFlag": "0",
    }
    place = len(out)
    size = append_messages(reply.messages, peer, out)
    out.insert(place, encode_head(code, request.opaque, 1, ext, remark, size, request.serialization))


def append_messages(messages: Sequence[bytes], peer: Peer, out: list[bytes]) -> int:
    """Write stored messages as the client is to see them, with the host that it can reach; return their size."""
    host = peer.host_bytes
    size = 0
    for message in messages:
        if message[39] & 0x30 or not message.startswith(host, 64):
            break
    else:  # as nearly always: all were stored for who comes this way
        out.extend(messages)
        return sum(map(len, messages))
    for message in messages:
        # Without an IPv6 host (bits of the system flag) the store host is at a fixed place.
        if (message[39] & 0x30 or message[64:72] != host) and store_host(message) != host:
            message = with_store_host(message, host)
        size += len(message)
        out.append(message)
    return size


def parse_query_consumer_offset(request: RemotingCommand, peer: Peer) -> GetConsumerOffset:
    """QUERY_CONSUMER_OFFSET."""
    ext = request.ext_fields
    return GetConsumerOffset(
        text(ext, "consumerGroup"), text(ext, "topic"), int32(ext, "queueId"), boolean(ext, "setZeroIfNotFound", True)
    )


def reply_offset(reply: ConsumerOffset | Offset, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """All response headers that are one ``offset``."""
    respond(request, out, {"offset": str(reply.offset)})


def parse_update_consumer_offset(request: RemotingCommand, peer: Peer) -> UpdateConsumerOffset:
    """UPDATE_CONSUMER_OFFSET."""
    ext = request.ext_fields
    return UpdateConsumerOffset(
        text(ext, "consumerGroup"), text(ext, "topic"), int32(ext, "queueId"), int64(ext, "commitOffset")
    )


def parse_max_offset(request: RemotingCommand, peer: Peer) -> QueryOffset:
    """GET_MAX_OFFSET."""
    return QueryOffset(text(request.ext_fields, "topic"), int32(request.ext_fields, "queueId"), OffsetOf.MAX)


def parse_min_offset(request: RemotingCommand, peer: Peer) -> QueryOffset:
    """GET_MIN_OFFSET."""
    return QueryOffset(text(request.ext_fields, "topic"), int32(request.ext_fields, "queueId"), OffsetOf.MIN)


def parse_search_offset(request: RemotingCommand, peer: Peer) -> QueryOffset:
    """SEARCH_OFFSET_BY_TIMESTAMP; ``boundaryType`` is ``lower`` (also if absent) or ``upper``, in any case."""
    ext = request.ext_fields
    upper = ext.get("boundaryType", "").lower() == "upper"
    return QueryOffset(
        text(ext, "topic"),
        int32(ext, "queueId"),
        OffsetOf.TIMESTAMP_UPPER if upper else OffsetOf.TIMESTAMP,
        int64(ext, "timestamp"),
    )


def parse_earliest_store_time(request: RemotingCommand, peer: Peer) -> QueryOffset:
    """GET_EARLIEST_MSG_STORETIME."""
    ext = request.ext_fields
    return QueryOffset(text(ext, "topic"), int32(ext, "queueId"), OffsetOf.EARLIEST_STORE_TIME)


def reply_earliest_store_time(reply: Offset, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``GetEarliestMsgStoretimeResponseHeader``."""
    respond(request, out, {"timestamp": str(reply.offset)})


def parse_lock(request: RemotingCommand, peer: Peer) -> LockQueues:
    """LOCK_BATCH_MQ."""
    body = decode_body(request.body, LockBatchRequest)
    return LockQueues(body.consumer_group, body.client_id, queues_of(body.mq_set))


def reply_lock(reply: LockedQueues, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``LockBatchResponseBody``."""
    respond(request, out, body=encode_body(LockBatchResponse(lock_ok_mq_set=queue_bodies(reply.queues))))


def parse_unlock(request: RemotingCommand, peer: Peer) -> UnlockQueues:
    """UNLOCK_BATCH_MQ; clients that close send it one-way."""
    body = decode_body(request.body, UnlockBatchRequest)
    return UnlockQueues(body.consumer_group, body.client_id, queues_of(body.mq_set))


OPERATIONS = (
    Operation(RequestCode.PULL_MESSAGE, PullMessages, parse_pull, reply_pull, waits=True),
    Operation(RequestCode.LITE_PULL_MESSAGE, PullMessages, parse_pull, reply_pull, waits=True),
    Operation(RequestCode.QUERY_CONSUMER_OFFSET, GetConsumerOffset, parse_query_consumer_offset, reply_offset),
    Operation(RequestCode.UPDATE_CONSUMER_OFFSET, UpdateConsumerOffset, parse_update_consumer_offset, reply_nothing),
    Operation(RequestCode.GET_MAX_OFFSET, QueryOffset, parse_max_offset, reply_offset),
    Operation(RequestCode.GET_MIN_OFFSET, QueryOffset, parse_min_offset, reply_offset),
    Operation(RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, QueryOffset, parse_search_offset, reply_offset),
    Operation(RequestCode.GET_EARLIEST_MSG_STORETIME, QueryOffset, parse_earliest_store_time, reply_earliest_store_time),
    Operation(RequestCode.LOCK_BATCH_MQ, LockQueues, parse_lock, reply_lock),
    Operation(RequestCode.UNLOCK_BATCH_MQ, UnlockQueues, parse_unlock, reply_nothing),
)
