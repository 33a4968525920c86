"""A WebSocket client in memory: wsproto over the gateway's real HTTP server, upgrade and Autobahn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)

from rmqgateway.testing import World
from rmqgateway_websocket.frontend import WebSocketFrontEnd
from rmqgateway_websocket.settings import WebSocketSettings

JSON, MSGPACK = "rmqgateway.v1.json", "rmqgateway.v1.msgpack"


class Gateway:
    """A world, and the one front-end that its clients share."""

    def __init__(self, world: World | None = None, **settings: Any) -> None:
        self.world = world if world is not None else World()
        self.front_end = WebSocketFrontEnd(lambda: self.world.wall_ms / 1000)
        self.front_end.configure(WebSocketSettings(**settings))
        self.clients: list[Browser] = []

    def client(self, protocol: str = JSON, connect: bool = False) -> Browser:
        """A new connection. :param connect: send the frame ``connect`` first."""
        made = Browser(self, protocol)
        self.clients.append(made)
        if connect:
            made.ask("connect")
        return made

    def advance(self, seconds: float) -> None:
        """Let time pass; clients answer pings meanwhile."""
        while seconds > 0:
            self.world.advance(min(seconds, 5), 0.25)
            seconds -= 5
            for client in self.clients:
                client.read()

    def crash(self) -> Gateway:
        """Another gateway over what was durable."""
        return Gateway(self.world.crash())


class Browser:
    """One client.

    :ivar frames: what came and was not looked at, decoded. :ivar closed: code and reason, once the gateway has closed.
    """

    def __init__(self, gateway: Gateway, protocol: str) -> None:
        self.gateway = gateway
        self.world = gateway.world
        self.http = gateway.world.http(gateway.front_end)
        self.frames: list[dict[str, Any]] = []
        self.closed: tuple[int, str | None] | None = None
        self.library: Any = msgspec.json if protocol == JSON else msgspec.msgpack
        self._binary = protocol == MSGPACK
        self._id = 0
        self._wire = WSConnection(ConnectionType.CLIENT)
        self.http.send(self._wire.send(Request("127.0.0.1:8080", "/", subprotocols=[protocol])))
        (accepted,) = self._events()
        assert isinstance(accepted, AcceptConnection), accepted
        assert accepted.subprotocol == protocol

    def _events(self) -> Iterator[Any]:
        data = self.http.transport.value()
        self.http.transport.clear()
        if data:
            self._wire.receive_data(data)
        return self._wire.events()

    def read(self) -> None:
        """Take what has come."""
        for event in list(self._events()):
            if isinstance(event, (TextMessage, BytesMessage)):
                assert isinstance(event, BytesMessage) is self._binary
                assert event.message_finished
                self.frames.append(self.library.decode(event.data))
            elif isinstance(event, CloseConnection):
                self.closed = event.code, event.reason
            elif isinstance(event, RejectConnection):
                raise AssertionError(f"refused: {event}")
            elif isinstance(event, Ping):
                self.http.send(self._wire.send(event.response()))

    def say(self, op: str, **fields: Any) -> None:
        """Send a frame."""
        self.raw(self.library.encode({"op": op, **fields}))

    def raw(self, data: bytes, binary: bool | None = None) -> None:
        """Send a message."""
        as_bytes = self._binary if binary is None else binary
        event = BytesMessage(data) if as_bytes else TextMessage(data.decode())
        self.http.send(self._wire.send(event))
        self.read()

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """Send a frame with an id and return its answer."""
        number = self.start(op, **fields)
        return self.answer(number)

    def start(self, op: str, **fields: Any) -> int:
        """Send a frame with an id and return that."""
        self._id += 1
        self.say(op, id=self._id, **fields)
        return self._id

    def answer(self, number: int) -> dict[str, Any]:
        """The answer to a frame that was started."""
        self.read()
        (found,) = [frame for frame in self.frames if frame.get("id") == number]
        self.frames.remove(found)
        return found

    def answered(self, number: int) -> bool:
        """Whether there is one."""
        self.read()
        return any(frame.get("id") == number for frame in self.frames)

    def take(self, op: str) -> list[dict[str, Any]]:
        """The frames of a kind that have come."""
        self.read()
        found = [frame for frame in self.frames if frame["op"] == op]
        self.frames = [frame for frame in self.frames if frame["op"] != op]
        return found

    def vanish(self) -> None:
        """The connection is lost."""
        self.http.close()
        self.world.settle()


def send(browser: Browser, *texts: str, topic: str = "T", **fields: Any) -> list[dict[str, Any]]:
    """Send messages; the results."""
    answer = browser.ask("send", topic=topic, messages=[{"text": text, **fields} for text in texts])
    assert answer["op"] == "sent", answer
    results: list[dict[str, Any]] = answer["results"]
    return results


def text_of(message: dict[str, Any]) -> str:
    """The body of a message, which MessagePack has as bytes."""
    text: str = message["text"] if "text" in message else message["body"].decode()
    return text
