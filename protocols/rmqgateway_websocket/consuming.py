"""One subscription of a connection: numbers instead of receipt handles, and a bound on what a client may owe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure
from zope.interface import implementer

from rmqgateway.errors import Code, GatewayError
from rmqgateway.interfaces import IBroadcastSink

if TYPE_CHECKING:
    from rmqgateway.interfaces import ISubscription
    from rmqgateway.subscription import Delivery, Settlement, Subscription

__all__ = ["Consumer", "all_of"]


class Receiver(Protocol):
    """The connection, as its subscriptions know it."""

    def deliver(self, name: str, number: int, delivery: Delivery) -> None:
        """Send a delivery."""

    def began_at(self, name: str, place: str) -> None:
        """Say where a member of a broadcast begins."""

    def consumer_failed(self, name: str, error: Exception) -> None:
        """The subscription has ended by an error."""


@implementer(IBroadcastSink)
class Consumer:
    """See the module.

    :param name: the client's. :param wanted: what it receives. :param limit: credit and unsettled deliveries together.
    :ivar subscription: set by who makes both. :ivar unsettled: receipt handles by number.
    """

    subscription: ISubscription

    def __init__(self, receiver: Receiver, name: str, wanted: Subscription, limit: int) -> None:
        self.unsettled: dict[int, str] = {}
        self.wanted = wanted
        self._receiver = receiver
        self._name = name
        self._limit = limit
        self._credit = 0
        self._number = 0

    def grant(self, messages: int, size: int) -> None:
        """More credit. :raise GatewayError: TOO_MANY_REQUESTS."""
        if self._credit + messages + len(self.unsettled) > self._limit:
            raise GatewayError(
                Code.TOO_MANY_REQUESTS,
                f"subscription {self._name}: expected at most {self._limit} messages granted or unsettled, "
                f"got {self._credit} + {messages} granted and {len(self.unsettled)} unsettled",
            )
        self._credit += messages
        self.subscription.grant(messages, size)

    def deliver(self, delivery: Delivery) -> None:
        """See ISubscriptionSink."""
        self._credit -= 1
        self._number += 1
        if not (self.wanted.accept_on_delivery or self.wanted.broadcast):
            self.unsettled[self._number] = delivery.receipt_handle
        self._receiver.deliver(self._name, self._number, delivery)

    def began(self, place: str) -> None:
        """See IBroadcastSink."""
        self._receiver.began_at(self._name, place)

    def failed(self, error: Exception) -> None:
        """See ISubscriptionSink."""
        self._receiver.consumer_failed(self._name, error)

    def settle(self, numbers: tuple[int, ...], settlement: Settlement, delay_ms: int) -> Deferred[None]:
        """Settle deliveries; fires when that is durable, or fails with the first error when the others are.

        :raise GatewayError: BAD_RECEIPT_HANDLE, naming the numbers that are not unsettled; the others are settled.
        """
        handles = []
        unknown = []
        for number in numbers:
            handle = self.unsettled.pop(number, None)
            if handle is None:
                unknown.append(str(number))
            else:
                handles.append(handle)
        done: Deferred[dict[str, GatewayError]] = self.subscription.settle_many(handles, settlement, delay_ms)
        if unknown:
            raise GatewayError(
                Code.BAD_RECEIPT_HANDLE,
                f"subscription {self._name}: nothing awaits a settlement under {', '.join(unknown[:20])}",
            )
        return done.addCallback(_first_error)


def _first_error(failed: dict[str, GatewayError]) -> None:
    for error in failed.values():
        raise error


def all_of(waiting: list[Deferred[None]]) -> Deferred[None]:
    """Fires when all have; fails with the first error, when all have fired."""
    if len(waiting) == 1:
        return waiting[0]

    def outcome(results: list[tuple[bool, None]]) -> None:
        for _, result in results:
            if isinstance(result, Failure):
                result.raiseException()

    return DeferredList(waiting, consumeErrors=True).addCallback(outcome)
