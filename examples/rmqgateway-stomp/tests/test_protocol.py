"""A STOMP client against a gateway in memory, on a fake clock."""

from typing import Any

import pytest
from rmqgateway_stomp.codec import Frame, FrameDecoder, encode_frame
from rmqgateway_stomp.frontend import StompFrontEnd
from rmqgateway_stomp.protocol import StompSettings
from zope.interface.verify import verifyObject

from rmqgateway.commands import SendMessages
from rmqgateway.errors import Code
from rmqgateway.frontend import Recognition
from rmqgateway.interfaces import IConnectionFrontEnd
from rmqgateway.testing import World
from rmqgateway.user_message import UserMessage, to_message


class Client:
    """The client's end of a connection."""

    def __init__(self, world: World, settings: StompSettings | None = None, **headers: str) -> None:
        front_end = StompFrontEnd()
        front_end.configure(settings if settings is not None else StompSettings())
        self.world = world
        self.protocol, self.transport = world.connect(front_end)
        self.decoder = FrameDecoder(1 << 20, 1 << 24)
        if headers.pop("connected", "yes") == "yes":
            self.tell("CONNECT", **{"accept-version": "1.2", "host": "x", **headers})
            (answer,) = self.frames()
            assert answer.command == "CONNECTED", answer

    def tell(self, command: str, body: bytes = b"", **headers: str) -> None:
        named = {name.replace("_", "-") if name.islower() else name: value for name, value in headers.items()}
        self.protocol.dataReceived(encode_frame(Frame(command, named, body)))
        self.world.settle()

    def frames(self) -> list[Frame]:
        found = list(self.decoder.receive_data(self.transport.value()))
        self.transport.clear()
        return found

    def bodies(self) -> list[str]:
        return [frame.body.decode() for frame in self.frames() if frame.command == "MESSAGE"]

    def send(self, *bodies: str, **headers: str) -> None:
        for body in bodies:
            self.tell("SEND", body.encode(), destination="/topic/orders", **headers)

    def subscribe(self, ack: str = "client-individual", **headers: str) -> None:
        self.tell("SUBSCRIBE", **{"id": "s", "destination": "/topic/orders", "ack": ack, "receipt": "subscribed", **headers})
        assert ("RECEIPT", "subscribed") in [(one.command, one.headers.get("receipt-id")) for one in self.frames()]

    def error(self) -> Frame:
        found = [frame for frame in self.frames() if frame.command == "ERROR"]
        assert len(found) == 1
        assert self.transport.disconnecting
        return found[0]


@pytest.fixture
def world() -> World:
    return World()


def test_it_is_a_front_end() -> None:
    assert verifyObject(IConnectionFrontEnd, StompFrontEnd())


@pytest.mark.parametrize(
    ("first", "answer"),
    [
        (b"CONNECT\n", "YES"),
        (b"STOMP\r\naccept", "YES"),
        (b"\nSTOMP\n", "NO"),  # between frames there may be line ends, before the first there may not
        (b"", "MORE"),
        (b"CONN", "MORE"),
        (b"CONNECT", "MORE"),
        (b"CONNECT\r", "MORE"),
        (b"CONNECT example.com:443 HTTP/1.1", "NO"),
        (b"GET / HTTP/1.1", "NO"),
        (b"\0\0\1", "NO"),
    ],
)
def test_which_connections_are_stomp(first: bytes, answer: str) -> None:
    assert StompFrontEnd().recognise(first) is Recognition[answer]


def test_connecting(world: World) -> None:
    client = Client(world, connected="no")
    client.tell("STOMP", **{"accept-version": "1.0,1.2", "login": "key", "passcode": "secret"})
    (answer,) = client.frames()
    assert answer.command == "CONNECTED"
    assert answer.headers["version"] == "1.2"
    client.tell("CONNECT", **{"accept-version": "1.2"})
    assert "CONNECT" in client.error().body.decode()


def test_messages_with_properties_go_round(world: World) -> None:
    client = Client(world)
    client.subscribe("auto")
    client.tell(
        "SEND",
        "body \0 中文".encode(),
        destination="/topic/orders",
        tags="A",
        keys="k1 k2",
        colour="blue: and\ngreen",
        receipt="r1",
    )
    frames = {frame.command: frame for frame in client.frames()}
    assert frames["RECEIPT"].headers == {"receipt-id": "r1"}
    message = frames["MESSAGE"]
    assert message.body.decode() == "body \0 中文"
    assert message.headers["destination"] == "/topic/orders"
    assert message.headers["subscription"] == "s"
    assert (message.headers["tags"], message.headers["keys"]) == ("A", "k1 k2")
    assert message.headers["colour"] == "blue: and\ngreen"
    assert message.headers["delivery-attempt"] == "1"
    assert message.headers["message-id"]


def test_a_receipt_comes_only_when_the_message_is_durable(world: World) -> None:
    client = Client(world)
    client.send("the topic begins")
    world.store.manual = True
    client.send("a", receipt="r")
    assert client.frames() == []
    world.store.commit()
    assert [frame.command for frame in client.frames()] == ["RECEIPT"]


def test_the_window_is_kept_and_each_acknowledgement_opens_it(world: World) -> None:
    client = Client(world)
    client.subscribe(prefetch_count="2")
    client.send("a", "b", "c", message_group="g")
    first, _ = client.frames()
    client.tell("ACK", id=first.headers["ack"], receipt="acked")
    commands = [frame.command for frame in client.frames()]
    assert sorted(commands) == ["MESSAGE", "RECEIPT"]
    client.tell("ACK", id=first.headers["ack"])
    assert client.error().headers["message"] == "bad receipt handle"
    world.settle()
    again = Client(world)
    again.subscribe()
    again.send("d", message_group="g")
    assert "a" not in again.bodies()


def test_ack_client_is_for_everything_before_too(world: World) -> None:
    client = Client(world)
    client.subscribe("client")
    client.send("a", "b", "c")
    frames = client.frames()
    client.tell("ACK", id=frames[1].headers["ack"])
    client.protocol.connectionLost()
    world.settle()
    again = Client(world)
    again.tell("SUBSCRIBE", id="s", destination="/topic/orders")
    assert again.bodies() == [frames[2].body.decode()]


def test_nack_brings_it_again_later_or_to_the_dead_letters(world: World) -> None:
    client = Client(world)
    client.subscribe()
    client.send("a")
    (first,) = client.frames()
    client.tell("NACK", id=first.headers["ack"], delay="3000")
    world.advance(2.9)
    assert client.frames() == []
    world.advance(0.2)
    (again,) = client.frames()
    assert (again.body, again.headers["delivery-attempt"]) == (b"a", "2")
    client.tell("NACK", id=again.headers["ack"], requeue="false")
    world.advance(60)
    assert client.bodies() == []
    client.tell("SUBSCRIBE", id="dead", destination="/topic/%DLQ%STOMP", group="burial")
    assert client.bodies() == ["a"]


def test_what_is_not_acknowledged_goes_to_others_when_the_client_goes(world: World) -> None:
    client, other = Client(world), Client(world)
    client.subscribe()
    client.send("a")
    assert client.bodies() == ["a"]
    other.subscribe()
    client.protocol.connectionLost()
    world.settle()
    assert other.bodies() == ["a"]


def test_unsubscribing_gives_back(world: World) -> None:
    client, other = Client(world), Client(world)
    client.subscribe()
    client.send("a")
    assert client.bodies() == ["a"]
    client.tell("UNSUBSCRIBE", id="s", receipt="r")
    assert [frame.command for frame in client.frames()] == ["RECEIPT"]
    other.tell("SUBSCRIBE", id="s", destination="/topic/orders")
    assert other.bodies() == ["a"]
    client.subscribe()  # the id is free again


def test_selectors_and_tags(world: World) -> None:
    client = Client(world)
    client.tell("SUBSCRIBE", id="1", destination="/topic/orders", group="g1", selector="size > 5 AND colour = 'red'")
    client.tell("SUBSCRIBE", id="2", destination="/topic/orders", group="g2", tags="A || B")
    client.send("one", size="9", colour="red", tags="C")
    client.send("two", size="3", colour="red", tags="A")
    found = [(frame.headers["subscription"], frame.body) for frame in client.frames()]
    assert sorted(found) == [("1", b"one"), ("2", b"two")]


def test_no_property_of_a_stranger_breaks_the_framing(world: World) -> None:
    client = Client(world)
    client.subscribe("auto")
    properties = {"content-length": "9", "destination": "/topic/x", "subscription": "other", "colour": "red"}
    session = world.session()
    world.execute(session, SendMessages("orders", (to_message(UserMessage(b"", properties)),)))
    client.send("next")
    first, second = client.frames()
    assert (first.body, second.body) == (b"", b"next")
    assert first.headers["content-length"] == "0"
    assert (first.headers["destination"], first.headers["subscription"]) == ("/topic/orders", "s")
    assert first.headers["colour"] == "red"


def test_a_subscription_s_id_is_taken_once(world: World) -> None:
    client = Client(world)
    client.subscribe()
    client.tell("SUBSCRIBE", id="s", destination="/topic/other", receipt="again")
    error = client.error()
    assert (error.headers["message"], error.headers["receipt-id"]) == ("already exists", "again")


def test_nothing_after_an_error_is_carried_out(world: World) -> None:
    client = Client(world)
    client.protocol.dataReceived(
        encode_frame(Frame("BEGIN")) + encode_frame(Frame("SEND", {"destination": "/topic/orders"}, b"late"))
    )
    client.error()
    other = Client(world)
    other.subscribe("auto")
    assert other.bodies() == []


def test_delay(world: World) -> None:
    client = Client(world)
    client.subscribe("auto")
    client.send("a", delay="2000")
    world.advance(1.8)
    assert client.bodies() == []
    world.advance(1.5)
    assert client.bodies() == ["a"]


def test_disconnecting_waits_for_what_is_under_way(world: World) -> None:
    client = Client(world)
    client.send("the topic begins")
    world.store.manual = True
    client.send("a", receipt="sent")
    client.tell("DISCONNECT", receipt="bye")
    assert client.frames() == []
    assert not client.transport.disconnecting
    world.store.commit()
    assert [frame.headers["receipt-id"] for frame in client.frames()] == ["sent", "bye"]
    assert client.transport.disconnecting


@pytest.mark.parametrize(
    ("command", "headers", "text"),
    [
        ("SEND", {"destination": "/queue/x"}, "/topic/NAME"),
        ("SEND", {}, "destination"),
        ("SEND", {"destination": "/topic/a b"}, "topic"),
        ("SEND", {"destination": "/topic/t", "TRAN_MSG": "true"}, "TRAN_MSG"),
        ("SEND", {"destination": "/topic/t", "transaction": "t1"}, "transaction"),
        ("SEND", {"destination": "/topic/t", "delay": "soon"}, "number"),
        ("SUBSCRIBE", {"destination": "/topic/t"}, "id"),
        ("SUBSCRIBE", {"destination": "/topic/t", "id": "1", "ack": "maybe"}, "ack"),
        ("SUBSCRIBE", {"destination": "/topic/t", "id": "1", "selector": "size >"}, "filter"),
        ("UNSUBSCRIBE", {"id": "1"}, "no subscription '1'"),
        ("UNSUBSCRIBE", {}, "id"),
        ("ACK", {"id": "s 1"}, "no message awaits a settlement under 's 1'"),
        ("ACK", {"id": "1"}, "no message awaits a settlement under '1'"),
        ("ACK", {}, "id"),
        ("NACK", {"id": "s 1", "delay": "-1"}, "delay"),
        ("SUBSCRIBE", {"destination": "/topic/t", "id": "1", "prefetch-count": "x"}, "prefetch-count"),
        ("SUBSCRIBE", {"destination": "/topic/t", "id": "1", "selector": "a = 1", "tags": "A"}, "both"),
        ("BEGIN", {"transaction": "1"}, "BEGIN"),
    ],
)
def test_what_is_wrong_is_said_and_ends_the_connection(
    world: World, command: str, headers: dict[str, str], text: str
) -> None:
    client = Client(world)
    client.tell(command, **headers)
    error = client.error()
    assert text in error.body.decode() + error.headers["message"]
    client.protocol.connectionLost()
    assert world.gateway.sessions == {}
    assert world.gateway.commands_under_way == 0


@pytest.mark.parametrize("headers", [{"accept-version": "1.1"}, {}, {"accept-version": "1.2", "heart-beat": "x"}])
def test_connecting_wrongly(world: World, headers: dict[str, str]) -> None:
    client = Client(world, connected="no")
    client.tell("CONNECT", **headers)
    client.error()


def test_nothing_before_connect(world: World) -> None:
    client = Client(world, connected="no")
    client.tell("SEND", destination="/topic/t")
    client.error()


def test_a_refused_frame_is_named_by_its_receipt(world: World) -> None:
    client = Client(world)
    client.tell("SEND", destination="/topic/" + "x" * 300, receipt="r7")
    assert client.error().headers["receipt-id"] == "r7"
    client = Client(world)
    client.tell("SEND", destination="nowhere", receipt="r8")
    assert client.error().headers["receipt-id"] == "r8"


def test_heart_beats(world: World) -> None:
    client = Client(world, StompSettings(heart_beat_ms=4000), heart_beat="5000,1000")
    world.advance(4.5, 0.5)
    assert client.transport.value() == b"\n"
    client.protocol.dataReceived(b"\n")
    world.advance(8, 0.5)
    assert not client.transport.disconnecting
    world.advance(8, 0.5)
    assert client.transport.disconnecting
    assert client.error().headers["message"] == Code.TIMEOUT.value
    client.protocol.connectionLost()
    assert world.gateway.sessions == {}


def test_a_client_that_never_connects_is_not_kept(world: World) -> None:
    client = Client(world, connected="no")
    world.advance(70, 1)
    client.error()


def test_a_client_that_does_not_read_gets_no_more_and_is_closed(world: World) -> None:
    client = Client(world)
    client.subscribe("auto")
    protocol: Any = client.protocol
    protocol.pauseProducing()
    client.send("a", "b")
    assert client.bodies() == []
    protocol.resumeProducing()
    world.settle()
    assert sorted(client.bodies()) == ["a", "b"]
    protocol.pauseProducing()
    world.advance(31, 1)
    assert client.transport.disconnected or client.transport.disconnecting or client.transport.aborting


def test_draining(world: World) -> None:
    client, other = Client(world), Client(world)
    client.subscribe()
    other.subscribe()
    client.send("a", receipt="r")
    client.frames()
    world.gateway.drain(5.0, "maintenance")
    world.settle()
    error = client.error()
    assert (error.headers["message"], b"maintenance" in error.body) == ("shutting down", True)


def test_settings_are_checked_by_their_types() -> None:
    import msgspec

    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"prefetch": 0}, StompSettings)
