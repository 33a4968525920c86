"""A reply that will be true once something has happened: what the hottest commands return in place of a Deferred.

A Deferred with the callbacks of door and front-end costs as much as the whole decoding of a send. A `Pending` has one
callback, no chain and no cancelling; `IGateway.perform` takes it as it is, `IGateway.execute` makes a Deferred of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

__all__ = ["Pending"]

R = TypeVar("R")


class Pending(Generic[R]):
    """A reply, and how to learn that it may be given.

    :ivar reply: the reply. :ivar subscribe: takes a callback that is called once, in the reactor's thread, maybe before
        it returns: with None when the reply may be given, or the error (a GatewayError) in its place.
    """

    __slots__ = ("reply", "subscribe")

    def __init__(self, reply: R, subscribe: Callable[[Callable[[BaseException | None], None]], None]) -> None:
        self.reply = reply
        self.subscribe = subscribe

    def deferred(self) -> Deferred[R]:
        """The same as a Deferred. Cancelling it changes nothing but that nobody is told."""
        deferred: Deferred[R] = Deferred(lambda _: None)

        def done(error: BaseException | None) -> None:
            if deferred.called:
                return
            if error is None:
                deferred.callback(self.reply)
            else:
                deferred.errback(Failure(error))

        self.subscribe(done)
        return deferred
