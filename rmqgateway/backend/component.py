"""What the parts of every backend have in common: when they are called, and tasks that come again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from rmqgateway.commands import Command
    from rmqgateway.context import Context
    from rmqgateway.interfaces import ISession
    from rmqgateway.outbox import Outbox

__all__ = ["Handlers", "Part", "Tasks", "wall_clock_ms"]

#: What serves which command: ``{SendMessages: self.send_messages}``.
Handlers: TypeAlias = "Mapping[type[Command[Any]], Callable[[Context, Any], Any]]"

log = Logger(namespace="rmqgateway.backend")


def wall_clock_ms() -> int:
    """The time in ms since 1970."""
    return time.time_ns() // 1_000_000


class Tasks:
    """Calls that the clock makes.

    :ivar reactor: the monotonic clock and the timers (``twisted.internet.task.Clock`` in tests).
    """

    __slots__ = ("outbox", "reactor")

    def __init__(self, reactor: Any, outbox: Outbox) -> None:
        self.reactor = reactor
        self.outbox = outbox

    def later(self, seconds: float, function: Callable[..., object], *arguments: object) -> IDelayedCall:
        """Call `function` after `seconds`, inside an outbox scope; what it raises is logged. The caller owns the call:
        it cancels it in its `stop`."""
        call: IDelayedCall = self.reactor.callLater(seconds, self.scoped, function, *arguments)
        return call

    def scoped(self, function: Callable[..., object], *arguments: object) -> None:
        """Call `function` inside an outbox scope; what it raises is logged."""
        self.outbox.enter()
        try:
            function(*arguments)
        except Exception:
            log.failure("a task of the backend failed")
        finally:
            self.outbox.leave()


class Part:
    """One part of a backend; overrides what it needs. How it starts and stops is its backend's."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._loops: list[LoopingCall] = []

    def handlers(self) -> Handlers:
        """Which commands it serves."""
        return {}

    def session_opened(self, session: ISession) -> None:
        """A client came."""

    def session_ended(self, session: ISession) -> None:
        """A client went."""

    def every(self, seconds: float, function: Callable[[], object]) -> None:
        """Call `function` each so many seconds (inside an outbox scope) until the backend stops."""
        loop = LoopingCall(self._tasks.scoped, function)
        loop.clock = self._tasks.reactor
        self._loops.append(loop)
        loop.start(seconds, now=False).addErrback(lambda failure: log.failure("a periodic task ended", failure))

    def end_loops(self) -> None:
        """End the periodic tasks."""
        loops, self._loops = self._loops, []
        for loop in loops:
            if loop.running:
                loop.stop()
