"""The durable store: one log of segments, one write and one sync per group.

Everything goes into the log: messages, state, and metadata (twice). Beside it lie an index file per sealed segment and
the two newest snapshots; both can be made again from the log, so a flipped bit in any file loses at most the record that
it is in. What a snapshot covers is not read again at `open`.
"""

from __future__ import annotations

import os
import threading
import time
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from typing import NoReturn
from zlib import crc32

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from rmqgateway.backend.store.directory import StoreDirectory
from rmqgateway.backend.store.disk import Disk
from rmqgateway.backend.store.durable_queue import DurableQueue, offset_of, timestamp_of
from rmqgateway.backend.store.housekeeping import Housekeeping
from rmqgateway.backend.store.interfaces import IMessageStore, Scope
from rmqgateway.backend.store.metadata import LogMetadata
from rmqgateway.backend.store.records import (
    DROP,
    END,
    RECORD_HEADER,
    SEGMENT_HEADER,
    STATE,
    frame,
    pack_segment_header,
)
from rmqgateway.backend.store.recovery import Recovery, rebuild_index
from rmqgateway.backend.store.registrations import Registrations
from rmqgateway.backend.store.segment import Log, Segment
from rmqgateway.backend.store.settings import StoreSettings
from rmqgateway.backend.store.sidecar import KeyTable, Sidecar
from rmqgateway.backend.store.worker import ThreadWorker, Worker
from rmqgateway.errors import Code, StoreError

__all__ = ["DurableStore"]

_log = Logger()
_GENERATIONS = 8


class Group:
    """What is written and synced together."""

    __slots__ = ("begin", "callbacks", "end", "parts", "queues", "sealed", "size", "writes")

    def __init__(self, begin: int) -> None:
        self.begin = self.end = begin
        self.size = 0
        self.parts: list[bytes] = []
        self.writes: list[tuple[Segment, int, list[bytes]]] = []
        self.queues: list[DurableQueue] = []
        self.callbacks: list[Callable[[BaseException | None], None]] = []
        self.sealed: list[Segment] = []

#: Upper ends (s) of the spans by which commits are counted; RocketMQ's brokers print the same.
_COMMIT_TIMES = (0.01, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0)


@implementer(IMessageStore)
class DurableStore(Registrations):
    """See IMessageStore.

    :param path: the directory.
    :param reactor: for timers and threads (IReactorTime, IReactorFromThreads).
    :param writer: writes and syncs groups; a thread of its own unless given.
    :param chores: everything else that blocks; likewise.
    :param disk: the operating system; tests make it fail.
    :param now: seconds since the epoch, for retention.
    """

    def __init__(
        self,
        path: str,
        reactor: IReactorTime,
        settings: StoreSettings | None = None,
        *,
        writer: Worker | None = None,
        chores: Worker | None = None,
        disk: Disk | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.settings = settings if settings is not None else StoreSettings()
        self.reactor = reactor
        self.disk = disk if disk is not None else Disk()
        self.directory = StoreDirectory(path, self.disk)
        self.now = now
        self.writer: Worker = writer if writer is not None else ThreadWorker(reactor, "store-writer")  # type: ignore[arg-type]
        self.chores: Worker = chores if chores is not None else ThreadWorker(reactor, "store-chores")  # type: ignore[arg-type]
        self.metadata = LogMetadata(self)
        self.failed: str | None = None
        self.is_full = False
        self.scope: Scope | None = None
        self.refusal: str | None = "the store is not open"
        self.log = Log(self.disk, self.settings.read_ahead_bytes, self.settings.index_files)
        self.queues: dict[int, DurableQueue] = {}
        self.dropped: dict[int, int] = {}
        self.housekeeping = Housekeeping(self)
        # The hot path's.
        self.group_bytes = self.settings.group_bytes
        self.scheduled = False
        self.tail = self.limit = self.base = self.durable = 0
        self.active = Segment("", 0, 0)
        self.keys = KeyTable()
        self.touched: list[array[int]] = []
        self.recent: dict[int, bytes] = {}
        self.group = Group(0)
        self._older: deque[dict[int, bytes]] = deque()
        self._recent_bytes = 0
        #: Messages below this position are no longer in memory.
        self.recent_floor = 0
        self._pending: deque[Group] = deque()
        self._under_way: Group | None = None
        self._closing: Deferred[None] | None = None
        self._next: tuple[Segment, threading.Event, list[BaseException]] | None = None
        self._unsynced: list[Segment] = []
        self._sync_call: IDelayedCall | None = None
        self._reported: set[int] = set()
        self._latencies: deque[float] = deque(maxlen=1024)
        self._groups = self._messages = self._bytes = 0
        self._commit_times = [0] * (len(_COMMIT_TIMES) + 1)
        self._longest = 0.0

    # Opening and closing.

    def open(self) -> None:
        """See IMessageStore."""
        self.directory.open()
        try:
            Recovery(self).run()
        except OSError as error:
            self.log.close()
            self.directory.close()
            raise StoreError(f"the store in {self.directory.path} cannot be read or written: {error}") from error
        except BaseException:
            self.log.close()
            self.directory.close()
            raise
        self._opened = True
        self.refusal = None
        self.check_room()
        self.housekeeping.start()
        _log.info(
            "store {path}: log from {first} to {tail}, {queues} queues",
            path=self.directory.path, first=self.log.bases[0], tail=self.tail, queues=len(self.queues),
        )  # fmt: skip

    def start_at(self, segment: Segment, tail: int) -> None:
        """Append to `segment` from `tail` on (called while opening)."""
        self.active, self.base, self.limit = segment, segment.base, segment.end
        self.tail = self.durable = self.recent_floor = tail
        if segment.keys is None:
            segment.keys = KeyTable()
        self.keys, self.touched = segment.keys, segment.touched
        self.log.file(segment, keep=True)
        self.group = Group(tail)

    def close(self) -> Deferred[None]:
        """See IMessageStore."""
        if self._closing is not None:
            return self._closing
        done: Deferred[None] = Deferred()
        self._closing = done
        if not self._opened:
            self._release(None)
            return done
        self.refusal = self.failed or "the store is closing"
        self.when_durable(lambda error: self.housekeeping.stop(self._release))
        return done

    def _release(self, _: object) -> None:
        done, self._opened = self._closing, False
        if self._sync_call is not None:
            self._sync_call.cancel()
            self._sync_call = None
        self.writer.stop()
        self.chores.stop()
        self.refusal = self.failed or "the store is closed"
        self.log.close()
        self.directory.close()
        if done is not None:
            done.callback(None)

    # Appending.

    def queue(self, topic_number: int, queue_id: int) -> DurableQueue:
        """See IMessageStore."""
        key = topic_number << 32 | queue_id
        found = self.queues.get(key)
        if found is None:
            if not (0 <= topic_number < 1 << 32 and 0 <= queue_id < 1 << 32):
                raise ValueError(f"queue ({topic_number}, {queue_id}): numbers of 32 bits are expected")
            if topic_number in self.dropped:
                raise StoreError(f"topic number {topic_number} was dropped")
            found = self.queues[key] = DurableQueue(self, key)
        return found

    def refuse(self, queue: DurableQueue) -> NoReturn:
        """Say why nothing can be appended to `queue`."""
        if self.refusal is not None:
            full = self.is_full and self.failed is None and self._opened and self._closing is None
            raise StoreError(self.refusal, Code.STORE_FULL if full else Code.STORE_FAILED)
        raise StoreError(f"topic number {queue.key >> 32} was dropped")

    def append_state(self, kind: int, payload: bytes, needs: int = -1) -> None:
        """See IMessageStore. Goes on while the store is full, as long as there is a segment to write to."""
        self.append_record(STATE, kind, 0, payload, needs)

    def append_record(self, kind: int, sub: int, topic: int, payload: bytes, needs: int = -1) -> None:
        """Add a record that is not a message. In place of a queue it says how far back what it needs begins, or 0."""
        if self.failed is not None or not self._opened or self._closing is not None:
            raise StoreError(self.failed or self.refusal or "the store is not open")
        size = RECORD_HEADER + len(payload)
        if self.tail + size > self.limit:
            self.roll(size)
        group = self.group
        back = min(self.tail - needs, 0xFFFFFFFF) if needs >= 0 else 0
        group.parts += (frame(kind, sub, topic, back, self.tail, payload), payload)
        self.tail += size
        group.size += size
        if group.size >= self.group_bytes or not self.scheduled:
            self.schedule()

    def drop_topic(self, topic_number: int) -> None:
        """See IMessageStore."""
        self.append_record(DROP, 0, topic_number, b"")
        self.forget_topic(topic_number, self.tail)

    def forget_topic(self, topic_number: int, position: int) -> None:
        """Drop a topic's queues from memory; `position` says until where its messages may be in the log."""
        self.dropped[topic_number] = position
        for key in [key for key in self.queues if key >> 32 == topic_number]:
            queue = self.queues.pop(key)
            queue.dropped = True
            queue.index = None
            queue.min_offset = queue.max_offset = queue.next_offset

    def roll(self, size: int) -> None:
        """Go on in the next segment, because a record of `size` does not fit into this one."""
        if size > self.settings.segment_bytes - SEGMENT_HEADER:
            raise StoreError(
                f"a record of {size} bytes does not fit into a segment of {self.settings.segment_bytes}", Code.MESSAGE_TOO_LARGE
            )
        segment = self._take_next()
        group, old = self.group, self.active
        if self.limit - self.tail >= RECORD_HEADER:
            group.parts.append(frame(END, 0, 0, 0, self.tail, b""))
        group.writes.append((old, group.begin, group.parts))
        group.sealed.append(old)
        self.log.add(segment)
        segment.keys = KeyTable()
        self.active, self.base, self.limit = segment, segment.base, segment.end
        self.keys, self.touched = segment.keys, segment.touched
        self.tail = group.begin = segment.base + SEGMENT_HEADER
        group.parts = []
        self.log.file(segment, keep=True)
        self.allocate_next()

    def schedule(self) -> None:
        """See to it that the group being collected gets written; close it if it is large enough."""
        if self.group.size >= self.group_bytes:
            self._pending.append(self._close_group())
            if self._under_way is not None:
                return
        if not self.scheduled:
            self.scheduled = True
            if self._under_way is None:
                self.reactor.callLater(0, self._begin)

    def _close_group(self) -> Group:
        group = self.group
        group.writes.append((self.active, group.begin, group.parts))
        group.end = self.tail
        self.group = Group(self.tail)
        if group.queues:
            self._age_recent(group.size + 170 * len(group.queues))
        return group

    def _age_recent(self, size: int) -> None:
        """Start a new generation of recent messages when this one has its share; forget the oldest."""
        self._recent_bytes += size
        if self._recent_bytes >= self.settings.cache_bytes // _GENERATIONS:
            self._recent_bytes = 0
            self._older.appendleft(self.recent)
            self.recent = {}
            if len(self._older) >= _GENERATIONS:
                self._older.pop()
                self.recent_floor = next(iter(self._older[-1]))

    def _begin(self) -> None:
        self.scheduled = False
        if self._under_way is not None or self.failed is not None:
            return
        if self._pending:
            group = self._pending.popleft()
            self.scheduled = bool(self.group.size)
        elif self.group.size:
            group = self._close_group()
        else:
            return
        self._under_way = group
        self.writer.submit(lambda: self._write(group), self._written)

    def _write(self, group: Group) -> None:
        """In the writer's thread."""
        started = time.perf_counter()
        disk, sync = self.disk, self.settings.flush == "sync"
        for segment, begin, parts in group.writes:
            if parts:
                disk.pwritev(segment.fd, parts, begin - segment.base)
                if sync:
                    disk.fdatasync(segment.fd)
        self._latencies.append(time.perf_counter() - started)

    def _written(self, error: BaseException | None) -> None:
        group, self._under_way = self._under_way, None
        if group is None:
            return
        if error is not None:
            self.fail(f"writing the log failed: {error}", group)
            return
        self._groups += 1
        self._messages += len(group.queues)
        took = self._latencies[-1]
        self._commit_times[bisect_right(_COMMIT_TIMES, took)] += len(group.queues)
        if took > self._longest:
            self._longest = took
        self._bytes += group.size
        self.durable = group.end
        for queue in group.queues:
            queue.max_offset += 1
        if self.settings.flush == "async":
            self._sync_later(group)
        if self._pending or self.group.size:
            self._begin()
        for segment in group.sealed:
            self.housekeeping.seal(segment)
        self._tell(group.callbacks, None)

    def fail(self, reason: str, group: Group | None = None) -> None:
        """Refuse appends from now on: after a failed write or sync nobody knows what is on the disk until the next open."""
        if self.failed is None:
            _log.critical("the store failed: {reason}", reason=reason)
            self.failed = self.refusal = reason
        groups = ([group] if group is not None else []) + list(self._pending) + [self.group]
        self._pending.clear()
        self.group = Group(self.tail)
        self._tell([callback for one in groups for callback in one.callbacks], StoreError(reason))

    def _tell(self, callbacks: list[Callable[[BaseException | None], None]], error: StoreError | None) -> None:
        """Run callbacks within the scope."""
        scope = self.scope
        if scope is not None:
            scope.enter()
        try:
            for callback in callbacks:
                try:
                    callback(error)
                except Exception:
                    _log.failure("a callback of when_durable failed")
        finally:
            if scope is not None:
                scope.leave()

    def when_durable(self, callback: Callable[[BaseException | None], None]) -> None:
        """See IMessageStore."""
        if self.group.size:
            self.group.callbacks.append(callback)
        elif self._pending:
            self._pending[-1].callbacks.append(callback)
        elif self._under_way is not None:
            self._under_way.callbacks.append(callback)
        else:
            callback(None if self.failed is None else StoreError(self.failed))

    def _sync_later(self, group: Group) -> None:
        for segment, _, _ in group.writes:
            if segment not in self._unsynced:
                self._unsynced.append(segment)
        if self._sync_call is None:
            self._sync_call = self.reactor.callLater(self.settings.sync_interval, self._sync)

    def _sync(self) -> None:
        self._sync_call = None
        self.writer.submit(self.sync_job(), self._synced)

    def sync_job(self) -> Callable[[], None]:
        """A job that makes durable what "async" has only written."""
        segments, self._unsynced = self._unsynced, []

        def sync() -> None:
            for segment in segments:
                if segment.fd >= 0:  # else it was synced when it was sealed, and its file closed since
                    self.disk.fdatasync(segment.fd)

        return sync

    def _synced(self, error: BaseException | None) -> None:
        if error is not None and self.failed is None:
            self.fail(f"syncing the log failed: {error}")

    # Room.

    def allocate_next(self) -> None:
        """Have the segment after the active one made, ahead of its use."""
        base, size = self.active.end, self.settings.segment_bytes
        path = os.path.join(self.directory.log, f"{base:020}.seg")
        made, errors = threading.Event(), list[BaseException]()
        segment = Segment(path, base, size)
        self._next = (segment, made, errors)

        def allocate() -> None:
            try:
                self.disk.allocate(path, size, pack_segment_header(base, size))
            except OSError as error:
                errors.append(error)
            finally:
                made.set()

        self.chores.submit(allocate, lambda error: self.check_room())

    def use_next(self, segment: Segment) -> None:
        """A segment without records was found while opening: it is the next one."""
        made = threading.Event()
        made.set()
        self._next = (segment, made, [])

    def _take_next(self) -> Segment:
        if self._next is not None:
            segment, made, errors = self._next
            made.wait()
            if not errors:
                self._next = None
                return segment
        self.check_room()
        raise StoreError("the disk is full: no room for another segment", Code.STORE_FULL)

    def check_room(self) -> None:
        """See whether the disk is full, or no longer; try again for a segment that could not be made."""
        if self.failed is not None or self._closing is not None:
            return
        try:
            used = self.disk.used_ratio(self.directory.path)
        except OSError as error:
            used = 1.0
            _log.error("the disk's use cannot be asked: {error}", error=error)
        reason = None
        if self._next is not None and self._next[1].is_set() and self._next[2]:
            reason = f"no room for another segment: {self._next[2][0]}"
        if used > self.settings.disk_limit:
            reason = f"the disk is {used:.1%} full; the limit is {self.settings.disk_limit:.1%}"
        was, self.is_full = self.is_full, reason is not None
        if self._opened:
            self.refusal = reason and f"the store is full: {reason}"
        if reason is not None and not was:
            _log.error("the store refuses messages: {reason}", reason=reason)
        elif was and reason is None:
            _log.info("the store takes messages again")

    def retry_room(self) -> None:
        """Called every now and then."""
        if self.failed is None and self._closing is None and self._next is not None and self._next[1].is_set() and self._next[2]:
            self.allocate_next()
        else:
            self.check_room()

    # Reading.

    def fetch_run(self, positions: Sequence[int], max_bytes: int, found: list[bytes]) -> int:
        """Durable messages that (mostly) are no longer among the recent ones: see Log.read_run."""
        try:
            return self.log.read_run(positions, self.durable, max_bytes, found, self._report)
        except OSError as error:
            raise StoreError(f"reading the log failed: {error}") from error

    def fetch(self, position: int, dense: bool) -> bytes | None:
        """A durable message that is not among the newest recent ones; None if it is damaged."""
        for older in self._older:
            message = older.get(position)
            if message is not None:
                return message
        try:
            found = self.log.read_message(position, self.durable, dense)
        except OSError as error:
            _log.error("reading at {position} failed: {error}", position=position, error=error)
            found = None
        if found is None:
            self._report(position)
            return None
        return found[0]

    def time_at(self, position: int) -> int:
        """The store timestamp (ms) of the message at `position`; 0 if it cannot be read."""
        message = self.recent.get(position) or self.fetch(position, False)
        return 0 if message is None else timestamp_of(message)

    def _oldest(self) -> int:
        for segment in self.log.segments:
            if segment.header is not None:
                if segment.header.min_time:
                    return segment.header.min_time
            elif positions := [index[2] for index in segment.touched if len(index) > 2]:
                return self.time_at(min(positions)) or -1
        return -1

    def _report(self, position: int) -> None:
        """Keep a damaged record aside, once."""
        if position in self._reported or len(self._reported) > 10000:
            return
        self._reported.add(position)
        try:
            raw = self.log.raw(position, self.log.record_size(position))
        except OSError as error:
            raw = str(error).encode()
        path = self.directory.keep_damaged(f"{position:020}.record", raw)
        _log.error("the record at {position} is damaged; what is there is kept in {path}", position=position, path=path)

    def read_at(self, physical_offset: int) -> bytes | None:
        """See IMessageStore."""
        if not 0 <= physical_offset < self.durable:
            return None
        try:
            found = self.log.read_message(physical_offset, self.durable)
        except OSError as error:
            raise StoreError(f"reading at {physical_offset} failed: {error}") from error
        if found is None:
            return None
        message, record = found
        # What looks like a record may lie within a body: whoever sends can foretell its position. No queue knows it.
        queue = self.queues.get(record.topic << 32 | record.queue)
        if queue is None or record.topic in self.dropped or queue.position(offset_of(message)) != physical_offset:
            return None
        return message

    def query_key(self, key: bytes, begin: int, end: int, max_messages: int) -> list[bytes]:
        """See IMessageStore. Keys are compared by crc32: a stranger with the same is possible, and rare."""
        found: list[bytes] = []
        number = crc32(key)
        for segment in reversed(self.log.segments):
            header = segment.header
            if header is not None and (header.min_time > end or header.max_time < begin):
                continue
            for position in self._positions_of_key(segment, number):
                message = self.read_at(position)
                if message is not None and begin <= timestamp_of(message) <= end:
                    found.append(message)
                    if len(found) >= max_messages:
                        return found
        return found

    def _positions_of_key(self, segment: Segment, number: int) -> list[int]:
        if segment.header is None:
            return [] if segment.keys is None else [segment.base + place for place in segment.keys.find(number)]
        try:
            return list(self.index_of(segment).find_key(number))
        except ValueError:
            self._rebuild_index(segment)
            return list(self.index_of(segment).find_key(number))

    def index_of(self, segment: Segment) -> Sidecar:
        """The index of a sealed segment, made again if it is damaged or gone.

        :raise StoreError: the disk gives errors.
        """
        try:
            return self.log.index(segment)
        except (ValueError, FileNotFoundError):
            self._rebuild_index(segment)
        except OSError as error:
            raise StoreError(f"{segment.index_path} cannot be read: {error}") from error
        return self.log.index(segment)

    def _rebuild_index(self, segment: Segment) -> None:
        try:
            rebuild_index(self, segment)
        except OSError as error:
            raise StoreError(f"{segment.index_path} cannot be made again: {error}") from error

    def drop_expired(self) -> None:
        """See IMessageStore."""
        self.housekeeping.retain()

    def statistics(self) -> dict[str, int | float | str]:
        """What is there and how fast it goes.

        ``kind`` ("durable"), ``flush``, ``failed`` (or ""), ``is_full`` (0 or 1), ``queues``, ``segments``, ``bytes``
        (of the log), ``min_position``, ``max_position`` (durable), ``min_timestamp`` (ms, of the oldest message; -1: there is
        none), ``unwritten_bytes`` (collected or under way),
        ``covered_position`` (by the older snapshot), ``disk_used_ratio``; since `open`: ``appended_messages``,
        ``appended_bytes``, ``commit_groups``, ``commit_seconds_max``, ``commit_times`` (messages by how long
        their group took: in 0 s, below 10, 50, 100, 200, 500 ms, 1, 2, 3, 4, 5, 10 s, and longer); of the last 1024 groups:
        ``commit_seconds_p50``, ``commit_seconds_p99``, ``commit_seconds_p999``.
        """
        latencies = sorted(self._latencies) or [0.0]
        first = self.log.segments[0].base if self.log.segments else 0
        try:
            used = self.disk.used_ratio(self.directory.path)
        except OSError:
            used = 1.0
        return {
            "kind": "durable",
            "flush": self.settings.flush,
            "failed": self.failed or "",
            "is_full": int(self.is_full),
            "queues": len(self.queues),
            "segments": len(self.log.segments),
            "bytes": sum(segment.size for segment in self.log.segments),
            "min_position": first,
            "max_position": self.durable,
            "min_timestamp": self._oldest(),
            "unwritten_bytes": self.tail - self.durable,
            "covered_position": self.housekeeping.covered,
            "disk_used_ratio": used,
            "appended_messages": self._messages,
            "appended_bytes": self._bytes,
            "commit_groups": self._groups,
            "commit_seconds_p50": latencies[len(latencies) // 2],
            "commit_seconds_p99": latencies[len(latencies) * 99 // 100],
            "commit_seconds_p999": latencies[len(latencies) * 999 // 1000],
            "commit_seconds_max": self._longest,
            "commit_times": " ".join(map(str, [0, *self._commit_times])),
        }
