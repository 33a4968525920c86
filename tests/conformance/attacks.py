"""One attack per function: what a hostile client sends over one connection, and that the gateway does what it should.

Each takes the port, lasts about a second at most, and raises AssertionError when it was let through. Numbers of advisories
are in the names of the table at the end.
"""

from __future__ import annotations

import gzip
import os
import socket
import struct
import time
from collections.abc import Callable

from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.wire.grpc_framing import encode_message
from rmqgateway.wire.hpack import HpackDecoder, HpackEncoder
from rmqgateway.wire.http2 import PREFACE
from tests.unit.wire.http2_peer import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    setting,
    split_frames,
    word,
)

__all__ = ["ATTACKS", "Attacker"]

_CALM = 11
_SECOND = 1.0


class Attacker:
    """A client's end of one connection, which knows no rules.

    :ivar ended: the gateway has closed it. :ivar frames: everything that came so far.
    """

    def __init__(self, port: int, settings: bytes = b"") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.ended = False
        self.frames: list[tuple[int, int, int, bytes]] = []
        self.decoder = HpackDecoder(max_header_list_size=1 << 20, max_headers=1000)
        self._buffer = b""
        self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def send(self, data: bytes) -> bool:
        """False once the gateway takes nothing any more."""
        if not self.ended:
            try:
                self.socket.sendall(data)
            except OSError:
                self.ended = True
        return not self.ended

    def read(self, seconds: float, until: Callable[[], object] = lambda: False) -> None:
        """Take what comes, for so long, or until something is true or the connection ends."""
        deadline = time.monotonic() + seconds
        while not until() and (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(1 << 16)
            except TimeoutError:
                return
            except OSError:
                data = b""
            if not data:
                self.ended = True
                return
            self._buffer += data
            whole = 0
            while len(self._buffer) >= whole + 9:
                end = whole + 9 + int.from_bytes(self._buffer[whole : whole + 3], "big")
                if len(self._buffer) < end:
                    break
                whole = end
            self.frames += split_frames(self._buffer[:whole])
            self._buffer = self._buffer[whole:]

    def headers(self, stream: int, flags: int = 0, path: bytes = b"QueryRoute", **more: bytes) -> bytes:
        """HEADERS of a call."""
        fields = [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", b"/apache.rocketmq.v2.MessagingService/" + path),
            (b":authority", b"localhost"),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
            (b"x-mq-client-id", b"attacker"),
            *((name.replace("_", "-").encode(), value) for name, value in more.items()),
        ]
        block = HpackEncoder(indexed=frozenset()).encode(fields)
        return frame(HEADERS, flags | END_HEADERS, stream, block)

    def kinds(self, kind: int) -> list[tuple[int, bytes]]:
        """(stream, payload) of all frames of a type that came."""
        return [(stream, payload) for one, _, stream, payload in self.frames if one == kind]

    def must_end(self, code: int = _CALM) -> None:
        """The gateway ends the connection, with this code where the GOAWAY was not lost with the connection."""
        self.read(10, lambda: self.ended)
        assert self.ended, "the connection goes on"
        for _, payload in self.kinds(GOAWAY):
            assert struct.unpack_from(">I", payload, 4)[0] == code, payload
        self.socket.close()

    def status(self, stream: int) -> int:
        """The gRPC status with which a stream ended."""
        found: list[int] = []
        seen = 0

        def look() -> bool:
            nonlocal seen
            for kind, _, of_stream, payload in self.frames[seen:]:
                seen += 1
                if kind == HEADERS:
                    fields = dict(self.decoder.decode(payload))
                    if of_stream == stream and b"grpc-status" in fields:
                        found.append(int(fields[b"grpc-status"]))
            return bool(found)

        self.read(10, look)
        assert found, self.frames
        return found[0]


def _route(topic: str = "attacks") -> bytes:
    request = service.QueryRouteRequest()
    request.topic.name = topic
    return encode_message(request.SerializeToString())


def _call(attacker: Attacker, stream: int) -> bytes:
    return attacker.headers(stream) + frame(DATA, END_STREAM, stream, _route())


def _flood(attacker: Attacker, piece: bytes, most: int = 200) -> None:
    """Send `piece` for a second, or `most` times, reading nothing."""
    deadline = time.monotonic() + _SECOND
    for _ in range(most):
        if time.monotonic() > deadline or not attacker.send(piece):
            return


def rapid_reset(port: int) -> None:
    attacker = Attacker(port)
    for first in range(1, 4001, 200):
        streams = range(first, first + 200, 2)
        attacker.send(b"".join(attacker.headers(one) + frame(RST_STREAM, 0, one, word(8)) for one in streams))
    attacker.must_end()


def made_you_reset(port: int) -> None:
    attacker = Attacker(port)
    for first in range(1, 4001, 200):
        streams = range(first, first + 200, 2)
        attacker.send(
            b"".join(attacker.headers(one) + frame(WINDOW_UPDATE, 0, one, word(0)) for one in streams)
        )
    attacker.must_end()


def data_after_the_end(port: int) -> None:
    attacker = Attacker(port, setting(4, 0))
    for first in range(1, 4001, 200):
        streams = range(first, first + 200, 2)
        attacker.send(b"".join(_call(attacker, one) + frame(DATA, 0, one, b"x") for one in streams))
    attacker.must_end()


def continuation_flood(port: int) -> None:
    attacker = Attacker(port)
    attacker.send(frame(HEADERS, 0, 1, b"\x82"))
    _flood(attacker, frame(CONTINUATION, 0, 1, b"\x00\x01a" + b"\x7f\x81\x7e" + b"v" * 16376))
    attacker.must_end()


def empty_continuation_flood(port: int) -> None:
    attacker = Attacker(port)
    attacker.send(frame(HEADERS, 0, 1, b"\x82"))
    _flood(attacker, frame(CONTINUATION, 0, 1) * 100)
    attacker.must_end()


def settings_flood(port: int) -> None:
    attacker = Attacker(port)
    _flood(attacker, frame(SETTINGS, 0, 0, setting(4, 9)) * 500)
    attacker.socket.close()


def ping_flood(port: int) -> None:
    attacker = Attacker(port)
    _flood(attacker, frame(PING, 0, 0, b"12345678") * 500)
    attacker.socket.close()


def window_update_flood(port: int) -> None:
    attacker = Attacker(port)
    _flood(attacker, frame(WINDOW_UPDATE, 0, 0, word(1)) * 1000)
    attacker.socket.close()


def priority_flood(port: int) -> None:
    attacker = Attacker(port)
    _flood(attacker, frame(PRIORITY, 0, 3, bytes(5)) * 1000)
    attacker.must_end()


def unknown_frames(port: int) -> None:
    attacker = Attacker(port)
    _flood(attacker, frame(99, 0, 0, bytes(100)) * 100)
    attacker.must_end()


def hpack_bomb(port: int) -> None:
    attacker = Attacker(port)
    entry = b"\x40\x01a\x7f\x81\x1e" + b"v" * 3968  # fills the table
    attacker.send(frame(HEADERS, END_HEADERS, 1, entry))
    for stream in range(3, 4001, 2):
        if not attacker.send(frame(HEADERS, END_HEADERS, stream, b"\xbe" * 16000)):
            break
    attacker.must_end()


def long_header_list(port: int) -> None:
    attacker = Attacker(port)
    attacker.send(attacker.headers(1, END_STREAM, **{f"x-{number}": b"v" * 200 for number in range(75)}))
    attacker.read(10, lambda: attacker.kinds(RST_STREAM))
    assert attacker.kinds(RST_STREAM) == [(1, word(_CALM))]
    attacker.send(_call(attacker, 3))
    assert attacker.status(3) == 0, "the connection goes on"
    attacker.socket.close()


def empty_data(port: int) -> None:
    attacker = Attacker(port)
    attacker.send(attacker.headers(1))
    _flood(attacker, frame(DATA, 0, 1) * 500)
    attacker.must_end()


def padding_only(port: int) -> None:
    attacker = Attacker(port)
    attacker.send(attacker.headers(1))
    _flood(attacker, frame(DATA, PADDED, 1, b"\xff" + bytes(255)) * 100)
    attacker.must_end()


def many_streams(port: int) -> None:
    attacker = Attacker(port)
    for first in range(1, 6001, 200):
        attacker.send(b"".join(attacker.headers(one) for one in range(first, first + 200, 2)))
    attacker.must_end()


def window_of_zero(port: int) -> None:
    attacker = Attacker(port, setting(4, 0))
    attacker.send(b"".join(_call(attacker, stream) for stream in range(1, 512, 2)))
    attacker.read(_SECOND)
    assert not attacker.ended and not attacker.kinds(DATA)
    attacker.socket.close()


def window_of_one(port: int) -> None:
    attacker = Attacker(port, setting(4, 1))
    streams = range(1, 201, 2)
    attacker.send(b"".join(_call(attacker, stream) for stream in streams))
    drops = b"".join(frame(WINDOW_UPDATE, 0, stream, word(1)) for stream in streams)
    deadline = time.monotonic() + _SECOND
    while time.monotonic() < deadline and attacker.send(drops):
        attacker.read(0.02)
    assert not attacker.ended
    attacker.socket.close()


def reads_nothing(port: int) -> None:
    attacker = Attacker(port, setting(4, 0x7FFFFFFF))
    attacker.send(frame(WINDOW_UPDATE, 0, 0, word(0x7FFF0000 - 65535)))
    deadline = time.monotonic() + _SECOND
    attacker.socket.settimeout(_SECOND)
    for first in range(1, 100_000, 200):
        piece = b"".join(_call(attacker, stream) for stream in range(first, first + 200, 2))
        if time.monotonic() > deadline or not attacker.send(piece):
            break
    attacker.socket.close()


def giant_prefix(port: int) -> None:
    attacker = Attacker(port)
    attacker.send(attacker.headers(1) + frame(DATA, 0, 1, b"\0\xff\xff\xff\xff" + bytes(1000)))
    assert attacker.status(1) == 8
    attacker.socket.close()


def inflating_bomb(port: int) -> None:
    data = gzip.compress(bytes(64 << 20), 1)
    assert len(data) < 1 << 20
    attacker = Attacker(port)
    body = b"\1" + struct.pack(">I", len(data)) + data
    pieces = [body[start : start + 16384] for start in range(0, len(body), 16384)]
    attacker.send(attacker.headers(1, grpc_encoding=b"gzip") + frame(DATA, 0, 1, pieces[0]))
    for piece in pieces[1:]:
        attacker.send(frame(DATA, 0, 1, piece))
    assert attacker.status(1) == 8
    attacker.socket.close()


def unfinished_messages(port: int) -> None:
    """Messages of 8 MiB that lack their last byte, on a hundred streams: 800 MB, if they were kept."""
    attacker = Attacker(port)
    streams = range(1, 201, 2)
    attacker.send(b"".join(attacker.headers(stream) for stream in streams))
    deadline = time.monotonic() + 5
    prefix = b"\0" + struct.pack(">I", 8 << 20)
    for number in range(60):  # of 16 KiB each: within the window of a stream
        for stream in streams:
            piece = prefix + bytes(16379) if number == 0 else bytes(16384)
            if time.monotonic() > deadline or not attacker.send(frame(DATA, 0, stream, piece)):
                break
    attacker.read(2)
    statuses = {stream for kind, flags, stream, _ in attacker.frames if kind == HEADERS and flags & END_STREAM}
    assert statuses, "none was refused"
    attacker.socket.close()


def garbage(port: int) -> None:
    for _ in range(20):
        attacker = Attacker(port)
        attacker.send(os.urandom(50_000))
        attacker.read(5, lambda: attacker.ended)  # noqa: B023
        assert attacker.ended
        attacker.socket.close()


def half_open(port: int) -> None:
    """Connections that never finish their preface, HEADERS or body."""
    sockets = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(300)]
    for number, one in enumerate(sockets):
        one.sendall(PREFACE[: 1 + number % 24])
    time.sleep(_SECOND)
    for one in sockets:
        one.close()


def malformed_calls(port: int) -> None:
    attacker = Attacker(port)
    for stream in range(1, 201, 2):
        attacker.send(attacker.headers(stream) + frame(DATA, END_STREAM, stream, encode_message(os.urandom(500))))
    assert attacker.status(199) in (0, 13)  # a few random bytes are protobuf, of unknown fields
    attacker.socket.close()


#: By name.
ATTACKS: dict[str, Callable[[int], None]] = {
    "rapid reset, CVE-2023-44487": rapid_reset,
    "made you reset, CVE-2025-8671": made_you_reset,
    "DATA after the end": data_after_the_end,
    "CONTINUATION flood, CVE-2024-27316": continuation_flood,
    "empty CONTINUATION flood": empty_continuation_flood,
    "SETTINGS flood, CVE-2019-9515": settings_flood,
    "PING flood, CVE-2019-9512": ping_flood,
    "WINDOW_UPDATE flood": window_update_flood,
    "PRIORITY flood, CVE-2019-9513": priority_flood,
    "frames of unknown types": unknown_frames,
    "HPACK bomb, CVE-2016-6581": hpack_bomb,
    "long header list": long_header_list,
    "empty DATA, CVE-2019-9518": empty_data,
    "DATA of padding": padding_only,
    "many streams": many_streams,
    "window of zero": window_of_zero,
    "window of one, CVE-2019-9511": window_of_one,
    "requests without reading, CVE-2019-9517": reads_nothing,
    "giant gRPC length prefix": giant_prefix,
    "inflating gRPC message": inflating_bomb,
    "unfinished gRPC messages": unfinished_messages,
    "garbage": garbage,
    "half-open connections": half_open,
    "malformed protobuf": malformed_calls,
}
