"""Stored messages to what clients get: JSON, one raw body with headers, CloudEvents."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import msgspec

from rmqgateway.errors import WireError
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_body import readable_body
from rmqgateway.wire.message_const import SYSTEM_PROPERTIES
from rmqgateway.wire.message_id import host_text
from rmqgateway.wire.message_properties import decode_properties
from rmqgateway_http.codec_handles import ReplyAddress, write_token
from rmqgateway_http.codec_json import MessageOut, encode_json
from rmqgateway_http.convert_cloudevents import write_event

__all__ = ["ShownMessage", "event_out", "message_out", "raw_headers"]

#: A larger message is not kept in memory for `ShownMessage`.
_MOST_REMEMBERED = 64 * 1024
_HANDLE = "~"
_HANDLE_FIELD = b'"receipt_handle":"~"'
#: A message that has no properties but these.
_PLAIN = frozenset({"UNIQ_KEY", "TAGS", "WAIT"})
_NOT_USERS = SYSTEM_PROPERTIES | {"__SHARDINGKEY"}
_only_users = _NOT_USERS.isdisjoint
_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%") + " "


def message_out(
    message: stored_message.Buffer,
    receipt_handle: str = "",
    delivery_attempt: int = 0,
    body_as: str = "auto",
    transaction: str = "",
    checks: int = 0,
) -> MessageOut:
    """A stored message. :param receipt_handle: in this API's form. :param body_as: auto, text or base64."""
    stored = stored_message.decode(message)
    named = decode_properties(stored.properties)
    problem = ""
    body: bytes | None = stored.body
    if stored.sys_flag & 1:
        try:
            body = readable_body(message)
        except WireError as error:
            problem, body = error.message, None
    fields: dict[str, Any] = {}
    if body is not None:
        if body_as == "base64":
            fields["body_base64"] = base64.b64encode(body).decode()
        else:
            try:
                fields["body"] = body.decode()
            except UnicodeDecodeError:
                if body_as == "text":
                    fields["body"] = body.decode("utf-8", "replace")
                else:
                    fields["body_base64"] = base64.b64encode(body).decode()
    get = named.get
    if named.keys() <= _PLAIN and not transaction and not problem:
        return MessageOut(  # the usual case: nothing else can be said of it
            message_id=get("UNIQ_KEY", ""),
            receipt_handle=receipt_handle,
            topic=stored.topic.decode("utf-8", "replace"),
            tag=get("TAGS", ""),
            queue_id=stored.queue_id,
            queue_offset=stored.queue_offset,
            born_at=stored.born_timestamp,
            born_host=host_text(stored.born_host)[0],
            stored_at=stored.store_timestamp,
            delivery_attempt=delivery_attempt,
            checks=checks,
            **fields,
        )
    if "REPLY_TO_CLIENT" in named and get("MSG_TYPE") != "reply":
        address = ReplyAddress(
            f"{get('CLUSTER', 'DefaultCluster')}_REPLY_TOPIC",
            named["REPLY_TO_CLIENT"],
            get("CORRELATION_ID", ""),
            get("TTL", ""),
        )
        fields["reply_to"] = write_token(address)
    deliver_at = get("TIMER_DELIVER_MS") or get("TIMER_OUT_MS") or ""
    priority = get("_SYS_MSG_PRIORITY_", "")
    if priority.isascii() and priority.isdigit() and len(priority) < 10:
        fields["priority"] = int(priority)
    return MessageOut(
        message_id=get("UNIQ_KEY", ""),
        receipt_handle=receipt_handle,
        topic=stored.topic.decode("utf-8", "replace"),
        tag=get("TAGS", ""),
        keys=named["KEYS"].split() if "KEYS" in named else [],
        properties={name: value for name, value in named.items() if name not in _NOT_USERS},
        message_group=get("__SHARDINGKEY", ""),
        queue_id=stored.queue_id,
        queue_offset=stored.queue_offset,
        lite_topic=get("__LITE_TOPIC", ""),
        born_at=stored.born_timestamp,
        born_host=get("__BORNHOST") or host_text(stored.born_host)[0],
        stored_at=stored.store_timestamp,
        delivery_attempt=delivery_attempt,
        deliver_at=int(deliver_at) if deliver_at.isascii() and deliver_at.isdigit() else 0,
        transaction=transaction,
        checks=checks,
        problem=problem,
        **fields,
    )


class ShownMessage:
    """A message as JSON, as streams write it, remembered: what goes to a hundred streams is encoded once.

    It is the same message if it is the same object, as the store gives it to whoever keeps up.
    """

    __slots__ = ("_after", "_attempt", "_before", "_body_as", "_message")

    def __init__(self) -> None:
        self._message: stored_message.Buffer | None = None
        self._attempt = 0
        self._body_as = ""
        self._before = self._after = b""

    def encode(self, message: stored_message.Buffer, receipt_handle: str, attempt: int, body_as: str) -> bytes:
        """The JSON of `message_out`."""
        if message is self._message and attempt == self._attempt and body_as == self._body_as:
            before = self._before
            if not before:
                # Seen twice. The name stands unescaped at one place only: quotes within values are escaped.
                whole = encode_json(message_out(message, _HANDLE, attempt, body_as))
                before, _, self._after = whole.partition(_HANDLE_FIELD)
                self._before = before
            return b'%b"receipt_handle":%b%b' % (before, encode_json(receipt_handle), self._after)
        self._message = message if len(message) <= _MOST_REMEMBERED else None
        self._attempt = attempt
        self._body_as = body_as
        self._before = b""
        return encode_json(message_out(message, receipt_handle, attempt, body_as))


def body_of(message: stored_message.Buffer) -> bytes:
    """The body; what cannot be uncompressed comes as it is stored."""
    try:
        return readable_body(message)
    except WireError:
        return stored_message.body(message)


def raw_headers(found: MessageOut) -> list[tuple[bytes, bytes]]:
    """What a raw body's headers say of its message; text outside ASCII is percent-encoded."""
    headers = [(b"content-type", found.properties.get("CE_contenttype", "application/octet-stream"))]
    pairs = (
        ("message-id", found.message_id),
        ("receipt-handle", found.receipt_handle),
        ("tag", found.tag),
        ("keys", " ".join(found.keys)),
        ("message-group", found.message_group),
        ("lite-topic", found.lite_topic),
        ("priority", "" if found.priority is msgspec.UNSET else str(found.priority)),
        ("born-at", str(found.born_at)),
        ("born-host", found.born_host),
        ("deliver-at", str(found.deliver_at or "")),
        ("queue-id", str(found.queue_id)),
        ("queue-offset", str(found.queue_offset)),
        ("delivery-attempt", str(found.delivery_attempt or "")),
        ("reply-to", found.reply_to),
    )
    headers += [(b"x-rocketmq-" + name.encode(), value) for name, value in pairs if value]
    for name, value in found.properties.items():
        if name.startswith("CE_"):
            if name != "CE_contenttype" and name[3:].isascii() and name[3:].isalnum():
                headers.append((b"ce-" + name[3:].lower().encode(), value))
        elif name.isascii() and name.replace("-", "").replace("_", "").replace(".", "").isalnum():
            headers.append((b"x-rocketmq-property-" + name.lower().encode(), value))
    return [(name, quote(value, safe=_SAFE).encode("ascii")) for name, value in headers]


def event_out(message: stored_message.Buffer, receipt_handle: str = "") -> dict[str, Any]:
    """A stored message as a CloudEvent; its receipt handle is the extension ``receipthandle``."""
    named = decode_properties(stored_message.properties(message))
    topic = stored_message.topic(message).decode("utf-8", "replace")
    event = write_event(named, body_of(message), named.get("UNIQ_KEY", ""), topic, named.get("__SHARDINGKEY", ""))
    if receipt_handle:
        event["receipthandle"] = receipt_handle
    return event
