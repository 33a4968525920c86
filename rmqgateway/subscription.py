"""The one receive loop behind every push front-end (WebSocket, SSE, STOMP, MQTT, AMQP …): credit, settlement, release.

A front-end says what to receive, grants credit, and settles each delivery; everything else (long polls, retries after an
error, renewing handles of slow consumers, giving messages back when the client goes) is here, once.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec
from twisted.internet.defer import Deferred, DeferredList, fail, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rmqgateway.commands import (
    AckMessages,
    AckResults,
    ChangedInvisibleDuration,
    ChangeInvisibleDuration,
    ForwardToDeadLetterQueue,
    InitMode,
    ReceivedMessages,
    ReceiveMessages,
)
from rmqgateway.errors import RETRYABLE, Code, GatewayError
from rmqgateway.interfaces import ISubscription
from rmqgateway.message import TAG_ALL, Filter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.interfaces import IDelayedCall

    from rmqgateway.context import Context
    from rmqgateway.interfaces import IGateway, ISubscriptionSink

__all__ = ["Delivery", "ReceiveLoop", "Settlement", "Subscription"]

log = Logger(namespace="rmqgateway.subscription")

#: How long one receive waits for a message, in ms: RocketMQ's own 20 s.
WAIT_MS = 20_000
#: A handle is renewed when this share of its invisible duration is left.
RENEW_AT = 1 / 3
#: Renewals end after this many seconds (RocketMQ's proxy: 3 h).
RENEW_FOR = 3 * 3600.0
#: Pause in seconds after a receive that was refused for now; doubled up to the second value.
FIRST_PAUSE, LAST_PAUSE = 0.1, 10.0
#: No peer can be owed more than this many messages.
MAX_CREDIT = 100_000


class Settlement(enum.Enum):
    """What became of a delivered message."""

    ACCEPT = "accept"  # acknowledged for good
    RELEASE = "release"  # visible to others at once
    REJECT = "reject"  # to the dead-letter queue
    RETRY_AFTER = "retry after"  # visible again after a delay


class Subscription(msgspec.Struct, frozen=True):
    """What to receive.

    :ivar auto_renew: handles are renewed while the client is connected, so that slow handling is not a redelivery.
    :ivar accept_on_delivery: acknowledge each message once the sink has taken it (at most once from the client's side).
    :ivar batch: how many messages one receive asks for at most.
    :ivar init_mode: where a group begins that has never consumed a queue.
    :ivar lite_topics: of the topic, which are wanted; none: the topic itself, or those that the client synchronised.
    :ivar broadcast: every member of the group gets every message; nothing is settled, and `init_mode` says where a member
        begins. See `rmqgateway.broadcasting`.
    :ivar place: of a broadcast: go on after the delivery that this came with (`Delivery.place`).
    """

    group: str
    topic: str
    filter: Filter = TAG_ALL
    invisible_ms: int = 60_000
    fifo: bool | None = None
    auto_renew: bool = True
    accept_on_delivery: bool = False
    batch: int = 32
    client_id: str = ""
    init_mode: InitMode = InitMode.MIN
    lite_topics: tuple[str, ...] = ()
    broadcast: bool = False
    place: str = ""


class Delivery(msgspec.Struct, frozen=True):
    """One message for the sink.

    :ivar message: the whole stored message (``rmqgateway.wire.stored_message``).
    :ivar receipt_handle: what `ISubscription.settle` takes; it stays the same while the real handle is renewed.
    :ivar delivery_attempt: 1 for the first delivery.
    :ivar place: of a broadcast: where the member is then (`Subscription.place`); its `receipt_handle` is "".
    """

    message: bytes
    receipt_handle: str
    delivery_attempt: int
    place: str = ""


class _InFlight:
    """A delivery that waits for its settlement.

    :ivar handle: the one valid now, after renewals. :ivar due: when it is to be renewed.
    :ivar renewing: what waits until a renewal under way has its answer
        (a renewal makes the handle before it void, so a settlement must not overtake it), or None.
    """

    __slots__ = ("began", "due", "handle", "renewing")

    def __init__(self, handle: str, began: float) -> None:
        self.handle = handle
        self.began = began
        self.due = 0.0
        self.renewing: list[Deferred[None]] | None = None

    def settled_handle(self) -> Deferred[None]:
        """Fires when `handle` will not change any more by a renewal under way."""
        if self.renewing is None:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self.renewing.append(waiting)
        return waiting


@implementer(ISubscription)
class ReceiveLoop:
    """See `ISubscription`."""

    def __init__(
        self, gateway: IGateway, context: Context, subscription: Subscription, sink: ISubscriptionSink
    ) -> None:
        self._gateway = gateway
        self._context = context
        self._subscription = subscription
        self._sink = sink
        self._credit = 0
        self._credit_bytes: int | None = None
        self._in_flight: dict[str, _InFlight] = {}
        #: Received, and kept until `resume`: in flight already.
        self._ready: deque[Delivery] = deque()
        #: What is to be renewed, the next first: all wait equally long, so that one timer serves.
        self._renewals: dict[str, _InFlight] = {}
        self._renewal: IDelayedCall | None = None
        self._command: ReceiveMessages | None = None  # the last one, as long as the next is the same
        self._receiving = False
        self._under_way: Any = None  # what a receive that waits is cancelled by
        self._retry: IDelayedCall | None = None
        self._pause = FIRST_PAUSE
        self._paused = False
        self._filling = False
        self._delivering = False
        self._closed = False
        context.session.on_end(self._session_ended)

    @property
    def in_flight(self) -> int:
        """Delivered, or kept for delivery, and not settled."""
        return len(self._in_flight)

    def grant(self, messages: int, size: int = 0) -> None:
        self._credit = min(self._credit + max(messages, 0), MAX_CREDIT)
        if size > 0:
            self._credit_bytes = (self._credit_bytes or 0) + size
        self._fill()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._deliver()
        self._fill()

    # Receiving.

    def _may_receive(self) -> bool:
        return (
            not self._closed
            and not self._paused
            and self._credit > 0
            and (self._credit_bytes is None or self._credit_bytes > 0)
            and not self._ready
            and not self._receiving
            and self._retry is None
        )

    def _fill(self) -> None:
        """Receive as long as there is credit; a loop, not a recursion, when receives answer at once."""
        if self._filling:
            return
        self._filling = True
        try:
            while self._may_receive():
                self._receiving = True
                under_way = self._gateway.perform(self._context, self._next_command(), self._answered, None)
                if self._receiving:
                    self._under_way = under_way
                    if self._closed and under_way is not None:
                        under_way.cancel()
        finally:
            self._filling = False

    def _next_command(self) -> ReceiveMessages:
        wanted = self._subscription
        most = min(self._credit, wanted.batch)
        size = self._credit_bytes or 0
        command = self._command
        if command is None or command.max_messages != most or command.max_bytes != size:
            command = self._command = ReceiveMessages(
                group=wanted.group,
                topic=wanted.topic,
                max_messages=most,
                max_bytes=size,
                invisible_ms=wanted.invisible_ms,
                wait_ms=WAIT_MS,
                filter=wanted.filter,
                fifo=wanted.fifo,
                init_mode=wanted.init_mode,
                client_id=wanted.client_id,
                lite_topics=wanted.lite_topics,
            )
        return command

    def _answered(self, _: None, reply: ReceivedMessages | None, error: GatewayError | None) -> None:
        self._receiving = False
        self._under_way = None
        try:
            if reply is None:
                self._refused(error or GatewayError(Code.INTERNAL, "no reply"))
            else:
                self._received(reply)
        except Exception:
            self._broken(Failure())

    def _received(self, reply: ReceivedMessages) -> None:
        if not reply.messages and (reply.polling_full or self._filling):
            # Nothing, and at once: asking again without a pause would be a loop that never ends.
            self._retry_later()
        else:
            self._pause = FIRST_PAUSE
        now = self._gateway.reactor.seconds()
        for message in reply.messages:
            handle = message.receipt_handle
            if self._closed:
                self._give_back(handle)
                continue
            self._credit -= 1
            if self._credit_bytes is not None:
                self._credit_bytes -= len(message.message)
            self._in_flight[handle] = flight = _InFlight(handle, now)
            self._plan_renewal(handle, flight)
            self._ready.append(Delivery(message.message, handle, message.delivery_attempt))
        self._deliver()
        self._fill()

    def _deliver(self) -> None:
        """Hand over what is ready; a loop, not a recursion, when the sink pauses, resumes and settles meanwhile."""
        if self._delivering:
            return
        self._delivering = True
        self._gateway.outbox.enter()
        try:
            while self._ready and not self._paused:
                delivery = self._ready.popleft()
                handle = delivery.receipt_handle
                if not self._still_ours(handle):
                    continue
                self._sink.deliver(delivery)
                if self._subscription.accept_on_delivery and handle in self._in_flight:
                    self.settle(handle, Settlement.ACCEPT).addErrback(self._not_settled)
        except Exception:
            self._broken(Failure())
        finally:
            self._delivering = False
            self._gateway.outbox.leave()

    def _still_ours(self, handle: str) -> bool:
        """Whether a message that was kept has not become visible to others meanwhile."""
        flight = self._in_flight.get(handle)
        if flight is None:
            return False
        wanted = self._subscription
        if not wanted.auto_renew and self._gateway.reactor.seconds() - flight.began >= wanted.invisible_ms / 1000:
            del self._in_flight[handle]
            return False
        return True

    def _refused(self, error: GatewayError) -> None:
        if self._closed or error.code is Code.CANCELLED:
            return
        if error.code in RETRYABLE:
            self._retry_later(error.retry_after)
            return
        self.close().addErrback(self._not_settled)
        self._sink.failed(error)

    def _broken(self, failure: Failure) -> None:
        """The sink raised: its front-end's fault; the stream ends, and everything not settled is given back."""
        log.failure("delivering failed", failure=failure)
        self.close().addErrback(self._not_settled)
        self._sink.failed(GatewayError(Code.INTERNAL, "delivering failed; the gateway's log has the cause"))

    def _retry_later(self, after: float | None = None) -> None:
        self._retry = self._gateway.reactor.callLater(after or self._pause, self._retry_now)
        self._pause = min(self._pause * 2, LAST_PAUSE)

    def _retry_now(self) -> None:
        self._retry = None
        self._fill()

    # Settling.

    def settle(self, receipt_handle: str, settlement: Settlement, delay_ms: int = 0) -> Deferred[None]:
        flight = self._in_flight.pop(receipt_handle, None)
        if flight is None:
            return fail(
                GatewayError(
                    Code.BAD_RECEIPT_HANDLE,
                    "this message was not delivered by this subscription or is settled already",
                )
            )
        self._renewals.pop(receipt_handle, None)
        return flight.settled_handle().addCallback(lambda _: self._settle(flight, settlement, delay_ms))

    def settle_many(
        self, receipt_handles: Sequence[str], settlement: Settlement, delay_ms: int = 0
    ) -> Deferred[dict[str, GatewayError]]:
        one_by_one: list[tuple[str, Deferred[None]]] = []
        known: dict[str, str] = {}  # the handle that is valid now: the one that the sink was given
        for handle in receipt_handles:
            flight = self._in_flight.get(handle)
            if settlement is Settlement.ACCEPT and flight is not None and flight.renewing is None:
                del self._in_flight[handle]
                self._renewals.pop(handle, None)
                known[flight.handle] = handle
            else:
                one_by_one.append((handle, self.settle(handle, settlement, delay_ms)))
        accepted: Deferred[dict[str, GatewayError]] = Deferred()
        if known:
            wanted = self._subscription
            command = AckMessages(wanted.group, wanted.topic, tuple(known), strict=False)
            self._gateway.perform(self._context, command, _accepted, (accepted, known))
        else:
            accepted.callback({})
        return self._and_one_by_one(accepted, one_by_one) if one_by_one else accepted

    @staticmethod
    def _and_one_by_one(
        accepted: Deferred[dict[str, GatewayError]], one_by_one: list[tuple[str, Deferred[None]]]
    ) -> Deferred[dict[str, GatewayError]]:
        """Wait for those that are settled by themselves too."""
        done: Deferred[dict[str, GatewayError]] = Deferred()
        failed: dict[str, GatewayError] = {}
        waits = 1 + len(one_by_one)

        def finished(others: dict[str, GatewayError]) -> None:
            nonlocal waits
            failed.update(others)
            waits -= 1
            if not waits:
                done.callback(failed)

        def settled(outcome: Failure | None, handle: str) -> None:
            if not isinstance(outcome, Failure):
                finished({})
                return
            error = outcome.value
            finished({handle: error if isinstance(error, GatewayError) else GatewayError(Code.INTERNAL, str(error))})

        accepted.addCallback(finished)
        for handle, settling in one_by_one:
            settling.addBoth(settled, handle)
        return done

    def _settle(self, flight: _InFlight, settlement: Settlement, delay_ms: int) -> Deferred[None]:
        wanted = self._subscription
        command: AckMessages | ForwardToDeadLetterQueue
        if settlement is Settlement.ACCEPT:
            command = AckMessages(wanted.group, wanted.topic, (flight.handle,), strict=False)
            done = maybeDeferred(self._gateway.execute, self._context, command).addCallback(_check_ack)
        elif settlement is Settlement.REJECT:
            command = ForwardToDeadLetterQueue(wanted.group, wanted.topic, flight.handle)
            done = maybeDeferred(self._gateway.execute, self._context, command)
        else:
            done = self._change(flight.handle, delay_ms if settlement is Settlement.RETRY_AFTER else 0)
        return done.addCallback(_nothing)

    def _change(self, handle: str, invisible_ms: int) -> Deferred[Any]:
        return maybeDeferred(
            self._gateway.execute,
            self._context,
            ChangeInvisibleDuration(self._subscription.group, self._subscription.topic, handle, invisible_ms),
        )

    def _give_back(self, handle: str) -> Deferred[None]:
        return self._change(handle, 0).addCallback(_nothing).addErrback(self._not_settled)

    def _give_flight_back(self, _: None, flight: _InFlight) -> Deferred[None]:
        return self._give_back(flight.handle)

    def _not_settled(self, failure: Failure) -> None:
        """Nobody waits for this settlement: the message comes again after its invisible duration."""
        log.debug("not settled: {reason}", reason=failure.getErrorMessage())

    # Renewing.

    def _plan_renewal(self, key: str, flight: _InFlight) -> None:
        if self._subscription.auto_renew:
            after = self._subscription.invisible_ms / 1000 * (1 - RENEW_AT)
            flight.due = self._gateway.reactor.seconds() + after
            self._renewals[key] = flight
            if self._renewal is None:
                self._renewal = self._gateway.reactor.callLater(after, self._renew_due)

    def _renew_due(self) -> None:
        self._renewal = None
        now = self._gateway.reactor.seconds()
        due = []
        for key, flight in self._renewals.items():
            if flight.due > now:
                self._renewal = self._gateway.reactor.callLater(flight.due - now, self._renew_due)
                break
            due.append((key, flight))
        for key, flight in due:
            if self._renewals.pop(key, None) is flight:
                self._renew(key, flight)

    def _renew(self, key: str, flight: _InFlight) -> None:
        if self._gateway.reactor.seconds() - flight.began > RENEW_FOR:
            self._in_flight.pop(key, None)
            return

        waiting = flight.renewing = []

        def answered(reply: ChangedInvisibleDuration | Failure) -> None:
            flight.renewing = None
            if isinstance(reply, Failure):
                # Too late, or refused: the message comes again by itself, and a settlement will be told so.
                self._not_settled(reply)
            else:
                flight.handle = reply.receipt_handle
                if self._in_flight.get(key) is flight:
                    self._plan_renewal(key, flight)
            for settlement in waiting:
                settlement.callback(None)

        self._change(flight.handle, self._subscription.invisible_ms).addBoth(answered)

    # Ending.

    def _session_ended(self) -> None:
        self.close().addErrback(self._not_settled)

    def close(self) -> Deferred[None]:
        if self._closed:
            return succeed(None)
        self._closed = True
        self._context.session.not_on_end(self._session_ended)
        self._credit = 0
        self._ready.clear()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None
        self._renewals.clear()
        if self._under_way is not None:
            self._under_way.cancel()
        flights, self._in_flight = self._in_flight, {}
        waits = []
        for flight in flights.values():
            waits.append(flight.settled_handle().addCallback(self._give_flight_back, flight))
        return DeferredList(waits).addCallback(_nothing)


def _nothing(_: object) -> None:
    return None


def _accepted(
    token: tuple[Deferred[dict[str, GatewayError]], dict[str, str]], reply: AckResults | None, error: GatewayError | None
) -> None:
    """What could not be accepted, by the handles that the sink was given."""
    done, known = token
    failed: dict[str, GatewayError] = {}
    if reply is None:
        error = error or GatewayError(Code.INTERNAL, "no reply")
        failed.update(dict.fromkeys(known.values(), error))
    else:
        for result in reply.results:
            if result.code:
                failed[known[result.receipt_handle]] = GatewayError(Code[result.code], result.text)
    done.callback(failed)


def _check_ack(reply: AckResults) -> None:
    result = reply.results[0]
    if result.code:
        raise GatewayError(Code[result.code], result.text)
