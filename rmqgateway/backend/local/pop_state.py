"""Which messages consumer groups have received and not acknowledged, kept in the log.

Every change is one record: what is recorded is what happened, and replaying it calls the same methods of `PopQueue`.
A payload is the byte 1 (the format's version) and a msgpack array that begins with the number of the change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from rmqgateway.backend.local.pop_queue import Entry, PopPlace, PopQueue, Receiver
from rmqgateway.backend.local.state import StateKind, register_state
from rmqgateway.backend.store.interfaces import IMessageStore

__all__ = ["PopState", "Taken"]

_VERSION = b"\x01"
_DELIVERED, _SETTLED, _CHANGED, _RETURNED, _RESET, _DROPPED = range(6)
_ROWS_IN_A_PIECE = 4096
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode


class Taken:
    """What one receive took from one queue; also how it is recorded.

    :ivar offsets, attempts: what is delivered, and for the n-th time each.
    :ivar message_groups: of `offsets` and `passed_over`, for receiving in order; else empty.
    """

    __slots__ = ("attempts", "message_groups", "next_offset", "offsets", "passed_over", "queue_id")

    def __init__(self, queue_id: int, next_offset: int) -> None:
        self.queue_id = queue_id
        self.next_offset = next_offset
        self.offsets: list[int] = []
        self.attempts: list[int] = []
        self.passed_over: list[int] = []
        self.message_groups: list[tuple[int, str]] = []

    def row(self) -> list[Any]:
        """For the record."""
        return [
            self.queue_id,
            self.next_offset,
            self.offsets,
            self.attempts,
            self.passed_over,
            self.message_groups,
        ]


class PopState:
    """The in-flight messages of every group, by (group, topic number) and queue id.

    A queue whose group has never received from it is not there.
    """

    def __init__(self, store: IMessageStore) -> None:
        self._store = store
        self.places: dict[tuple[str, int], PopPlace] = {}
        register_state(store, StateKind.POP, self)

    def place(self, group: str, topic_number: int) -> PopPlace:
        """The queues of one group and topic; a new place is empty."""
        key = (group, topic_number)
        found = self.places.get(key)
        if found is None:
            found = self.places[key] = PopPlace()
        return found

    # Changes: made and appended.

    def _append(self, change: list[Any], needs: int = -1) -> None:
        self._store.append_state(int(StateKind.POP), _VERSION + _encode(change), needs)

    def delivered(
        self,
        group: str,
        topic_number: int,
        pop_time: int,
        visible_at: int,
        taken: Sequence[Taken],
        receiver: Receiver = "",
    ) -> None:
        """A receive took these. Whose it was is known until the next restart; it is not recorded."""
        rows = [one.row() for one in taken]
        self._delivered(group, topic_number, pop_time, visible_at, rows, receiver)
        self._append([_DELIVERED, group, topic_number, pop_time, visible_at, rows])

    def settled(
        self, group: str, topic_number: int, queue_id: int, offsets: list[int], needs: int = -1
    ) -> None:
        """These are acknowledged, or dealt with in another way: copied to `needs` and behind (`PopMoves.first`)."""
        self._settled(group, topic_number, queue_id, offsets)
        self._append([_SETTLED, group, topic_number, queue_id, offsets], needs)

    def changed(
        self, group: str, topic_number: int, queue_id: int, offset: int, pop_time: int, visible_at: int
    ) -> None:
        """One is visible again at another time, and its handle is another."""
        self._changed(group, topic_number, queue_id, offset, pop_time, visible_at)
        self._append([_CHANGED, group, topic_number, queue_id, offset, pop_time, visible_at])

    def returned(self, group: str, topic_number: int, queue_id: int, offsets: list[int]) -> None:
        """These reached nobody."""
        self._returned(group, topic_number, queue_id, offsets)
        self._append([_RETURNED, group, topic_number, queue_id, offsets])

    def reset(self, group: str, topic_number: int, queue_id: int, offset: int) -> None:
        """The group begins anew in this queue."""
        self._reset(group, topic_number, queue_id, offset)
        self._append([_RESET, group, topic_number, queue_id, offset])

    def dropped(self, group: str, topic_number: int, needs: int = -1) -> None:
        """The group's place in a topic is given up."""
        if self.places.pop((group, topic_number), None) is not None:
            self._append([_DROPPED, group, topic_number], needs)

    def topic_dropped(self, topic_number: int) -> None:
        """A topic is gone."""
        for group, number in [key for key in self.places if key[1] == topic_number]:
            self.dropped(group, number)

    # The same, without appending.

    def _queue(self, group: str, topic_number: int, queue_id: int) -> PopQueue:
        place = self.place(group, topic_number)
        found = place.get(queue_id)
        if found is None:
            found = place[queue_id] = PopQueue(0, place)
        return found

    def _delivered(
        self,
        group: str,
        topic_number: int,
        pop_time: int,
        visible_at: int,
        rows: Iterable[Sequence[Any]],
        receiver: Receiver = "",
    ) -> None:
        for queue_id, next_offset, offsets, attempts, passed_over, message_groups in rows:
            queue = self._queue(group, topic_number, queue_id)
            queue.delivered(offsets, attempts, pop_time, visible_at, next_offset, receiver)
            if passed_over:
                queue.passed_over(passed_over)
            if message_groups:
                queue.grouped(message_groups)

    def _settled(self, group: str, topic_number: int, queue_id: int, offsets: Iterable[int]) -> None:
        queue = self._queue(group, topic_number, queue_id)
        for offset in offsets:
            queue.settled(offset)

    def _changed(
        self, group: str, topic_number: int, queue_id: int, offset: int, pop_time: int, visible_at: int
    ) -> None:
        self._queue(group, topic_number, queue_id).changed(offset, pop_time, visible_at)

    def _returned(self, group: str, topic_number: int, queue_id: int, offsets: Iterable[int]) -> None:
        self._queue(group, topic_number, queue_id).returned(offsets)

    def _reset(self, group: str, topic_number: int, queue_id: int, offset: int) -> None:
        self._queue(group, topic_number, queue_id).reset(offset)

    def _dropped(self, group: str, topic_number: int) -> None:
        self.places.pop((group, topic_number), None)

    # The log (see `State`).

    def apply(self, payload: bytes) -> None:
        kind, *arguments = _decode(payload[1:])
        _APPLY[kind](self, *arguments)

    def snapshot(self) -> Iterator[bytes]:
        # The store takes the pieces later: what it gets is a copy of now.
        return _pieces(
            [
                (
                    [group, topic_number, queue_id, queue.next_offset],
                    (list(queue.entries), list(queue.entries.values())),
                    list(queue.message_groups.items()),
                )
                for (group, topic_number), place in self.places.items()
                for queue_id, queue in place.items()
            ]
        )

    def restore(self, piece: bytes) -> None:
        group, topic_number, queue_id, next_offset, rows, message_groups = _decode(piece[1:])
        queue = self._queue(group, topic_number, queue_id)
        queue.next_offset = next_offset
        queue.restore(rows)
        queue.grouped(message_groups)


def _pieces(
    queues: list[tuple[list[Any], tuple[list[int], list[Entry]], list[tuple[int, str]]]],
) -> Iterator[bytes]:
    for head, (offsets, entries), message_groups in queues:
        for start in range(0, max(len(entries), 1), _ROWS_IN_A_PIECE):
            piece = slice(start, start + _ROWS_IN_A_PIECE)
            rows = [(offset, *entry[:3]) for offset, entry in zip(offsets[piece], entries[piece], strict=True)]
            yield _VERSION + _encode([*head, rows, [] if start else message_groups])


_APPLY: dict[int, Callable[..., None]] = {
    _DELIVERED: PopState._delivered,
    _SETTLED: PopState._settled,
    _CHANGED: PopState._changed,
    _RETURNED: PopState._returned,
    _RESET: PopState._reset,
    _DROPPED: PopState._dropped,
}
