"""One consumer of a connection: a window of unsettled messages with short numbers instead of receipt handles.

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

__all__ = ["Consumer"]


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


def _nothing(_: object) -> None:
    return None


def _first_error(failure: Failure) -> Failure:
    found = failure.value
    return found.subFailure if isinstance(found, FirstError) else failure
