"""Eager writes on a socket: order, partial writes, lost connections, and the plain way out."""

from __future__ import annotations

from typing import Any

from twisted.internet import main, tcp
from twisted.internet.testing import StringTransport

from rmqgateway.eager import writer


class _Connection(tcp.Connection):
    """A Twisted TCP transport without a socket: what `writeSomeData` takes is decided by the test."""

    def __init__(self, takes: list[Any]) -> None:
        self.takes = takes
        self.sent: list[bytes] = []
        self.later: list[bytes] = []
        self.dataBuffer = b""
        self.offset = 0
        self._tempDataBuffer: list[bytes] = []
        self.connected = True
        self.disconnecting = False
        self.TLS = False

    def writeSomeData(self, data: bytes) -> Any:
        took = self.takes.pop(0)
        if isinstance(took, int):
            self.sent.append(data[:took])
        return took

    def write(self, data: bytes) -> None:
        self.later.append(data)
        self._tempDataBuffer.append(data)


def test_everything_goes_at_once_when_nothing_waits() -> None:
    transport = _Connection([5])
    writer(transport)(b"hello")
    assert (transport.sent, transport.later) == ([b"hello"], [])


def test_the_rest_waits_and_what_follows_waits_behind_it() -> None:
    transport = _Connection([2, 5])
    write = writer(transport)
    write(b"hello")
    write(b"world")
    assert transport.sent == [b"he"]
    assert transport.later == [b"llo", b"world"]


def test_a_lost_connection_is_left_to_the_reactor() -> None:
    transport = _Connection([main.CONNECTION_LOST])
    writer(transport)(b"hello")
    assert transport.later == [b"hello"]


def test_closing_closed_and_encrypted_transports_are_written_to_plainly() -> None:
    for name, value in (("disconnecting", True), ("connected", False), ("TLS", True), ("dataBuffer", b"before")):
        transport = _Connection([5])
        setattr(transport, name, value)
        writer(transport)(b"hello")
        assert (transport.sent, transport.later) == ([], [b"hello"]), name


def test_other_transports_are_written_to_plainly() -> None:
    transport = StringTransport()
    writer(transport)(b"hello")
    assert transport.value() == b"hello"


def test_a_later_twisted_without_these_names_is_written_to_plainly() -> None:
    transport = _Connection([5])
    del transport._tempDataBuffer
    transport.write = transport.later.append  # type: ignore[method-assign,assignment]
    writer(transport)(b"hello")
    assert transport.later == [b"hello"]
