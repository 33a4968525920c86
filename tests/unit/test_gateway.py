"""The door: budgets, errors, cancelling, sessions, draining, what is counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer
from zope.interface.verify import verifyObject

from rmqgateway.commands import (
    AckMessages,
    AckResults,
    Command,
    GetCluster,
    Heartbeat,
    PullMessages,
    QueryRoute,
    SendMessages,
    SendResults,
)
from rmqgateway.context import Context
from rmqgateway.errors import Code, GatewayError, UnsupportedCommand
from rmqgateway.events import ConsumersChanged, Event
from rmqgateway.gateway import Gateway
from rmqgateway.governance.budgets import Limits
from rmqgateway.interfaces import IBackend, IGateway, ISession, ISubscription, ISubscriptionSink
from rmqgateway.message import Message
from rmqgateway.session import Session
from rmqgateway.subscription import Subscription
from rmqgateway.telemetry.metrics import CommandMeter
from rmqgateway.testing import NoReplyYet, World, result_of

PEER = IPv4Address("TCP", "10.0.0.1", 1234)
SEND = SendMessages("topic", (Message(bytes(600), bytes(100)), Message(bytes(300))))  # 1000 bytes


@implementer(IBackend)
class FakeBackend:
    """Answers with `reply`: a value, an exception to raise, or a function of the command."""

    name = "fake"

    def __init__(self) -> None:
        self.reply: Any = None
        self.executed: list[Command[Any]] = []
        self.opened: list[ISession] = []
        self.ended: list[ISession] = []
        self.on_end: Callable[[], None] = lambda: None

    def handlers(self) -> Mapping[type[Command[Any]], Callable[[Context, Any], Any]]:
        return dict.fromkeys((SendMessages, PullMessages, AckMessages, Heartbeat), self.execute)

    def execute(self, context: Context, command: Command[Any]) -> Any:
        self.executed.append(command)
        reply = self.reply() if callable(self.reply) else self.reply
        if isinstance(reply, BaseException):
            raise reply
        return reply

    def start(self) -> None:
        return None

    def stop(self) -> Any:
        return None

    def session_opened(self, session: ISession) -> None:
        self.opened.append(session)

    def session_ended(self, session: ISession) -> None:
        self.ended.append(session)
        self.on_end()

    def ready(self) -> None:
        return None


class Stage:
    def __init__(self, **limits: Any) -> None:
        self.clock = Clock()
        self.backend = FakeBackend()
        self.gateway = Gateway(self.backend, self.clock, limits=Limits(**limits))
        self.events: list[Event] = []
        self.drained: list[tuple[float, str]] = []
        self.session = self.open()

    def open(self, peer: Any = PEER) -> Session:
        return self.gateway.open_session(
            "test",
            peer,
            "127.0.0.1:9876",
            lambda event: not self.events.append(event),  # type: ignore[func-returns-value]
            lambda deadline, reason: self.drained.append((deadline, reason)),
            lambda reason: None,
        )

    def execute(self, command: Command[Any]) -> Any:
        return self.gateway.execute(Context(self.session), command)

    def meter(self, kind: type[Command[Any]]) -> CommandMeter:
        (found,) = (meter for meter in self.gateway.meters if meter.name == kind.__name__)
        return found


@pytest.fixture
def logged() -> Any:
    events: list[LogEvent] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        events.append(event)

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


def code_of(deferred: Deferred[Any]) -> Code:
    with pytest.raises(GatewayError) as caught:
        result_of(deferred)
    return caught.value.code


def test_it_provides_what_it_says() -> None:
    stage = Stage()
    assert verifyObject(IGateway, stage.gateway)
    assert verifyObject(IBackend, stage.backend)
    assert verifyObject(ISession, stage.session)


# Commands.


def test_replies_pass_at_once_or_later() -> None:
    stage = Stage()
    stage.backend.reply = "reply"
    assert stage.execute(Heartbeat("client")) == "reply"
    later: Deferred[Any] = Deferred()
    stage.backend.reply = later
    asked = stage.execute(PullMessages("group", "topic", 0, 0))
    assert stage.gateway.commands_under_way == 1
    stage.clock.advance(0.02)
    later.callback("later")
    assert result_of(asked) == "later"
    assert stage.gateway.commands_under_way == 0
    assert stage.backend.executed == [Heartbeat("client"), PullMessages("group", "topic", 0, 0)]


def test_a_command_that_the_backend_does_not_serve_is_refused_by_name() -> None:
    class Unheard(Command[None], frozen=True):
        pass

    stage = Stage()
    for command in (Unheard(), GetCluster()):
        with pytest.raises(UnsupportedCommand) as caught:
            stage.execute(command)
        assert caught.value.code is Code.UNSUPPORTED
        assert type(command).__name__ in str(caught.value) and "fake" in str(caught.value)


def test_what_is_sent_is_counted_until_it_is_answered() -> None:
    stage = Stage()
    later: Deferred[Any] = Deferred()
    stage.backend.reply = later
    stage.execute(SEND)
    assert stage.gateway.budget.used == 1000
    later.callback(SendResults(()))
    assert stage.gateway.budget.used == 0


@pytest.mark.parametrize(
    "reply",
    [
        SendResults(()),
        GatewayError(Code.BAD_MESSAGE, "no"),
        RuntimeError("a bug"),
        lambda: _failed(GatewayError(Code.STORE_FULL, "full")),
        lambda: _failed(RuntimeError("a bug")),
    ],
)
def test_budgets_are_given_back_however_it_ends(reply: Any) -> None:
    stage = Stage()
    stage.backend.reply = reply
    try:
        answer = stage.execute(SEND)
        if isinstance(answer, Deferred):
            answer.addErrback(lambda _: None)
    except GatewayError:
        pass
    assert (stage.gateway.budget.used, stage.gateway.commands_under_way) == (0, 0)
    assert stage.meter(SendMessages).in_flight == 0
    # What goes wrong behind the door is in the log once; these tests do not look at it.


def _failed(error: Exception) -> Deferred[Any]:
    deferred: Deferred[Any] = Deferred()
    deferred.errback(error)
    return deferred


def test_cancelling_reaches_the_backend_gives_back_and_says_so() -> None:
    stage = Stage()
    cancelled: list[Deferred[Any]] = []
    stage.backend.reply = lambda: Deferred(cancelled.append)
    asked = stage.execute(SEND)
    asked.cancel()
    assert len(cancelled) == 1
    assert code_of(asked) is Code.CANCELLED
    assert (stage.gateway.budget.used, stage.gateway.commands_under_way) == (0, 0)
    assert stage.meter(SendMessages).errors == {Code.CANCELLED: 1}


def test_sends_are_refused_above_the_budget_and_taken_again_below() -> None:
    stage = Stage(process_bytes=2100, refuse_at=0.95)
    waiting: list[Deferred[Any]] = []

    def keep() -> Deferred[Any]:
        waiting.append(Deferred())
        return waiting[-1]

    stage.backend.reply = keep
    stage.execute(SEND)
    with pytest.raises(GatewayError) as caught:
        stage.execute(SEND)
    assert caught.value.code is Code.BUSY
    assert caught.value.retry_after is not None
    assert "limits.process_bytes" in str(caught.value)
    assert len(stage.backend.executed) == 1
    stage.execute(PullMessages("group", "topic", 0, 0))  # consumers go on
    waiting[0].callback(None)
    stage.execute(SEND)


def test_one_message_larger_than_the_whole_budget_is_taken_alone() -> None:
    stage = Stage(process_bytes=100)
    stage.backend.reply = SendResults(())
    assert stage.execute(SEND) == SendResults(())


def test_a_fast_producer_is_seen_before_it_is_refused() -> None:
    stage = Stage(process_bytes=1200, slow_at=0.8)
    later: Deferred[Any] = Deferred()
    stage.backend.reply = later
    assert not stage.gateway.budget.slow
    stage.execute(SEND)
    assert stage.gateway.budget.slow
    later.callback(None)
    assert not stage.gateway.budget.slow


def test_commands_under_way_have_a_limit_but_for_those_that_free_something() -> None:
    stage = Stage(commands_under_way=2)
    stage.backend.reply = Deferred
    pull = PullMessages("group", "topic", 0, 0)
    stage.execute(pull)
    stage.execute(pull)
    with pytest.raises(GatewayError) as caught:
        stage.execute(pull)
    assert caught.value.code is Code.TOO_MANY_REQUESTS
    assert "limits.commands_under_way" in str(caught.value)
    stage.backend.reply = AckResults(())
    stage.execute(AckMessages("group", "topic", ()))
    stage.execute(Heartbeat("client"))


@pytest.mark.parametrize("later", [False, True])
def test_an_unknown_error_becomes_internal_and_is_logged_once(later: bool, logged: list[LogEvent]) -> None:
    stage = Stage()
    error = ZeroDivisionError("secret detail")
    stage.backend.reply = (lambda: _failed(error)) if later else error
    with pytest.raises(GatewayError) as caught:
        answer = stage.execute(PullMessages("group", "topic", 0, 0))
        result_of(answer)
    assert caught.value.code is Code.INTERNAL
    assert "PullMessages" in caught.value.message
    assert "secret detail" not in caught.value.message
    failures = [event for event in logged if event.get("log_failure") is not None]
    assert len(failures) == 1
    assert failures[0]["log_failure"].value is error
    assert stage.meter(PullMessages).errors == {Code.INTERNAL: 1}


def test_errors_of_the_backend_pass_unchanged() -> None:
    stage = Stage()
    stage.backend.reply = error = GatewayError(Code.TOPIC_NOT_FOUND, "no such topic", upstream_code=17)
    with pytest.raises(GatewayError) as caught:
        stage.execute(PullMessages("group", "topic", 0, 0))
    assert caught.value is error
    stage.backend.reply = lambda: _failed(error)
    with pytest.raises(GatewayError) as caught:
        result_of(stage.execute(PullMessages("group", "topic", 0, 0)))
    assert caught.value is error
    assert stage.meter(PullMessages).errors == {Code.TOPIC_NOT_FOUND: 2}


def test_the_authorizer_is_asked_before_the_backend() -> None:
    stage = Stage()

    def refuse(context: Context, command: Command[Any]) -> None:
        raise GatewayError(Code.FORBIDDEN, "no")

    stage.gateway.authorizer = refuse
    with pytest.raises(GatewayError) as caught:
        stage.execute(SEND)
    assert caught.value.code is Code.FORBIDDEN
    assert stage.backend.executed == []
    assert stage.gateway.budget.used == 0


def test_what_is_counted() -> None:
    stage = Stage()
    later: Deferred[Any] = Deferred()
    stage.backend.reply = later
    stage.execute(PullMessages("group", "topic", 0, 0))
    meter = stage.meter(PullMessages)
    assert (meter.in_flight, meter.succeeded) == (1, 0)
    stage.clock.advance(0.2)
    later.callback(None)
    assert (meter.in_flight, meter.succeeded) == (0, 1)
    assert meter.latency_sum == pytest.approx(0.2)
    assert sum(meter.latency_buckets) == 1


# Sessions.


@pytest.mark.parametrize(
    ("peer", "host", "packed"),
    [
        (PEER, "10.0.0.1:1234", bytes((10, 0, 0, 1)) + (1234).to_bytes(4, "big")),
        (IPv6Address("TCP", "::1", 99), "[::1]:99", bytes(15) + b"\x01" + (99).to_bytes(4, "big")),
        (UNIXAddress(None), "0.0.0.0:0", bytes(8)),
    ],
)
def test_a_session_knows_its_peer(peer: Any, host: str, packed: bytes) -> None:
    session = Stage().open(peer)
    assert (session.peer, session.peer_bytes) == (host, packed)
    assert (session.host, session.front_end) == ("127.0.0.1:9876", "test")


def test_sessions_have_a_limit() -> None:
    stage = Stage(sessions=2)
    second = stage.open()
    with pytest.raises(GatewayError) as caught:
        stage.open()
    assert caught.value.code is Code.TOO_MANY_REQUESTS
    assert "limits.sessions" in str(caught.value)
    assert len(stage.backend.opened) == 2
    second.end()
    assert stage.open().number == 3


def test_the_end_of_a_session() -> None:
    stage = Stage()
    ends: list[str] = []
    stage.session.on_end(lambda: ends.append("front-end"))
    stage.session.end()
    stage.session.end()
    assert ends == ["front-end"]
    assert stage.backend.ended == [stage.session]
    assert stage.gateway.sessions == {}
    assert not stage.session.deliver(ConsumersChanged("group"))
    assert stage.events == []
    stage.session.on_end(lambda: ends.append("late"))
    assert ends == ["front-end", "late"]


def test_a_backend_that_fails_at_the_end_of_a_session_disturbs_nobody(logged: list[LogEvent]) -> None:
    stage = Stage()

    def fail() -> None:
        raise RuntimeError("a bug")

    stage.backend.on_end = fail
    ends: list[str] = []
    stage.session.on_end(lambda: ends.append("front-end"))
    stage.session.end()
    assert ends == ["front-end"]
    assert len([event for event in logged if event.get("log_failure") is not None]) == 1


def test_draining_tells_every_client_and_takes_no_new_ones() -> None:
    stage = Stage()
    gone = stage.open()
    gone.end()
    stage.open()
    stage.gateway.drain(12.5, "going")
    assert stage.drained == [(12.5, "going")] * 2
    with pytest.raises(GatewayError) as caught:
        stage.open()
    assert caught.value.code is Code.SHUTTING_DOWN
    # What is under way, and what clients still say, is served to the end.
    stage.backend.reply = None
    stage.execute(Heartbeat("client"))


def test_subscribing_gives_a_subscription() -> None:
    @implementer(ISubscriptionSink)
    class Sink:
        def deliver(self, delivery: Any) -> None: ...

        def failed(self, error: Exception) -> None: ...

    stage = Stage()
    subscription = stage.gateway.subscribe(Context(stage.session), Subscription("group", "topic"), Sink())
    assert ISubscription.providedBy(subscription)
    with pytest.raises(NoReplyYet):
        result_of(Deferred())


def test_perform_tells_the_outcome_exactly_once_and_gives_the_budget_back() -> None:
    world = World()
    session = world.session()
    told: list[tuple[object, object, object]] = []

    def done(token: object, reply: object, error: object) -> None:
        told.append((token, reply, error))

    context = session.context()
    send = SendMessages("topic", (Message(b"x" * 100),))
    world.execute(session, send)  # makes the topic
    world.gateway.perform(context, SendMessages("topic", (Message(b"x" * 100, b"UNIQ_KEY\x01k\x02"),)), done, "durable")
    assert told == [] and world.gateway.budget.used > 100 and world.gateway.commands_under_way == 1
    world.settle()
    assert [(token, error) for token, _, error in told] == [("durable", None)]
    world.gateway.perform(context, QueryRoute("topic"), done, "at once")
    world.gateway.perform(context, QueryRoute("missing"), done, "refused")
    world.gateway.perform(context, SendMessages("other", (Message(b"y"),)), done, "deferred")
    world.settle()
    world.gateway.perform(context, SendMessages("bad name!", (Message(b"y"),)), done, "bad")
    assert [token for token, _, _ in told] == ["durable", "at once", "refused", "deferred", "bad"]
    codes = [error.code if isinstance(error, GatewayError) else None for _, _, error in told]
    assert codes == [None, None, Code.TOPIC_NOT_FOUND, None, Code.BAD_TOPIC_NAME]
    assert world.gateway.budget.used == 0 and world.gateway.commands_under_way == 0


def test_perform_tells_of_a_store_that_failed() -> None:
    world = World()
    session = world.session()
    world.execute(session, SendMessages("topic", (Message(b"x"),)))
    told: list[object] = []
    message = Message(b"x", b"UNIQ_KEY\x01k\x02")
    world.gateway.perform(session.context(), SendMessages("topic", (message,)), lambda *it: told.append(it[2]), None)
    world.store.fail("no disk")
    (error,) = told
    assert isinstance(error, GatewayError) and error.code is Code.STORE_FAILED
    assert world.gateway.budget.used == 0
