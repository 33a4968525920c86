"""QueryMessage of the Admin service: stored messages by id, by key, by tags over a span of time, by lite topic; in pages.

A page ends after so many messages, so many bytes or so many entries looked at, whichever comes first, and says where the next
one begins: its ``scroll_id``. That is no secret and no promise: whoever changes it gets other messages of the same topic.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import deferLater

from rmqgateway.apis.apache_rocketmq_v2 import admin_pb2 as admin
from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.checks import check_lite_topic, topic_name
from rmqgateway.apis.convert_base import millis
from rmqgateway.apis.convert_messages import message_of
from rmqgateway.apis.refusals import OK, Refusal
from rmqgateway.commands import (
    ConsumeQueueEntries,
    ConsumeQueueEntry,
    GetLiteTopicInformation,
    GetTopicStatistics,
    LiteTopicInformation,
    Offset,
    OffsetOf,
    QueryConsumeQueue,
    QueryMessages,
    QueryOffset,
    StoredMessages,
    TopicStatistics,
    ViewMessage,
)
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.wire import stored_message
from rmqgateway.wire.consistent_hash import java_hash
from rmqgateway.wire.lite_topics import lite_topic
from rmqgateway.wire.message_id import decode_offset_message_id, host_text
from rmqgateway.wire.message_properties import decode_properties, find_property

if TYPE_CHECKING:
    from rmqgateway.apis.rpc import Rpc
    from rmqgateway.commands import Command

__all__ = ["LATEST_MS", "MAX_MESSAGES", "ask", "find_message", "query_message"]

#: Messages of one answer; also how many of a key brokers look up at once.
MAX_MESSAGES = 64
_USUAL = 32
#: Bytes of one answer, since gRPC's clients take 4 MB unless told otherwise; one message always comes.
_MAX_BYTES = 3 * 1024 * 1024
#: Entries of queues that one call looks at, and how many it asks for at once.
_MAX_ENTRIES = 2048
_ENTRIES = 256
#: The end of the year 9999, as far as protobuf's timestamps go.
LATEST_MS = 253_402_300_799_999
_of_key = re.compile(r"k\.([0-9]{1,18})\.([0-9]{1,2})").fullmatch
_of_queue = re.compile(r"q\.([0-9]{1,9})\.([0-9]{1,18})\.(.{1,255})", re.DOTALL).fullmatch
_MAX_KEY = 1024
_MAX_NAME = 255
#: Where a message that is somewhere else for a while names its own topic.
_OWN_TOPIC = (b"RETRY_TOPIC", b"REAL_TOPIC")


def ask(rpc: Rpc, command: Command[Any]) -> Deferred[Any]:
    """Have a command carried out in the caller's name. :raise GatewayError: when awaited."""
    return maybeDeferred(rpc.execute, command)


async def query_message(rpc: Rpc, request: admin.ListMessageRequest) -> bytes:
    """The answer to QueryMessage. :raise Refusal: what the request breaks. :raise GatewayError: as the commands asked."""
    topic = topic_name(request.topic, rpc.namespace)
    kind = request.WhichOneof("search_key")
    if kind is None:
        raise Refusal(v2.BAD_REQUEST, "expected one of message_id, message_key, subscription, lite_topic, got none")
    begin, end = _span(request)
    if len(request.broker_name) > _MAX_NAME:
        raise Refusal(v2.BAD_REQUEST, f"broker_name: expected at most {_MAX_NAME} characters")
    if kind == "message_id":
        found = await find_message(rpc, topic, request.message_id, request.broker_name)
        wanted = begin <= stored_message.store_timestamp(found) <= end and _is_at(request, found)
        page, scroll_id = [found] if wanted and _first_page(request) else [], ""
    elif kind == "message_key":
        page, scroll_id = await _by_key(rpc, request, topic, begin, end)
    else:
        if request.HasField("page_num") and request.page_num > 1:
            raise Refusal(v2.BAD_REQUEST, "page_num: messages of queues have no pages with numbers, go on by scroll_id")
        page, scroll_id = await _by_queue(rpc, request, topic, begin, end)
    return admin.ListMessageResponse(
        status=OK, messages=[message_of(one, rpc.host, rpc.api.now_ms) for one in page], scroll_id=scroll_id
    ).SerializeToString()


# What is asked for.


def _span(request: admin.ListMessageRequest) -> tuple[int, int]:
    begin = millis(request.begin_timestamp) if request.HasField("begin_timestamp") else 0
    end = millis(request.end_timestamp) if request.HasField("end_timestamp") else LATEST_MS
    if not 0 <= begin <= LATEST_MS or not 0 <= end <= LATEST_MS:
        raise Refusal(v2.BAD_REQUEST, "begin_timestamp, end_timestamp: expected times from 1970 to 9999")
    if begin > end:
        raise Refusal(v2.BAD_REQUEST, "begin_timestamp is after end_timestamp")
    return begin, end


def _limit(request: admin.ListMessageRequest) -> int:
    """How many messages a page has."""
    limit = MAX_MESSAGES
    for name in ("max_message_nums", "page_size"):
        value = getattr(request, name)
        if value < 0:
            raise Refusal(v2.BAD_REQUEST, f"{name}: expected at least 0, got {value}")
        if value:
            limit = min(limit, value)
    return limit if request.max_message_nums or request.page_size else _USUAL


def _first_page(request: admin.ListMessageRequest) -> bool:
    if request.HasField("page_num") and request.page_num < 1:
        raise Refusal(v2.BAD_REQUEST, f"page_num: expected at least 1, got {request.page_num}")
    return not request.scroll_id and request.page_num <= 1


def _is_at(request: admin.ListMessageRequest, message: bytes) -> bool:
    return not request.HasField("queue_id") or stored_message.decode(message).queue_id == request.queue_id


# One message.


async def find_message(rpc: Rpc, topic: str, message_id: str, broker_name: str = "") -> bytes:
    """The stored message of a topic (inner name) with a unique id or the id of its place in a log.

    :raise Refusal: ILLEGAL_MESSAGE_ID, MESSAGE_NOT_FOUND. :raise GatewayError: as QueryMessages and ViewMessage.
    """
    if not message_id or message_id.isspace() or len(message_id) > _MAX_KEY:
        raise Refusal(v2.ILLEGAL_MESSAGE_ID, f"message_id: expected a message id, got {message_id[:100]!r}")
    reply: StoredMessages = await ask(rpc, QueryMessages(topic, message_id, max_messages=1, unique_key=True))
    if reply.messages:
        return reply.messages[0]
    try:
        host, position = decode_offset_message_id(message_id)
        host_text(host)
    except WireError:
        raise _not_found(topic, message_id) from None
    try:
        reply = await ask(rpc, ViewMessage(position, topic, broker_name))
    except GatewayError as error:
        if error.code is not Code.MESSAGE_NOT_FOUND:
            raise
        raise _not_found(topic, message_id) from None
    # The caller was let in for this topic only.
    if not reply.messages or topic not in _topics(reply.messages[0]):
        raise _not_found(topic, message_id)
    return reply.messages[0]


def _topics(message: bytes) -> set[str]:
    properties = stored_message.properties(message)
    own = [find_property(properties, name) for name in _OWN_TOPIC]
    return {one.decode("utf-8", "replace") for one in (*own, stored_message.topic(message)) if one is not None}


def _not_found(topic: str, message_id: str) -> Refusal:
    return Refusal(v2.MESSAGE_NOT_FOUND, f"topic {topic} has no message {message_id[:100]!r}")


# By key: newest first.


async def _by_key(
    rpc: Rpc, request: admin.ListMessageRequest, topic: str, begin: int, end: int
) -> tuple[list[bytes], str]:
    key = request.message_key
    if not key or key.isspace() or len(key) > _MAX_KEY:
        raise Refusal(v2.ILLEGAL_MESSAGE_KEY, f"message_key: expected a key, got {key[:100]!r}")
    limit = _limit(request)
    skip = 0
    if not _first_page(request):
        if request.scroll_id:
            place = _of_key(request.scroll_id)
            if place is None:
                raise _no_scroll_id()
            end, skip = min(int(place[1]), end), int(place[2])
        else:
            skip = (request.page_num - 1) * limit
    if skip + limit > MAX_MESSAGES:
        limit = MAX_MESSAGES - skip
        if limit <= 0:
            raise Refusal(
                v2.BAD_REQUEST, f"only the newest {MAX_MESSAGES} messages of a key are told: set an earlier end_timestamp"
            )
    # Brokers keep the times of keys by the second, so what is newer than `end` may come as well, in the place of others.
    exact = not request.scroll_id and end == LATEST_MS
    wanted = min(skip + limit + 1, MAX_MESSAGES) if exact else MAX_MESSAGES
    reply: StoredMessages = await ask(rpc, QueryMessages(topic, key, wanted, begin, end))
    found = [one for one in reply.messages if begin <= stored_message.store_timestamp(one) <= end]
    rest = found[skip:]
    page = _within_bytes(rest[:limit])
    is_full = len(reply.messages) >= wanted
    if is_full and not rest and request.scroll_id:
        raise Refusal(
            v2.BAD_REQUEST,
            f"{MAX_MESSAGES} or more messages have this key within a second, there may be older ones: set an earlier"
            " end_timestamp",
        )
    if not page or not (is_full or len(rest) > len(page)):
        return [one for one in page if _is_at(request, one)], ""
    # Of those stored within one millisecond the order is kept by the store.
    last = stored_message.store_timestamp(page[-1])
    seen = sum(stored_message.store_timestamp(one) == last for one in found[: skip + len(page)])
    return [one for one in page if _is_at(request, one)], f"k.{last}.{seen}"


def _within_bytes(messages: list[bytes]) -> list[bytes]:
    page: list[bytes] = []
    size = 0
    for message in messages:
        size += len(message)
        if page and size > _MAX_BYTES:
            break
        page.append(message)
    return page


def _no_scroll_id() -> Refusal:
    return Refusal(v2.BAD_REQUEST, "scroll_id: expected one of an answer to the same search")


# By queue: each in its order, one after the other.


class _Queue:
    """One queue to look through."""

    __slots__ = ("broker_name", "end", "queue_id", "start")

    def __init__(self, broker_name: str, queue_id: int, start: int, end: int) -> None:
        self.broker_name = broker_name
        self.queue_id = queue_id
        self.start = start
        self.end = end


async def _by_queue(
    rpc: Rpc, request: admin.ListMessageRequest, topic: str, begin: int, end: int
) -> tuple[list[bytes], str]:
    limit = _limit(request)
    source, passes = topic, None
    if request.WhichOneof("search_key") == "lite_topic":
        check_lite_topic(request.lite_topic, rpc.api.settings.max_lite_topic)
        known: LiteTopicInformation = await ask(rpc, GetLiteTopicInformation(topic, request.lite_topic))
        source = lite_topic(topic, request.lite_topic)
        queues = [_Queue("", 0, known.min_offset, known.max_offset)]
    else:
        passes = _passes(request.subscription)
        told: TopicStatistics = await ask(rpc, GetTopicStatistics(topic))
        queues = [
            _Queue(one.queue.broker_name, one.queue.queue_id, one.min_offset, one.max_offset)
            for one in sorted(told.queues, key=lambda one: one.queue)
        ]
    queues = _chosen(request, queues)
    first = 0
    resumed = False
    if request.scroll_id:
        place = _of_queue(request.scroll_id)
        names = [(queue.broker_name or "-", queue.queue_id) for queue in queues]
        if place is None or (place[3], int(place[1])) not in names:
            raise _no_scroll_id()
        first = names.index((place[3], int(place[1])))
        queues[first].start = max(queues[first].start, int(place[2]))
        resumed = True
    page: list[bytes] = []
    size = looked_at = 0
    for queue in queues[first:]:
        at = queue.start
        if begin and not resumed and at < queue.end:
            at = max(at, await _offset_at(rpc, source, queue, begin))
        resumed = False
        while at < queue.end:
            if len(page) >= limit or looked_at >= _MAX_ENTRIES:
                return page, _scroll_id(queue, at)
            if looked_at:
                # A store in the process answers at once: others come between.
                await deferLater(rpc.api.gateway.reactor, 0)
            entries = await _entries(rpc, source, queue, at)
            if not entries:
                break
            for entry in entries:
                if at >= queue.end or len(page) >= limit or looked_at >= _MAX_ENTRIES:
                    break
                looked_at += 1
                message = None
                if passes is None or passes(entry.tags_code, None):
                    message = await _at(rpc, topic, queue, entry)
                if message is not None:
                    stored_at = stored_message.store_timestamp(message)
                    if stored_at > end:
                        at = queue.end
                        break
                    if stored_at >= begin and (passes is None or passes(entry.tags_code, _tag(message))):
                        size += len(message)
                        if page and size > _MAX_BYTES:
                            return page, _scroll_id(queue, at)
                        page.append(message)
                at += 1
    return page, ""


def _chosen(request: admin.ListMessageRequest, queues: list[_Queue]) -> list[_Queue]:
    if request.broker_name:
        queues = [queue for queue in queues if queue.broker_name in ("", request.broker_name)]
    if request.HasField("queue_id"):
        queues = [queue for queue in queues if queue.queue_id == request.queue_id]
    if not queues and (request.broker_name or request.HasField("queue_id")):
        raise Refusal(v2.BAD_REQUEST, "broker_name, queue_id: the topic has no such queue")
    return queues


def _scroll_id(queue: _Queue, offset: int) -> str:
    return f"q.{queue.queue_id}.{offset}.{queue.broker_name or '-'}"


def _passes(subscription: str) -> Callable[[int, str | None], bool] | None:
    """Whether an entry may be wanted by its tag's hash, and, when the message is known, by its tag ("": none)."""
    tags = {tag.strip() for tag in subscription.split("||")}
    if "*" in tags:
        return None
    tags.discard("")
    if not tags or len(tags) > MAX_MESSAGES:
        raise Refusal(
            v2.ILLEGAL_FILTER_EXPRESSION, f"subscription: expected *, or 1 to {MAX_MESSAGES} tags parted by ||"
        )
    hashes = {java_hash(tag) for tag in tags}
    return lambda code, tag: code in hashes and (tag is None or tag in tags)


def _tag(message: bytes) -> str:
    return decode_properties(stored_message.properties(message)).get("TAGS", "")


async def _offset_at(rpc: Rpc, topic: str, queue: _Queue, begin: int) -> int:
    """The first offset that may be of this time."""
    if topic.startswith("%"):
        return queue.start
    reply: Offset = await ask(
        rpc, QueryOffset(topic, queue.queue_id, OffsetOf.TIMESTAMP, begin, queue.broker_name)
    )
    return reply.offset


async def _entries(rpc: Rpc, topic: str, queue: _Queue, at: int) -> tuple[ConsumeQueueEntry, ...]:
    count = min(_ENTRIES, queue.end - at)
    try:
        reply: ConsumeQueueEntries = await ask(
            rpc, QueryConsumeQueue(topic, queue.queue_id, at, count, broker_name=queue.broker_name)
        )
    except GatewayError as error:
        if not topic.startswith("%") or error.code is not Code.TOPIC_NOT_FOUND:
            raise
        raise Refusal(v2.UNSUPPORTED, "lite_topic: brokers do not show the queues of lite topics") from None
    return reply.entries


async def _at(rpc: Rpc, topic: str, queue: _Queue, entry: ConsumeQueueEntry) -> bytes | None:
    """The message of an entry, or None: it was dropped meanwhile."""
    try:
        reply: StoredMessages = await ask(
            rpc, ViewMessage(entry.physical_offset, topic, queue.broker_name)
        )
    except GatewayError as error:
        if error.code is not Code.MESSAGE_NOT_FOUND:
            raise
        return None
    message = reply.messages[0] if reply.messages else None
    # What is shown must be of the topic that the caller was let in for.
    return message if message is not None and topic in _topics(message) else None
