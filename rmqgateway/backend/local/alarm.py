"""Waking up for the first of many things that are due at some time of day."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rmqgateway.backend.local.component import Core

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

__all__ = ["Alarm"]

#: A clock that goes wrong is looked at again: at most so many seconds ahead.
_LONGEST = 3600.0


class Alarm:
    """One planned call, moved nearer when something is due earlier. It rings early rather than late: look what is due.

    :param ring: called without arguments; nothing is planned then.
    """

    def __init__(self, core: Core, ring: Callable[[], None]) -> None:
        self._core = core
        self._ring = ring
        self._call: IDelayedCall | None = None
        self._at = 0
        self._started = False

    def start(self) -> None:
        """From now on it may be set."""
        self._started = True

    def stop(self) -> None:
        """Forget what is planned; `set` does nothing from now on."""
        self._started = False
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def set(self, when: int) -> None:
        """Ring at this wall-clock time (ms), unless it rings earlier anyway."""
        if not self._started:
            return
        if self._call is not None:
            if self._at <= when:
                return
            self._call.cancel()
        self._at = when
        delay = max(when - self._core.now_ms(), 0) / 1000
        self._call = self._core.later(min(delay, _LONGEST), self._fire)

    def _fire(self) -> None:
        self._call = None
        self._ring()
