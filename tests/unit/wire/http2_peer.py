"""The client's end of a conversation with Http2Connection, frame by frame."""

from __future__ import annotations

import struct

from rmqgateway.wire.hpack import Header, HpackDecoder, HpackEncoder
from rmqgateway.wire.http2 import PREFACE, Event, Http2Connection, Http2Limits

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10)
)
END_STREAM = ACK = 1
END_HEADERS = 4
PADDED = 8
PRIORITISED = 32

REQUEST: list[Header] = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/a.Service/Method"),
    (b":authority", b"localhost:8081"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
]
HEAD: tuple[Header, ...] = ((b":status", b"200"), (b"content-type", b"application/grpc"))
TRAILERS: tuple[Header, ...] = ((b"grpc-status", b"0"),)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


def word(value: int) -> bytes:
    return struct.pack(">I", value)


def setting(name: int, value: int) -> bytes:
    return struct.pack(">HI", name, value)


class Peer:
    """A connection under test, and what its client knows."""

    def __init__(
        self, limits: Http2Limits | None = None, settings: bytes = b"", acknowledge: bool = True
    ) -> None:
        self.encoder = HpackEncoder(indexed=frozenset({b"content-type", b"te"}))
        self.decoder = HpackDecoder(max_header_list_size=1 << 20, max_headers=1000)
        self.connection = Http2Connection(limits)
        self.now = 0.0
        self.events = self.receive(PREFACE + frame(SETTINGS, 0, 0, settings))
        if acknowledge:
            self.receive(frame(SETTINGS, ACK, 0))
        self.greeting = self.frames()

    def receive(self, data: bytes) -> list[Event]:
        return self.connection.receive_data(data, self.now)

    def frames(self, limit: int = 1 << 60) -> list[tuple[int, int, int, bytes]]:
        """(type, flags, stream, payload) of all that is to be sent."""
        return split_frames(self.connection.bytes_to_send(limit))

    def headers(self, stream: int, fields: list[Header] | None = None, flags: int = END_STREAM) -> bytes:
        block = self.encoder.encode(REQUEST if fields is None else fields)
        return frame(HEADERS, flags | END_HEADERS, stream, block)

    def open(self, *streams: int, flags: int = END_STREAM) -> list[Event]:
        return self.receive(b"".join(self.headers(stream, flags=flags) for stream in streams))

    def fault(self, data: bytes) -> tuple[int, int, int]:
        """Feed `data`; (type, stream, code) of the RST_STREAM or GOAWAY that answers it last, but for credit."""
        events = self.receive(data)
        kind, _, stream, payload = [item for item in self.frames() if item[0] != WINDOW_UPDATE][-1]
        if kind == GOAWAY:
            assert type(events[-1]).__name__ == "ConnectionTerminated"
            assert self.connection.terminated
            assert self.receive(frame(PING, 0, 0, b"12345678")) == []
            assert self.frames() == []
            return kind, stream, int(struct.unpack_from(">I", payload, 4)[0])
        assert kind == RST_STREAM
        assert self.receive(frame(PING, 0, 0, b"12345678")) == []
        assert self.frames() == [(PING, ACK, 0, b"12345678")], "the connection goes on"
        return kind, stream, int(struct.unpack(">I", payload)[0])


def split_frames(data: bytes) -> list[tuple[int, int, int, bytes]]:
    found = []
    while data:
        head, flags, stream = struct.unpack_from(">IBI", data)
        found.append((head & 0xFF, flags, stream, data[9 : 9 + (head >> 8)]))
        data = data[9 + (head >> 8) :]
    return found
