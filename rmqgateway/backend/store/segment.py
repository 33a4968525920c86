"""The log's files as the store holds them, and reading what is no longer in memory."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from zlib import crc32

from rmqgateway.backend.store.disk import Disk
from rmqgateway.backend.store.records import (
    MAGIC,
    MESSAGE,
    RECORD_HEADER,
    Record,
    parse,
    size_at,
    unpack_record,
)
from rmqgateway.backend.store.sidecar import KeyTable, Sidecar, SidecarHeader

__all__ = ["Log", "Segment"]

_CHUNK = 1 << 18
_SMALL = 1 << 12
_MOST_FILES = 64


class Segment:
    """One file of the log.

    :ivar base: the position of its first byte; `end` that after its last.
    :ivar touched: per queue [topic << 32 | queue, first offset, position...], until the index file is durable.
    :ivar keys: likewise for keys.
    :ivar header: what the index file states, once there is one.
    """

    def __init__(self, path: str, base: int, size: int) -> None:
        self.path = path
        self.index_path = path.removesuffix(".seg") + ".index"
        self.base = base
        self.size = size
        self.end = base + size
        self.fd = -1
        self.touched: list[array[int]] = []
        self.keys: KeyTable | None = None
        self.header: SidecarHeader | None = None
        self.messages = 0
        self.first_message = self.last_message = 0
        self._by_queue: dict[int, array[int]] = {}

    def find_touched(self, key: int) -> array[int] | None:
        """What `touched` has of a queue. Only once nothing is appended here any more, or while opening."""
        if len(self._by_queue) != len(self.touched):
            self._by_queue = {index[0]: index for index in self.touched}
        return self._by_queue.get(key)

    def forget_touched(self) -> None:
        """The index file has taken over."""
        self.touched = []
        self.keys = None
        self._by_queue = {}


class Log:
    """Segments in order, their open files, and what was read of them lately."""

    def __init__(self, disk: Disk, read_ahead_bytes: int, index_files: int) -> None:
        self.segments: list[Segment] = []
        self.bases: list[int] = []
        self._disk = disk
        self._chunks: OrderedDict[int, bytes] = OrderedDict()
        self._most_chunks = max(read_ahead_bytes // _CHUNK, 1)
        self._index_files = index_files
        self._indexes: OrderedDict[int, Sidecar] = OrderedDict()
        self._open_files: OrderedDict[int, Segment] = OrderedDict()

    def add(self, segment: Segment) -> None:
        """A segment after all the others."""
        self.segments.append(segment)
        self.bases.append(segment.base)

    def remove_first(self) -> Segment:
        """Forget the oldest segment; its files are the caller's to remove."""
        segment = self.segments[0]
        self.remove(segment)
        return segment

    def remove(self, segment: Segment) -> None:
        """Forget a segment, with no file of it open; they are the caller's to remove."""
        number = self.segments.index(segment)
        del self.segments[number], self.bases[number]
        self._chunks.clear()
        self.forget_index(segment)
        self._open_files.pop(segment.base, None)
        self._close_file(segment)

    @staticmethod
    def _close_file(segment: Segment) -> None:
        if segment.fd >= 0:
            os.close(segment.fd)
            segment.fd = -1

    def close(self) -> None:
        """Close all files, those of segments that were opened before they were added too."""
        for segment in (*self.segments, *self._open_files.values()):
            self._close_file(segment)
        for index in self._indexes.values():
            index.close()
        self._open_files.clear()
        self._indexes.clear()

    def at(self, position: int) -> Segment | None:
        """The segment that covers a position."""
        number = bisect_right(self.bases, position) - 1
        if number < 0 or position >= self.segments[number].end:
            return None
        return self.segments[number]

    def file(self, segment: Segment, *, keep: bool = False) -> int:
        """The open file of a segment. Old ones are closed when many are open, but those opened with `keep`."""
        if segment.fd < 0:
            segment.fd = os.open(segment.path, os.O_RDWR | os.O_CLOEXEC)
            if not keep:
                self.release(segment)
        if keep:
            self._open_files.pop(segment.base, None)
        return segment.fd

    def release(self, segment: Segment) -> None:
        """A file opened with `keep` may be closed when many are open."""
        if segment.fd >= 0:
            self._open_files[segment.base] = segment
            if len(self._open_files) > _MOST_FILES:
                self._close_file(self._open_files.popitem(last=False)[1])

    def index(self, segment: Segment) -> Sidecar:
        """The loaded index of a sealed segment.

        :raise ValueError: it is damaged.
        """
        found = self._indexes.get(segment.base)
        if found is None:
            if segment.header is None:
                raise ValueError("no index")
            found = Sidecar(self._disk, segment.index_path, segment.header)
            self._indexes[segment.base] = found
            if len(self._indexes) > self._index_files:
                self._indexes.popitem(last=False)[1].close()
        else:
            self._indexes.move_to_end(segment.base)
        return found

    def forget_index(self, segment: Segment) -> None:
        """The index of this segment is no longer what is loaded."""
        index = self._indexes.pop(segment.base, None)
        if index is not None:
            index.close()

    def read(self, position: int, durable: int, dense: bool) -> tuple[bytes, int, Record] | None:
        """The record at `position`: (buffer, where it begins in it, record), or None if there is no undamaged one.

        :param durable: where the durable part of the log ends: nothing beyond is read, or kept for later readers.
        :param dense: the caller goes on reading near by: read ahead.
        """
        segment = self.at(position)
        if segment is None or position >= durable:
            return None
        chunk_at, chunk = self._chunk(segment, position, durable, dense)
        if chunk is not None:
            begin = position - chunk_at
            total = size_at(chunk, begin, position)
            if total and begin + total <= len(chunk):
                record = parse(memoryview(chunk), begin, position)
                return None if record is None else (chunk, begin, record)
        limit = min(durable, segment.end) - position
        fd = self.file(segment)
        buffer = self._disk.pread(fd, min(_SMALL, limit), position - segment.base)
        total = size_at(buffer, 0, position)
        if total > len(buffer):
            if total > limit:
                return None
            buffer = self._disk.pread(fd, total, position - segment.base)
        record = parse(memoryview(buffer), 0, position) if total else None
        return None if record is None else (buffer, 0, record)

    def _chunk(self, segment: Segment, position: int, durable: int, load: bool) -> tuple[int, bytes | None]:
        """The part of a segment around `position` that is in memory, or (with `load`) gets there; where it begins."""
        chunk_at = segment.base + (position - segment.base & -_CHUNK)
        chunk = self._chunks.get(chunk_at)
        if chunk is None and load:
            size = min(_CHUNK, segment.end - chunk_at)
            if chunk_at + size <= durable:
                chunk = self._disk.pread(self.file(segment), size, chunk_at - segment.base)
                self._chunks[chunk_at] = chunk
                if len(self._chunks) > self._most_chunks:
                    self._chunks.popitem(last=False)
        return chunk_at, chunk

    def read_run(
        self, positions: Sequence[int], durable: int, max_bytes: int, found: list[bytes], damaged: Callable[[int], object]
    ) -> int:
        """Read messages that lie near each other into `found`, as DurableQueue.read wants them; catching up is hot, too.

        :return: what is left of `max_bytes`; below 0, one message did not fit any more.
        """
        chunk_at, chunk, last = 0, b"", -1
        view = memoryview(chunk)
        for position in positions:
            begin = position - chunk_at
            if not 0 <= begin <= last:
                segment = self.at(position)
                if segment is not None:
                    at, there = self._chunk(segment, position, durable, True)
                    if there is None and position < durable:  # near the end: what follows is not final yet
                        at, size = position, min(_CHUNK >> 2, durable - position, segment.end - position)
                        there = self._disk.pread(self.file(segment), size, position - segment.base)
                    if there is not None:
                        chunk_at, chunk, view, last = at, there, memoryview(there), len(there) - RECORD_HEADER
                        begin = position - chunk_at
            message = None
            if 0 <= begin <= last:
                magic, crc, length, kind, _, keys, _, _, its_position = unpack_record(chunk, begin)
                end = begin + RECORD_HEADER + length
                if magic == MAGIC and its_position == position and kind == MESSAGE and end + 4 * keys <= len(chunk):
                    if crc32(view[begin + 8 : end + 4 * keys]) == crc:
                        message = chunk[begin + RECORD_HEADER : end]
                    else:
                        damaged(position)
                        continue
            if message is None:
                there_is = self.read_message(position, durable) if position else None
                if there_is is None:
                    if position:
                        damaged(position)
                    continue
                message = there_is[0]
            max_bytes -= len(message)
            if max_bytes < 0 and found:
                return max_bytes
            found.append(message)
        return max_bytes

    def read_message(self, position: int, durable: int, dense: bool = False) -> tuple[bytes, Record] | None:
        """The message at `position` and its record, or None."""
        found = self.read(position, durable, dense)
        if found is None or found[2].kind != MESSAGE:
            return None
        buffer, _, record = found
        return buffer[record.begin : record.end], record

    def raw(self, position: int, size: int) -> bytes:
        """Bytes as they are on the disk, to move damage aside."""
        segment = self.at(position)
        if segment is None:
            return b""
        size = min(size, segment.end - position)
        return self._disk.pread(self.file(segment), size, position - segment.base)

    def record_size(self, position: int) -> int:
        """How long a (damaged) record claims to be, or its header's size."""
        return size_at(self.raw(position, RECORD_HEADER), 0, position) or RECORD_HEADER
