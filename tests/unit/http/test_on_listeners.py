"""HTTP on the listeners' ports: recognised by its first bytes, beside everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport

from rmqgateway.config_sections import ListenerSettings, ListeningSettings, TLSSettings
from rmqgateway.http.http1_connection import Http1Protocol
from rmqgateway.http.http2_connection import Http2Protocol
from rmqgateway.http.server import HttpServer
from rmqgateway.listeners import Listener
from rmqgateway.listeners_limits import Connections
from rmqgateway.listeners_tls import PROTOCOLS, Certificates
from rmqgateway.testing import World
from tests.unit.http.serving import DONE, Serves, Sockets

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


class Transport(StringTransport):
    """Delivers to whatever its ``protocol`` is by now."""

    protocol: Any = None


def listener(world: World, *front_ends: Any, tls: TLSSettings | None = None, folder: Path = Path("/nonexistent")) -> Listener:
    gateway: Any = world.gateway
    return Listener(
        "web",
        None,
        ListenerSettings(endpoint="tcp:8080:interface=127.0.0.1"),
        "listeners.web",
        [],
        [front_end.name for front_end in front_ends],
        gateway=gateway,
        reactor=world.clock,
        settings=ListeningSettings(),
        certificates=Certificates(tls or TLSSettings(mode="off"), str(folder)),
        connections=Connections(100, 100),
        advertise=("mq.example", 0),
        http_server=HttpServer(gateway, front_ends),
    )


def connect(to: Listener) -> Transport:
    transport = Transport(IPv4Address("TCP", "127.0.0.1", 8080), IPv4Address("TCP", "127.0.0.1", 50_000))
    transport.protocol = to.buildProtocol(transport.getPeer())
    transport.protocol.makeConnection(transport)
    return transport


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_the_first_bytes_decide_between_the_versions(step: int) -> None:
    world = World()
    to = listener(world, Serves())
    request = b"GET / HTTP/1.1\r\nHost: mq.example\r\n\r\n"
    one, two = connect(to), connect(to)
    for start in range(0, len(request), step):
        one.protocol.dataReceived(request[start : start + step])
    assert one.value().startswith(b"HTTP/1.1 200 OK"), "the advertised name is one of ours"
    assert isinstance(one.protocol, Http1Protocol)
    begin = PREFACE + SETTINGS
    for start in range(0, len(begin), step):
        two.protocol.dataReceived(begin[start : start + step])
    assert isinstance(two.protocol, Http2Protocol)
    assert b"\x00\x00\x00\x04\x01" in two.value(), "SETTINGS are acknowledged"
    for transport in (one, two):
        transport.protocol.connectionLost(DONE)


def test_a_web_socket_takes_the_transport_over() -> None:
    world = World()
    sockets = Sockets()
    transport = connect(listener(world, sockets))
    transport.protocol.dataReceived(
        b"GET / HTTP/1.1\r\nHost: mq.example\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"Sec-WebSocket-Protocol: other, echo\r\n\r\n"
    )
    assert transport.value().startswith(b"HTTP/1.1 101 ")
    assert type(transport.protocol).__name__ == "WebSocketConnection", "nothing stays in between"
    transport.protocol.dataReceived(b"\x82\x81\x00\x00\x00\x00x")
    assert transport.value().endswith(b"\x82\x01x")
    transport.protocol.connectionLost(DONE)
    assert not world.gateway.sessions


def test_where_tls_is_required_plain_http_is_closed() -> None:
    tls = TLSSettings(mode="required", certificate="/nonexistent/c.pem")
    transport = connect(listener(World(), Serves(), tls=tls))
    transport.protocol.dataReceived(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert transport.value() == b""
    assert transport.disconnecting


def test_both_versions_are_offered_over_tls_the_newer_first() -> None:
    assert PROTOCOLS == ("h2", "http/1.1")
