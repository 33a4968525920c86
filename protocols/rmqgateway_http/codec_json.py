"""The JSON that travels: structs of requests and responses, and reading them with errors that help."""

from __future__ import annotations

import base64
import binascii
import difflib
import re
import zlib
from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

import msgspec

from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.wire.jsonlimits import decode_json

__all__ = [
    "AckFailure",
    "Acknowledged",
    "Acknowledgement",
    "ChangedHandle",
    "Checks",
    "EnvelopeIn",
    "MessageIn",
    "MessageOut",
    "MessagesOut",
    "OffsetIn",
    "OffsetOut",
    "OffsetsOut",
    "Prepared",
    "Problem",
    "Pulled",
    "QueueOut",
    "QueuesOut",
    "Recalled",
    "Sent",
    "SentMany",
    "Status",
    "encode_json",
    "gunzip",
    "nearest",
    "read_base64",
    "read_json",
]

T = TypeVar("T")
encode_json = msgspec.json.Encoder().encode


class MessageIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A message to send. One of `body`, `body_base64` and `json` at most; none is an empty body.

    :ivar json: any JSON value; its text is the body. :ivar delay: "90s", "5m", or seconds.
    :ivar deliver_at: milliseconds since 1970, or RFC 3339. :ivar lite_topic: of a topic of type LITE.
    """

    body: str | None = None
    body_base64: str | None = None
    json: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    tag: str = ""
    keys: list[str] | str = []
    properties: dict[str, str] = {}
    message_group: str = ""
    delay: str | float | int | None = None
    delay_level: Annotated[int, msgspec.Meta(ge=0, le=18)] | None = None
    deliver_at: int | str | None = None
    queue_id: Annotated[int, msgspec.Meta(ge=-1, le=65535)] = -1
    priority: Annotated[int, msgspec.Meta(ge=0, le=255)] | None = None
    lite_topic: Annotated[str, msgspec.Meta(max_length=64)] = ""


class EnvelopeIn(MessageIn, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One message, or many. :ivar as_batch: all to one queue, one after the other (RocketMQ's batch)."""

    messages: list[MessageIn] | None = None
    as_batch: bool = False


class Sent(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a message was stored, durably. :ivar recall_handle: takes a delayed message back."""

    message_id: str
    queue_id: int
    queue_offset: int
    recall_handle: str = ""


class SentMany(msgspec.Struct, frozen=True):
    """One result for each message, in order."""

    messages: list[Sent]


class Prepared(msgspec.Struct, frozen=True):
    """A prepared message. :ivar transaction: for commit and rollback."""

    transaction: str
    message_id: str
    queue_id: int


class MessageOut(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A message. Its body is `body` where that is UTF-8 text, else `body_base64`. Times are ms since 1970.

    :ivar receipt_handle: for acknowledging it. :ivar delivery_attempt: 1 for the first.
    :ivar born_at, born_host: when and from which address it was sent, or what its producer said instead.
    :ivar reply_to: of a request: where the reply goes. :ivar transaction: of an undecided one: for commit and rollback.
    :ivar problem: why there is no body: it cannot be uncompressed.
    """

    message_id: str = ""
    receipt_handle: str = ""
    topic: str
    body: str | msgspec.UnsetType = msgspec.UNSET
    body_base64: str | msgspec.UnsetType = msgspec.UNSET
    tag: str = ""
    keys: list[str] = []
    properties: dict[str, str] = {}
    message_group: str = ""
    lite_topic: str = ""
    priority: int | msgspec.UnsetType = msgspec.UNSET
    queue_id: int | msgspec.UnsetType = msgspec.UNSET
    queue_offset: int | msgspec.UnsetType = msgspec.UNSET
    born_at: int = 0
    born_host: str = ""
    stored_at: int = 0
    delivery_attempt: int = 0
    deliver_at: int = 0
    reply_to: str = ""
    transaction: str = ""
    checks: int = 0
    problem: str = ""


class MessagesOut(msgspec.Struct, frozen=True):
    """What was received; nothing is an empty list."""

    messages: list[MessageOut]


class Checks(msgspec.Struct, frozen=True):
    """Prepared messages whose producer is asked whether they are to be committed."""

    transactions: list[MessageOut]


class Acknowledgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which messages are done. :ivar last_event_id: everything that its stream delivered up to it."""

    receipt_handles: list[str] = []
    last_event_id: str = ""


class AckFailure(msgspec.Struct, frozen=True):
    """A handle that was not acknowledged."""

    receipt_handle: str
    code: str
    detail: str


class Acknowledged(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many were acknowledged, and which were not."""

    acknowledged: int
    failures: list[AckFailure] = []


class ChangedHandle(msgspec.Struct, frozen=True):
    """The receipt handle that is valid from now on."""

    receipt_handle: str


class Recalled(msgspec.Struct, frozen=True):
    """The message that will not be delivered."""

    message_id: str


class Pulled(msgspec.Struct, frozen=True):
    """What a pull found. :ivar status: found, no_new_message, no_matched_message or offset_moved."""

    status: str
    next_offset: int
    min_offset: int
    max_offset: int
    messages: list[MessageOut]


class OffsetIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group's place in a queue."""

    offset: int


class OffsetOut(msgspec.Struct, frozen=True):
    """A group's place in a queue."""

    offset: int


class OffsetsOut(msgspec.Struct, frozen=True, omit_defaults=True):
    """A queue's smallest offset, the one after its last message, and the one at a time where that was asked."""

    min_offset: int
    max_offset: int
    offset: int | msgspec.UnsetType = msgspec.UNSET


class QueueOut(msgspec.Struct, frozen=True):
    """The queues of a topic on a broker, numbered from 0."""

    broker: str
    read_queues: int
    write_queues: int
    readable: bool
    writable: bool


class QueuesOut(msgspec.Struct, frozen=True):
    """Where a topic's queues are, and which type of messages it takes."""

    topic: str
    message_type: str
    queues: list[QueueOut]


class Status(msgspec.Struct, frozen=True):
    """Whether the gateway lives, or serves."""

    status: str


class TicketOut(msgspec.Struct, frozen=True):
    """A token of the caller's that is good once. :ivar expires_in: seconds."""

    ticket: str
    expires_in: int


class LandingOut(msgspec.Struct, frozen=True):
    """What is served here. :ivar try_this: lines for a shell: send, receive, follow. :ivar paths: what there is to look at.
    :ivar front_ends: what this port takes, and how it is reached."""

    title: str
    about: str
    try_this: list[str]
    paths: dict[str, str]
    front_ends: dict[str, str]


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A refusal (RFC 9457). :ivar code: RocketMQ's word for the reason; `type` names the gateway's own, finer one."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str = ""
    upstream_code: int | msgspec.UnsetType = msgspec.UNSET


_UNKNOWN = re.compile(r"unknown field `([^`]*)`")


def read_json(data: bytes, kind: type[T], limit: int) -> T:
    """Decode a request. :raise GatewayError: BAD_REQUEST, with the position or path, and for an unknown field the nearest
    right one; MESSAGE_TOO_LARGE."""
    if len(data) > limit:
        raise GatewayError(Code.MESSAGE_TOO_LARGE, f"the request's body: expected at most {limit} bytes, got {len(data)}")
    try:
        return decode_json(data, limit, refuse_duplicates=True, type=kind)
    except WireError as error:
        text = error.message
        found = _UNKNOWN.search(text)
        if found is not None:
            text += nearest(found.group(1), _field_names(kind))
        raise GatewayError(Code.BAD_REQUEST, text) from None


def _field_names(kind: type) -> set[str]:
    names: set[str] = set()
    pending: list[type] = [kind]
    for _ in range(8):
        if not pending:
            break
        one = pending.pop()
        for field in msgspec.structs.fields(one):
            names.add(field.encode_name)
            if field.name == "messages":
                pending.append(MessageIn)
    return names


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown name, or "" if nothing is near: the beginning of a sentence's end."""
    found = difflib.get_close_matches(name[:100].lower(), list(known), 1, 0.5)
    return f"; did you mean {found[0]!r}?" if found else f"; expected one of {', '.join(sorted(known))}"


def read_base64(text: str, field: str) -> bytes:
    """Standard or URL-safe base64, padded or not. :raise GatewayError: BAD_MESSAGE."""
    try:
        data = text.encode("ascii")
        if b"-" in data or b"_" in data:
            data = data.translate(bytes.maketrans(b"-_", b"+/"))
        return base64.b64decode(data + b"=" * (-len(data) % 4), validate=True)
    except (ValueError, binascii.Error) as error:
        raise GatewayError(Code.BAD_MESSAGE, f"{field}: expected base64, got {text[:40]!r} ({error})") from None


def gunzip(data: bytes, limit: int) -> bytes:
    """A body with ``Content-Encoding: gzip``. Beyond 64 KiB no more than a hundredfold is believed.

    :raise GatewayError: MESSAGE_TOO_LARGE, BAD_REQUEST.
    """
    most = min(limit, max(64 * 1024, 100 * len(data)))
    inflater = zlib.decompressobj(31)
    try:
        found = inflater.decompress(data, most + 1)
    except zlib.error as error:
        raise GatewayError(Code.BAD_REQUEST, f"content-encoding: expected gzip, got {error}") from None
    if len(found) > most:
        raise GatewayError(Code.MESSAGE_TOO_LARGE, f"the request's body: expected at most {most} bytes uncompressed")
    if not inflater.eof or inflater.unused_data:
        raise GatewayError(Code.BAD_REQUEST, "content-encoding: the gzip data ends too early or too late")
    return found


def schema_types() -> tuple[Any, ...]:
    """Every struct that a request or response is made of, for the OpenAPI document."""
    return (
        EnvelopeIn, MessageIn, Sent, SentMany, Prepared, MessageOut, MessagesOut, Checks, Acknowledgement, Acknowledged,
        AckFailure, ChangedHandle, Recalled, Pulled, OffsetIn, OffsetOut, OffsetsOut, QueueOut, QueuesOut, Status, Problem,
        TicketOut, LandingOut,
    )  # fmt: skip
