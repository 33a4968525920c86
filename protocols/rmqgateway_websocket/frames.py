"""The frames of ``rmqgateway.v1``: one struct for each; their names on the wire are camelCase, as browsers like them.

A frame with an ``id`` is answered by a frame with the same id. ``bytes`` are base64 in JSON (RFC 4648) and binary in
MessagePack. Meanings are those of the command that a docstring names (``rmqgateway.commands``). The AsyncAPI document is
made from these structs.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

__all__ = [
    "CLIENT_FRAMES",
    "SERVER_FRAMES",
    "Ack",
    "Cancel",
    "Check",
    "ClientFrame",
    "Commit",
    "Connect",
    "Connected",
    "Credit",
    "Deliver",
    "Done",
    "Frame",
    "FrameError",
    "GetOffset",
    "GoAway",
    "Heartbeat",
    "IncomingMessage",
    "Nack",
    "OffsetIs",
    "OutgoingMessage",
    "Peek",
    "Ping",
    "PlaceIs",
    "Pull",
    "Pulled",
    "QueryOffset",
    "Recall",
    "Recalled",
    "Receive",
    "Received",
    "Reject",
    "Replied",
    "Reply",
    "Request",
    "Retry",
    "Return",
    "Rollback",
    "Route",
    "RouteIs",
    "RouteQueue",
    "Send",
    "Sent",
    "SentMessage",
    "Settle",
    "Subscribe",
    "Transacting",
    "Unsubscribe",
    "UpdateOffset",
]

Id = Annotated[int, Meta(ge=0, le=2**53 - 1)] | Annotated[str, Meta(max_length=64)]
Name = Annotated[str, Meta(min_length=1, max_length=255)]
Handle = Annotated[str, Meta(min_length=1, max_length=1024)]
MessageId = Annotated[str, Meta(max_length=64, pattern="^[A-Za-z0-9_.:-]*$")]
Milliseconds = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Count = Annotated[int, Meta(ge=0, le=100_000)]
Batch = Annotated[int, Meta(ge=1, le=32)]
Wait = Annotated[int, Meta(ge=0, le=30_000)]
Number = Annotated[int, Meta(ge=0, le=2**53 - 1)]
QueueId = Annotated[int, Meta(ge=0, le=65_535)]
Offset = Annotated[int, Meta(ge=0, le=2**53 - 1)]
FilterType = Literal["TAG", "SQL92"]
LiteTopic = Annotated[str, Meta(max_length=64, pattern="^[a-zA-Z0-9_-]+$")]
LiteTopics = Annotated[tuple[LiteTopic, ...], Meta(max_length=1024)]


class _Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What all have in common."""


class Return(_Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the reply to a request goes, as the request's delivery says it.

    :ivar correlation_id: the asker's name of the request. :ivar client: who asked. :ivar cluster: of the asker's broker.
    :ivar timeout_ms: how long the asker waits.
    """

    correlation_id: Name
    client: Name
    cluster: str = ""
    timeout_ms: Milliseconds = 0


class OutgoingMessage(_Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message to send; its body is `text` or `body`.

    :ivar message_id: chosen by the client, such as a UUID: what carries the same id to the same topic within two minutes is
        stored once, whichever connection it comes over, and whether or not the gateway was killed meanwhile. "": the gateway
        chooses one. :ivar tag: what subscriptions filter by. :ivar keys: what the message is found by later.
    :ivar message_group: messages of one group are consumed in order. :ivar queue_id: the queue, instead of any.
    :ivar delay_ms: deliver it so much later; :ivar deliver_at: or at this time, ms since 1970.
    :ivar priority: greater is received earlier, where the topic is of type PRIORITY.
    :ivar lite_topic: a lite topic of the topic, where that is of type LITE.
    """

    text: str | None = None
    body: bytes | None = None
    message_id: MessageId = ""
    tag: str = ""
    keys: tuple[str, ...] = ()
    properties: dict[str, str] = {}
    message_group: str = ""
    queue_id: QueueId | None = None
    delay_ms: Milliseconds = 0
    deliver_at: Milliseconds = 0
    priority: Annotated[int, Meta(ge=0, le=65_535)] | None = None
    lite_topic: LiteTopic | None = None


class IncomingMessage(_Wire, frozen=True, kw_only=True):
    """A message as it was stored; its body is in `text` (JSON, where it is UTF-8) or in `body`.

    :ivar born_host: the address that it was sent from, or what its producer said instead.
    :ivar deliver_at: of a delayed message, ms since 1970. :ivar priority, lite_topic: as it was sent.
    :ivar receipt_handle, delivery_attempt: of a message that was received (not delivered by a subscription).
    :ivar reply_to: the message is a request: this goes into ``reply``.
    """

    topic: str
    message_id: str = ""
    text: str | None = None
    body: bytes | None = None
    tag: str = ""
    keys: tuple[str, ...] = ()
    properties: dict[str, str] = {}
    message_group: str = ""
    queue_id: int = 0
    offset: int = -1
    born_timestamp: int = 0
    born_host: str = ""
    store_timestamp: int = 0
    deliver_at: int = 0
    priority: int | None = None
    lite_topic: str = ""
    receipt_handle: str = ""
    delivery_attempt: int = 0
    reply_to: Return | None = None


class Frame(_Wire, frozen=True, kw_only=True, tag_field="op", forbid_unknown_fields=True):
    """What a client sends. :ivar id: chosen by it; without one only an error is answered."""

    id: Id | None = None


class Connect(Frame, frozen=True, kw_only=True, tag="connect"):
    """Say who you are, in the first frame or not at all. Answered by ``connected``.

    :ivar client_id: under which administrators see the connection, and replies find it. :ivar token: as `ticket`.
    :ivar access_key, secret_key: a user's, only over TLS or from the gateway's own machine.
    :ivar ticket: one of ``POST /v1/tickets``, of the last 60 seconds; good once.
    """

    client_id: Annotated[str, Meta(max_length=255)] = ""
    token: Annotated[str, Meta(max_length=16_384)] = ""
    access_key: Annotated[str, Meta(max_length=256)] = ""
    secret_key: Annotated[str, Meta(max_length=256)] = ""
    ticket: Annotated[str, Meta(max_length=4096)] = ""
    language: Annotated[str, Meta(max_length=32)] = ""
    version: Annotated[str, Meta(max_length=64)] = ""


class Ping(Frame, frozen=True, kw_only=True, tag="ping"):
    """Are you there? Answered by ``done``."""


class Send(Frame, frozen=True, kw_only=True, tag="send"):
    """SendMessages: one or many, all or none, answered by ``sent`` when they are durable.

    :ivar transaction: the one message is prepared only, until ``commit`` or ``rollback``.
    :ivar producer_group: of a transaction: whom the gateway asks what became of it.
    """

    topic: Name
    messages: Annotated[tuple[OutgoingMessage, ...], Meta(min_length=1)]
    producer_group: Annotated[str, Meta(max_length=255)] = ""
    transaction: bool = False


class Transacting(Frame, frozen=True, kw_only=True):
    """What ends a transaction. :ivar from_check: the client was asked by ``check``."""

    topic: Name
    transaction_id: Name
    producer_group: Name
    from_check: bool = False


class Commit(Transacting, frozen=True, kw_only=True, tag="commit"):
    """EndTransaction: consumers may have the message."""


class Rollback(Transacting, frozen=True, kw_only=True, tag="rollback"):
    """EndTransaction: the message is dropped."""


class Heartbeat(Frame, frozen=True, kw_only=True, tag="heartbeat"):
    """Heartbeat: the producer groups for whose transactions this connection answers; it holds until the connection ends."""

    producer_groups: Annotated[tuple[Name, ...], Meta(max_length=64)]


class Recall(Frame, frozen=True, kw_only=True, tag="recall"):
    """RecallMessage: take a delayed message back. :ivar recall_handle: from ``sent``."""

    topic: Name
    recall_handle: Handle


class Subscribe(Frame, frozen=True, kw_only=True, tag="subscribe"):
    """Receive messages as they come, as many as credit was granted.

    :ivar subscription: the client's name of it. :ivar filter: ``*``, ``A || B``, or SQL92 over properties.
    :ivar credit: messages that may be delivered; each delivery takes one, ``credit`` grants more.
    :ivar credit_bytes: bytes as well, or 0: no such limit. :ivar invisible_ms: a message that is not settled within comes again.
    :ivar auto_renew: but not while the connection stands. :ivar auto_ack: messages are acknowledged by their delivery.
    :ivar fifo: in order of each message group; absent: as the group is configured.
    :ivar start: where a new group, or a member of a broadcast, begins: with the oldest message ("min") or with the next
        ("max"); absent: groups with the oldest, members of broadcasts with the next.
    :ivar lite_topics: of a topic of type LITE, those that are wanted.
    :ivar broadcast: every member of the group gets every message; nothing is settled.
    :ivar place: of a broadcast: go on after the ``place`` or ``deliver`` that it came with.
    """

    subscription: Annotated[str, Meta(min_length=1, max_length=64)]
    group: Name
    topic: Name
    filter: str = "*"
    filter_type: FilterType = "TAG"
    credit: Count = 0
    credit_bytes: Number = 0
    invisible_ms: Milliseconds = 60_000
    auto_renew: bool = True
    auto_ack: bool = False
    fifo: bool | None = None
    start: Literal["", "min", "max"] = ""
    lite_topics: LiteTopics = ()
    broadcast: bool = False
    place: Annotated[str, Meta(max_length=16_384)] = ""


class Credit(Frame, frozen=True, kw_only=True, tag="credit"):
    """So many more messages (and bytes, where those are limited) may be delivered."""

    subscription: str
    messages: Count = 0
    bytes: Number = 0


class Unsubscribe(Frame, frozen=True, kw_only=True, tag="unsubscribe"):
    """No more; what is not settled becomes visible to others at once."""

    subscription: str


class Settle(Frame, frozen=True, kw_only=True):
    """What became of messages: deliveries of a subscription by their numbers, or received ones by their handles."""

    subscription: str = ""
    numbers: Annotated[tuple[Number, ...], Meta(max_length=1024)] = ()
    group: Annotated[str, Meta(max_length=255)] = ""
    topic: Annotated[str, Meta(max_length=255)] = ""
    receipt_handles: Annotated[tuple[Handle, ...], Meta(max_length=1024)] = ()


class Ack(Settle, frozen=True, kw_only=True, tag="ack"):
    """AckMessages: done with for good; answered when that is durable."""


class Nack(Settle, frozen=True, kw_only=True, tag="nack"):
    """ChangeInvisibleDuration to nothing: others may have them at once."""


class Retry(Settle, frozen=True, kw_only=True, tag="retry"):
    """ChangeInvisibleDuration: visible again after `delay_ms`."""

    delay_ms: Milliseconds


class Reject(Settle, frozen=True, kw_only=True, tag="reject"):
    """ForwardToDeadLetterQueue: never again."""


class Receive(Frame, frozen=True, kw_only=True, tag="receive"):
    """ReceiveMessages once, waiting for a message if none is there. :ivar lite_topics: of a topic of type LITE, which."""

    group: Name
    topic: Name
    max_messages: Batch = 1
    wait_ms: Wait = 0
    invisible_ms: Milliseconds = 60_000
    filter: str = "*"
    filter_type: FilterType = "TAG"
    fifo: bool | None = None
    start: Literal["min", "max"] = "min"
    lite_topics: LiteTopics = ()


class Peek(Frame, frozen=True, kw_only=True, tag="peek"):
    """PeekMessages: look at messages without taking them."""

    group: Name
    topic: Name
    max_messages: Batch = 1


class Pull(Frame, frozen=True, kw_only=True, tag="pull"):
    """PullMessages: read a queue from an offset. :ivar commit_offset: the group's place to record first. :ivar broker: whose
    queue it is, here and below, before a cluster where several brokers have one of this number."""

    group: Name
    topic: Name
    queue_id: QueueId
    offset: Offset
    max_messages: Batch = 32
    wait_ms: Wait = 0
    filter: str = "*"
    filter_type: FilterType = "TAG"
    commit_offset: Offset | None = None
    broker: str = ""


class QueryOffset(Frame, frozen=True, kw_only=True, tag="queryOffset"):
    """QueryOffset: a queue's smallest or largest offset, or that of the first message stored at a time (ms) or later."""

    topic: Name
    queue_id: QueueId
    of: Literal["min", "max", "timestamp"] = "max"
    timestamp: Milliseconds = 0
    broker: str = ""


class GetOffset(Frame, frozen=True, kw_only=True, tag="getOffset"):
    """GetConsumerOffset: a group's place in a queue; an error OFFSET_NOT_FOUND where it has none."""

    group: Name
    topic: Name
    queue_id: QueueId
    broker: str = ""


class UpdateOffset(Frame, frozen=True, kw_only=True, tag="updateOffset"):
    """UpdateConsumerOffset: set a group's place in a queue."""

    group: Name
    topic: Name
    queue_id: QueueId
    offset: Offset
    broker: str = ""


class Route(Frame, frozen=True, kw_only=True, tag="route"):
    """QueryRoute: which queues a topic has. :ivar create: make the topic, where that is allowed."""

    topic: Name
    create: bool = False


class Request(Frame, frozen=True, kw_only=True, tag="request"):
    """Send a message and wait for its reply: answered by ``replied``, or an error TIMEOUT."""

    topic: Name
    message: OutgoingMessage
    timeout_ms: Annotated[int, Meta(ge=1, le=300_000)] = 3000


class Reply(Frame, frozen=True, kw_only=True, tag="reply"):
    """SendReply: answer a request that was delivered. :ivar to: its ``replyTo``."""

    to: Return
    message: OutgoingMessage


class Cancel(Frame, frozen=True, kw_only=True, tag="cancel"):
    """End the wait of a ``receive``, ``pull`` or ``request`` of this connection: it is answered by an error CANCELLED."""

    target: Id


class Connected(_Wire, frozen=True, kw_only=True, tag_field="op", tag="connected"):
    """You are who you say. :ivar max_under_way: unanswered frames, of which more are not read."""

    id: Id | None = None
    client_id: str
    user: str = ""
    max_under_way: int = 0


class Done(_Wire, frozen=True, kw_only=True, tag_field="op", tag="done"):
    """It is done."""

    id: Id


class SentMessage(_Wire, frozen=True, kw_only=True):
    """Where a message was stored. :ivar repeated: it was before, by an earlier send of the same message id.
    :ivar transaction_id: what ``commit`` takes. :ivar recall_handle: of a delayed message; not when it is `repeated`."""

    message_id: str
    queue_id: int
    offset: int
    transaction_id: str = ""
    recall_handle: str = ""
    repeated: bool = False


class Sent(_Wire, frozen=True, kw_only=True, tag_field="op", tag="sent"):
    """The messages are durable."""

    id: Id
    results: tuple[SentMessage, ...]


class Recalled(_Wire, frozen=True, kw_only=True, tag_field="op", tag="recalled"):
    """The message that will not be delivered."""

    id: Id
    message_id: str


class Deliver(_Wire, frozen=True, kw_only=True, tag_field="op", tag="deliver"):
    """A message of a subscription. :ivar number: what settles it. :ivar attempt: 1 for the first delivery.

    :ivar place: of a broadcast: where the member is then.
    """

    subscription: str
    number: int
    attempt: int
    message: IncomingMessage
    place: str = ""


class PlaceIs(_Wire, frozen=True, kw_only=True, tag_field="op", tag="place"):
    """Where a member of a broadcast begins."""

    subscription: str
    place: str


class Received(_Wire, frozen=True, kw_only=True, tag_field="op", tag="received"):
    """What ``receive`` or ``peek`` found."""

    id: Id
    messages: tuple[IncomingMessage, ...]


class Pulled(_Wire, frozen=True, kw_only=True, tag_field="op", tag="pulled"):
    """What ``pull`` found. :ivar next_offset: where to go on."""

    id: Id
    status: Literal["FOUND", "NO_NEW_MESSAGE", "NO_MATCHED_MESSAGE", "OFFSET_MOVED"]
    next_offset: int
    min_offset: int
    max_offset: int
    messages: tuple[IncomingMessage, ...]


class OffsetIs(_Wire, frozen=True, kw_only=True, tag_field="op", tag="offset"):
    """The offset that was asked for."""

    id: Id
    offset: int


class RouteQueue(_Wire, frozen=True, kw_only=True):
    """Queues 0 to n-1 of a broker."""

    broker_name: str
    read_queues: int
    write_queues: int
    readable: bool
    writable: bool


class RouteIs(_Wire, frozen=True, kw_only=True, tag_field="op", tag="route"):
    """A topic's queues."""

    id: Id
    topic: str
    message_type: str
    queues: tuple[RouteQueue, ...]


class Replied(_Wire, frozen=True, kw_only=True, tag_field="op", tag="replied"):
    """The reply to a ``request``."""

    id: Id
    message: IncomingMessage


class Check(_Wire, frozen=True, kw_only=True, tag_field="op", tag="check"):
    """What became of this transaction? Answer with ``commit`` or ``rollback`` and ``fromCheck``, or not at all."""

    producer_group: str
    transaction_id: str
    message: IncomingMessage


class FrameError(_Wire, frozen=True, kw_only=True, tag_field="op", tag="error"):
    """A frame was refused, or (with `subscription` and no id) a subscription has ended.

    :ivar code: RocketMQ's word for it, with its number in `status` (``Code`` of apache.rocketmq.v2). :ivar reason: the
        gateway's own word, which is finer. :ivar message: for people. :ivar retry_after_ms: the same may succeed then; absent:
        it will not.
    """

    code: str
    status: int
    reason: str
    message: str
    id: Id | None = None
    subscription: str = ""
    retry_after_ms: int | None = None


class GoAway(_Wire, frozen=True, kw_only=True, tag_field="op", tag="goAway"):
    """The gateway is going: settle what you have; the connection closes with 1012 within `deadline_ms`."""

    reason: str
    deadline_ms: int


CLIENT_FRAMES: tuple[type[Frame], ...] = (
    Connect, Ping, Send, Commit, Rollback, Heartbeat, Recall, Subscribe, Credit, Unsubscribe, Ack, Nack, Retry, Reject, Receive,
    Peek, Pull, QueryOffset, GetOffset, UpdateOffset, Route, Request, Reply, Cancel,
)  # fmt: skip

ClientFrame = (
    Connect | Ping | Send | Commit | Rollback | Heartbeat | Recall | Subscribe | Credit | Unsubscribe | Ack | Nack | Retry
    | Reject | Receive | Peek | Pull | QueryOffset | GetOffset | UpdateOffset | Route | Request | Reply | Cancel
)  # fmt: skip

SERVER_FRAMES: tuple[type[msgspec.Struct], ...] = (
    Connected, Done, Sent, Deliver, PlaceIs, Received, Pulled, OffsetIs, RouteIs, Replied, Recalled, Check, FrameError,
    GoAway,
)  # fmt: skip
