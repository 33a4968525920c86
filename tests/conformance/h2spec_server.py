"""The gateway's HTTP server on a loopback port for conformance suites: h2spec, and Autobahn's fuzzing client.

Every request is answered with its own body, or a line of text; a WebSocket of any kind echoes.
"""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from rmqgateway.frontend import RouteDeclaration
from rmqgateway.interfaces import IRequestFrontEnd, IWebSocketFrontEnd
from tests.conformance.serving import NoSettings, serve

_HELLO = b"Hello, h2spec.\n"
_PLAIN = ((b"content-type", b"text/plain"),)


@implementer(IRequestFrontEnd, IWebSocketFrontEnd)
class _Echo:
    name = "echo"
    settings = NoSettings
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


if __name__ == "__main__":
    serve([_Echo()])
