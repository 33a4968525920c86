"""What the parts of the local backend have in common: what they are given, and when they are called."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.backend.store.interfaces import IMessageStore
from rmqgateway.commands import Command
from rmqgateway.context import Context
from rmqgateway.interfaces import ISession
from rmqgateway.outbox import Outbox

__all__ = ["Component", "Core", "Handlers", "wall_clock_ms"]

T = TypeVar("T")

#: What serves which command: ``{SendMessages: self.send_messages}``.
Handlers: TypeAlias = Mapping[type[Command[Any]], Callable[[Context, Any], Any]]

_log = Logger()


def wall_clock_ms() -> int:
    """The time in ms since 1970."""
    return time.time_ns() // 1_000_000


class Core:
    """What every component is given.

    :ivar now_ms: the wall clock; the only one that is asked, so that tests can set it.
    :ivar reactor: the monotonic clock and the timers (``twisted.internet.task.Clock`` in tests).
    """

    __slots__ = ("now_ms", "outbox", "reactor", "settings", "store")

    def __init__(
        self,
        store: IMessageStore,
        settings: LocalSettings,
        reactor: IReactorTime,
        outbox: Outbox,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self.store = store
        self.settings = settings
        self.reactor = reactor
        self.outbox = outbox
        self.now_ms = now_ms

    def durable(self, reply: T) -> Deferred[T]:
        """A Deferred that fires with `reply` when everything appended so far is durable, or fails with StoreError."""
        deferred: Deferred[T] = Deferred()

        def done(error: BaseException | None) -> None:
            if deferred.called:  # cancelled: what is stored stays stored
                return
            if error is None:
                deferred.callback(reply)
            else:
                deferred.errback(Failure(error))

        self.store.when_durable(done)
        return deferred

    def later(self, seconds: float, function: Callable[..., object], *arguments: object) -> IDelayedCall:
        """Call `function` after `seconds`, inside an outbox scope; what it raises is logged. The caller owns the call:
        it cancels it in its `stop`."""
        return self.reactor.callLater(seconds, self.scoped, function, *arguments)

    def scoped(self, function: Callable[..., object], *arguments: object) -> None:
        """Call `function` inside an outbox scope; what it raises is logged."""
        self.outbox.enter()
        try:
            function(*arguments)
        except Exception:
            _log.failure("a task of the local backend failed")
        finally:
            self.outbox.leave()


class Component:
    """One part of the backend. `LocalBackend` calls these; a component overrides what it needs.

    The constructor takes `Core` and the other components that it talks to, registers its state with the store
    (`rmqgateway.backend.local.state`), and does nothing else.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self._loops: list[LoopingCall] = []

    def handlers(self) -> Handlers:
        """Which commands it serves."""
        return {}

    def start(self) -> Deferred[None] | None:
        """The store is open and its state applied; components start in the order of their list."""
        return None

    def stop(self) -> Deferred[None] | None:
        """Finish, append what is still to be stored. Periodic tasks have ended already. Called in reverse order."""
        return None

    def session_opened(self, session: ISession) -> None:
        """A client came."""

    def session_ended(self, session: ISession) -> None:
        """A client went."""

    def every(self, seconds: float, function: Callable[[], object]) -> None:
        """Call `function` each so many seconds (inside an outbox scope) until the backend stops."""
        loop = LoopingCall(self.core.scoped, function)
        loop.clock = self.core.reactor
        self._loops.append(loop)
        loop.start(seconds, now=False).addErrback(
            lambda failure: _log.failure("a periodic task ended", failure)
        )

    def end_loops(self) -> None:
        """End the periodic tasks."""
        loops, self._loops = self._loops, []
        for loop in loops:
            if loop.running:
                loop.stop()
