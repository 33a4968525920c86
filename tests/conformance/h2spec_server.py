"""The gateway's HTTP server on a loopback port for conformance suites: h2spec, and Autobahn's fuzzing client.

Every request is answered with its own body, or a line of text; a WebSocket of any kind echoes. Run as a program it prints
its port and serves until its standard input is closed.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec
from twisted.internet import endpoints, reactor, stdio
from twisted.internet.interfaces import IReactorCore, IReactorTCP
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from rmqgateway.config_sections import ListenerSettings, ListeningSettings, TLSSettings
from rmqgateway.frontend import RouteDeclaration
from rmqgateway.http.server import HttpServer
from rmqgateway.http.settings import HttpSettings
from rmqgateway.interfaces import IRequestFrontEnd, IWebSocketFrontEnd
from rmqgateway.listeners import Listener
from rmqgateway.listeners_limits import Connections
from rmqgateway.listeners_tls import Certificates
from rmqgateway.outbox import Outbox

_HELLO = b"Hello, h2spec.\n"
_PLAIN = ((b"content-type", b"text/plain"),)


class _NoSettings(msgspec.Struct):
    """Nothing."""


class _Session:
    last_seen = 0.0

    def end(self) -> None:
        """See ISession."""


class _Gateway:
    """As much of one as HTTP needs."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.reactor = reactor

    def open_session(self, *arguments: object) -> _Session:
        return _Session()


@implementer(IRequestFrontEnd, IWebSocketFrontEnd)
class _Echo:
    name = "echo"
    settings = _NoSettings
    protocols = ("",)  # Autobahn's fuzzing client offers none

    def configure(self, settings: object) -> None:
        """See IFrontEnd."""

    def routes(self) -> list[RouteDeclaration]:
        return [RouteDeclaration(("GET", "POST", "PUT", "DELETE"), "/*")]

    def respond(self, gateway: object, request: Any, route: object) -> None:
        request.read(1 << 24).addCallback(lambda body: request.respond(200, _PLAIN, body or _HELLO))

    def open(self, gateway: object, context: object, socket: Any) -> Any:
        return _Socket(socket)


class _Socket:
    def __init__(self, socket: Any) -> None:
        self._socket = socket

    def message_received(self, data: bytes, is_binary: bool) -> None:
        self._socket.send(data, is_binary)

    def closed(self, code: int, reason: str) -> None:
        """Nothing to forget."""


class _UntilClosed(Protocol):
    """Ends the process with whoever started it."""

    def connectionLost(self, reason: object = None) -> None:
        core = cast("IReactorCore", reactor)
        if core.running:
            core.stop()


def main() -> None:
    gateway = cast("Any", _Gateway())
    settings = HttpSettings(max_frame=1 << 25, max_message=1 << 25)
    listener = Listener(
        "conformance",
        endpoints.TCP4ServerEndpoint(cast("IReactorTCP", reactor), 0, interface="127.0.0.1"),
        ListenerSettings(endpoint="tcp:0:interface=127.0.0.1"),
        "conformance",
        [],
        ["echo"],
        gateway=gateway,
        reactor=reactor,
        settings=ListeningSettings(),
        certificates=Certificates(TLSSettings(mode="off"), "/nonexistent"),
        connections=Connections(1000, 1000),
        http_server=HttpServer(gateway, [_Echo()], settings),
    )

    def announce(port: Any) -> None:
        listener.bound(port)
        print(port.getHost().port, flush=True)

    listener.endpoint.listen(listener).addCallback(announce)
    stdio.StandardIO(_UntilClosed())
    cast("IReactorCore", reactor).run()


if __name__ == "__main__":
    main()
