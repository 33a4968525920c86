"""The HTTP server of a listener: routes, policy, what every response says, and the making of connections."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from rmqgateway.http.policy import Policy
from rmqgateway.http.problems import problem
from rmqgateway.http.router import RouteConflict, Router
from rmqgateway.http.settings import HttpSettings
from rmqgateway.interfaces import IConnectionFrontEnd, IRequestFrontEnd, IWebSocketFrontEnd
from rmqgateway.recognition import Found
from rmqgateway.wire.http1 import RequestHead, reason_phrase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rmqgateway.frontend import ConnectionInformation
    from rmqgateway.http.request import Header, Request
    from rmqgateway.interfaces import IGateway

__all__ = ["HttpServer"]

_CACHED_HEADS = 256
#: Request headers that pages of allowed origins may send, besides what routes add (gRPC-web needs the last five).
_ALLOWED_HEADERS = frozenset(
    {
        b"accept", b"authorization", b"cache-control", b"content-type", b"last-event-id", b"traceparent", b"tracestate",
        b"grpc-timeout", b"x-grpc-web", b"x-user-agent", b"x-request-id", b"connect-protocol-version",
    }
)  # fmt: skip
_ALLOWED_PREFIX = b"x-mq-"
_EXPOSED_HEADERS = b"grpc-status, grpc-message, retry-after, x-request-id"
#: For how long a browser may remember a preflight's answer, in seconds; Chromium takes no more than 7200.
_PREFLIGHT_AGE = b"600"
#: Fields that the connection itself sends; a response of a front-end does not.
_OURS = frozenset({b"connection", b"transfer-encoding", b"keep-alive", b"upgrade", b"proxy-connection"})
_FORBIDDEN = (b"\r", b"\n", b"\0")


class HttpServer:
    """Serves some front-ends over HTTP.

    :param front_ends: all that are served, of every kind. :param wall: seconds since 1970.
    :ivar front_ends: their names. :ivar paths: of all routes, as declared.
    :ivar heads: of requests over HTTP/1.1, as `Http1Decoder` keeps them.
    :raise RouteConflict: two routes, or two sub-protocols, want the same.
    """

    def __init__(
        self,
        gateway: IGateway,
        front_ends: Iterable[Any],
        settings: HttpSettings | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.gateway = gateway
        self.settings = settings if settings is not None else HttpSettings()
        front_ends = list(front_ends)
        self.front_ends = tuple(dict.fromkeys(one.name for one in front_ends))
        self.router = Router(one for one in front_ends if IRequestFrontEnd.providedBy(one))
        self.paths = frozenset(route.declaration.path for route in self.router.routes)
        self.policy = Policy(self.settings.hosts, self.settings.origins)
        self.web_sockets: dict[str, Any] = {}
        for one in front_ends:
            for protocol in one.protocols if IWebSocketFrontEnd.providedBy(one) else ():
                self._add_web_socket(protocol, one)
        for one in front_ends:
            for protocol in one.web_socket_protocols if IConnectionFrontEnd.providedBy(one) else ():
                self._add_web_socket(protocol, one)
        self._web_socket_factory: Any = None
        if self.web_sockets:
            from rmqgateway.http.websocket import check_acceleration

            check_acceleration()
        self.heads: dict[bytes, RequestHead] = {}
        self._wall = wall
        self._second = -1
        self._date = b""
        self._server = self.settings.server_header.encode("ascii")
        self._heads1: dict[tuple[int, tuple[Header, ...]], tuple[bytes, bool]] = {}
        self._heads2: dict[tuple[int, tuple[Header, ...]], tuple[Header, ...]] = {}
        self._grpc_heads: dict[tuple[int, tuple[Header, ...]], tuple[Header, ...]] = {}

    def _add_web_socket(self, protocol: str, front_end: Any) -> None:
        other = self.web_sockets.setdefault(protocol, front_end)
        if other is not front_end:
            raise RouteConflict(
                f"two front-ends want the WebSocket sub-protocol {protocol!r}: {other.name} and {front_end.name}"
            )

    def make_protocol(self, information: ConnectionInformation, found: Found) -> Any:
        """The protocol of a connection whose first bytes were HTTP."""
        if found is Found.HTTP_2:
            from rmqgateway.http.http2_connection import Http2Protocol

            return Http2Protocol(self, information)
        from rmqgateway.http.http1_connection import Http1Protocol

        return Http1Protocol(self, information)

    def web_socket_factory(self) -> Any:
        """Autobahn's, made when the first WebSocket comes: its import takes 0.1 s."""
        if self._web_socket_factory is None:
            from rmqgateway.http.websocket_connection import make_factory

            self._web_socket_factory = make_factory(self)
        return self._web_socket_factory

    # Heads of responses, made once and good for a second.

    def _tick(self) -> None:
        second = int(self._wall())
        if second != self._second:
            self._second = second
            self._date = formatdate(second, usegmt=True).encode()
            self._heads1.clear()
            self._heads2.clear()

    def _common(self, headers: tuple[Header, ...]) -> tuple[Header, ...]:
        """What is added. :raise ValueError: the front-end's headers must not be sent."""
        names = set()
        for name, value in headers:
            if name in _OURS or name[:1] == b":" or not name or name != name.lower():
                raise ValueError(f"response header {name!r}: expected a name in lower case, not one of the connection's own")
            if any(bad in value or bad in name for bad in _FORBIDDEN):
                raise ValueError(f"response header {name!r}: expected a value without line ends")
            names.add(name)
        more: tuple[Header, ...] = ()
        if b"date" not in names:
            more += ((b"date", self._date),)
        if self._server and b"server" not in names:
            more += ((b"server", self._server),)
        return more

    def head1(self, status: int, headers: Sequence[Header]) -> tuple[bytes, bool]:
        """Status line and fields of HTTP/1.1 without the last line end, and whether the body's length is among them.

        :raise ValueError: they must not be sent.
        """
        self._tick()
        key = (status, headers if type(headers) is tuple else tuple(headers))
        found = self._heads1.get(key)
        if found is None:
            fields = key[1] + self._common(key[1])
            lines = b"".join([b"%b: %b\r\n" % field for field in fields])
            has_length = any(name == b"content-length" for name, _ in fields)
            found = b"HTTP/1.1 %d %b\r\n%b" % (status, reason_phrase(status), lines), has_length
            if len(self._heads1) >= _CACHED_HEADS:
                self._heads1.clear()
            self._heads1[key] = found
        return found

    def head2(self, status: int, headers: Sequence[Header]) -> tuple[Header, ...]:
        """The header list of HTTP/2. gRPC's says nothing that its clients do not read. :raise ValueError: as `head1`."""
        key = (status, headers if type(headers) is tuple else tuple(headers))
        found = self._grpc_heads.get(key)
        if found is not None:
            return found
        self._tick()
        found = self._heads2.get(key)
        if found is None:
            more = self._common(key[1])
            heads = self._heads2
            if any(name == b"content-type" and value.startswith(b"application/grpc") for name, value in key[1]):
                more = ()
                heads = self._grpc_heads
            found = ((b":status", b"%d" % status), *key[1], *more)
            if len(heads) >= _CACHED_HEADS:
                heads.clear()
            heads[key] = found
        return found

    # What the core answers itself.

    def refuse(self, request: Request) -> None:
        """No route takes this request: say why."""
        resolved = request.resolved
        if resolved.error:
            request.respond(*problem(400, resolved.error))
        elif request.method == "OPTIONS" and resolved.allow:
            request.respond(204, ((b"allow", ", ".join(resolved.named or resolved.allow).encode()),))
        elif not resolved.named:
            request.respond(*problem(404, f"nothing is served at {resolved.path[:200]}"))
        elif request.method not in resolved.named:
            allow = ", ".join(resolved.named)
            detail = f"{resolved.path[:200]} takes {allow}, not {request.method[:40]}"
            request.respond(*problem(405, detail, ((b"allow", allow.encode()),)))
        else:
            accepts = resolved.accepts()
            sent = (request.header(b"content-type") or b"none").decode("ascii", "replace")[:100]
            detail = f"content-type: expected {accepts.decode()}, got {sent}"
            name = b"accept-patch" if request.method == "PATCH" else b"accept-post"
            request.respond(*problem(415, detail, ((name, accepts),)))

    def cors_headers(self, request: Request, origin: bytes) -> tuple[Header, ...]:
        """What a page of an allowed origin must be told to see the response."""
        exposed = _EXPOSED_HEADERS
        for route in request.resolved.routes[:1]:
            more = route.declaration.expose_headers
            if more:
                exposed += b", " + ", ".join(more).encode()
        return (
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", exposed),
            (b"vary", b"origin"),
        )

    def answer_preflight(self, request: Request, origin: bytes) -> None:
        """Tell a browser whether a page of an allowed origin may send what it is about to (Fetch standard, 4.8)."""
        fields = request.fields
        allow = request.resolved.allow
        if not allow:
            self.refuse(request)
            return
        wanted = self.router.resolve(fields[b"access-control-request-method"], _path_of(request))
        allowed = set(_ALLOWED_HEADERS)
        for route in wanted.routes:
            allowed.update(name.lower().encode() for name in route.declaration.allow_headers)
        asked = [
            name.strip().lower() for name in fields.get(b"access-control-request-headers", b"").split(b",")
        ]
        granted = [name for name in asked if name in allowed or name.startswith(_ALLOWED_PREFIX)]
        more: tuple[Header, ...] = (
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-methods", ", ".join(allow).encode()),
            (b"access-control-max-age", _PREFLIGHT_AGE),
            (b"vary", b"origin, access-control-request-method, access-control-request-headers"),
        )
        if granted:
            more += ((b"access-control-allow-headers", b", ".join(granted)),)
        if fields.get(b"access-control-request-private-network") == b"true":
            more += ((b"access-control-allow-private-network", b"true"),)
        request.respond(204, more)


def _path_of(request: Request) -> bytes:
    from rmqgateway.http.targets import split_target

    return split_target(request.target)[0]
