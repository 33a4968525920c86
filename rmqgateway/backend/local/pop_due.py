"""When the places where receives wait are to be looked at again, since a message in flight becomes visible there.

One planned call for all of them: with ten thousand streams a call for each costs more than what it does.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

from rmqgateway.backend.local.alarm import Alarm
from rmqgateway.backend.local.component import Core

if TYPE_CHECKING:
    from rmqgateway.backend.local.pop_receive import Place

__all__ = ["DueTimes"]


class DueTimes:
    """The next time of each place. A place that nobody waits at any more keeps its time: it is looked at for nothing, once."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._alarm = Alarm(core, self._ring)
        self._alarm.start()
        self._times: list[tuple[int, int, Place]] = []  # heap; what is not its place's `due_at` is void
        self._count = count()

    def set(self, place: Place, at: int) -> None:
        """Wake a place at this wall-clock time (ms), unless it is woken earlier anyway."""
        if not place.due_at or at < place.due_at:
            place.due_at = at
            heappush(self._times, (at, next(self._count), place))
            self._alarm.set(at)

    def stop(self) -> None:
        """Wake nobody any more."""
        self._alarm.stop()
        self._times.clear()

    def _ring(self) -> None:
        times = self._times
        now = self._core.now_ms()
        try:
            while times and times[0][0] <= now:
                at, _, place = heappop(times)
                if place.due_at == at:
                    place.due_at = 0
                    place.wake()
        finally:
            if times:
                self._alarm.set(times[0][0])
