"""Which messages wait for which point in time: a pure structure, 16 bytes for each, by second.

Timers fire in order of (time, offset); so what has fired is known by one mark, and only what was taken back early is kept
by itself.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Generator, Iterator
from heapq import heappop, heappush

__all__ = ["TimerWheel"]

_MS = 1000


class TimerWheel:
    """Pending timers: pairs (time in ms, offset of the waiting message).

    :ivar fired: the last pair that has fired; every pending pair is greater.
    :ivar count: how many are pending.
    """

    __slots__ = ("_order", "_seconds", "_shared", "_sorted", "count", "fired", "recalled")

    def __init__(self) -> None:
        self._seconds: dict[int, array[int]] = {}
        self._shared: set[int] = set()  # seconds whose arrays `pieces` still wants as they are
        self._order: list[int] = []  # heap of the same seconds
        self._sorted: tuple[int, list[tuple[int, int]]] | None = None  # the second that is firing, last first
        self.fired: tuple[int, int] = (0, -1)
        self.recalled: set[tuple[int, int]] = set()
        self.count = 0

    def add(self, when: int, offset: int) -> int:
        """Add a timer; return its time, which is later than asked if that is before what has fired already."""
        when = max(when, self.fired[0] + 1)
        second = when // _MS
        pairs = self._seconds.get(second)
        if pairs is None:
            pairs = self._seconds[second] = array("q")
            heappush(self._order, second)
        elif second in self._shared:
            pairs = self._own(second)
        pairs.append(when)
        pairs.append(offset)
        self.count += 1
        if self._sorted is not None and self._sorted[0] == second:
            self._sorted = None
        return when

    def _own(self, second: int) -> array[int]:
        """A second's array, to be changed: another one than what `pieces` gave."""
        self._shared.discard(second)
        pairs = self._seconds[second] = self._seconds[second][:]
        return pairs

    def fire(self, when: int, offset: int) -> None:
        """Everything up to this pair has fired."""
        mark = (when, offset)
        while self._order and self._order[0] * _MS <= when:
            second = self._order[0]
            pairs = self._pairs(second)
            while pairs and pairs[-1] <= mark:
                pair = pairs.pop()
                self.count -= 1
                if pair in self.recalled:
                    self.recalled.discard(pair)
                    self.count += 1  # it was counted out when it was taken back
            if pairs:
                break
            heappop(self._order)
            del self._seconds[second]
            self._sorted = None
        self.fired = mark  # hides what has fired of an array that is not done with

    def recall(self, when: int, offset: int) -> None:
        """This one will not fire."""
        if (when, offset) not in self.recalled:
            self.recalled.add((when, offset))
            self.count -= 1

    def waiting_before(self, end: int) -> Generator[None, None, int]:
        """How many pending timers have an offset before `end`: counted in slices, so others may come and go meanwhile."""
        found = 0
        for number, second in enumerate(list(self._seconds)):
            pairs = self._seconds.get(second)
            if pairs is not None and pairs and pairs[1] < end:
                found += self._place(pairs, end)
            if not number % 1000:
                yield
        return found

    @staticmethod
    def _place(pairs: array[int], end: int) -> int:
        # They were added in the order of their offsets.
        return bisect_left(range(len(pairs) // 2), end, key=lambda index: pairs[2 * index + 1])

    def seconds(self) -> list[int]:
        """Every second that has timers."""
        return list(self._seconds)

    def oldest(self, second: int, end: int, limit: int) -> tuple[list[tuple[int, int]], int]:
        """The pending pairs among the first ones of a second with an offset before `end`; and the last offset that was
        looked at, -1 if there is none."""
        flat = self._seconds.get(second)
        count = 0 if flat is None else min(self._place(flat, end), limit)
        if flat is None or not count:
            return [], -1
        first = flat[: 2 * count]
        pairs = zip(first[::2], first[1::2], strict=True)
        return [pair for pair in pairs if pair > self.fired and pair not in self.recalled], first[-1]

    def forget(self, second: int, last: int) -> None:
        """The timers of a second up to this offset are others now."""
        flat = self._seconds.get(second)
        if flat is None:
            return
        count = self._place(flat, last + 1)
        for index in range(0, 2 * count, 2):
            pair = (flat[index], flat[index + 1])
            if pair in self.recalled:
                self.recalled.discard(pair)
            elif pair > self.fired:
                self.count -= 1
        if second in self._shared:
            flat = self._own(second)
        del flat[: 2 * count]
        if self._sorted is not None and self._sorted[0] == second:
            self._sorted = None

    def _pairs(self, second: int) -> list[tuple[int, int]]:
        """The pending pairs of a second, the first one last."""
        if self._sorted is None or self._sorted[0] != second:
            flat = self._seconds[second]
            pairs = zip(flat[::2], flat[1::2], strict=True)
            self._sorted = (second, sorted((pair for pair in pairs if pair > self.fired), reverse=True))
        return self._sorted[1]

    def at(self, when: int) -> list[int]:
        """The offsets of the pending timers of exactly this time."""
        second = when // _MS
        if second not in self._seconds:
            return []
        return [pair[1] for pair in self._pairs(second) if pair[0] == when and pair not in self.recalled]

    def due(self, now: int, limit: int) -> list[tuple[int, int, bool]]:
        """The first pairs whose time has come, in order: (time, offset, whether it was taken back).

        All of one second; ask again after `fire`.
        """
        found: list[tuple[int, int, bool]] = []
        self._pass_over_empty()
        if self._order and self._order[0] * _MS <= now:
            for pair in reversed(self._pairs(self._order[0])):
                if pair[0] > now or len(found) >= limit:
                    break
                found.append((*pair, pair in self.recalled))
        return found

    def next_time(self) -> int | None:
        """When the first pending timer fires, or None."""
        self._pass_over_empty()
        if not self._order:
            return None
        pairs = self._pairs(self._order[0])
        return pairs[-1][0] if pairs else self._order[0] * _MS

    def _pass_over_empty(self) -> None:
        while self._order and not self._seconds[self._order[0]]:
            del self._seconds[heappop(self._order)]

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """(second, its array's bytes) of everything as of now, whatever changes while they are taken; `fired` and `recalled`
        say what of it is pending."""
        self._shared = set(self._seconds)
        return ((second, pairs.tobytes()) for second, pairs in list(self._seconds.items()))

    def restore(self, second: int, piece: bytes) -> None:
        """Take a piece back; `fired` was set before."""
        pairs = array("q")
        pairs.frombytes(piece)
        kept = array("q")
        for when, offset in zip(pairs[::2], pairs[1::2], strict=True):
            if (when, offset) > self.fired:
                kept.append(when)
                kept.append(offset)
        if kept:
            self._seconds[second] = kept
            heappush(self._order, second)
            self.count += len(kept) // 2
