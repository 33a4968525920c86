"""Stored messages as the API's messages. Source: ``GrpcConverter`` of the proxy 5.5.0."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp

from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.apis.convert_base import prefixed as _text
from rmqgateway.apis.convert_base import resource_of, varint
from rmqgateway.errors import WireError
from rmqgateway.wire import stored_message
from rmqgateway.wire.message_body import readable_body
from rmqgateway.wire.message_const import SYSTEM_PROPERTIES, CompressionType, compression_type
from rmqgateway.wire.message_id import encode_offset_message_id, host_text
from rmqgateway.wire.message_properties import decode_properties

__all__ = ["MessageWriter", "message_of", "message_type_of"]

_md5 = hashlib.md5
_DELAY_NAMES = ("DELAY", "TIMER_DELIVER_MS", "TIMER_DELAY_SEC", "TIMER_DELAY_MS")


def message_type_of(named: dict[str, str]) -> v2.MessageType:
    """A message's type by its properties (``TopicMessageType.parseFromMessageProperty``)."""
    if named.get("TRAN_MSG", "").lower() == "true":
        return v2.TRANSACTION
    for name in _DELAY_NAMES:
        if name in named:
            return v2.DELAY
    if "__SHARDINGKEY" in named:
        return v2.FIFO
    if "_SYS_MSG_PRIORITY_" in named:
        return v2.PRIORITY
    if "__LITE_TOPIC" in named:
        return v2.LITE
    return v2.NORMAL


def message_of(
    message: bytes,
    host: str,
    now_ms: Callable[[], int],
    topic: v2.Resource | None = None,
    receipt_handle: str = "",
    attempt: int = 0,
) -> v2.Message:
    """The API's message for a stored one.

    :param host: "host:port" under which the client reaches us, its store host.
    :param topic: as the client called it; None: as it is stored.
    :param attempt: which delivery this is, from 1; 0: as the message says.
    """
    stored = stored_message.decode(message)
    named = decode_properties(stored.properties)
    body, encoding = _body_of(message, stored)
    get = named.get
    proto = v2.Message(body=body, topic=topic or resource_of(stored.topic.decode("utf-8", "replace")))
    user = {name: value for name, value in named.items() if name not in SYSTEM_PROPERTIES}
    if user:
        proto.user_properties.update(user)
    system = proto.system_properties
    tag = get("TAGS")
    if tag is not None:
        system.tag = tag
    keys = get("KEYS")
    if keys is not None:
        system.keys.extend(keys.split(" "))
    system.message_id = get("UNIQ_KEY") or encode_offset_message_id(stored.store_host, stored.physical_offset)
    digest = system.body_digest
    digest.type = v2.MD5
    digest.checksum = _md5(body, usedforsecurity=False).hexdigest().upper()
    system.body_encoding = encoding
    system.message_type = message_type_of(named)
    _set_time(system.born_timestamp, stored.born_timestamp)
    system.born_host = get("__BORNHOST") or host_text(stored.born_host)[0]
    _set_time(system.store_timestamp, stored.store_timestamp)
    system.store_host = host
    system.queue_id = stored.queue_id
    system.queue_offset = stored.queue_offset
    system.delivery_attempt = attempt or stored.reconsume_times + 1
    if receipt_handle:
        system.receipt_handle = receipt_handle
    if not _is_plain(named):
        _set_rarer(system, named, now_ms)
    return proto


#: What most messages do not have.
_RARER = frozenset(
    {
        "DLQ_ORIGIN_TOPIC",
        "TIMER_DELAY_SEC",
        "TIMER_DELIVER_MS",
        "TRACE_CONTEXT",
        "_SYS_MSG_PRIORITY_",
        "__LITE_TOPIC",
        "__SHARDINGKEY",
    }
)
_is_plain = _RARER.isdisjoint
#: Besides, of the type NORMAL.
_is_usual = _RARER.union(_DELAY_NAMES, ("TRAN_MSG",)).isdisjoint


def _set_rarer(system: v2.SystemProperties, named: dict[str, str], now_ms: Callable[[], int]) -> None:
    get = named.get
    delay = _number(get("TIMER_DELAY_SEC"))
    deliver_ms = _number(get("TIMER_DELIVER_MS")) if delay is None else now_ms() + delay * 1000
    if deliver_ms is not None:
        _set_time(system.delivery_timestamp, deliver_ms)
    priority = _number(get("_SYS_MSG_PRIORITY_"))
    if priority is not None and priority < 1 << 31:
        system.priority = priority
    group = get("__SHARDINGKEY")
    if group is not None:
        system.message_group = group
    lite_topic = get("__LITE_TOPIC")
    if lite_topic is not None:
        system.lite_topic = lite_topic
    trace = get("TRACE_CONTEXT")
    if trace is not None:
        system.trace_context = trace
    origin, origin_id = get("DLQ_ORIGIN_TOPIC"), get("DLQ_ORIGIN_MESSAGE_ID")
    if origin is not None and origin_id is not None:
        system.dead_letter_queue.topic = resource_of(origin).name
        system.dead_letter_queue.message_id = origin_id


def _set_time(timestamp: Timestamp, milliseconds: int) -> None:
    timestamp.seconds = milliseconds // 1000
    timestamp.nanos = milliseconds % 1000 * 1_000_000


def _number(text: str | None) -> int | None:
    """A number of at most 15 digits; what is none counts as absent."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else None


def _body_of(message: bytes, stored: stored_message.StoredMessage) -> tuple[bytes, v2.Encoding]:
    """The body, and how it is encoded: the API knows one compression, under which its clients read ZLIB as well as gzip.
    Others are undone here, where that is possible."""
    if not stored.sys_flag & 1:
        return stored.body, v2.IDENTITY
    try:
        if compression_type(stored.sys_flag) is CompressionType.ZLIB:
            return stored.body, v2.GZIP
        return readable_body(message), v2.IDENTITY
    except (WireError, ValueError):
        return stored.body, v2.ENCODING_UNSPECIFIED


# The same written out, for messages that are received by the thousand.

_LENGTHS = [bytes((length,)) for length in range(128)]
#: Field 2 (nanos) of a timestamp, by its milliseconds.
_NANOS = [b""] + [b"\x10" + varint(number * 1_000_000) for number in range(1, 1000)]


@lru_cache(256)
def _seconds(seconds: int) -> bytes:
    return b"\x08" + varint(seconds) if seconds else b""


def _time(milliseconds: int) -> bytes:
    """A timestamp with its length before it."""
    data = _seconds(milliseconds // 1000) + _NANOS[milliseconds % 1000]
    return _LENGTHS[len(data)] + data


class MessageWriter:
    """Writes the responses of one receive: ``ReceiveMessageResponse`` with one message each.

    :param host: as for `message_of`. :param topic: as the client called it.
    """

    __slots__ = ("_host", "_now_ms", "_store_host", "_topic", "_topic_bytes")

    def __init__(self, host: str, topic: v2.Resource, now_ms: Callable[[], int]) -> None:
        self._host = host
        self._store_host = b"\x52" + _text(host.encode())
        self._topic = topic
        self._topic_bytes = b"\x0a" + _text(topic.SerializeToString())
        self._now_ms = now_ms

    def write(self, message: bytes, receipt_handle: str, attempt: int) -> bytes:
        """One response."""
        stored = stored_message.decode(message)
        named = decode_properties(stored.properties)
        get = named.get
        key = get("UNIQ_KEY", "").encode()
        born_host = (get("__BORNHOST") or host_text(stored.born_host)[0]).encode()
        handle = receipt_handle.encode()
        if (
            not key
            or stored.sys_flag & 1
            or stored.born_timestamp <= 0
            or not _is_usual(named)
            # The length of each takes one byte.
            or len(key) | len(born_host) | len(handle) > 127
        ):
            whole = message_of(message, self._host, self._now_ms, self._topic, receipt_handle, attempt)
            return service.ReceiveMessageResponse(message=whole).SerializeToString()
        body = stored.body
        parts = []
        if not named.keys() <= SYSTEM_PROPERTIES:
            for name, value in named.items():
                if name not in SYSTEM_PROPERTIES:
                    entry = b"\x0a%b\x12%b" % (_text(name.encode()), _text(value.encode()))
                    parts.append(b"\x12" + _text(entry))
        tag = get("TAGS")
        keys = get("KEYS")
        head = b"" if tag is None else b"\x0a" + _text(tag.encode())
        if keys is not None:
            head += b"".join([b"\x12" + _text(key.encode()) for key in keys.split(" ")])
        # An optional number (\x68, \x70) is written though it is 0.
        system = (
            b"%b\x1a%c%b\x22\x24\x08\x02\x12\x20%b\x28\x01\x30\x01\x3a%b\x42%c%b\x4a%b%b\x62%c%b\x68%b\x70%b\x80\x01%b"
            % (
                head,
                len(key),
                key,
                _md5(body, usedforsecurity=False).hexdigest().upper().encode(),
                _time(stored.born_timestamp),
                len(born_host),
                born_host,
                _time(stored.store_timestamp),
                self._store_host,
                len(handle),
                handle,
                varint(stored.queue_id),
                varint(stored.queue_offset),
                varint(attempt),
            )
        )
        parts.append(b"\x1a" + _text(system))
        data = b"%b%b\x22%b" % (self._topic_bytes, b"".join(parts), _text(body))
        return b"\x12" + _text(data)
