"""What the tests of the HTTP server serve: front-ends that do as they are told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import h2.config
import h2.connection
import h2.events
import msgspec
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from rmqgateway.frontend import RouteDeclaration
from rmqgateway.http.server import HttpServer
from rmqgateway.http.settings import HttpSettings
from rmqgateway.http.testing import connect
from rmqgateway.interfaces import IRequestFrontEnd, IWebSocketFrontEnd
from rmqgateway.recognition import Found
from rmqgateway.testing import World

DONE = Failure(ConnectionDone())
PLAIN = ((b"content-type", b"text/plain"),)


class NoSettings(msgspec.Struct):
    """Nothing."""


@implementer(IRequestFrontEnd)
class Serves:
    """Answers by a function of the request; keeps the requests."""

    settings = NoSettings

    def __init__(
        self,
        answer: Callable[[Any], object] | None = None,
        routes: Sequence[RouteDeclaration] = (RouteDeclaration(("GET", "POST"), "/*"),),
        name: str = "serves",
    ) -> None:
        self.name = name
        self.answer = answer or (lambda request: request.respond(200, PLAIN, b"yes"))
        self._routes = routes
        self.requests: list[Any] = []
        self.routed: list[RouteDeclaration] = []

    def configure(self, settings: object) -> None:
        """See IFrontEnd."""

    def routes(self) -> Sequence[RouteDeclaration]:
        return self._routes

    def respond(self, gateway: object, request: Any, route: RouteDeclaration) -> None:
        self.requests.append(request)
        self.routed.append(route)
        self.answer(request)


def echo(request: Any) -> None:
    """Answers with the body."""
    request.read(1_000_000).addCallback(lambda body: request.respond(200, PLAIN, body))


@implementer(IWebSocketFrontEnd)
class Sockets:
    """Keeps sockets and what they said."""

    name = "sockets"
    settings = NoSettings

    def __init__(self, *protocols: str) -> None:
        self.protocols = protocols or ("echo",)
        self.socket: Any = None
        self.context: Any = None
        self.heard: list[tuple[bytes, bool]] = []
        self.ended: list[tuple[int, str]] = []
        self.on_message: Callable[[bytes, bool], None] = lambda data, is_binary: self.socket.send(data, is_binary)

    def configure(self, settings: object) -> None:
        """See IFrontEnd."""

    def open(self, gateway: object, context: object, socket: object) -> Sockets:
        self.socket = socket
        self.context = context
        return self

    def message_received(self, data: bytes, is_binary: bool) -> None:
        self.heard.append((data, is_binary))
        self.on_message(data, is_binary)

    def closed(self, code: int, reason: str) -> None:
        self.ended.append((code, reason))


class SlowTransport(StringTransport):
    """Tells its producer to wait when it has more than so much, and remembers what is asked of it."""

    limit = 1 << 60
    aborted = False

    def write(self, data: bytes) -> None:
        super().write(data)
        if len(self.value()) > self.limit and self.producer is not None:
            self.producer.pauseProducing()

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()

    def take(self) -> bytes:
        """What the client reads now; the producer may go on."""
        data: bytes = self.value()
        self.clear()
        if self.producer is not None:
            self.producer.resumeProducing()
        return data


class Http2Client:
    """The h2 library as a client of a server in memory."""

    def __init__(self, world: World, *front_ends: Any, settings: HttpSettings | None = None, secure: bool = False) -> None:
        self.world = world
        self.server = HttpServer(world.gateway, front_ends, settings, wall=lambda: world.wall_ms / 1000)
        self.protocol, _ = connect(self.server, Found.HTTP_2, secure=secure)
        self.transport = SlowTransport()
        # The same connection, over a transport that can be slow.
        self.protocol = self.server.make_protocol(self.protocol.information, Found.HTTP_2)
        self.protocol.makeConnection(self.transport)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.events: list[Any] = []
        self.pump()

    def pump(self) -> list[Any]:
        """Exchange what is to be exchanged; the events of it."""
        new: list[Any] = []
        for _ in range(1000):
            out = self.h2.data_to_send()
            if out:
                self.protocol.dataReceived(out)
            self.world.settle()
            back = self.transport.take()
            if back:
                new += self.h2.receive_data(back)
            elif not out:
                break
        self.events += new
        return new

    def ask(
        self,
        method: str = "GET",
        path: str = "/",
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        end: bool = True,
        authority: str = "localhost",
    ) -> int:
        """Send a request; its stream."""
        stream: int = self.h2.get_next_available_stream_id()
        fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", authority), *headers]
        self.h2.send_headers(stream, fields, end_stream=end and body is None)
        if body is not None:
            self.h2.send_data(stream, body, end_stream=end)
        self.pump()
        return stream

    def answer(self, stream: int) -> tuple[int, dict[str, str], bytes, dict[str, str]]:
        """Status, headers, body, trailers of what came on a stream."""
        status, body = 0, b""
        headers: dict[str, Any] = {}
        trailers: dict[str, Any] = {}
        for event in self.events:
            if getattr(event, "stream_id", None) != stream:
                continue
            if isinstance(event, h2.events.ResponseReceived):
                headers = {str(name): value for name, value in event.headers}
                status = int(headers.pop(":status"))
            elif isinstance(event, h2.events.DataReceived):
                body += event.data
            elif isinstance(event, h2.events.TrailersReceived):
                trailers = {str(name): value for name, value in event.headers}
        return status, headers, body, trailers

    def resets(self) -> list[int]:
        """Streams that the server reset."""
        return [event.stream_id for event in self.events if isinstance(event, h2.events.StreamReset)]
