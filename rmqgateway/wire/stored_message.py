"""RocketMQ's stored-message layout: what brokers keep and what the bodies of pull and pop answers consist of.

::

    0 total size     4 magic     8 body CRC    12 queue id    16 flag    20 queue offset (8 bytes)
   28 physical offset (8)   36 system flag   40 born timestamp (8)   48 born host (8 or 20)
      store timestamp (8), store host (8 or 20), reconsume times, prepared transaction offset (8),
      body size, body, topic size (1 byte, 2 with magic V2), topic, properties size (2), properties

Big-endian. A host is 4 or 16 address bytes and a 4-byte port; bits 4 and 5 of the system flag say which.
Source: ``MessageDecoder`` and ``MessageVersion`` of 5.5.0. The readers take any buffer that begins with a
whole message which was checked once (by ``decode`` or ``message_sizes``), or that was made by ``encode``;
they check nothing again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TypeAlias
from zlib import crc32

import msgspec

from rmqgateway.errors import WireError

__all__ = [
    "MAGIC_V1",
    "MAGIC_V2",
    "NO_HOST",
    "Buffer",
    "StoredMessage",
    "body",
    "body_crc",
    "body_view",
    "born_host",
    "born_timestamp",
    "decode",
    "encode",
    "flag",
    "is_stored_at",
    "iterate",
    "message_sizes",
    "patch_offsets",
    "patch_store_host",
    "patch_store_timestamp",
    "patch_sys_flag",
    "physical_offset",
    "prepared_transaction_offset",
    "properties",
    "queue_id",
    "queue_offset",
    "reconsume_times",
    "store_host",
    "store_timestamp",
    "sys_flag",
    "topic",
    "total_size",
    "with_reconsume_times",
    "with_store_host",
]

Buffer: TypeAlias = bytes | bytearray | memoryview

MAGIC_V1 = 0xDAA320A7
#: Written when the topic has more than 127 bytes.
MAGIC_V2 = 0xDAA320AB
#: The IPv4 host 0.0.0.0:0, for fields that are filled in later.
NO_HOST = bytes(8)

#: Smallest message: IPv4 hosts, no body, no topic, no properties.
MIN_SIZE = 91
MAX_PROPERTIES = 32767
_V6_BORN = 0x10
_V6_STORE = 0x20

_HEAD = struct.Struct(">IIIiiqqiq8sq8siqI")
_pack_head = _HEAD.pack
_HEAD_ANY = struct.Struct(">IIIiiqqiq")
_TAIL_ANY = struct.Struct(">iqI")
_U32 = struct.Struct(">I")
_I32 = struct.Struct(">i")
_I64 = struct.Struct(">q")
_U16 = struct.Struct(">H")
_OFFSETS = struct.Struct(">qq")
_read_u32 = _U32.unpack_from
_read_i32 = _I32.unpack_from
_read_i64 = _I64.unpack_from
_read_u16 = _U16.unpack_from
_pack_u16 = _U16.pack
_SHORT_SIZES = [_U16.pack(size) for size in range(1024)]
_BYTES = [bytes((size,)) for size in range(128)]


class StoredMessage(msgspec.Struct, gc=False):
    """A stored message, taken apart.

    :ivar flag: the producer's own flag. :ivar sys_flag: ``MessageSysFlag`` bits.
    :ivar born_host: 4 or 16 address bytes and 4 of the port; so is store_host.
    :ivar body: as stored, maybe compressed. :ivar properties: as stored, see ``message_properties``.
    :ivar body_crc: CRC-32 of the body without its top bit.
    """

    topic: bytes
    queue_id: int
    body: bytes
    properties: bytes = b""
    flag: int = 0
    sys_flag: int = 0
    queue_offset: int = 0
    physical_offset: int = 0
    born_timestamp: int = 0
    born_host: bytes = NO_HOST
    store_timestamp: int = 0
    store_host: bytes = NO_HOST
    reconsume_times: int = 0
    prepared_transaction_offset: int = 0
    body_crc: int = 0


def encode(
    topic: bytes,
    queue_id: int,
    body: Buffer,
    properties: bytes = b"",
    flag: int = 0,
    sys_flag: int = 0,
    born_timestamp: int = 0,
    born_host: bytes = NO_HOST,
    store_timestamp: int = 0,
    store_host: bytes = NO_HOST,
    reconsume_times: int = 0,
    prepared_transaction_offset: int = 0,
    queue_offset: int = 0,
    physical_offset: int = 0,
) -> bytearray:
    """One stored message, ready to be patched by the store. The bits of IPv6 hosts in `sys_flag` follow the
    hosts given.

    :param topic: UTF-8. :param properties: already encoded. Times in ms since the epoch.
    :raise WireError: not fatal: a field does not fit its place.
    """
    body_size = len(body)
    topic_size = len(topic)
    properties_size = len(properties)
    try:
        if properties_size < 1024:
            properties_prefix = _SHORT_SIZES[properties_size]
        else:
            if properties_size > MAX_PROPERTIES:
                raise WireError(
                    f"message properties: expected at most {MAX_PROPERTIES} bytes, got {properties_size}",
                    fatal=False,
                )
            properties_prefix = _pack_u16(properties_size)
        if topic_size < 128:
            magic = MAGIC_V1
            topic_prefix = _BYTES[topic_size]
            total = 91 + body_size + topic_size + properties_size
        else:
            if topic_size > 32767:
                raise WireError(f"topic: expected at most 32767 bytes, got {topic_size}", fatal=False)
            magic = MAGIC_V2
            topic_prefix = _pack_u16(topic_size)
            total = 92 + body_size + topic_size + properties_size
        if len(born_host) == 8 and len(store_host) == 8:
            head = _pack_head(
                total,
                magic,
                crc32(body) & 0x7FFFFFFF,
                queue_id,
                flag,
                queue_offset,
                physical_offset,
                sys_flag & ~0x30,
                born_timestamp,
                born_host,
                store_timestamp,
                store_host,
                reconsume_times,
                prepared_transaction_offset,
                body_size,
            )
        else:
            for name, host in (("born host", born_host), ("store host", store_host)):
                if len(host) not in (8, 20):
                    raise WireError(f"{name}: expected 8 or 20 bytes, got {len(host)}", fatal=False)
            total += len(born_host) + len(store_host) - 16
            sys_flag &= ~0x30
            sys_flag |= (_V6_BORN if len(born_host) == 20 else 0) | (
                _V6_STORE if len(store_host) == 20 else 0
            )
            head = b"".join(
                (
                    _HEAD_ANY.pack(
                        total,
                        magic,
                        crc32(body) & 0x7FFFFFFF,
                        queue_id,
                        flag,
                        queue_offset,
                        physical_offset,
                        sys_flag,
                        born_timestamp,
                    ),
                    born_host,
                    _I64.pack(store_timestamp),
                    store_host,
                    _TAIL_ANY.pack(reconsume_times, prepared_transaction_offset, body_size),
                )
            )
    except struct.error as error:
        raise WireError(f"stored message: a number does not fit its field: {error}", fatal=False) from None
    return bytearray().join((head, body, topic_prefix, topic, properties_prefix, properties))


def _body_position(message: Buffer) -> int:
    """Where the size of the body stands."""
    bits = _read_i32(message, 36)[0]
    if bits & 0x30:
        return 84 + (12 if bits & _V6_BORN else 0) + (12 if bits & _V6_STORE else 0)
    return 84


def _checked_size(data: Buffer, start: int, size: int) -> int:
    """The total size of the message at `start`, every length in it checked; `size` is that of all data."""
    if size - start < MIN_SIZE:
        raise WireError(
            f"stored message at {start}: expected at least {MIN_SIZE} bytes, got {size - start}", fatal=False
        )
    total, magic = struct.unpack_from(">II", data, start)
    if total < MIN_SIZE or total > size - start:
        raise WireError(
            f"stored message at {start}: expected a size of {MIN_SIZE}..{size - start}, got {total}",
            fatal=False,
        )
    if magic != MAGIC_V1 and magic != MAGIC_V2:
        raise WireError(
            f"stored message at {start}: expected a message's magic number, got {magic:#x}", fatal=False
        )
    bits = _read_i32(data, start + 36)[0]
    place = 84 + (12 if bits & _V6_BORN else 0) + (12 if bits & _V6_STORE else 0)
    # What must fit behind the body: both sizes of topic and properties.
    rest = 3 if magic == MAGIC_V1 else 4
    if place + 4 + rest > total:
        raise WireError(
            f"stored message at {start}: expected at least {place + 4 + rest} bytes, got {total}", fatal=False
        )
    body_size = _read_u32(data, start + place)[0]
    if body_size > total - place - 4 - rest:
        raise WireError(
            f"stored message at {start}: expected a body of at most {total - place - 4 - rest} bytes,"
            f" got {body_size}",
            fatal=False,
        )
    place += 4 + body_size
    topic_size = data[start + place] if rest == 3 else _read_u16(data, start + place)[0]
    place += rest - 2 + topic_size
    if place + 2 > total:
        raise WireError(
            f"stored message at {start}: its topic of {topic_size} bytes passes its end", fatal=False
        )
    properties_size = _read_u16(data, start + place)[0]
    if place + 2 + properties_size != total:
        raise WireError(
            f"stored message at {start}: expected properties of {total - place - 2} bytes,"
            f" got {properties_size}",
            fatal=False,
        )
    return int(total)


def message_sizes(data: Buffer, max_messages: int = 1_000_000) -> list[tuple[int, int]]:
    """Check a buffer of messages one after the other; return (start, total size) of each.

    :raise WireError: not fatal: bytes that are not whole messages, or more than `max_messages`.
    """
    found: list[tuple[int, int]] = []
    start = 0
    size = len(data)
    while start < size:
        if len(found) >= max_messages:
            raise WireError(f"stored messages: expected at most {max_messages}", fatal=False)
        total = _checked_size(data, start, size)
        found.append((start, total))
        start += total
    return found


def iterate(data: Buffer, max_messages: int = 1_000_000) -> Iterator[StoredMessage]:
    """The messages of a pull or pop answer's body.

    :raise WireError: not fatal, before the first message: the body is not whole messages.
    """
    view = memoryview(data)
    for start, total in message_sizes(data, max_messages):
        yield _decode_checked(view[start : start + total])


def decode(message: Buffer) -> StoredMessage:
    """Take the message at the beginning of a buffer apart.

    :raise WireError: not fatal: a length passes the end of the buffer or contradicts another one, or the
        magic number is unknown.
    """
    _checked_size(message, 0, len(message))
    return _decode_checked(message)


def _decode_checked(message: Buffer) -> StoredMessage:
    _, magic, crc, number, producer_flag, offset, position, bits, born = _HEAD_ANY.unpack_from(message)
    store_place = 56 if not bits & _V6_BORN else 68
    tail = store_place + (16 if not bits & _V6_STORE else 28)
    times, prepared, body_size = _TAIL_ANY.unpack_from(message, tail)
    start = tail + 16
    topic_place = start + body_size
    if magic == MAGIC_V1:
        topic_start = topic_place + 1
        topic_end = topic_start + message[topic_place]
    else:
        topic_start = topic_place + 2
        topic_end = topic_start + _read_u16(message, topic_place)[0]
    properties_start = topic_end + 2
    return StoredMessage(
        bytes(message[topic_start:topic_end]),
        number,
        bytes(message[start:topic_place]),
        bytes(message[properties_start : properties_start + _read_u16(message, topic_end)[0]]),
        producer_flag,
        bits,
        offset,
        position,
        born,
        bytes(message[48:store_place]),
        _read_i64(message, store_place)[0],
        bytes(message[store_place + 8 : tail]),
        times,
        prepared,
        crc,
    )


def is_stored_at(data: bytes, physical_offset: int) -> bool:
    """Whether these bytes are what a broker stored at that place of its log: one whole message that says so itself.

    A broker takes whatever place it is asked for as the beginning of a message, also one within a producer's body, where
    the producer may have written what looks like a message that goes on into those of others behind it. Such a one is told by
    the CRC of its body, or by its properties: they are text, and the head of a stored message (its magic number) is none.
    """
    try:
        if len(message_sizes(data, 1)) != 1:
            return False
        message = _decode_checked(data)
    except WireError:
        return False
    if message.physical_offset != physical_offset or crc32(message.body) & 0x7FFFFFFF != message.body_crc:
        return False
    try:
        str(message.properties, "utf-8")
    except UnicodeDecodeError:
        return False
    return True


def total_size(message: Buffer) -> int:
    """Bytes of the whole message."""
    size: int = _read_u32(message, 0)[0]
    return size


def body_crc(message: Buffer) -> int:
    """The CRC of the body that the message states."""
    crc: int = _read_u32(message, 8)[0]
    return crc


def queue_id(message: Buffer) -> int:
    """The queue's number."""
    number: int = _read_i32(message, 12)[0]
    return number


def flag(message: Buffer) -> int:
    """The producer's own flag."""
    value: int = _read_i32(message, 16)[0]
    return value


def queue_offset(message: Buffer) -> int:
    """Its place in its queue."""
    offset: int = _read_i64(message, 20)[0]
    return offset


def physical_offset(message: Buffer) -> int:
    """Its place in the log."""
    offset: int = _read_i64(message, 28)[0]
    return offset


def sys_flag(message: Buffer) -> int:
    """``MessageSysFlag`` bits."""
    bits: int = _read_i32(message, 36)[0]
    return bits


def born_timestamp(message: Buffer) -> int:
    """When the producer made it, ms."""
    time: int = _read_i64(message, 40)[0]
    return time


def born_host(message: Buffer) -> bytes:
    """Address (4 or 16 bytes) and port (4 bytes) of the producer."""
    return bytes(message[48 : 68 if _read_i32(message, 36)[0] & _V6_BORN else 56])


def _store_place(message: Buffer) -> int:
    return 68 if _read_i32(message, 36)[0] & _V6_BORN else 56


def store_timestamp(message: Buffer) -> int:
    """When the broker stored it, ms."""
    time: int = _read_i64(message, _store_place(message))[0]
    return time


def store_host(message: Buffer) -> bytes:
    """Address (4 or 16 bytes) and port (4 bytes) of the broker."""
    place = _store_place(message) + 8
    return bytes(message[place : place + (20 if _read_i32(message, 36)[0] & _V6_STORE else 8)])


def reconsume_times(message: Buffer) -> int:
    """How often it was given back."""
    times: int = _read_i32(message, _body_position(message) - 12)[0]
    return times


def prepared_transaction_offset(message: Buffer) -> int:
    """Where the half message of this one stands, for commits and rollbacks."""
    offset: int = _read_i64(message, _body_position(message) - 8)[0]
    return offset


def body_view(message: Buffer) -> memoryview:
    """The body as stored, without a copy."""
    place = _body_position(message)
    return memoryview(message)[place + 4 : place + 4 + _read_u32(message, place)[0]]


def body(message: Buffer) -> bytes:
    """A copy of the body as stored."""
    place = _body_position(message)
    return bytes(message[place + 4 : place + 4 + _read_u32(message, place)[0]])


def _topic_place(message: Buffer) -> tuple[int, int]:
    place = _body_position(message)
    place += 4 + _read_u32(message, place)[0]
    if message[7] == 0xA7:
        return place + 1, place + 1 + message[place]
    return place + 2, place + 2 + _read_u16(message, place)[0]


def topic(message: Buffer) -> bytes:
    """The topic, UTF-8."""
    start, end = _topic_place(message)
    return bytes(message[start:end])


def properties(message: Buffer) -> bytes:
    """A copy of the property string; see ``message_properties``."""
    end = _topic_place(message)[1]
    return bytes(message[end + 2 : end + 2 + _read_u16(message, end)[0]])


def patch_offsets(message: bytearray | memoryview, queue_offset: int, physical_offset: int) -> None:
    """Set both offsets, in place."""
    _OFFSETS.pack_into(message, 20, queue_offset, physical_offset)


def patch_sys_flag(message: bytearray | memoryview, sys_flag: int) -> None:
    """Set the system flag, in place; the bits of IPv6 hosts stay as they are."""
    kept = _read_i32(message, 36)[0] & 0x30
    _I32.pack_into(message, 36, sys_flag & ~0x30 | kept)


def patch_store_timestamp(message: bytearray | memoryview, timestamp: int) -> None:
    """Set the store timestamp, in place."""
    _I64.pack_into(message, _store_place(message), timestamp)


def patch_store_host(message: bytearray | memoryview, host: bytes) -> None:
    """Set the store host, in place.

    :raise WireError: not fatal: `host` is not as long as the one there (8 bytes, or 20 if the system flag
        says IPv6).
    """
    place = _store_place(message) + 8
    size = 20 if _read_i32(message, 36)[0] & _V6_STORE else 8
    if len(host) != size:
        raise WireError(f"store host: expected {size} bytes, got {len(host)}", fatal=False)
    message[place : place + size] = host


def with_store_host(message: Buffer, host: bytes) -> bytes:
    """A copy with another store host, of either family: sizes and the system flag follow.

    :param host: 4 or 16 address bytes and 4 of the port.
    :raise WireError: not fatal: `host` has another length.
    """
    bits = _read_i32(message, 36)[0]
    place = (68 if bits & _V6_BORN else 56) + 8
    old_size = 20 if bits & _V6_STORE else 8
    new_size = len(host)
    if new_size == old_size:
        return b"".join((message[:place], host, message[place + old_size :]))
    if new_size not in (8, 20):
        raise WireError(f"store host: expected 8 or 20 bytes, got {new_size}", fatal=False)
    copy = bytearray().join((message[:place], host, message[place + old_size :]))
    _U32.pack_into(copy, 0, len(copy))
    _I32.pack_into(copy, 36, bits & ~_V6_STORE | (_V6_STORE if new_size == 20 else 0))
    return bytes(copy)


def with_reconsume_times(message: Buffer, times: int) -> bytes:
    """A copy with another count of how often it was given back."""
    copy = bytearray(message)
    _I32.pack_into(copy, _body_position(message) - 12, times)
    return bytes(copy)
