"""The layout of the log: records in segments, each with a check of its own. Sans-IO.

A segment starts with a header of 64 bytes (`SEGMENT_HEADER`); records follow one after the other, zeros after the last.
A record (all big-endian)::

    u32 magic | u32 crc | u32 payload length | u8 kind | u8 sub | u16 keys | u32 topic | u32 queue | u64 position
    payload | keys * u32 key hash

`position` is that of the record itself in the log: 64 bits that count all segments through. It makes a record
recognisable wherever it is found, and it is the physical offset of a message. The crc (zlib.crc32) covers everything
after itself, but in a PAD record the header only: a PAD takes the place of bytes that were found damaged.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple
from zlib import crc32

__all__ = [
    "DROP", "END", "MAGIC", "MAGIC_BYTES", "MESSAGE", "META", "PAD", "RECORD_HEADER", "SEGMENT_HEADER", "STATE", "VERSION",
    "Record", "frame", "pack_changes", "pack_head",
    "pack_rest", "pack_segment_header", "pad", "parse", "size_at", "unpack_changes", "unpack_record",
    "unpack_segment_header",
]  # fmt: skip

#: The format version of segments, indexes, snapshots and the directory; a newer one is refused.
VERSION = 1
MAGIC_BYTES = b"\xd1RQ\xae"
MAGIC = int.from_bytes(MAGIC_BYTES, "big")
RECORD_HEADER = 32
SEGMENT_HEADER = 64

#: Kinds of records.
MESSAGE = 1  # topic, queue; payload: the stored message
STATE = 2  # sub: the state kind; queue: how many bytes back what it needs begins, or 0; payload: the owner's
META = 3  # payload: changes of the metadata; written twice (sub 0 and 1), so one flipped bit cannot lose a topic
DROP = 4  # topic: all its queues are forgotten
END = 5  # the rest of this segment is unused
PAD = 6  # damaged bytes were here; length covers them

#: length, kind, sub, number of keys, topic, queue, position; then magic, crc and these.
pack_rest = Struct(">IBBHIIQ").pack
pack_head = Struct(">II24s").pack
#: magic, crc, length, kind, sub, keys, topic, queue, position.
unpack_record = Struct(">IIIBBHIIQ").unpack_from
_SEGMENT = Struct(">8sII QQ")
_SEGMENT_MAGIC = b"RMQGWLOG"
_CHANGE = Struct(">HHi")


class Record(NamedTuple):
    """A valid record found at `at` in some buffer."""

    kind: int
    sub: int
    keys: int
    topic: int
    queue: int
    begin: int
    end: int
    total: int


def frame(kind: int, sub: int, topic: int, queue: int, position: int, payload: bytes, hashes: bytes = b"") -> bytes:
    """The header of a record; payload and hashes follow it in the log."""
    rest = pack_rest(len(payload), kind, sub, len(hashes) >> 2, topic, queue, position)
    crc = crc32(payload, crc32(rest))
    return pack_head(MAGIC, crc32(hashes, crc) if hashes else crc, rest)


def pad(position: int, length: int) -> bytes:
    """The header of a PAD over `length` bytes (header included) at `position`."""
    rest = pack_rest(length - RECORD_HEADER, PAD, 0, 0, 0, 0, position)
    return pack_head(MAGIC, crc32(rest), rest)


def size_at(buffer: bytes | memoryview, at: int, position: int) -> int:
    """How long the record whose header is at `at` says that it is, or 0 if there is no header for `position`."""
    if at + RECORD_HEADER > len(buffer):
        return 0
    magic, _, length, _, _, keys, _, _, its_position = unpack_record(buffer, at)
    return RECORD_HEADER + int(length) + 4 * int(keys) if magic == MAGIC and its_position == position else 0


def parse(buffer: memoryview, at: int, position: int) -> Record | None:
    """The record at `at`, if a whole and undamaged one for this position is there."""
    if at + RECORD_HEADER > len(buffer):
        return None
    magic, crc, length, kind, sub, keys, topic, queue, its_position = unpack_record(buffer, at)
    begin = at + RECORD_HEADER
    end = begin + length
    total = RECORD_HEADER + length + 4 * keys
    if magic != MAGIC or its_position != position:
        return None
    if kind == PAD:
        if crc32(buffer[at + 8 : begin]) != crc:
            return None
    elif at + total > len(buffer) or crc32(buffer[at + 8 : at + total]) != crc:
        return None
    return Record(kind, sub, keys, topic, queue, begin, end, total)


def pack_segment_header(base: int, size: int) -> bytes:
    """The first 64 bytes of the segment that starts at `base` and is `size` long."""
    body = _SEGMENT.pack(_SEGMENT_MAGIC, VERSION, 0, base, size)
    return _SEGMENT.pack(_SEGMENT_MAGIC, VERSION, crc32(body), base, size).ljust(SEGMENT_HEADER, b"\0")


def unpack_segment_header(header: bytes) -> tuple[int, int, int] | None:
    """(version, base, size), or None if the header is damaged."""
    if len(header) < SEGMENT_HEADER:
        return None
    magic, version, crc, base, size = _SEGMENT.unpack_from(header)
    if magic != _SEGMENT_MAGIC or crc32(_SEGMENT.pack(magic, version, 0, base, size)) != crc or any(header[32:64]):
        return None
    return int(version), int(base), int(size)


def pack_changes(changes: list[tuple[str, str, bytes | None]]) -> bytes:
    """Metadata changes as a payload; a value of None deletes."""
    parts: list[bytes] = []
    for table, key, value in changes:
        table_bytes, key_bytes = table.encode(), key.encode()
        parts.append(_CHANGE.pack(len(table_bytes), len(key_bytes), -1 if value is None else len(value)))
        parts += (table_bytes, key_bytes) if value is None else (table_bytes, key_bytes, value)
    return b"".join(parts)


def unpack_changes(payload: bytes) -> Iterator[tuple[str, str, bytes | None]]:
    """What :func:`pack_changes` packed."""
    at = 0
    while at < len(payload):
        table_size, key_size, value_size = _CHANGE.unpack_from(payload, at)
        key_at = at + _CHANGE.size + table_size
        value_at = key_at + key_size
        at = value_at + max(value_size, 0)
        value = None if value_size < 0 else payload[value_at:at]
        yield payload[key_at - table_size : key_at].decode(), payload[key_at:value_at].decode(), value
