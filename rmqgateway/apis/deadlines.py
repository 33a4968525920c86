"""Deadlines of many calls with one timer, which a timer for each would cost more than the call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["Deadlines", "Expiring"]

#: Deadlines are kept to a fiftieth of a second, late rather than early: the client keeps its own anyway.
_PER_SECOND = 50
#: Nobody waits longer (a telemetry stream's deadline is a year).
_LONGEST = 86_400.0


class Expiring(Protocol):
    """Something with a deadline. :ivar slot: kept for `Deadlines`; 0: none."""

    slot: int

    def expired(self) -> None:
        """The deadline has passed; called once."""


class Deadlines:
    """Calls by the fiftieth of a second in which their time is over."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._slots: dict[int, set[Expiring]] = {}
        self._timer: IDelayedCall | None = None
        self._timer_slot = 0

    def add(self, call: Expiring, at: float) -> None:
        """Have a call told at this time (of the clock)."""
        slot = int(at * _PER_SECOND) + 1
        call.slot = slot
        waiting = self._slots.get(slot)
        if waiting is None:
            self._slots[slot] = {call}
            if self._timer is None or slot < self._timer_slot:
                self._arm(slot)
        else:
            waiting.add(call)

    def remove(self, call: Expiring) -> None:
        """The call is over."""
        waiting = self._slots.get(call.slot)
        if waiting is not None:
            waiting.discard(call)
            if not waiting:
                del self._slots[call.slot]
        call.slot = 0

    def _arm(self, slot: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_slot = slot
        delay = slot / _PER_SECOND - self._clock.seconds()
        self._timer = self._clock.callLater(min(max(delay, 0.0), _LONGEST), self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._clock.seconds() * _PER_SECOND + 1e-6
        for slot in sorted(slot for slot in self._slots if slot <= now):
            for call in self._slots.pop(slot, ()):
                call.slot = 0
                call.expired()
        if self._slots and self._timer is None:
            self._arm(min(self._slots))
