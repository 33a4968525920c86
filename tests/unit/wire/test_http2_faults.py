"""Every fault that RFC 9113 names: on a stream it is reset, on the connection all ends with GOAWAY."""

from __future__ import annotations

import pytest

from rmqgateway.wire.hpack import Header
from rmqgateway.wire.http2 import (
    PREFACE,
    ConnectionTerminated,
    ErrorCode,
    Http2Connection,
    Http2Limits,
    StreamReset,
)
from tests.unit.wire.http2_peer import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEAD,
    HEADERS,
    PADDED,
    PING,
    PRIORITISED,
    PRIORITY,
    PUSH_PROMISE,
    REQUEST,
    RST_STREAM,
    SETTINGS,
    TRAILERS,
    WINDOW_UPDATE,
    Peer,
    frame,
    setting,
    split_frames,
    word,
)

_PROTOCOL = ErrorCode.PROTOCOL_ERROR
_SIZE = ErrorCode.FRAME_SIZE_ERROR
_FLOW = ErrorCode.FLOW_CONTROL_ERROR
_CLOSED = ErrorCode.STREAM_CLOSED


def _block(*extra: Header) -> bytes:
    return Peer().encoder.encode([*REQUEST, *extra])


#: Streams 1 (half closed by the peer) and 3 (open) exist; 5 and above are idle; 2 can never be.
_CONNECTION_FAULTS: dict[str, tuple[bytes, ErrorCode]] = {
    "frame too large": (frame(DATA, 0, 3, b"x" * 16385), _SIZE),
    "frame too large, not all here": (frame(DATA, 0, 3, b"x" * 16385)[:20], _SIZE),
    "DATA on stream 0": (frame(DATA, 0, 0, b"x"), _PROTOCOL),
    "DATA on an idle stream": (frame(DATA, 0, 5, b"x"), _PROTOCOL),
    "DATA on a stream of ours": (frame(DATA, 0, 2, b"x"), _PROTOCOL),
    "DATA with padding too long": (frame(DATA, PADDED, 3, b"\5abcd"), _PROTOCOL),
    "DATA without its padding length": (frame(DATA, PADDED, 3), _SIZE),
    "HEADERS on stream 0": (frame(HEADERS, END_HEADERS, 0, b"\x82"), _PROTOCOL),
    "HEADERS on stream 0, unfinished": (frame(HEADERS, 0, 0, b"\x82"), _PROTOCOL),
    "HEADERS on a stream of ours": (frame(HEADERS, END_HEADERS, 2, b"\x82"), _PROTOCOL),
    "HEADERS with padding too long": (frame(HEADERS, PADDED | END_HEADERS, 5, b"\x09\x82"), _PROTOCOL),
    "HEADERS too short for priority": (frame(HEADERS, PRIORITISED | END_HEADERS, 5, b"\0\0"), _SIZE),
    "HEADERS that do not decode": (frame(HEADERS, END_HEADERS, 5, b"\x80"), ErrorCode.COMPRESSION_ERROR),
    "HEADERS interrupted by DATA": (frame(HEADERS, 0, 5, b"\x82") + frame(DATA, 0, 3, b"x"), _PROTOCOL),
    "HEADERS interrupted by an unknown frame": (frame(HEADERS, 0, 5, b"\x82") + frame(99, 0, 5), _PROTOCOL),
    "CONTINUATION of another stream": (
        frame(HEADERS, 0, 5, b"\x82") + frame(CONTINUATION, END_HEADERS, 7, b"\x82"),
        _PROTOCOL,
    ),
    "CONTINUATION of nothing": (frame(CONTINUATION, END_HEADERS, 3, b"\x82"), _PROTOCOL),
    "CONTINUATION after the end": (
        frame(HEADERS, END_HEADERS, 5, _block()) + frame(CONTINUATION, END_HEADERS, 5, b"\x82"),
        _PROTOCOL,
    ),
    "a lower stream than before": (
        frame(HEADERS, END_HEADERS, 9, _block()) + frame(HEADERS, END_HEADERS, 7, b"\x82"),
        _PROTOCOL,
    ),
    "PRIORITY on stream 0": (frame(PRIORITY, 0, 0, bytes(5)), _PROTOCOL),
    "PRIORITY of a wrong size on an idle stream": (frame(PRIORITY, 0, 5, bytes(4)), _SIZE),
    "RST_STREAM on stream 0": (frame(RST_STREAM, 0, 0, word(8)), _PROTOCOL),
    "RST_STREAM on an idle stream": (frame(RST_STREAM, 0, 5, word(8)), _PROTOCOL),
    "RST_STREAM of a wrong size": (frame(RST_STREAM, 0, 3, b"\0\0\0"), _SIZE),
    "SETTINGS on a stream": (frame(SETTINGS, 0, 3), _PROTOCOL),
    "SETTINGS of a wrong size": (frame(SETTINGS, 0, 0, b"\0\0\0"), _SIZE),
    "SETTINGS acknowledged with content": (frame(SETTINGS, ACK, 0, setting(1, 1)), _SIZE),
    "SETTINGS window too large": (frame(SETTINGS, 0, 0, setting(4, 1 << 31)), _FLOW),
    "SETTINGS window overflows a stream's": (
        frame(WINDOW_UPDATE, 0, 3, word(0x7FFFFFFF - 65535)) + frame(SETTINGS, 0, 0, setting(4, 65536)),
        _FLOW,
    ),
    "SETTINGS frame size too small": (frame(SETTINGS, 0, 0, setting(5, 16383)), _PROTOCOL),
    "SETTINGS frame size too large": (frame(SETTINGS, 0, 0, setting(5, 1 << 24)), _PROTOCOL),
    "SETTINGS push": (frame(SETTINGS, 0, 0, setting(2, 2)), _PROTOCOL),
    "SETTINGS connect": (frame(SETTINGS, 0, 0, setting(8, 2)), _PROTOCOL),
    "PUSH_PROMISE": (frame(PUSH_PROMISE, 0, 3, word(4)), _PROTOCOL),
    "PING on a stream": (frame(PING, 0, 3, bytes(8)), _PROTOCOL),
    "PING of a wrong size": (frame(PING, 0, 0, bytes(7)), _SIZE),
    "GOAWAY on a stream": (frame(GOAWAY, 0, 3, bytes(8)), _PROTOCOL),
    "GOAWAY of a wrong size": (frame(GOAWAY, 0, 0, bytes(7)), _SIZE),
    "WINDOW_UPDATE by nothing": (frame(WINDOW_UPDATE, 0, 0, word(0)), _PROTOCOL),
    "WINDOW_UPDATE of a wrong size": (frame(WINDOW_UPDATE, 0, 0, b"\0"), _SIZE),
    "WINDOW_UPDATE on an idle stream": (frame(WINDOW_UPDATE, 0, 5, word(1)), _PROTOCOL),
    "WINDOW_UPDATE overflows": (frame(WINDOW_UPDATE, 0, 0, word(0x7FFFFFFF)), _FLOW),
}

_STREAM_FAULTS: dict[str, tuple[bytes, int, ErrorCode]] = {
    "DATA after the end": (frame(DATA, 0, 1, b"x"), 1, _CLOSED),
    "HEADERS after the end": (frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x82"), 1, _CLOSED),
    "trailers without an end": (frame(HEADERS, END_HEADERS, 3, b"\x00\x01a\x01b"), 3, _PROTOCOL),
    "trailers with a pseudo-header": (frame(HEADERS, END_HEADERS | END_STREAM, 3, b"\x82"), 3, _PROTOCOL),
    "trailers with an upper-case name": (
        frame(HEADERS, END_HEADERS | END_STREAM, 3, b"\x00\x01A\x01b"),
        3,
        _PROTOCOL,
    ),
    "HEADERS depend on themselves": (
        frame(HEADERS, PRIORITISED | END_HEADERS, 5, word(5) + b"\0" + _block()),
        5,
        _PROTOCOL,
    ),
    "PRIORITY depends on itself": (frame(PRIORITY, 0, 3, word(3) + b"\0"), 3, _PROTOCOL),
    "PRIORITY of a wrong size": (frame(PRIORITY, 0, 3, bytes(6)), 3, _SIZE),
    "WINDOW_UPDATE by nothing": (frame(WINDOW_UPDATE, 0, 3, word(0)), 3, _PROTOCOL),
    "WINDOW_UPDATE overflows": (frame(WINDOW_UPDATE, 0, 3, word(0x7FFFFFFF)), 3, _FLOW),
}


def _peer() -> Peer:
    peer = Peer()
    peer.open(1)
    peer.open(3, flags=0)
    peer.frames()
    return peer


@pytest.mark.parametrize("name", _CONNECTION_FAULTS)
def test_faults_of_the_connection(name: str) -> None:
    data, code = _CONNECTION_FAULTS[name]
    assert _peer().fault(data) == (GOAWAY, 0, code)


@pytest.mark.parametrize("name", _STREAM_FAULTS)
def test_faults_of_a_stream(name: str) -> None:
    data, stream, code = _STREAM_FAULTS[name]
    peer = _peer()
    assert peer.fault(data) == (RST_STREAM, stream, code)
    assert peer.connection.open_streams == (2 if stream == 5 else 1)


def test_a_fault_is_told_to_the_owner_after_what_came_before() -> None:
    peer = _peer()
    first, second = peer.receive(frame(WINDOW_UPDATE, 0, 3, word(0)) + frame(PING, 0, 0))
    assert isinstance(first, StreamReset)
    assert (first.stream, first.code, first.by_peer) == (3, _PROTOCOL, False)
    assert isinstance(second, ConnectionTerminated)
    assert (second.code, second.error.fatal) == (_SIZE, True)
    assert "PING" in second.error.message
    goaway = peer.frames()[-1]
    assert goaway[3] == word(3) + word(_SIZE) + second.error.message.encode()
    assert peer.connection.drained


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n", b"X", PREFACE[:-1] + b"X", b"PRI * HTTP/2.0\r\n\r\nSM\r\nxx"]
)
def test_a_wrong_preface(data: bytes) -> None:
    connection = Http2Connection()
    (event,) = connection.receive_data(data, 0.0)
    assert isinstance(event, ConnectionTerminated)
    assert event.code == _PROTOCOL
    assert split_frames(connection.bytes_to_send())[-1][0] == GOAWAY


@pytest.mark.parametrize(
    "first", [frame(PING, 0, 0, bytes(8)), frame(SETTINGS, ACK, 0), frame(HEADERS, 4, 1)]
)
def test_settings_come_first(first: bytes) -> None:
    connection = Http2Connection()
    assert connection.receive_data(PREFACE + first[:8], 0.0) == []
    (event,) = connection.receive_data(first[8:], 0.0)
    assert isinstance(event, ConnectionTerminated)
    assert event.code == _PROTOCOL


@pytest.mark.parametrize("kind", ["DATA", "HEADERS"])
def test_frames_on_a_stream_that_ended_on_both_sides(kind: str) -> None:
    peer = _peer()
    peer.connection.send_response(1, HEAD, b"", TRAILERS)
    data = frame(DATA, 0, 1, b"x") if kind == "DATA" else frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x82")
    assert peer.fault(data) == (GOAWAY, 0, _CLOSED)


def test_frames_that_closed_streams_forgive() -> None:
    peer = _peer()
    peer.connection.send_response(1, HEAD, b"", TRAILERS)
    peer.frames()
    assert peer.receive(frame(RST_STREAM, 0, 1, word(8)) + frame(WINDOW_UPDATE, 0, 1, word(8))) == []
    peer.connection.reset(3)
    peer.frames()
    late = frame(DATA, 0, 3, b"x") + frame(WINDOW_UPDATE, 0, 3, word(8)) + frame(PRIORITY, 0, 3, bytes(5))
    assert peer.receive(late + peer.headers(3, [(b"content-type", b"late")])) == []
    assert peer.frames() == []
    assert len(peer.open(5)) == 1, "the table is in step"


def test_resets_are_remembered_up_to_a_number_and_forgiven_below() -> None:
    peer = Peer(Http2Limits(remembered_resets=2))
    for stream in (1, 3, 5, 7):
        peer.open(stream, flags=0)
        peer.connection.reset(stream)
    assert list(peer.connection._resets) == [5, 7]
    peer.frames()
    assert peer.receive(b"".join(frame(DATA, 0, stream, b"x") for stream in (1, 3, 5, 7))) == []
    assert peer.frames() == []


def test_too_many_streams_are_refused() -> None:
    peer = Peer(Http2Limits(max_concurrent_streams=2))
    assert len(peer.open(1, 3)) == 2
    assert peer.fault(peer.headers(5)) == (RST_STREAM, 5, ErrorCode.REFUSED_STREAM)
    peer.connection.send_response(1, HEAD, b"", TRAILERS)
    assert len(peer.open(7)) == 1


def test_header_lists_over_the_limit_end_their_stream() -> None:
    peer = Peer(Http2Limits(max_header_list_size=1000))
    large = [*REQUEST, (b"x-large", b"v" * 1000)]
    assert peer.fault(peer.headers(1, large)) == (RST_STREAM, 1, ErrorCode.ENHANCE_YOUR_CALM)
    assert len(peer.open(3)) == 1
    # On a stream already reset such a block is only decoded.
    assert peer.receive(peer.headers(1, large)) == []
    assert peer.frames() == []


_PSEUDO = REQUEST[:4]


def _without(name: bytes) -> list[Header]:
    return [field for field in REQUEST if field[0] != name]


def _with(name: bytes, value: bytes) -> list[Header]:
    return [(name, value) if field[0] == name else field for field in REQUEST]


_CONNECT = [(b":method", b"CONNECT"), (b":authority", b"h:1")]

_MALFORMED: dict[str, list[Header]] = {
    "nothing": [(b"a", b"b")],
    "no method": _without(b":method"),
    "no scheme": _without(b":scheme"),
    "no path": _without(b":path"),
    "a method that is no token": _with(b":method", b"GE T"),
    "an empty path": _with(b":path", b""),
    "a path with a blank": _with(b":path", b"/a b"),
    "a path that is no path": _with(b":path", b"http://x/"),
    "a star without OPTIONS": _with(b":path", b"*"),
    "a scheme that is none": _with(b":scheme", b"1"),
    "an authority with user information": _with(b":authority", b"me@host"),
    "an authority with a path": _with(b":authority", b"host/x"),
    "a pseudo-header twice": [_PSEUDO[0], *REQUEST],
    "a pseudo-header of a response": [(b":status", b"200"), *REQUEST],
    "an unknown pseudo-header": [(b":unknown", b"x"), *REQUEST],
    "a pseudo-header after a field": [*_PSEUDO[1:], (b"a", b"b"), _PSEUDO[0]],
    "a second pseudo-header after a field": [*REQUEST, (b":path", b"/")],
    "an upper-case name": [*REQUEST, (b"X-Upper", b"x")],
    "an empty name": [*REQUEST, (b"", b"x")],
    "a name with a blank": [*REQUEST, (b"a b", b"x")],
    "a value with a line feed": [*REQUEST, (b"a", b"x\ny")],
    "a value with a blank at its end": [*REQUEST, (b"a", b"x ")],
    "connection": [*REQUEST, (b"connection", b"close")],
    "keep-alive": [*REQUEST, (b"keep-alive", b"x")],
    "proxy-connection": [*REQUEST, (b"proxy-connection", b"x")],
    "transfer-encoding": [*REQUEST, (b"transfer-encoding", b"chunked")],
    "upgrade": [*REQUEST, (b"upgrade", b"h2c")],
    "te": [*REQUEST, (b"te", b"gzip")],
    "a host that differs": [*REQUEST, (b"host", b"other")],
    "a host that is none": [*_without(b":authority"), (b"host", b"a b")],
    "content-length is no number": [*REQUEST, (b"content-length", b"+1")],
    "content-length beyond all": [*REQUEST, (b"content-length", b"1" * 19)],
    "content-lengths that differ": [*REQUEST, (b"content-length", b"1"), (b"content-length", b"2")],
    "content-length without a body": [*REQUEST, (b"content-length", b"1")],
    "CONNECT with a path": [*_CONNECT, (b":path", b"/")],
    "CONNECT without authority": _CONNECT[:1],
    ":protocol where it is not enabled": [
        *_PSEUDO[1:],
        (b":method", b"CONNECT"),
        (b":protocol", b"websocket"),
    ],
}


@pytest.mark.parametrize("name", _MALFORMED)
def test_malformed_requests(name: str) -> None:
    peer = _peer()
    block = Peer().encoder.encode(_MALFORMED[name])
    data = frame(HEADERS, END_HEADERS | END_STREAM, 5, block)
    assert peer.fault(data) == (RST_STREAM, 5, _PROTOCOL)
    assert peer.connection.open_streams == 2


@pytest.mark.parametrize("name", [":protocol without CONNECT", "an empty :protocol"])
def test_malformed_extended_connect(name: str) -> None:
    peer = Peer(Http2Limits(enable_connect_protocol=True))
    fields = [*REQUEST[:4], (b":protocol", b"websocket")]
    if name == "an empty :protocol":
        fields = [(b":method", b"CONNECT"), *REQUEST[1:4], (b":protocol", b"")]
    assert peer.fault(peer.headers(1, fields)) == (RST_STREAM, 1, _PROTOCOL)


@pytest.mark.parametrize(
    "fields",
    [
        _with(b":path", b"*")[1:],
        [*REQUEST, (b"host", b"LOCALHOST:8081")],
        [*_without(b":authority"), (b"host", b"h")],
        [*REQUEST, (b"content-length", b"0"), (b"content-length", b"0")],
        _with(b":method", b"PURGE"),
    ],
)
def test_unusual_but_well_formed_requests(fields: list[Header]) -> None:
    if fields[0][0] != b":method":
        fields = [(b":method", b"OPTIONS"), *fields]
    peer = Peer()
    assert len(peer.receive(peer.headers(1, fields))) == 1


@pytest.mark.parametrize(
    ("length", "bodies", "trailers", "good"),
    [
        (b"5", [b"hello"], False, True),
        (b"5", [b"he", b"llo"], False, True),
        (b"5", [b"he", b"llo!"], False, False),
        (b"5", [b"hello!", b""], False, False),
        (b"5", [b"hell"], False, False),
        (b"5", [b"hello"], True, True),
        (b"5", [b"hell"], True, False),
        (b"0", [b""], False, True),
    ],
)
def test_content_length_and_body_agree(
    length: bytes, bodies: list[bytes], trailers: bool, good: bool
) -> None:
    peer = Peer()
    peer.receive(peer.headers(1, [*REQUEST, (b"content-length", length)], flags=0))
    for body in bodies[:-1]:
        peer.receive(frame(DATA, 0, 1, body))
    peer.receive(frame(DATA, 0 if trailers else END_STREAM, 1, bodies[-1]))
    if trailers:
        peer.receive(peer.headers(1, [(b"a", b"b")]))
    resets = [item for item in peer.frames() if item[0] == RST_STREAM]
    assert resets == ([] if good else [(RST_STREAM, 0, 1, word(_PROTOCOL))])


def test_content_length_is_enough_for_the_fault_before_the_body_ends() -> None:
    peer = Peer()
    peer.receive(peer.headers(1, [*REQUEST, (b"content-length", b"3")], flags=0))
    assert peer.fault(frame(DATA, 0, 1, b"four")) == (RST_STREAM, 1, _PROTOCOL)
