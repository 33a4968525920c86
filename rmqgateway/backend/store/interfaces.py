"""What a store is to the local backend: an append-only log of messages in message queues, with small state riding in it.

The store knows no topics, groups or protocols. A message queue is named by two numbers that the backend gives out once
and never again (`topic_number`, `queue_id`), so no name from the wire ever becomes a path.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

__all__ = ["IMessageStore", "IMetadata", "IStoredQueue", "Keeper", "Scope"]


class Scope(Protocol):
    """Something to be entered and left around a number of calls (``rmqgateway.outbox.Outbox``)."""

    def enter(self) -> None:
        """Begin."""

    def leave(self) -> None:
        """End."""


class Keeper(Protocol):
    """Somebody who still needs messages that retention is about to drop (`IMessageStore.register_keeper`).

    Both methods are generators: housekeeping runs them in slices, other things happen between.
    """

    def needed(self, topic_number: int, queue_id: int, end: int) -> Generator[None, None, int | None]:
        """How many messages of this queue before the offset `end` are needed; None: they must stay where they are."""

    def keep(self, topic_number: int, queue_id: int, end: int) -> Iterator[None]:
        """Append again what is needed of this queue before the offset `end`.

        :raise StoreError: the store takes nothing at present; it is tried again later.
        """


class IStoredQueue(Interface):
    """One message queue of the store. Cheap to keep a reference to; stays valid until the queue is dropped."""

    min_offset: int = Attribute("The offset of the oldest message that is still kept; equals max_offset when empty.")
    max_offset: int = Attribute(
        "The offset after the newest *durable* message: what readers see. Grows only when a group was committed."
    )
    next_offset: int = Attribute("The offset that the next append gets; >= max_offset while a group is under way.")

    def append(message: bytearray, keys: Sequence[bytes] = ()) -> int:
        """Add a message to the group being collected; return its physical offset (its position in the log).

        :param message: a whole stored message (``rmqgateway.wire.stored_message``). The store fills in the queue
            offset (``next_offset`` before the call) and the physical offset in place; everything else is the
            caller's. The store keeps the buffer: the caller must not change it afterwards.
        :param keys: what QueryMessage finds it by (unique key, keys), already prefixed by the caller with
            ``topic#``; hashed by the store.
        :raise StoreError: STORE_FULL (room may be made), STORE_FAILED (for good), MESSAGE_TOO_LARGE (it does not fit
            into a segment); nothing was added.
        """

    def read(offset: int, max_messages: int, max_bytes: int) -> list[bytes]:
        """Return consecutive durable messages from `offset` on, at least one if there is any, synchronously.

        Stops before `max_bytes` is passed (the first is given whatever its size) and at ``max_offset``. An offset
        outside ``min_offset..max_offset`` gives an empty list. Recent messages come from memory without a copy.
        A damaged record is left out: the store moves it aside and reports it; offsets then show a gap, so go on after
        the offset (at byte 20) of the last message given, not after the number of messages. Where everything up to
        ``max_offset`` is damaged the list is empty. The messages are shared: nobody may assume a copy.

        :raise StoreError: the disk gives errors.
        """

    def offset_by_time(timestamp: int, lower: bool = True) -> int:
        """Return the first offset whose store timestamp is >= `timestamp` (ms); ``max_offset`` if there is none.

        With `lower` false (RocketMQ's boundary UPPER) the last offset whose store timestamp is <= `timestamp`, or
        ``min_offset``. Store timestamps of a queue are expected not to decrease.
        """

    def store_timestamp(offset: int) -> int:
        """Return the store timestamp (ms) of the message at `offset`, or -1 if there is none."""


class IMetadata(Interface):
    """Slow state: small values by table and key, each change durable when its Deferred fires.

    All of it is kept in memory. A change goes on while the store is full, as `append_state` does.
    """

    def items(table: str) -> Iterator[tuple[str, bytes]]:
        """Every key and value of a table, as of the last durable change, in order of the keys."""

    def get(table: str, key: str) -> bytes | None:
        """The value, or None. Sees changes at once, also those not yet durable."""

    def change(changes: Iterable[tuple[str, str, bytes | None]]) -> Deferred[None]:
        """Apply (table, key, value or None to delete) all together; fires when durable, fails with StoreError."""


class IMessageStore(Interface):
    """Messages, state and metadata of one broker, durable in the way its settings say.

    Not thread-safe: every method is called, and every callback comes, in the reactor's thread.

    **Groups.** `append` and `append_state` add to the group being collected. At the end of the reactor turn (or when
    the group under way has been committed) the group is written and synced off the reactor's thread; then its messages
    become visible to readers (``max_offset``), then the callbacks of `when_durable` run, in order.
    """

    metadata: IMetadata = Attribute("The slow state.")
    failed: str | None = Attribute("Why the store refuses appends for good (an I/O error), or None.")
    is_full: bool = Attribute("Appends are refused until room is made: disk over its limit.")
    scope: Scope | None = Attribute(
        "Set by the backend, before `open`: entered before the callbacks of a group are run and left after the last of "
        "them, so that the replies of a whole group leave as one write per connection (the gateway's Outbox)."
    )

    def register_state(
        kind: int, restore: Callable[[bytes], None], apply: Callable[[bytes], None], snapshot: Callable[[], Iterable[bytes]]
    ) -> None:
        """Say, before `open`, who owns the state of one kind (1..255).

        At `open` the pieces that the last `snapshot` gave go to `restore`, in their order; then each payload that was
        appended since goes to `apply`, in the order of the log (interleaved with the other kinds as they were
        appended). A snapshot is taken at a point of the log: it must show exactly the changes appended before.
        `snapshot` is called then, but what it returns is consumed in slices over later reactor turns: a list is always
        right, a generator must give the state as of the call whatever changes meanwhile. An owner whose `restore` or
        `apply` raises is told nothing more: the piece is reported and left out, `open` goes on.
        """

    def register_replay(on_message: Callable[[int, int, int, memoryview], None]) -> None:
        """Say, before `open`, who wants to see each message appended since the last snapshot, in the order of the log
        between the state payloads: (topic_number, queue_id, queue_offset, message)."""

    def register_keeper(keeper: Keeper) -> None:
        """Say, before `open`, who is to be asked before messages are dropped by retention."""

    def open() -> None:
        """Lock the directory, read what is there, cut a damaged tail, move damage aside. Synchronous.

        :raise StoreError: the directory is used by another process, is not ours, is of a newer format, or cannot be
            written. Never because of damaged stored data.
        """

    def close() -> Deferred[None]:
        """Commit what is collected, snapshot, release the directory."""

    def queue(topic_number: int, queue_id: int) -> IStoredQueue:
        """The queue with these numbers, created empty if it was not there. Returns the same object each time."""

    def drop_topic(topic_number: int) -> None:
        """Forget all queues of a topic; their messages go with their segments. The number is never used again.

        From now on its queues give nothing, `read_at` and `query_key` do not find its messages.

        :raise StoreError: the store failed.
        """

    def append_state(kind: int, payload: bytes, needs: int = -1) -> None:
        """Add a change of state to the group being collected.

        :param needs: the position of the first message appended in this turn without which the change must not stand (a
            copy whose original this settles). A disk that loses power in the middle of a group keeps any part of it: where
            anything from there to the change cannot be read, `open` leaves the change out.

        Goes on while the store is full (acknowledgements must), as long as there is any room in a segment.

        :raise StoreError: STORE_FULL (no room at all), STORE_FAILED, MESSAGE_TOO_LARGE.
        """

    def when_durable(callback: Callable[[BaseException | None], None]) -> None:
        """Call back once everything appended so far is durable: with None, or the error that made the group fail.

        With nothing under way or collected, it is called before `when_durable` returns.
        """

    def read_at(physical_offset: int) -> bytes | None:
        """The message at this position of the log, or None if there is none (any number is safe to ask).

        :raise StoreError: the disk gives errors.
        """

    def query_key(key: bytes, begin: int, end: int, max_messages: int) -> list[bytes]:
        """Messages with this ``topic#key`` and a store timestamp within begin..end (ms), newest first.

        A store may compare hashes (32 bits) only: who must be sure looks at the message's properties, as clients do.

        :raise StoreError: the disk gives errors.
        """

    def drop_expired() -> None:
        """Begin now to drop what retention lets go, instead of by and by. A store in memory has no retention."""

    def statistics() -> dict[str, int | float | str]:
        """Sizes, counts and latencies for runtime information and metrics (documented by the implementation)."""
