"""Opening: from what lies in the directory, after whatever happened to it, to a store that can go on.

The newest undamaged snapshot gives the state; the log after it is replayed. Segments without an index file are scanned
from their beginning, the last one always. Where no record can be read but one can be found further on, the bytes between
are kept aside and a PAD takes their place; where nothing follows, the log ends: what is there was never acknowledged, or
is the one damaged record, and is kept aside as well before zeros take its place. Nothing stored makes `open` fail.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable
from contextlib import closing
from struct import Struct
from typing import TYPE_CHECKING
from zlib import crc32

from twisted.logger import Logger

from rmqgateway.backend.store.durable_queue import DurableQueue
from rmqgateway.backend.store.housekeeping import index_parts
from rmqgateway.backend.store.records import (
    DROP,
    END,
    MAGIC,
    MAGIC_BYTES,
    MESSAGE,
    META,
    PAD,
    RECORD_HEADER,
    SEGMENT_HEADER,
    STATE,
    VERSION,
    Record,
    pack_segment_header,
    pad,
    parse,
    size_at,
    unpack_changes,
    unpack_record,
    unpack_segment_header,
)
from rmqgateway.backend.store.segment import Segment
from rmqgateway.backend.store.sidecar import KeyTable, Sidecar, SidecarHeader
from rmqgateway.backend.store.snapshot import (
    CHANGES,
    DROPPED,
    PIECE,
    QUEUE,
    QUEUES,
    TOPIC,
    Snapshot,
    list_snapshots,
    open_snapshot,
    read_frames,
)
from rmqgateway.errors import StoreError

if TYPE_CHECKING:
    from rmqgateway.backend.store.durable import DurableStore

__all__ = ["Recovery", "rebuild_index"]

_log = Logger()
_WINDOW = 4 << 20
_ZEROS = bytes(_WINDOW)

#: For records that are not messages: (buffer, position, record).
Handle = Callable[[memoryview, int, Record], None]
#: For messages, of which there are many: (buffer, position, topic, queue, begin, end, keys).
HandleMessage = Callable[[memoryview, int, int, int, int, int, int], None]
_OFFSET = Struct(">q").unpack_from


class Scan:
    """One pass over a segment from its beginning.

    :ivar end: after the last record; :ivar ended: an END record says that nothing follows.
    :ivar damage: (position, length) that no record could be read from, with a record after it.
    """

    def __init__(self, store: DurableStore, segment: Segment) -> None:
        self._disk = store.disk
        self._segment = segment
        self._fd = store.log.file(segment)
        self.end = segment.base + SEGMENT_HEADER
        self.ended = False
        self.damage: list[tuple[int, int]] = []

    def run(self, message: HandleMessage, handle: Handle) -> None:
        """Give every record to one of the two."""
        self._message, self._handle = message, handle
        segment, position = self._segment, self.end
        while position + RECORD_HEADER <= segment.end and not self.ended:
            start = position
            position, buffer = self._run_window(position)
            if self.ended or position + RECORD_HEADER > segment.end:
                return
            if len(buffer) < RECORD_HEADER and position > start:
                continue  # the window ended within a header: the next one begins with it
            wanted = size_at(buffer, 0, position)
            if wanted > len(buffer) and position + wanted <= segment.end:
                buffer = memoryview(self._read(position, wanted))
                record = parse(buffer, 0, position)
                if record is not None:
                    if record.kind == MESSAGE:
                        message(buffer, position, record.topic, record.queue, record.begin, record.end, record.keys)
                    else:
                        handle(buffer, position, record)
                    position = self.end = position + record.total
                    continue
            elif parse(buffer, 0, position) is not None:
                continue
            found = self._search(position + 1)
            if not found:
                return
            self.damage.append((position, found - position))
            position = found

    def _run_window(self, position: int) -> tuple[int, memoryview]:
        """Handle records until one cannot be read from this window: (where, the rest of the window)."""
        message, start = self._message, position
        buffer = memoryview(self._read(position, _WINDOW))
        at, size = 0, len(buffer)
        while at + RECORD_HEADER <= size:
            magic, crc, length, kind, _, keys, topic, queue, its_position = unpack_record(buffer, at)
            begin = at + RECORD_HEADER
            end = begin + length
            following = end + 4 * keys
            if kind == MESSAGE and magic == MAGIC:  # parse, spelled out
                if its_position != position or following > size or crc32(buffer[at + 8 : following]) != crc:
                    break
                message(buffer, position, topic, queue, begin, end, keys)
            else:
                record = parse(buffer, at, position)
                if record is None:
                    break
                self._handle(buffer, position, record)
                self.ended = record.kind == END
            at = following
            position = start + at
            if self.ended:
                break
        self.end = max(position, self.end)
        return position, buffer[at:] if at else buffer

    def _read(self, position: int, size: int) -> bytes:
        return self._disk.pread(self._fd, min(size, self._segment.end - position), position - self._segment.base)

    def _search(self, position: int) -> int:
        """The position of the next readable record, or 0."""
        while position + RECORD_HEADER <= self._segment.end:
            data = self._disk.next_data(self._fd, position - self._segment.base)
            if data is None:
                return 0
            position = self._segment.base + data
            window = self._read(position, _WINDOW)
            at = window.find(MAGIC_BYTES)
            while at >= 0:
                wanted = size_at(window, at, position + at) if at + RECORD_HEADER <= len(window) else RECORD_HEADER
                if wanted:
                    there = self._read(position + at, max(wanted, RECORD_HEADER))
                    wanted = size_at(there, 0, position + at)
                    if wanted > len(there):
                        there = self._read(position + at, wanted)
                    if parse(memoryview(there), 0, position + at) is not None:
                        return position + at
                at = window.find(MAGIC_BYTES, at + 1)
            if len(window) < _WINDOW:
                return 0
            position += len(window) - RECORD_HEADER
        return 0


class Indexer:
    """Collects a scanned segment's index, like appending does."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        segment.touched = []
        self.keys = segment.keys = KeyTable()
        self.by_queue: dict[int, array[int]] = {}

    def add(self, buffer: memoryview, position: int, topic: int, queue: int, begin: int, end: int, keys: int) -> None:
        """Note a message."""
        key = topic << 32 | queue
        offset = _OFFSET(buffer, begin + 20)[0]
        index = self.by_queue.get(key)
        if index is None:
            index = self.by_queue[key] = array("Q", (key, offset))
            self.segment.touched.append(index)
        missing = offset - index[1] - (len(index) - 2)
        if not missing:
            index.append(position)
        elif 0 < missing < 1 << 24:
            index.frombytes(bytes(8 * missing))
            index.append(position)
        for at in range(end, end + 4 * keys, 4):
            self.keys.hashes.append(int.from_bytes(buffer[at : at + 4], "big"))
            self.keys.places.append(position - self.segment.base)


def rebuild_index(store: DurableStore, segment: Segment) -> None:
    """Make the index file of a sealed segment again, at once; what is damaged is moved aside."""
    _log.error("the index {path} is damaged or missing; it is made again from the log", path=segment.index_path)
    store.log.forget_index(segment)
    if os.path.exists(segment.index_path):
        store.directory.move_aside(segment.index_path)
    indexer = Indexer(segment)
    Scan(store, segment).run(indexer.add, lambda buffer, position, record: None)
    write_index(store, segment)


def write_index(store: DurableStore, segment: Segment) -> None:
    """Write the index that `segment` has in memory to its file."""
    parts: list[bytes] = []
    for _ in index_parts(store, segment, parts):
        pass
    store.disk.write_file(segment.index_path, parts)
    segment.header = SidecarHeader.read(parts[0], segment.base)
    segment.forget_touched()


class Recovery:
    """Opens one store, once."""

    def __init__(self, store: DurableStore) -> None:
        self._store = store
        self._from = 0
        #: Where the last damage seen ends.
        self._damaged = 0

    def run(self) -> None:
        """Bring the store to where it can append."""
        store = self._store
        self._list_segments()
        snapshot = self._restore()
        segments = store.log.segments
        end = segments[-1].end if segments else 0
        store.durable = max(end, self._from)
        last: tuple[Segment, int, bool] | None = None
        unused: list[Segment] = []
        indexers: dict[int, Indexer] = {}
        for segment in list(segments):
            segment.header = self._read_header(segment)
            if segment.header is not None and segment.end <= self._from:
                last = (segment, segment.end, True)
                continue
            scan = self._scan(segment, indexers)
            if scan.end == segment.base + SEGMENT_HEADER and not scan.damage:
                unused.append(segment)
                continue
            unused = []
            if last is not None and not last[2]:
                self._cut(last[0], last[1])  # damage at its end: a later segment has records, so it was complete
            last = (segment, scan.end, scan.ended)
        self._finish(last, unused, indexers)
        for segment in segments:
            if segment.header is None and segment is not store.active:
                if segment.base not in indexers:
                    indexers[segment.base] = Indexer(segment)
                write_index(store, segment)
        for index in store.touched:
            queue = store.queues.get(index[0])
            if queue is not None:
                queue.index, queue.index_base = index, store.base
        for queue in store.queues.values():
            queue.max_offset = queue.next_offset
        self._forget_lost_segments(snapshot)

    # Segments.

    def _list_segments(self) -> None:
        store = self._store
        for name in sorted(os.listdir(store.directory.log)):
            number, _, suffix = name.partition(".")
            if suffix != "seg" or not number.isdigit():
                continue
            path = os.path.join(store.directory.log, name)
            size = os.path.getsize(path)
            with open(path, "rb") as file:
                header = unpack_segment_header(file.read(SEGMENT_HEADER))
            if header is not None and header[0] > VERSION:
                raise StoreError(f"{path} has format version {header[0]}; this program knows up to {VERSION}")
            segment = Segment(path, int(number), max(size, header[2] if header is not None else 0))
            if header is None or header[1] != segment.base:
                _log.error("the header of {path} is damaged; written anew", path=path)
                fd = store.log.file(segment)
                store.directory.keep_damaged(name + ".header", os.pread(fd, SEGMENT_HEADER, 0))
                os.pwrite(fd, pack_segment_header(segment.base, segment.size), 0)
                os.fsync(fd)
            if size < segment.size:
                _log.error("{path} is shorter than it was; made as long again", path=path)
                os.posix_fallocate(store.log.file(segment), 0, segment.size)
            store.log.add(segment)

    def _read_header(self, segment: Segment) -> SidecarHeader | None:
        """The header of the index file, if there is a good one."""
        store = self._store
        try:
            with open(segment.index_path, "rb") as file:
                header = SidecarHeader.read(file.read(96), segment.base)
        except FileNotFoundError:
            return None
        if header is None:
            _log.error("the index {path} is damaged; it is made again from the log", path=segment.index_path)
            store.directory.move_aside(segment.index_path)
        return header

    def _scan(self, segment: Segment, indexers: dict[int, Indexer]) -> Scan:
        """Replay and index one segment; put PADs where damage was found."""
        store = self._store
        start, replay, replay_message = self._from, self._replay, self._replay_message
        indexer = None
        if segment.header is None:
            indexer = indexers[segment.base] = Indexer(segment)

        def message(buffer: memoryview, position: int, topic: int, queue: int, begin: int, end: int, keys: int) -> None:
            if indexer is not None:
                indexer.add(buffer, position, topic, queue, begin, end, keys)
            if position >= start:
                replay_message(buffer, topic, queue, begin, end)

        def handle(buffer: memoryview, position: int, record: Record) -> None:
            if scan.damage:
                self._damaged = sum(scan.damage[-1])
            if record.kind == PAD:
                self._damaged = position + record.total
            elif position >= start:
                replay(buffer, position, record)

        scan = Scan(store, segment)
        scan.run(message, handle)
        if not scan.ended:
            self._damaged = segment.end  # of interest if another segment follows
        for position, length in scan.damage:
            self._put_pad(segment, position, length)
        return scan

    def _put_pad(self, segment: Segment, position: int, length: int) -> None:
        store = self._store
        path = store.directory.keep_damaged(f"{position:020}.bytes", store.log.raw(position, length))
        _log.error(
            "{length} bytes of the log at {position} are damaged; kept in {path}", length=length, position=position, path=path
        )
        if length >= RECORD_HEADER:
            fd = store.log.file(segment)
            os.pwrite(fd, pad(position, length), position - segment.base)
            os.fdatasync(fd)

    def _finish(self, last: tuple[Segment, int, bool] | None, unused: list[Segment], indexers: dict[int, Indexer]) -> None:
        """Decide where the log goes on, and clean what is behind that place."""
        store = self._store
        if last is None or last[2] or last[1] + RECORD_HEADER > last[0].end:
            if unused:
                segment, end = unused.pop(0), 0
            else:
                segment, end = self._new_segment(max(last[0].end if last else 0, self._from)), 0
            end = segment.base + SEGMENT_HEADER
        else:
            segment, end, _ = last
        if end < self._from < segment.end:
            self._cut(segment, end)
            self._put_pad(segment, end, self._from - end)
            end = self._from
        elif self._from >= segment.end:
            segment = self._new_segment(self._from)
            end = segment.base + SEGMENT_HEADER
        else:
            self._cut(segment, end)
        if segment.header is not None:  # an index of a segment that is not at its end: it is stale
            store.directory.move_aside(segment.index_path)
            segment.header = None
            Scan(store, segment).run(Indexer(segment).add, lambda buffer, position, record: None)
        store.start_at(segment, end)
        os.fdatasync(segment.fd)
        following = [other for other in unused if other.base == segment.end]
        for other in unused:
            if other in following:
                self._cut(other, other.base + SEGMENT_HEADER)
            elif other.base != segment.base:
                os.unlink(other.path)
            store.log.remove(other)
            indexers.pop(other.base, None)
        if following:
            store.use_next(following[0])
        else:
            store.allocate_next()

    def _new_segment(self, base: int) -> Segment:
        store = self._store
        size = store.settings.segment_bytes
        path = os.path.join(store.directory.log, f"{base:020}.seg")
        store.disk.allocate(path, size, pack_segment_header(base, size))
        segment = Segment(path, base, size)
        store.log.add(segment)
        return segment

    def _cut(self, segment: Segment, end: int) -> None:
        """See to it that only zeros follow `end`: whatever is there now must never be taken for a record later."""
        store, position = self._store, end
        fd = store.log.file(segment)
        garbage = (0, 0)
        while position < segment.end:
            data = store.disk.next_data(fd, position - segment.base)
            if data is None or segment.base + data >= segment.end:
                break
            position = segment.base + data
            window = store.disk.pread(fd, min(_WINDOW, segment.end - position), position - segment.base)
            if not window:
                break
            if window == _ZEROS[: len(window)]:  # a hundred times faster than rstrip
                position += len(window)
                continue
            length = len(window.rstrip(b"\0"))
            if length:
                garbage = (end, position + length - end)
            position += len(window)
        if garbage[1]:
            path = store.directory.keep_damaged(f"{end:020}.tail", store.log.raw(*garbage))
            _log.warn(
                "{length} bytes after the last record at {end} were cut; kept in {path}", length=garbage[1], end=end, path=path
            )
            for at in range(0, garbage[1], _WINDOW):
                os.pwrite(fd, bytes(min(_WINDOW, garbage[1] - at)), end + at - segment.base)
            os.fdatasync(fd)

    # State.

    def _restore(self) -> Snapshot | None:
        """Give back what the newest good snapshot holds."""
        store, housekeeping = self._store, self._store.housekeeping
        good: list[Snapshot] = []
        for path in list_snapshots(store.directory.state):
            snapshot = open_snapshot(path)
            if snapshot is None:
                _log.error("the snapshot {path} is damaged; the one before it and the log take its place", path=path)
                store.directory.move_aside(path)
            else:
                good.append(snapshot)
        housekeeping.paths.extend(snapshot.path for snapshot in reversed(good))
        if not good:
            first = store.log.bases[0] if store.log.bases else 0
            if first:
                _log.critical("no snapshot is left; state before position {first} is lost", first=first)
            return None
        self._from = housekeeping.newest = good[0].position
        housekeeping.covered = good[1].position if len(good) > 1 else 0
        read_frames(good[0], self._take_frame)
        return good[0]

    def _take_frame(self, kind_of_frame: int, kind: int, payload: bytes) -> None:
        store = self._store
        if kind_of_frame == QUEUES:
            for key, low, following in QUEUE.iter_unpack(payload):
                store.queues[key] = DurableQueue(store, key, low, following)
        elif kind_of_frame == CHANGES:
            store.metadata.apply(unpack_changes(payload))
        elif kind_of_frame == DROPPED:
            store.dropped.update(TOPIC.iter_unpack(payload))
        elif kind_of_frame == PIECE and kind in store.restore:
            self._guard(lambda: store.restore[kind](payload), "restore", kind)

    @staticmethod
    def _guard(call: Callable[[], None], what: str, kind: int) -> None:
        """Stored data never make `open` fail."""
        try:
            call()
        except Exception:
            _log.failure("{what} of state kind {kind} failed; this piece is left out", what=what, kind=kind)

    def _replay_message(self, buffer: memoryview, topic: int, queue_id: int, begin: int, end: int) -> None:
        store = self._store
        key = topic << 32 | queue_id
        offset = _OFFSET(buffer, begin + 20)[0]
        queue = store.queues.get(key)
        if queue is None:
            if topic in store.dropped:
                return
            queue = store.queues[key] = DurableQueue(store, key, offset, offset)
        if offset >= queue.next_offset:
            queue.next_offset = offset + 1
        on_message = store.on_message
        if on_message is not None:
            try:
                on_message(topic, queue_id, offset, buffer[begin:end])
            except Exception:
                _log.failure("replaying a message failed; it is left out")

    def _replay(self, buffer: memoryview, position: int, record: Record) -> None:
        store = self._store
        kind = record.kind
        if kind == STATE:
            if record.queue and position - record.queue < self._damaged:
                _log.warn(
                    "a change of state kind {kind} at {position} is left out: what it needs cannot be read",
                    kind=record.sub,
                    position=position,
                )
            elif record.sub in store.apply:
                payload = bytes(buffer[record.begin : record.end])
                self._guard(lambda: store.apply[record.sub](payload), "apply", record.sub)
        elif kind == META:
            self._guard(lambda: store.metadata.apply(unpack_changes(bytes(buffer[record.begin : record.end]))), "metadata", 0)
        elif kind == DROP:
            store.forget_topic(record.topic, position)

    def _forget_lost_segments(self, snapshot: Snapshot | None) -> None:
        """Index files whose segments are gone: retention was interrupted. Queues begin after what they had there."""
        store = self._store
        for name in sorted(os.listdir(store.directory.log)):
            number, _, suffix = name.partition(".")
            if suffix != "index" or not number.isdigit() or int(number) in store.log.bases:
                continue
            path = os.path.join(store.directory.log, name)
            try:
                with open(path, "rb") as file:
                    header = SidecarHeader.read(file.read(96), int(number))
                entries = []
                if header is not None:
                    with closing(Sidecar(store.disk, path, header)) as sidecar:
                        entries = list(sidecar.entries())
            except ValueError:
                entries = []
            for key, first, count in entries:
                queue = store.queues.get(key)
                if queue is not None and int(number) < store.log.bases[0]:
                    queue.min_offset = max(queue.min_offset, min(first + count, queue.next_offset))
            store.housekeeping.orphans.append(path)
