"""Frames to commands, replies and stored messages to frames."""

from __future__ import annotations

from collections.abc import Callable

from rmqgateway import commands
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.events import CheckTransaction, ReplyArrived
from rmqgateway.message import TAG_ALL, Filter, FilterType, Message, Permission
from rmqgateway.subscription import Subscription
from rmqgateway.user_message import UserMessage, to_message
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_body import readable_body
from rmqgateway.wire.message_const import SYSTEM_PROPERTIES
from rmqgateway.wire.message_id import host_text
from rmqgateway.wire.message_properties import decode_properties, encode_properties
from rmqgateway_websocket import frames
from rmqgateway_websocket.frames import IncomingMessage, OutgoingMessage, Return

__all__ = [
    "check_frame",
    "end_transaction",
    "id_of",
    "incoming",
    "message",
    "peek",
    "pull",
    "pulled",
    "query_offset",
    "receive",
    "received",
    "reply",
    "reply_message",
    "request_message",
    "route",
    "send_messages",
    "sent",
    "subscription",
]

_SHARDING_KEY = "__SHARDINGKEY"
_NOT_USERS = SYSTEM_PROPERTIES | {_SHARDING_KEY}
#: What makes of a message a request, and of another its reply (``RequestResponseFuture``, ``MessageUtil`` of 5.5.0).
_CORRELATION, _ASKER, _TTL, _CLUSTER, _TYPE = "CORRELATION_ID", "REPLY_TO_CLIENT", "TTL", "CLUSTER", "MSG_TYPE"


# What is sent.


def message(
    sent: OutgoingMessage, more: dict[str, str] | None = None, new_id: Callable[[], str] | None = None
) -> Message:
    """What SendMessages takes. :param more: system properties besides. :param new_id: makes ids for messages without one.

    :raise WireError: no body, or two; two delivery times. :raise GatewayError: BAD_MESSAGE_PROPERTY.
    """
    if sent.text is None:
        if sent.body is None:
            raise WireError("message: expected a text or a body, got neither", fatal=False)
        body = sent.body
    elif sent.body is None:
        body = sent.text.encode()  # neither JSON nor MessagePack lets half a surrogate pair through
    else:
        raise WireError("message: expected a text or a body, got both", fatal=False)
    message_id = sent.message_id
    if not message_id and new_id is not None:
        message_id = new_id()
    made = to_message(
        UserMessage(body, sent.properties, sent.tag, sent.keys, sent.message_group, sent.delay_ms, message_id)
    )
    if sent.deliver_at or sent.priority is not None or sent.lite_topic is not None or more:
        named = dict(more or {})
        if sent.deliver_at:
            if sent.delay_ms:
                raise WireError("message: expected delayMs or deliverAt, got both", fatal=False)
            named["TIMER_DELIVER_MS"] = str(sent.deliver_at)
        if sent.priority is not None:
            named["_SYS_MSG_PRIORITY_"] = str(sent.priority)
        if sent.lite_topic is not None:
            named["__LITE_TOPIC"] = sent.lite_topic
        return Message(
            body, made.properties + encode_properties(named), -1 if sent.queue_id is None else sent.queue_id
        )
    if sent.queue_id is not None:
        return Message(body, made.properties, sent.queue_id)
    return made


def send_messages(frame: frames.Send, new_id: Callable[[], str]) -> commands.SendMessages:
    """:raise WireError: as `message`, or a transaction that is not one. :raise GatewayError: as `message`."""
    if not frame.transaction:
        return commands.SendMessages(
            frame.topic,
            tuple([message(one, None, new_id) for one in frame.messages]),
            frame.producer_group,
            check_type=any(one.lite_topic is not None for one in frame.messages),
        )
    if len(frame.messages) != 1 or not frame.producer_group:
        raise WireError("a transaction: expected one message and a producerGroup", fatal=False)
    half = {"TRAN_MSG": "true", "PGROUP": frame.producer_group}
    return commands.SendMessages(frame.topic, (message(frame.messages[0], half, new_id),), frame.producer_group)


def sent(
    frame: frames.Send, results: list[commands.SendResult], repeated: set[int] | frozenset[int]
) -> frames.Sent:
    """:param repeated: which of them (by number) were stored before."""
    transaction = frame.transaction
    return frames.Sent(
        id=frame.id or 0,
        results=tuple(
            [
                frames.SentMessage(
                    message_id=one.unique_key,
                    queue_id=one.queue_id,
                    offset=one.queue_offset,
                    transaction_id=one.unique_key if transaction else "",
                    recall_handle=one.recall_handle,
                    repeated=number in repeated,
                )
                for number, one in enumerate(results)
            ]
        ),
    )


def end_transaction(frame: frames.Transacting) -> commands.EndTransaction:
    """A commit or a rollback."""
    resolution = commands.TransactionResolution
    ends = resolution.COMMIT if isinstance(frame, frames.Commit) else resolution.ROLLBACK
    return commands.EndTransaction(
        frame.topic, frame.producer_group, ends, frame.transaction_id, frame.transaction_id, from_check=frame.from_check
    )


def request_message(frame: frames.Request, correlation_id: str, client_id: str) -> Message:
    """A message whose reply comes to this client. :raise WireError, GatewayError: as `message`."""
    return message(
        frame.message, {_CORRELATION: correlation_id, _ASKER: client_id, _TTL: str(frame.timeout_ms)}
    )


def reply_message(frame: frames.Reply) -> commands.SendReply:
    """:raise WireError, GatewayError: as `message`."""
    to = frame.to
    named = {_TYPE: "reply", _CORRELATION: to.correlation_id, _ASKER: to.client, _TTL: str(to.timeout_ms or 3000)}
    return commands.SendReply(f"{to.cluster or 'DefaultCluster'}_REPLY_TOPIC", message(frame.message, named))


# What is asked for.


def _filter(expression: str, filter_type: str) -> Filter:
    if filter_type == "TAG":
        return TAG_ALL if expression == "*" else Filter(expression)
    return Filter(expression, FilterType.SQL92)


def _start(start: str) -> commands.InitMode:
    return commands.InitMode.MAX if start == "max" else commands.InitMode.MIN


def subscription(frame: frames.Subscribe, client_id: str) -> Subscription:
    """What a ``subscribe`` wants. :raise GatewayError: BAD_REQUEST: what cannot be together."""
    for name, given in (("fifo", frame.fifo), ("liteTopics", frame.lite_topics), ("autoAck", frame.auto_ack)):
        if frame.broadcast and given:
            raise GatewayError(Code.BAD_REQUEST, f"{name} is not for a broadcast, whose messages nobody acknowledges")
    if frame.place and not frame.broadcast:
        raise GatewayError(Code.BAD_REQUEST, "place is for a broadcast")
    return Subscription(
        frame.group,
        frame.topic,
        _filter(frame.filter, frame.filter_type),
        frame.invisible_ms,
        frame.fifo,
        frame.auto_renew,
        frame.auto_ack,
        client_id=client_id,
        init_mode=_start(frame.start or ("max" if frame.broadcast else "min")),
        lite_topics=frame.lite_topics,
        broadcast=frame.broadcast,
        place=frame.place,
    )


def receive(frame: frames.Receive, client_id: str) -> commands.ReceiveMessages:
    """A ``receive``."""
    return commands.ReceiveMessages(
        frame.group,
        frame.topic,
        max_messages=frame.max_messages,
        invisible_ms=frame.invisible_ms,
        wait_ms=frame.wait_ms,
        filter=_filter(frame.filter, frame.filter_type),
        fifo=frame.fifo,
        init_mode=_start(frame.start),
        client_id=client_id,
        lite_topics=frame.lite_topics,
    )


def peek(frame: frames.Peek) -> commands.PeekMessages:
    """A ``peek``."""
    return commands.PeekMessages(frame.group, frame.topic, max_messages=frame.max_messages)


def pull(frame: frames.Pull) -> commands.PullMessages:
    """A ``pull``."""
    return commands.PullMessages(
        frame.group,
        frame.topic,
        frame.queue_id,
        frame.offset,
        frame.max_messages,
        wait_ms=frame.wait_ms,
        filter=_filter(frame.filter, frame.filter_type),
        commit_offset=-1 if frame.commit_offset is None else frame.commit_offset,
        broker_name=frame.broker,
    )


_OFFSET_OF = {
    "min": commands.OffsetOf.MIN,
    "max": commands.OffsetOf.MAX,
    "timestamp": commands.OffsetOf.TIMESTAMP,
}


def query_offset(frame: frames.QueryOffset) -> commands.QueryOffset:
    """A ``queryOffset``."""
    return commands.QueryOffset(frame.topic, frame.queue_id, _OFFSET_OF[frame.of], frame.timestamp, frame.broker)


# What comes back.


def incoming(stored: bytes, text_bodies: bool, receipt_handle: str = "", attempt: int = 0) -> IncomingMessage:
    """A stored message as a client sees it; one whose body cannot be uncompressed comes as it was stored.

    :param text_bodies: bodies that are UTF-8 go into `text`.
    """
    try:
        body = readable_body(stored)
    except WireError:
        body = stored_message.body(stored)
    return _incoming(
        stored_message.topic(stored).decode("utf-8", "replace"),
        body,
        decode_properties(stored_message.properties(stored)),
        text_bodies,
        stored_message.queue_id(stored),
        stored_message.queue_offset(stored),
        stored_message.born_timestamp(stored),
        stored_message.born_host(stored),
        stored_message.store_timestamp(stored),
        receipt_handle,
        attempt,
    )


def _incoming(
    topic: str,
    body: bytes,
    named: dict[str, str],
    text_bodies: bool,
    queue_id: int,
    offset: int,
    born_timestamp: int,
    born_host: bytes,
    store_timestamp: int,
    receipt_handle: str = "",
    attempt: int = 0,
) -> IncomingMessage:
    text: str | None = None
    if text_bodies:
        try:
            text = body.decode()
        except UnicodeDecodeError:
            pass
    reply_to = None
    if _ASKER in named and _CORRELATION in named:
        ttl = named.get(_TTL, "")
        reply_to = Return(
            correlation_id=named[_CORRELATION],
            client=named[_ASKER],
            cluster=named.get(_CLUSTER, ""),
            timeout_ms=int(ttl) if ttl.isascii() and ttl.isdigit() and len(ttl) < 10 else 0,
        )
    return IncomingMessage(
        topic=topic,
        message_id=named.get("UNIQ_KEY", ""),
        text=text,
        body=None if text is not None else body,
        tag=named.get("TAGS", ""),
        keys=tuple(named.get("KEYS", "").split()),
        properties={name: value for name, value in named.items() if name not in _NOT_USERS},
        message_group=named.get(_SHARDING_KEY, ""),
        queue_id=queue_id,
        offset=offset,
        born_timestamp=born_timestamp,
        born_host=named.get("__BORNHOST") or (host_text(born_host)[0] if born_host else ""),
        store_timestamp=store_timestamp,
        deliver_at=_number(named.get("TIMER_DELIVER_MS") or named.get("TIMER_OUT_MS")) or 0,
        priority=_number(named.get("_SYS_MSG_PRIORITY_")),
        lite_topic=named.get("__LITE_TOPIC", ""),
        receipt_handle=receipt_handle,
        delivery_attempt=attempt,
        reply_to=reply_to,
    )


def _number(text: str | None) -> int | None:
    """A number of at most 15 digits; what is none counts as absent."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else None


def received(frame_id: int | str, reply: commands.ReceivedMessages, text_bodies: bool) -> frames.Received:
    """What a ``receive`` found."""
    return frames.Received(
        id=frame_id,
        messages=tuple(
            [incoming(one.message, text_bodies, one.receipt_handle, one.delivery_attempt) for one in reply.messages]
        ),
    )


def pulled(frame_id: int | str, reply: commands.PulledMessages, text_bodies: bool) -> frames.Pulled:
    """What a ``pull`` found."""
    return frames.Pulled(
        id=frame_id,
        status=reply.status.name,  # type: ignore[arg-type]  # the frame's words are the names
        next_offset=reply.next_offset,
        min_offset=reply.min_offset,
        max_offset=reply.max_offset,
        messages=tuple([incoming(one, text_bodies) for one in reply.messages]),
    )


def route(frame_id: int | str, reply: commands.Route) -> frames.RouteIs:
    """A topic's queues."""
    return frames.RouteIs(
        id=frame_id,
        topic=reply.topic,
        message_type=reply.message_type.value,
        queues=tuple(
            [
                frames.RouteQueue(
                    broker_name=one.broker_name,
                    read_queues=one.read_queues,
                    write_queues=one.write_queues,
                    readable=bool(one.permission & Permission.READ),
                    writable=bool(one.permission & Permission.WRITE),
                )
                for one in reply.queues
            ]
        ),
    )


def check_frame(event: CheckTransaction, text_bodies: bool) -> frames.Check:
    """The question what became of a transaction."""
    return frames.Check(
        producer_group=event.producer_group,
        transaction_id=event.transaction_id,
        message=incoming(event.message, text_bodies),
    )


def reply(event: ReplyArrived, text_bodies: bool) -> tuple[str, IncomingMessage | GatewayError]:
    """A reply that arrived: the correlation id of its request, and what it says."""
    named = decode_properties(event.properties)
    correlation_id = named.get(_CORRELATION, "")
    named.pop(_ASKER, None)  # it is no request itself
    body = event.body
    if event.sys_flag & 1:
        # A Java client compresses what is large: the body is read as a stored message's is.
        try:
            body = readable_body(stored_message.encode(b"reply", 0, event.body, sys_flag=event.sys_flag))
        except WireError as error:
            return correlation_id, GatewayError(Code.BAD_MESSAGE, f"the reply cannot be read: {error.message}")
    return correlation_id, _incoming(
        event.topic, body, named, text_bodies, event.queue_id, -1, event.born_timestamp, b"", event.store_timestamp
    )


def id_of(frame: frames.Frame) -> int | str:
    """The id that an answer goes to. :raise WireError: there is none."""
    if frame.id is None:
        raise WireError("expected an id: the answer has nowhere to go", fatal=False)
    return frame.id
