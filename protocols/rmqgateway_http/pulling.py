"""Consuming by queue and offset, for those who keep their own place; and where queues are."""

from __future__ import annotations

import msgspec

from rmqgateway.commands import (
    GetConsumerOffset,
    OffsetOf,
    PullMessages,
    QueryOffset,
    QueryRoute,
    UpdateConsumerOffset,
)
from rmqgateway.errors import Code, GatewayError
from rmqgateway.message import Permission
from rmqgateway_http.call import Call
from rmqgateway_http.codec_json import OffsetIn, OffsetOut, OffsetsOut, Pulled, QueueOut, QueuesOut
from rmqgateway_http.convert_receiving import message_out
from rmqgateway_http.receiving import filter_of

__all__ = ["get_offset", "pull", "query_offsets", "query_queues", "set_offset"]


def _queue(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise GatewayError(Code.BAD_REQUEST, f"path: expected the number of a queue, got {text[:50]!r}")
    return int(text)


def pull(call: Call) -> None:
    """Read messages of one queue from an offset on (without one: where the group is), waiting if there is none."""
    call.run(_pull(call), cancel=True)


async def _pull(call: Call) -> None:
    topic, group, queue = call.names
    values = call.query()
    queue_id = _queue(queue)
    wait_ms = call.service.check_wait(values.get("wait", 0))
    wanted = filter_of(values)
    offset = values.get("offset")
    broker = values.get("broker", "")
    if offset is None:
        offset = (await call.execute(GetConsumerOffset(group, topic, queue_id, broker_name=broker))).offset
    reply = await call.execute(
        PullMessages(
            group,
            topic,
            queue_id,
            offset,
            values.get("max", 32),
            values.get("max_bytes", 0),
            wait_ms,
            wanted,
            commit_offset=values.get("commit_offset", -1),
            broker_name=broker,
        )
    )
    messages = [message_out(message, body_as=values.get("body", "auto")) for message in reply.messages]
    status = reply.status.value.replace(" ", "_")
    call.answer_json(200, Pulled(status, reply.next_offset, reply.min_offset, reply.max_offset, messages))


def get_offset(call: Call) -> None:
    """Where a group is in a queue."""
    call.run(_get_offset(call))


async def _get_offset(call: Call) -> None:
    topic, group, queue = call.names
    broker = call.query().get("broker", "")
    reply = await call.execute(
        GetConsumerOffset(group, topic, _queue(queue), zero_if_new=False, broker_name=broker)
    )
    call.answer_json(200, OffsetOut(reply.offset))


def set_offset(call: Call) -> None:
    """Record where a group is in a queue."""
    call.run(_set_offset(call))


async def _set_offset(call: Call) -> None:
    topic, group, queue = call.names
    broker = call.query().get("broker", "")
    wanted = await call.json(OffsetIn)
    if not 0 <= wanted.offset < 1 << 63:
        raise GatewayError(Code.BAD_OFFSET, f"offset: expected 0 or more, got {wanted.offset}")
    await call.execute(UpdateConsumerOffset(group, topic, _queue(queue), wanted.offset, broker))
    call.done()


def query_offsets(call: Call) -> None:
    """A queue's smallest and largest offset, and the one at a time."""
    call.run(_query_offsets(call))


async def _query_offsets(call: Call) -> None:
    topic, queue = call.names
    values = call.query()
    queue_id = _queue(queue)
    broker = values.get("broker", "")
    least = await call.execute(QueryOffset(topic, queue_id, OffsetOf.MIN, broker_name=broker))
    most = await call.execute(QueryOffset(topic, queue_id, OffsetOf.MAX, broker_name=broker))
    at: int | msgspec.UnsetType = msgspec.UNSET
    if "timestamp" in values:
        at = (await call.execute(QueryOffset(topic, queue_id, OffsetOf.TIMESTAMP, values["timestamp"], broker))).offset
    call.answer_json(200, OffsetsOut(least.offset, most.offset, at))


def query_queues(call: Call) -> None:
    """Where a topic's queues are."""
    call.run(_query_queues(call))


async def _query_queues(call: Call) -> None:
    call.query()
    route = await call.execute(QueryRoute(call.names[0]))
    queues = [
        QueueOut(
            one.broker_name,
            one.read_queues,
            one.write_queues,
            bool(one.permission & Permission.READ),
            bool(one.permission & Permission.WRITE),
        )
        for one in route.queues
    ]
    call.answer_json(200, QueuesOut(route.topic, route.message_type.value, queues))
