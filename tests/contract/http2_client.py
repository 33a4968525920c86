"""The client's end of HTTP/2 in memory, as much of it as a gRPC client needs, in our own HPACK and frames."""

from __future__ import annotations

import struct
from typing import Any

from rmqgateway.http.server import HttpServer
from rmqgateway.http.testing import connect
from rmqgateway.recognition import Found
from rmqgateway.testing import World
from rmqgateway.wire.hpack import Header, HpackDecoder, HpackEncoder
from rmqgateway.wire.http2 import PREFACE

__all__ = ["Http2Client", "Http2Stream"]

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM = _ACK = 1
_END_HEADERS = 4
_WINDOW = (1 << 31) - 1


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


class Http2Stream:
    """What has come of one response. :ivar fields: of the head and, once they came, the trailers."""

    def __init__(self) -> None:
        self.fields: dict[bytes, bytes] = {}
        self.body = b""
        self.ended = False


class Http2Client:
    """One connection to `server`, which grants it all the windows that there are."""

    _ports = 51_000

    def __init__(self, world: World, server: HttpServer) -> None:
        Http2Client._ports += 1
        self.world = world
        self._protocol: Any
        self._protocol, self._transport = connect(server, Found.HTTP_2, Http2Client._ports, host=world.peer_host)
        self._encoder = HpackEncoder(max_table_size=0)
        self._decoder = HpackDecoder(max_header_list_size=1 << 20, max_headers=1000)
        self._streams: dict[int, Http2Stream] = {}
        self._next = 1
        self._buffer = b""
        window = struct.pack(">HI", 4, _WINDOW)
        self._send(PREFACE + _frame(_SETTINGS, 0, 0, window))
        self._send(_frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _WINDOW - 65_535)))

    def _send(self, data: bytes) -> None:
        self._protocol.dataReceived(data)
        self.world.settle()

    def start(self, headers: list[Header], body: bytes, last: bool = True) -> int:
        """Send a request; the number of its stream."""
        number, self._next = self._next, self._next + 2
        self._streams[number] = Http2Stream()
        self._send(_frame(_HEADERS, _END_HEADERS, number, self._encoder.encode(headers)))
        self.say(number, body, last)
        return number

    def say(self, number: int, body: bytes, last: bool = False) -> None:
        """More of a request's body."""
        assert len(body) <= 16_384, "one frame takes no more"
        self._send(_frame(_DATA, _END_STREAM if last else 0, number, body))

    def reset(self, number: int) -> None:
        """The client loses interest."""
        self._send(_frame(_RST_STREAM, 0, number, struct.pack(">I", 8)))

    def look(self, number: int) -> Http2Stream:
        """What has come of a response."""
        self._read()
        return self._streams[number]

    def close(self) -> None:
        """The connection is lost."""
        self._protocol.connectionLost()
        self.world.settle()

    def _read(self) -> None:
        self.world.settle()
        self._buffer += self._transport.value()
        self._transport.clear()
        while len(self._buffer) >= 9:
            word, flags, number = struct.unpack_from(">IBI", self._buffer)
            size = word >> 8
            if len(self._buffer) < 9 + size:
                return
            payload, self._buffer = self._buffer[9 : 9 + size], self._buffer[9 + size :]
            self._take(word & 0xFF, flags, number, payload)

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == _SETTINGS and not flags & _ACK:
            self._send(_frame(_SETTINGS, _ACK, 0))
        elif kind == _PING and not flags & _ACK:
            self._send(_frame(_PING, _ACK, 0, payload))
        elif kind == _GOAWAY:
            raise AssertionError(f"the gateway ends the connection: {payload!r}")
        elif kind in (_DATA, _HEADERS):
            stream = self._streams[number]
            if kind == _DATA:
                stream.body += payload
            else:
                assert flags & _END_HEADERS
                stream.fields.update(self._decoder.decode(payload))
            stream.ended = stream.ended or bool(flags & _END_STREAM)
        elif kind == _RST_STREAM:
            raise AssertionError(f"the gateway resets stream {number}: {payload!r}")
