"""Parts start in order, stop in reverse, each waiting for the one before; a failed start says why."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.application.service import Application
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver
from twisted.python.failure import Failure
from twisted.python.usage import UsageError

from rmqgateway.errors import StoreError
from rmqgateway.services import OrderedService, StartFailed, reason_of
from rmqgateway.services_parts import NoticePart, SessionsPart


class Part:
    def __init__(self, name: str, story: list[str]) -> None:
        self.name = name
        self.story = story
        self.starting: Any = None
        self.stopping: Any = None
        self.refuses: Exception | None = None

    def prepare(self) -> None:
        self.story.append(f"prepare {self.name}")

    def start(self) -> Any:
        self.story.append(f"start {self.name}")
        if self.refuses is not None:
            raise self.refuses
        return self.starting

    def stop(self) -> Any:
        self.story.append(f"stop {self.name}")
        return self.stopping


class Reactor(Clock):
    def __init__(self) -> None:
        super().__init__()
        self.stopped = 0

    def stop(self) -> None:
        self.stopped += 1


def make(*names: str) -> tuple[OrderedService, dict[str, Part], list[str], Reactor]:
    story: list[str] = []
    parts = {name: Part(name, story) for name in names}
    reactor = Reactor()
    return OrderedService(reactor, list(parts.values()), signals=False), parts, story, reactor


def test_parts_start_in_order_and_stop_in_reverse() -> None:
    service, _, story, _ = make("a", "b")
    service.privilegedStartService()
    service.startService()
    assert story == ["prepare a", "prepare b", "start a", "start b"]
    del story[:]
    ended: list[object] = []
    service.stopService().addCallback(ended.append)
    assert story == ["stop b", "stop a"]
    assert ended == [None]


def test_each_waits_for_the_one_before() -> None:
    service, parts, story, _ = make("a", "b")
    starting = parts["a"].starting = Deferred()
    service.startService()
    assert story == ["start a"]
    starting.callback(None)
    assert story == ["start a", "start b"]
    stopping = parts["b"].stopping = Deferred()
    ended: list[object] = []
    service.stopService().addCallback(ended.append)
    assert story[2:] == ["stop b"] and not ended
    stopping.callback(None)
    assert story[2:] == ["stop b", "stop a"] and ended


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StoreError("the store is in use"), "the store is in use"),
        (UsageError("--set x: wrong"), "--set x: wrong"),
        (RuntimeError("surprise"), "b cannot start: RuntimeError: surprise"),
    ],
)
def test_a_start_that_fails_at_once_raises_the_reason(error: Exception, reason: str) -> None:
    service, parts, story, _ = make("a", "b", "c")
    parts["b"].refuses = error
    with pytest.raises(StartFailed) as raised:
        service.startService()
    assert str(raised.value) == reason
    assert "start c" not in story


def test_a_start_that_fails_later_ends_the_process_with_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    statuses: list[int] = []
    monkeypatch.setattr("rmqgateway.services._exit_with", statuses.append)
    service, parts, _, reactor = make("a")
    starting = parts["a"].starting = Deferred()
    service.startService()
    starting.errback(Failure(StoreError("no room")))
    assert (reactor.stopped, service.status, statuses) == (1, 1, [1])


def test_a_prepare_that_fails_raises_the_reason() -> None:
    service, parts, _, _ = make("a")

    def prepare() -> None:
        raise UsageError("the port is in use")

    parts["a"].prepare = prepare  # type: ignore[method-assign]
    with pytest.raises(StartFailed, match="^the port is in use$"):
        service.privilegedStartService()


def test_what_has_not_started_is_not_stopped_and_a_failed_stop_stops_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    statuses: list[int] = []
    monkeypatch.setattr("rmqgateway.services._exit_with", statuses.append)
    service, parts, story, _ = make("a", "b", "c")
    starting = parts["b"].starting = Deferred()
    service.startService()

    def stop() -> None:
        raise RuntimeError("cannot")

    parts["b"].stop = stop  # type: ignore[method-assign]
    service.stopService()
    assert story == ["start a", "start b", "stop a"]
    assert statuses == [1], "an end that went wrong is not status 0"
    assert not starting.called


def test_an_application_gets_our_log_observer() -> None:
    events: list[Any] = []
    application = Application("test")
    OrderedService(Reactor(), [], observer=events.append, signals=False).setServiceParent(application)
    assert application.getComponent(ILogObserver) == events.append


def test_reasons_are_only_for_what_an_operator_can_put_right() -> None:
    assert reason_of(UsageError("u")) == "u"
    assert reason_of(StoreError("s")) == "s"
    assert reason_of(KeyError("k")) is None


# Drain.


class Session:
    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.closed = ""
        gateway.sessions[id(self)] = self

    def close(self, reason: str) -> None:
        self.closed = reason
        self.end()

    def end(self) -> None:
        self.gateway.sessions.pop(id(self), None)


class Gateway:
    def __init__(self) -> None:
        self.sessions: dict[int, Session] = {}
        self.drained: list[tuple[float, str]] = []

    def drain(self, deadline: float, reason: str) -> None:
        self.drained.append((deadline, reason))


def drain(seconds: float, sessions: int) -> tuple[Gateway, list[Session], Clock, list[object]]:
    gateway, clock = Gateway(), Clock()
    made = [Session(gateway) for _ in range(sessions)]
    ended: list[object] = []
    anything: Any = gateway
    SessionsPart(anything, clock, seconds).stop().addCallback(ended.append)
    return gateway, made, clock, ended


def test_with_nobody_there_draining_takes_no_time() -> None:
    gateway, _, clock, ended = drain(30.0, 0)
    assert gateway.drained == [(30.0, "the gateway is shutting down")]
    assert ended and not clock.getDelayedCalls()


def test_draining_waits_until_the_last_has_gone() -> None:
    _, sessions, clock, ended = drain(30.0, 2)
    clock.advance(1)
    sessions[0].end()
    clock.advance(1)
    assert not ended
    sessions[1].end()
    clock.advance(0.1)
    assert ended and not sessions[1].closed


def test_who_does_not_go_in_time_is_closed() -> None:
    _, sessions, clock, ended = drain(2.0, 1)
    clock.pump([0.05] * 60)
    assert sessions[0].closed == "the gateway is shutting down"
    assert ended and not clock.getDelayedCalls()


def test_notice_is_given_before_anybody_is_refused() -> None:
    gateway, clock = SimpleNamespace(leaving=False), Clock()
    ended: list[object] = []
    anything: Any = gateway
    waiting = NoticePart(anything, clock, 2.0).stop()
    assert waiting is not None and gateway.leaving
    waiting.addCallback(ended.append)
    clock.advance(1.9)
    assert not ended
    clock.advance(0.2)
    assert ended
    assert NoticePart(anything, clock, 0.0).stop() is None
