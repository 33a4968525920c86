"""The consumers of a connection: each a window of unsettled messages with short numbers instead of receipt handles.

For protocols whose clients acknowledge by a number (STOMP's ack ids, MQTT's packet ids, AMQP's delivery tags).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, FirstError, fail, gatherResults
from twisted.python.failure import Failure
from zope.interface import implementer

from rmqgateway.commands import QueryRoute
from rmqgateway.errors import Code, GatewayError
from rmqgateway.interfaces import ISubscriptionSink

if TYPE_CHECKING:
    from rmqgateway.connection import ClientConnection
    from rmqgateway.subscription import Delivery, Settlement, Subscription

__all__ = ["MAX_CONSUMERS", "Consumer", "Consumers"]

#: How many a connection may have at once: each waits for messages, and is counted in the limit of commands under way.
MAX_CONSUMERS = 1000


@implementer(ISubscriptionSink)
class Consumer:
    """What a client subscribed to.

    :param window: how many messages it may have unsettled; with `accept_on_delivery` how many are fetched ahead.
    :param deliver: called with each delivery and its number, from 1; numbers grow by one.
    :param cumulative: a settlement is for everything delivered before, too.
    :ivar unsettled: receipt handles by number, oldest first.
    """

    def __init__(
        self,
        connection: ClientConnection,
        wanted: Subscription,
        window: int,
        deliver: Callable[[Delivery, int], None],
        cumulative: bool = False,
    ) -> None:
        self.wanted = wanted
        self.unsettled: dict[int, str] = {}
        self._connection = connection
        self._window = window
        self._deliver = deliver
        self._cumulative = cumulative
        self._number = 0
        self._subscription = connection.subscribe(wanted, self)

    def begin(self) -> Deferred[None]:
        """Create the topic where that is allowed (a consumer may come before the first message), then grant the window.
        Fails with GatewayError; what goes wrong later goes to the connection's `failed`."""
        route = self._connection.execute(QueryRoute(self.wanted.topic, create=True))
        return route.addCallback(lambda _: self._subscription.grant(self._window))

    def deliver(self, delivery: Delivery) -> None:
        """See `ISubscriptionSink`."""
        self._number += 1
        if self.wanted.accept_on_delivery:
            self._subscription.grant(1)
        else:
            self.unsettled[self._number] = delivery.receipt_handle
        self._deliver(delivery, self._number)

    def failed(self, error: Exception) -> None:
        """See `ISubscriptionSink`."""
        self._connection.failed(error)

    def settle(self, number: int, settlement: Settlement, delay_ms: int = 0) -> Deferred[None]:
        """Settle one delivery (if cumulative, all unsettled ones to this), and grant as much credit again.

        Fires when that is durable. Fails with GatewayError: BAD_RECEIPT_HANDLE (no such number, or settled already) or
        as `ISubscription.settle`, the first that failed.
        """
        if number not in self.unsettled:
            return fail(GatewayError(Code.BAD_RECEIPT_HANDLE, f"no message awaits a settlement under {number}"))
        numbers = [one for one in self.unsettled if one <= number] if self._cumulative else [number]
        settled = [
            self._connection.track(self._subscription.settle(self.unsettled.pop(one), settlement, delay_ms))
            for one in numbers
        ]
        self._subscription.grant(len(numbers))
        if len(settled) == 1:
            return settled[0]
        return gatherResults(settled, consumeErrors=True).addCallbacks(_nothing, _first_error)

    def close(self) -> Deferred[None]:
        """End: what is not settled becomes visible to others at once; fires when that is durable."""
        self.unsettled.clear()
        return self._connection.unsubscribe(self._subscription)


class Consumers:
    """Those of one connection, by the names that its client gave them; a message's token is ``NAME NUMBER``."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._named: dict[str, Consumer] = {}

    def begin(
        self,
        name: str,
        wanted: Subscription,
        window: int,
        deliver: Callable[[Delivery, str], None],
        cumulative: bool = False,
    ) -> Deferred[None]:
        """Begin a `Consumer`, whose `deliver` gets tokens instead of numbers; see there, and `Consumer.begin`.

        Fails with GatewayError besides: ALREADY_EXISTS (the name), TOO_MANY_REQUESTS (more than `MAX_CONSUMERS`).
        """
        if name in self._named:
            return fail(GatewayError(Code.ALREADY_EXISTS, f"there is a subscription {name[:80]!r} on this connection"))
        if len(self._named) >= MAX_CONSUMERS:
            text = f"this connection has {MAX_CONSUMERS} subscriptions, more it cannot have"
            return fail(GatewayError(Code.TOO_MANY_REQUESTS, text))

        def deliver_as(delivery: Delivery, number: int) -> None:
            deliver(delivery, f"{name} {number}")

        made = self._named[name] = Consumer(self._connection, wanted, window, deliver_as, cumulative)

        def refused(failure: Failure) -> Failure:
            if self._named.get(name) is made:
                del self._named[name]
            made.close()
            return failure

        return made.begin().addErrback(refused)

    def settle(self, token: str, settlement: Settlement, delay_ms: int = 0) -> Deferred[None]:
        """See `Consumer.settle`."""
        name, _, digits = token.rpartition(" ")
        consumer = self._named.get(name)
        if consumer is None or not (digits.isascii() and digits.isdigit() and len(digits) < 20):
            return fail(GatewayError(Code.BAD_RECEIPT_HANDLE, f"no message awaits a settlement under {token[:80]!r}"))
        return consumer.settle(int(digits), settlement, delay_ms)

    def close(self, name: str) -> Deferred[None]:
        """End one; see `Consumer.close`. Fails with GatewayError: BAD_REQUEST (no such name)."""
        consumer = self._named.pop(name, None)
        if consumer is None:
            return fail(GatewayError(Code.BAD_REQUEST, f"there is no subscription {name[:80]!r} on this connection"))
        return consumer.close()


def _nothing(_: object) -> None:
    return None


def _first_error(failure: Failure) -> Failure:
    found = failure.value
    return found.subFailure if isinstance(found, FirstError) else failure
