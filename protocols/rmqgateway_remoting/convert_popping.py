"""Requests of consumers whose place the broker keeps: pop, acknowledge, change the invisible time.

A client puts receipt handles together itself (``ExtraInfoUtil``): from the answer's pop time, invisible time and revive
queue, and from ``startOffsetInfo`` and ``msgOffsetInfo``, which list offsets by kind of topic and queue. A message that
carries its handle as property POP_CK is taken at its word; that is how messages of retry topics come, whose topic has been
set to the real one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqgateway.commands import (
    AckMessages,
    AckResults,
    ChangedInvisibleDuration,
    ChangeInvisibleDuration,
    InitMode,
    LiteOffset,
    PeekMessages,
    ReceivedMessage,
    ReceivedMessages,
    ReceiveMessages,
    SyncLiteSubscription,
)
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.wire.bodies import decode_body
from rmqgateway.wire.bodies.clients import LiteOffsetOption, LiteSubscriptionRequest
from rmqgateway.wire.bodies.consuming import BatchAck, BatchAckMessageRequest, decode_bit_set
from rmqgateway.wire.lite_topics import lite_topic
from rmqgateway.wire.message_properties import set_property
from rmqgateway.wire.remoting import encode_head, encode_response
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from rmqgateway.wire.stored_message import decode, encode
from rmqgateway.wire.stored_message import topic as topic_of
from rmqgateway_remoting.convert_base import (
    Operation,
    Peer,
    boolean,
    filter_of,
    int32,
    int64,
    reply_nothing,
    respond,
    text,
)
from rmqgateway_remoting.convert_pulling import append_messages

if TYPE_CHECKING:
    from rmqgateway.wire.remoting import RemotingCommand

__all__ = ["OPERATIONS"]

_RETRY = "%RETRY%"
_LITE_OFFSETS = {"OFFSET": LiteOffset.AT, "TAIL_N": LiteOffset.BEFORE, "TIMESTAMP": LiteOffset.TIME}
_LITE_POLICIES = (LiteOffset.UNCHANGED, LiteOffset.MIN, LiteOffset.MAX)


def parse_pop(request: RemotingCommand, peer: Peer) -> ReceiveMessages:
    """POP_MESSAGE. ``initMode`` is 0 (from the first message) or 1 (from what comes next)."""
    ext = request.ext_fields
    mode = int32(ext, "initMode", 0)
    if mode not in (0, 1):
        raise WireError(f"header field initMode: expected 0 or 1, got {mode}", fatal=False)
    return ReceiveMessages(
        group=text(ext, "consumerGroup"),
        topic=text(ext, "topic"),
        queue_id=int32(ext, "queueId"),
        max_messages=int32(ext, "maxMsgNums"),
        invisible_ms=int64(ext, "invisibleTime"),
        wait_ms=max(0, int64(ext, "pollTime")),
        filter=filter_of(ext.get("exp"), ext.get("expType")),
        fifo=boolean(ext, "order"),
        attempt_id=ext.get("attemptId", ""),
        init_mode=InitMode(mode),
        client_id=peer.client_id,
    )


def reply_pop(reply: ReceivedMessages, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``PopMessageResponseHeader``."""
    if not reply.messages:
        code = ResponseCode.POLLING_FULL if reply.polling_full else ResponseCode.POLLING_TIMEOUT
        ext = {
            "popTime": str(reply.pop_time),
            "invisibleTime": str(reply.invisible_ms),
            "reviveQid": "0",
            "restNum": str(reply.rest),
        }
        respond(request, out, ext, code=code, remark="POLLING_FULL" if reply.polling_full else "NO_MESSAGE_IN_QUEUE")
        return
    handles = [message.receipt_handle.split(" ") for message in reply.messages]
    # What the header can say for all: of the first message that is of the topic itself.
    common = next((parts for parts in handles if len(parts) == 8 and parts[4] == "0"), handles[0])
    pop_time, invisible, revive = common[1:4] if len(common) == 8 else (str(reply.pop_time), str(reply.invisible_ms), "0")
    starts: dict[str, str] = {}
    offsets: dict[str, list[int]] = {}
    counts: dict[str, int] = {}
    messages: list[bytes] = []
    for received, parts in zip(reply.messages, handles, strict=True):
        message = received.message
        queue = f"0 {parts[6]}" if len(parts) == 8 else ""
        if (
            len(parts) == 8
            and parts[4] == "0"
            and parts[1:4] == [pop_time, invisible, revive]
            and starts.get(queue, parts[0]) == parts[0]
        ):
            starts[queue] = parts[0]
            offsets.setdefault(queue, []).append(int(parts[7]))
        else:
            message = _with_handle(received)
        if received.delivery_attempt > 1 and len(parts) == 8:
            counts[f"{parts[4]} qo{parts[6]}%{parts[7]}"] = received.delivery_attempt - 1
        messages.append(message)
    for queue_offsets in offsets.values():
        queue_offsets.sort()
    ext = {
        "popTime": pop_time,
        "invisibleTime": invisible,
        "reviveQid": revive,
        "restNum": str(reply.rest),
        # Never empty: without it a client makes handles up in a way of its own.
        "startOffsetInfo": ";".join([f"{queue} {start}" for queue, start in starts.items()]) or f"0 0 {common[0]}",
        "msgOffsetInfo": ";".join([f"{queue} {','.join(map(str, numbers))}" for queue, numbers in offsets.items()]),
    }
    if counts:
        ext["orderCountInfo"] = ";".join([f"{key} {count}" for key, count in counts.items()])
    place = len(out)
    size = append_messages(messages, peer, out)
    out.insert(place, encode_head(0, request.opaque, 1, ext, "FOUND", size, request.serialization))


def _with_handle(received: ReceivedMessage) -> bytes:
    """The message with its handle as a property, where the header cannot say it."""
    if not received.receipt_handle:
        return received.message
    return with_property(received.message, b"POP_CK", received.receipt_handle)


def with_property(stored: bytes, name: bytes, value: str) -> bytes:
    """The message with one property more."""
    message = decode(stored)
    return bytes(
        encode(
            message.topic,
            message.queue_id,
            message.body,
            set_property(message.properties, name, value.encode()),
            message.flag,
            message.sys_flag,
            message.born_timestamp,
            message.born_host,
            message.store_timestamp,
            message.store_host,
            message.reconsume_times,
            message.prepared_transaction_offset,
            message.queue_offset,
            message.physical_offset,
        )
    )


def parse_pop_lite(request: RemotingCommand, peer: Peer) -> ReceiveMessages:
    """POP_LITE_MESSAGE: from the lite topics that the client of the header has subscribed to (LITE_SUBSCRIPTION_CTL)."""
    ext = request.ext_fields
    return ReceiveMessages(
        group=text(ext, "consumerGroup"),
        topic=text(ext, "topic"),
        max_messages=int32(ext, "maxMsgNum"),
        invisible_ms=int64(ext, "invisibleTime"),
        wait_ms=max(0, int64(ext, "pollTime", 0)),
        attempt_id=ext.get("attemptId", ""),
        client_id=text(ext, "clientId"),
    )


def reply_pop_lite(reply: ReceivedMessages, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``PopLiteMessageResponseHeader``. A client composes a message's handle of the header's pop time and of the
    message's properties INNER_MULTI_DISPATCH (the topic behind the lite topic) and INNER_MULTI_QUEUE_OFFSET, and how often
    each was consumed before of the list ``orderCountInfo``."""
    if not reply.messages:
        reply_pop(reply, request, peer, out)
        return
    messages: list[bytes] = []
    counts: list[str] = []
    handles = [one.receipt_handle.split(" ") for one in reply.messages]
    for received, parts in zip(reply.messages, handles, strict=True):
        if len(parts) != 9:
            raise GatewayError(Code.UNSUPPORTED, "POP_LITE_MESSAGE: the client has subscribed to no lite topic")
        behind = lite_topic(topic_of(received.message).decode(), parts[8])
        message = with_property(received.message, b"INNER_MULTI_DISPATCH", behind)
        messages.append(with_property(message, b"INNER_MULTI_QUEUE_OFFSET", parts[7]))
        counts.append(str(received.delivery_attempt - 1))
    ext = {
        "popTime": handles[0][1],
        "invisibleTime": handles[0][2],
        "reviveQid": handles[0][3],
        "startOffsetInfo": f"0 0 {handles[0][0]}",
        "msgOffsetInfo": f"0 0 {','.join([parts[7] for parts in handles])}",
        "orderCountInfo": ";".join(counts),
    }
    place = len(out)
    size = append_messages(messages, peer, out)
    out.insert(place, encode_head(0, request.opaque, 1, ext, "FOUND", size, request.serialization))


def parse_lite_subscription(request: RemotingCommand, peer: Peer) -> SyncLiteSubscription:
    """LITE_SUBSCRIPTION_CTL, of one client, group and topic: whoever sends it sends one."""
    body = decode_body(request.body, LiteSubscriptionRequest)
    if body.subscription_set is None or len(body.subscription_set) != 1:
        raise WireError(f"subscriptionSet: expected one, got {len(body.subscription_set or ())}", fatal=False)
    (asked,) = body.subscription_set
    if not (asked.group and asked.topic and asked.client_id):
        raise WireError("subscriptionSet: expected a clientId, a group and a topic", fatal=False)
    offset, value = _lite_offset(asked.offset_option)
    return SyncLiteSubscription(
        asked.group,
        asked.topic,
        asked.client_id,
        asked.action or "",
        tuple(asked.lite_topic_set or ()),
        asked.version,
        offset,
        value,
    )


def _lite_offset(option: LiteOffsetOption | None) -> tuple[LiteOffset, int]:
    if option is None:
        return LiteOffset.UNCHANGED, 0
    if option.type == "POLICY" and 0 <= option.value < len(_LITE_POLICIES):
        return _LITE_POLICIES[option.value], 0
    if option.type in _LITE_OFFSETS and option.value >= 0:
        return _LITE_OFFSETS[option.type], option.value
    raise WireError(
        f"offsetOption: expected a policy of 0 to 2, or OFFSET, TAIL_N or TIMESTAMP from 0 on, got {option.type} {option.value}",
        fatal=False,
    )


def _real_topic(topic: str, group: str) -> str:
    """Clients name the retry topic of a message that came from one: ``%RETRY%group_topic``, or with ``+``."""
    if topic.startswith(_RETRY):
        rest = topic[len(_RETRY) :]
        if rest.startswith(group) and rest[len(group) : len(group) + 1] in ("_", "+") and len(rest) > len(group) + 1:
            return rest[len(group) + 1 :]
    return topic


def _handle(ext: dict[str, str]) -> str:
    """The handle; one of seven parts lacks the message's own offset, which is in the header too."""
    handle = text(ext, "extraInfo")
    if handle.count(" ") == 6:
        return f"{handle} {int64(ext, 'offset')}"
    return handle


def parse_ack(request: RemotingCommand, peer: Peer) -> AckMessages:
    """ACK_MESSAGE. A broker does not refuse a handle for its age."""
    ext = request.ext_fields
    group = text(ext, "consumerGroup")
    topic = _real_topic(text(ext, "topic"), group)
    return AckMessages(group, topic, (_handle(ext),), strict=False, lite_topic=ext.get("liteTopic", ""))


def reply_ack(reply: AckResults, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """Nothing, or the first error: the client knows one handle by one request."""
    for result in reply.results:
        if result.code:
            raise GatewayError(Code[result.code], result.text)
    reply_nothing(reply, request, peer, out)


def parse_batch_ack(request: RemotingCommand, peer: Peer) -> AckMessages:
    """BATCH_ACK_MESSAGE, of one group and topic, as every client sends it that sends it at all."""
    body = decode_body(request.body, BatchAckMessageRequest)
    if not body.acks:
        raise WireError("acks: expected at least one, got none", fatal=False)
    first = body.acks[0]
    handles: list[str] = []
    for ack in body.acks:
        if ack.consumer_group != first.consumer_group or ack.topic != first.topic:
            raise WireError("acks: expected all of one consumer group and topic, got several", fatal=False)
        handles += _handles(ack, body.broker_name or "")
    topic = _real_topic(first.topic, first.consumer_group)
    return AckMessages(first.consumer_group, topic, tuple(handles), strict=False)


def _handles(ack: BatchAck, broker_name: str) -> list[str]:
    head = (
        f"{ack.start_offset} {ack.pop_time} {ack.invisible_time} {ack.revive_queue_id} {ack.retry} {broker_name}"
        f" {ack.queue_id} "
    )
    return [f"{head}{ack.start_offset + bit}" for bit in decode_bit_set(ack.bit_set)]


def parse_change_invisible_time(request: RemotingCommand, peer: Peer) -> ChangeInvisibleDuration:
    """CHANGE_MESSAGE_INVISIBLETIME."""
    ext = request.ext_fields
    group = text(ext, "consumerGroup")
    return ChangeInvisibleDuration(
        group=group,
        topic=_real_topic(text(ext, "topic"), group),
        receipt_handle=_handle(ext),
        invisible_ms=int64(ext, "invisibleTime"),
        lite_topic=ext.get("liteTopic", ""),
        suspend=boolean(ext, "suspend"),
    )


def reply_change_invisible_time(
    reply: ChangedInvisibleDuration, request: RemotingCommand, peer: Peer, out: list[bytes]
) -> None:
    """``ChangeInvisibleTimeResponseHeader``: of these the client makes the new handle."""
    parts = reply.receipt_handle.split(" ")
    if len(parts) in (8, 9):
        ext = {"popTime": parts[1], "invisibleTime": parts[2], "reviveQid": parts[3]}
    else:
        ext = {"popTime": str(reply.pop_time), "invisibleTime": str(reply.invisible_ms), "reviveQid": "0"}
    respond(request, out, ext)


def parse_peek(request: RemotingCommand, peer: Peer) -> PeekMessages:
    """PEEK_MESSAGE."""
    ext = request.ext_fields
    return PeekMessages(
        group=text(ext, "consumerGroup"),
        topic=text(ext, "topic"),
        queue_id=int32(ext, "queueId"),
        max_messages=int32(ext, "maxMsgNums"),
    )


def reply_peek(reply: ReceivedMessages, request: RemotingCommand, peer: Peer, out: list[bytes]) -> None:
    """``PopMessageResponseHeader`` without handles."""
    ext = {"popTime": str(reply.pop_time), "invisibleTime": "0", "reviveQid": "0", "restNum": str(reply.rest)}
    if not reply.messages:
        code = int(ResponseCode.PULL_NOT_FOUND)
        out.append(
            encode_response(request.opaque, code, ext, "NO_MESSAGE_IN_QUEUE", serialization=request.serialization)
        )
        return
    place = len(out)
    size = append_messages([message.message for message in reply.messages], peer, out)
    out.insert(place, encode_head(0, request.opaque, 1, ext, "FOUND", size, request.serialization))


OPERATIONS = (
    Operation(RequestCode.POP_MESSAGE, ReceiveMessages, parse_pop, reply_pop, waits=True),
    Operation(RequestCode.ACK_MESSAGE, AckMessages, parse_ack, reply_ack),
    Operation(RequestCode.POP_LITE_MESSAGE, ReceiveMessages, parse_pop_lite, reply_pop_lite, waits=True),
    Operation(RequestCode.ACK_LITE_MESSAGE, AckMessages, parse_ack, reply_ack),
    Operation(
        RequestCode.LITE_SUBSCRIPTION_CTL, SyncLiteSubscription, parse_lite_subscription, reply_nothing, bulky=False
    ),
    Operation(RequestCode.BATCH_ACK_MESSAGE, AckMessages, parse_batch_ack, reply_ack),
    Operation(
        RequestCode.CHANGE_MESSAGE_INVISIBLETIME,
        ChangeInvisibleDuration,
        parse_change_invisible_time,
        reply_change_invisible_time,
    ),
    Operation(RequestCode.PEEK_MESSAGE, PeekMessages, parse_peek, reply_peek),
)
