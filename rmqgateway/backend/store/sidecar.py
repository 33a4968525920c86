"""The index of one sealed segment, in a file beside it: where each queue's messages are, and which keys they have.

Written once, when nothing is appended to the segment any more, and rebuilt from it if it is damaged or missing. Numbers
are in the machine's byte order (the header tells; an index from another machine is rebuilt)::

    header (96 bytes) | directory: queues * (u64 topic << 32 | queue, u64 first offset, u64 start << 32 | count), by queue
    places: u32 each | slots: u32 * slots | hashes: u32 * keys | key places: u32 * keys | chain: u32 * keys

A place is a position within the segment; 0 is a hole: an offset whose record was damaged. `start` and `count` name a
queue's places, one per consecutive offset. Keys are found as in RocketMQ's index files: the hash names a slot, the slot
the newest entry (from 1 on), an entry the one before it in the same slot; building it is one step per key.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from operator import itemgetter
from struct import Struct
from sys import byteorder
from zlib import crc32

from rmqgateway.backend.store.disk import Disk
from rmqgateway.backend.store.records import VERSION

__all__ = ["SLOTS", "KeyTable", "Sidecar", "SidecarHeader", "build_parts"]

SLOTS = 1 << 16
_HEADER = Struct("=8sIIIIIIqqIIQI")
_MAGIC = b"RMQGWIDX"
_SIZE = 96
_MANY = 2000
_PAGE = 64
_WINDOW = 1 << 18
_QUEUE, _FIRST = itemgetter(0), itemgetter(1)


class KeyTable:
    """The keys of the segment that is being appended to: hash and place of each, in order."""

    def __init__(self) -> None:
        self.hashes = array("I")
        self.places = array("I")

    def find(self, key_hash: int) -> Iterator[int]:
        """The places of messages with this hash, newest first."""
        found: list[int] = []
        at = -1
        try:
            while True:
                at = self.hashes.index(key_hash, at + 1)
                found.append(self.places[at])
        except ValueError:
            return reversed(found)

    def parts(self, parts: list[bytes]) -> Iterator[None]:
        """Put slots, hashes, places and chain into `parts`, in slices."""
        slots, chain = array("I", bytes(4 * SLOTS)), array("I")
        for begin in range(0, len(self.hashes), _MANY):
            for number, key_hash in enumerate(self.hashes[begin : begin + _MANY], begin + 1):
                slot = key_hash & (SLOTS - 1)
                chain.append(slots[slot])
                slots[slot] = number
            yield
        parts += (slots.tobytes(), self.hashes.tobytes(), self.places.tobytes(), chain.tobytes())


class SidecarHeader:
    """What is known of a sealed segment without loading its index."""

    def __init__(
        self, base: int, min_time: int, max_time: int, messages: int, queues: int, places: int, keys: int, crcs: tuple[int, int]
    ) -> None:
        self.base = base
        self.min_time = min_time
        self.max_time = max_time
        self.messages = messages
        self.queues = queues
        self.places = places
        self.keys = keys
        self.crcs = crcs
        #: The checks of both parts were made since the store was opened.
        self.checked = [False, False]

    def pack(self) -> bytes:
        """The first 96 bytes of the file."""
        body = _HEADER.pack(
            _MAGIC, VERSION, 0, self.queues, self.places, self.keys, SLOTS,
            self.min_time, self.max_time, self.messages, self.crcs[0], self.base, self.crcs[1],
        )  # fmt: skip
        return (body[:12] + crc32(body).to_bytes(4, "big") + body[16:]).ljust(_SIZE, b"\0")

    @classmethod
    def read(cls, header: bytes, base: int) -> SidecarHeader | None:
        """The header, or None if it is damaged or not that of the segment at `base`."""
        if len(header) < _SIZE:
            return None
        magic, version, _, queues, places, keys, slots, low, high, messages, crc1, its_base, crc2 = _HEADER.unpack_from(header)
        body = header[:12] + bytes(4) + header[16 : _HEADER.size]
        right = (magic, version, slots, its_base) == (_MAGIC, VERSION, SLOTS, base) and not any(header[_HEADER.size : _SIZE])
        if not right or crc32(body) != int.from_bytes(header[12:16], "big"):
            return None
        return cls(its_base, low, high, messages, queues, places, keys, (crc1, crc2))


def _by_queue(touched: list[array[int]]) -> Iterator[list[array[int]]]:
    """All of them in the order of their queues, in blocks; the empty ones are pauses. (``heapq.merge`` takes a microsecond for
    each, and sorting at once stops everything else for 20 ms.)"""
    runs = []
    for first in range(0, len(touched), _MANY):
        runs.append(sorted(touched[first : first + _MANY], key=_QUEUE))
        yield []
    step = max(_MANY // max(len(runs), 1), _PAGE)
    while runs:
        # Of each run its next part: whatever is not beyond the first of their ends is in one of these.
        end = min([run[min(step, len(run)) - 1][0] for run in runs])
        block: list[array[int]] = []
        for run in runs:
            count = bisect_right(run, end, 0, min(step, len(run)), key=_QUEUE)
            block += run[:count]
            del run[:count]
        runs = [run for run in runs if run]
        block.sort(key=_QUEUE)
        yield block


def build_parts(
    base: int, touched: list[array[int]], keys: KeyTable, times: tuple[int, int], messages: int, parts: list[bytes]
) -> Iterator[None]:
    """Put the file's content into `parts`, pausing now and then: the caller goes on in a later reactor turn.

    :param touched: per queue [topic << 32 | queue, first offset, position...]; a position of 0 is a hole.
    """
    directory = array("Q")
    places = array("I")
    for block in _by_queue(touched):
        # Column by column, not row by row: with many queues, each message is a row of its own.
        counts = [len(index) - 2 for index in block]
        rows = array("Q", bytes(24 * len(block)))
        rows[0::3] = array("Q", map(_QUEUE, block))
        rows[1::3] = array("Q", map(_FIRST, block))
        starts = accumulate(counts, initial=len(places))
        rows[2::3] = array("Q", [start << 32 | count for start, count in zip(starts, counts, strict=False)])
        directory += rows
        yield
        positions = array("Q")
        for index in block:
            positions += index[2:]
        for at in range(0, len(positions), _MANY):
            places.extend([position - base if position else 0 for position in positions[at : at + _MANY]])
            yield
    first_part = [directory.tobytes(), places.tobytes()]
    crc1 = crc32(first_part[1], crc32(first_part[0]))
    yield
    key_part: list[bytes] = []
    yield from keys.parts(key_part)
    crc2 = 0
    for part in key_part:
        crc2 = crc32(part, crc2)
    header = SidecarHeader(base, *times, messages, len(touched), len(places), len(keys.hashes), (crc1, crc2))
    parts += [header.pack(), *first_part, *key_part]


class Sidecar:
    """An index file in use: of the directory every 64th key is in memory, the rest is read as needed.

    :raise ValueError: the content does not fit its check (made once per part).
    :raise OSError: the file cannot be read.
    """

    def __init__(self, disk: Disk, path: str, header: SidecarHeader) -> None:
        self.header = header
        self._disk = disk
        self._path = path
        self._places_at = _SIZE + 24 * header.queues
        self._keys_at = self._places_at + 4 * header.places
        self._page_number, self._page = -1, array("Q")
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._check(0, _SIZE, self._keys_at)
            first = array("Q")
            for at in range(0, header.queues, _PAGE):
                first.frombytes(self._read(8, _SIZE + 24 * at))
        except BaseException:
            self.close()
            raise
        self._first = first

    def close(self) -> None:
        """Close the file."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _check(self, part: int, begin: int, end: int) -> None:
        if not self.header.checked[part]:
            crc = 0
            for at in range(begin, end, _WINDOW):
                crc = crc32(self._read(min(_WINDOW, end - at), at), crc)
            if crc != self.header.crcs[part]:
                raise ValueError(f"the index {self._path} is damaged")
            self.header.checked[part] = True

    def _read(self, size: int, at: int) -> bytes:
        content = self._disk.pread(self.fd, size, at)
        if len(content) != size:
            raise ValueError(f"the index {self._path} is too short")
        return content

    def _load(self, number: int) -> array[int]:
        """64 entries of the directory."""
        if number != self._page_number:
            count = min(_PAGE, self.header.queues - number * _PAGE)
            page = array("Q", self._read(24 * count, _SIZE + 24 * _PAGE * number))
            self._page_number, self._page = number, page
        return self._page

    def find(self, key: int) -> tuple[int, int, int] | None:
        """(first offset, start, count) of a queue, or None if this segment has nothing of it."""
        number = bisect_right(self._first, key) - 1
        if number < 0:
            return None
        page = self._load(number)
        try:
            at = page[::3].index(key) * 3
        except ValueError:
            return None
        where = page[at + 2]
        return page[at + 1], where >> 32, where & 0xFFFFFFFF

    def entries(self) -> Iterator[tuple[int, int, int]]:
        """(topic << 32 | queue, first offset, count) of each queue."""
        for number in range(len(self._first)):
            page = self._load(number)
            for at in range(0, len(page), 3):
                yield page[at], page[at + 1], page[at + 2] & 0xFFFFFFFF

    def positions(self, start: int, count: int) -> list[int]:
        """Positions in the log; 0 for a hole."""
        base = self.header.base
        return [place and base + place for place in array("I", self._read(4 * count, self._places_at + 4 * start))]

    def find_key(self, key_hash: int) -> Iterator[int]:
        """Positions of messages that have a key with this hash, newest first."""
        header, base = self.header, self._keys_at
        hashes = base + 4 * SLOTS
        self._check(1, base, hashes + 12 * header.keys)
        entry = self._number(base + 4 * (key_hash & (SLOTS - 1)))
        while entry:
            at = hashes + 4 * (entry - 1)
            if self._number(at) == key_hash:
                yield header.base + self._number(at + 4 * header.keys)
            entry = self._number(at + 8 * header.keys)

    def _number(self, at: int) -> int:
        return int.from_bytes(self._read(4, at), byteorder)
