"""What every connection front-end stands on, tried with a protocol of lines: ``send TEXT``, ``take N``, ``ack N``, ``quit``."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from zope.interface import implementer
from zope.interface.verify import verifyObject

from rmqgateway import consumer
from rmqgateway.commands import SendMessages
from rmqgateway.connection import ClientConnection
from rmqgateway.consumer import Consumer
from rmqgateway.context import Credential
from rmqgateway.errors import Code, GatewayError, WireError
from rmqgateway.frontend import ConnectionFrontEnd, Recognition, begins_with
from rmqgateway.governance.budgets import Limits
from rmqgateway.interfaces import IConnectionFrontEnd, ISubscriptionSink
from rmqgateway.message import Message
from rmqgateway.subscription import Delivery, Settlement, Subscription
from rmqgateway.testing import NoReplyYet, World, result_of
from rmqgateway.wire import stored_message


class Lines(ClientConnection):
    front_end = "lines"
    stalled_seconds = 10.0

    def __init__(self, gateway: Any, connection: Any, cumulative: bool) -> None:
        super().__init__(gateway, connection)
        self.cumulative = cumulative
        self.consumer: Consumer
        self.errors: list[BaseException | None] = []
        self.was_lost = 0

    def opened(self) -> None:
        self.send(b"hello\n")

    def lost(self) -> None:
        self.was_lost += 1

    def failed(self, error: BaseException | None) -> None:
        self.errors.append(error)
        self.send(f"error {error}\n".encode())
        self.close()

    def data_received(self, data: bytes) -> None:
        for line in data.splitlines():
            word, _, rest = line.partition(b" ")
            if word == b"send":
                done: Deferred[Any] = self.execute(SendMessages("topic", (Message(rest),)), len(rest))
                done.addCallbacks(lambda _: self.send(b"sent\n"), lambda failure: self.failed(failure.value))
            elif word == b"take":
                self.consumer = Consumer(self, Subscription("group", "topic"), int(rest), self.deliver, self.cumulative)
                self.consumer.begin().addErrback(lambda failure: self.failed(failure.value))
            elif word == b"ack":
                done = self.consumer.settle(int(rest), Settlement.ACCEPT)
                done.addCallbacks(lambda _: self.send(b"acked\n"), lambda failure: self.failed(failure.value))
            elif word == b"finish":
                self.finished().addCallback(lambda _: self.send(b"finished\n"))
            elif word == b"bug":
                raise ZeroDivisionError("a bug")
            else:
                raise WireError(f"expected a known word, got {word!r}")

    def deliver(self, delivery: Delivery, number: int) -> None:
        self.send(b"%d %b\n" % (number, stored_message.body(delivery.message)))


@implementer(IConnectionFrontEnd)
class FrontEnd:
    name = "lines"
    settings = dict
    recognition_order = 1
    web_socket_protocols = ()

    def __init__(self, cumulative: bool = False) -> None:
        self.cumulative = cumulative

    def configure(self, settings: Any) -> None: ...

    def recognise(self, first_bytes: bytes) -> Recognition:
        return Recognition.YES

    def make_protocol(self, gateway: Any, connection: Any) -> Lines:
        return Lines(gateway, connection, self.cumulative)


class Client:
    def __init__(self, world: World, cumulative: bool = False) -> None:
        self.world = world
        protocol, self.transport = world.connect(FrontEnd(cumulative))
        assert isinstance(protocol, Lines)
        self.protocol = protocol

    def tell(self, text: str) -> None:
        self.protocol.dataReceived(text.encode() + b"\n")
        self.world.settle()

    def lines(self) -> list[str]:
        found: list[str] = self.transport.value().decode().splitlines()
        self.transport.clear()
        return found


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def client(world: World) -> Client:
    client = Client(world)
    assert client.lines() == ["hello"]
    return client


def test_it_provides_what_it_says(client: Client) -> None:
    client.tell("take 1")
    assert verifyObject(ISubscriptionSink, client.protocol.consumer)


def test_what_a_turn_has_to_say_is_one_write(world: World, client: Client) -> None:
    writes: list[bytes] = []
    client.protocol._write = writes.append
    client.tell("send a\nsend b\nsend c")
    assert writes == [b"sent\nsent\nsent\n"]


def test_messages_go_round(client: Client) -> None:
    client.tell("take 5")
    client.tell("send a")
    assert sorted(client.lines()) == ["1 a", "sent"]
    client.tell("ack 1")
    assert client.lines() == ["acked"]


def test_the_window(client: Client) -> None:
    client.tell("take 2")
    client.tell("send a\nsend b\nsend c\nsend d")
    assert [line[:1] for line in client.lines() if line != "sent"] == ["1", "2"]
    client.tell("ack 2")
    assert [line[:1] for line in client.lines()] in (["a", "3"], ["3", "a"])
    client.tell("ack 2")
    assert client.protocol.errors[0].code is Code.BAD_RECEIPT_HANDLE  # type: ignore[union-attr]


def test_a_cumulative_acknowledgement(world: World) -> None:
    client = Client(world, cumulative=True)
    client.tell("take 3")
    client.tell("send a\nsend b\nsend c\nsend d\nsend e")
    client.lines()
    client.tell("ack 2")
    assert sorted(line[:1] for line in client.lines()) == ["4", "5", "a"]
    assert list(client.protocol.consumer.unsettled) == [3, 4, 5]
    client.protocol.consumer.unsettled[3] = "void"  # what was never delivered fails the whole settlement
    client.tell("ack 4")
    assert client.protocol.errors[0].code is Code.BAD_RECEIPT_HANDLE  # type: ignore[union-attr]


def test_closing_a_consumer_gives_back(world: World, client: Client) -> None:
    client.tell("take 1\nsend a")
    client.lines()
    other = Client(world)
    other.tell("take 1")
    assert other.lines() == ["hello"]
    closed = client.protocol.consumer.close()
    world.settle()
    assert result_of(closed) is None
    assert other.lines() == ["1 a"]


def test_the_end_gives_back_and_ends_the_session(world: World, client: Client) -> None:
    client.tell("take 1\nsend a")
    client.protocol.connectionLost()
    world.settle()
    assert client.protocol.was_lost == 1
    assert world.gateway.sessions == {}
    other = Client(world)
    other.tell("take 1")
    assert other.lines() == ["hello", "1 a"]


def test_errors_of_the_wire_and_of_the_door(client: Client) -> None:
    client.tell("what")
    assert client.lines() == ["error expected a known word, got b'what'"]
    assert client.transport.disconnecting
    client.tell("send a")  # nothing is read any more
    assert client.lines() == []


def test_a_bug_is_logged_and_told_as_internal(client: Client) -> None:
    logged: list[Any] = []

    def observe(event: Any) -> None:
        logged.append(event)

    globalLogPublisher.addObserver(observe)  # type: ignore[arg-type]
    try:
        client.tell("bug")
    finally:
        globalLogPublisher.removeObserver(observe)  # type: ignore[arg-type]
    assert len([event for event in logged if event.get("log_failure")]) == 1
    (error,) = client.protocol.errors
    assert isinstance(error, GatewayError) and error.code is Code.INTERNAL


class Requests(ClientConnection):
    """Each line is a request: ``now``, ``later``, ``no``, ``bug``, ``late bug``, ``mute`` (its answer cannot be told)."""

    front_end = "requests"

    def opened(self) -> None:
        self.waiting: Deferred[str] = Deferred()
        self.failures: list[tuple[Any, Any]] = []

    def data_received(self, data: bytes) -> None:
        for line in data.decode().splitlines():
            self.serve(self._carry_out, line)

    def _carry_out(self, request: str) -> Any:
        if request == "no":
            raise WireError("no")
        if request == "bug":
            raise ZeroDivisionError
        return self.waiting if request.startswith("late") else request.upper()

    def served(self, request: str, reply: str) -> None:
        if request == "mute":
            raise ZeroDivisionError
        self.send(f"{request}: {reply}\n".encode())

    def failed(self, error: BaseException | None, request: str | None = None) -> None:
        self.failures.append((request, error))
        if request != "no":
            self.close()


class RequestsFrontEnd(ConnectionFrontEnd):
    name = "requests"
    settings = dict
    protocol = Requests
    beginnings = (b"now", b"nothing", b"later")


@pytest.fixture
def requests(world: World) -> tuple[Requests, StringTransport]:
    protocol, transport = world.connect(RequestsFrontEnd())
    assert isinstance(protocol, Requests)
    return protocol, transport


def test_requests_are_served(world: World, requests: tuple[Requests, StringTransport]) -> None:
    protocol, transport = requests
    protocol.dataReceived(b"later\nnow\nno\nnow\n")
    assert transport.value() == b"now: NOW\nnow: NOW\n"
    ((request, error),) = protocol.failures
    assert request == "no" and isinstance(error, WireError)
    protocol.waiting.callback("DONE")
    world.settle()
    assert transport.value().endswith(b"later: DONE\n")


@pytest.mark.parametrize("word", ["bug", "late bug", "mute"])
def test_a_bug_of_a_request_is_logged_and_told_as_internal(
    world: World, requests: tuple[Requests, StringTransport], word: str
) -> None:
    protocol, transport = requests
    logged: list[Any] = []

    def observe(event: Any) -> None:
        logged.append(event)

    globalLogPublisher.addObserver(observe)  # type: ignore[arg-type]
    try:
        protocol.dataReceived(word.encode() + b"\nnow\n")
        if word == "late bug":
            protocol.waiting.errback(ZeroDivisionError())
        world.settle()
    finally:
        globalLogPublisher.removeObserver(observe)  # type: ignore[arg-type]
    assert len([event for event in logged if event.get("log_failure")]) == 1
    ((request, error),) = protocol.failures
    assert request == (None if word == "mute" else word)
    assert isinstance(error, GatewayError) and error.code is Code.INTERNAL
    assert transport.disconnecting
    # What came after it is not carried out: it is not known what the client means by it.
    assert transport.value() == (b"now: NOW\n" if word == "late bug" else b"")


def test_a_connection_front_end_is_one() -> None:
    front_end = RequestsFrontEnd()
    assert verifyObject(IConnectionFrontEnd, front_end)
    for first, answer in [(b"", "MORE"), (b"n", "MORE"), (b"now", "YES"), (b"nows", "YES"), (b"noun", "NO"), (b"lat", "MORE")]:
        assert front_end.recognise(first) is Recognition[answer]
    assert begins_with(b"x", ()) is Recognition.NO
    front_end.configure({"a": 1})
    protocol, _ = World().connect(front_end)
    assert isinstance(protocol, Requests) and protocol.settings == {"a": 1}


def test_consumers_by_the_client_s_names(world: World, client: Client) -> None:
    named, tokens = client.protocol.consumers, list[str]()


    def begin(name: str, topic: str = "topic") -> Deferred[None]:
        wanted = Subscription("group", topic)
        done = named.begin(name, wanted, 1, lambda delivery, token: tokens.append(token))
        world.settle()
        return done

    for name in ("a b", "c"):
        assert result_of(begin(name)) is None
    client.tell("send one\nsend two\nsend three")
    assert sorted(tokens) == ["a b 1", "c 1"]
    settled = named.settle("a b 1", Settlement.ACCEPT)
    world.settle()
    assert result_of(settled) is None
    assert sorted(tokens) == ["a b 1", "a b 2", "c 1"]

    def refusal(done: Deferred[None]) -> Code:
        with pytest.raises(GatewayError) as caught:
            result_of(done)
        return caught.value.code

    for token in ("a b 1", "d 1", "1", "", "c ", "c -1", "c \u0663", "c 1" + "1" * 30):
        assert refusal(named.settle(token, Settlement.ACCEPT)) is Code.BAD_RECEIPT_HANDLE
    assert refusal(begin("c")) is Code.ALREADY_EXISTS
    assert refusal(begin("bad", "bad topic")) is Code.BAD_TOPIC_NAME
    assert refusal(named.close("bad")) is Code.BAD_REQUEST, "what was refused takes no name"
    assert refusal(named.close("d")) is Code.BAD_REQUEST
    closed = named.close("c")
    world.settle()
    assert result_of(closed) is None
    assert refusal(named.settle("c 1", Settlement.ACCEPT)) is Code.BAD_RECEIPT_HANDLE
    assert result_of(begin("c")) is None
    assert tokens.count("c 1") == 2, "given back, and delivered to the new one of that name"


def test_consumers_of_a_connection_are_limited(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "MAX_CONSUMERS", 2)
    named, wanted = client.protocol.consumers, Subscription("group", "topic")
    begun = [named.begin(name, wanted, 1, lambda delivery, token: None) for name in "ab"]
    with pytest.raises(GatewayError) as caught:
        result_of(named.begin("c", wanted, 1, lambda delivery, token: None))
    assert caught.value.code is Code.TOO_MANY_REQUESTS
    named.close("a")
    begun.append(named.begin("c", wanted, 1, lambda delivery, token: None))
    client.world.settle()
    assert [result_of(done) for done in begun] == [None, None, None]


def test_a_refused_session_is_told_and_closed() -> None:
    world = World(limits=Limits(sessions=0))
    client = Client(world)
    assert client.lines()[0].startswith("error too many requests")
    assert client.transport.disconnecting
    client.protocol.connectionLost()
    assert client.protocol.was_lost == 0


def test_reading_stops_while_too_much_is_under_way(world: World, client: Client) -> None:
    client.tell("send the topic begins")
    client.protocol.in_flight_bytes = 10
    world.store.manual = True
    client.tell("send 123456789")
    assert client.transport.producerState == "producing"
    client.tell("send 12")
    assert client.transport.producerState == "paused"
    world.store.commit()
    assert client.transport.producerState == "producing"


def test_reading_stops_while_too_much_is_unread(client: Client) -> None:
    client.protocol.unsent_bytes = 20
    client.protocol.pauseProducing()
    client.tell("send a\nsend b\nsend c\nsend d\nsend e")
    assert client.transport.producerState == "paused"
    client.protocol.resumeProducing()
    assert client.transport.producerState == "producing"


def test_subscriptions_pause_while_the_client_does_not_read(world: World, client: Client) -> None:
    client.protocol.pauseProducing()
    client.tell("take 5")  # also those that begin meanwhile
    client.tell("send a")
    assert client.lines() == ["sent"]
    client.protocol.resumeProducing()
    world.settle()
    assert client.lines() == ["1 a"]


def test_who_takes_nothing_is_cut_off(world: World, client: Client) -> None:
    client.protocol.pauseProducing()
    world.advance(9.9)
    assert not client.transport.disconnected
    world.advance(0.2)
    assert client.protocol.closing


def test_finished_waits_for_what_is_under_way(world: World, client: Client) -> None:
    client.tell("send the topic begins")
    client.lines()
    world.store.manual = True
    client.tell("send a\nfinish")
    assert client.lines() == []
    world.store.commit()
    assert client.lines() == ["sent", "finished"]


def test_draining_finishes_then_says_so(world: World, client: Client) -> None:
    client.tell("take 1\nsend a")
    client.lines()
    world.store.manual = True
    client.tell("send b")
    world.gateway.drain(5.0, "maintenance")
    assert client.lines() == []
    assert not client.transport.disconnecting
    world.store.commit()
    world.settle()
    assert client.lines() == ["sent", "error shutting down: maintenance"]
    assert client.transport.disconnecting


def test_heart_beats_and_silence(world: World, client: Client) -> None:
    client.protocol.send_every(2.0, b"beat\n")
    client.protocol.expect_every(5.0)
    for _ in range(3):
        world.advance(4.9)
        client.tell("finish")
    assert client.lines().count("beat") == 7
    client.protocol.send_every(0, b"")
    world.advance(10.2)
    (error,) = client.protocol.errors
    assert isinstance(error, GatewayError) and error.code is Code.TIMEOUT
    client.protocol.connectionLost()
    assert client.world.clock.getDelayedCalls() == [] or client.protocol.was_lost == 1


def test_a_caller_that_says_who_it_is(client: Client) -> None:
    credential = Credential.from_password("key", "secret")
    session = client.protocol.context.session
    client.protocol.authenticate(credential)
    assert client.protocol.context.credential is credential
    assert client.protocol.context.session is session
    assert (credential.access_key, len(credential.signature)) == ("key", 32)
    assert Credential.from_password("key", "other").signature != credential.signature


def test_a_topic_that_cannot_be_created(world: World) -> None:
    client = Client(world)
    client.protocol.consumer = Consumer(client.protocol, Subscription("group", "bad topic"), 1, client.protocol.deliver)
    begun = client.protocol.consumer.begin()
    world.settle()
    with pytest.raises(GatewayError) as caught:
        result_of(begun)
    assert caught.value.code is Code.BAD_TOPIC_NAME
    with pytest.raises(NoReplyYet):
        result_of(Deferred())
