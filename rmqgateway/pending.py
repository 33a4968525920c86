"""A reply that will be true once something has happened: what the hottest commands return in place of a Deferred.

A Deferred with the callbacks of door and front-end costs as much as the whole decoding of a send. A `Pending` has one
callback, no chain and no cancelling; `IGateway.perform` takes it as it is, `IGateway.execute` makes a Deferred of it. A
`Later` is the same where the reply itself is not known yet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

__all__ = ["Later", "Pending"]

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


class Later(Generic[R]):
    """A reply that somebody else has yet to give. It is told once, and heard of by one.

    :ivar reply, error: once it has been told; one of them is None, both for a reply that says nothing.
    """

    __slots__ = ("_heard", "error", "reply", "told")

    def __init__(self) -> None:
        self.told = False
        self.reply: R | None = None
        self.error: BaseException | None = None
        self._heard: Callable[[R | None, BaseException | None], None] | None = None

    def tell(self, reply: R | None, error: BaseException | None = None) -> None:
        """Give the reply, or the error (a GatewayError) in its place."""
        self.told = True
        self.reply = reply
        self.error = error
        if self._heard is not None:
            self._heard(reply, error)

    def subscribe(self, heard: Callable[[R | None, BaseException | None], None]) -> None:
        """Call `heard` with reply and error, maybe before this returns."""
        if self.told:
            heard(self.reply, self.error)
        else:
            self._heard = heard

    def cancel(self) -> None:
        """The reply is not wanted any more. Here it changes nothing; where it does, CANCELLED is told instead."""

    def deferred(self) -> Deferred[R]:
        """The same as a Deferred; cancelling it is `cancel`, and nobody is told anything else."""
        deferred: Deferred[R] = Deferred(lambda _: self.cancel())

        def heard(reply: R | None, error: BaseException | None) -> None:
            if deferred.called:
                return
            if error is None:
                deferred.callback(reply)  # type: ignore[arg-type]
            else:
                deferred.errback(Failure(error))

        self.subscribe(heard)
        return deferred
