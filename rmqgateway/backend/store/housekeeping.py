"""What the store does beside its log: index files for sealed segments, snapshots, retention, the look at the disk.

Python work is done in the reactor's thread in slices of a few milliseconds (in a thread it would hold the interpreter's
lock for longer than that); only system calls are left to the thread for chores.
"""

from __future__ import annotations

import os
import time
from array import array
from collections import deque
from collections.abc import Callable, Generator, Iterator
from operator import itemgetter
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from rmqgateway.backend.store.records import SEGMENT_HEADER
from rmqgateway.backend.store.sidecar import KeyTable, SidecarHeader, build_parts
from rmqgateway.backend.store.snapshot import SnapshotWriter, frames, snapshot_path
from rmqgateway.errors import StoreError

if TYPE_CHECKING:
    from rmqgateway.backend.store.durable import DurableStore
    from rmqgateway.backend.store.interfaces import Keeper
    from rmqgateway.backend.store.segment import Segment

__all__ = ["Housekeeping", "index_parts"]

_log = Logger()
_FLUSH = 1 << 20
_SLICE = 2000
#: Positions of a queue's first and last message in a segment; see `build_parts`.
_FIRST, _LAST = itemgetter(2), itemgetter(-1)


def index_parts(store: DurableStore, segment: Segment, parts: list[bytes]) -> Iterator[None]:
    """Put the content of a segment's index file into `parts`, in slices."""
    firsts: list[int] = []
    lasts: list[int] = []
    messages = 0
    for at in range(0, len(segment.touched), _SLICE):
        some = segment.touched[at : at + _SLICE]
        messages += sum(map(len, some)) - 2 * len(some)
        firsts.append(min(filter(None, map(_FIRST, some)), default=0))  # 0 is a hole
        lasts.append(max(map(_LAST, some)))
        yield
    first = min(filter(None, firsts), default=0)
    times = (store.time_at(first), store.time_at(max(lasts))) if first else (0, 0)
    keys = segment.keys if segment.keys is not None else KeyTable()
    yield from build_parts(segment.base, segment.touched, keys, times, messages, parts)


class Housekeeping:
    """The store's chores. One kind of slice work at a time, in order.

    :ivar covered: where the older of the two kept snapshots was taken: the log before it is not needed for state.
    """

    def __init__(self, store: DurableStore) -> None:
        self._store = store
        self.covered = 0
        self.newest = 0
        self.paths: deque[str] = deque()
        self.orphans: list[str] = []
        self._work: deque[Iterator[None]] = deque()
        self._slice_call: IDelayedCall | None = None
        self._waiting = False
        self._timers: dict[str, IDelayedCall] = {}
        self._snapshot_number = 0
        self._snapshotting = False
        self._failed: list[Segment] = []
        self._crowded: Segment | None = None
        self._stopped: Callable[[object], None] | None = None

    # Timers and slices.

    def start(self) -> None:
        """Begin with it."""
        settings = self._store.settings
        self._every("room", settings.disk_check_interval, self._store.retry_room)
        self._every("retention", settings.retention_interval, self._retain)
        self._every("snapshot", settings.snapshot_interval, self.take_snapshot)

    def _every(self, name: str, interval: float, what: Callable[[], None]) -> None:
        def call() -> None:
            self._every(name, interval, what)
            try:
                what()
            except Exception:
                _log.failure("the store's {name} failed", name=name)

        self._timers[name] = self._store.reactor.callLater(interval, call)

    def stop(self, stopped: Callable[[object], None]) -> None:
        """Finish what is under way, take the last snapshot, then call back."""
        for call in self._timers.values():
            call.cancel()
        self._timers = {}
        self._stopped = stopped
        if self._store.failed is None:
            self.take_snapshot()
        self._go_on()

    def _do(self, work: Iterator[None]) -> None:
        self._work.append(work)
        self._go_on()

    def _go_on(self) -> None:
        if self._slice_call is None and not self._waiting:
            if self._work:
                self._slice_call = self._store.reactor.callLater(0, self._slice)
            elif self._stopped is not None:
                stopped, self._stopped = self._stopped, None
                stopped(None)

    def _slice(self) -> None:
        self._slice_call = None
        end = time.perf_counter() + self._store.settings.slice_seconds
        work = self._work[0]
        try:
            while time.perf_counter() < end and not self._waiting:
                next(work)
        except StopIteration:
            self._work.popleft()
        except Exception:
            _log.failure("a chore of the store failed")
            self._work.popleft()
        self._go_on()

    def _wait(self, job: Callable[[], object], done: Callable[[BaseException | None], None]) -> None:
        """Have `job` done by the thread for chores; slices go on after `done`."""

        def ended(error: BaseException | None) -> None:
            self._waiting = False
            try:
                done(error)
            finally:
                self._go_on()

        self._waiting = True
        self._store.chores.submit(job, ended)

    def _wait_durable(self, done: Callable[[BaseException | None], None]) -> None:
        """Slices go on when everything appended so far is durable."""

        def ended(error: BaseException | None) -> None:
            self._waiting = False
            done(error)
            self._go_on()

        self._waiting = True
        self._store.when_durable(ended)

    # Index files.

    def seal(self, segment: Segment) -> None:
        """Nothing is appended to this segment any more and all of it is written: give it its index file."""
        self._do(self._seal(segment))
        store = self._store
        if store.tail - self.newest >= store.settings.snapshot_bytes:
            self.take_snapshot()

    def _seal(self, segment: Segment) -> Iterator[None]:
        store = self._store
        parts: list[bytes] = []
        yield from index_parts(store, segment, parts)
        errors: list[BaseException] = []

        def done(error: BaseException | None) -> None:
            if error is not None:
                errors.append(error)

        def write() -> None:
            if store.settings.flush == "async":
                store.disk.fdatasync(segment.fd)
            store.disk.write_file(segment.index_path, parts)

        self._wait(write, done)
        yield
        if errors:
            _log.error("the index of {path} cannot be written now: {error}", path=segment.path, error=errors[0])
            self._failed.append(segment)
            return
        touched = segment.touched
        segment.header = SidecarHeader.read(parts[0], segment.base)
        segment.forget_touched()
        store.log.release(segment)
        yield from self._forget(touched)

    def _forget(self, touched: list[array[int]]) -> Iterator[None]:
        queues = self._store.queues
        while touched:
            for index in touched[-500:]:
                queue = queues.get(index[0])
                if queue is not None and queue.index is index:
                    queue.index = None
            del touched[-500:]
            yield

    # Snapshots.

    def take_snapshot(self) -> None:
        """Take one unless nothing changed since the last."""
        store = self._store
        if store.tail != self.newest and not self._snapshotting and store.failed is None:
            self._snapshotting = True
            self._do(self._snapshot())

    def _snapshot(self) -> Iterator[None]:
        try:
            yield from self._snapshot_steps()
        finally:
            self._snapshotting = False

    def _snapshot_steps(self) -> Iterator[None]:
        store = self._store
        position = store.tail
        self._snapshot_number += 1
        path = snapshot_path(store.directory.state, position, self._snapshot_number)
        temporary = path + ".new"
        oldest = store.log.segments[0].base
        orphans = list(self.orphans)
        writer = SnapshotWriter(position, oldest)
        at = 0
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        errors: list[BaseException] = []

        def done(error: BaseException | None) -> None:
            if error is not None:
                errors.append(error)

        def write(parts: list[bytes], at: int) -> Callable[[], None]:
            return lambda: store.disk.pwritev(fd, parts, at)

        try:
            for frame in frames(store, position):
                writer.add(*frame)
                if writer.size >= _FLUSH:
                    size = writer.size
                    self._wait(write(writer.take(), at), done)
                    at += size
                yield
                if errors:
                    break
            self._wait_durable(done)
            yield
            if errors or store.failed is not None:
                return
            writer.end()
            last = writer.take()
            gone = [self.paths[0]] if len(self.paths) > 1 else []
            sync = store.sync_job()

            def finish() -> None:
                sync()
                store.disk.pwritev(fd, last, at)
                store.disk.fdatasync(fd)
                store.disk.rename(temporary, path)
                for old in gone + orphans:
                    store.disk.unlink(old)

            self._wait(finish, done)
            yield
        finally:
            os.close(fd)
            if errors or store.failed is not None:
                _log.error("no snapshot could be taken: {error}", error=errors[0] if errors else store.failed)
                store.disk.unlink(temporary)
        if errors:
            return
        self.orphans = [orphan for orphan in self.orphans if orphan not in orphans]
        self.paths.append(path)
        while len(self.paths) > 2:
            self.paths.popleft()
        self.covered, self.newest = self.newest, position

    # Retention.

    def retain(self) -> None:
        """Begin to drop the segments that are out of date."""
        if self._timers:
            self._retain()

    def _retain(self) -> None:
        for segment in self._failed:
            self.seal(segment)
        self._failed = []
        self._do(self._retain_steps())

    def _retain_steps(self) -> Iterator[None]:
        store = self._store
        settings, log = store.settings, store.log
        oldest_time = (store.now() - settings.retention_seconds) * 1000
        total = sum(segment.size for segment in log.segments)
        last = log.segments[-1]
        while len(log.segments) > 1:
            segment = log.segments[0]
            if segment.header is None or segment.end > self.covered or segment is store.active:
                return
            if segment is last:
                return  # where this pass appended again what is needed: not in a circle
            too_much = settings.retention_bytes and total > settings.retention_bytes
            if not too_much and segment.header.max_time >= oldest_time:
                return
            try:
                kept = yield from self._keep(segment, segment.header.max_time >= oldest_time)
            except StoreError as error:
                _log.warn("retention waits, since the store takes nothing: {reason}", reason=str(error))
                return
            if not kept:
                return
            total -= segment.size
            for number, (key, first, count) in enumerate(store.index_of(segment).entries()):
                queue = store.queues.get(key)
                if queue is not None and queue.min_offset < first + count:
                    queue.min_offset = first + count
                if not number % 500:
                    yield
            log.remove_first()
            for topic in [topic for topic, position in store.dropped.items() if position <= segment.end]:
                del store.dropped[topic]  # nothing of it is left
            self.orphans.append(segment.index_path)
            self._wait(lambda path=segment.path: store.disk.unlink(path), lambda error: None)  # type: ignore[misc]
            _log.info("dropped {path}: {size} bytes", path=segment.path, size=segment.size - SEGMENT_HEADER)
            yield

    def _keep(self, segment: Segment, by_size: bool) -> Generator[None, None, bool]:
        """Have what is needed of a segment appended again, and wait until that is durable; False: it must stay.

        One that is out of date goes in any case. One that is only too much stays if half of it is needed: to write
        that again and again would make no room.
        """
        store = self._store
        if not store.keepers:
            return True
        found: list[tuple[Keeper, int, int, int]] = []
        messages = needed = 0
        for number, (key, first, count) in enumerate(store.index_of(segment).entries()):
            messages += count
            if key in store.queues:
                place = (key >> 32, key & 0xFFFF_FFFF, first + count)
                for keeper in store.keepers:
                    many = yield from keeper.needed(*place)
                    if many is None:
                        return False
                    if many:
                        needed += many
                        found.append((keeper, *place))
            if not number % 500:
                yield
        if by_size and needed * 2 > messages:
            if segment is not self._crowded:
                self._crowded = segment
                _log.warn(
                    "the log stays larger than retention_bytes: {needed} of {messages} messages of {path} still wait for"
                    " their time or their transaction",
                    needed=needed,
                    messages=messages,
                    path=segment.path,
                )
            return False
        for keeper, topic_number, queue_id, end in found:
            yield from keeper.keep(topic_number, queue_id, end)
        if found:
            errors: list[BaseException] = []
            self._wait_durable(lambda error: None if error is None else errors.append(error))
            yield
            return not errors
        return True
