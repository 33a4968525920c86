"""What the parts of the local backend have in common: what they are given, and when they are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from rmqgateway.backend.component import Handlers, Part, Tasks, wall_clock_ms
from rmqgateway.backend.local.settings import LocalSettings
from rmqgateway.backend.store.interfaces import IMessageStore
from rmqgateway.outbox import Outbox

__all__ = ["Component", "Core", "Handlers", "wall_clock_ms"]

T = TypeVar("T")


class Core(Tasks):
    """What every component is given.

    :ivar now_ms: the wall clock; the only one that is asked, so that tests can set it.
    """

    __slots__ = ("now_ms", "settings", "store")

    reactor: IReactorTime

    def __init__(
        self,
        store: IMessageStore,
        settings: LocalSettings,
        reactor: IReactorTime,
        outbox: Outbox,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        super().__init__(reactor, outbox)
        self.store = store
        self.settings = settings
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


class Component(Part):
    """One part of the backend. `LocalBackend` calls these; a component overrides what it needs.

    The constructor takes `Core` and the other components that it talks to, registers its state with the store
    (`rmqgateway.backend.local.state`), and does nothing else.
    """

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.core = core

    def start(self) -> Deferred[None] | None:
        """The store is open and its state applied; components start in the order of their list."""
        return None

    def stop(self) -> Deferred[None] | None:
        """Finish, append what is still to be stored. Periodic tasks have ended already. Called in reverse order."""
        return None
