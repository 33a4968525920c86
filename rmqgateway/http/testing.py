"""An HTTP/1.1 client in memory, for authors of request front-ends::

    world = World()
    client = world.http(MyFrontEnd())
    answer = client.request("POST", "/v1/topics/orders/messages", body=b"hello")
    assert answer.status == 201 and answer.json()["messageId"]

A long poll: ``client.start("GET", …)``, ``world.advance(3)``, ``client.response()``. A stream: ``client.start(…)`` and then
``client.response(whole=False)`` gives what has come so far.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from rmqgateway.frontend import ConnectionInformation
from rmqgateway.http.server import HttpServer
from rmqgateway.recognition import Found

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rmqgateway.http.settings import HttpSettings
    from rmqgateway.testing import World

__all__ = ["HttpClient", "HttpResponse", "connect"]

_ADDRESS = "127.0.0.1:8080"


class HttpResponse:
    """What came back. :ivar headers: names in lower case. :ivar complete: whether the body is whole."""

    def __init__(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.status = status
        self.headers = headers
        self.body = b""
        self.trailers: list[tuple[str, str]] = []
        self.complete = False

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next((value for key, value in self.headers if key == name), None)

    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)

    def __repr__(self) -> str:
        return f"<HttpResponse {self.status} {self.body[:200]!r}>"


def connect(
    server: HttpServer,
    found: Found = Found.HTTP_1,
    port: int = 50_000,
    secure: bool = False,
    host: str = "127.0.0.1",
) -> tuple[Any, StringTransport]:
    """A connection to a server: its protocol and the transport that has what it wrote."""
    peer = IPv4Address("TCP", host, port)
    protocol = server.make_protocol(ConnectionInformation(peer, _ADDRESS, secure, "test"), found)
    transport = StringTransport(IPv4Address("TCP", "127.0.0.1", 8080), peer)
    protocol.makeConnection(transport)
    return protocol, transport


class HttpClient:
    """One kept-alive connection; `request` opens another when the server has closed it.

    :ivar server: the server, for its settings and routes. :ivar transport: StringTransport, of the connection.
    """

    def __init__(self, world: World, front_ends: Iterable[Any], settings: HttpSettings | None = None) -> None:
        self.world = world
        self.server = HttpServer(world.gateway, front_ends, settings, wall=lambda: world.wall_ms / 1000)
        self._port = 50_000
        self._host = world.peer_host
        self._asked: list[str] = []
        self.protocol: Any
        self.transport: StringTransport
        self.connect()

    def connect(self) -> None:
        """A new connection."""
        self._port += 1
        self._asked.clear()
        self.protocol, self.transport = connect(self.server, port=self._port, host=self._host)

    def close(self) -> None:
        """The client goes away."""
        self.protocol.connectionLost(Failure(ConnectionDone()))

    @property
    def closed(self) -> bool:
        """Whether the server has closed the connection."""
        return bool(self.transport.disconnecting or self.transport.disconnected)

    def send(self, data: bytes) -> None:
        """Raw bytes."""
        self.protocol.dataReceived(data)
        self.world.settle()

    def start(
        self, method: str, target: str, headers: Sequence[tuple[str, str]] = (), body: bytes | None = None
    ) -> None:
        """Send a request."""
        names = {name.lower() for name, _ in headers}
        lines = [f"{method} {target} HTTP/1.1"]
        if "host" not in names:
            lines.append(f"Host: {_ADDRESS}")
        lines += [f"{name}: {value}" for name, value in headers]
        if body is not None and not names & {"content-length", "transfer-encoding"}:
            lines.append(f"Content-Length: {len(body)}")
        self._asked.append(method)
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))

    def request(
        self, method: str, target: str, headers: Sequence[tuple[str, str]] = (), body: bytes | None = None
    ) -> HttpResponse:
        """Send a request and return its response. :raise NoReplyYet: there is none, or it is not whole."""
        if self.closed:
            self.connect()
        self.start(method, target, headers, body)
        return self.response()

    def response(self, whole: bool = True) -> HttpResponse:
        """The next response. With `whole` false what has come of it stays, to be asked for again.

        :raise NoReplyYet: there is none, or it is not whole.
        """
        from rmqgateway.testing import NoReplyYet

        data = self.transport.value()
        method = self._asked[0] if self._asked else "GET"
        found, used = _parse(data, method, self.closed)
        if found is None or (whole and not found.complete):
            raise NoReplyYet(f"no whole response; what came: {data[:500]!r}")
        if found.complete:
            self.transport.clear()
            self.transport.write(data[used:])
            del self._asked[:1]
        return found


def _fields(lines: list[bytes]) -> list[tuple[str, str]]:
    fields = []
    for line in lines:
        name, _, value = line.decode("latin-1").partition(":")
        fields.append((name.lower(), value.strip()))
    return fields


def _parse(data: bytes, method: str, closed: bool) -> tuple[HttpResponse | None, int]:
    """The first final response in `data`, and how many bytes it took."""
    start = 0
    while True:
        end = data.find(b"\r\n\r\n", start)
        if end < 0:
            return None, 0
        lines = data[start:end].split(b"\r\n")
        status = int(lines[0].split(b" ")[1])
        start = end + 4
        if status >= 200 or status == 101:
            break
    response = HttpResponse(status, _fields(lines[1:]))
    length = response.header("content-length")
    if method == "HEAD" or status in (101, 204, 304):
        response.complete = True
        return response, start
    if response.header("transfer-encoding") == "chunked":
        return response, _parse_chunks(data, start, response)
    if length is not None:
        response.body = data[start : start + int(length)]
        response.complete = len(response.body) == int(length)
        return response, start + len(response.body)
    response.body = data[start:]
    response.complete = closed
    return response, len(data)


def _parse_chunks(data: bytes, start: int, response: HttpResponse) -> int:
    parts = []
    while True:
        end = data.find(b"\r\n", start)
        if end < 0:
            break
        size = int(data[start:end], 16)
        if size:
            parts.append(data[end + 2 : end + 2 + size])
            if len(data) < end + 4 + size:
                break
            start = end + 4 + size
            continue
        if data[end + 2 : end + 4] == b"\r\n":
            response.complete = True
            start = end + 4
        else:
            last = data.find(b"\r\n\r\n", end)
            if last >= 0:
                response.trailers = _fields(data[end + 2 : last].split(b"\r\n"))
                response.complete = True
                start = last + 4
        break
    response.body = b"".join(parts)
    return start
