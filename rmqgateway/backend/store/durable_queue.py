"""One message queue of the durable store: the hot path of sends and pulls."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from struct import Struct, unpack_from
from typing import TYPE_CHECKING
from zlib import crc32

from zope.interface import implementer

from rmqgateway.backend.store.interfaces import IStoredQueue
from rmqgateway.backend.store.records import MAGIC, MESSAGE, RECORD_HEADER, pack_head, pack_rest

if TYPE_CHECKING:
    from rmqgateway.backend.store.durable import DurableStore
    from rmqgateway.backend.store.segment import Segment

__all__ = ["DurableQueue", "offset_of", "timestamp_of"]

pack_offsets = Struct(">qq").pack_into
_HASHES = [Struct(f">{n}I") for n in range(9)]
_pack_two = _HASHES[2].pack


def timestamp_of(message: bytes) -> int:
    """The store timestamp (ms) of a stored message: after the born host, whose length sysFlag (bit 4) tells; else 0."""
    at = 68 if len(message) > 39 and message[39] & 16 else 56
    return int(unpack_from(">q", message, at)[0]) if len(message) >= at + 8 else 0


def offset_of(message: bytes) -> int:
    """The queue offset of a stored message."""
    return int.from_bytes(message[20:28], "big")


@implementer(IStoredQueue)
class DurableQueue:
    """See IStoredQueue.

    :ivar index: [key, first offset, position...] of this queue's messages in the newest segment that has any, until
        that segment's index file has taken over; `index_base` says which segment.
    """

    __slots__ = ("_cursor", "dropped", "index", "index_base", "key", "max_offset", "min_offset", "next_offset", "store")

    def __init__(self, store: DurableStore, key: int, min_offset: int = 0, next_offset: int = 0) -> None:
        self.store = store
        self.key = key
        self.min_offset = min_offset
        self.max_offset = self.next_offset = next_offset
        self.index: array[int] | None = None
        self.index_base = -1
        self.dropped = False
        self._cursor: tuple[Segment, int, int, int] | None = None

    def append(self, message: bytearray, keys: Sequence[bytes] = ()) -> int:
        """See IStoredQueue."""
        store = self.store
        if store.refusal is not None or self.dropped:
            store.refuse(self)
        count = len(keys)
        size = RECORD_HEADER + len(message) + 4 * count
        if store.tail + size > store.limit:
            store.roll(size)
        position = store.tail
        base = store.base
        offset = self.next_offset
        key = self.key
        group = store.group
        parts = group.parts
        # records.frame, spelled out: this is the hottest place of a send.
        pack_offsets(message, 20, offset, position)
        data = bytes(message)
        rest = pack_rest(len(data), MESSAGE, 0, count, key >> 32, key & 0xFFFFFFFF, position)
        crc = crc32(data, crc32(rest))
        if count:
            table = store.keys
            place = position - base
            if count == 2:
                # A unique key and one key: what nearly every message has.
                first, second = crc32(keys[0]), crc32(keys[1])
                hashes = _pack_two(first, second)
                table.hashes.append(first)
                table.hashes.append(second)
                table.places.append(place)
                table.places.append(place)
            else:
                numbers = [crc32(it) for it in keys]
                hashes = (_HASHES[count] if count < 9 else Struct(f">{count}I")).pack(*numbers)
                table.hashes.extend(numbers)
                table.places.extend([place] * count)
            parts += (pack_head(MAGIC, crc32(hashes, crc), rest), data, hashes)
        else:
            parts += (pack_head(MAGIC, crc, rest), data)
        store.tail = position + size
        self.next_offset = offset + 1
        index = self.index
        if index is None or self.index_base != base:
            self.index = index = array("Q", (key, offset, position))
            self.index_base = base
            store.touched.append(index)
        else:
            index.append(position)
        store.recent[position] = data
        group.queues.append(self)
        group.size += size
        if not store.scheduled or group.size >= store.group_bytes:
            store.schedule()
        return position

    def read(self, offset: int, max_messages: int, max_bytes: int) -> list[bytes]:
        """See IStoredQueue."""
        found: list[bytes] = []
        end = self.max_offset
        if not self.min_offset <= offset < end or self.dropped:
            return found
        store = self.store
        recent = store.recent
        newest = self.index
        if end - offset == 1 and newest is not None and 2 <= (at := offset - newest[1] + 2) < len(newest):
            # The newest, as for whoever keeps up; of what is asked for, the first is given whatever its size.
            message = recent.get(newest[at])
            if message is not None and max_messages > 0:
                return [message]
        left = max_messages
        while left > 0 and offset < end:
            index = self.index
            if index is not None and offset >= index[1]:
                at = offset - index[1] + 2
                positions: Sequence[int] = index[at : at + min(left, end - offset)]
            else:
                offset, positions = self.locate(offset, min(left, end - offset))
                if offset + len(positions) > end:  # beyond a gap; the rest is not durable yet
                    positions = positions[: max(end - offset, 0)]
            if not positions:
                break
            first = positions[0]
            if first < store.recent_floor:
                dense = positions[-1] - first < len(positions) << 14
                if dense and first:
                    many = len(found)
                    max_bytes = store.fetch_run(positions, max_bytes, found)
                    if max_bytes < 0:
                        return found
                    left -= len(found) - many
                    offset += len(positions)
                    continue
            else:
                dense = False
                # All of them are in memory, as for whoever keeps up: no look at each.
                in_memory = list(map(recent.get, positions))
                if None not in in_memory:
                    size = sum(map(len, in_memory))  # type: ignore[arg-type]
                    if size <= max_bytes:
                        found += in_memory  # type: ignore[arg-type]
                        max_bytes -= size
                        left -= len(positions)
                        offset += len(positions)
                        continue
            for position in positions:
                message = recent.get(position)
                if message is None:
                    message = store.fetch(position, dense) if position else None
                    if message is None:
                        continue
                max_bytes -= len(message)
                if max_bytes < 0 and found:
                    return found
                found.append(message)
                left -= 1
            offset += len(positions)
        return found

    def locate(self, offset: int, count: int) -> tuple[int, Sequence[int]]:
        """Find where messages from `offset` on are: (offset of the first, positions); 0 is a hole.

        The offset is larger than the wanted one where messages are missing; nothing is found beyond the last. Only
        within one segment; the cursor makes going on cheap.
        """
        log = self.store.log
        cursor = self._cursor
        if cursor is not None:
            segment, first, start, size = cursor
            if first <= offset < first + size and segment.header is not None and segment.base >= log.bases[0]:
                at = offset - first
                return offset, self.store.index_of(segment).positions(start + at, min(count, size - at))
        low, high = 0, len(log.segments)
        best: tuple[Segment, int, int, int] | None = None
        while low < high:
            middle = (low + high) // 2
            at, entry = middle, self._entry(log.segments[middle])
            while entry is None and at + 1 < high:
                at += 1
                entry = self._entry(log.segments[at])
            if entry is None:
                high = middle
            elif offset < entry[0]:
                best = (log.segments[at], *entry)
                high = middle
            elif offset >= entry[0] + entry[2]:
                low = at + 1
            else:
                best = (log.segments[at], *entry)
                break
        if best is None:
            return offset, ()
        segment, first, start, size = best
        offset = max(first, offset)
        at = offset - first
        count = min(count, size - at)
        if segment.header is not None:
            self._cursor = best
            return offset, self.store.index_of(segment).positions(start + at, count)
        index = self.index if self.index_base == segment.base else segment.find_touched(self.key)
        return offset, () if index is None else index[at + 2 : at + 2 + count]

    def _entry(self, segment: Segment) -> tuple[int, int, int] | None:
        """(first offset, start, count) of this queue in a segment."""
        if segment.header is not None:
            return self.store.index_of(segment).find(self.key)
        if self.index is not None and self.index_base == segment.base:
            index: array[int] | None = self.index
        elif segment is self.store.active:
            return None
        else:
            index = segment.find_touched(self.key)
        return None if index is None else (index[1], 0, len(index) - 2)

    def position(self, offset: int) -> int:
        """The position of the message at `offset`, or 0."""
        index = self.index
        if index is not None and offset >= index[1]:
            return index[offset - index[1] + 2] if offset - index[1] + 2 < len(index) else 0
        found, positions = self.locate(offset, 1)
        return positions[0] if positions and found == offset else 0

    def store_timestamp(self, offset: int) -> int:
        """See IStoredQueue."""
        if not self.min_offset <= offset < self.max_offset or self.dropped:
            return -1
        position = self.position(offset)
        message = (self.store.recent.get(position) or self.store.fetch(position, False)) if position else None
        return -1 if message is None else timestamp_of(message)

    def offset_by_time(self, timestamp: int, lower: bool = True) -> int:
        """See IStoredQueue."""
        low, high = self.min_offset, self.max_offset
        while low < high:
            middle = at = (low + high) // 2
            time = self.store_timestamp(at)
            while time < 0 and at + 1 < high:  # a hole: what is after it decides
                at += 1
                time = self.store_timestamp(at)
            if time < 0:
                high = middle
            elif time < timestamp or (time == timestamp and not lower):
                low = at + 1
            else:
                high = middle
        return low if lower else max(low - 1, self.min_offset)
