"""The upgrade from HTTP/1.1 to WebSocket (RFC 6455): who may, which sub-protocol, and the hand-over to Autobahn.

What can be refused is refused here, as HTTP, before Autobahn sees anything. WebSocket over HTTP/2 (RFC 8441) is not offered:
browsers then open an HTTP/1.1 connection.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from rmqgateway.errors import GatewayError
from rmqgateway.http.policy import OriginIs
from rmqgateway.http.problems import problem, problem_of

if TYPE_CHECKING:
    from rmqgateway.http.http1_connection import Http1Protocol
    from rmqgateway.http.http1_request import Http1Request
    from rmqgateway.wire.http1 import RequestHead

__all__ = ["check_acceleration", "upgrade"]

log = Logger(namespace="rmqgateway.websocket")


def check_acceleration() -> bool:
    """Whether Autobahn's native code (NVX) is there; if not, the log gets a warning with the cost. Imports nothing."""
    try:
        found = find_spec("_nvx_utf8validator") is not None and find_spec("_nvx_xormasker") is not None
    except (ImportError, ValueError):
        found = False
    if not found:
        log.warn(
            "Autobahn has no native code (NVX) here: each WebSocket message costs about five times as much CPU "
            "(193 instead of 38 microseconds measured); install a wheel of autobahn built with NVX"
        )
    elif os.environ.get("AUTOBAHN_USE_NVX", "").lower() in ("0", "no", "false", "off"):
        log.warn("AUTOBAHN_USE_NVX turns off Autobahn's native code: each WebSocket message costs about five times as much CPU")
        found = False
    return found


def upgrade(connection: Http1Protocol, request: Http1Request, head: RequestHead) -> None:
    """Take the connection over for WebSocket, or answer why not. Earlier responses are finished: requests come one at a time."""
    found = _judge(connection, request, head)
    if found is None:
        return
    front_end, protocol = found

    server = connection.server
    try:
        accepted = server.web_socket_factory().protocol(server, connection.information, request, front_end, protocol)
    except GatewayError as error:
        request.respond(*problem_of(error))
        return
    rest = connection.hand_over(accepted)
    # What Autobahn reads is made again from what was parsed: nothing that two parsers could understand differently.
    lines = [b"%b %b HTTP/1.1" % (head.method, head.target)]
    lines += [b"%b: %b" % field for field in head.headers]
    accepted.begin(b"\r\n".join(lines) + b"\r\n\r\n", rest)


def _judge(connection: Http1Protocol, request: Http1Request, head: RequestHead) -> tuple[Any, str] | None:
    """The front-end and the sub-protocol, or None: the request was answered."""
    server = connection.server
    fields = request.fields
    if not server.policy.allows_host(request.authority, connection.information.advertised):
        host = request.authority.decode("ascii", "replace")[:100]
        request.respond(*problem(421, f"this gateway is not called {host!r}; add the name to the setting http.hosts"))
        return None
    origin = fields.get(b"origin")
    if origin is not None:
        judged = server.policy.judge_origin(origin, connection.information.secure, request.authority)
        if judged is OriginIs.FOREIGN:
            shown = origin.decode("ascii", "replace")[:100]
            request.respond(*problem(403, f"pages of {shown!r} may not use this gateway (setting http.origins)"))
            return None
    if request.method != "GET" or head.minor != 1 or head.content_length != 0:
        request.respond(*problem(400, "WebSocket: expected a GET of HTTP/1.1 without a body"))
        return None
    if fields.get(b"sec-websocket-version") != b"13":
        request.respond(*problem(426, "WebSocket: expected version 13", ((b"sec-websocket-version", b"13"),)))
        return None
    if len(fields.get(b"sec-websocket-key", b"")) != 24:
        request.respond(*problem(400, "WebSocket: expected a Sec-WebSocket-Key of 24 characters"))
        return None
    offered = [
        name.strip().decode("latin-1")
        for field, value in head.headers
        if field == b"sec-websocket-protocol"
        for name in value.split(b",")
    ]
    if not offered:
        offered = [""]
    # The server's order decides ("best first"), by what the client offers.
    for protocol, front_end in server.web_sockets.items():
        if protocol in offered:
            return front_end, protocol
    served = ", ".join(server.web_sockets)
    got = ", ".join(offered)[:200] or "none"
    request.respond(*problem(400, f"Sec-WebSocket-Protocol: expected one of {served}; got {got}"))
    return None
