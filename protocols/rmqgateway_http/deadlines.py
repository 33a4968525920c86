"""Many things that are due at a time of their own, by one planned call of the reactor.

Ten thousand streams that each have a ping and an acknowledgement to come would have the reactor's own heap, whose comparing is
done in Python, cost more than what is planned.
"""

from __future__ import annotations

import math
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from rmqgateway.outbox import Outbox

__all__ = ["Deadline", "Deadlines"]

log = Logger(namespace="rmqgateway.http")

#: Rings are so far apart at least, in seconds: what comes due meanwhile is done together.
_APART = 0.02


class Deadline:
    """Something planned."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[], object]) -> None:
        self._function: Callable[[], object] | None = function

    def cancel(self) -> None:
        """It is not to be done; again, or after it was done, changes nothing."""
        self._function = None

    def come(self) -> None:
        """For `Deadlines`: do it, unless it was cancelled."""
        function, self._function = self._function, None
        if function is not None:
            function()


class Deadlines:
    """What is planned. Never early; late by 20 ms where much is planned."""

    def __init__(self, reactor: Any, outbox: Outbox) -> None:
        self._reactor = reactor
        self._outbox = outbox
        self._planned: list[tuple[float, int, Deadline]] = []
        self._number = 0
        self._call: Any = None
        self._call_at = 0.0
        self._rang = -math.inf

    def later(self, seconds: float, function: Callable[[], object]) -> Deadline:
        """Call a function after so many seconds, inside an outbox scope; what it raises is logged."""
        now = self._reactor.seconds()
        at = now + seconds
        deadline = Deadline(function)
        self._number += 1
        heappush(self._planned, (at, self._number, deadline))
        if self._call is None or at < self._call_at:
            self._plan(now)
        return deadline

    def _plan(self, now: float) -> None:
        at = max(self._planned[0][0], self._rang + _APART)
        if self._call is not None:
            if self._call_at <= at:
                return
            self._call.cancel()
        self._call_at = at
        self._call = self._reactor.callLater(max(at - now, 0.0), self._ring)

    def _ring(self) -> None:
        self._call = None
        now = self._rang = self._reactor.seconds()
        planned = self._planned
        self._outbox.enter()
        try:
            # What is planned meanwhile waits for the next ring.
            last = self._number
            while planned and planned[0][0] <= now and planned[0][1] <= last:
                try:
                    heappop(planned)[2].come()
                except Exception:
                    log.failure("what was planned for a stream failed")
        finally:
            self._outbox.leave()
        if planned:
            self._plan(now)
