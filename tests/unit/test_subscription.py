"""The receive loop behind every push front-end: credit, pauses, renewals, settlements, ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from rmqgateway.broadcasting import BroadcastLoop
from rmqgateway.commands import (
    AckMessages,
    AckResult,
    AckResults,
    ChangedInvisibleDuration,
    ChangeInvisibleDuration,
    Command,
    ForwardToDeadLetterQueue,
    InitMode,
    ReceivedMessage,
    ReceivedMessages,
    ReceiveMessages,
)
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError
from rmqgateway.feeds import Feeds
from rmqgateway.interfaces import IGateway, ISubscription, ISubscriptionSink
from rmqgateway.message import Filter
from rmqgateway.outbox import Outbox
from rmqgateway.session import Session
from rmqgateway.subscription import MAX_CREDIT, RENEW_FOR, Delivery, ReceiveLoop, Settlement, Subscription
from rmqgateway.testing import NoReplyYet, result_of


class FakeGateway:
    """Keeps each command with the Deferred of its answer; `answer` answers the oldest of a kind.

    :ivar at_once: what a kind of command is answered at once instead, by its class: a reply or an exception.
    """

    def __init__(self) -> None:
        self.reactor = Clock()
        self.outbox = Outbox()
        self.open: list[tuple[Command[Any], Deferred[Any]]] = []
        self.asked: list[Command[Any]] = []
        self.at_once: dict[type[Command[Any]], Any] = {}
        self.session = Session(1, "test", "127.0.0.1:1", "127.0.0.1:2", 0.0, lambda _: True, lambda *_: None, lambda _: None)

    def execute(self, context: Context, command: Command[Any]) -> Any:
        self.asked.append(command)
        reply = self.at_once.get(type(command))
        if isinstance(reply, Exception):
            raise reply
        if reply is not None:
            return reply
        deferred: Deferred[Any] = Deferred()
        self.open.append((command, deferred))
        return deferred

    def perform(self, context: Context, command: Command[Any], done: Any, token: Any) -> Any:
        def refused(failure: Failure) -> None:
            error = failure.value
            done(token, None, GatewayError(Code.CANCELLED, "cancelled") if failure.check(CancelledError) else error)

        deferred = maybeDeferred(self.execute, context, command)
        deferred.addCallbacks(lambda reply: done(token, reply, None), refused)
        return None if deferred.called else deferred

    def waiting(self, kind: type[Any]) -> list[Any]:
        return [command for command, deferred in self.open if type(command) is kind and not deferred.called]

    def answer(self, kind: type[Any], reply: Any) -> None:
        for at, (command, deferred) in enumerate(self.open):
            if type(command) is kind and not deferred.called:
                del self.open[at]
                if isinstance(reply, Exception):
                    deferred.errback(reply)
                else:
                    deferred.callback(reply)
                return
        raise AssertionError(f"no {kind.__name__} waits")


@implementer(ISubscriptionSink)
class Sink:
    def __init__(self) -> None:
        self.delivered: list[Delivery] = []
        self.errors: list[Exception] = []
        self.on_deliver: Callable[[Delivery], None] = lambda _: None

    def deliver(self, delivery: Delivery) -> None:
        self.delivered.append(delivery)
        self.on_deliver(delivery)

    def failed(self, error: Exception) -> None:
        self.errors.append(error)

    @property
    def handles(self) -> list[str]:
        return [delivery.receipt_handle for delivery in self.delivered]


class Stage:
    def __init__(self, **wanted: Any) -> None:
        self.gateway = FakeGateway()
        self.sink = Sink()
        self.loop = ReceiveLoop(
            cast("IGateway", self.gateway),
            Context(self.gateway.session),
            Subscription(**{"group": "group", "topic": "topic", "invisible_ms": 30_000, **wanted}),
            self.sink,
        )

    def receives(self) -> list[ReceiveMessages]:
        return self.gateway.waiting(ReceiveMessages)

    def come(self, *handles: str, size: int = 10) -> None:
        self.gateway.answer(ReceiveMessages, received(*handles, size=size))

    def changes(self) -> list[tuple[str, int]]:
        return [
            (command.receipt_handle, command.invisible_ms)
            for command in self.gateway.asked
            if isinstance(command, ChangeInvisibleDuration)
        ]


def received(*handles: str, size: int = 10) -> ReceivedMessages:
    return ReceivedMessages(tuple(ReceivedMessage(bytes(size), handle, 1) for handle in handles))


def failure_of(deferred: Deferred[Any]) -> Code:
    with pytest.raises(GatewayError) as caught:
        result_of(deferred)
    return caught.value.code


def test_it_provides_what_it_says() -> None:
    stage = Stage()
    assert verifyObject(ISubscription, stage.loop)
    assert verifyObject(ISubscriptionSink, stage.sink)


# Credit.


def test_nothing_is_received_without_credit() -> None:
    stage = Stage()
    assert stage.gateway.asked == []
    stage.loop.grant(0)
    stage.loop.grant(-3)
    assert stage.gateway.asked == []


def test_a_receive_asks_for_what_the_subscription_says_and_no_more_than_the_credit() -> None:
    stage = Stage(filter=Filter("A || B"), fifo=True, client_id="client", init_mode=InitMode.MAX, batch=10)
    stage.loop.grant(3)
    (first,) = stage.receives()
    assert (first.group, first.topic, first.filter, first.fifo) == ("group", "topic", Filter("A || B"), True)
    assert (first.client_id, first.init_mode, first.invisible_ms) == ("client", InitMode.MAX, 30_000)
    assert (first.max_messages, first.max_bytes) == (3, 0)
    assert first.wait_ms > 0
    stage.loop.grant(100)  # one receive at a time
    stage.come("a", "b", "c")
    (second,) = stage.receives()
    assert second.max_messages == 10
    assert stage.sink.handles == ["a", "b", "c"]


def test_credit_is_spent_by_deliveries_and_comes_back_only_by_grant() -> None:
    stage = Stage()
    stage.loop.grant(2)
    stage.come("a", "b")
    assert stage.receives() == []
    stage.loop.settle("a", Settlement.ACCEPT)
    assert stage.receives() == []
    stage.loop.grant(1)
    assert [one.max_messages for one in stage.receives()] == [1]


def test_credit_in_bytes_may_be_passed_by_one_message_only() -> None:
    stage = Stage()
    stage.loop.grant(10, 100)
    assert [one.max_bytes for one in stage.receives()] == [100]
    stage.come("a", size=60)
    assert [one.max_bytes for one in stage.receives()] == [40]
    stage.come("b", size=70)  # a whole message always
    assert stage.receives() == []
    stage.loop.grant(0, 20)  # 30 were owed
    assert stage.receives() == []
    stage.loop.grant(0, 20)
    assert [(one.max_bytes, one.max_messages) for one in stage.receives()] == [(10, 8)]


def test_credit_has_an_end() -> None:
    stage = Stage(batch=10 * MAX_CREDIT)
    stage.gateway.at_once[ReceiveMessages] = GatewayError(Code.BUSY, "later")
    stage.loop.grant(5 * MAX_CREDIT)
    assert [cast("ReceiveMessages", one).max_messages for one in stage.gateway.asked] == [MAX_CREDIT]


# Pausing.


def test_a_pause_keeps_what_has_come_and_resume_delivers_it_in_order() -> None:
    stage = Stage()
    stage.sink.on_deliver = lambda _: stage.loop.pause()
    stage.loop.grant(10)
    stage.come("a", "b", "c")
    assert stage.sink.handles == ["a"]
    assert stage.receives() == []
    stage.loop.resume()
    assert stage.sink.handles == ["a", "b"]
    stage.sink.on_deliver = lambda _: None
    stage.loop.resume()
    assert stage.sink.handles == ["a", "b", "c"]
    assert [one.max_messages for one in stage.receives()] == [7]


def test_what_comes_to_a_paused_subscription_waits_renewed() -> None:
    stage = Stage()
    stage.loop.grant(10)
    stage.loop.pause()
    stage.come("a")
    assert stage.sink.handles == []
    stage.gateway.reactor.advance(20.1)
    stage.gateway.answer(ChangeInvisibleDuration, ChangedInvisibleDuration("a2"))
    stage.loop.resume()
    assert stage.sink.handles == ["a"]
    stage.loop.settle("a", Settlement.ACCEPT)
    assert stage.gateway.waiting(AckMessages)[0].receipt_handles == ("a2",)


def test_what_became_visible_to_others_during_a_pause_is_not_delivered() -> None:
    stage = Stage(auto_renew=False)
    stage.loop.grant(10)
    stage.loop.pause()
    stage.come("a", "b")
    stage.gateway.reactor.advance(30)
    stage.loop.resume()
    assert stage.sink.handles == []
    assert stage.loop.in_flight == 0
    assert len(stage.receives()) == 1


# Settling.


def test_each_settlement_is_its_command() -> None:
    stage = Stage()
    stage.loop.grant(4)
    stage.come("a", "b", "c", "d")
    accepted = stage.loop.settle("a", Settlement.ACCEPT)
    rejected = stage.loop.settle("b", Settlement.REJECT)
    stage.loop.settle("c", Settlement.RELEASE, 9999)
    stage.loop.settle("d", Settlement.RETRY_AFTER, 5000)
    assert stage.gateway.asked[1:] == [
        AckMessages("group", "topic", ("a",), strict=False),
        ForwardToDeadLetterQueue("group", "topic", "b"),
        ChangeInvisibleDuration("group", "topic", "c", 0),
        ChangeInvisibleDuration("group", "topic", "d", 5000),
    ]
    assert stage.loop.in_flight == 0
    with pytest.raises(NoReplyYet):
        result_of(accepted)
    stage.gateway.answer(AckMessages, AckResults((AckResult("a"),)))
    assert result_of(accepted) is None
    stage.gateway.answer(ForwardToDeadLetterQueue, None)
    assert result_of(rejected) is None


def test_a_message_is_settled_once_and_only_where_it_was_delivered() -> None:
    stage = Stage()
    stage.loop.grant(1)
    stage.come("a")
    stage.loop.settle("a", Settlement.ACCEPT)
    assert failure_of(stage.loop.settle("a", Settlement.ACCEPT)) is Code.BAD_RECEIPT_HANDLE
    assert failure_of(stage.loop.settle("foreign", Settlement.RELEASE)) is Code.BAD_RECEIPT_HANDLE
    assert len(stage.gateway.waiting(AckMessages)) == 1


def test_a_refused_acknowledgement_fails_the_settlement() -> None:
    stage = Stage()
    stage.loop.grant(1)
    stage.come("a")
    settled = stage.loop.settle("a", Settlement.ACCEPT)
    stage.gateway.answer(AckMessages, AckResults((AckResult("a", "RECEIPT_HANDLE_EXPIRED", "late"),)))
    assert failure_of(settled) is Code.RECEIPT_HANDLE_EXPIRED


def test_accept_on_delivery() -> None:
    stage = Stage(accept_on_delivery=True)
    stage.loop.grant(5)
    stage.come("a", "b")
    assert [one.receipt_handles for one in stage.gateway.waiting(AckMessages)] == [("a",), ("b",)]
    stage.gateway.answer(AckMessages, GatewayError(Code.STORE_FAILED, "nobody waits for it"))
    assert stage.loop.in_flight == 0


def test_many_are_accepted_by_one_command_and_each_fails_alone() -> None:
    stage = Stage()
    stage.loop.grant(5)
    stage.come("a", "b", "c")
    done = stage.loop.settle_many(["a", "b", "x"], Settlement.ACCEPT)
    (command,) = stage.gateway.waiting(AckMessages)
    assert command.receipt_handles == ("a", "b")
    assert not done.called and stage.loop.in_flight == 1
    stage.gateway.answer(
        AckMessages, AckResults((AckResult("a"), AckResult("b", Code.RECEIPT_HANDLE_EXPIRED.name, "too late")))
    )
    failed = result_of(done)
    assert {handle: error.code for handle, error in failed.items()} == {
        "b": Code.RECEIPT_HANDLE_EXPIRED,
        "x": Code.BAD_RECEIPT_HANDLE,
    }


def test_many_that_fail_together() -> None:
    stage = Stage()
    stage.loop.grant(5)
    stage.come("a", "b")
    done = stage.loop.settle_many(["a", "b"], Settlement.ACCEPT)
    stage.gateway.answer(AckMessages, GatewayError(Code.STORE_FAILED, "disk"))
    assert {handle: error.code for handle, error in result_of(done).items()} == dict.fromkeys("ab", Code.STORE_FAILED)
    assert result_of(stage.loop.settle_many([], Settlement.ACCEPT)) == {}


def test_many_are_given_back_one_by_one() -> None:
    stage = Stage()
    stage.loop.grant(5)
    stage.come("a", "b")
    done = stage.loop.settle_many(["a", "b"], Settlement.RETRY_AFTER, 5000)
    assert stage.changes() == [("a", 5000), ("b", 5000)]
    stage.gateway.answer(ChangeInvisibleDuration, ChangedInvisibleDuration("a2"))
    stage.gateway.answer(ChangeInvisibleDuration, GatewayError(Code.RECEIPT_HANDLE_EXPIRED, "gone"))
    assert list(result_of(done)) == ["b"]


def test_of_many_one_that_is_being_renewed_waits_for_its_new_handle() -> None:
    stage = Stage()
    stage.loop.grant(5)
    stage.come("a")
    stage.gateway.reactor.advance(20.1)
    stage.come("b")
    done = stage.loop.settle_many(["a", "b"], Settlement.ACCEPT)
    assert [command.receipt_handles for command in stage.gateway.waiting(AckMessages)] == [("b",)]
    stage.gateway.answer(ChangeInvisibleDuration, ChangedInvisibleDuration("a2"))
    assert stage.gateway.waiting(AckMessages)[-1].receipt_handles == ("a2",)
    for handle in ("b", "a2"):
        stage.gateway.answer(AckMessages, AckResults((AckResult(handle),)))
    assert result_of(done) == {}


# Renewing.


def test_handles_are_renewed_until_settled_and_the_settlement_uses_the_newest() -> None:
    stage = Stage()
    stage.loop.grant(1)
    stage.come("a")
    clock = stage.gateway.reactor
    clock.advance(19.9)
    assert stage.changes() == []
    clock.advance(0.2)
    assert stage.changes() == [("a", 30_000)]
    stage.gateway.answer(ChangeInvisibleDuration, ChangedInvisibleDuration("a2"))
    clock.advance(20.1)
    assert stage.changes()[1:] == [("a2", 30_000)]
    stage.gateway.answer(ChangeInvisibleDuration, ChangedInvisibleDuration("a3"))
    stage.loop.settle("a", Settlement.ACCEPT)
    assert stage.gateway.waiting(AckMessages)[0].receipt_handles == ("a3",)
    clock.advance(20.1)
    assert len(stage.changes()) == 2
    assert clock.getDelayedCalls() == []


def test_one_timer_renews_each_handle_when_it_is_due() -> None:
    stage = Stage()
    stage.loop.grant(5)
    stage.come("a", "b")
    clock = stage.gateway.reactor
    clock.advance(5.0)
    stage.come("c")
    assert len(clock.getDelayedCalls()) == 1
    stage.loop.settle("a", Settlement.ACCEPT)
    clock.advance(15.1)
    assert stage.changes() == [("b", 30_000)]
    clock.advance(5.0)
    assert stage.changes() == [("b", 30_000), ("c", 30_000)]


def test_no_renewals_unless_wanted() -> None:
    stage = Stage(auto_renew=False)
    stage.loop.grant(1)
    stage.come("a")
    assert stage.gateway.reactor.getDelayedCalls() == []


def test_a_settlement_during_a_renewal_waits_for_the_new_handle() -> None:
    stage = Stage()
    stage.loop.grant(1)
    stage.come("a")
    stage.gateway.reactor.advance(20.1)
    settled = stage.loop.settle("a", Settlement.ACCEPT)
    assert stage.gateway.waiting(AckMessages) == []
    stage.gateway.answer(ChangeInvisibleDuration, ChangedInvisibleDuration("a2"))
    assert stage.gateway.waiting(AckMessages)[0].receipt_handles == ("a2",)
    stage.gateway.answer(AckMessages, AckResults((AckResult("a2"),)))
    assert result_of(settled) is None
    assert stage.gateway.reactor.getDelayedCalls() == []


def test_a_settlement_during_a_renewal_that_is_refused_goes_on_with_the_old_handle() -> None:
    stage = Stage()
    stage.loop.grant(1)
    stage.come("a")
    stage.gateway.reactor.advance(20.1)
    stage.loop.settle("a", Settlement.ACCEPT)
    stage.gateway.answer(ChangeInvisibleDuration, GatewayError(Code.RECEIPT_HANDLE_EXPIRED, "late"))
    assert stage.gateway.waiting(AckMessages)[0].receipt_handles == ("a",)


def test_renewals_end() -> None:
    stage = Stage(invisible_ms=3 * 3600 * 1000)
    stage.loop.grant(1)
    stage.come("a")
    stage.gateway.at_once[ChangeInvisibleDuration] = ChangedInvisibleDuration("next")
    for _ in range(3):
        stage.gateway.reactor.advance(RENEW_FOR * 2 / 3 + 1)
    assert len(stage.changes()) == 1
    assert stage.loop.in_flight == 0
    assert failure_of(stage.loop.settle("a", Settlement.ACCEPT)) is Code.BAD_RECEIPT_HANDLE


# Errors.


def test_what_may_pass_is_tried_again_with_growing_pauses() -> None:
    stage = Stage()
    stage.gateway.at_once[ReceiveMessages] = GatewayError(Code.BUSY, "later")
    clock = stage.gateway.reactor
    stage.loop.grant(1)
    pauses = []
    for _ in range(12):
        (call,) = clock.getDelayedCalls()
        pauses.append(call.getTime() - clock.seconds())
        clock.advance(pauses[-1] + 1e-9)
    assert pauses[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert max(pauses) == pytest.approx(10) == pauses[-1]
    assert len(stage.gateway.asked) == 13
    del stage.gateway.at_once[ReceiveMessages]
    clock.advance(10)
    stage.come("a")
    assert stage.sink.handles == ["a"]
    assert stage.sink.errors == []


def test_the_pause_is_what_the_error_asks_for() -> None:
    stage = Stage()
    stage.loop.grant(1)
    stage.gateway.answer(ReceiveMessages, GatewayError(Code.TOO_MANY_REQUESTS, "later", retry_after=3.0))
    stage.gateway.reactor.advance(2.9)
    assert stage.receives() == []
    stage.gateway.reactor.advance(0.2)
    assert len(stage.receives()) == 1


def test_an_empty_answer_at_once_does_not_loop() -> None:
    stage = Stage()
    stage.gateway.at_once[ReceiveMessages] = ReceivedMessages()
    stage.loop.grant(1)
    assert len(stage.gateway.asked) == 1
    stage.gateway.reactor.advance(0.1)
    assert len(stage.gateway.asked) == 2


def test_a_poll_that_could_not_wait_is_tried_later() -> None:
    stage = Stage()
    stage.loop.grant(1)
    stage.gateway.answer(ReceiveMessages, ReceivedMessages(polling_full=True))
    assert stage.receives() == []
    stage.gateway.reactor.advance(0.1)
    assert len(stage.receives()) == 1


def test_an_empty_long_poll_is_followed_by_the_next() -> None:
    stage = Stage()
    stage.loop.grant(1)
    stage.gateway.answer(ReceiveMessages, ReceivedMessages())
    assert len(stage.receives()) == 1


@pytest.mark.parametrize("at_once", [True, False])
def test_what_cannot_pass_ends_the_subscription(at_once: bool) -> None:
    stage = Stage()
    error = GatewayError(Code.TOPIC_NOT_FOUND, "no such topic")
    if at_once:
        stage.gateway.at_once[ReceiveMessages] = error
    stage.loop.grant(5)
    if not at_once:
        stage.gateway.answer(ReceiveMessages, error)
    assert stage.sink.errors == [error]
    stage.loop.grant(5)
    assert stage.receives() == []


def test_a_sink_that_raises_ends_the_subscription_and_everything_is_given_back() -> None:
    stage = Stage()

    def raise_for_b(delivery: Delivery) -> None:
        if delivery.receipt_handle == "b":
            raise RuntimeError("a bug of the front-end")

    stage.sink.on_deliver = raise_for_b
    stage.loop.grant(10)
    stage.come("a", "b", "c", "d")
    assert stage.sink.handles == ["a", "b"]
    assert sorted(stage.changes()) == [("a", 0), ("b", 0), ("c", 0), ("d", 0)]
    assert [cast("GatewayError", error).code for error in stage.sink.errors] == [Code.INTERNAL]
    assert stage.gateway.reactor.getDelayedCalls() == []


# Ends.


def test_close_gives_back_and_fires_when_that_is_done() -> None:
    stage = Stage()
    stage.loop.grant(10)
    stage.come("a", "b")
    closed = stage.loop.close()
    assert stage.receives() == []  # the long poll was cancelled
    assert sorted(stage.changes()) == [("a", 0), ("b", 0)]
    with pytest.raises(NoReplyYet):
        result_of(closed)
    stage.gateway.answer(ChangeInvisibleDuration, ChangedInvisibleDuration(""))
    stage.gateway.answer(ChangeInvisibleDuration, GatewayError(Code.STORE_FAILED, "it comes again by itself"))
    assert result_of(closed) is None
    assert stage.gateway.reactor.getDelayedCalls() == []
    assert result_of(stage.loop.close()) is None
    assert failure_of(stage.loop.settle("a", Settlement.ACCEPT)) is Code.BAD_RECEIPT_HANDLE


def test_nothing_of_a_closed_subscription_is_kept() -> None:
    """A client may subscribe and unsubscribe as often as it likes over one connection."""
    gateway = FakeGateway()
    for broadcast in (False, True):
        wanted = Subscription("G", "T", broadcast=broadcast)
        make: Any = (lambda *more: BroadcastLoop(*more, Feeds(gateway))) if broadcast else ReceiveLoop  # type: ignore[arg-type]
        for _ in range(3):
            loop = make(gateway, Context(gateway.session), wanted, Sink())
            loop.close()
            assert not gateway.session._on_end


def test_close_during_a_renewal_gives_the_new_handle_back() -> None:
    stage = Stage()
    stage.loop.grant(1)
    stage.come("a")
    stage.gateway.reactor.advance(20.1)
    stage.loop.close()
    assert stage.changes() == [("a", 30_000)]
    stage.gateway.answer(ChangeInvisibleDuration, ChangedInvisibleDuration("a2"))
    assert stage.changes()[1:] == [("a2", 0)]


def test_close_while_a_retry_is_planned() -> None:
    stage = Stage()
    stage.gateway.at_once[ReceiveMessages] = GatewayError(Code.BUSY, "later")
    stage.loop.grant(1)
    stage.loop.close()
    assert stage.gateway.reactor.getDelayedCalls() == []


def test_the_end_of_the_session_gives_back() -> None:
    stage = Stage()
    stage.loop.grant(10)
    stage.come("a")
    stage.gateway.session.end()
    assert stage.changes() == [("a", 0)]
    assert stage.receives() == []


def test_closing_while_delivering_gives_the_rest_back() -> None:
    stage = Stage()

    def close(_: Delivery) -> None:
        stage.loop.close()

    stage.sink.on_deliver = close
    stage.loop.grant(10)
    stage.come("a", "b", "c")
    assert stage.sink.handles == ["a"]
    assert sorted(stage.changes()) == [("a", 0), ("b", 0), ("c", 0)]
    assert stage.sink.errors == []


def test_settling_and_granting_while_delivering_delivers_each_once_and_in_order() -> None:
    stage = Stage(batch=2)
    answers = [received("a", "b"), received("c", "d"), received("e")]
    original = stage.gateway.execute

    def execute(context: Context, command: Command[Any]) -> Any:
        if isinstance(command, ReceiveMessages) and answers:
            return answers.pop(0)
        return original(context, command)

    stage.gateway.execute = execute  # type: ignore[method-assign]

    def settle(delivery: Delivery) -> None:
        stage.loop.settle(delivery.receipt_handle, Settlement.ACCEPT)
        stage.loop.grant(1)

    stage.sink.on_deliver = settle
    stage.loop.grant(2)
    assert stage.sink.handles == ["a", "b", "c", "d", "e"]
    assert len(stage.receives()) == 1
