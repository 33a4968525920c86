"""A small HTTP/2 server on a loopback port for h2spec: every request is answered with its own body, or a line of text.

Run as a program it prints its port and serves until its standard input is closed.
"""

from __future__ import annotations

from typing import cast

from twisted.internet import endpoints, reactor, stdio
from twisted.internet.interfaces import IReactorCore, IReactorTCP, IReactorTime, ITransport
from twisted.internet.protocol import Factory, Protocol

from rmqgateway.wire.http2 import (
    ConnectionTerminated,
    DataReceived,
    Http2Connection,
    RequestReceived,
    StreamReset,
    TrailersReceived,
)

_HEAD = ((b":status", b"200"), (b"content-type", b"text/plain"))
_HELLO = b"Hello, h2spec.\n"


class EchoProtocol(Protocol):
    """Twisted's IProtocol around one Http2Connection."""

    def connectionMade(self) -> None:
        self.bodies: dict[int, list[bytes]] = {}
        self.connection = Http2Connection()
        self._flush()

    def dataReceived(self, data: bytes) -> None:
        connection = self.connection
        terminated = False
        for event in connection.receive_data(data, cast("IReactorTime", reactor).seconds()):
            if isinstance(event, RequestReceived):
                self.bodies[event.stream] = []
                if event.end_stream:
                    self._answer(event.stream)
            elif isinstance(event, DataReceived):
                self.bodies[event.stream].append(event.data)
                connection.consumed(event.stream, event.flow_controlled_length)
                if event.end_stream:
                    self._answer(event.stream)
            elif isinstance(event, TrailersReceived):
                self._answer(event.stream)
            elif isinstance(event, StreamReset):
                self.bodies.pop(event.stream, None)
            elif isinstance(event, ConnectionTerminated):
                terminated = True
        self._flush()
        if terminated:
            cast("ITransport", self.transport).loseConnection()

    def _answer(self, stream: int) -> None:
        body = b"".join(self.bodies.pop(stream)) or _HELLO
        self.connection.send_headers(stream, _HEAD)
        self.connection.send_data(stream, body, end_stream=True)

    def _flush(self) -> None:
        cast("ITransport", self.transport).write(self.connection.bytes_to_send())


class _UntilClosed(Protocol):
    """Ends the process with whoever started it."""

    def connectionLost(self, reason: object = None) -> None:
        core = cast("IReactorCore", reactor)
        if core.running:
            core.stop()


def main() -> None:
    endpoint = endpoints.TCP4ServerEndpoint(cast("IReactorTCP", reactor), 0, interface="127.0.0.1")

    def announce(port: object) -> None:
        print(port.getHost().port, flush=True)  # type: ignore[attr-defined]

    endpoint.listen(Factory.forProtocol(EchoProtocol)).addCallback(announce)
    stdio.StandardIO(_UntilClosed())
    cast("IReactorCore", reactor).run()


if __name__ == "__main__":
    main()
