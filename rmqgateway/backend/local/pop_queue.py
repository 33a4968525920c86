"""What a consumer group has received from one message queue and not acknowledged yet: a pure state machine.

A message stays where it was stored; what is kept here is its offset, until when it is invisible, how often it was
delivered, and the pop time that makes its handle valid. The same methods run live and when the log is replayed, so a
restart gives the same state.

Three places a message can be in: not received yet (at or after `next_offset`), in flight (an entry that is invisible),
or due (an entry whose time is over, or that was never delivered because an earlier one of its message group is in
flight). Everything before `next_offset` without an entry is acknowledged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush

__all__ = ["NEVER_DUE", "NOWHERE", "Entry", "PopPlace", "PopQueue", "Receiver"]

#: Nothing is in flight.
NEVER_DUE = 1 << 62

#: Whose receive it was: a client id, the number of a session without one, or "": before the last restart.
Receiver = str | int

#: (visible at ms, delivered how often, pop time ms, receiver). Shared by all messages of one receive, to be small.
Entry = tuple[int, int, int, Receiver]

#: The entry of a message that was passed over since its message group was blocked.
_WAITING: Entry = (0, 0, 0, "")


class PopPlace(dict[int, "PopQueue"]):
    """What one group has received from the queues of one topic, by queue id.

    :ivar first_due: nothing in them is due before this (ms); 0: look.
    """

    __slots__ = ("first_due",)

    def __init__(self) -> None:
        super().__init__()
        self.first_due = 0


#: Of a group that has received nothing.
NOWHERE = PopPlace()


class PopQueue:
    """One group's in-flight messages of one queue.

    :param place: where it belongs; its `PopPlace.first_due` is kept.

    :ivar next_offset: the first offset that was never looked at by a receive.
    :ivar entries: by offset, what is in flight or due.
    :ivar message_groups: by offset, the message group (sharding key) of entries received in order; empty otherwise.
    :ivar expiries: heap of (visible at, pop time, offsets); may hold what is settled by now.
    :ivar due: heap of offsets whose time is over; the same. With both empty nothing is due, or ever will be.
    """

    __slots__ = ("_place", "due", "entries", "expiries", "message_groups", "next_offset")

    def __init__(self, next_offset: int, place: PopPlace | None = None) -> None:
        self._place = place if place is not None else PopPlace()
        self.next_offset = next_offset
        self.entries: dict[int, Entry] = {}
        self.message_groups: dict[int, str] = {}
        self.expiries: list[tuple[int, int, tuple[int, ...]]] = []
        self.due: list[int] = []

    # Changes, live and in replay.

    def delivered(
        self,
        offsets: Sequence[int],
        attempts: Sequence[int],
        pop_time: int,
        visible_at: int,
        next_offset: int,
        receiver: Receiver = "",
    ) -> None:
        """These messages were delivered, for the n-th time each, and everything before `next_offset` was looked at."""
        shared: dict[int, Entry] = {}
        entries = self.entries
        for offset, attempt in zip(offsets, attempts, strict=True):
            entry = shared.get(attempt)
            if entry is None:
                entry = shared[attempt] = (visible_at, attempt, pop_time, receiver)
            entries[offset] = entry
        if offsets:
            self._expires(visible_at, pop_time, tuple(offsets))
        if next_offset > self.next_offset:
            self.next_offset = next_offset

    def passed_over(self, offsets: Iterable[int]) -> None:
        """These messages wait for an earlier one of their message group."""
        new = tuple(offset for offset in offsets if offset not in self.entries)
        for offset in new:
            self.entries[offset] = _WAITING
        if new:
            self._expires(0, 0, new)

    def grouped(self, groups: Iterable[tuple[int, str]]) -> None:
        """These offsets belong to these message groups."""
        self.message_groups.update(groups)

    def settled(self, offset: int) -> bool:
        """A message is done with; False if it was not in flight."""
        self.message_groups.pop(offset, None)
        return self.entries.pop(offset, None) is not None

    def returned(self, offsets: Iterable[int]) -> None:
        """These messages never reached anybody: visible at once, and that delivery does not count."""
        for offset in offsets:
            entry = self.entries.get(offset)
            if entry is not None:
                self.entries[offset] = (0, max(entry[1] - 1, 0), entry[2], entry[3])
                self._expires(0, entry[2], (offset,))

    def changed(self, offset: int, pop_time: int, visible_at: int) -> None:
        """A message in flight is visible again at another time, under another handle."""
        entry = self.entries.get(offset)
        if entry is not None:
            self.entries[offset] = (visible_at, entry[1], pop_time, entry[3])
            self._expires(visible_at, pop_time, (offset,))

    def reset(self, offset: int) -> None:
        """Begin anew at an offset; whatever was in flight is forgotten."""
        self.next_offset = offset
        self.entries.clear()
        self.message_groups.clear()
        self.expiries.clear()
        self.due.clear()
        self._place.first_due = 0

    def _expires(self, visible_at: int, pop_time: int, offsets: tuple[int, ...]) -> None:
        expiries = self.expiries
        # What is settled by now goes as new comes: two for one, so that they never gather.
        for _ in range(2):
            if not expiries or not self._is_over(expiries[0]):
                break
            heappop(expiries)
        heappush(expiries, (visible_at, pop_time, offsets))
        if visible_at < self._place.first_due:
            self._place.first_due = visible_at

    def _is_over(self, expiry: tuple[int, int, tuple[int, ...]]) -> bool:
        """Whether nothing of this is in flight any more, or all of it under another handle."""
        visible_at, pop_time, offsets = expiry
        for offset in offsets:
            entry = self.entries.get(offset)
            if entry is not None and entry[0] == visible_at and entry[2] == pop_time:
                return False
        return True

    # Questions.

    def is_valid(self, offset: int, pop_time: int) -> bool:
        """Whether a handle with this pop time is the current one of the message."""
        entry = self.entries.get(offset)
        return entry is not None and entry[2] == pop_time and entry[0] > 0

    def next_pop_time(self, offsets: Iterable[int], now: int) -> int:
        """A pop time that none of these messages was delivered with before."""
        latest = now
        for offset in offsets:
            entry = self.entries.get(offset)
            if entry is not None and entry[2] >= latest:
                latest = entry[2] + 1
        return latest

    def _collect_due(self, now: int) -> None:
        entries = self.entries
        while self.expiries and self.expiries[0][0] <= now:
            visible_at, pop_time, offsets = heappop(self.expiries)
            for offset in offsets:
                entry = entries.get(offset)
                if entry is not None and entry[0] == visible_at and entry[2] == pop_time:
                    heappush(self.due, offset)

    def take_due(self, now: int, limit: int) -> list[int]:
        """Offsets whose time is over, lowest first; they count as taken until `delivered` or `put_back`."""
        self._collect_due(now)
        found: list[int] = []
        while self.due and len(found) < limit:
            offset = heappop(self.due)
            entry = self.entries.get(offset)
            if entry is not None and entry[0] <= now and (not found or found[-1] != offset):
                found.append(offset)
        return found

    def put_back(self, offsets: Iterable[int]) -> None:
        """Offsets from `take_due` that were not delivered after all."""
        for offset in offsets:
            heappush(self.due, offset)
            self._place.first_due = 0

    def has_due(self, now: int) -> bool:
        """Whether `take_due` would give something."""
        self._collect_due(now)
        while self.due:
            entry = self.entries.get(self.due[0])
            if entry is not None and entry[0] <= now:
                return True
            heappop(self.due)
        return False

    def due_in_order(self, now: int) -> tuple[list[int], set[str]]:
        """For receiving in order: the offsets that may be delivered now, lowest first, and the blocked message groups.

        A message group is blocked while one of its messages is in flight.
        """
        in_flight = {
            self.message_groups.get(offset, "") for offset, entry in self.entries.items() if entry[0] > now
        }
        free = [
            offset for offset in sorted(self.entries) if self.message_groups.get(offset, "") not in in_flight
        ]
        return free, in_flight

    def next_visible_at(self, now: int) -> int | None:
        """When (ms) the next message in flight becomes visible: now if one is due already, None if none is in flight."""
        if self.has_due(now):
            return now
        while self.expiries:
            if not self._is_over(self.expiries[0]):
                return self.expiries[0][0]
            heappop(self.expiries)
        return None

    def in_flight(self, now: int) -> int:
        """How many messages are invisible now."""
        return sum(1 for entry in self.entries.values() if entry[0] > now)

    def in_flight_by_receiver(self, now: int, counts: dict[Receiver, int]) -> None:
        """Add to `counts` how many messages are invisible now, by who received them."""
        for entry in self.entries.values():
            if entry[0] > now:
                counts[entry[3]] = counts.get(entry[3], 0) + 1

    # Snapshots.

    def restore(self, rows: Iterable[Sequence[int]]) -> None:
        """Take entries back: (offset, visible at, attempts, pop time) of each."""
        shared: dict[Entry, Entry] = {}
        batches: dict[tuple[int, int], list[int]] = {}
        for offset, visible_at, attempts, pop_time in rows:
            entry = (visible_at, attempts, pop_time, "")
            self.entries[offset] = shared.setdefault(entry, entry)
            batches.setdefault((visible_at, pop_time), []).append(offset)
        self.expiries.extend((when, popped, tuple(offsets)) for (when, popped), offsets in batches.items())
        heapify(self.expiries)
        self._place.first_due = 0
