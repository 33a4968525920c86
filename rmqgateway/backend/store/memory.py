"""A store that forgets everything with its process: for tests, and for a gateway that need not be durable.

Deterministic: a group is committed by ``clock.callLater(0, ...)``, so a test with
:class:`twisted.internet.task.Clock` says when; or, with ``manual=True``, only by :meth:`MemoryStore.commit`, so a test
can hold a group back. What was committed lives in :attr:`MemoryStore.contents`, from which another store can be opened:
a restart (after `close`) or a crash (without) in a test.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from struct import pack_into, unpack_from

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from rmqgateway.backend.store.interfaces import IMessageStore, IMetadata, IStoredQueue, Scope
from rmqgateway.backend.store.registrations import Registrations
from rmqgateway.errors import Code, StoreError

__all__ = ["MemoryContents", "MemoryMetadata", "MemoryQueue", "MemoryStore"]

_log = Logger()


def _timestamp(message: bytes) -> int:
    """The store timestamp (ms) of a stored message: after the born host, whose length sysFlag (bit 4) tells."""
    at = 68 if message[39] & 16 else 56
    return int(unpack_from(">q", message, at)[0]) if len(message) >= at + 8 else 0


class MemoryContents:
    """Everything that was committed: what another :class:`MemoryStore` can be opened upon."""

    def __init__(self) -> None:
        self.tail = 0
        self.messages: dict[int, tuple[int, int, int, bytes]] = {}
        self.queues: dict[tuple[int, int], tuple[int, list[int]]] = {}
        self.keys: dict[bytes, list[int]] = {}
        self.tables: dict[str, dict[str, bytes]] = {}
        self.log: list[tuple[int, bytes | int]] = []
        self.pieces: dict[int, list[bytes]] = {}
        self.dropped: set[int] = set()


@implementer(IStoredQueue)
class MemoryQueue:
    """One message queue in memory."""

    def __init__(self, store: MemoryStore, topic_number: int, queue_id: int) -> None:
        self._store = store
        self.topic_number = topic_number
        self.queue_id = queue_id
        self.min_offset, self._positions = store.contents.queues.setdefault((topic_number, queue_id), (0, []))
        self.max_offset = self.next_offset = self.min_offset + len(self._positions)
        self._dropped = False

    def append(self, message: bytearray, keys: Sequence[bytes] = ()) -> int:
        """See IStoredQueue."""
        self._store.check_writable()
        if self._dropped:
            raise StoreError(f"topic number {self.topic_number} was dropped")
        return self._store.add_message(self, message, keys)

    def read(self, offset: int, max_messages: int, max_bytes: int) -> list[bytes]:
        """See IStoredQueue."""
        found: list[bytes] = []
        if not self.min_offset <= offset < self.max_offset or self._dropped:
            return found
        messages = self._store.contents.messages
        first = offset - self.min_offset
        for position in self._positions[first : min(first + max_messages, self.max_offset - self.min_offset)]:
            message = messages[position][3]
            max_bytes -= len(message)
            if max_bytes < 0 and found:
                break
            found.append(message)
        return found

    def offset_by_time(self, timestamp: int, lower: bool = True) -> int:
        """See IStoredQueue."""
        if lower:
            return bisect_left(range(self.max_offset), timestamp, self.min_offset, key=self.store_timestamp)
        after = bisect_right(range(self.max_offset), timestamp, self.min_offset, key=self.store_timestamp)
        return max(after - 1, self.min_offset)

    def store_timestamp(self, offset: int) -> int:
        """See IStoredQueue."""
        if not self.min_offset <= offset < self.max_offset or self._dropped:
            return -1
        return _timestamp(self._store.contents.messages[self._positions[offset - self.min_offset]][3])

    def drop_before(self, offset: int) -> None:
        """Let the messages before `offset` go, as retention does."""
        while self.min_offset < min(offset, self.max_offset):
            del self._store.contents.messages[self._positions.pop(0)]
            self.min_offset += 1
        self._store.contents.queues[self.topic_number, self.queue_id] = (self.min_offset, self._positions)

    def commit_one(self, position: int) -> None:
        """A message of this queue became durable (called by the store, in order)."""
        self._positions.append(position)
        self.max_offset += 1

    def drop(self) -> None:
        """The topic was dropped: nothing can be read or appended any more."""
        self._dropped = True
        self.min_offset = self.max_offset = self.next_offset


@implementer(IMetadata)
class MemoryMetadata:
    """Slow state in memory; a change is durable with the group that it was made in."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._now = {name: dict(table) for name, table in store.contents.tables.items()}

    def items(self, table: str) -> Iterator[tuple[str, bytes]]:
        """See IMetadata."""
        return iter(sorted(self._store.contents.tables.get(table, {}).items()))

    def get(self, table: str, key: str) -> bytes | None:
        """See IMetadata."""
        return self._now.get(table, {}).get(key)

    def change(self, changes: Iterable[tuple[str, str, bytes | None]]) -> Deferred[None]:
        """See IMetadata."""
        done: Deferred[None] = Deferred()
        wanted = list(changes)
        try:
            self._store.check_usable()
        except StoreError:
            done.errback()
            return done
        self.apply(self._now, wanted)
        self._store.add_change(wanted)
        self._store.when_durable(lambda error: done.callback(None) if error is None else done.errback(error))
        return done

    @staticmethod
    def apply(tables: dict[str, dict[str, bytes]], changes: Iterable[tuple[str, str, bytes | None]]) -> None:
        """Make `changes` in `tables`."""
        for table, key, value in changes:
            if value is None:
                tables.get(table, {}).pop(key, None)
            else:
                tables.setdefault(table, {})[key] = value


@implementer(IMessageStore)
class MemoryStore(Registrations):
    """The in-memory store.

    :param clock: commits what was collected with ``callLater(0)``.
    :param contents: what an earlier store had committed (its :attr:`contents`); an empty store without.
    :param manual: commit only when :meth:`commit` is called.
    """

    def __init__(self, clock: IReactorTime, contents: MemoryContents | None = None, *, manual: bool = False) -> None:
        super().__init__()
        self.contents = contents if contents is not None else MemoryContents()
        self.failed: str | None = None
        self.is_full = False
        self.scope: Scope | None = None
        self.manual = manual
        self._clock = clock
        self._scheduled = False
        self._queues: dict[tuple[int, int], MemoryQueue] = {}
        self._next_position = self.contents.tail
        self._collected: list[Callable[[], None]] = []
        self._waiting: list[Callable[[BaseException | None], None]] = []
        self._groups = 0
        self.metadata = MemoryMetadata(self)

    def open(self) -> None:
        """See IMessageStore."""
        self._opened = True
        contents = self.contents
        for kind, pieces in contents.pieces.items():
            for piece in pieces:
                if kind in self.restore:
                    self.restore[kind](piece)
        for kind, what in contents.log:
            if isinstance(what, int):
                if self.on_message is not None and what in contents.messages:
                    topic_number, queue_id, offset, message = contents.messages[what]
                    self.on_message(topic_number, queue_id, offset, memoryview(message))
            elif kind in self.apply:
                self.apply[kind](what)

    def close(self) -> Deferred[None]:
        """See IMessageStore."""
        if self._opened and self.failed is None:
            self.commit()
            self.contents.pieces.update({kind: list(snapshot()) for kind, snapshot in self.snapshot.items()})
            self.contents.log = [entry for entry in self.contents.log if entry[0] not in self.snapshot and entry[0] != 0]
        self._opened = False
        return succeed(None)

    def queue(self, topic_number: int, queue_id: int) -> MemoryQueue:
        """See IMessageStore."""
        found = self._queues.get((topic_number, queue_id))
        if found is None:
            if topic_number in self.contents.dropped:
                raise StoreError(f"topic number {topic_number} was dropped")
            found = self._queues[topic_number, queue_id] = MemoryQueue(self, topic_number, queue_id)
        return found

    def drop_topic(self, topic_number: int) -> None:
        """See IMessageStore."""
        for key in [key for key in self._queues if key[0] == topic_number]:
            self._queues.pop(key).drop()
        for key in [key for key in self.contents.queues if key[0] == topic_number]:
            del self.contents.queues[key]
        self.contents.dropped.add(topic_number)

    def append_state(self, kind: int, payload: bytes, needs: int = -1) -> None:
        """See IMessageStore."""
        self.check_usable()
        self._collect(lambda: self.contents.log.append((kind, payload)))

    def when_durable(self, callback: Callable[[BaseException | None], None]) -> None:
        """See IMessageStore."""
        if self.failed is not None:
            callback(StoreError(self.failed))
        elif self._collected or self._waiting:
            self._waiting.append(callback)
        else:
            callback(None)

    def read_at(self, physical_offset: int) -> bytes | None:
        """See IMessageStore."""
        found = self.contents.messages.get(physical_offset)
        return None if found is None or found[0] in self.contents.dropped else found[3]

    def query_key(self, key: bytes, begin: int, end: int, max_messages: int) -> list[bytes]:
        """See IMessageStore."""
        found: list[bytes] = []
        for position in reversed(self.contents.keys.get(key, [])):
            message = self.read_at(position)
            if message is not None and begin <= _timestamp(message) <= end and len(found) < max_messages:
                found.append(message)
        return found

    def drop_expired(self) -> None:
        """See IMessageStore."""

    def statistics(self) -> dict[str, int | float | str]:
        """``kind`` ("memory"), ``messages``, ``bytes``, ``queues``, ``commit_groups``, ``min_position``, ``max_position``,
        ``min_timestamp`` (ms, of the oldest message; -1: there is none)."""
        oldest = min(self.contents.messages, default=None)
        return {
            "kind": "memory",
            "min_timestamp": -1 if oldest is None else _timestamp(self.contents.messages[oldest][3]),
            "messages": len(self.contents.messages),
            "bytes": sum(len(entry[3]) for entry in self.contents.messages.values()),
            "queues": len(self.contents.queues),
            "commit_groups": self._groups,
            "min_position": min(self.contents.messages, default=self.contents.tail),
            "max_position": self.contents.tail,
        }

    # What only tests and the parts of this store call.

    def commit(self) -> None:
        """Make everything that was collected durable and tell who waits for it."""
        self._scheduled = False
        if self.failed is not None or not (self._collected or self._waiting):
            return
        collected, self._collected = self._collected, []
        waiting, self._waiting = self._waiting, []
        self._groups += 1
        for store_it in collected:
            store_it()
        self.contents.tail = max(self.contents.tail, self._next_position)
        self._tell(waiting, None)

    def fail(self, reason: str) -> None:
        """Fail as a store does whose disk gave an I/O error: what is collected is lost, appends are refused for good."""
        self.failed = reason
        self._collected = []
        waiting, self._waiting = self._waiting, []
        self._tell(waiting, StoreError(reason))

    def check_usable(self) -> None:
        """Raise StoreError if nothing can be appended."""
        if self.failed is not None:
            raise StoreError(self.failed)
        if not self._opened:
            raise StoreError("the store is not open")

    def check_writable(self) -> None:
        """Raise StoreError if no message can be appended."""
        self.check_usable()
        if self.is_full:
            raise StoreError("the store is full", Code.STORE_FULL)

    def add_message(self, queue: MemoryQueue, message: bytearray, keys: Sequence[bytes]) -> int:
        """Collect a message of `queue`; return its position."""
        position, offset = self._next_position, queue.next_offset
        pack_into(">qq", message, 20, offset, position)
        stored = bytes(message)

        def store_it() -> None:
            contents = self.contents
            if queue.topic_number in contents.dropped:
                return
            contents.messages[position] = (queue.topic_number, queue.queue_id, offset, stored)
            contents.log.append((0, position))
            for key in keys:
                contents.keys.setdefault(key, []).append(position)
            queue.commit_one(position)

        queue.next_offset = offset + 1
        self._next_position = position + len(message)
        self._collect(store_it)
        return position

    def add_change(self, changes: list[tuple[str, str, bytes | None]]) -> None:
        """Collect a change of the metadata."""
        self._collect(lambda: self.metadata.apply(self.contents.tables, changes))

    def _collect(self, store_it: Callable[[], None]) -> None:
        self._collected.append(store_it)
        if not self._scheduled and not self.manual:
            self._scheduled = True
            self._clock.callLater(0, self.commit)

    def _tell(self, waiting: list[Callable[[BaseException | None], None]], error: StoreError | None) -> None:
        if self.scope is not None:
            self.scope.enter()
        for callback in waiting:
            try:
                callback(error)
            except Exception:
                _log.failure("a callback of when_durable failed")
        if self.scope is not None:
            self.scope.leave()
