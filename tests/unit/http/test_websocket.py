"""WebSocket through the whole server, with the wsproto library as the client."""

from __future__ import annotations

from typing import Any

import pytest
import wsproto
from twisted.internet.protocol import Protocol
from twisted.logger import LogEvent, globalLogPublisher
from wsproto import events as ev
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason
from zope.interface import implementer

from rmqgateway.events import ConsumersChanged
from rmqgateway.frontend import Recognition, RouteDeclaration
from rmqgateway.http import websocket
from rmqgateway.http.router import RouteConflict
from rmqgateway.http.settings import HttpSettings
from rmqgateway.interfaces import IConnectionFrontEnd
from rmqgateway.testing import World
from tests.unit.http.serving import DONE, NoSettings, Serves, Sockets


class Client:
    """A WebSocket in memory."""

    def __init__(
        self,
        world: World,
        *front_ends: Any,
        protocols: tuple[str, ...] = ("echo",),
        deflate: bool = False,
        before: bytes = b"",
        settings: HttpSettings | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.world = world
        self.http = world.http(*front_ends, settings=settings)
        self.ws = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        request = ev.Request(
            host="localhost:8080",
            target="/any?x=1",
            subprotocols=list(protocols),
            extensions=[PerMessageDeflate()] if deflate else [],
            extra_headers=[(name.encode(), value.encode()) for name, value in headers],
        )
        self.opening = self.ws.send(request)
        self.events: list[Any] = []
        self.http.send(before + self.opening)

    @property
    def transport(self) -> Any:
        return self.http.transport

    def read(self) -> list[Any]:
        """What has come."""
        data = self.transport.value()
        self.transport.clear()
        if data:
            self.ws.receive_data(data)
        return list(self.ws.events())

    def say(self, *events: Any) -> list[Any]:
        """Send, and read what comes back."""
        self.http.send(b"".join(self.ws.send(event) for event in events))
        return self.read()


def opened(client: Client) -> Client:
    (accepted,) = client.read()
    assert isinstance(accepted, ev.AcceptConnection)
    return client


# Opening.


def test_messages_of_both_kinds_go_both_ways() -> None:
    world = World()
    sockets = Sockets()
    client = opened(Client(world, sockets))
    assert sockets.socket.protocol == "echo"
    assert sockets.socket.request.query == [("x", "1")]
    assert [session.front_end for session in world.gateway.sessions.values()] == ["sockets"]
    assert sockets.context.session in world.gateway.sessions.values()
    answers = client.say(ev.TextMessage("grüße"), ev.BytesMessage(b"\x00\xff"))
    assert [answer.data for answer in answers] == ["grüße", b"\x00\xff"]
    assert sockets.heard == [("grüße".encode(), False), (b"\x00\xff", True)]


def test_the_upgrade_waits_for_earlier_answers_and_takes_what_follows_along() -> None:
    world = World()
    sockets = Sockets()
    served = Serves(lambda request: None, routes=[RouteDeclaration(("GET",), "/*")])
    client = Client(world, served, sockets, before=b"GET /first HTTP/1.1\r\nHost: localhost\r\n\r\n")
    mask = b"\x81\x82\x00\x00\x00\x00hi"
    client.http.send(mask)
    assert client.transport.value() == b""
    served.requests[0].respond(200, (), b"first")
    data = client.transport.value()
    assert data.index(b"first") < data.index(b"101 Switching")
    assert data.endswith(b"\x81\x02hi")
    assert sockets.heard == [(b"hi", False)]
    assert [session.front_end for session in world.gateway.sessions.values()] == ["sockets"], "the old session ended"


def test_timers_of_http_stop() -> None:
    world = World()
    client = opened(Client(world, Sockets(), settings=HttpSettings(websocket_ping_s=1000)))
    world.advance(300, step=1)
    assert not client.http.closed


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ((b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 8"), 426, "version 13"),
        ((b"Host: localhost:8080", b"Host: evil.example"), 421, "evil.example"),
        ((b"GET /any", b"POST /any"), 400, "GET"),
        ((b"Sec-WebSocket-Protocol: echo", b"Sec-WebSocket-Protocol: other"), 400, "echo"),
        ((b"Sec-WebSocket-Protocol: echo\r\n", b""), 400, "echo"),
        ((b"Sec-WebSocket-Key: ", b"Sec-WebSocket-Key: x"), 400, "Key"),
        ((b"Upgrade: websocket", b"Upgrade: websocket\r\nOrigin: https://evil.example"), 403, "evil.example"),
        ((b"Upgrade: websocket", b"Upgrade: websocket\r\nOrigin: null"), 403, "null"),
    ],
)
def test_refusals(change: tuple[bytes, bytes], status: int, text: str) -> None:
    world = World()
    opening = Client(World(), Sockets()).opening
    assert change[0] in opening
    client = world.http(Sockets())
    client.send(opening.replace(*change))
    answer = client.response()
    assert answer.status == status
    assert text in answer.json()["detail"]
    assert not world.gateway.sessions
    if status == 426:
        assert answer.header("sec-websocket-version") == "13"


@pytest.mark.parametrize(("origin", "origins"), [("http://localhost:8080", ()), ("https://shop.example", ("https://shop.example",))])
def test_origins_that_may(origin: str, origins: tuple[str, ...]) -> None:
    opened(Client(World(), Sockets(), settings=HttpSettings(origins=origins), headers=(("Origin", origin),)))


def test_the_servers_order_of_sub_protocols_decides() -> None:
    sockets = Sockets("best", "second")
    opened(Client(World(), sockets, protocols=("second", "best")))
    assert sockets.socket.protocol == "best"


def test_a_front_end_may_take_clients_that_offer_no_sub_protocol() -> None:
    sockets = Sockets("named", "")
    client = opened(Client(World(), sockets, protocols=()))
    assert client.say(ev.TextMessage("x"))[-1].data == "x"
    assert Client(World(), sockets, protocols=("other",)).http.response().status == 400


def test_two_front_ends_cannot_have_one_sub_protocol() -> None:
    other = Sockets("b", "echo")
    other.name = "other"
    with pytest.raises(RouteConflict, match="'echo': sockets and other"):
        World().http(Sockets("echo"), other)


def test_without_web_socket_front_ends_an_upgrade_is_a_plain_request() -> None:
    served = Serves()
    client = Client(World(), served)
    assert client.http.response().status == 200


def test_no_more_clients_are_taken_while_draining() -> None:
    world = World()
    world.gateway.drain(1.0, "the end")
    client = Client(world, Sockets())
    assert client.http.response().status == 503


def test_a_front_end_that_fails_to_open_closes_with_1011() -> None:
    sockets = Sockets()
    sockets.open = lambda *arguments: 1 / 0  # type: ignore[assignment,method-assign]
    client = Client(World(), sockets)
    closed = client.read()[-1]
    assert closed.code == CloseReason.INTERNAL_ERROR
    assert "log" in closed.reason


# Limits.


def test_a_message_over_the_limit_closes_with_1009() -> None:
    client = opened(Client(World(), Sockets(), settings=HttpSettings(max_message=1000)))
    closed = client.say(ev.BytesMessage(b"x" * 600, message_finished=False), ev.BytesMessage(b"x" * 600))[-1]
    assert closed.code == CloseReason.MESSAGE_TOO_BIG


def test_a_frame_over_the_limit_closes_with_1009() -> None:
    client = opened(Client(World(), Sockets(), settings=HttpSettings(max_frame=1000)))
    assert client.say(ev.BytesMessage(b"x" * 1001))[-1].code == CloseReason.MESSAGE_TOO_BIG


def test_inflation_is_counted() -> None:
    sockets = Sockets()
    client = opened(Client(World(), sockets, deflate=True, settings=HttpSettings(max_message=100_000)))
    assert client.say(ev.BytesMessage(b"x" * 90_000))[-1].data == b"x" * 90_000
    assert len(client.ws.send(ev.Ping())) < 20
    wire = client.ws.send(ev.BytesMessage(b"\0" * 30_000_000))
    assert len(wire) < 60_000
    client.http.send(wire)
    assert client.read()[-1].code == CloseReason.MESSAGE_TOO_BIG
    assert len(sockets.heard) == 1


def test_compression_works_and_idle_connections_hold_no_window() -> None:
    sockets = Sockets()
    client = opened(Client(World(), sockets, deflate=True))
    for _ in range(3):
        client.http.send(client.ws.send(ev.TextMessage("again and " * 1000)))
        assert len(client.transport.value()) < 200
        assert client.read()[-1].data == "again and " * 1000
    client.say(ev.TextMessage("short"))
    compress = sockets.socket._connection._perMessageCompress
    assert compress._compressor is None
    assert compress._decompressor is None


def test_text_that_is_not_utf_8_closes_with_1007() -> None:
    client = opened(Client(World(), Sockets()))
    client.http.send(b"\x81\x82\x00\x00\x00\x00\xff\xff")
    assert client.read()[-1].code == CloseReason.INVALID_FRAME_PAYLOAD_DATA


def test_frames_without_mask_close_with_1002() -> None:
    client = opened(Client(World(), Sockets()))
    client.http.send(b"\x81\x02hi")
    assert client.read()[-1].code == CloseReason.PROTOCOL_ERROR


def test_pings_are_answered_and_sent_and_silence_ends_the_connection() -> None:
    world = World()
    sockets = Sockets()
    client = opened(Client(world, sockets))
    client.http.send(client.ws.send(ev.Ping(b"you?")))
    assert client.read()[-1].payload == b"you?"
    for _ in range(5):
        world.advance(31, step=0.5)
        (ping,) = client.read()
        assert isinstance(ping, ev.Ping)
        client.http.send(client.ws.send(ping.response()))
    world.advance(62, step=0.5)
    assert client.http.closed
    client.http.close()
    assert sockets.ended[0][0] == 1006
    assert not world.gateway.sessions


# Back-pressure.


def test_pause_holds_messages_of_the_same_read_too() -> None:
    sockets = Sockets()
    client = opened(Client(World(), sockets))
    sockets.on_message = lambda data, is_binary: sockets.socket.pause()
    client.say(*(ev.TextMessage(str(number)) for number in range(5)))
    assert [data for data, _ in sockets.heard] == [b"0"]
    assert client.transport.producerState == "paused"
    sockets.socket.resume()
    assert [data for data, _ in sockets.heard] == [b"0", b"1"]
    sockets.on_message = lambda data, is_binary: None
    sockets.socket.resume()
    assert [data for data, _ in sockets.heard] == [b"0", b"1", b"2", b"3", b"4"]
    assert client.transport.producerState == "producing"


def test_a_paused_socket_is_not_given_up_for_its_missing_pong() -> None:
    world = World()
    sockets = Sockets()
    client = opened(Client(world, sockets))
    sockets.socket.pause()
    world.advance(300, step=1)
    assert not client.http.closed


def test_a_writer_is_told_to_wait_and_a_client_that_takes_nothing_is_cut() -> None:
    world = World()
    sockets = Sockets()
    client = opened(Client(world, sockets, settings=HttpSettings(websocket_ping_s=1000)))
    wire = client.transport.producer
    wire.pauseProducing()
    drained: list[int] = []
    for _ in range(50):
        sockets.socket.send(b"x" * 10_000, True)
    assert sockets.socket.buffered() > 500_000
    sockets.socket.on_drain(lambda: drained.append(sockets.socket.buffered()))
    world.settle()
    assert not drained
    assert client.transport.producerState == "producing"
    for _ in range(100):
        sockets.socket.send(b"x" * 10_000, True)
    assert client.transport.producerState == "paused", "a client that leaves so much unread is not read from"
    world.advance(29)
    wire.resumeProducing()
    world.settle()
    assert drained == [0]
    assert client.transport.producerState == "producing"
    assert len(client.read()) == 150
    wire.pauseProducing()
    world.advance(31)
    assert client.http.closed


# The end.


def test_both_sides_can_close() -> None:
    world = World()
    sockets = Sockets()
    client = opened(Client(world, sockets))
    client.http.send(client.ws.send(ev.CloseConnection(4000, "bye")))
    assert client.http.closed
    client.http.close()
    assert sockets.ended == [(4000, "bye")]
    client = opened(Client(world, sockets))
    sockets.socket.close(4001, "é" * 100)
    (closed,) = client.read()
    assert (closed.code, closed.reason) == (4001, "é" * 61)
    sockets.socket.send(b"dropped", True)
    client.http.send(client.ws.send(closed.response()))
    assert client.http.closed
    client.http.close()
    assert len(sockets.ended) == 2
    assert not world.gateway.sessions


def test_a_close_that_is_not_answered_ends_anyway() -> None:
    world = World()
    sockets = Sockets()
    client = opened(Client(world, sockets))
    sockets.socket.close(1000, "")
    world.advance(6)
    assert client.http.closed


def test_a_lost_connection_leaves_no_timer_behind() -> None:
    world = World()
    before = len(world.clock.getDelayedCalls())
    sockets = Sockets()
    client = opened(Client(world, sockets))
    client.transport.producer.pauseProducing()
    client.http.protocol.connectionLost(DONE)
    assert len(world.clock.getDelayedCalls()) == before
    assert sockets.ended[0][0] == 1006
    assert not world.gateway.sessions


def test_an_exception_closes_with_1011() -> None:
    sockets = Sockets()
    sockets.on_message = lambda data, is_binary: 1 / 0  # type: ignore[assignment,return-value]
    client = opened(Client(World(), sockets))
    assert client.say(ev.TextMessage("x"))[-1].code == CloseReason.INTERNAL_ERROR


def test_draining_closes_with_1012_unless_the_front_end_knows_better() -> None:
    world = World()
    sockets = Sockets()
    client = opened(Client(world, sockets))
    told: list[tuple[float, str]] = []
    knowing = Sockets()
    knowing.drain = lambda *arguments: told.append(arguments)  # type: ignore[attr-defined]
    other = opened(Client(world, knowing))
    world.gateway.drain(30.0, "the end")
    (closed,) = client.read()
    assert (closed.code, closed.reason) == (1012, "the end")
    assert told == [(30.0, "the end")]
    assert other.read() == []


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000])
def test_a_close_code_that_may_not_be_sent_is_refused(code: int) -> None:
    sockets = Sockets()
    opened(Client(World(), sockets))
    with pytest.raises(ValueError, match=f"close code: .* got {code}"):
        sockets.socket.close(code, "")


def test_events_reach_a_front_end_that_takes_them() -> None:
    world = World()
    sockets = Sockets()
    opened(Client(world, sockets))
    (session,) = world.gateway.sessions.values()
    assert not session.deliver(ConsumersChanged("g"))
    events: list[object] = []
    sockets.event_arrived = lambda event: events.append(event) or True  # type: ignore[attr-defined,func-returns-value]
    assert session.deliver(ConsumersChanged("g"))
    assert events == [ConsumersChanged("g")]


# Byte streams.


class Shout(Protocol):
    lost = False

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        transport.writeSequence([data.upper(), b"!"])
        if data == b"bye":
            transport.loseConnection()

    def connectionLost(self, reason: object = None) -> None:
        self.lost = True


@implementer(IConnectionFrontEnd)
class Shouts:
    name = "shouts"
    settings = NoSettings
    recognition_order = 100
    web_socket_protocols = ("shout",)

    def configure(self, settings: object) -> None:
        """See IFrontEnd."""

    def recognise(self, first_bytes: bytes) -> Recognition:
        return Recognition.NO

    def make_protocol(self, gateway: object, connection: Any) -> Shout:
        self.information = connection
        self.made = Shout()
        return self.made


def test_a_byte_stream_over_messages() -> None:
    shouts = Shouts()
    client = opened(Client(World(), shouts, protocols=("shout",)))
    assert shouts.information.advertised == "127.0.0.1:8080"
    transport: Any = shouts.made.transport
    assert (transport.getPeer().port, transport.getHost().port) == (50_001, 8080)
    assert [event.data for event in client.say(ev.BytesMessage(b"hey"), ev.TextMessage("you"))] == [b"HEY!", b"YOU!"]
    last, closed = client.say(ev.BytesMessage(b"bye"))
    assert (last.data, closed.code) == (b"BYE!", 1000)
    client.http.send(client.ws.send(closed.response()))
    client.http.close()
    assert shouts.made.lost


def test_a_byte_stream_feels_back_pressure() -> None:
    world = World()
    shouts = Shouts()
    client = opened(Client(world, shouts, protocols=("shout",)))
    calls: list[str] = []

    class Producer:
        def pauseProducing(self) -> None:
            calls.append("pause")

        def resumeProducing(self) -> None:
            calls.append("resume")

    transport: Any = shouts.made.transport
    transport.registerProducer(Producer(), True)
    client.transport.producer.pauseProducing()
    for _ in range(10):
        transport.write(b"x" * 10_000)
    assert calls == ["pause"]
    client.transport.producer.resumeProducing()
    world.settle()
    assert calls == ["pause", "resume"]
    transport.pauseProducing()
    assert client.transport.producerState == "paused"
    transport.resumeProducing()
    assert client.transport.producerState == "producing"


# Native code.


def test_missing_native_code_is_a_warning_with_its_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)  # type: ignore[arg-type]
    try:
        assert websocket.check_acceleration()
        assert not events
        monkeypatch.setenv("AUTOBAHN_USE_NVX", "0")
        assert not websocket.check_acceleration()
        monkeypatch.setattr(websocket, "find_spec", lambda name: None)
        assert not websocket.check_acceleration()
    finally:
        globalLogPublisher.removeObserver(events.append)  # type: ignore[arg-type]
    assert [event["log_level"].name for event in events] == ["warn", "warn"]
    assert all("five times" in event["log_format"] for event in events)


def test_a_connection_keeps_only_what_is_its_own_and_the_next_ones_do_not_see_it() -> None:
    world = World()
    sockets = Sockets()
    first = opened(Client(world, sockets))
    connection = sockets.socket._connection
    assert len(connection.__dict__) < 40
    assert not {"maxFramePayloadSize", "versions", "closedByMe", "localCloseCode"} & set(connection.__dict__)
    sockets.socket.pause()
    assert connection._paused
    sockets.socket.resume()
    first.say(ev.CloseConnection(1000, "bye"))
    assert connection.remoteCloseCode == 1000
    second = Sockets()
    opened(Client(world, second))
    other = second.socket._connection
    assert other.remoteCloseCode is None and not other._paused and not other.closedByMe
